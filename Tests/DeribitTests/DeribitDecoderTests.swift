import CSupport
import Foundation
import TestSupport
import Testing

@testable import Apus

@Suite struct DeribitDecoderTests {
  private static let ours = "order 210049234017437153 client 0 instrument 0 buy"

  /// A sample as the answer to a request of ours, and what it says.
  private static let replies: [(sample: String, id: UInt64, lines: [String])] = [
    ("auth-response", RequestID.session(.login), ["replied session(Apus.SessionRequest.login) 0"]),
    ("auth-error", RequestID.session(.login), ["refused session(Apus.SessionRequest.login) 13004"]),
    ("unauthorized-error", RequestID.session(.openOrders), ["refused session(Apus.SessionRequest.openOrders) 13009"]),
    ("set-heartbeat-response", RequestID.session(.heartbeat), ["replied session(Apus.SessionRequest.heartbeat) 0"]),
    ("test-response", RequestID.session(.systemInfo), ["replied session(Apus.SessionRequest.systemInfo) 0"]),
    (
      "enable-cancel-on-disconnect-response", RequestID.session(.cancelOnDisconnect),
      ["replied session(Apus.SessionRequest.cancelOnDisconnect) 0"]
    ),
    (
      "get-account-summary-response", RequestID.session(.accountSummary),
      ["replied session(Apus.SessionRequest.accountSummary) 5"]
    ),
    (
      "instrument-inverse-perpetual", RequestID.session(.instrument),
      [
        "listed 0 perpetual tick 50000000 lot 1000000000 minimum 1 expiry 0 inverse",
        "replied session(Apus.SessionRequest.instrument) 0",
      ]
    ),
    (
      "instrument-linear-perpetual", RequestID.session(.instrument),
      [
        "listed 1 perpetual tick 10000000 lot 10000 minimum 1 expiry 0",
        "replied session(Apus.SessionRequest.instrument) 0",
      ]
    ),
    (
      "instrument-option-tick-steps", RequestID.session(.instrument),
      [
        "listed 2 option tick 10000 lot 10000000 minimum 1 expiry 1798185600",
        "replied session(Apus.SessionRequest.instrument) 0",
      ]
    ),
    (
      "private-subscribe-response", RequestID.session(.subscribePrivate),
      ["replied session(Apus.SessionRequest.subscribePrivate) 2"]
    ),
    (
      "subscribe-response-partial", RequestID.session(.subscribePublic),
      ["replied session(Apus.SessionRequest.subscribePublic) 1"]
    ),
    (
      "subscribe-error-raw-unauthorized", RequestID.session(.subscribePublic),
      ["refused session(Apus.SessionRequest.subscribePublic) 13778"]
    ),
    (
      "buy-limit-open-response", RequestID.insert(7),
      [
        "\(ours) 172944 qty 100 filled 0 remaining 100 open other none reply created 1790867074192000000",
        "replied insert(7) 0",
      ]
    ),
    (
      "buy-ioc-filled-response", RequestID.insert(7),
      [
        "fill 355597288 order 210049234017438185 client 0 instrument 0 buy 172949x50 taker reply fee 289 time "
          + "1790867074452000000",
        "order 210049234017438185 client 0 instrument 0 buy 172960 qty 50 filled 50 remaining 0 filled other none reply "
          + "created 1790867074452000000", "replied insert(7) 0",
      ]
    ),
    (
      "sell-ioc-nofill-response", RequestID.insert(7),
      [
        "order 210049234017438999 client 0 instrument 0 sell 172950 qty 50 filled 0 remaining 0 cancelled other none "
          + "reply created 1790867074520000000", "replied insert(7) 0",
      ]
    ),
    (
      "buy-market-remainder-rests-response", RequestID.insert(7),
      [
        "fill 355597295 order 210049234017440001 client 0 instrument 0 buy 172960x20 taker reply fee 116 time "
          + "1790867074600000000",
        "order 210049234017440001 client 0 instrument 0 buy 178127 qty 30 filled 20 remaining 10 partiallyFilled other "
          + "none reply created 1790867074600000000", "replied insert(7) 0",
      ]
    ),
    ("buy-error-amount-step", RequestID.insert(7), ["refused insert(7) -32602"]),
    ("buy-error-tick", RequestID.insert(7), ["refused insert(7) -32602"]),
    ("buy-error-post-only-reject", RequestID.insert(7), ["refused insert(7) 11054"]),
    ("buy-error-price-too-high", RequestID.insert(7), ["refused insert(7) 10007"]),
    ("buy-error-not-enough-funds", RequestID.insert(7), ["refused insert(7) 10009"]),
    ("buy-error-mmp-frozen", RequestID.insert(7), ["refused insert(7) 13030"]),
    // BTC-25DEC26 was not asked for: its order is stepped over, but an error must be about something that was.
    (
      "mass-quote-response", RequestID.massQuote(5),
      [
        "order 210049234019000001 client 0 instrument 0 buy 172940 qty 500 filled 0 remaining 500 open other none reply "
          + "created 1790867075200000000",
        "order 210049234019000002 client 0 instrument 0 sell 172954 qty 500 filled 0 remaining 500 open other none reply "
          + "created 1790867075200000000", "edge unknownName",
      ]
    ),
    ("set-mmp-config-response", RequestID.protection(0), ["replied protection(0) 0"]),
    ("buy-error-timed-out", RequestID.insert(7), ["refused insert(7) 13888"]),
    (
      "edit-response", RequestID.amend(7, serial: 3),
      [
        "\(ours) 172943 qty 80 filled 0 remaining 80 open amend none reply to amend 3 created 1790867074192000000",
        "replied amend(7, serial: 3) 0",
      ]
    ),
    ("edit-error-already-filled", RequestID.amend(7, serial: 4), ["refused amend(7, serial: 4) 11044"]),
    (
      "cancel-response", RequestID.cancel(7),
      [
        "\(ours) 172944 qty 100 filled 0 remaining 0 cancelled other clientCancel reply created 1790867074192000000",
        "replied cancel(7) 0",
      ]
    ),
    ("cancel-by-label-response", RequestID.cancel(7), ["replied cancel(7) 1"]),
    ("cancel-error-not-open", RequestID.cancel(7), ["refused cancel(7) 11044"]),
    ("cancel-error-not-found", RequestID.cancel(7), ["refused cancel(7) 10004"]),
    ("error-too-many-requests", RequestID.insert(7), ["refused insert(7) 10028"]),
    ("error-method-not-found", RequestID.insert(7), ["refused insert(7) -32601"]),
    (
      "get-open-orders-response", RequestID.session(.openOrders),
      [
        "begin openOrders",
        "\(ours) 172944 qty 100 filled 0 remaining 100 open existing none query created 1790867074192000000",
        "end openOrders", "replied session(Apus.SessionRequest.openOrders) 0",
      ]
    ),
    (
      "get-order-state-response", RequestID.insert(7),
      [
        "\(ours) 172944 qty 100 filled 100 remaining 0 filled other none reply created 1790867074192000000",
        "replied insert(7) 0",
      ]
    ),
    (
      "get-positions-response", RequestID.session(.portfolio),
      [
        "begin portfolio", "position 0 40 mark 8647190000000 average 8647200000000", "end portfolio",
        "replied session(Apus.SessionRequest.portfolio) 0",
      ]
    ),
    (
      "get-user-trades-response", RequestID.session(.tradeHistory),
      [
        "begin tradeHistory",
        "fill 355597301 order 210049234017437153 client 0 instrument 0 buy 172944x40 maker query fee 0 time "
          + "1790867074900000000", "end tradeHistory", "replied session(Apus.SessionRequest.tradeHistory) 0",
      ]
    ),
  ]

