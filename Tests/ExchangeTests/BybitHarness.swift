import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// A message of the simulated Bybit, parsed for the tests only.
struct BybitMessage {
  var text: String
  var json: [String: Any]

  var topic: String? { json["topic"] as? String }
  var operation: String? { json["op"] as? String }
  var code: Int? { json["retCode"] as? Int }
  var data: [String: Any] { json["data"] as? [String: Any] ?? [:] }
  var records: [[String: Any]] { json["data"] as? [[String: Any]] ?? [] }
  var result: [String: Any] { json["result"] as? [String: Any] ?? [:] }
  var list: [[String: Any]] { result.items("list") }
  var orderID: String { (data["orderId"] ?? result["orderId"]) as? String ?? "" }
  /// What became of the orders of a batch.
  var codes: [Int] {
    ((json["retExtInfo"] as? [String: Any])?.items("list") ?? []).map { $0["code"] as? Int ?? -1 }
  }
  var levels: (bids: [[String]], asks: [[String]]) {
    (data["b"] as? [[String]] ?? [], data["a"] as? [[String]] ?? [])
  }
}

/// A simulated Bybit with its clock, and what it said.
final class BybitHarness {
  /// BTCUSDT: bids 85,930.0 and 85,929.5, asks 85,931.0 and 85,931.5, 1 and 2 BTC. ETHUSDT: 2,800.00 and 2,800.50, 10 each.
  static let calm: [FlowEvent] = [
    .index(0, e8: 85_930_00000000), .index(1, e8: 2_800_00000000), .index(2, e8: 2_50000000),
    .level(0, .buy, 859_300, 1000), .level(0, .buy, 859_295, 2000),
    .level(0, .sell, 859_310, 1000), .level(0, .sell, 859_315, 2000),
    .level(1, .buy, 280_000, 1000), .level(1, .sell, 280_050, 1000),
  ]
  static let secret = "3pLq8WcYtG5hUoSjVxK0bNfM4rDzEiA2"
  static let key = "k7Qd2vXyB1mTnE9RzA"

  let venue: SimulatedBybit
  let configuration: BybitConfiguration
  var now: Nanoseconds = 0
  private(set) var closes: [ConnectionID: UInt16] = [:]
  private var inbox: [ConnectionID: [BybitMessage]] = [:]
  /// Everything that was said on WebSockets, in order.
  private(set) var said: [(id: ConnectionID, text: String)] = []
  private var nextID = 0
  private var nextConnection: UInt64 = 100

  init(
    flow: [(Nanoseconds, [FlowEvent])] = [(0, BybitHarness.calm)],
    _ adjust: (inout BybitConfiguration) -> Void = { _ in }
  ) throws {
    var configuration = BybitConfiguration()
    configuration.clients = [
      BybitClient(key: Self.key, secret: Self.secret, account: "desk"),
      BybitClient(key: "other", secret: "x", account: "other"),
    ]
    configuration.orderRate = 1000
    adjust(&configuration)
    self.configuration = configuration
    venue = try SimulatedBybit(configuration, flow: ScriptedFlow(flow))
    venue.advance(to: 0)
  }

  deinit { venue.letGo() }

  func collect() {
    venue.drain { connection, outgoing in
      switch outgoing {
      case .text(let bytes):
        let text = String(decoding: bytes, as: UTF8.self)
        self.said.append((connection, text))
        let json = (try? JSONSerialization.jsonObject(with: Data(bytes))) as? [String: Any]
        if json == nil { Issue.record("not JSON: \(text)") }
        self.inbox[connection, default: []].append(BybitMessage(text: text, json: json ?? [:]))
      case .close(let code): self.closes[connection] = code
      }
    }
  }

  func connect(_ target: String) -> ConnectionID {
    nextConnection += 1
    let id = ConnectionID(nextConnection)
    venue.connect(id, target: target, now: now)
    return id
  }

  func connectPublic() -> ConnectionID { connect("/v5/public/linear") }

  /// Everything that came since the last call.
  func take(_ id: ConnectionID) -> [BybitMessage] {
    collect()
    let taken = inbox[id] ?? []
    inbox[id] = []
    return taken
  }

  /// What came on a topic since the last call; the rest is gone too.
  func take(_ id: ConnectionID, _ topic: String) -> [BybitMessage] { take(id).filter { $0.topic == topic } }

  /// What a private topic told of since the last call.
  func records(_ id: ConnectionID, _ topic: String) -> [[String: Any]] { take(id, topic).flatMap(\.records) }

  @discardableResult
  func send(_ id: ConnectionID, _ text: String) -> [BybitMessage] {
    _ = take(id)
    venue.receive(id, text: text, now: now)
    return take(id)
  }

  func pass(_ time: Nanoseconds) {
    now += time
    venue.advance(to: now)
  }

  // MARK: login

  static func signature(_ text: String, _ secret: String) -> String {
    let bytes = Array(secret.utf8).withUnsafeBufferPointer { hmacSHA256(key: $0, Array(text.utf8)) } ?? []
    return bytes.map { String(format: "%02x", $0) }.joined()
  }

  var milliseconds: Int64 { (configuration.wallClockBase + now) / 1_000_000 }

  @discardableResult
  func login(_ id: ConnectionID, key: String = BybitHarness.key, secret: String? = nil) -> BybitMessage {
    let expires = milliseconds + 1000
    let secret = secret ?? (key == Self.key ? Self.secret : "x")
    let signature = Self.signature("GET/realtime\(expires)", secret)
    let text = #"{"op":"auth","args":["\#(key)",\#(expires),"\#(signature)"]}"#
    return send(id, text).first { $0.operation == "auth" } ?? BybitMessage(text: "", json: [:])
  }

