import Apus
import Foundation
import Testing

@testable import ApusRelease

@Suite struct PromotionTests {
  @Test func `a release reaches production by a pass in each mode before, and not without`() throws {
    let room = try ReleaseRoom()
    let simulated = try room.pack("sim")
    let shadow = try room.pack("shadow", .shadow, program: .base("sim"))
    let testnet = try room.pack("test", .testnet, program: .base("sim"))
    let production = try room.pack("prod", .production, program: .base("sim"))
    _ = try room.root.use("sim")
    failure(.notPermitted, "for shadow", "has passed simulated", "--override") { _ = try room.root.use("shadow") }
    failure(.notPermitted, "for testnet", "has passed shadow", "--override") { _ = try room.root.use("test") }
    failure(.notPermitted, "for production", "has passed testnet") { _ = try room.root.use("prod") }
    #expect(room.root.current == "sim")

    try room.pass(simulated)
    failure(.notPermitted, "for testnet", "has passed shadow") { _ = try room.root.use("test") }
    _ = try room.root.use("shadow")
    // As `apus run` reports a shadow run: with the comparison of the books.
    failure(.notPermitted, "books of engine and venue differ") {
      _ = try shadow.recordPass(
        mode: .shadow, reportPath: room.report(of: shadow, run: 3) { $0["books_equal"] = false })
    }
    let pass = try shadow.recordPass(
      mode: .shadow, reportPath: room.report(of: shadow, run: 3) { $0["books_equal"] = true })
    #expect(pass.booksEqual == true)
    _ = try room.root.use("test")
    failure(.notPermitted, "for production") { _ = try room.root.use("prod") }
    try room.pass(testnet, run: 2)
    _ = try room.root.use("prod")
    #expect(room.root.current == "prod" && production.manifest.passed == [])
    #expect(try Release(directory: testnet.directory).manifest.passed.map(\.run) == [2])
    #expect(try room.root.list().allSatisfy { $0.overrides.isEmpty })
  }

  @Test func `a pass of another program or another configuration does not count, and is named`() throws {
    let room = try ReleaseRoom()
    try room.pass(room.pack("other-program", program: .file(room.file("apus-2"))))
    try room.write(
      (ReleaseRoom.configurations[.simulated] ?? "").replacing("half_spread_bps: 1", with: "half_spread_bps: 2"),
      to: "wide.yaml")
    try room.pack("shadow", .shadow)
    failure(.notPermitted, "other-program has, with this configuration and another program") {
      _ = try room.root.use("shadow")
    }
    try room.pass(room.pack("wide", configuration: "wide.yaml"), run: 2)
    failure(.notPermitted, "wide has, with this program and another configuration") { _ = try room.root.use("shadow") }
  }

  @Test func `an override lets it in, and is on record with user, reason and rule`() throws {
    let room = try ReleaseRoom()
    try room.pack("sim")
    try room.pack("prod", .production)
    _ = try room.root.use("sim", override: "not needed")
    let change = try room.root.use("prod", override: "the venue's test network is down until Friday")
    #expect(change.overridden?.contains("has passed testnet") == true)
    #expect(room.root.current == "prod")
    let lines = try room.root.audit.lines()
    #expect(lines.count == 2 && lines[0].why == nil && lines[0].overridden == nil)
    #expect(lines[1].why == "the venue's test network is down until Friday" && lines[1].overridden == change.overridden)
    #expect(lines[1].mode == .production && !lines[1].user.isEmpty)
    let listed = try #require(try room.root.list().first { $0.name == "prod" })
    #expect(listed.overrides == [lines[1]])
    // Once in, it may come back without being asked again.
    _ = try room.root.use("sim")
    #expect(try room.root.back().release.manifest.name == "prod")
    // An override is no pass to the next release of its kind.
    try room.pack("prod-2", .production)
    failure(.notPermitted, "for production") { _ = try room.root.use("prod-2") }
  }

  @Test func `what is compared is all but mode, addresses, keys and the data directory`() throws {
    let a = try ConfigurationFile.parse(ReleaseRoom.configurations[.simulated] ?? "")
    for mode in [EngineMode.shadow, .testnet, .production] {
      let b = try ConfigurationFile.parse(ReleaseRoom.configurations[mode] ?? "")
      #expect(a.forPromotion == b.forPromotion && a != b)
    }
    var other = a
    other.engine.name = "desk_2"
    #expect(other.forPromotion != a.forPromotion)
    other = a
    other.venue.requestTimeoutMs += 1
    #expect(other.forPromotion != a.forPromotion)
    other = a
    other.venue.restURL = "https://api.bybit.com"
    other.venue.account = "7"
    other.venue.caFile = "ca.pem"
    other.venue.privateKeyFile = nil
    other.venue.privateKeyEnv = "KEY"
    #expect(other.forPromotion == a.forPromotion)
    other = a
    other.moreVenues = [
      .init(venue: VenueSection(kind: .deribit, url: "ws://127.0.0.1:2/x", keyID: "a"), instruments: [])
    ]
    var more = other
    more.moreVenues[0].venue.url = "ws://127.0.0.1:3/x"
    more.moreVenues[0].venue.keyID = "b"
    #expect(more.forPromotion == other.forPromotion && other.forPromotion != a.forPromotion)
  }

