import Foundation
import Testing

/// The one command, as a newcomer runs it. Each demo is two processes and a parent, so one at a time.
@Suite(.serialized) struct DemoTests {
  private func expectGood(_ room: Room, fills minimum: Int) throws {
    let report = try room.json("report.json")
    #expect(report["books_equal"] as? Bool == true)
    #expect(report["unknown_orders"] as? Int == 0)
    #expect(report["orders_left"] as? Int == 0)
    #expect(report["limit_breaches"] as? Int == 0)
    #expect(report["rate_violations"] as? Int == 0)
    #expect((report["fills"] as? Int ?? 0) >= minimum)
    #expect((report["messages_per_minute"] as? Double ?? 0) > 0)
    #expect((report["seconds"] as? Double ?? 0) > 0)
    let latency = report["tick_to_order_ns"] as? [String: Any] ?? [:]
    for key in ["p50", "p99", "p999", "max"] { #expect((latency[key] as? Int ?? 0) > 0, "\(key)") }
    let share = report["quoted_share"] as? Double ?? 0
    #expect(share > 0.5 && share <= 1)
  }

  @Test(arguments: [[], ["--tls"], ["--mass-quotes"], ["--mass-quotes", "--venues", "deribit"]])
  func `the demo quotes, is filled, and ends with equal books`(options: [String]) throws {
    let room = try Room()
    let demo = try Program(
      "apus",
      ["demo", "--seconds", "12", "--report", room.file("report.json"), "--directory", room.file("demo")] + options)
    #expect(demo.wait(seconds: 90) == 0, "\(demo.err)")
    try expectGood(room, fills: 3)
    #expect(demo.out.contains("books equal in all"))
    #expect(demo.out.contains("the venue confirms that no order of ours is left"))
  }

  @Test(arguments: [[], ["--tls"]])
  func `three venues are quoted at once, and all books are equal`(options: [String]) throws {
    let room = try Room()
    try room.write(Self.recording(seconds: 30), to: "made-up-btcusdt.jsonl")
    let demo = try Program(
      "apus",
      [
        "demo", "--venues", "thalex,bybit,deribit", "--seconds", "14", "--feed", room.file("made-up-btcusdt.jsonl"),
        "--report", room.file("report.json"), "--directory", room.file("demo"),
      ] + options)
    #expect(demo.wait(seconds: 120) == 0, "\(demo.err)")
    try expectGood(room, fills: 3)
    #expect(demo.out.contains("books equal in all 22 items"), "\(demo.out)")
    #expect(demo.out.components(separatedBy: "stop confirmed").count == 4, "\(demo.out)")
  }

  /// The venue's process below a demo, by a part of its command line that no other has.
  private func venue(_ kind: String, of room: Room) throws -> pid_t {
    let books = room.file("demo/\(kind)-venue-books.json")
    for name in try FileManager.default.contentsOfDirectory(atPath: "/proc") {
      guard let pid = pid_t(name), let data = FileManager.default.contents(atPath: "/proc/\(name)/cmdline") else {
        continue
      }
      let words = data.split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
      if words.contains("venue"), words.contains(books) { return pid }
    }
    throw CocoaError(.fileNoSuchFile)
  }

  @Test func `R23_ a venue that stands still is lost and found, the others quote on, and all of it can be repeated`()
    throws
  {
    let room = try Room()
    let demo = try Program(
      "apus",
      [
        "demo", "--venues", "thalex,bybit,deribit", "--seconds", "24", "--report", room.file("report.json"),
        "--directory", room.file("demo"),
      ])
    #expect(demo.waitFor("bybit: 00:05", seconds: 60))
    let pid = try venue("bybit", of: room)
    kill(pid, SIGSTOP)
    // Longer than the silence after which a lane gives its connection up.
    let isLost = demo.waitFor("before: the venue was silent for too long", seconds: 15)
    kill(pid, SIGCONT)
    #expect(isLost)
    #expect(demo.wait(seconds: 120) == 0, "\(demo.err)")
    let report = try room.json("report.json")
    #expect(report["books_equal"] as? Bool == true && report["unknown_orders"] as? Int == 0)
    #expect(report["limit_breaches"] as? Int == 0 && report["rate_violations"] as? Int == 0)
    let lanes = (report["engine"] as? [String: Any])?["lanes"] as? [[String: Any]] ?? []
    #expect(lanes.map { $0["reconnects"] as? Int ?? -1 }.enumerated().allSatisfy { ($0 == 1) == ($1 > 0) })

    let replay = try Program("apus", ["replay", room.file("demo")])
    #expect(replay.wait(seconds: 120) == 0, "\(replay.out)\(replay.err)")
    #expect(replay.out.components(separatedBy: "equal: every frame out").count == 4, "\(replay.out)")
  }

  @Test func `a venue that dies takes its books along, and the engine goes on at the others`() throws {
    let room = try Room()
    let demo = try Program(
      "apus",
      [
        "demo", "--venues", "thalex,deribit", "--seconds", "14", "--report", room.file("report.json"), "--directory",
        room.file("demo"),
      ])
    #expect(demo.waitFor("deribit: 00:04", seconds: 60))
    kill(try venue("deribit", of: room), SIGKILL)
    #expect(demo.waitFor("deribit: the venue has ended (exit code 137); the engine goes on at the others", seconds: 10))
    #expect(demo.wait(seconds: 120) == 1)
    #expect(demo.err.contains("the venue deribit ended early"))
    let report = try room.json("report.json")
    #expect(report["books_equal"] as? Bool == true && report["lost_venues"] as? [String] == ["deribit"])
    #expect(demo.out.contains("thalex: BTC-PERPETUAL fills"))
  }

  @Test func `Ctrl-C ends the demo at any moment with the report and equal books`() throws {
    let room = try Room()
    let demo = try Program("apus", ["demo", "--report", room.file("report.json"), "--directory", room.file("demo")])
    #expect(demo.waitFor("quoting", seconds: 30))
    demo.signal(SIGINT)
    #expect(demo.wait(seconds: 60) == 0, "\(demo.err)")
    #expect(demo.out.contains("books equal in all"))
    #expect(try room.json("report.json")["books_equal"] as? Bool == true)
  }

  @Test func `a recorded feed is played to its end, and then the demo ends by itself`() throws {
    let room = try Room()
    try room.write(Self.recording(seconds: 6), to: "made-up-btcusdt.jsonl")
    let demo = try Program(
      "apus",
      [
        "demo", "--feed", room.file("made-up-btcusdt.jsonl"), "--report", room.file("report.json"), "--directory",
        room.file("demo"),
      ])
    #expect(demo.wait(seconds: 90) == 0, "\(demo.err)")
    try expectGood(room, fills: 1)
  }

  @Test func `R57 neither output nor journal nor report holds the key or a token`() throws {
    let room = try Room()
    let demo = try Program(
      "apus", ["demo", "--seconds", "4", "--report", room.file("report.json"), "--directory", room.file("demo")])
    #expect(demo.wait(seconds: 60) == 0, "\(demo.err)")
    let key = try String(contentsOfFile: room.file("demo/key.pem"), encoding: .utf8)
    let secret = Data(key.split(separator: "\n")[3].utf8)
    let token = Data("eyJ".utf8)  // every JSON web token begins so
    let files = FileManager.default.enumerator(atPath: room.path)?.compactMap { $0 as? String } ?? []
    for file in files where !file.hasSuffix("key.pem") {
      guard let data = FileManager.default.contents(atPath: room.file(file)) else { continue }
      #expect(data.range(of: secret) == nil, "\(file)")
      #expect(data.range(of: token) == nil, "\(file)")
    }
    #expect(!demo.out.contains("PRIVATE") && !demo.err.contains("PRIVATE"))
  }

  /// A small market in the collector's format: a random walk of the touch with trades that run through it.
  static func recording(seconds: Int) -> String {
    var lines: [String] = []
    var state: UInt64 = 42
    func random(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(bound))
    }
    var time = 1_723_161_240_000_000_000
    var price = 617_000  // tenths of a USD
    func text(_ tenths: Int) -> String { "\(tenths / 10).\(tenths % 10)" }
    let bids = (0..<40).map { "[\"\(text(price - 1 - $0 * 10))\",\"1.500\"]" }.joined(separator: ",")
    let asks = (0..<40).map { "[\"\(text(price + $0 * 10))\",\"1.500\"]" }.joined(separator: ",")
    lines.append("\(time) {\"lastUpdateId\":1,\"E\":1,\"T\":1,\"bids\":[\(bids)],\"asks\":[\(asks)]}")
    var update = 1
    for step in 0..<(seconds * 100) {
      time += 10_000_000
      let millis = time / 1_000_000
      if random(3) == 0 {
        let old = price
        price += random(41) - 20
        let gone =
          price > old
          ? "\"b\":[[\"\(text(price - 1))\",\"1.2\"]],\"a\":[[\"\(text(old))\",\"0\"],[\"\(text(price))\",\"1.1\"]]"
          : "\"b\":[[\"\(text(old - 1))\",\"0\"],[\"\(text(price - 1))\",\"1.2\"]],\"a\":[[\"\(text(price))\",\"1.1\"]]"
        lines.append(
          "\(time) {\"stream\":\"btcusdt@depth@0ms\",\"data\":{\"e\":\"depthUpdate\",\"E\":\(millis),\"T\":\(millis),\"s\":\"BTCUSDT\",\"U\":\(update + 1),\"u\":\(update + 1),\"pu\":\(update),\(gone)}}"
        )
        update += 1
        lines.append(
          "\(time) {\"stream\":\"btcusdt@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":\(update),\"s\":\"BTCUSDT\",\"b\":\"\(text(price - 1))\",\"B\":\"1.2\",\"a\":\"\(text(price))\",\"A\":\"1.1\",\"T\":\(millis),\"E\":\(millis)}}"
        )
      }
      if random(4) == 0 {
        let isSell = random(2) == 0
        lines.append(
          "\(time) {\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":\(millis),\"T\":\(millis),\"s\":\"BTCUSDT\",\"t\":\(step),\"p\":\"\(text(isSell ? price - 60 : price + 60))\",\"q\":\"2.500\",\"X\":\"MARKET\",\"m\":\(isSell)}}"
        )
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
