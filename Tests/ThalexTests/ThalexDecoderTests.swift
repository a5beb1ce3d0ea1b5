import Apus
import CSupport
import Foundation
import TestSupport
import Testing

/// What each sample frame says, in exact integers.
enum Expected {
  static let created = "created 1776715498201377000"
  static let fill1 =
    "fill 008000000000000D18425435FE7D2FD5 order 001F3C2600000019 client 1001 instrument 0 buy 76280x40 maker"

  static let summary =
    "account margin 4313332000000 required 81240000000 remaining 4232092000000 collateral 4311777000000 unrealised 1555000000 realised 350000000"

  static let frames: [(String, [String])] = [
    (
      "ntf-ticker-perpetual",
      [
        "ticker 0 mark 7628841000000 index 7628325916667 bid 76280x400 ask 76300x1000 last 76290 collars 7399975770000-7857706230000 funding 10000000 time 1776715497718817200"
      ]
    ),
    (
      "ntf-ticker-option",
      [
        "ticker 3 mark 5321791444 index 7628325916667 bid 8x26 ask 15x25 last 69 collars 3991343582-6652239304 iv 36920015 delta -10629457 forward 7627640187647 time 1776715497718817200"
      ]
    ),
    (
      "ntf-ticker-empty-book",
      ["ticker 1 mark 7635290000000 index 7628325916667 collars 7406231300000-7864348700000 time 1776715497718817200"]
    ),
    ("ntf-lwt-perpetual", ["ticker 0 mark 7628841000000 bid 76280x400 ask 76300x1000 last 76290 time 0"]),
    ("ntf-lwt-option", ["ticker 3 mark 5321791444 bid 8x26 ask 15x25 last 69 iv 36920015 time 0"]),
    ("ntf-lwt-empty-book", ["ticker 2 mark 7690102000000 time 0"]),
    (
      "ntf-book-snapshot",
      [
        "book 0 snapshot", "level 0 bid 76280x400", "level 0 bid 76279x1250", "level 0 bid 76275x3000",
        "level 0 ask 76300x1000", "level 0 ask 76305x2500", "book end 0",
      ]
    ),
    (
      "ntf-book-update",
      [
        "book 0", "trade 0 buy 76300x200 1776715498011000000", "trade 0 buy 76300x100 1776715498013000000",
        "level 0 bid 76281x500", "level 0 bid 76275x0", "level 0 ask 76300x700", "book end 0",
      ]
    ),
    ("ntf-price-index", ["index 0 7628325916667 time 1776715497718817200 settled 7494577857747"]),
    (
      "ntf-price-index-expiration",
      [
        "index 0 7628325916667 time 1776757500112000000 settled 7494577857747 average 7625118000000 progress 50000000 expected 7626721958333"
      ]
    ),
    (
      "ntf-lwt-futures",
      [
        "ticker 1 mark 7635290000000 index 7628326000000 bid 76340x1000 ask 76360x1000 time 1776715497718817200",
        "ticker 0 mark 7628841000000 index 7628326000000 bid 76280x400 ask 76300x1000 last 76290 funding 10000000 accrued -127000000 time 1776715497718817200",
      ]
    ),
    (
      "ntf-lwt-options",
      [
        "ticker 5 mark 438024000000 index 7628326000000 bid 870x100 iv 41160000 forward 7635290000000 time 1776715497718817200"
      ]
    ),
    (
      "ntf-lwt-future-rolls",
      ["ticker 6 mark 7140000000 index 7628326000000 bid 68x500 time 1776715497718817200"]
    ),
    ("ntf-base-price", ["base 0 of 1777017600 from 1 7635290000000 index 7628325916667 delta 100000000"]),
    (
      "ntf-recent-trades-snapshot",
      [
        "begin recentTrades", "trade 0 buy 76290x50 1776715490103000000", "trade 3 sell 69x10 1776712001500000000",
        "end recentTrades",
      ]
    ),
    ("ntf-recent-trades", ["trade 0 buy 76300x200 1776715498011000000"]),
    ("ntf-mm-protection-executions", ["protection 0 960 executions"]),
    ("ntf-mm-protection-exhausted", ["protection 0 -50 executions"]),
    ("ntf-mm-protection-refill", ["protection 0 1000 refill"]),
    (
      "ntf-account-order-history",
      [
        "\(fill1) history ours time 1776715499004512000",
        "fill 008000000000000D18425435FE7D2FD6 order 001F3C2600000019 client 1001 instrument 0 buy 76280x60 maker history ours time 1776715499004512000",
        "order 001F3C2600000019 client 1001 instrument 0 buy 76280 qty 100 filled 100 remaining 0 filled other filled history ours \(created)",
      ]
    ),
    ("ntf-account-conditional-orders", []), ("ntf-mm-rfqs", []), ("ntf-mm-rfq-quotes", []), ("ntf-banners", []),
    ("ntf-underlying-statistics", []), ("ntf-index-components", []),
    ("ntf-system-reconnect", ["reconnect"]),
    ("ntf-account-summary", [summary]),
    (
      "ntf-instruments-snapshot",
      [
        "begin instruments", "listed 0 perpetual tick 100000000 lot 100000 minimum 1 expiry 0",
        "listed 4 future tick 100000000 lot 100000 minimum 1 expiry 1776758400",
        "listed 1 future tick 100000000 lot 100000 minimum 1 expiry 1777017600",
        "listed 3 option tick 500000000 lot 1000000 minimum 1 expiry 1776758400", "end instruments",
      ]
    ),
    ("ntf-instruments-update", ["removed 4 future tick 100000000 lot 100000 minimum 1 expiry 1776758400"]),
    (
      "ntf-session-orders-insert",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76280 qty 100 filled 0 remaining 100 open insert none feed ours \(created)"
      ]
    ),
    (
      "ntf-session-orders-amend",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76285 qty 100 filled 0 remaining 100 open amend none feed ours \(created)"
      ]
    ),
    (
      "ntf-session-orders-cancel",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76285 qty 100 filled 0 remaining 0 cancelled cancel clientCancel feed ours \(created)"
      ]
    ),
    (
      "ntf-session-orders-partial-fill",
      [
        "\(fill1) feed ours time 1776715499004512000",
        "order 001F3C2600000019 client 1001 instrument 0 buy 76280 qty 100 filled 40 remaining 60 partiallyFilled fill none feed ours \(created)",
      ]
    ),
    (
      "ntf-session-orders-filled",
      [
        "fill 008000000000000D18425435FE7D2FD6 order 001F3C2600000019 client 1001 instrument 0 buy 76280x60 maker feed ours time 1776715499100000000",
        "order 001F3C2600000019 client 1001 instrument 0 buy 76280 qty 100 filled 100 remaining 0 filled fill filled feed ours \(created)",
      ]
    ),
    (
      "ntf-session-orders-session-end",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76280 qty 100 filled 0 remaining 0 cancelled cancel sessionEnd feed ours \(created)",
        "order 001F3C260000001A client 1002 instrument 0 sell 76300 qty 100 filled 0 remaining 0 cancelled cancel sessionEnd feed ours \(created)",
      ]
    ),
    (
      "ntf-session-orders-mm-protection",
      [
        "order 001F3C2600000032 client 0 instrument 0 sell 76300 qty 100 filled 0 remaining 0 cancelled cancel protection feed \(created)"
      ]
    ),
    (
      "ntf-session-orders-mass-quote",
      [
        "order 001F3C2600000031 client 0 instrument 0 buy 76280 qty 100 filled 0 remaining 100 open insert none feed \(created)",
        "order 001F3C2600000032 client 0 instrument 0 sell 76300 qty 100 filled 0 remaining 100 open insert none feed \(created)",
      ]
    ),
    (
      "ntf-session-orders-mass-quote-replaced",
      [
        "order 001F3C2600000031 client 0 instrument 0 buy 76280 qty 100 filled 0 remaining 0 cancelled cancel replaced feed \(created)",
        "order 001F3C2600000033 client 0 instrument 0 buy 76282 qty 100 filled 0 remaining 100 open insert none feed created 1776715504000000000",
      ]
    ),
    (
      "ntf-session-orders-snapshot",
      [
        "begin sessionOrders", "\(fill1) snapshot ours time 1776715499004512000",
        "order 001F3C2600000019 client 1001 instrument 0 buy 76280 qty 100 filled 40 remaining 60 partiallyFilled existing none snapshot ours \(created)",
        "end sessionOrders",
      ]
    ),
    ("ntf-session-orders-snapshot-empty", ["begin sessionOrders", "end sessionOrders"]),
    (
      "ntf-account-orders-manual",
      [
        "order 001F3C2600000020 client 0 instrument 0 sell 76300 qty 100 filled 0 remaining 100 open insert none feed persistent created 1776715300100000000"
      ]
    ),
    (
      "ntf-account-portfolio-snapshot",
      [
        "begin portfolio", "position 0 140 mark 7628841000000 average 7615025000000",
        "position 3 -50 mark 5321791444 average 34500000000", "end portfolio",
      ]
    ),
    ("ntf-account-portfolio-snapshot-empty", ["begin portfolio", "end portfolio"]),
    ("ntf-account-portfolio-update", ["position 0 0 mark 7628841000000 average 7615025000000"]),
    (
      "ntf-account-trade-history", ["\(fill1) tradeFeed ours fee 31000000 time 1776715499004512000"]
    ),
  ]

  /// Results of session requests, with the request that they answer.
  static let results: [(SessionRequest, String, [String])] = [
    (.login, "res-login", ["replied session(Apus.SessionRequest.login) 0"]),
    (
      .cancelOnDisconnect, "res-set-cancel-on-disconnect",
      ["replied session(Apus.SessionRequest.cancelOnDisconnect) 50"]
    ),
    (
      .instruments, "res-instruments",
      [
        "begin instruments", "listed 0 perpetual tick 100000000 lot 100000 minimum 1 expiry 0",
        "listed 1 future tick 100000000 lot 100000 minimum 1 expiry 1777017600",
        "listed 3 option tick 500000000 lot 1000000 minimum 1 expiry 1776758400", "end instruments",
        "replied session(Apus.SessionRequest.instruments) 0",
      ]
    ),
    (.subscribePrivate, "res-private-subscribe-partial", ["replied session(Apus.SessionRequest.subscribePrivate) 3"]),
    (
      .openOrders, "res-open-orders",
      [
        "begin openOrders",
        "order 001F3C2600000019 client 1001 instrument 0 buy 76280 qty 100 filled 0 remaining 100 open existing none query ours \(created)",
        "order 001F3C2600000020 client 0 instrument 0 sell 76300 qty 100 filled 0 remaining 100 open existing none query persistent \(created)",
        "end openOrders", "replied session(Apus.SessionRequest.openOrders) 0",
      ]
    ),
    (
      .portfolio, "res-portfolio",
      [
        "begin portfolio", "position 0 140 mark 7628841000000 average 7615025000000",
        "position 3 -50 mark 5321791444 average 34500000000", "end portfolio",
        "replied session(Apus.SessionRequest.portfolio) 0",
      ]
    ),
    (
      .portfolio, "res-portfolio-empty",
      ["begin portfolio", "end portfolio", "replied session(Apus.SessionRequest.portfolio) 0"]
    ),
    (
      .tradeHistory, "res-trade-history",
      [
        "begin tradeHistory", "\(fill1) query ours fee 31000000 time 1776715499004512000", "end tradeHistory",
        "replied session(Apus.SessionRequest.tradeHistory) 0",
      ]
    ),
    (.cancelAll, "res-cancel-all", ["replied session(Apus.SessionRequest.cancelAll) 42"]),
    (.cancelSession, "res-cancel-session", ["replied session(Apus.SessionRequest.cancelSession) 0"]),
    (.systemInfo, "res-system-info", ["replied session(Apus.SessionRequest.systemInfo) 0"]),
    (.accountSummary, "res-account-summary", [summary, "replied session(Apus.SessionRequest.accountSummary) 0"]),
    (
      .index, "res-index",
      [
        "index 0 7628325916667 time 1776715497718817200 settled 7494577857747",
        "replied session(Apus.SessionRequest.index) 0",
      ]
    ),
    (
      .subscribePublic, "res-public-subscribe",
      ["replied session(Apus.SessionRequest.subscribePublic) 7"]
    ),
    (.unsubscribe, "res-unsubscribe", ["replied session(Apus.SessionRequest.unsubscribe) 0"]),
    (
      .instrument, "res-instrument-perpetual",
      [
        "listed 0 perpetual tick 100000000 lot 100000 minimum 1 expiry 0",
        "replied session(Apus.SessionRequest.instrument) 0",
      ]
    ),
    (
      .instrument, "res-instrument-future",
      [
        "listed 1 future tick 100000000 lot 100000 minimum 1 expiry 1777017600",
        "replied session(Apus.SessionRequest.instrument) 0",
      ]
    ),
    (
      .instrument, "res-instrument-option",
      [
        "listed 3 option tick 500000000 lot 1000000 minimum 1 expiry 1776758400",
        "replied session(Apus.SessionRequest.instrument) 0",
      ]
    ),
    // Instruments that nobody asked for.
    (.instrument, "res-instrument-roll", ["replied session(Apus.SessionRequest.instrument) 0"]),
    (.instrument, "res-instrument-expired-option", ["replied session(Apus.SessionRequest.instrument) 0"]),
  ]

  /// Results of order requests.
  static let orderResults: [(UInt64, String, [String])] = [
    (
      RequestID.insert(1001), "res-insert-open",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76280 qty 100 filled 0 remaining 100 open insert none reply ours \(created)",
        "replied insert(1001) 0",
      ]
    ),
    (
      RequestID.insert(1001), "res-insert-post-only-adjusted",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76299 qty 100 filled 0 remaining 100 open insert none reply ours \(created)",
        "replied insert(1001) 0",
      ]
    ),
    (
      RequestID.insert(1002), "res-insert-rejected-post-only",
      [
        "order 001F3C260000001A client 1002 instrument 0 sell 76270 qty 100 filled 0 remaining 0 cancelled insert immediateCancel reply ours \(created)",
        "replied insert(1002) 0",
      ]
    ),
    (
      RequestID.insert(1006), "res-insert-crossing-partial",
      [
        "fill 008000000000000D18425435FE7D3004 order 001F3C260000001D client 0 instrument 1 buy 76305x200 taker reply ours time 1776715500300000000",
        "order 001F3C260000001D client 0 instrument 1 buy 76310 qty 500 filled 200 remaining 300 partiallyFilled insert none reply ours created 1776715500300000000",
        "replied insert(1006) 0",
      ]
    ),
    (
      RequestID.insert(1003), "res-insert-ioc-partial",
      [
        "fill 008000000000000D18425435FE7D3001 order 001F3C260000001B client 1003 instrument 0 sell 76280x400 taker reply time 1776715500100000000",
        "order 001F3C260000001B client 1003 instrument 0 sell 76270 qty 500 filled 400 remaining 0 cancelledPartiallyFilled insert immediateCancel reply created 1776715500100000000",
        "replied insert(1003) 0",
      ]
    ),
    (
      RequestID.insert(1004), "res-insert-market-filled",
      [
        "fill 008000000000000D18425435FE7D3002 order 001F3C260000001C client 0 instrument 0 buy 76300x30 taker reply time 1776715500200000000",
        "fill 008000000000000D18425435FE7D3003 order 001F3C260000001C client 0 instrument 0 buy 76305x20 taker reply time 1776715500200000000",
        "order 001F3C260000001C client 0 instrument 0 buy market qty 50 filled 50 remaining 0 filled insert filled reply created 1776715500200000000",
        "replied insert(1004) 0",
      ]
    ),
    (
      RequestID.insert(1011), "res-insert-stp",
      [
        "order 001F3C260000001E client 1011 instrument 0 buy 76300 qty 100 filled 0 remaining 0 cancelled insert selfTradePrevention reply ours created 1776715500400000000",
        "replied insert(1011) 0",
      ]
    ),
    // An order of several legs is none of ours: the reply confirms nothing.
    (RequestID.insert(1005), "res-insert-combo", ["edge unknownName"]),
    (
      RequestID.amend(1001, serial: 1), "res-amend",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76285 qty 100 filled 0 remaining 100 open amend none reply to amend 1 ours \(created)",
        "replied amend(1001, serial: 1) 0",
      ]
    ),
    (
      RequestID.amend(1001, serial: 9999), "res-amend-to-zero",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76285 qty 0 filled 0 remaining 0 cancelled amend clientCancel reply to amend 9999 ours \(created)",
        "replied amend(1001, serial: 9999) 0",
      ]
    ),
    (
      RequestID.cancel(1001), "res-cancel",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76285 qty 100 filled 0 remaining 0 cancelled cancel clientCancel reply ours \(created)",
        "replied cancel(1001) 0",
      ]
    ),
    (
      RequestID.cancel(1001), "res-cancel-after-partial",
      [
        "order 001F3C2600000019 client 1001 instrument 0 buy 76285 qty 100 filled 40 remaining 0 cancelledPartiallyFilled cancel clientCancel reply ours \(created)",
        "replied cancel(1001) 0",
      ]
    ),
  ]

  /// Answers to mass quotes and about protection groups.
  static let quoteResults: [(UInt64, String, [String])] = [
    (RequestID.massQuote(21), "res-mass-quote", ["quoted 21 good 3 bad 0"]),
    (
      RequestID.massQuote(22), "res-mass-quote-partial",
      ["quote failed 22 code 15 ask 25050000000", "quoted 22 good 4 bad 1"]
    ),
    (RequestID.protection(0), "res-set-mm-protection", ["replied protection(0) 0"]),
    (RequestID.cancelMassQuote(0), "res-cancel-mass-quote", ["replied cancelMassQuote(0) 0"]),
  ]

  /// Answers to requests whose ids are none of ours, or that carry no id: nothing is read from them.
  static let unread = [
    "res-cancel-session-no-id", "res-ticker", "res-book", "res-create-conditional-order", "res-mm-rfq-insert-quote",
    "res-index-price-historical", "res-mark-price-historical",
  ]

  /// Every frame above as bytes, with what it says.
  static func all() throws -> [(name: String, bytes: [UInt8], lines: [String])] {
    try frames.map { ($0.0, try Fixtures.bytes($0.0), $0.1) }
      + results.map { ($0.1, [UInt8](Bench.reply($0.0, result: try Bench.result(of: $0.1)).utf8), $0.2) }
      + (orderResults + quoteResults).map { ($0.1, [UInt8](try Bench.reply($0.0, $0.1).utf8), $0.2) }
  }

  /// Levels and trades keep their order within a side; which list comes first is the sender's business.
  static func canonical(_ lines: [String]) -> [String] {
    let begin = lines.filter { $0.hasPrefix("book ") && !$0.hasPrefix("book end") }
    // Tickers of many instruments are members of one object.
    if lines.count > 1, lines.allSatisfy({ $0.hasPrefix("ticker ") }) { return lines.sorted() }
    guard !begin.isEmpty else { return lines }
    return begin + lines.filter { $0.hasPrefix("trade ") } + lines.filter { $0.contains(" bid ") }
      + lines.filter { $0.contains(" ask ") } + lines.filter { $0.hasPrefix("book end") || $0.hasPrefix("edge") }
  }
}

