import Apus
import ApusExchange
import Foundation
import Testing

/// Connections, logins, topics and pings (protocol reference 3 to 5).
@Suite struct BybitSessionTests {
  @Test func `each kind of connection has its own pong`() throws {
    let h = try BybitHarness()
    let market = h.connectPublic()
    let first = h.send(market, #"{"req_id":"hb-17","op":"ping"}"#)[0]
    #expect(
      first.json["success"] as? Bool == true && first.json["ret_msg"] as? String == "pong" && first.operation == "ping")
    #expect(first.json["req_id"] as? String == "hb-17")
    #expect(h.send(market, #"{"op":"ping"}"#)[0].json["req_id"] as? String == "")
    let account = h.connect("/v5/private")
    let second = h.send(account, #"{"req_id":7,"op":"ping"}"#)[0]
    #expect(second.operation == "pong" && second.json["req_id"] as? Int == 7)
    #expect(second.json["args"] as? [String] == ["\(h.milliseconds)"])
    let orders = h.connect("/v5/trade")
    let third = h.send(orders, #"{"reqId":"x","op":"ping"}"#)[0]
    #expect(third.operation == "pong" && third.code == 0 && third.json["reqId"] == nil)
    #expect(third.json["data"] as? [String] == ["\(h.milliseconds)"])
  }

  @Test func `a login is good with the right signature in time, and not otherwise`() throws {
    let h = try BybitHarness()
    for target in ["/v5/private", "/v5/trade"] {
      let isTrade = target == "/v5/trade"
      let wrong = h.connect(target)
      let refused = h.login(wrong, secret: "wrong")
      #expect(isTrade ? refused.code == 10004 : refused.json["success"] as? Bool == false)
      #expect(h.login(wrong, key: "nobody").code == 10003)
      let late = h.milliseconds - 1
      let signature = BybitHarness.signature("GET/realtime\(late)", BybitHarness.secret)
      let expired = h.send(wrong, #"{"op":"auth","args":["\#(BybitHarness.key)",\#(late),"\#(signature)"]}"#)[0]
      #expect(isTrade ? expired.code == 10001 : expired.json["ret_msg"] as? String == "Params Error")
      // The same connection may try again, and the time may be text.
      let soon = h.milliseconds + 10_000
      let good = BybitHarness.signature("GET/realtime\(soon)", BybitHarness.secret)
      let accepted = h.send(
        wrong, #"{"op":"auth","req_id":"a","reqId":"a","args":["\#(BybitHarness.key)","\#(soon)","\#(good)"]}"#)[0]
      #expect(isTrade ? accepted.code == 0 : accepted.json["success"] as? Bool == true)
      #expect(accepted.json[isTrade ? "reqId" : "req_id"] as? String == "a")
      let again = h.login(wrong)
      #expect(isTrade ? again.code == 20001 : again.json["success"] as? Bool == true)
    }
    #expect(h.venue.statistics.failedLogins == 6)
    // The vector of the reference.
    #expect(
      BybitHarness.signature("GET/realtime1791270748000", BybitHarness.secret)
        == "9f6f9a9707a3b49927f783afafec403b57c599483072e6fd7c5f1090aa22581c")
  }

  @Test func `nothing private is told, and no order is taken, before the login`() throws {
    let h = try BybitHarness()
    let stream = h.connect("/v5/private")
    #expect(h.send(stream, #"{"op":"subscribe","args":["order"]}"#)[0].json["success"] as? Bool == false)
    let orders = h.connect("/v5/trade")
    #expect(h.order(orders, "Buy", "0.010", "85900.0").code == 10007)
    #expect(h.venue.accountNames.isEmpty)
  }

  @Test func `one bad topic fails the whole request, and one that is there already is told so`() throws {
    let h = try BybitHarness()
    let id = h.connectPublic()
    func subscribe(_ topics: String) -> BybitMessage {
      h.send(id, #"{"req_id":1,"op":"subscribe","args":[\#(topics)]}"#)[0]
    }
    let refused = subscribe(#""publicTrade.BTCUSDT","orderbook.77.BTCUSDT""#)
    #expect(refused.json["ret_msg"] as? String == "error:handler not found,topic:orderbook.77.BTCUSDT")
    #expect(refused.json["req_id"] as? Int == 1 && refused.json["success"] as? Bool == false)
    for topic in ["orderbook.50.btcusdt", "tickers.NOPEUSDT", "order", "publicTrade", "orderbook.050.BTCUSDT"] {
      #expect(subscribe("\"\(topic)\"").json["success"] as? Bool == false, "\(topic)")
    }
    #expect(subscribe(#""publicTrade.BTCUSDT""#).json["success"] as? Bool == true)
    let again = subscribe(#""orderbook.50.BTCUSDT","publicTrade.BTCUSDT""#)
    #expect(again.json["ret_msg"] as? String == "error:already subscribed,topic:publicTrade.BTCUSDT")
    #expect(h.send(id, #"{"op":"unsubscribe","args":["publicTrade.BTCUSDT"]}"#)[0].json["success"] as? Bool == true)
    #expect(subscribe(#""publicTrade.BTCUSDT""#).json["success"] as? Bool == true)
    #expect(h.send(id, #"{"op":"what"}"#)[0].json["ret_msg"] as? String == "error:invalid op")
    #expect(h.send(id, "nonsense")[0].text.contains("Failed to decode incoming data:"))
  }

  @Test func `private topics come in one form or the other, and keep the name by which they were asked for`() throws {
    let h = try BybitHarness()
    let orders = h.trader()
    let id = h.stream(["order.linear", "execution.fast.linear", "wallet", "dcp.future"])
    let mixed = h.send(id, #"{"op":"subscribe","args":["position","execution.linear"]}"#)[0]
    #expect(mixed.json["success"] as? Bool == false)
    #expect(h.send(id, #"{"op":"subscribe","args":["orderbook.1.BTCUSDT"]}"#)[0].json["success"] as? Bool == false)
    h.order(orders, "Buy", "0.010", "85900.0")
    #expect(Set(h.take(id).compactMap(\.topic)) == ["order.linear", "wallet"])
    let all = h.stream(["order", "execution", "execution.fast", "position"])
    h.order(orders, "Buy", "0.010", "85931.0", link: nil, #","timeInForce":"IOC""#)
    #expect(h.take(all).compactMap(\.topic) == ["order", "execution", "execution.fast", "position"])
    #expect(h.take(id).compactMap(\.topic) == ["order.linear", "execution.fast.linear", "wallet"])
  }

  @Test func `a connection that says nothing is cut, a public one without a topic sooner`() throws {
    let h = try BybitHarness()
    let idle = h.connectPublic()
    let account = h.connect("/v5/private?max_active_time=1m")
    let patient = h.connect("/v5/private")
    h.pass(61 * second)
    h.collect()
    #expect(h.closes[idle] != nil && h.closes[account] != nil && h.closes[patient] == nil)
    h.pass(500 * second)
    h.send(patient, #"{"op":"ping"}"#)
    h.pass(500 * second)
    h.collect()
    #expect(h.closes[patient] == nil)
    h.pass(101 * second)
    h.collect()
    #expect(h.closes[patient] != nil)
  }

  @Test func `answers come as late as they are configured to, in their order`() throws {
    let h = try BybitHarness { $0.messageDelay = 5 * millisecond }
    let id = h.connectPublic()
    #expect(h.send(id, #"{"op":"subscribe","args":["orderbook.50.BTCUSDT"]}"#).isEmpty)
    h.pass(4 * millisecond)
    #expect(h.take(id).isEmpty)
    h.pass(1 * millisecond)
    let came = h.take(id)
    #expect(came.map(\.operation) == ["subscribe", nil] && came[1].topic == "orderbook.50.BTCUSDT")
  }
}
