import Apus
import ApusExchange
import CSupport
import Testing

/// Framing, login, cancel-on-disconnect, rate limits, bulk cancels (reference 2, 3, section 11).
@Suite struct VenueSessionTests {
  @Test(arguments: ["17", "0", "null", "\"abc\"", "1.50", "{\"a\":[1,\"x\"]}", "-3"])
  func `an id is echoed as it was written`(id: String) throws {
    let h = try Harness()
    let c = h.connect()
    let reply = h.send(c, "{\"method\":\"public/system_info\",\"id\":\(id),\"params\":{}}")
    #expect(reply.count == 1)
    #expect(reply[0].text.hasPrefix("{\"id\":\(id),\"result\":"))
    let error = h.send(c, "{ \"id\" : \(id) , \"params\" : {}, \"method\" : \"private/portfolio\" }")
    #expect(error[0].text == "{\"id\":\(id),\"error\":{\"code\":7,\"message\":\"not logged in\"}}")
  }

  @Test func `a request without an id is answered with null`() throws {
    let h = try Harness()
    let c = h.connect()
    #expect(
      h.send(c, #"{"method":"nope","params":{}}"#)[0].text
        == #"{"id":null,"error":{"code":31,"message":"unknown method"}}"#)
  }

  @Test(arguments: [
    "", "{", "[]", "17", "null", "{\"id\":1,}", "{\"id\":01}", "{\"id\":1}x", "{\"a\":\"\u{1}\"}", "{\"a\":\"\\x\"}",
    "{'id':1}", "{\"id\":+1}", "{\"id\":1.}", "{\"id\":.5}", "{\"id\":1e}", "{\"a\" 1}", "{\"a\":tru}",
    String(repeating: "[", count: 5000),
  ])
  func `what is not a JSON object gets error 6 with a null id and keeps the connection`(text: String) throws {
    let h = try Harness()
    let c = h.connect()
    #expect(h.send(c, text).map(\.text) == [#"{"id":null,"error":{"code":6,"message":"invalid request"}}"#])
    #expect(h.ask(c, "public/system_info").errorCode == nil)
  }

  @Test func `invalid UTF-8 is malformed`() throws {
    let h = try Harness()
    let c = h.connect()
    let bytes: [UInt8] = Array("{\"id\":\"".utf8) + [0xFF] + Array("\"}".utf8)
    bytes.withUnsafeBytes { h.venue.receive(c, text: $0, now: 0) }
    #expect(h.take(c).map(\.errorCode) == [6])
  }

  @Test func `escapes in names and methods are understood`() throws {
    let h = try Harness()
    let c = h.connect()
    #expect(h.send(c, #"{"m\u0065thod":"public\/system\u005finfo","id":1,"params":{}}"#)[0].errorCode == nil)
  }

  // MARK: login

  @Test func `a token must be well formed, timely, new for its key and rightly signed`() throws {
    struct Verifier: TokenVerifier {
      func verify(keyID: String, algorithm: String, signingInput: [UInt8], signature: [UInt8]) -> Bool {
        keyID != "Kbad" && algorithm == "RS512" && signingInput.contains(UInt8(ascii: "."))
          && signature == Array("sig".utf8)
      }
    }
    let h = try Harness(verifier: Verifier()) { $0.closesOnFailedLogin = false }
    let c = h.connect()
    func login(_ token: String) -> Int? { h.ask(c, "public/login", "{\"token\":\"\(token)\"}").errorCode }
    let now = "1776715497"
    #expect(login("a.b") == 19)
    #expect(login("!.!.!") == 19)
    #expect(login(h.token(iat: "1776715466.9")) == 19)
    #expect(login(h.token(iat: "1776715527.1")) == 19)
    #expect(login(h.token(iat: "-9223372036.9")) == 19)
    #expect(login(h.token(kid: "Kbad", iat: now)) == 19)
    #expect(login(h.token(iat: now, alg: "HS256")) == 19)
    #expect(login(h.token(iat: now)) == nil)
    #expect(login(h.token(iat: now)) == 19)
    #expect(login(h.token(iat: "1776715496.999")) == 19)
    #expect(login(h.token(iat: "1776715497.000001")) == nil)
    #expect(h.ask(c, "public/login", "{}").errorCode == 6)
    #expect(h.closes.isEmpty)
  }

  @Test func `a failed login closes the connection with 1008`() throws {
    let h = try Harness()
    let c = h.connect()
    #expect(h.ask(c, "public/login", #"{"token":"x"}"#).errorCode == 19)
    #expect(h.closes[c] == 1008)
    #expect(h.send(c, #"{"method":"private/cancel_session","params":{}}"#).isEmpty)
  }

  @Test func `a key logs in to its own accounts only`() throws {
    let h = try Harness {
      $0.accounts = ["K1": ["A1", "A9"]]; $0.closesOnFailedLogin = false
    }
    let c = h.connect()
    #expect(h.ask(c, "public/login", "{\"token\":\"\(h.token(kid: "K2"))\"}").errorCode == 19)
    #expect(h.ask(c, "public/login", "{\"token\":\"\(h.token())\",\"account\":\"A2\"}").errorCode == 19)
    #expect(
      h.ask(c, "public/login", "{\"token\":\"\(h.token())\",\"account\":\"A9\"}").object.text("account_number") == "A9")
  }

