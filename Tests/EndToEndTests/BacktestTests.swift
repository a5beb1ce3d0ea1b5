import ApusExchange
import Foundation
import Testing

/// `apus backtest` and `apus replay --what-if`, as a user runs them.
@Suite(.serialized, .timeLimit(.minutes(5))) struct BacktestTests {
  /// A minute of a made-up market in the collector's format: a walk of the price, its touch, its depth, its trades.
  private static let recording: String = {
    var state: UInt64 = 42
    func below(_ bound: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(bound))
    }
    func price(_ tenths: Int) -> String { "\(tenths / 10).\(tenths % 10)0" }
    func size(_ thousandths: Int) -> String { String(format: "%d.%03d", thousandths / 1000, thousandths % 1000) }
    var bid = 618_000
    var lines: [String] = []
    var id = 1000
    for step in 0..<6000 {
      let time = 1_723_161_255_000_000_000 + step * 10_000_000
      if below(4) == 0 { bid += below(3) == 0 ? below(31) - 15 : below(7) - 3 }
      id += 10
      lines.append(
        #"\#(time) {"stream":"btcusdt@bookTicker","data":{"e":"bookTicker","u":\#(id),"s":"BTCUSDT","b":"\#(price(bid))","B":"\#(size(500 + below(3000)))","a":"\#(price(bid + 1))","A":"\#(size(500 + below(3000)))","T":1,"E":1}}"#
      )
      if step % 5 == 0 {
        var levels = ["", ""]
        for offset in 1...20 {
          levels[0] += (offset > 1 ? "," : "") + #"["\#(price(bid - offset))","\#(size(below(2000)))"]"#
          levels[1] += (offset > 1 ? "," : "") + #"["\#(price(bid + 1 + offset))","\#(size(below(2000)))"]"#
        }
        lines.append(
          #"\#(time + 1000) {"stream":"btcusdt@depth@0ms","data":{"e":"depthUpdate","E":1,"T":1,"s":"BTCUSDT","U":\#(id),"u":\#(id + 1),"pu":0,"b":[\#(levels[0])],"a":[\#(levels[1])]}}"#
        )
      }
      if below(3) == 0 {
        let isSell = below(2) == 0
        lines.append(
          #"\#(time + 2000) {"stream":"btcusdt@trade","data":{"e":"trade","E":1,"T":1,"s":"BTCUSDT","t":\#(step),"p":"\#(price(isSell ? bid - below(40) : bid + 1 + below(40)))","q":"\#(size(1 + below(400)))","X":"MARKET","m":\#(isSell)}}"#
        )
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }()

  private static func configuration(_ instrument: String = "BTC-PERPETUAL") -> String {
    """
    engine: {name: test, data_directory: data}
    venue: {url: "ws://127.0.0.1:1/", key_id: none, private_key_env: NO_KEY}
    \(Room.quoted(instrument))
    """
  }

  private func stage() throws -> Room {
    let room = try Room()
    try room.write(Self.recording, to: "btcusdt.jsonl")
    try room.write(Self.configuration(), to: "quotes.yaml")
    return room
  }

  private func backtest(_ room: Room, _ more: [String]) throws -> Program {
    try Program(
      "apus", ["backtest", "--config", room.file("quotes.yaml"), "--feed", room.file("btcusdt.jsonl")] + more)
  }

  @Test(arguments: ["risk-averse", "power:2", "log"])
  func `equal arguments give equal files, and the table says what they hold`(model: String) throws {
    let room = try stage()
    for name in ["first", "second"] {
      let run = try backtest(
        room,
        [
          "--model", model, "--seed", "3", "--json", room.file("\(name).json"), "--csv", room.file("\(name).csv"),
          "--html", room.file("\(name).html"),
        ])
      #expect(run.wait() == 0, "\(run.err)")
      #expect(run.out.contains("\nprofit, USD"), "\(run.out)")
      #expect(run.out.contains("queue model \(model), feed 0.50 ms, orders 0.50 ms, seed 3; 00:59 of market in "))
    }
    for kind in ["json", "csv", "html"] {
      let first = try Data(contentsOf: URL(fileURLWithPath: room.file("first.\(kind)")))
      #expect(try first == Data(contentsOf: URL(fileURLWithPath: room.file("second.\(kind)"))))
      #expect(!first.isEmpty && first.count < 3_000_000)
    }
    let report = try JSONDecoder().decode(
      BacktestReport.self, from: Data(contentsOf: URL(fileURLWithPath: room.file("first.json"))))
    #expect(report.total.makerFills > 10)
    #expect(report.messages.violations == 0)
    #expect(report.circumstances.model == model)
    let lines = try String(contentsOfFile: room.file("first.csv"), encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 1 + report.total.makerFills + report.total.takerFills)
  }

  @Test func `a browser draws the page from the report's figures`() throws {
    let room = try stage()
    let run = try backtest(room, ["--json", room.file("report.json"), "--html", room.file("report.html")])
    #expect(run.wait() == 0, "\(run.err)")
    let page = try String(contentsOfFile: room.file("report.html"), encoding: .utf8)
    let start = try #require(page.range(of: "id=\"data\">"))
    let end = try #require(page.range(of: "</script>", range: start.upperBound..<page.endIndex))
    let shown = Data(page[start.upperBound..<end.lowerBound].replacing("<\\/", with: "</").utf8)
    #expect(try shown == Data(contentsOf: URL(fileURLWithPath: room.file("report.json"))))

    guard FileManager.default.isExecutableFile(atPath: "/usr/bin/chromium") else {
      print("no browser has drawn the page: chromium is missing, tools/setup --browser installs it")
      return
    }
    let browser = try Program("apus", [], shell: Self.browse(room))
    #expect(browser.wait(seconds: 90) == 0, "\(browser.err)")
    let dom = browser.out
    // Set by the last line of the script: none before it has failed.
    #expect(dom.contains("data-drawn=\"yes\""), "\(browser.err)")
    let report = try JSONDecoder().decode(BacktestReport.self, from: shown)
    #expect(dom.contains(">Fills (\(report.instruments[0].fills.count)"))
    for markout in report.total.markouts { #expect(dom.contains("<td>\(markout.fills)</td>")) }
    let cents = (report.total.profitE8.magnitude + 500_000) / 1_000_000
    let digits = String(format: "%d.%02d</b><span>profit, USD", Int(cents / 100), Int(cents % 100))
    #expect(dom.contains(digits), "\(digits)")
    let picture = try Data(contentsOf: URL(fileURLWithPath: room.file("page.png")))
    // An empty page of this size takes a tenth of it.
    #expect(picture.count > 25_000)
  }

  /// A shell that ends with the page's text on its output.
  private static func browse(_ room: Room) -> String {
    let start =
      "chromium --headless=new --no-sandbox --disable-gpu --user-data-dir='\(room.file("browser"))' --window-size=800,600"
    let page = "'file://\(room.file("report.html"))'"
    return "\(start) --screenshot='\(room.file("page.png"))' \(page) >/dev/null 2>&1; exec \(start) --dump-dom \(page)"
  }

  @Test func `what cannot be is said in one line`() throws {
    let room = try stage()
    try room.write(Self.configuration("ETH-PERPETUAL"), to: "other.yaml")
    try room.write(
      Self.configuration().replacing("private_key_env: NO_KEY", with: "private_key_env: NO_KEY, kind: deribit"),
      to: "deribit.yaml")
    try room.write("nothing\n", to: "btcusdt-empty.jsonl")
    func expect(_ code: Int32, _ arguments: [String], _ text: String) throws {
      let run = try Program("apus", ["backtest"] + arguments)
      #expect(run.wait() == code, "\(arguments): \(run.err)")
      #expect(run.err.contains(text), "\(arguments): \(run.err)")
    }
    let (config, feed) = (room.file("quotes.yaml"), room.file("btcusdt.jsonl"))
    try expect(64, ["--config", config], "--feed")
    try expect(64, ["--config", config, "--feed", feed, "--model", "power:0"], "power:0")
    for seconds in ["0", "1e12", "inf", "nan"] {
      try expect(
        64, ["--config", config, "--feed", feed, "--seconds", seconds], "--seconds must be above 0 and at most")
    }
    try expect(64, ["--config", config, "--feed", feed, "--latency", "0"], "a latency must be from 0.001 to 1000 ms")
    try expect(64, ["--config", config, "--feed", feed, "--feed", room.path], "give it as the only --feed")
    try expect(
      64, ["--config", config, "--feed", feed, "--latency", "1", "--latency-from", room.path], "one or the other")
    try expect(65, ["--config", room.file("other.yaml"), "--feed", feed], "no --feed is for it")
    try expect(65, ["--config", config, "--feed", feed, "--latency-from", room.path], "no request about an order")
    try expect(
      65, ["--config", room.file("deribit.yaml"), "--feed", feed], "are of the kind deribit: try others in shadow")
    try expect(66, ["--config", config, "--feed", "/nowhere/btcusdt.jsonl"], "cannot read the feed")
    try expect(66, ["--config", config, "--feed", room.file("btcusdt-empty.jsonl")], "no line of it reads")
    try expect(66, ["--config", config, "--feed", room.path], "no book of any run")
    try expect(
      73, ["--config", config, "--feed", feed, "--json", "/nowhere/a.json"], "could not write /nowhere/a.json")
    try expect(78, ["--config", room.file("missing.yaml"), "--feed", feed], "missing.yaml")
  }

  @Test func `a recorded run is put beside the same market with other parameters`() throws {
    let room = try Room()
    let demo = try Program("apus", ["demo", "--seconds", "6", "--directory", room.file("demo")])
    #expect(demo.wait(seconds: 90) == 0, "\(demo.err)")
    let text = try String(contentsOfFile: room.file("demo/demo.yaml"), encoding: .utf8)
    let wide = text.replacing(/half_spread_bps: [0-9.]+/, with: "half_spread_bps: 2.5")
    #expect(wide != text)
    try room.write(wide, to: "wide.yaml")
    func row(_ out: String, _ name: String) -> [Substring] {
      out.split(separator: "\n").first { $0.hasPrefix(name + " ") }?.dropFirst(name.count)
        .split(separator: "  ", omittingEmptySubsequences: true) ?? []
    }
    func whatIf(_ config: String) throws -> String {
      let run = try Program("apus", ["replay", room.file("demo"), "--what-if", config])
      #expect(run.wait() == 0, "\(run.err)")
      return run.out
    }
    let changed = try whatIf(room.file("wide.yaml"))
    #expect(row(changed, "distance of the best bid, ask from the mid").count == 3, "\(changed)")
    let messages = row(changed, "order messages").compactMap { Int($0.filter(\.isNumber)) }
    #expect(messages.count == 3 && messages.allSatisfy { $0 > 0 }, "\(changed)")
    // Five times as far from the mid.
    let distances = row(changed, "distance of the best bid, ask from the mid").compactMap {
      Double($0.split(separator: " ").first ?? "")
    }
    #expect(distances.count == 3 && distances[2] > 2 * distances[1], "\(changed)")
    // The run's own configuration changes nothing.
    let same = try whatIf(room.file("demo/demo.yaml"))
    for name in ["order messages", "traded, USD", "profit, USD"] {
      let cells = row(same, name).map { $0.filter { $0 != " " } }
      #expect(cells.count == 3 && cells[1] == cells[2], "\(same)")
    }
    // The market's times are those of arrival: what the books took longer is in them, and is not drawn again.
    #expect(changed.contains(#/, feed [0-9.]+ ms, orders measured, /#), "\(changed)")
    let wrong = try Program(
      "apus", ["replay", room.file("demo"), "--what-if", room.file("wide.yaml"), "--until", "1s"])
    #expect(wrong.wait() == 64)
    let backtest = try Program(
      "apus",
      [
        "backtest", "--config", room.file("wide.yaml"), "--feed", room.file("demo"), "--latency-from",
        room.file("demo"),
      ])
    #expect(backtest.wait() == 0, "\(backtest.err)")
    #expect(backtest.out.contains(#/, feed [0-9.]+ ms, orders measured, /#), "\(backtest.out)")
    try room.write(Self.recording, to: "btcusdt.jsonl")
    try room.write(Self.configuration(), to: "quotes.yaml")
    let drawn = try self.backtest(room, ["--latency-from", room.file("demo")])
    #expect(drawn.wait() == 0, "\(drawn.err)")
    #expect(drawn.out.contains(", feed measured, "), "\(drawn.out)")
    try expectDamageIsTold(room)
  }

  /// A flipped bit in the middle of the demo's journal: the reports are made, name it, and the code says so.
  private func expectDamageIsTold(_ room: Room) throws {
    let demo = URL(fileURLWithPath: room.file("demo"))
    let files = try #require(FileManager.default.enumerator(at: demo, includingPropertiesForKeys: nil))
      .compactMap { $0 as? URL }.filter { $0.pathExtension == "apus" && $0.path.contains("/journal-") }
    let segment = try #require(files.min { $0.path < $1.path })
    let file = try FileHandle(forUpdating: segment)
    let place: UInt64 = 600_000
    try file.seek(toOffset: place)
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: place)
    try file.write(contentsOf: [byte ^ 1])
    try file.close()
    let config = room.file("demo/demo.yaml")
    let json = room.file("damaged.json")
    for (arguments, made) in [
      (["replay", demo.path, "--what-if", config], "what if, by model"),
      (["backtest", "--config", config, "--feed", demo.path, "--json", json], "profit, USD"),
      (
        [
          "backtest", "--config", room.file("quotes.yaml"), "--feed", room.file("btcusdt.jsonl"), "--latency-from",
          demo.path,
        ],
        "profit, USD"
      ),
    ] {
      let run = try Program("apus", arguments)
      #expect(run.wait() == 65, "\(arguments): \(run.err)")
      #expect(run.out.contains(made), "\(run.out)")
      #expect(run.err.contains("missing of the journal: segment 1, offset "), "\(run.err)")
      #expect(run.err.split(separator: "\n").count == 1, "\(run.err)")
    }
    let report = try JSONDecoder().decode(BacktestReport.self, from: Data(contentsOf: URL(fileURLWithPath: json)))
    #expect(report.circumstances.gaps.count == 1)
  }
}
