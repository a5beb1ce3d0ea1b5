import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Framing, logins, heartbeats, cancel on disconnect, credits (reference 2 to 5, 16).
@Suite struct DeribitSessionTests {
  @Test func `an answer echoes the id with its type and carries the times`() throws {
    let h = try DeribitHarness()
    let id = h.connect()
    for (sent, shown) in [("0", "0"), ("\"a-1\"", "\"a-1\""), ("9007199254740993", "9007199254740993")] {
      let text = h.send(id, #"{"jsonrpc":"2.0","id":\#(sent),"method":"public/test","params":{}}"#)[0].text
      #expect(text.hasPrefix(#"{"jsonrpc":"2.0","id":\#(shown),"result":{"version":"1.2.26"},"usIn":"#))
      #expect(text.hasSuffix(#","usDiff":0,"testnet":true}"#))
    }
    let anonymous = h.send(id, #"{"method":"public/get_time"}"#)[0]
    #expect(anonymous.json["id"] == nil && anonymous.result as? Int64 == h.milliseconds)
  }

  @Test func `nonsense is told apart: no JSON, no method, an unknown method, too long a message`() throws {
    let h = try DeribitHarness()
    let id = h.connect()
    let wrong = h.send(id, "{nonsense")[0]
    #expect(wrong.code == 11050 && wrong.error["data"] as? String == "invalid json" && wrong.json["id"] == nil)
    #expect(h.send(id, #"{"id":1,"params":{}}"#)[0].code == 11050)
    #expect(h.ask(id, "public/nothing").code == -32601)
    #expect(h.ask(id, "private/nothing").code == -32601)
    let long = #"{"id":1,"method":"public/test","params":{"x":""# + String(repeating: "y", count: 33_000) + "\"}}"
    #expect(h.send(id, long)[0].code == -32600)
    #expect(h.ask(id, "public/test").code == nil)
  }

  @Test func `the three grants log in, and wrong ones do not`() throws {
    let h = try DeribitHarness()
    let id = h.connect()
    #expect(h.ask(id, "private/get_positions").code == 13009)
    func auth(_ params: String) -> DeribitMessage { h.ask(id, "public/auth", params) }
    let wrong = auth(#"{"grant_type":"client_credentials","client_id":"desk","client_secret":"no"}"#)
    #expect(wrong.code == 13004 && wrong.error.text("message") == "invalid_credentials")
    #expect(auth(#"{"grant_type":"client_credentials","client_id":"nobody","client_secret":"x"}"#).code == 13004)
    #expect(auth(#"{"grant_type":"password"}"#).code == -32602)

    // The signed text ends with a line feed when there are no data: the reference's second vector.
    let time = h.milliseconds
    let signature = deribitSignature("\(time)\na1b2c3d4e5\n")
    #expect(time == 1_790_867_074_000)
    #expect(signature == "c361c83fcc86c0d762d876babec485d512e524f087794e4aa55e0205afe356c4")
    func signed(_ signature: String, _ time: Int64) -> DeribitMessage {
      auth(
        #"{"grant_type":"client_signature","client_id":"desk","timestamp":\#(time),"nonce":"a1b2c3d4e5","data":"","signature":"\#(signature)"}"#
      )
    }
    #expect(signed(signature.replacingOccurrences(of: "c", with: "d"), time).code == 13004)
    let late = time - 60_001
    #expect(signed(deribitSignature("\(late)\na1b2c3d4e5\n"), late).code == 13004)
    let first = signed(signature, time).object
    #expect(first.text("token_type") == "bearer" && first["expires_in"] as? Int == 31_536_000)
    #expect(h.ask(id, "private/get_positions").code == nil)

    let second = auth(#"{"grant_type":"refresh_token","refresh_token":"\#(first.text("refresh_token"))"}"#)
    #expect(second.object["access_token"] != nil)
    #expect(auth(#"{"grant_type":"refresh_token","refresh_token":"\#(first.text("access_token"))"}"#).code == 13004)
  }

  @Test func `a token counts on its own connection, and everywhere with a session scope`() throws {
    let h = try DeribitHarness()
    let one = h.connect(1)
    let two = h.connect(2)
    func token(_ scope: String) -> String {
      h.ask(
        one, "public/auth",
        #"{"grant_type":"client_credentials","client_id":"desk","client_secret":"\#(DeribitHarness.secret)","scope":"\#(scope)"}"#
      ).object.text("access_token")
    }
    let tied = token("connection")
    #expect(h.ask(one, "private/get_positions", #"{"access_token":"\#(tied)"}"#).code == nil)
    #expect(h.ask(two, "private/get_positions", #"{"access_token":"\#(tied)"}"#).code == 13009)
    let free = token("session:mm")
    #expect(h.ask(two, "private/get_positions", #"{"access_token":"\#(free)"}"#).code == nil)
    h.venue.disconnected(one, now: h.now)
    #expect(h.ask(h.connect(3), "private/get_positions", #"{"access_token":"\#(free)"}"#).code == nil)
    #expect(h.ask(two, "private/get_positions", #"{"access_token":"nonsense"}"#).code == 13009)
  }

  @Test func `heartbeats ask for a test, and close with 4000 without one`() throws {
    let h = try DeribitHarness()
    let id = h.connect()
    #expect(h.ask(id, "public/set_heartbeat", #"{"interval":9}"#).code == -32602)
    #expect(h.ask(id, "public/set_heartbeat", #"{"interval":10}"#).result as? String == "ok")
    h.pass(10 * second)
    #expect(h.take(id).map(\.type) == ["heartbeat", "test_request"])
    h.ask(id, "public/test")
    h.pass(10 * second)
    #expect(h.take(id).compactMap(\.type).contains("test_request"))
    #expect(h.closes.isEmpty)
    h.pass(10 * second)
    h.collect()
    #expect(h.closes[id] == 4000 && h.venue.closeReason(4000) == "heartbeat close")
  }

  @Test func `a busy connection gets test requests, but no heartbeats`() throws {
    let h = try DeribitHarness()
    let id = h.connect()
    h.ask(id, "public/set_heartbeat", #"{"interval":10}"#)
    h.pass(9 * second)
    h.ask(id, "public/get_time")
    h.pass(1 * second)
    #expect(h.take(id).map(\.type) == ["test_request"])
    h.ask(id, "public/disable_heartbeat")
    h.pass(40 * second)
    #expect(h.closes.isEmpty)
  }

  @Test func `a silent connection without subscriptions is closed after a minute`() throws {
    let h = try DeribitHarness()
    let idle = h.connect(1)
    let listening = h.connect(2)
    let pinging = h.connect(3)
    h.ask(listening, "public/subscribe", #"{"channels":["quote.BTC-PERPETUAL"]}"#)
    for _ in 0..<10 {
      h.pass(7 * second)
      h.venue.pinged(pinging, now: h.now)
    }
    h.collect()
    #expect(h.closes.keys.sorted() == [idle])
  }

  @Test(arguments: [true, false])
  func `cancel on disconnect takes the orders of its connection, and no others`(isOn: Bool) throws {
    let h = try DeribitHarness()
    let one = h.trader(1)
    let two = h.trader(2)
    #expect(h.ask(one, "private/get_cancel_on_disconnect").object["enabled"] as? Bool == false)
    if isOn {
      #expect(h.ask(one, "private/enable_cancel_on_disconnect").result as? String == "ok")
      #expect(h.ask(one, "private/get_cancel_on_disconnect").object["enabled"] as? Bool == true)
    }
    h.ask(two, "private/subscribe", #"{"channels":["user.changes.BTC-PERPETUAL.raw"]}"#)
    h.order(one, "buy", "100", "59000", #""label":"one""#)
    h.order(two, "buy", "100", "58000", #""label":"two""#)
    _ = h.take(two)
    h.venue.disconnected(one, now: h.now)
    let told = h.take(two, "user.changes.BTC-PERPETUAL.raw")
    let open = h.ask(two, "private/get_open_orders").list.map { $0.text("label") }
    if isOn {
      #expect(open == ["two"])
      #expect(told.count == 1 && told[0].data.items("orders")[0].text("cancel_reason") == "cancel_on_disconnect")
    } else {
      #expect(open == ["one", "two"] && told.isEmpty)
    }
  }

  @Test func `a logout closes without an answer, and cancels nothing`() throws {
    let h = try DeribitHarness()
    let one = h.trader(1)
    let two = h.trader(2)
    h.ask(one, "private/enable_cancel_on_disconnect", #"{"scope":"account"}"#)
    h.order(one, "buy", "100", "59000")
    let number = h.begin(one, "private/logout", #"{"invalidate_token":true}"#)
    #expect(h.reply(one, number) == nil && h.closes[one] == 1000)
    #expect(h.ask(two, "private/get_open_orders").list.count == 1)
    // The other connection has it too: the scope is the account.
    h.order(two, "buy", "100", "58000")
    h.venue.disconnected(two, now: h.now)
    #expect(h.venue.books("desk")?.openOrders.map(\.priceTicks) == [118_000])
  }

  @Test func `too many requests get 10028 and the end of the connection`() throws {
    let h = try DeribitHarness {
      $0.matchingRate = 5
      $0.matchingBurst = 20
    }
    let id = h.trader()
    for _ in 0..<20 { #expect(h.ask(id, "private/cancel", #"{"order_id":"1"}"#).code == 10004) }
    #expect(h.ask(id, "private/cancel", #"{"order_id":"1"}"#).code == 10028)
    #expect(h.closes[id] == 4001)
    // What refills: five a second.
    h.pass(second)
    let again = h.trader(2)
    for _ in 0..<5 { #expect(h.ask(again, "private/cancel", #"{"order_id":"1"}"#).code == 10004) }
    #expect(h.ask(again, "private/cancel", #"{"order_id":"1"}"#).code == 10028)
    #expect(h.venue.statistics.rateViolations == 2 && h.venue.books("desk")?.rateViolations == 2)
  }

  @Test func `the limits in the summary are those that are enforced`() throws {
    let h = try DeribitHarness {
      $0.matchingRate = 7
      $0.matchingBurst = 31
    }
    let limits = h.ask(h.trader(), "private/get_account_summary", #"{"currency":"BTC"}"#).object["limits"]
    let engine = (limits as? [String: Any])?["matching_engine"] as? [String: Any]
    let total = (engine?["trading"] as? [String: Any])?["total"] as? [String: Any]
    #expect(total?["rate"] as? Int == 7 && total?["burst"] as? Int == 31)
  }

  @Test func `faults on demand: lost replies, a full queue, settlement, maintenance, refused logins`() throws {
    let h = try DeribitHarness()
    let id = h.trader()
    h.ask(id, "public/subscribe", #"{"channels":["platform_state"]}"#)
    h.venue.loseReplies(count: 1, now: h.now)
    let lost = h.begin(id, "private/buy", #"{"instrument_name":"BTC-PERPETUAL","amount":10,"price":59000}"#)
    #expect(h.reply(id, lost) == nil)
    #expect(h.ask(id, "private/get_open_orders").list.count == 1)
    h.venue.fillQueue(count: 1, now: h.now)
    #expect(h.order(id, "buy", "10", "59000").code == 10047)
    h.venue.pauseForSettlement(2 * second, now: h.now)
    #expect(h.order(id, "buy", "10", "59000").code == 10041)
    #expect(h.ask(id, "private/get_open_orders").list.count == 1)
    h.pass(2 * second)
    #expect(h.order(id, "buy", "10", "59000").code == nil)
    _ = h.take(id)
    h.venue.setMaintenance(true, now: h.now)
    #expect(h.take(id, "platform_state")[0].data["maintenance"] as? Bool == true)
    #expect(h.order(id, "buy", "10", "59000").code == 11051)
    h.venue.setMaintenance(false, now: h.now)
    h.venue.drainCredits("desk", now: h.now)
    #expect(h.order(id, "buy", "10", "59000").code == 10028)
    h.venue.refuseLogins(true, now: h.now)
    let refused = h.ask(
      h.connect(5), "public/auth",
      #"{"grant_type":"client_credentials","client_id":"desk","client_secret":"\#(DeribitHarness.secret)"}"#)
    #expect(refused.code == 13004)
  }
}
