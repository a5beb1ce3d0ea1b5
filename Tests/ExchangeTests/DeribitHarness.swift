import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// A message of the simulated Deribit, parsed for the tests only.
struct DeribitMessage {
  var text: String
  var json: [String: Any]

  var result: Any? { json["result"] }
  var object: [String: Any] { json["result"] as? [String: Any] ?? [:] }
  var list: [[String: Any]] { json["result"] as? [[String: Any]] ?? [] }
  var names: [String] { json["result"] as? [String] ?? [] }
  var order: [String: Any] { object["order"] as? [String: Any] ?? [:] }
  var trades: [[String: Any]] { object.items("trades") }
  var error: [String: Any] { json["error"] as? [String: Any] ?? [:] }
  var code: Int? { error["code"] as? Int }
  private var params: [String: Any] { json["params"] as? [String: Any] ?? [:] }
  var channel: String? { params["channel"] as? String }
  var data: [String: Any] { params["data"] as? [String: Any] ?? [:] }
  var dataList: [[String: Any]] { params["data"] as? [[String: Any]] ?? [] }
  /// Of a heartbeat.
  var type: String? { params["type"] as? String }
}

/// A simulated Deribit with its clock, and what it said.
final class DeribitHarness {
  /// BTC-PERPETUAL: bids 60,000 and 59,999.5, asks 60,001 and 60,001.5, 10,000 and 20,000 USD. BTC_USDC-PERPETUAL: bid
  /// 60,000, ask 60,001, one BTC each. Both indexes 60,000.
  static let calm: [FlowEvent] = [
    .index(0, e8: 60_000_00000000), .index(1, e8: 60_000_00000000), .index(2, e8: 2_000_00000000),
    .level(0, .buy, 120_000, 1000), .level(0, .buy, 119_999, 2000),
    .level(0, .sell, 120_002, 1000), .level(0, .sell, 120_003, 2000),
    .level(1, .buy, 600_000, 10_000), .level(1, .sell, 600_010, 10_000),
    .level(2, .buy, 200_000, 10_000), .level(2, .sell, 200_010, 10_000),
  ]
  static let secret = "kJ3xW9mQe5VtB8yLzR2nD6uPhG0sAfXcOi4jTbE1"

  let venue: DeribitVenue
  var now: Nanoseconds = 0
  private var inbox: [ConnectionID: [DeribitMessage]] = [:]
  private(set) var closes: [ConnectionID: UInt16] = [:]
  /// What HTTP connections got, head and body.
  private(set) var responses: [ConnectionID: [String]] = [:]
  private var http: Set<ConnectionID> = []
  let configuration: DeribitConfiguration
  private var nextID = 0

  init(
    flow: [(Nanoseconds, [FlowEvent])] = [(0, DeribitHarness.calm)],
    _ adjust: (inout DeribitConfiguration) -> Void = { _ in }
  ) throws {
    var configuration = DeribitConfiguration()
    configuration.clients = [
      DeribitClient(id: "desk", secret: Self.secret, account: "desk"),
      DeribitClient(id: "other", secret: "x", account: "other"),
    ]
    configuration.matchingRate = 1000
    configuration.matchingBurst = 1000
    adjust(&configuration)
    self.configuration = configuration
    venue = try DeribitVenue(configuration, flow: ScriptedFlow(flow))
    venue.advance(to: 0)
  }

  deinit { venue.letGo() }

