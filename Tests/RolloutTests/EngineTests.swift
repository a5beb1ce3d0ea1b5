import Apus
import CSupport
import Foundation
import Testing

@testable import ApusRollout

/// Where and how a rollout has its engines run.
@Suite struct EngineTests {
  /// Goes away with the test.
  final class Room {
    let path = NSTemporaryDirectory() + "/apus-rollout-\(UUID().uuidString)"
    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
    func file(_ name: String) -> String { "\(path)/\(name)" }
  }

  static func configuration(
    _ url: String = "ws://127.0.0.1:8765/ws/api/v2", data: String = "data", engine: String = "idle: spin", venues: Int = 1
  ) throws -> Configuration {
    let venues = (0..<venues).map { index in
      """
        - name: v\(index)
          url: \(url)
          key_id: K\(index)
          private_key_file: k.pem
          instruments:
            - name: BTC-PERPETUAL
              ladder: {levels: 1, half_spread_bps: 1, step_ticks: 1, size: 0.01, skew_bps: 1}
              limits: {max_position: 0.1, max_order: 0.1, max_notional: 10000, collar_bps: 50, max_orders: 4}
      """
    }
    return try ConfigurationFile.parse(
      "engine: {name: desk_1, data_directory: \"\(data)\", \(engine)}\nvenues:\n\(venues.joined(separator: "\n"))\n")
  }

  /// A program that keeps how it was called, and ends.
  private func called(_ configuration: Configuration, in room: Room, isConfirmed: Bool) throws -> String {
    let program = room.file("program")
    try Data("#!/bin/sh\necho \"$@\" \"of $APUS_ROLLOUT\" > '\(room.file("called.new"))'\nmv '\(room.file("called.new"))' '\(room.file("called"))'\n".utf8)
      .write(to: URL(fileURLWithPath: program))
    try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: program)
    let handle = EngineHandle(
      label: "candidate", program: program, configuration: configuration, room: room.path, rollout: "R7", isConfirmed: isConfirmed)
    try handle.start(nil)
    // Until its end was taken note of, too: a child that is left dead keeps the testing library from seeing the ends of others.
    for _ in 0..<500 where handle.look(now: TelemetrySnapshot.monotonicNow).isRunning { usleep(10_000) }
    #expect(!handle.look(now: TelemetrySnapshot.monotonicNow).isRunning)
    return try String(contentsOfFile: room.file("called"), encoding: .utf8)
  }

  @Test func `an engine that trades real money is confirmed by the name that it has in its slot`() throws {
    let room = try Room()
    let real = try Self.configuration("wss://thalex.com/ws/api/v2", data: room.file("data"), engine: "mode: production")
    for slot in EngineSlot.all(real) {
      let words = try called(real.placed(in: slot), in: room, isConfirmed: true)
      #expect(words.contains("--production \(slot.name) ") && words.contains("of R7"), "\(words)")
      try FileManager.default.removeItem(atPath: room.file("called"))
    }
    #expect(try !called(real, in: room, isConfirmed: false).contains("--production"))
    try FileManager.default.removeItem(atPath: room.file("called"))
    let shadow = real.asShadow(name: "shadow_c", in: room.file("shadow"), place: 0)
    #expect(try !called(shadow, in: room, isConfirmed: true).contains("--production"))
  }

  @Test func `two engines have two slots, and two names stay two`() throws {
    var one = try Self.configuration()
    #expect(EngineSlot.all(one).map(\.name) == ["desk_1", "desk_1_b"])
    var names: Set<String> = []
    for name in ["desk_thalex1", "desk_thalex2", "desk_thalexa"] {
      one.engine.name = name
      let second = EngineSlot.second(one)
      #expect(second.name.count == 12 && second.name.hasPrefix("desk_tha") && second.name.hasSuffix("_b"), "\(second.name)")
      names.insert(second.name)
    }
    #expect(names.count == 3, "\(names)")
  }

  @Test(arguments: ["core: auto, idle: spin", "core: 1, idle: spin"])
  func `what runs beside an engine has none of its cores`(engine: String) throws {
    let allowed = [0, 1, 2, 3, 4, 5]
    for venues in 1...3 {
      let live = try Self.configuration(engine: engine, venues: venues)
      let taken = Set(live.engine.core.cores(lanes: venues, allowed: allowed).compactMap(\.self))
      #expect(taken.count == venues)
      var seen = taken
      for place in 0..<2 {
        let beside = live.besideAnother(place: place, allowed: allowed)
        let own = beside.engine.core.cores(lanes: venues, allowed: allowed).compactMap(\.self)
        #expect(seen.isDisjoint(with: own), "\(venues): \(own)")
        seen.formUnion(own)
        // What has no core of its own lets others run.
        #expect(own.isEmpty == (venues > 1) && (beside.engine.idle == .spin) == !own.isEmpty)
      }
      // On two cores nothing is left beside it.
      let narrow = live.besideAnother(allowed: [0, 1])
      #expect(narrow.engine.core == .none && narrow.engine.idle == .yield)
    }
    let free = try Self.configuration(engine: "core: none, idle: spin")
    #expect(free.besideAnother(allowed: allowed) == free)
  }
}