  @Test func `only a good report of this very program, configuration and mode is a pass`() throws {
    let room = try ReleaseRoom()
    let release = try room.pack("sim")
    func refused(
      _ part: String, kind: ReleaseError.Kind = .notPermitted, _ change: @escaping (inout [String: Any]) -> Void
    ) {
      failure(kind, part) {
        _ = try release.recordPass(mode: .simulated, reportPath: room.report(of: release, run: 5, change))
      }
    }
    refused("another configuration") { $0["configuration_sha256"] = String(repeating: "0", count: 64) }
    refused("another program") { $0["program_sha256"] = String(repeating: "0", count: 64) }
    refused("another program") { $0["program_sha256"] = nil }
    refused("the run was in mode testnet") { $0["mode"] = "testnet" }
    refused("the run was in mode unknown") { $0["mode"] = nil }
    refused("did not confirm") { $0["is_stop_verified"] = false }
    refused("did not confirm") { $0["orders_left"] = 1 }
    refused("the outcome of 2 orders") { $0["unknown_orders"] = 2 }
    refused("limits were passed 1 times") { $0["limit_breaches"] = 1 }
    refused("ended early: no room") { $0["failure"] = "no room" }
    refused("sent nothing") { $0["messages_sent"] = 0 }
    refused("is not the JSON report", kind: .unreadable) { $0["seconds"] = nil }
    failure(.notPermitted, "is for simulated, where it can pass, and not for testnet") {
      _ = try release.recordPass(mode: .testnet, reportPath: room.report(of: release))
    }
    failure(.unreadable, "none.json") {
      _ = try release.recordPass(mode: .simulated, reportPath: room.file("none.json"))
    }
    #expect(try Release(directory: release.directory).manifest.passed == [])

    let pass = try release.recordPass(mode: .simulated, reportPath: room.report(of: release, run: 5))
    #expect(pass.run == 5 && pass.seconds == 61 && pass.booksEqual == nil)
    refused("run 5 is recorded already") { _ in }
    let after = try Release(directory: release.directory)
    #expect(after.manifest.passed == [pass] && after.problems() == [])
    #expect(try room.root.audit.lines().map(\.what) == [.passed])
  }

  @Test func `the report of a demo says whether the books are equal`() throws {
    let room = try ReleaseRoom()
    let release = try room.pack("sim")
    func report(_ equal: Bool) throws -> String {
      let engine: [String: Any] = [
        "mode": "simulated", "configurationSha256": release.manifest.configurationSha256,
        "programSha256": release.manifest.program["apus"] ?? "", "seconds": 20, "isStopVerified": true, "ordersLeft": 0,
        "unknownOrders": 0, "limitBreaches": 0, "messagesSent": 10, "runs": [3, 4],
      ]
      let path = room.file("demo.json")
      try JSONSerialization.data(withJSONObject: ["books_equal": equal, "engine": engine]).write(
        to: URL(fileURLWithPath: path))
      return path
    }
    failure(.notPermitted, "books of engine and venue differ") {
      _ = try release.recordPass(mode: .simulated, reportPath: report(false))
    }
    let pass = try release.recordPass(mode: .simulated, reportPath: report(true))
    #expect(pass.run == 4 && pass.booksEqual == true)
  }

  @Test func `what a process leaves that is killed while it records a pass does no harm`() throws {
    let room = try ReleaseRoom()
    let release = try room.pack("sim")
    let report = try room.report(of: release)
    // What a process leaves that ends before its rename: a part of a manifest, outside of the release.
    try room.write("{\n  \"build\"", to: "releases/.manifest.new")
    #expect(release.problems() == [])
    _ = try release.recordPass(mode: .simulated, reportPath: report)
    let after = try Release(directory: release.directory)
    #expect(after.problems() == [] && after.manifest.passed.count == 1)
    #expect(try room.names("releases") == ["audit.jsonl", "sim"])
  }

  @Test func `a damaged release passes nothing`() throws {
    let room = try ReleaseRoom()
    let release = try room.pack("sim")
    let report = try room.report(of: release)
    truncate(release.programPath, 3)
    failure(.damaged, "apus was changed") { _ = try release.recordPass(mode: .simulated, reportPath: report) }
  }
}