  func collect() {
    venue.drain { connection, outgoing in
      switch outgoing {
      case .text(let bytes):
        let text = String(decoding: bytes, as: UTF8.self)
        if self.http.contains(connection) {
          self.responses[connection, default: []].append(text)
          return
        }
        let json = (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
        if json == nil { Issue.record("not JSON: \(text)") }
        self.inbox[connection, default: []].append(DeribitMessage(text: text, json: json ?? [:]))
      case .close(let code): self.closes[connection] = code
      }
    }
  }

  @discardableResult
  func connect(_ number: UInt64 = 1) -> ConnectionID {
    let id = ConnectionID(number)
    venue.connect(id, now: now)
    return id
  }

  /// Everything that came since the last call.
  func take(_ id: ConnectionID) -> [DeribitMessage] {
    collect()
    let taken = inbox[id] ?? []
    inbox[id] = []
    return taken
  }

  /// What came on a channel since the last call; the rest is gone too.
  func take(_ id: ConnectionID, _ channel: String) -> [DeribitMessage] { take(id).filter { $0.channel == channel } }

  @discardableResult
  func send(_ id: ConnectionID, _ text: String) -> [DeribitMessage] {
    _ = take(id)
    venue.receive(id, text: text, now: now)
    return take(id)
  }

  /// Sends a request and returns its reply. What else came stays to be taken.
  @discardableResult
  func ask(_ id: ConnectionID, _ method: String, _ params: String = "{}") -> DeribitMessage {
    nextID += 1
    let number = nextID
    venue.receive(id, text: #"{"jsonrpc":"2.0","id":\#(number),"method":"\#(method)","params":\#(params)}"#, now: now)
    return reply(id, number) ?? DeribitMessage(text: "", json: [:])
  }

  /// Sends a request whose reply is to come later; its number.
  @discardableResult
  func begin(_ id: ConnectionID, _ method: String, _ params: String) -> Int {
    nextID += 1
    venue.receive(id, text: #"{"jsonrpc":"2.0","id":\#(nextID),"method":"\#(method)","params":\#(params)}"#, now: now)
    return nextID
  }

  /// The reply of that number, if it has come.
  func reply(_ id: ConnectionID, _ number: Int) -> DeribitMessage? {
    collect()
    guard let place = inbox[id]?.firstIndex(where: { ($0.json["id"] as? Int) == number }) else { return nil }
    return inbox[id]?.remove(at: place)
  }

  func pass(_ time: Nanoseconds) {
    now += time
    venue.advance(to: now)
  }

  /// A connection that is logged in.
  func trader(_ number: UInt64 = 1, id: String = "desk") -> ConnectionID {
    let connection = connect(number)
    let secret = id == "desk" ? Self.secret : "x"
    let reply = ask(
      connection, "public/auth",
      #"{"grant_type":"client_credentials","client_id":"\#(id)","client_secret":"\#(secret)"}"#)
    #expect(reply.object["access_token"] != nil, "\(reply.text)")
    return connection
  }

  /// An order; BTC-PERPETUAL and a limit unless told otherwise.
  @discardableResult
  func order(
    _ id: ConnectionID, _ side: String, _ amount: String, _ price: String?, _ more: String = "",
    instrument: String = "BTC-PERPETUAL"
  ) -> DeribitMessage {
    var params = #""instrument_name":"\#(instrument)","amount":\#(amount)"#
    if let price { params += #","price":\#(price)"# }
    if !more.isEmpty { params += "," + more }
    return ask(id, "private/\(side)", "{\(params)}")
  }

  @discardableResult
  func http(_ id: ConnectionID, _ request: HTTPRequest) -> (status: Int, body: DeribitMessage) {
    if http.insert(id).inserted { venue.connectHTTP(id, now: now) }
    venue.receive(id, request: request, now: now)
    collect()
    let text = responses[id]?.last ?? ""
    let parts = text.components(separatedBy: "\r\n\r\n")
    let body = parts.count > 1 ? parts[1] : ""
    let status = Int(text.split(separator: " ").dropFirst().first ?? "") ?? 0
    #expect(text.contains("Content-Length: \(body.utf8.count)\r\n"))
    let json = (try? JSONSerialization.jsonObject(with: Data(body.utf8))) as? [String: Any]
    return (status, DeribitMessage(text: body, json: json ?? [:]))
  }

  /// The middle of the wall clock's time, ms since the epoch.
  var milliseconds: Int64 { (configuration.wallClockBase + now) / 1_000_000 }
}

/// HMAC-SHA256 in hexadecimal digits.
func deribitSignature(_ text: String, _ secret: String = DeribitHarness.secret) -> String {
  let bytes = Array(secret.utf8).withUnsafeBufferPointer { hmacSHA256(key: $0, Array(text.utf8)) } ?? []
  return bytes.map { String(format: "%02x", $0) }.joined()
}