  @Test func `trades of anyone are delivered one by one, and a bad one leaves its neighbours`() throws {
    func trade(_ price: String, _ amount: String, _ side: String, name: String = "BTC-PERPETUAL") -> String {
      "{\"trade_seq\":1,\"trade_id\":\"5\",\"timestamp\":1790867074192,\"tick_direction\":2,\"price\":\(price),"
        + "\"mark_price\":86401.5,\"instrument_name\":\"\(name)\",\"index_price\":86400.1,\"direction\":\"\(side)\","
        + "\"contracts\":1.0,\"amount\":\(amount)}"
    }
    func frame(_ trades: [String], plain: Bool = true) -> String {
      let parameters = "{\"channel\":\"trades.BTC-PERPETUAL.100ms\",\"data\":[\(trades.joined(separator: ","))]}"
      return plain
        ? "{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":\(parameters)}"
        : "{ \"params\": \(parameters), \"method\":\"subscription\",\"jsonrpc\":\"2.0\"}"
    }
    for plain in [true, false] {
      var bench = try DeribitBench()
      let lines = bench.decode(
        frame(
          [
            trade("86400.5", "100.0", "buy"), trade("86400.7", "10.0", "buy"), trade("86400.0", "15.0", "sell"),
            trade("86400.0", "20", "up"), trade("86400.0", "20", "sell", name: "ETH-PERPETUAL"), trade("86399", "1e1", "sell"),
          ], plain: plain))
      #expect(
        lines == [
          "trade 0 buy 172801x10 1790867074192000000", "edge offGrid", "edge offGrid", "edge unknownWord",
          "trade 0 sell 172798x1 1790867074192000000",
        ], "\(lines)")
      #expect(bench.decoder.ignoredItems == 1)
      #expect(bench.decode(frame([], plain: plain)) == [])
      #expect(bench.decode(String(frame([trade("1.0", "10.0", "buy")], plain: plain).dropLast())) == ["edge malformed"])
    }
    var unlisted = try DeribitBench(isListed: false)
    #expect(unlisted.decode(frame([trade("86400.5", "100.0", "buy")])) == ["edge unknownName"])
  }

  @Test func `every sample reply says what it says, whatever the kernels`() throws {
    for level in [ScanLevel.general, .portable, apus_scan_best()] {
      var bench = try DeribitBench(level: level)
      for reply in Self.replies {
        let lines = bench.decode(try DeribitBench.reply(reply.id, reply.sample))
        #expect(lines == reply.lines, "\(reply.sample)")
      }
      let (rate, burst) = (bench.decoder.grantedRate, bench.decoder.grantedBurst)
      #expect(rate == 5 && burst == 20)
      let quotes = bench.decoder.grantedMassQuotes ?? (0, 0, 0, 0)
      #expect(quotes == (10, 10, 500, 500))
    }
  }

  @Test func `every sample notification is read or stepped over`() throws {
    var bench = try DeribitBench()
    for (sample, lines) in [
      ("heartbeat-test-request-notification", ["heartbeat requested"]), ("heartbeat-notification", []),
      ("user-portfolio", []),
      // Of a group of somebody else's.
      ("user-mmp-trigger", []),
      (
        "ticker",
        [
          "ticker 0 mark 8647311000000 index 8643095000000 bid 172945x912 ask 172949x800 last 172946 collars "
            + "8387550000000-8906350000000 funding 0 time 1790867074300000000"
        ]
      ),
      (
        "user-changes-raw-fill",
        [
          "fill 355597301 order 210049234017437153 client 0 instrument 0 buy 172944x40 maker feed fee 0 time "
            + "1790867074900000000",
          "\(Self.ours) 172944 qty 100 filled 40 remaining 60 partiallyFilled other none feed created 1790867074192000000",
          "position 0 40 mark 8647190000000 average 8647200000000",
        ]
      ),
      // Channels that nobody asked for.
      ("trades-public", ["edge unknownName"]), ("quote", ["edge unknownName"]), ("price-index", ["edge unknownName"]),
      ("user-orders-raw-open", ["edge unknownName"]), ("user-lock", ["edge unknownName"]),
    ] {
      let found = bench.decode(try DeribitFixtures.text(sample))
      #expect(found == lines, "\(sample)")
    }
  }

  // MARK: - Mass quotes

  /// A sample about the quotes of this life's mass quote 12, and of its group.
  private static func own(_ text: String) -> String {
    text.replacing(#""quote_set_id":"perp""#, with: "\"quote_set_id\":\"\(tag(12))\"")
      .replacing(#""mmp_group":"mm1-btc""#, with: #""mmp_group":"apus-desk""#)
  }

  @Test func `the answer to a mass quote tells how each order stands, which quote it is, and what failed`() throws {
    var bench = try DeribitBench()
    let sample = Self.own(try DeribitBench.reply(RequestID.massQuote(12), "mass-quote-response"))
      .replacing(
        #"[{"instrument_name":"BTC-25DEC26","side":"ask""#, with: #"[{"instrument_name":"BTC-PERPETUAL","side":"ask""#)
    let lines = bench.decode(sample)
    #expect(lines.count == 4)
    #expect(lines[0].contains("buy 172940") && lines[0].contains(" ours quote 12"))
    #expect(lines[1].contains("sell 172954") && lines[1].contains(" ours quote 12"))
    #expect(Array(lines[2...]) == ["quote failed 12 code 10005 instrument 0 ask", "quoted 12 good 3 bad 1"])
    // A part that cannot be read leaves it open what became of the rest.
    for (from, to) in [
      (#""side":"ask""#, #""side":"both""#), (#""code":10005"#, #""code":"x""#), ("86470.0", "86470.1"),
    ] {
      #expect(bench.decode(sample.replacing(from, with: to)).last != lines.last, "\(to)")
    }
    #expect(bench.decode(sample.replacing(#""errors":"#, with: #""problems":"#)) == ["edge missingMember"])
  }

  @Test func `R14_ a quote's set says whose it is, in the feed and in executions`() throws {
    var bench = try DeribitBench()
    func feed(_ set: String, _ more: String = "") throws -> [String] {
      bench.decode(
        try Self.labelled("user-changes-raw-fill", "")
          .replacing(
            #""risk_reducing":false"#,
            with: #""risk_reducing":false,"quote":true,"mmp_group":"apus-desk","quote_id":"9","quote_set_id":"\#(set)""#
          )
          .replacing(#""liquidity":"M""#, with: #""liquidity":"M","quote_id":"9","quote_set_id":"\#(set)""#)
          + more)
    }
    let own = try feed(Self.tag(12))
    #expect(own[0].contains(" ours quote 12") && own[0].contains("client 0"))
    #expect(own[1].contains(" ours quote 12") && own[1].contains("client 0"))
    let earlier = try feed("apus-desk-11111111" + "0000000005")
    #expect(earlier[1].contains(" ours") && !earlier[1].contains("quote"))
    let other = try feed("perp")
    #expect(!other[1].contains(" ours") && !other[1].contains("quote"))
  }

  @Test(arguments: ["mmp_trigger", "mmp_config_curtailment"])
  func `an order that the protection has cancelled says so`(reason: String) throws {
    var bench = try DeribitBench()
    for more in [#","cancel_reason":"\#(reason)","mmp_cancelled":true"#, #","mmp_cancelled":true"#] {
      let text = try DeribitFixtures.text("user-changes-raw-fill")
        .replacing(#""order_state":"open""#, with: #""order_state":"cancelled""#)
        .replacing(#""risk_reducing":false"#, with: #""risk_reducing":false"# + more)
      #expect(bench.decode(text).contains { $0.contains("cancelledPartiallyFilled other protection feed") }, "\(more)")
    }
  }

  @Test func `the group's protection is used up by the venue's word, in any order of members`() throws {
    var bench = try DeribitBench()
    let text = Self.own(try DeribitFixtures.text("user-mmp-trigger"))
    #expect(bench.decode(text) == ["protection 0 0 executions"])
    let turned = text.replacing(
      #"{"frozen_until":1790867105000,"mmp_group":"apus-desk"}"#,
      with: #"{"mmp_group": "apus-desk", "index_name":"btc_usd","frozen_until":0}"#)
    #expect(turned != text && bench.decode(turned) == ["protection 0 0 executions"])
    // Of regular orders, which have no group.
    #expect(bench.decode(text.replacing(#","mmp_group":"apus-desk""#, with: "")) == [])
    #expect(bench.decode(String(text.dropLast())) == ["edge malformed"])
  }

  // MARK: - Books

  @Test func `R28_ a book follows its chain of changes, whose ids go beyond 2⁵³`() throws {
    var bench = try DeribitBench()
    let snapshot = bench.decode(try DeribitFixtures.text("book-raw-snapshot"))
    #expect(snapshot.first == "book 0 snapshot" && snapshot.count == 10)
    let change = bench.decode(try DeribitFixtures.text("book-raw-change"))
    #expect(
      change == [
        "book 0", "level 0 bid 172945x912", "level 0 bid 172941x0", "level 0 bid 172942x30", "book end 0",
      ])
    let next = bench.decode(try DeribitFixtures.text("book-raw-change-next"))
    #expect(next == ["book 0", "level 0 ask 172946x0", "level 0 ask 172949x800", "book end 0"])
  }

  @Test func `R28_ a change that does not fit the last voids the book until the next snapshot`() throws {
    var bench = try DeribitBench()
    // The ids differ in the last digit of eighteen: as floating point they are the same.
    let change = try DeribitFixtures.text("book-raw-change")
    let off = change.replacing("\"prev_change_id\":210049235256678389", with: "\"prev_change_id\":210049235256678388")
    _ = bench.decode(try DeribitFixtures.text("book-raw-snapshot"))
    #expect(bench.decode(off) == ["book lost 0"])
    #expect(bench.decode(change) == [])
    #expect(bench.decode(try DeribitFixtures.text("book-raw-change-next")) == [])
    #expect(bench.decode(try DeribitFixtures.text("book-raw-snapshot")).count == 10)
    #expect(bench.decode(change).count == 5)
  }

  @Test func `a change before the first snapshot, and after the connection is gone, is nobody's`() throws {
    var bench = try DeribitBench()
    let change = try DeribitFixtures.text("book-raw-change")
    #expect(bench.decode(change) == [])
    _ = bench.decode(try DeribitFixtures.text("book-raw-snapshot"))
    bench.decoder.forgetConnection()
    #expect(bench.decode(change) == [])
  }

  @Test func `R28_ a level off the grid makes the book void`() throws {
    var bench = try DeribitBench()
    _ = bench.decode(try DeribitFixtures.text("book-raw-snapshot"))
    let change = try DeribitFixtures.text("book-raw-change")
    #expect(
      bench.decode(change.replacing("86471.0,300.0", with: "86471.1,300.0"))
        == ["book lost 0", "edge offGrid"])
  }

  @Test func `R46_ numbers mean the same in every notation`() throws {
    var bench = try DeribitBench()
    let ticker = try DeribitFixtures.text("ticker")
    let plain = bench.decode(ticker)
    for (from, to) in [
      ("86473.11", "8.647311e4"), ("86472.5", "864725e-1"), ("9120.0", "9.12e3"), ("8000.0", "8000"),
      ("1790867074300", "1.7908670743e12"),
    ] {
      #expect(bench.decode(ticker.replacing(from, with: to)) == plain, "\(to)")
    }
  }

  @Test func `R32_ an instrument that does not trade is no longer listed, and is again when it trades`() throws {
    var bench = try DeribitBench()
    let ticker = try DeribitFixtures.text("ticker")
    let halted = bench.decode(ticker.replacing(#""state":"open""#, with: #""state":"halted""#))
    #expect(halted.first?.hasPrefix("removed 0 perpetual") == true && halted.count == 2)
    // Its book was not followed meanwhile.
    #expect(bench.decode(try DeribitFixtures.text("book-raw-snapshot")) == [])
    let again = bench.decode(ticker)
    #expect(again.first?.hasPrefix("listed 0 perpetual") == true && again.dropFirst().first == "book lost 0")
    #expect(bench.decode(ticker).count == 1)
  }

  // MARK: - Orders

  private static func labelled(_ sample: String, _ label: String) throws -> String {
    try DeribitFixtures.text(sample).replacing(#""label":"mm1-000001""#, with: "\"label\":\"\(label)\"")
  }

  private static func tag(_ clientID: UInt64) -> String {
    withUnsafeTemporaryAllocation(byteCount: OrderTag.digits, alignment: 1) {
      OrderTag.write(clientID, to: $0.baseAddress!)
      return DeribitBench.label + String(decoding: $0, as: UTF8.self)
    }
  }

  @Test func `R14_ a label says whose an order is, and which`() throws {
    var bench = try DeribitBench()
    let own = bench.decode(try Self.labelled("user-changes-raw-fill", Self.tag(4_294_967_301)))
    #expect(own[0].contains("client 4294967301") && own[0].contains(" ours"))
    #expect(own[1].contains("client 4294967301") && own[1].contains(" ours"))
    let earlier = bench.decode(try Self.labelled("user-changes-raw-fill", "apus-desk-11111111" + "0000000005"))
    #expect(earlier[1].contains("client 0") && earlier[1].contains(" ours"))
    let other = bench.decode(try Self.labelled("user-changes-raw-fill", "apus-desktop-000000000005"))
    #expect(other[1].contains("client 0") && !other[1].contains(" ours"))
  }

  @Test func `R05_ an unknown state concludes nothing`() throws {
    var bench = try DeribitBench()
    let text = try DeribitFixtures.text("user-changes-raw-fill")
      .replacing(#""order_state":"open""#, with: #""order_state":"parked""#)
    let lines = bench.decode(text)
    #expect(lines[1] == "edge unknownWord" && lines[2].contains(" other other none feed"))
  }

  @Test func `R20_ one broken item costs only itself, and its list is not complete`() throws {
    var bench = try DeribitBench()
    let text = try DeribitBench.reply(RequestID.session(.openOrders), "get-open-orders-response")
    let start = try #require(text.range(of: "[{")), end = try #require(text.range(of: "}]"))
    let order = text[start.lowerBound...end.lowerBound].dropFirst()
    let broken = String(order).replacing("1000.0", with: "1000.5")
    let two = text.replacingCharacters(in: start.lowerBound..<end.upperBound, with: "[\(broken),\(order)]")
    let lines = bench.decode(two)
    #expect(lines.count == 3 && lines[0] == "begin openOrders" && lines[1] == "edge offGrid")
    #expect(lines[2].hasPrefix(Self.ours))
  }

  @Test func `a conditional order of another program does not make the list incomplete`() throws {
    var bench = try DeribitBench()
    let text = try DeribitBench.reply(RequestID.session(.openOrders), "get-open-orders-response")
      .replacing(#""price":86472.0"#, with: #""price":"market_price""#)
      .replacing(#""filled_amount":0.0,"average_price":0.0,"#, with: "")
      .replacing(#""order_state":"open""#, with: #""order_state":"untriggered""#)
    #expect(
      bench.decode(text) == ["begin openOrders", "end openOrders", "replied session(Apus.SessionRequest.openOrders) 0"])
  }

  @Test func `R02_ an answer to an earlier question is stepped over`() throws {
    var bench = try DeribitBench()
    bench.decoder.awaitedOrdersID = RequestID.session(.openOrders, serial: 9)
    let old = try DeribitBench.reply(RequestID.session(.openOrders, serial: 8), "get-open-orders-response")
    #expect(bench.decode(old) == ["replied unknown 0"])
    let new = try DeribitBench.reply(RequestID.session(.openOrders, serial: 9), "get-open-orders-response")
    #expect(bench.decode(new).last == "replied session(Apus.SessionRequest.openOrders) 0")
  }

  @Test func `a cancel by label that found nothing says that the order was gone`() throws {
    var bench = try DeribitBench()
    let text = try DeribitBench.reply(RequestID.cancel(7), "cancel-by-label-response")
    #expect(bench.decode(text.replacing(#""result":1"#, with: #""result":0"#)) == ["refused cancel(7) 11044"])
    #expect(DeribitAdapter.proof(of: .cancel(7), code: 11044) == .orderGone)
  }

  @Test func `the size of a linear position is its coins, and a page of trades says whether more follow`() throws {
    var bench = try DeribitBench()
    let text = try DeribitBench.reply(RequestID.session(.portfolio), "get-positions-response")
    let linear = text.replacing("BTC-PERPETUAL", with: "BTC_USDC-PERPETUAL")
      .replacing("0.00462577", with: "-0.0046")
    #expect(bench.decode(linear)[1].hasPrefix("position 1 -46 "))
    let trades = try DeribitBench.reply(RequestID.session(.tradeHistory), "get-user-trades-response")
    let more = bench.decode(trades.replacing(#""has_more":false"#, with: #""has_more":true"#))
    #expect(more.last == "replied session(Apus.SessionRequest.tradeHistory) 1")
    let newest = bench.decoder.newestTradeInPage
    #expect(newest == 1_790_867_074_900)
    // Another currency is still to be asked.
    bench.decoder.tradesGoOn = true
    #expect(bench.decode(trades).last == "replied session(Apus.SessionRequest.tradeHistory) 1")
  }

  @Test func `R05_ what an object leaves out is not taken from the one before it`() throws {
    var bench = try DeribitBench()
    let trades = try DeribitBench.reply(RequestID.session(.tradeHistory), "get-user-trades-response")
    #expect(bench.decode(trades)[1].contains(" maker "))
    let unsaid = trades.replacing(#","liquidity":"M""#, with: "")
    #expect(unsaid != trades && bench.decode(unsaid)[1].contains(" taker "))

    // An escape in a name that the next object does not have.
    let ticker = try DeribitFixtures.text("ticker")
    let lines = bench.decode(ticker)
    _ = bench.decode(ticker.replacing(#""state":"open""#, with: ##""state":"\u006fpen""##))
    #expect(bench.decode(ticker.replacing(#""state":"open","#, with: "")) == lines)
  }

  @Test func `R20_ a long list is read whole, wherever the part that is listed for the fast kernels ends`() throws {
    let text = try DeribitBench.reply(RequestID.session(.openOrders), "get-open-orders-response")
    let start = try #require(text.range(of: "[{")), end = try #require(text.range(of: "}]"))
    let order = String(text[start.upperBound...end.lowerBound])
    for level in [ScanLevel.portable, apus_scan_best()] {
      var bench = try DeribitBench(level: level)
      // The first 8 KiB are listed; their end falls on every byte of an order.
      for padding in 0..<(order.utf8.count + 40) {
        let pad = #"{"label":"\#(String(repeating: "x", count: padding))","order_id":"1","instrument_name":"none"}"#
        let list = "[" + pad + "," + repeatElement("{" + order, count: 20).joined(separator: ",") + "]"
        let lines = bench.decode(text.replacingCharacters(in: start.lowerBound..<end.upperBound, with: list))
        #expect(!lines.contains { $0 == "edge malformed" }, "\(padding)")
        #expect(lines.count { $0.hasPrefix("order ") } == 20, "\(padding)")
      }
    }
  }

  // MARK: - Damage

  @Test(arguments: [UInt64(1), 2, 3]) func `R05_ random damage never delivers what cannot be true`(seed: UInt64) throws
  {
    var random = SplitMix(seed: seed)
    let samples = try DeribitFixtures.names().map { [UInt8](try DeribitFixtures.text($0).utf8) }
    var bench = try DeribitBench()
    _ = bench.decode(try DeribitFixtures.text("book-raw-snapshot"))
    let alphabet = Array("0123456789-+.eE\"{}[],:nulltruefalse \\".utf8)
    for _ in 0..<4000 {
      var bytes = samples.randomElement(using: &random)!
      for _ in 0..<Int.random(in: 1...6, using: &random) where !bytes.isEmpty {
        let place = Int.random(in: 0..<bytes.count, using: &random)
        switch Int.random(in: 0..<4, using: &random) {
        case 0: bytes[place] = alphabet.randomElement(using: &random)!
        case 1: bytes.remove(at: place)
        case 2: bytes.insert(alphabet.randomElement(using: &random)!, at: place)
        default: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 1...40, using: &random)))
        }
      }
      let text = String(decoding: bytes, as: UTF8.self)
      let recorder = bench.record(text)
      #expect(recorder.impossible.isEmpty, "\(text)")
    }
  }

  @Test func `R05_ truncated frames deliver nothing`() throws {
    var bench = try DeribitBench()
    for sample in ["ticker", "user-changes-raw-fill", "get-open-orders-response", "buy-limit-open-response"] {
      let text = try DeribitFixtures.text(sample)
      for count in 0..<text.utf8.count {
        let recorder = bench.record(String(decoding: text.utf8.prefix(count), as: UTF8.self))
        #expect(recorder.lines == ["edge malformed"], "\(sample) \(count)")
      }
    }
  }
}