  // MARK: cancel on disconnect

  @Test func `silence beyond the time-out ends the orders, then the connection; a ping is enough to live`() throws {
    let h = try Harness()
    let c = h.trader()
    h.ask(c, "private/subscribe", #"{"channels":["session.orders"]}"#)
    let watcher = h.trader(2, cod: false)
    h.ask(watcher, "private/subscribe", #"{"channels":["account.orders"]}"#)
    h.insert(c, "buy", "0.1", "61700", client: 1)
    _ = h.take(watcher)
    h.pass(5 * second)
    h.venue.pinged(c, now: h.now)
    h.pass(5_999 * millisecond)
    #expect(h.take(c).isEmpty)
    h.pass(millisecond)
    let last = h.take(c)
    #expect(last.map(\.channel) == ["session.orders"])
    #expect(last[0].list[0].text("delete_reason") == "session_end")
    #expect(h.closes[c] == 1001)
    #expect(h.take(watcher)[0].list[0].text("delete_reason") == "session_end")
    #expect(h.venue.books("A1")?.openOrders.isEmpty == true)
    h.venue.disconnected(c, now: h.now)
    #expect(h.take(watcher).isEmpty)
  }

  @Test func `orders from before the switch, and of plain connections, survive a disconnect`() throws {
    let h = try Harness()
    let c = h.trader(cod: false)
    #expect(h.insert(c, "buy", "0.1", "61700", client: 1).object["persistent"] as? Bool == true)
    #expect(h.ask(c, "private/cancel_session").errorCode == 52)
    #expect(h.ask(c, "private/set_cancel_on_disconnect", #"{"timeout_secs":6}"#).object.number("message_rate") == 50)
    #expect(h.insert(c, "buy", "0.1", "61701", client: 2).object["persistent"] as? Bool == false)
    h.venue.disconnected(c, now: h.now)
    let again = h.trader(2)
    let left = h.ask(again, "private/open_orders").list
    #expect(left.map { $0.number("price") } == [61_700])
    #expect(h.ask(again, "private/cancel", #"{"client_order_id":1}"#).errorCode == 1)
    #expect(h.ask(again, "private/cancel", "{\"order_id\":\"\(left[0].text("order_id"))\"}").errorCode == nil)
  }

  @Test func `a time-out must be a positive number of seconds, and shortening it counts at once`() throws {
    let h = try Harness()
    let c = h.trader(cod: false)
    for wrong in ["{}", #"{"timeout_secs":0}"#, #"{"timeout_secs":-1}"#, #"{"timeout_secs":"6"}"#] {
      #expect(h.ask(c, "private/set_cancel_on_disconnect", wrong).errorCode == 6)
    }
    h.ask(c, "private/set_cancel_on_disconnect", #"{"timeout_secs":60}"#)
    h.ask(c, "private/set_cancel_on_disconnect", #"{"timeout_secs":2}"#)
    h.pass(2 * second)
    h.collect()
    #expect(h.closes[c] == 1001)
  }

  @Test func `cancel_session takes the session's volatile orders, cancel_all everything`() throws {
    let h = try Harness()
    let a = h.trader(1)
    let b = h.trader(2)
    let stranger = h.trader(3, kid: "K2")
    h.insert(a, "buy", "0.1", "61700")
    h.insert(a, "buy", "0.1", "61701")
    h.insert(b, "buy", "0.1", "61702")
    h.insert(stranger, "buy", "0.1", "61703")
    h.ask(a, "private/subscribe", #"{"channels":["session.orders"]}"#)
    h.ask(b, "private/subscribe", #"{"channels":["session.orders"]}"#)
    let out = h.send(a, #"{"method":"private/cancel_session","params":{}}"#)
    #expect(out[0].text == #"{"id":null,"result":null}"#)
    #expect(out[1].list.map { $0.text("delete_reason") } == ["session_end", "session_end"])
    #expect(h.ask(a, "private/open_orders").list.count == 1)
    h.insert(a, "buy", "0.1", "61700")
    _ = h.take(b)
    let all = h.send(a, #"{"method":"private/cancel_all","id":1,"params":{}}"#)
    #expect(all[0].text == #"{"id":1,"result":2}"#)
    #expect(all[1].list.map { $0.text("delete_reason") } == ["client_bulk_cancel"])
    #expect(h.take(b)[0].list.map { $0.text("delete_reason") } == ["client_bulk_cancel"])
    #expect(h.ask(stranger, "private/open_orders").list.count == 1)
  }

  // MARK: rate limits

  @Test func `the bucket holds exactly one second's worth and refills one token at a time`() throws {
    let h = try Harness()
    let c = h.trader()
    func accepted(_ count: Int) -> Int {
      (0..<count).filter { _ in h.insert(c, "buy", "0.1", "61799.5").errorCode == 15 }.count
    }
    // Refused for their price, yet they count: the rate comes before the parameters.
    #expect(accepted(60) == 50)
    #expect(h.insert(c, "buy", "0.1", "61700").errorCode == 4)
    h.pass(20 * millisecond - 1)
    #expect(accepted(2) == 0)
    h.pass(1)
    #expect(accepted(2) == 1)
    h.pass(60 * millisecond)
    #expect(accepted(9) == 3)
    h.pass(2 * second)
    #expect(accepted(60) == 50)
    #expect(h.venue.books("A1")?.rateViolations == 10 + 1 + 2 + 1 + 6 + 10)
  }

  @Test func `a plain connection has 10 a second; the switch adds 40 without forgetting those taken`() throws {
    let h = try Harness()
    let c = h.trader(cod: false)
    func accepted(_ count: Int) -> Int {
      (0..<count).filter { _ in h.insert(c, "buy", "0.1", "61799.5").errorCode == 15 }.count
    }
    #expect(accepted(20) == 10)
    h.ask(c, "private/set_cancel_on_disconnect", #"{"timeout_secs":6}"#)
    #expect(accepted(60) == 40)
  }

  @Test func `cancels have a bucket of their own`() throws {
    let h = try Harness { $0.cancelRate = 3 }
    let c = h.trader()
    for _ in 0..<60 { h.insert(c, "buy", "0.1", "61799.5") }
    for _ in 0..<3 { #expect(h.ask(c, "private/cancel", #"{"client_order_id":1}"#).errorCode == 1) }
    #expect(h.ask(c, "private/cancel", #"{"client_order_id":1}"#).errorCode == 4)
    #expect(h.ask(c, "private/cancel_all").errorCode == 4)
    #expect(h.ask(c, "private/open_orders").errorCode == nil)
    h.pass(334 * millisecond)
    #expect(h.ask(c, "private/cancel_all").errorCode == nil)
  }

  @Test func `a penalty shuts the bucket for its whole length`() throws {
    let h = try Harness { $0.throttlePenalty = second }
    let c = h.trader()
    for _ in 0..<51 { h.insert(c, "buy", "0.1", "61799.5") }
    h.pass(999 * millisecond)
    #expect(h.insert(c, "buy", "0.1", "61799.5").errorCode == 4)
    h.pass(millisecond)
    #expect(h.insert(c, "buy", "0.1", "61799.5").errorCode == 15)
  }

  @Test func `the reconnect announcement reaches the listeners of system`() throws {
    let h = try Harness()
    let c = h.connect()
    #expect(h.send(c, #"{"method":"public/subscribe","id":1,"params":{"channels":["system"]}}"#).count == 1)
    h.venue.announceReconnect(now: h.now)
    #expect(h.take(c).map(\.text) == [#"{"channel_name":"system","notification":{"event":"reconnect"}}"#])
  }

  @Test
  func `an announced closure ends the connections of its time with their orders, when it is due, and no later ones`()
    throws
  {
    let h = try Harness()
    let old = h.trader(1)
    #expect(h.send(old, #"{"method":"public/subscribe","id":1,"params":{"channels":["system"]}}"#).count == 1)
    #expect(h.insert(old, "buy", "0.1", "61000").errorCode == nil)
    h.venue.announceClosure(notice: 5 * second, now: h.now)
    #expect(h.take(old).map(\.text) == [#"{"channel_name":"system","notification":{"event":"reconnect"}}"#])
    let new = h.trader(2)
    #expect(h.insert(new, "buy", "0.1", "61000").errorCode == nil)
    h.pass(5 * second - 1)
    #expect(h.closes.isEmpty && h.venue.books("A1")?.openOrders.count == 2)
    h.pass(1)
    _ = h.take(new)
    #expect(h.closes == [old: 1012] && h.venue.books("A1")?.openOrders.count == 1)
  }

  @Test func `an impossible configuration is refused`() {
    #expect(throws: VenueError.self) { try Harness { $0.instruments = [] } }
    #expect(throws: VenueError.self) { try Harness { $0.instruments = [.btcPerpetual, .btcPerpetual] } }
    #expect(throws: VenueError.self) { try Harness { $0.messageRate = 0 } }
  }
}
