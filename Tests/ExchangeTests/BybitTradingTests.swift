import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Create, amend, cancel and batches over the trade connection (protocol reference 9, 10, 16).
@Suite struct BybitTradingTests {
  @Test func `an order is acknowledged, told as new, amended and cancelled`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream())
    let placed = h.order(id, "Buy", "0.010", "85900.0", link: "mm1-000001")
    #expect(placed.code == 0 && placed.json["retMsg"] as? String == "OK" && placed.operation == "order.create")
    #expect(placed.orderID.count == 36 && placed.data.text("orderLinkId") == "mm1-000001")
    let first = h.take(stream)
    #expect(first.map(\.topic) == ["order", "position", "wallet"])
    let new = first[0].records[0]
    #expect(new.text("orderStatus") == "New" && new.text("leavesQty") == "0.01" && new.text("price") == "85900")
    #expect(new.text("timeInForce") == "PostOnly" && new.text("cancelType") == "UNKNOWN" && new.text("avgPrice") == "0")

    let amended = h.ask(
      id, "order.amend", #""symbol":"BTCUSDT","orderLinkId":"mm1-000001","price":"85899.5","qty":"0.020""#)
    #expect(amended.code == 0 && amended.orderID == placed.orderID)
    let changed = h.records(stream, "order")
    #expect(changed.map { $0.text("orderStatus") } == ["New"] && changed[0].text("price") == "85899.5")
    #expect(changed[0].text("qty") == "0.02")

    #expect(h.ask(id, "order.cancel", #""symbol":"BTCUSDT","orderId":"\#(placed.orderID)""#).code == 0)
    let ended = h.records(stream, "order")
    #expect(ended.map { $0.text("orderStatus") } == ["Cancelled"] && ended[0].text("cancelType") == "CancelByUser")
    #expect(ended[0].text("rejectReason") == "EC_PerCancelRequest" && ended[0].text("leavesQty") == "0")
    let late = h.ask(id, "order.cancel", #""symbol":"BTCUSDT","orderId":"\#(placed.orderID)""#)
    #expect(late.code == 110_001 && late.json["retMsg"] as? String == "order not exists or too late to cancel")
    let lateAmend = h.ask(id, "order.amend", #""symbol":"BTCUSDT","orderLinkId":"mm1-000001","price":"85899.0""#)
    #expect(
      lateAmend.code == 110_001 && lateAmend.json["retMsg"] as? String == "order not exists or too late to replace")
    #expect(h.take(stream).isEmpty)
  }

  @Test(
    arguments: [
      (
        #""symbol":"NOPEUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"85900""#, 10_001,
        "params error: symbol invalid NOPEUSDT"
      ),
      (#""symbol":"btcusdt","side":"Buy","orderType":"Limit","qty":"0.01","price":"85900""#, 10_001, "symbol invalid"),
      (#""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.0105","price":"85900""#, 10_001, "Qty invalid"),
      (#""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0","price":"85900""#, 10_001, "Qty invalid"),
      (#""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"1191","price":"85900""#, 10_001, "Qty invalid"),
      (
        #""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"85900.05""#, 10_001, "price invalid"
      ),
      (#""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01""#, 10_001, "price invalid"),
      (#""symbol":"BTCUSDT","side":"Long","orderType":"Limit","qty":"0.01","price":"85900""#, 10_001, "side"),
      (
        #""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"85900","positionIdx":1"#, 10_001,
        "position idx not match position mode"
      ),
      (
        #""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"85900","orderLinkId":"0123456789012345678901234567890123456""#,
        10_001, "order link id is longer than 36"
      ),
      (
        #""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"85900","triggerPrice":"85000""#,
        10_001, "not supported here"
      ),
      (
        #""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"85900","timeInForce":"RPI""#,
        110_119, "RPI"
      ),
      (
        #""symbol":"ETHUSDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"499""#, 110_094,
        "minimum order value"
      ),
      (
        #""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"1000","price":"85900""#, 110_007,
        "CheckMarginRatio fail! InsufficientAB"
      ),
      (
        #""symbol":"BTCUSDT","side":"Sell","orderType":"Limit","qty":"0.01","price":"85940","reduceOnly":true"#,
        110_017, "reduce-only"
      ),
    ] as [(String, Int, String)])
  func `what cannot be an order is refused with the venue's code and text`(order: String, code: Int, text: String)
    throws
  {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream())
    let answer = h.ask(id, "order.create", order)
    #expect(answer.code == code && (answer.json["retMsg"] as? String ?? "").contains(text), "\(answer.text)")
    #expect(answer.data.isEmpty && h.take(stream).isEmpty)
    #expect(h.venue.books("desk")?.openOrders.isEmpty == true)
  }

  @Test func `ids of requests and of orders are used once`() throws {
    let h = try BybitHarness()
    let id = h.trader()
    let order = #""symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.010","price":"85900""#
    #expect(h.ask(id, "order.create", order + #","orderLinkId":"a""#, requestID: "x").code == 0)
    #expect(h.ask(id, "order.create", order, requestID: "x").code == 20_006)
    #expect(h.ask(id, "order.create", order + #","orderLinkId":"a""#).code == 110_072)
    #expect(h.ask(id, "order.cancel", #""symbol":"BTCUSDT","orderLinkId":"a""#).code == 0)
    let again = h.ask(id, "order.create", order + #","orderLinkId":"a""#)
    #expect(again.code == 110_072 && again.json["retMsg"] as? String == "OrderLinkedID is duplicate")
    // On another connection the number of a request is new.
    #expect(h.ask(h.trader(), "order.create", order, requestID: "x").code == 0)
  }

  @Test func `requests must be in time, and of a kind that there is`() throws {
    let h = try BybitHarness()
    let id = h.trader()
    func ask(_ stamp: String, _ operation: String = "order.cancel", category: String = "linear") -> Int? {
      h.send(
        id,
        #"{"header":{"X-BAPI-TIMESTAMP":\#(stamp)},"op":"\#(operation)","args":[{"category":"\#(category)","symbol":"BTCUSDT","orderId":"x"}]}"#
      ).first?.code
    }
    #expect(ask("\(h.milliseconds - 5001)") == 10_002 && ask("\(h.milliseconds + 1000)") == 10_002)
    #expect(ask("\"\(h.milliseconds - 5000)\"") == 110_001 && ask("\(h.milliseconds + 999)") == 110_001)
    #expect(ask("\(h.milliseconds)", "order.cancel-all") == 10_404)
    #expect(ask("\(h.milliseconds)", category: "spot") == 10_404)
    #expect(h.send(id, #"{"op":"order.create","args":[{"category":"linear"}]}"#).first?.code == 10_001)
  }

  @Test func `a post-only order that would take is acknowledged, and cancelled without ever being new`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order", "execution"]))
    #expect(h.order(id, "Buy", "0.010", "85931.0").code == 0)
    let told = h.take(stream)
    #expect(told.map(\.topic) == ["order"])
    let record = told[0].records[0]
    #expect(record.text("orderStatus") == "Cancelled" && record.text("rejectReason") == "EC_PostOnlyWillTakeLiquidity")
    #expect(record.text("cancelType") == "UNKNOWN" && record.text("cumExecQty") == "0")
  }

  @Test(arguments: BybitConfiguration.CrossingAmend.allCases)
  func `a post-only order whose amend would take goes, or stays as it was`(rule: BybitConfiguration.CrossingAmend)
    throws
  {
    let h = try BybitHarness { $0.crossingAmend = rule }
    let (id, stream) = (h.trader(), h.stream(["order"]))
    let number = h.order(id, "Buy", "0.010", "85900.0").orderID
    _ = h.take(stream)
    #expect(h.ask(id, "order.amend", #""symbol":"BTCUSDT","orderId":"\#(number)","price":"85931.0""#).code == 0)
    let record = try #require(h.records(stream, "order").first)
    #expect(record.text("orderStatus") == (rule == .cancelled ? "Cancelled" : "New"))
    #expect(record.text("rejectReason") == "EC_PostOnlyWillTakeLiquidity" && record.text("price") == "85900")
    #expect(h.venue.books("desk")?.openOrders.count == (rule == .cancelled ? 0 : 1))
  }

  @Test func `an order that takes is told with its executions, and fees by the venue's rate`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream())
    #expect(h.order(id, "Buy", "1.500", "85931.5", link: "t", #","timeInForce":"IOC""#).code == 0)
    let told = h.take(stream)
    #expect(told.map(\.topic) == ["order", "execution", "position", "wallet"])
    let order = told[0].records[0]
    #expect(told[0].records.count == 1 && order.text("orderStatus") == "Filled" && order.text("cumExecQty") == "1.5")
    let fills = told[1].records
    #expect(fills.map { $0.text("execPrice") } == ["85931", "85931.5"])
    #expect(fills.map { $0.text("execQty") } == ["1", "0.5"] && fills.map { $0.text("leavesQty") } == ["0.5", "0"])
    #expect(Set(fills.map { $0["seq"] as? Int }).count == 1 && Set(fills.map { $0.text("execId") }).count == 2)
    #expect(fills.allSatisfy { $0["isMaker"] as? Bool == false && $0.text("execType") == "Trade" })
    #expect(fills[0].text("execFee") == "47.26205" && fills[0].text("feeRate") == "0.00055")
    let position = told[2].records[0]
    #expect(
      position.text("side") == "Buy" && position.text("size") == "1.5" && position.text("positionValue") == "128896.75")
    #expect(position["seq"] as? Int == fills[0]["seq"] as? Int)
  }

  @Test func `the rest of an immediate order is cancelled, and fill-or-kill is all or nothing`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order"]))
    h.order(id, "Buy", "1.500", "85931.0", #","timeInForce":"IOC""#)
    let part = try #require(h.records(stream, "order").last)
    #expect(part.text("orderStatus") == "Cancelled" && part.text("cumExecQty") == "1")
    #expect(part.text("rejectReason") == "EC_NoImmediateQtyToFill")
    h.order(id, "Buy", "2.500", "85931.5", #","timeInForce":"FOK""#)
    let killed = try #require(h.records(stream, "order").last)
    #expect(killed.text("orderStatus") == "Cancelled" && killed.text("cumExecQty") == "0")
    #expect(killed.text("rejectReason") == "EC_NoEnoughQtyToFill")
    h.order(id, "Buy", "2.000", "85931.5", #","timeInForce":"FOK""#)
    #expect(h.records(stream, "order").last?.text("orderStatus") == "Filled")
  }

  @Test func `a market order is an immediate one at the band`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order"]))
    #expect(
      h.ask(id, "order.create", #""symbol":"BTCUSDT","side":"Sell","orderType":"Market","qty":"0.500""#).code == 0)
    let record = h.records(stream, "order")[0]
    #expect(record.text("orderStatus") == "Filled" && record.text("orderType") == "Market")
    #expect(
      record.text("timeInForce") == "IOC" && record.text("price") == "85070.7" && record.text("avgPrice") == "85930")
  }

  @Test func `a price outside the band is moved to it, or refused where the account wants that`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order"]))
    h.order(id, "Sell", "0.010", "80000.0", #","timeInForce":"GTC""#)
    #expect(h.records(stream, "order")[0].text("price") == "85070.7")
    #expect(h.post("/v5/account/set-limit-px-action", #"{"category":"linear","modifyEnable":false}"#).code == 0)
    #expect(h.order(id, "Sell", "0.010", "85070.6", #","timeInForce":"GTC""#).code == 110_003)
    // Only what is too good for the others is out of the band.
    #expect(h.order(id, "Sell", "0.010", "90000.0").code == 0)
  }

  @Test func `maker fills come as the market trades, one record each`() throws {
    let h = try BybitHarness(flow: [
      (0, BybitHarness.calm), (second, [.trade(0, aggressor: .sell, 859_000, 4)]),
      (2 * second, [.trade(0, aggressor: .sell, 859_000, 100)]),
    ])
    let (id, stream) = (h.trader(), h.stream(["order", "execution", "execution.fast"]))
    let number = h.order(id, "Buy", "0.010", "85930.5", link: "m").orderID
    _ = h.take(stream)
    h.pass(second)
    let part = h.take(stream)
    #expect(part.map(\.topic) == ["order", "execution", "execution.fast"])
    #expect(
      part[0].records[0].text("orderStatus") == "PartiallyFilled" && part[0].records[0].text("leavesQty") == "0.006")
    let fill = part[1].records[0]
    #expect(fill["isMaker"] as? Bool == true && fill.text("execQty") == "0.004" && fill.text("leavesQty") == "0.006")
    #expect(fill.text("execFee") == "0.0687444")
    let fast = part[2].records[0]
    #expect(part[2].json["id"] == nil && fast.text("execId") == fill.text("execId"))
    #expect(fast.text("orderLinkId") == "" && fast.text("orderId") == number)
    h.pass(second)
    let rest = h.take(stream)
    #expect(rest[0].records[0].text("orderStatus") == "Filled" && rest[1].records[0].text("leavesQty") == "0")
  }

  @Test(arguments: [
    ("", true), (#""qty":"0.006""#, true), (#""qty":"0.012""#, false), (#""price":"85930.6""#, false),
  ])
  func `an amend keeps its place for a smaller size, and loses it for a larger one or another price`(
    change: String, keeps: Bool
  ) throws {
    let h = try BybitHarness(flow: [(0, BybitHarness.calm), (second, [.trade(0, aggressor: .buy, 859_309, 5)])])
    let (maker, rival) = (h.trader(), h.trader(key: "other"))
    let stream = h.stream(["execution"])
    let number = h.order(maker, "Sell", "0.010", "85930.5").orderID
    h.order(rival, "Sell", "0.010", "85930.5")
    if !change.isEmpty {
      #expect(h.ask(maker, "order.amend", #""symbol":"BTCUSDT","orderId":"\#(number)",\#(change)"#).code == 0)
    }
    h.pass(second)
    #expect(h.records(stream, "execution").count == (keeps ? 1 : 0))
  }

  @Test func `the size of an amend counts what has been filled, and an amend must change something`() throws {
    let h = try BybitHarness(flow: [(0, BybitHarness.calm), (second, [.trade(0, aggressor: .sell, 859_000, 4)])])
    let (id, stream) = (h.trader(), h.stream(["order"]))
    let number = h.order(id, "Buy", "0.010", "85930.5").orderID
    func amend(_ more: String) -> BybitMessage {
      h.ask(id, "order.amend", #""symbol":"BTCUSDT","orderId":"\#(number)",\#(more)"#)
    }
    let same = amend(#""qty":"0.01","price":"85930.5""#)
    #expect(same.code == 10_001 && (same.json["retMsg"] as? String ?? "").contains("remains unchanged"))
    h.pass(second)
    #expect(amend(#""qty":"0.004""#).code == 110_064)
    _ = h.take(stream)
    #expect(amend(#""qty":"0.005""#).code == 0)
    let record = h.records(stream, "order")[0]
    #expect(record.text("orderStatus") == "PartiallyFilled" && record.text("leavesQty") == "0.001")
  }

  @Test func `a batch answers for each of its orders, in their order`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order"]))
    func item(_ quantity: String, _ price: String, _ link: String) -> String {
      #"{"symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"\#(quantity)","price":"\#(price)","timeInForce":"PostOnly","orderLinkId":"\#(link)"}"#
    }
    let placed = h.ask(
      id, "order.create-batch",
      "\"request\":[\(item("0.010", "85900.0", "a")),\(item("0.0105", "85901.0", "b")),\(item("0.010", "85902.0", "c"))]"
    )
    #expect(placed.code == 0 && placed.codes == [0, 10_001, 0])
    let list = placed.data.items("list")
    #expect(list.map { $0.text("orderLinkId") } == ["a", "b", "c"] && list[1].text("orderId") == "")
    #expect(list[0].text("createAt").count == 13 && list[1].text("createAt") == "")
    #expect(h.records(stream, "order").map { $0.text("orderLinkId") } == ["a", "c"])
    let amended = h.ask(
      id, "order.amend-batch",
      #""request":[{"symbol":"BTCUSDT","orderLinkId":"a","price":"85899.0"},{"symbol":"BTCUSDT","orderLinkId":"b","price":"85899.0"}]"#
    )
    #expect(amended.codes == [0, 110_001])
    let cancelled = h.ask(
      id, "order.cancel-batch",
      #""request":[{"symbol":"BTCUSDT","orderId":"\#(list[0].text("orderId"))"},{"symbol":"BTCUSDT","orderLinkId":"c"}]"#
    )
    #expect(cancelled.codes == [0, 0] && h.venue.books("desk")?.openOrders.isEmpty == true)
    let many = (0..<21).map { item("0.010", "85900.0", "x\($0)") }.joined(separator: ",")
    #expect(h.ask(id, "order.create-batch", "\"request\":[\(many)]").code == 10_001)
    #expect(h.ask(id, "order.create-batch", "\"request\":[]").code == 10_001)
  }

  @Test(arguments: BybitConfiguration.SelfMatch.allCases)
  func `an order that meets its own account's is kept apart as it says`(rule: BybitConfiguration.SelfMatch) throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order", "execution"]))
    let resting = h.order(id, "Sell", "0.010", "85930.5").orderID
    _ = h.take(stream)
    let taking = h.order(
      id, "Buy", "0.010", "85930.5", #","timeInForce":"GTC","smpType":"\#(rule.rawValue)""#
    ).orderID
    let told = h.take(stream)
    let states = told.filter { $0.topic == "order" }.flatMap(\.records)
      .reduce(into: [String: [String: Any]]()) { $0[$1.text("orderId")] = $1 }
    func state(_ number: String) -> String { states[number]?.text("orderStatus") ?? "untold" }
    switch rule {
    case .none:
      #expect(state(resting) == "Filled" && state(taking) == "Filled")
      #expect(told.filter { $0.topic == "execution" }.flatMap(\.records).count == 2)
      #expect(h.venue.books("desk")?.positions[0].lots == 0)
    case .maker:
      #expect(state(resting) == "Cancelled" && state(taking) == "New")
      #expect(states[resting]?.text("cancelType") == "CancelBySmp" && states[resting]?.text("smpOrderId") == taking)
    case .taker:
      #expect(state(resting) == "untold" && state(taking) == "Cancelled")
      #expect(states[taking]?.text("smpOrderId") == resting && states[taking]?.text("cancelType") == "CancelBySmp")
    case .both:
      #expect(state(resting) == "Cancelled" && state(taking) == "Cancelled")
      #expect(states[resting]?.text("smpOrderId") == taking && states[taking]?.text("smpOrderId") == resting)
    }
    if rule != .none { #expect(!told.contains { $0.topic == "execution" }) }
  }

  @Test func `reduce-only orders are cut to the position, and go with it`() throws {
    let h = try BybitHarness()
    let (id, stream) = (h.trader(), h.stream(["order"]))
    h.order(id, "Buy", "0.100", "85931.0", #","timeInForce":"IOC""#)
    _ = h.take(stream)
    h.order(id, "Sell", "0.500", "85950.0", #","reduceOnly":true"#)
    let exit = h.records(stream, "order")[0]
    #expect(exit.text("qty") == "0.1" && exit["reduceOnly"] as? Bool == true)
    // A market order of no size closes the position.
    let close =
      #""symbol":"BTCUSDT","side":"Sell","orderType":"Market","qty":"0","reduceOnly":true,"closeOnTrigger":true"#
    #expect(h.ask(id, "order.create", close).code == 0)
    let told = h.records(stream, "order")
    #expect(told.map { $0.text("orderStatus") }.sorted() == ["Cancelled", "Filled"])
    let gone = told.first { $0.text("orderStatus") == "Cancelled" }
    #expect(gone?.text("cancelType") == "CancelByReduceOnly")
    #expect(h.venue.books("desk")?.positions[0].lots == 0 && h.venue.books("desk")?.openOrders.isEmpty == true)
    #expect(h.ask(id, "order.create", close).code == 110_017)
  }

  @Test func `there is an end to open orders`() throws {
    let h = try BybitHarness { $0.maximumOpenOrders = 3 }
    let id = h.trader()
    #expect((0..<4).map { h.order(id, "Buy", "0.010", "8590\($0).0").code } == [0, 0, 0, 110_020])
  }

  @Test func `each kind of request has an allowance of its own in any second, and a batch costs its orders`() throws {
    let h = try BybitHarness { $0.orderRate = 3 }
    let id = h.trader()
    func header(_ message: BybitMessage, _ name: String) -> String {
      (message.json["header"] as? [String: Any] ?? [:]).text(name)
    }
    let answers = (0..<4).map { h.order(id, "Buy", "0.010", "8590\($0).0", link: "l\($0)") }
    #expect(answers.map(\.code) == [0, 0, 0, 10_006])
    #expect(answers.map { header($0, "X-Bapi-Limit-Status") } == ["2", "1", "0", "0"])
    #expect(header(answers[3], "X-Bapi-Limit") == "3")
    #expect(header(answers[3], "X-Bapi-Limit-Reset-Timestamp") == "\(h.milliseconds + 1000)")
    #expect(h.ask(id, "order.cancel", #""symbol":"BTCUSDT","orderLinkId":"l0""#).code == 0)
    let items = (0..<4).map {
      #"{"symbol":"BTCUSDT","side":"Sell","orderType":"Limit","qty":"0.010","price":"8594\#($0).0"}"#
    }
    #expect(
      h.ask(id, "order.create-batch", "\"request\":[\(items.joined(separator: ","))]").codes == [0, 0, 0, 10_006])
    // REST counts in the same place.
    let body =
      #"{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.010","price":"85900"}"#
    #expect(h.post("/v5/order/create", body).code == 10_006)
    h.pass(second)
    #expect(h.post("/v5/order/create", body).code == 0)
    #expect(h.venue.statistics.rateViolations == 3)
  }
}
