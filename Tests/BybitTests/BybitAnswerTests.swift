import Apus
import CSupport
import Foundation
import Testing

@Suite struct BybitAnswerTests {
  private static func answer(
    _ operation: String, id: String?, code: Int = 0, data: String = "{}", extra: String = "{}", header: String = "{}"
  ) -> String {
    let id = id.map { "\"reqId\":\"\($0)\"," } ?? ""
    return
      "{\(id)\"retCode\":\(code),\"retMsg\":\"OK\",\"op\":\"\(operation)\",\"data\":\(data),\"retExtInfo\":\(extra),\"header\":\(header),\"connId\":\"c\"}"
  }

  private static func ids(_ clientID: UInt64, order: String = "v-1") -> String {
    #"{"orderId":"\#(order)","orderLinkId":"\#(Fixtures.tag(clientID))"}"#
  }

  @Test func `an acknowledgement names the order and says nothing of its state`() throws {
    var bench = try Bench()
    let requests: [(String, UInt64, String)] = [
      ("order.create", RequestID.insert(7), "insert(7)"),
      ("order.amend", RequestID.amend(7, serial: 1234), "amend(7, serial: 1234)"),
      ("order.cancel", RequestID.cancel(7), "cancel(7)"),
    ]
    for (operation, id, request) in requests {
      let good = bench.decode(Self.answer(operation, id: "\(id)-4711", data: Self.ids(7)), .orders)
      #expect(good == ["named 7 v-1", "replied \(request) 0"])
      let bare = bench.decode(Self.answer(operation, id: "\(id)", data: "{}"), .orders)
      #expect(bare == ["replied \(request) 0"])
      let bad = bench.decode(Self.answer(operation, id: "\(id)-1", code: 110_001), .orders)
      #expect(bad == ["refused \(request) 110001"])
      let last = bench.decoder.lastReplyID
      #expect(last == id)
      // Some refusals come without the id of the request: by the order they can be told apart.
      let nameless = bench.decode(Self.answer(operation, id: nil, code: 10_005, data: Self.ids(9)), .orders)
      // Which amend of the order is refused is not told then.
      let named = request.replacing("7", with: "9").replacing("1234", with: "0")
      #expect(nameless == ["refused \(named) 10005"])
      let nothing = bench.decode(Self.answer(operation, id: nil, code: 10_005), .orders)
      #expect(nothing == ["refused unknown 10005"])
      let none = bench.decoder.lastReplyID
      #expect(none == .max)
    }
    for id in ["x71", "71x", "", "-1", "71 -1", "123456789012345678901"] {
      let found = bench.decode(Self.answer("order.create", id: id), .orders)
      #expect(found == ["replied unknown 0"], "\(id)")
    }
    // A number is taken as well: other clients send one.
    let number = bench.decode(#"{"reqId":71,"retCode":0,"op":"order.create"}"#, .orders)
    #expect(number == ["replied insert(7) 0"])
  }

  @Test func `R40 the rate that is left comes before the answer, or not at all`() throws {
    var bench = try Bench()
    func header(_ limit: String, _ left: String, _ reset: String) -> String {
      #"{"X-Bapi-Limit":\#(limit),"X-Bapi-Limit-Status":\#(left),"X-Bapi-Limit-Reset-Timestamp":\#(reset),"Traceid":"t","Timenow":"1"}"#
    }
    func decode(_ header: String) -> [String] {
      bench.decode(Self.answer("order.create", id: "71-1", code: 10_006, header: header), .orders)
    }
    #expect(
      decode(header(#""10""#, #""0""#, #""1791270739612""#))
        == ["rate insert(7) 0 of 10 until 1791270739612000000", "refused insert(7) 10006"])
    let good = bench.decode(
      Self.answer("order.create", id: "71-1", data: Self.ids(7), header: header(#""10""#, #""9""#, #""5""#)), .orders)
    #expect(good == ["rate insert(7) 9 of 10 until 5000000", "named 7 v-1", "replied insert(7) 0"])
    for odd in [
      header(#""""#, #""0""#, #""1""#), header(#""10""#, "0", #""1""#), header(#""10""#, #""-1""#, #""1""#),
      header(#""10""#, #""1.5""#, #""1""#), header(#""10""#, #""1""#, #""""#), "{}", "[]", "null", "7",
    ] { #expect(decode(odd) == ["refused insert(7) 10006"], "\(odd)") }
  }

  @Test func `a batch is answered order by order, and then as a whole`() throws {
    var bench = try Bench()
    func item(_ clientID: UInt64, _ order: String) -> String {
      #"{"category":"linear","symbol":"BTCUSDT","orderId":"\#(order)","orderLinkId":"\#(Fixtures.tag(clientID))","createAt":"1"}"#
    }
    let id = "\(RequestID.massQuote(5))-1"
    let list = #"{"list":[\#(item(1, "v-1")),\#(item(2, "")),\#(item(3, "v-3"))]}"#
    let codes = #"{"list":[{"code":0,"msg":"OK"},{"code":10001,"msg":"Qty invalid"},{"code":0,"msg":"OK"}]}"#
    for (operation, kind) in [("create", "insert"), ("amend", "amend"), ("cancel", "cancel")] {
      let found = bench.decode(Self.answer("order.\(operation)-batch", id: id, data: list, extra: codes), .orders)
      // Which amend of its order it was, an item does not say.
      let serial = kind == "amend" ? ", serial: 0" : ""
      #expect(
        found == [
          "named 1 v-1", "replied \(kind)(1\(serial)) 0", "refused \(kind)(2\(serial)) 10001", "named 3 v-3",
          "replied \(kind)(3\(serial)) 0", "replied massQuote(5) 2",
        ])
      let all = bench.decode(Self.answer("order.\(operation)-batch", id: id, code: 10_016), .orders)
      #expect(all == ["refused massQuote(5) 10016"], "what became of its orders is not known")
    }
    for (data, extra) in [
      (list, "{}"), ("{}", codes), (list, #"{"list":[{"code":0},{"code":0}]}"#),
      (#"{"list":[\#(item(1, "v-1"))]}"#, codes), (list, #"{"list":7}"#),
      (list, #"{"list":[{"code":0},{"msg":"?"},{"code":0}]}"#), (list, #"{"list":[{"code":0},7,{"code":0}]}"#),
    ] {
      let found = bench.decode(Self.answer("order.create-batch", id: id, data: data, extra: extra), .orders)
      #expect(found.last == "edge missingMember", "\(data) \(extra)")
      #expect(!found.contains { $0.hasPrefix("replied massQuote") })
    }
  }

  @Test func `R05_ an answer without its code or of an unknown kind is refused`() throws {
    var bench = try Bench()
    for (text, expected) in [
      (#"{"reqId":"71-1","op":"order.create"}"#, "edge missingMember"),
      (#"{"reqId":"71-1","retCode":"0","op":"order.create"}"#, "edge missingMember"),
      (#"{"reqId":"71-1","retCode":0.5,"op":"order.create"}"#, "edge missingMember"),
      (#"{"reqId":"71-1","retCode":0}"#, "edge missingMember"),
      (#"{"reqId":"71-1","retCode":0,"op":"order.dream"}"#, "edge unknownWord"),
      (#"{"reqId":"71-1","retCode":0,"op":"order.create""#, "edge malformed"),
    ] { #expect(bench.decode(text, .orders) == [expected], "\(text)") }
  }

  @Test func `subscriptions and logins are answered by the id that they had`() throws {
    var bench = try Bench()
    let id = RequestID.session(.subscribePublic, serial: 3)
    for written in ["\"\(id)-9\"", "\"\(id)\"", "\(id)"] {
      let good = bench.decode(
        #"{"success":true,"ret_msg":"","conn_id":"c","req_id":\#(written),"op":"subscribe"}"#, .market)
      #expect(good == ["replied subscribePublic 0"], "\(written)")
    }
    let texts: [(String, Int64)] = [
      ("error:handler not found,topic:x", BybitTextCode.unknownTopic),
      ("error:already subscribed,topic:x", BybitTextCode.alreadySubscribed),
      ("error:invalid op", BybitTextCode.unknownOperation),
      ("Failed to decode incoming data:x", BybitTextCode.unreadable), ("anything else", BybitTextCode.other),
      ("", BybitTextCode.other),
    ]
    for (text, code) in texts {
      let bad = bench.decode(
        #"{"success":false,"ret_msg":"\#(text)","conn_id":"c","req_id":"\#(id)-9","op":"subscribe"}"#, .market)
      #expect(bad == ["refused subscribePublic \(code)"], "\(text)")
    }
    let login = bench.decode(
      #"{"req_id":"\#(RequestID.session(.login))-1","op":"auth","success":false,"retCode":10003,"retMsg":"Invalid apikey","connId":"c"}"#,
      .account)
    #expect(login == ["refused login 10003"])
    let trade = bench.decode(
      #"{"reqId":"\#(RequestID.session(.login))-1","retCode":20001,"retMsg":"Repeat auth","op":"auth","connId":"c"}"#,
      .orders)
    #expect(trade == ["refused login 20001"] && BybitVenue.isUnchanged(code: 20_001))
    #expect(bench.decode(#"{"op":"subscribe","conn_id":"c"}"#, .account) == ["edge missingMember"])
    #expect(bench.decode(#"{"op":"subscribe","success":"true"}"#, .account) == ["edge missingMember"])
  }

  @Test func `pages of a list are one snapshot, and a refused item keeps it from ending`() throws {
    var bench = try Bench()
    let sample = try Fixtures.text("rest-order-realtime")
    let last = try Fixtures.text("rest-order-realtime-empty")
    func page(_ text: String, _ isContinued: Bool, _ question: BybitQuestion = .openOrders) -> (
      [String], BybitRestOutcome
    ) {
      var recorder = Recorder()
      let outcome = Array(text.utf8).withUnsafeBytes {
        bench.decoder.decodeRest(question, $0, isContinued: isContinued, into: &recorder)
      }
      return (recorder.lines, outcome)
    }
    let first = page(sample, false)
    #expect(first.0.first == "begin openOrders" && first.0.count == 2 && first.1 == .answered(hasMore: true))
    let cursor = bench.decoder.cursor
    #expect(
      cursor
        == "39bbc94a-2310-4324-9996-707881007fd5%3A1791270738610%2C39bbc94a-2310-4324-9996-707881007fd5%3A1791270738610"
    )
    let middle = page(sample, true)
    #expect(middle.0.count == 1 && middle.1 == .answered(hasMore: true))
    let end = page(last, true)
    #expect(end.0 == ["end openOrders", "replied openOrders 0"] && end.1 == .answered(hasMore: false))
    let none = bench.decoder.cursor
    #expect(none == nil)
    // An empty page ends the list even with a cursor.
    _ = page(sample, false)
    let empty = page(last.replacing(#""nextPageCursor":"""#, with: #""nextPageCursor":"more""#), true)
    #expect(empty.0 == ["end openOrders", "replied openOrders 0"])
    // What is missing in an incomplete list proves nothing.
    let broken = page(sample.replacing(#""qty":"0.01""#, with: #""qty":"0.0101""#), false)
    #expect(broken.0 == ["begin openOrders", "edge offGrid"] && broken.1 == .unreadable)
    // Another list in between is another matter.
    let between = page(try Fixtures.text("rest-position-list-flat"), false, .positions)
    #expect(between.0.last == "replied portfolio 0")
    let after = page(last, true)
    #expect(after.0 == [] && after.1 == .unreadable)
    let anew = page(last, false)
    #expect(anew.0 == ["begin openOrders", "end openOrders", "replied openOrders 0"])
    // What became of one order is no list of all of them.
    let single = page(sample, false, .order)
    #expect(single.0.count == 1 && single.0[0].hasPrefix("order 39bbc94a") && single.1 == .answered(hasMore: false))
    let unknown = page(last, false, .order)
    #expect(unknown.0 == [] && unknown.1 == .answered(hasMore: false))
    // Executions come page by page.
    let executions = try Fixtures.text("rest-execution-list")
    let one = page(executions, false, .executions)
    let two = page(
      executions.replacing(#"1791270740000%3A71631912%2C1791270740000%3A71631912"#, with: ""), true, .executions)
    #expect(one.0.last == "replied tradeHistory 1" && two.0.last == "replied tradeHistory 0")
    let bad = page(executions.replacing(#""execType":"Trade""#, with: #""execType":"Gift""#), false, .executions)
    #expect(bad.0 == ["begin tradeHistory", "edge unknownWord"] && bad.1 == .unreadable)
    // A list of another category is about other contracts.
    let other = page(sample.replacing(#""category":"linear""#, with: #""category":"spot""#), false)
    #expect(other.0 == ["edge unknownName"] && other.1 == .unreadable)
  }

  @Test func `R64 instruments are listed as they are traded, and refused if they are another kind`() throws {
    var bench = try Bench(isListed: false)
    let sample = try Fixtures.text("rest-instruments-info-linear")
    func decode(_ old: String, _ new: String) -> [String] {
      bench.decode(sample.replacing(old, with: new), .rest(.instruments))
    }
    let closed = decode(
      #""symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Trading""#,
      #""symbol":"BTCUSDT","contractType":"LinearPerpetual","status":"Closed""#)
    #expect(closed[1].hasPrefix("removed 0 ") && closed.last == "replied instruments 0")
    let isListed = bench.decoder.isListed(Bench.btc), isOther = bench.decoder.isListed(Bench.eth)
    #expect(!isListed && isOther)
    let dated = decode(
      #""symbol":"BTCUSDT","contractType":"LinearPerpetual""#, #""symbol":"BTCUSDT","contractType":"LinearFutures""#)
    #expect(dated[1] == "edge unknownName" && !dated.contains("end instruments"))
    for (old, new, expected) in [
      (#""tickSize":"0.10""#, #""tickSize":"0""#, "edge impossible"),
      (#""tickSize":"0.10""#, #""tickSize":"0.000000001""#, "edge impossible"),
      (#""tickSize":"0.10""#, #""tickSize":"""#, "edge missingMember"),
      (#""minOrderQty":"0.001","qtyStep":"0.001""#, #""minOrderQty":"0.0015","qtyStep":"0.001""#, "edge impossible"),
      (#""minOrderQty":"0.001","qtyStep":"0.001""#, #""minOrderQty":"0.001","qtyStep":"-1""#, "edge impossible"),
      (#""settleCoin":"USDT""#, #""settleCoin":"USDC""#, "edge unknownName"),
    ] {
      let found = decode(old, new)
      #expect(found[1] == expected && !found.contains("end instruments"), "\(new)")
    }
    // An instrument that is no longer in the list is not listed any more.
    _ = decode("", "")
    let all = bench.decoder.isListed(Bench.xrp)
    _ = bench.decode(
      #"{"retCode":0,"result":{"category":"linear","list":[],"nextPageCursor":""}}"#, .rest(.instruments))
    let none = bench.decoder.isListed(Bench.xrp)
    let info = bench.decoder.info(of: Bench.xrp), unknown = bench.decoder.info(of: 3),
      outside = bench.decoder.info(of: 99)
    #expect(all && !none && info?.grid.tickE8 == 10_000 && unknown == nil && outside == nil)
  }

  @Test func `fees, protection and balances are refused if they cannot be read`() throws {
    var bench = try Bench()
    func rest(_ result: String, _ question: BybitQuestion) -> [String] {
      bench.decode(#"{"retCode":0,"retMsg":"","result":\#(result),"time":1}"#, .rest(question))
    }
    #expect(
      rest(
        #"{"list":[{"symbol":"ETHUSDT","takerFeeRate":"0.0004","makerFeeRate":"-0.00005"},{"symbol":"X","takerFeeRate":"","makerFeeRate":""}]}"#,
        .feeRate)
        == ["fees 1 maker -50000000 taker 400000000"])
    #expect(
      rest(#"{"list":[{"symbol":"ETHUSDT","takerFeeRate":"","makerFeeRate":"0"}]}"#, .feeRate) == ["edge missingMember"]
    )
    #expect(
      rest(#"{"dcpInfos":[{"product":"DERIVATIVES","dcpStatus":"ON","timeWindow":"40"},{"product":"SPOT"}]}"#, .deadMan)
        == [])
    let seconds = bench.decoder.deadManSeconds
    #expect(seconds == 40)
    #expect(rest(#"{"dcpInfos":[{"product":"DERIVATIVES","dcpStatus":"OFF","timeWindow":"40"}]}"#, .deadMan) == [])
    let off = bench.decoder.deadManSeconds
    #expect(off == 0)
    #expect(
      rest(#"{"dcpInfos":[{"product":"DERIVATIVES","dcpStatus":"ON","timeWindow":""}]}"#, .deadMan) == [
        "edge missingMember"
      ])
    #expect(rest("{}", .setDeadMan) == ["replied cancelOnDisconnect 0"])
    #expect(rest("{}", .setPriceLimitAction) == [])
    #expect(rest(#"{"timeNano":"x"}"#, .time) == ["edge missingMember"])
    #expect(
      rest(#"{"list":[{"totalMarginBalance":"","totalAvailableBalance":""}]}"#, .wallet) == ["edge missingMember"])
    #expect(rest("7", .wallet) == ["edge missingMember"])
    for question in BybitQuestion.allCases {
      let refused = bench.decode(#"{"retCode":10016,"retMsg":"","result":{}}"#, .rest(question))
      #expect(refused == (question.request.map { ["refused \($0) 10016"] } ?? []), "\(question)")
    }
  }
}

@Suite struct BybitVenueTests {
  @Test func `R04 what a refusal proves`() {
    let gone: [Int64] = [110_001, 110_008, 110_010]
    for code in gone {
      #expect(BybitVenue.proof(of: .amend(1), code: code) == .orderGone)
      #expect(BybitVenue.proof(of: .cancel(1), code: code) == .orderGone)
      #expect(BybitVenue.proof(of: .insert(1), code: code) == .nothing)
    }
    let without: [Int64] = [
      10_001, 10_002, 10_003, 10_004, 10_005, 10_006, 10_007, 10_009, 10_010, 10_017, 10_024, 10_027, 10_028, 10_029,
      10_403, 10_404, 10_429, 20_001, 20_003, 30_208, 30_209, 33_004, -2_015, 34_040, 110_003, 110_004, 110_006,
      110_007,
      110_009, 110_012, 110_017, 110_020, 110_021, 110_022, 110_023, 110_040, 110_042, 110_044, 110_045, 110_051,
      110_053, 110_063, 110_066, 110_074, 110_094, 110_119, 110_120, 110_121, 110_123,
    ]
    for code in without { #expect(BybitVenue.proof(of: .insert(1), code: code) == .noEffect, "\(code)") }
    // A second use of an order's id: the first has arrived. Timeouts, restarts, an order in between: nobody knows.
    let nothing: [Int64] = [
      110_072, 10_000, 10_014, 10_016, 10_019, 20_006, 40_004, 110_079, 0, -1, 1, 10_008, 110_002, 999_999, .max, .min,
    ]
    for code in nothing {
      for kind in [RequestKind.insert(1), .amend(1), .cancel(1)] {
        #expect(BybitVenue.proof(of: kind, code: code) == .nothing, "\(code)")
      }
    }
    #expect(BybitVenue.proof(of: .amend(1), code: 110_064) == .noEffect)
    #expect(BybitVenue.proof(of: .insert(1), code: 110_064) == .nothing)
  }

  @Test func `amends and cancels whose order was executed meanwhile are told from faults`() {
    for code in [110_001, 110_008, 110_010] as [Int64] {
      #expect(BybitVenue.isOvertaken(.amend(1), code: code) && BybitVenue.isOvertaken(.cancel(1), code: code))
      #expect(!BybitVenue.isOvertaken(.insert(1), code: code))
    }
    #expect(BybitVenue.isOvertaken(.amend(1), code: 110_064) && !BybitVenue.isOvertaken(.cancel(1), code: 110_064))
    for code in [110_007, 10_001, 110_072] as [Int64] { #expect(!BybitVenue.isOvertaken(.amend(1), code: code)) }
  }

  @Test func `R40 which codes say that too much was asked for`() {
    for code in [10_006, 10_403, 20_003, 10_429] as [Int64] { #expect(BybitVenue.isThrottle(code: code)) }
    for code in [0, 10_001, 10_016, 110_001] as [Int64] { #expect(!BybitVenue.isThrottle(code: code)) }
    #expect(BybitVenue.isFatal(code: 10_004) && !BybitVenue.isFatal(code: 10_006))
    #expect(BybitVenue.isRestart(code: 10_019) && BybitVenue.isClockFault(code: 10_002))
    #expect(BybitVenue.isUnchanged(code: BybitTextCode.alreadySubscribed) && !BybitVenue.isUnchanged(code: 10_001))
    #expect(BybitVenue.provesEnd == [.filled, .cancelled, .cancelledPartiallyFilled])
    let rules = BybitVenue.queueRules
    #expect(rules.keepsReduced && !rules.keepsEnlarged)
  }
}
