import Apus
import CSupport
import Foundation
import TestSupport
import Testing

/// What is refused at the edge, and what still gets through beside it.
@Suite struct ThalexEdgeTests {
  static let order =
    #"{"order_id":"A1","order_type":"limit","time_in_force":"good_till_cancelled","instrument_name":"BTC-PERPETUAL","direction":"buy","price":76280.0,"amount":0.1,"filled_amount":0.04,"remaining_amount":0.06,"label":"mm","client_order_id":1001,"status":"partially_filled","fills":[{"trade_id":"T1","price":76280.0,"amount":0.04,"time":1,"maker_taker":"maker","leg_index":0}],"change_reason":"fill","insert_reason":"client_request","create_time":2,"persistent":false}"#
  static let good = [
    "fill T1 order A1 client 1001 instrument 0 buy 76280x40 maker feed ours time 1000000000",
    "order A1 client 1001 instrument 0 buy 76280 qty 100 filled 40 remaining 60 partiallyFilled fill none feed ours created 2000000000",
  ]
  static func feed(_ items: String..., snapshot: Bool = false) -> String {
    "{\"channel_name\":\"session.orders\",\"notification\":[\(items.joined(separator: ","))]\(snapshot ? ",\"snapshot\":true" : "")}"
  }

  @Test func `R05_ impossible, misplaced or incomplete orders are refused with their reason`() throws {
    var bench = try Bench()
    let whole = bench.decode(Self.feed(Self.order))
    #expect(whole == Self.good)
    let cases: [(String, String, String)] = [
      (#""filled_amount":0.04"#, #""filled_amount":0.2"#, "impossible"),
      (#""filled_amount":0.04"#, #""filled_amount":-0.04"#, "impossible"),
      (#""amount":0.1,"#, #""amount":-0.1,"#, "impossible"),
      (#""remaining_amount":0.06"#, #""remaining_amount":0.07"#, "impossible"),
      (#""remaining_amount":0.06"#, #""remaining_amount":-1"#, "impossible"),
      (#""status":"partially_filled""#, #""status":"filled""#, "impossible"),
      (#""price":76280.0,"amount":0.1"#, #""price":-76280.0,"amount":0.1"#, "impossible"),
      (#""price":76280.0,"amount":0.1"#, #""price":76280.5,"amount":0.1"#, "offGrid"),
      (#""price":76280.0,"amount":0.1"#, #""price":1e30,"amount":0.1"#, "offGrid"),
      (#""amount":0.1,"#, #""amount":0.1001,"#, "offGrid"),
      (#""filled_amount":0.04"#, #""filled_amount":0.0404"#, "offGrid"),
      (#""order_id":"A1","#, "", "missingMember"),
      (#""order_id":"A1""#, #""order_id":17"#, "missingMember"),
      (#""order_id":"A1""#, #""order_id":"\#(String(repeating: "A", count: 40))""#, "missingMember"),
      (#""amount":0.1,"filled"#, #""filled"#, "missingMember"),
      (#""amount":0.1,"#, #""amount":"0.1","#, "missingMember"),
      (#""price":76280.0,"amount":0.1"#, #""amount":0.1"#, "missingMember"),
      (#""client_order_id":1001"#, #""client_order_id":-1"#, "missingMember"),
      (#""status":"partially_filled","#, "", "missingMember"),
      (#""direction":"buy""#, #""direction":"both""#, "unknownWord"),
      (#""instrument_name":"BTC-PERPETUAL""#, #""instrument_name":"DOGE-PERPETUAL""#, "unknownName"),
    ]
    for (from, to, problem) in cases {
      let broken = Self.order.replacing(from, with: to, maxReplacements: 1)
      #expect(broken != Self.order)
      let alone = bench.decode(Self.feed(broken))
      #expect(alone == ["edge \(problem)"], "\(to)")
    }
  }

  @Test func `R05_ a side that a light ticker gives twice is the later one, also if that is empty`() throws {
    var bench = try Bench()
    let lines = bench.decode(
      #"{"channel_name":"lwt.BTC-PERPETUAL.raw","notification":{"b":[100,1,1],"b":[101,0,0],"a":[103,0],"a":[102,1]}}"#)
    #expect(lines == ["ticker 0 ask 102x1000 time 0"])
  }

  @Test func `R05_ a list of orders with a defect inside delivers none of them`() throws {
    var bench = try Bench()
    let lines = bench.decode(Self.feed(Self.order, #"{"a":tru}"#, snapshot: true))
    #expect(lines == ["edge malformed"])
  }

  @Test func `R05_ an unknown status is neither live nor dead`() throws {
    var bench = try Bench()
    let lines = bench.decode(
      Self.feed(Self.order.replacing("partially_filled", with: "dreaming").replacing("\"fill\"", with: "\"moon\"")))
    #expect(
      lines == [
        Self.good[0], "edge unknownWord",
        Self.good[1].replacing("partiallyFilled fill", with: "other other"),
      ])
    #expect(!OrderStatus.other.isLive && !OrderStatus.other.isTerminal)
  }

  @Test func `R05_ an amend below the executed size still brings the order's death`() throws {
    var bench = try Bench()
    let dead = Self.order.replacing("\"partially_filled\"", with: "\"cancelled_partially_filled\"")
      .replacing("\"amount\":0.1,", with: "\"amount\":0.0,").replacing("0.06", with: "0")
    let lines = bench.decode(Self.feed(dead))
    #expect(
      lines == [
        Self.good[0],
        "order A1 client 1001 instrument 0 buy 76280 qty 40 filled 40 remaining 0 cancelledPartiallyFilled fill none feed ours created 2000000000",
      ])
  }

  @Test func `R20_ one broken item leaves its neighbours alone`() throws {
    var bench = try Bench()
    for broken in [
      Self.order.replacing("0.06", with: "\"x\""), "17", "null", "[]", "{}",
      Self.order.replacing("\"buy\"", with: "{}"),
    ] {
      let lines = bench.decode(Self.feed(Self.order, broken, Self.order))
      #expect(lines.filter { !$0.hasPrefix("edge") } == Self.good + Self.good, "\(broken)")
      #expect(lines.filter { $0.hasPrefix("edge") }.count == 1)
    }
  }

  @Test func `R20_ one broken fill costs neither the other fills nor the order`() throws {
    var bench = try Bench()
    let fills =
      #""fills":[{"trade_id":"T1","price":76280.5,"amount":0.02},{"trade_id":"T2","price":76280,"amount":0},{"price":1,"amount":1},{"trade_id":"T3","price":76280,"amount":0.02,"maker_taker":"broker"},{"trade_id":"T4","price":76280,"amount":0.02,"leg_index":1,"maker_taker":"taker"}]"#
    let start = try #require(Self.order.range(of: "\"fills\""))
    let end = try #require(Self.order.range(of: ",\"change_reason\""))
    let lines = bench.decode(
      Self.feed(Self.order.replacingCharacters(in: start.lowerBound..<end.lowerBound, with: fills)))
    #expect(
      lines == [
        "edge offGrid", "edge impossible", "edge missingMember", "edge unknownWord",
        "fill T3 order A1 client 1001 instrument 0 buy 76280x20 taker feed ours time 0",
        "fill T4/1 order A1 client 1001 instrument 0 buy 76280x20 taker feed ours time 0", Self.good[1],
      ])
  }

  @Test func `R05_ a snapshot or a reply with a refused item is never called complete`() throws {
    var bench = try Bench()
    let broken = Self.order.replacing("0.06", with: "0.6")
    let snapshot = bench.decode(Self.feed(Self.order, broken, snapshot: true))
    #expect(snapshot.first == "begin sessionOrders" && !snapshot.contains("end sessionOrders"))
    let query = bench.decode(Bench.reply(.openOrders, result: "[\(broken),\(Self.order)]"))
    #expect(query.first == "begin openOrders" && query.contains("edge impossible"))
    #expect(!query.contains { $0.hasPrefix("end") || $0.hasPrefix("replied") })
    let reply = bench.decode("{\"id\":\(RequestID.insert(1001)),\"result\":\(broken)}")
    #expect(reply == ["edge impossible"])
    let nothing = bench.decode("{\"id\":\(RequestID.insert(1001)),\"result\":null}")
    #expect(nothing == ["edge missingMember"])
  }

  @Test func `R14_ orders of others are delivered as others', those on unwanted instruments are counted`() throws {
    var bench = try Bench()
    let foreign = Self.order.replacing("BTC-PERPETUAL", with: "ETH-PERPETUAL")
    let lines = bench.decode(
      "{\"channel_name\":\"account.orders\",\"notification\":[\(foreign.replacing("\"mm\"", with: "17")),\(foreign)]}")
    #expect(lines == ["edge unknownName"])  // only the second says that it is ours
    let ignored = bench.decoder.ignoredItems
    let known = bench.decode(Self.feed(Self.order.replacing("\"mm\"", with: "\"m\\u006d7\"")))
    #expect(known == Self.good)
    let other = bench.decode(Self.feed(Self.order.replacing("\"mm\"", with: "\"m\"")))
    #expect(other.allSatisfy { !$0.contains("ours") } && other.count == 2)
    let now = bench.decoder.ignoredItems
    #expect(now == ignored)
  }

  @Test func `R04_ R20_ a combination order of another program does not make a list incomplete, whatever its label`()
    throws
  {
    var bench = try Bench()
    let combination = try Bench.result(of: "res-insert-combo").replacing(
      "\"direction\"", with: "\"label\":\"mm\",\"direction\"")
    let before = bench.decoder.ignoredItems
    let query = bench.decode(Bench.reply(.openOrders, result: "[\(combination),\(Self.order)]"))
    #expect(query.contains("end openOrders") && query.last?.hasPrefix("replied") == true, "\(query)")
    #expect(!query.contains { $0.hasPrefix("edge") })
    #expect(bench.decode(Self.feed(combination, Self.order)) == Self.good)
    let snapshot = bench.decode(Self.feed(combination, snapshot: true))
    #expect(snapshot == ["begin sessionOrders", "end sessionOrders"])
    let after = bench.decoder.ignoredItems
    #expect(after == before + 3)
    // As the answer to one of our orders it is none.
    let reply = bench.decode("{\"id\":\(RequestID.insert(1001)),\"result\":\(combination)}")
    #expect(reply == ["edge unknownName"])
  }

  @Test func `R05_ a ticker or a book as the answer to one of our requests answers nothing`() throws {
    var bench = try Bench()
    for name in ["res-ticker", "res-book"] {
      let result = try Bench.result(of: name)
      for id in [
        RequestID.insert(1001), RequestID.amend(1001, serial: 2), RequestID.cancel(1001),
        RequestID.session(.openOrders), RequestID.session(.portfolio),
        RequestID.session(.tradeHistory), RequestID.massQuote(7),
      ] {
        let lines = bench.decode("{\"id\":\(id),\"result\":\(result)}")
        #expect(lines.count == 1 && lines.first?.hasPrefix("edge") == true, "\(name) \(id): \(lines)")
      }
    }
  }

  @Test func `records that are no executions are not fills`() throws {
    var bench = try Bench()
    let text = String(decoding: try Fixtures.bytes("ntf-account-trade-history"), as: UTF8.self)
    for type in ["daily_mark", "expiration", "internal_transfer", "amend", "delete"] {
      let lines = bench.decode(text.replacing("\"normal\"", with: "\"\(type)\""))
      #expect(lines == [])
    }
    for type in ["block", "combo", "rfq", "liquidation"] {
      let lines = bench.decode(text.replacing("\"normal\"", with: "\"\(type)\""))
      #expect(lines.count == 1 && lines.first?.hasPrefix("fill") == true)
    }
    let odd = bench.decode(text.replacing("\"normal\"", with: "\"gift\""))
    #expect(odd == ["edge unknownWord"])
  }

  @Test func `R05_ market data with impossible values is refused`() throws {
    var bench = try Bench()
    let ticker = String(decoding: try Fixtures.bytes("ntf-ticker-perpetual"), as: UTF8.self)
    let cases: [(String, String, [String])] = [
      ("\"best_bid_amount\":0.4", "\"best_bid_amount\":-0.4", ["edge impossible"]),
      ("\"best_bid_price\":76280", "\"best_bid_price\":76280.5", ["edge offGrid"]),
      ("\"best_bid_price\":76280", "\"best_bid_price\":-76280", ["edge impossible"]),
      ("\"best_bid_price\":76280", "\"best_bid_price\":null", ["edge missingMember"]),
      ("\"best_bid_price\":76280", "\"best_bid_price\":\"76280\"", ["edge missingMember"]),
      ("\"index\":76283.25916666667", "\"index\":1e30", ["edge impossible"]),
    ]
    for (from, to, expected) in cases {
      let lines = bench.decode(ticker.replacing(from, with: to))
      #expect(lines == expected, "\(to)")
    }
    let last = bench.decode(ticker.replacing("\"last_price\":76290", with: "\"last_price\":76290.5"))
    #expect(last.count == 2 && last[0] == "edge offGrid" && last[1].hasPrefix("ticker") && !last[1].contains("last"))
    let empty = bench.decode(ticker.replacing("\"best_bid_amount\":0.4", with: "\"best_bid_amount\":0"))
    #expect(empty.count == 1 && !empty[0].contains("bid") && empty[0].contains("ask"))

    let book =
      #"{"channel_name":"book.BTC-PERPETUAL.none.10.100ms","notification":{"bid_changes":[[76280.5,1,1],[76280,-1,0],[76279],[76278,"1"],7,[76277,1]],"ask_changes":null,"trades":[[1,2]]}}"#
    let lines = bench.decode(book)
    #expect(
      lines == [
        "book 0", "edge offGrid", "edge impossible", "edge missingMember", "edge missingMember", "edge missingMember",
        "level 0 bid 76277x1000", "edge missingMember", "book end 0",
      ])
  }

  @Test func `R05_ truncated frames deliver nothing that the whole frame does not`() throws {
    var bench = try Bench()
    var problems: [String] = []
    for (name, bytes, lines) in try Expected.all() {
      for count in 0..<bytes.count {
        let found = bench.record(Array(bytes[..<count]))
        if found.lines != ["edge malformed"] { problems.append("\(name) \(count): \(found.lines)") }
      }
      let whole = bench.decode(bytes)
      if whole != lines { problems.append("\(name): spoilt by what came before") }
    }
    #expect(problems.isEmpty, "\(problems.count): \(problems.prefix(3))")
  }

  @Test(arguments: [UInt64(41), 42])
  func `R05_ random corruption never delivers what cannot be true`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var bench = try Bench()
    var impossible: [String] = []
    let letters = [UInt8](#"{}[]",:.eE-+0123456789nultrefas\"#.utf8)
    let frames = try Expected.all().filter { !$0.name.contains("instruments") }
    for _ in 0..<200 {
      for (_, bytes, _) in frames {
        var copy = bytes
        for _ in 0..<Int.random(in: 1...3, using: &random) {
          let at = Int.random(in: 0..<copy.count, using: &random)
          switch Int.random(in: 0..<4, using: &random) {
          case 0: copy[at] = UInt8.random(in: 0...255, using: &random)
          case 1: copy.remove(at: at)
          default: copy[at] = letters.randomElement(using: &random)!
          }
        }
        impossible += bench.record(copy).impossible
      }
    }
    #expect(impossible.isEmpty, "seed \(seed): \(impossible.prefix(3))")
  }
}