@Suite struct ThalexDecoderTests {
  @Test func `R46_ every sample says exactly what it says, in integers`() throws {
    var bench = try Bench()
    for (name, bytes, lines) in try Expected.all() {
      let found = bench.decode(bytes)
      #expect(found == lines, "\(name)")
    }
  }

  @Test(arguments: [UInt64(1), 2, 3])
  func `order of members, white space, unknown members and escaped keys change nothing`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var bench = try Bench()
    var mismatches: [String] = []
    for _ in 0..<8 {
      for (name, bytes, lines) in try Expected.all() {
        let variant = JSONVariant.text(of: bytes, &random)
        let found = bench.decode(variant)
        if Expected.canonical(found) != Expected.canonical(lines) {
          mismatches.append("\(name): \(String(decoding: variant, as: UTF8.self)) gave \(found)")
        }
        // The frame as the venue writes it, right behind a surprise.
        let again = bench.decode(bytes)
        if again != lines { mismatches.append("\(name), as written: \(again)") }
      }
    }
    #expect(mismatches.isEmpty, "seed \(seed): \(mismatches.prefix(2))")
  }

  @Test func `error replies name the request and the code`() throws {
    var bench = try Bench()
    let id = RequestID.amend(7, serial: 12)
    let codes = [
      "err-authentication-failed": 19, "err-duplicate-order-id": 2, "err-insufficient-margin": 24,
      "err-not-logged-in": 7, "err-order-not-found": 1, "err-price-collar": 43, "err-price-not-aligned": 15,
      "err-prot-not-set": 23, "err-throttle": 4, "err-unknown-instrument": 5, "err-no-id": 6,
    ]
    #expect(try Fixtures.names("err-").count == codes.count)
    for (name, code) in codes {
      let text = String(decoding: try Fixtures.bytes(name), as: UTF8.self)
      let comma = try #require(text.firstIndex(of: ","))
      let ours = bench.decode("{\"id\":\(id)" + text[comma...])
      #expect(ours == ["refused amend(7, serial: 12) \(code)"])
      let none = bench.decode("{\"id\":null" + text[comma...])
      #expect(none == ["refused unknown \(code)"])
    }
    let noCode = bench.decode("{\"id\":\(id),\"error\":{\"message\":\"\"}}")
    #expect(noCode == ["edge missingMember", "refused amend(7, serial: 12) 0"])
  }

  @Test func `replies to ids that this engine cannot have sent are of unknown kind`() throws {
    var bench = try Bench()
    for id in ["null", "0", "-8", "1.5", "\"9\"", "18446744073709551615", "7", "19", "\(250 * 10)"] {
      let lines = bench.decode("{\"id\":\(id),\"result\":null}")
      #expect(lines == ["replied unknown 0"], "\(id)")
    }
    #expect(RequestID.kind(of: RequestID.insert(RequestID.operandLimit)) == .insert((1 << 49) - 1))
    #expect(RequestID.insert(RequestID.operandLimit) < 1 << 53)
    for request in SessionRequest.allCases {
      let id = RequestID.session(request, serial: 0xFFFF_FFFF)
      #expect(RequestID.kind(of: id) == .session(request))
      #expect(RequestID.serial(of: id) == 0xFFFF_FFFF)
      #expect(id < 1 << 53)
    }
    _ = bench.decode("{\"id\":\(RequestID.session(.login, serial: 9)),\"result\":null}")
    let last = bench.decoder.lastReplyID
    #expect(RequestID.serial(of: last) == 9)
  }

  @Test func `R21_ a subscribe reply confirms exactly the channels that it names`() throws {
    var bench = try Bench()
    let before = bench.decoder.confirmedChannels
    #expect(before.isEmpty)
    _ = bench.decode(
      Bench.reply(.subscribePrivate, result: try Bench.result(of: "res-private-subscribe-partial")))
    let some = bench.decoder.confirmedChannels
    #expect(Set(some) == ["session.orders", "account.trade_history", "account.portfolio"])
    let lines = bench.decode(Bench.reply(.subscribePublic, result: #"["system","nonsense"]"#))
    #expect(lines == ["edge unknownName", "replied session(Apus.SessionRequest.subscribePublic) 2"])
    let all = "[" + Bench.channels.map { "\"\($0.0)\"" }.joined(separator: ",") + "]"
    _ = bench.decode(Bench.reply(.subscribePublic, result: all))
    let isComplete = bench.decoder.isEveryChannelConfirmed
    #expect(isComplete)
    _ = bench.decode(Bench.reply(.unsubscribe, result: #"["system"]"#))
    let missing = bench.decoder.unconfirmedChannels
    #expect(missing == ["system"])
    bench.decoder.forgetConfirmations()
    let none = bench.decoder.confirmedChannels
    #expect(none.isEmpty)
  }

  @Test func `R64_ numbers wait for the venue's own grid, and follow it when it changes`() throws {
    var bench = try Bench(isListed: false)
    let ticker = try Fixtures.bytes("ntf-ticker-perpetual")
    for name in ["ntf-ticker-perpetual", "ntf-book-update", "ntf-session-orders-insert", "ntf-account-trade-history"] {
      let lines = bench.decode(try Fixtures.bytes(name))
      #expect(lines == ["edge unknownName"], "\(name)")
    }
    let position = bench.decode(try Fixtures.bytes("ntf-account-portfolio-update"))
    #expect(position == ["edge unknownName"])
    let unknown = bench.decoder.info(of: 0) == nil
    #expect(unknown)
    func list(_ tick: String) -> String {
      Bench.reply(
        .instruments,
        result:
          #"[{"instrument_name":"BTC-PERPETUAL","tick_size":\#(tick),"volume_tick_size":0.001,"min_order_amount":0.01,"type":"perpetual"}]"#
      )
    }
    _ = bench.decode(list("0.5"))
    let fine = bench.decode(ticker)
    #expect(fine.first?.contains("bid 152560x400") == true)
    let minimum = bench.decoder.info(of: 0)?.grid.minimumLots
    #expect(minimum == QtyLots(10))
    _ = bench.decode(list("20"))
    let coarse = bench.decode(ticker)
    #expect(coarse.last?.contains("bid 3814x400 ask 3815x1000") == true)
    _ = bench.decode(list("50"))
    let off = bench.decode(ticker)
    #expect(off == ["edge offGrid"])
  }

  @Test func `one number has one meaning, however it is printed`() throws {
    var bench = try Bench()
    let text = String(decoding: try Fixtures.bytes("ntf-session-orders-insert"), as: UTF8.self)
    for number in ["76280", "76280.0", "7.628e4", "7628000e-2", "76280.000000001", "7.628E+4"] {
      let lines = bench.decode(text.replacing("76280.0", with: number))
      #expect(lines == Expected.frames.first { $0.0 == "ntf-session-orders-insert" }?.1, "\(number)")
    }
  }

  @Test func `the bookmark of a page is kept for the next one`() throws {
    var bench = try Bench()
    let lines = bench.decode(Bench.reply(.tradeHistory, result: #"{"bookmark":"a\"\u00e9","trades":[]}"#))
    #expect(lines == ["begin tradeHistory", "end tradeHistory", "replied session(Apus.SessionRequest.tradeHistory) 1"])
    let bookmark = bench.decoder.tradeHistoryBookmark
    #expect(bookmark == "a\"é")
    _ = bench.decode(Bench.reply(.tradeHistory, result: try Bench.result(of: "res-trade-history")))
    let none = bench.decoder.tradeHistoryBookmark
    #expect(none == nil)
    _ = bench.decode(Bench.reply(.login, result: try Bench.result(of: "res-login")))
    let account = bench.decoder.accountNumber
    #expect(account == "A123456789")
  }

  @Test func `the guess of the next channel changes nothing`() throws {
    var random = SplitMix(seed: 5)
    var bench = try Bench()
    try bench.decoder.register(channel: "odd\"one", kind: .system)
    let frames = try Expected.all()
    var mismatches: [String] = []
    for _ in 0..<2_000 {
      let (name, bytes, lines) = frames.randomElement(using: &random)!
      if bench.decode(bytes) != lines { mismatches.append(name) }
    }
    #expect(mismatches.isEmpty, "\(mismatches.prefix(5))")
    for _ in 0..<2 {
      let escaped = bench.decode(#"{"channel_name":"odd\"one","notification":{"event":"reconnect"}}"#)
      #expect(escaped == ["reconnect"])
      let raw = bench.decode(#"{"channel_name":"odd"one","notification":{"event":"reconnect"}}"#)
      #expect(raw == ["edge malformed"])
    }
  }

  @Test func `unknown channels and shapes are reported, nothing is delivered`() throws {
    var bench = try Bench()
    let expected = [
      "": "malformed", "[]": "malformed", "{}": "malformed", "null": "malformed", "{\"id\":1}": "missingMember",
      "{\"channel_name\":\"ticker.X.raw\",\"notification\":{}}": "unknownName",
      "{\"channel_name\":\"system\"}": "missingMember",
      "{\"channel_name\":\"system\",\"notification\":{\"event\":\"lunch\"}}": "unknownWord",
      "{\"channel_name\":\"system\",\"notification\":{\"event\":\"reconnect\"}}x": "malformed",
      "{\"channel_name\":\"session.orders\",\"notification\":{}}": "missingMember",
    ]
    for (text, problem) in expected {
      let lines = bench.decode(text)
      #expect(lines == ["edge \(problem)"], "\(text)")
    }
  }
}