  /// A private stream with its topics.
  func stream(_ topics: [String] = ["order", "execution", "position", "wallet"], key: String = BybitHarness.key)
    -> ConnectionID
  {
    let id = connect("/v5/private")
    #expect(login(id, key: key).json["success"] as? Bool == true)
    let list = topics.map { "\"\($0)\"" }.joined(separator: ",")
    let answer = send(id, #"{"op":"subscribe","req_id":"s","args":[\#(list)]}"#)
    #expect(answer.first?.json["success"] as? Bool == true, "\(answer.first?.text ?? "")")
    return id
  }

  /// A connection for orders.
  func trader(key: String = BybitHarness.key) -> ConnectionID {
    let id = connect("/v5/trade")
    #expect(login(id, key: key).code == 0)
    return id
  }

  // MARK: orders

  /// Sends an order request; its answer.
  @discardableResult
  func ask(_ id: ConnectionID, _ operation: String, _ order: String, requestID: String? = nil) -> BybitMessage {
    nextID += 1
    let number = requestID ?? "r-\(nextID)"
    venue.receive(
      id,
      text:
        #"{"reqId":"\#(number)","header":{"X-BAPI-TIMESTAMP":"\#(milliseconds)","X-BAPI-RECV-WINDOW":"5000"},"op":"\#(operation)","args":[{"category":"linear",\#(order)}]}"#,
      now: now)
    collect()
    guard let place = inbox[id]?.lastIndex(where: { ($0.json["reqId"] as? String) == number }) else {
      return BybitMessage(text: "", json: [:])
    }
    return inbox[id]?.remove(at: place) ?? BybitMessage(text: "", json: [:])
  }

  /// A limit order in BTCUSDT, post-only unless told otherwise.
  @discardableResult
  func order(
    _ id: ConnectionID, _ side: String, _ quantity: String, _ price: String, link: String? = nil,
    _ more: String = #","timeInForce":"PostOnly""#
  ) -> BybitMessage {
    let link = link.map { #","orderLinkId":"\#($0)""# } ?? ""
    return ask(
      id, "order.create",
      #""symbol":"BTCUSDT","side":"\#(side)","orderType":"Limit","qty":"\#(quantity)","price":"\#(price)"\#(link)\#(more)"#
    )
  }

  // MARK: REST

  func rest(_ request: BybitRestRequest) -> BybitMessage {
    let (path, payload) = (request.path, request.payload)
    return request.method == .get
      ? get(path, payload, isPrivate: request.isPrivate) : post(path, payload)
  }

  func get(_ path: String, _ query: String = "", isPrivate: Bool = true) -> BybitMessage {
    call("GET", path, query, "", headers: isPrivate ? signed(query) : [:]).body
  }

  @discardableResult
  func post(_ path: String, _ body: String) -> BybitMessage { call("POST", path, "", body, headers: signed(body)).body }

  func signed(_ payload: String, key: String = BybitHarness.key, secret: String = BybitHarness.secret)
    -> [String: String]
  {
    [
      "x-bapi-api-key": key, "x-bapi-timestamp": "\(milliseconds)", "x-bapi-recv-window": "5000",
      "x-bapi-sign": Self.signature("\(milliseconds)\(key)5000\(payload)", secret),
    ]
  }

  func call(
    _ method: String, _ path: String, _ query: String, _ body: String, headers: [String: String]
  ) -> (status: Int, headers: [BybitRestResponse.Header], body: BybitMessage) {
    let response = venue.rest(
      method: method, path: path, query: query, headers: headers, body: Array(body.utf8), now: now)
    let text = String(decoding: response.body, as: UTF8.self)
    let json = (try? JSONSerialization.jsonObject(with: Data(response.body))) as? [String: Any]
    if json == nil { Issue.record("not JSON: \(text)") }
    return (response.status, response.headers, BybitMessage(text: text, json: json ?? [:]))
  }

  /// A book as a client keeps it.
  struct Book {
    var bids: [Double: Double] = [:]
    var asks: [Double: Double] = [:]
    var update = -1
    var sequence = 0
    var gaps = 0
    /// A level was deleted that was not there, which some clients cannot take.
    var strangers = 0

    mutating func apply(_ message: BybitMessage) {
      let number = message.data["u"] as? Int ?? 0
      if message.json["type"] as? String == "snapshot" {
        bids = [:]
        asks = [:]
      } else if number != update + 1 {
        gaps += 1
      }
      update = number
      sequence = message.data["seq"] as? Int ?? 0
      let (newBids, newAsks) = message.levels
      for level in newBids where !Self.change(&bids, level) { strangers += 1 }
      for level in newAsks where !Self.change(&asks, level) { strangers += 1 }
    }

    /// False if a level was to go that is not there.
    private static func change(_ side: inout [Double: Double], _ level: [String]) -> Bool {
      let (price, size) = (Double(level[0]) ?? .nan, Double(level[1]) ?? .nan)
      if size == 0 { return side.removeValue(forKey: price) != nil }
      side[price] = size
      return true
    }

    func isTop(of message: BybitMessage, depth: Int) -> Bool {
      func same(_ side: [Double: Double], _ levels: [[String]]) -> Bool {
        let shown = levels.prefix(depth).map { (Double($0[0]) ?? .nan, Double($0[1]) ?? .nan) }
        return side.count == shown.count && shown.allSatisfy { side[$0.0] == $0.1 }
      }
      return same(bids, message.result["b"] as? [[String]] ?? [])
        && same(asks, message.result["a"] as? [[String]] ?? [])
    }
  }
}
