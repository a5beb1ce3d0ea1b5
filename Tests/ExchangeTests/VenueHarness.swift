import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

let millisecond: Nanoseconds = 1_000_000
let second: Nanoseconds = 1_000_000_000

/// A flow made of a list: events with their times.
final class ScriptedFlow: MarketFlow {
  private let steps: [(Nanoseconds, [FlowEvent])]
  private var position = 0

  init(_ steps: [(Nanoseconds, [FlowEvent])]) { self.steps = steps }

  var nextTime: Nanoseconds? { position < steps.count ? steps[position].0 : nil }
  func next(into events: inout [FlowEvent]) {
    events += steps[position].1
    position += 1
  }

  /// A BTC book around 61,800: bids 61,800 and 61,799, asks 61,801 and 61,802, index 61,800.
  static let calm: [FlowEvent] = [
    .index(0, e8: 61_800_00000000),
    .level(0, .buy, 61_800, 1000), .level(0, .buy, 61_799, 2000),
    .level(0, .sell, 61_801, 1000), .level(0, .sell, 61_802, 2000),
  ]
}

/// One message from the venue, parsed for the tests only.
struct Received {
  var text: String
  var json: [String: Any]

  var channel: String? { json["channel_name"] as? String }
  var errorCode: Int? { (json["error"] as? [String: Any])?["code"] as? Int }
  var result: Any? { json["result"] }
  var object: [String: Any] { json["result"] as? [String: Any] ?? [:] }
  var list: [[String: Any]] { json["notification"] as? [[String: Any]] ?? json["result"] as? [[String: Any]] ?? [] }
  var notification: [String: Any] { json["notification"] as? [String: Any] ?? [:] }
}

/// A venue with its clock, and what it said.
final class Harness {
  let venue: SimulatedVenue
  var now: Nanoseconds = 0
  private var inbox: [ConnectionID: [Received]] = [:]
  private(set) var closes: [ConnectionID: UInt16] = [:]
  private var nextToken = 0
  let configuration: VenueConfiguration

  init(
    flow: [(Nanoseconds, [FlowEvent])] = [(0, ScriptedFlow.calm)], verifier: (any TokenVerifier)? = nil,
    _ adjust: (inout VenueConfiguration) -> Void = { _ in }
  ) throws {
    var configuration = VenueConfiguration()
    adjust(&configuration)
    self.configuration = configuration
    venue = try SimulatedVenue(configuration, flow: ScriptedFlow(flow), verifier: verifier)
    venue.advance(to: 0)
  }

  deinit { venue.letGo() }

  func collect() {
    venue.drain { connection, outgoing in
      switch outgoing {
      case .text(let bytes):
        let data = Data(bytes)
        let json = (try? JSONSerialization.jsonObject(with: data)) as? [String: Any]
        let text = String(decoding: bytes, as: UTF8.self)
        if json == nil { Issue.record("not JSON: \(text)") }
        self.inbox[connection, default: []].append(Received(text: text, json: json ?? [:]))
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
  func take(_ id: ConnectionID) -> [Received] {
    collect()
    let taken = inbox[id] ?? []
    inbox[id] = []
    return taken
  }

  @discardableResult
  func send(_ id: ConnectionID, _ text: String) -> [Received] {
    _ = take(id)
    venue.receive(id, text: text, now: now)
    return take(id)
  }

  /// Sends a request and returns its reply, which must be the first message.
  @discardableResult
  func ask(_ id: ConnectionID, _ method: String, _ params: String = "{}") -> Received {
    send(id, "{\"method\":\"\(method)\",\"id\":7,\"params\":\(params)}").first ?? Received(text: "", json: [:])
  }

  func pass(_ time: Nanoseconds) {
    now += time
    venue.advance(to: now)
  }

  func token(kid: String = "K1", iat: String? = nil, alg: String = "RS512") -> String {
    nextToken += 1
    let nanoseconds = configuration.wallClockBase + now + Nanoseconds(nextToken) * 1000
    let time = iat ?? "\(nanoseconds / 1_000_000_000).\(String(format: "%09d", nanoseconds % 1_000_000_000))"
    func encode(_ text: String) -> String {
      Data(text.utf8).base64EncodedString().replacingOccurrences(of: "=", with: "")
        .replacingOccurrences(of: "+", with: "-").replacingOccurrences(of: "/", with: "_")
    }
    return encode("{\"alg\":\"\(alg)\",\"kid\":\"\(kid)\",\"typ\":\"JWT\"}") + "." + encode("{\"iat\":\(time)}")
      + ".c2ln"
  }

  /// A connection that is logged in, with cancel-on-disconnect of 6 s unless told otherwise.
  func trader(_ number: UInt64 = 1, kid: String = "K1", cod: Bool = true) -> ConnectionID {
    let id = connect(number)
    #expect(ask(id, "public/login", "{\"token\":\"\(token(kid: kid))\"}").object["account_number"] != nil)
    if cod { ask(id, "private/set_cancel_on_disconnect", "{\"timeout_secs\":6}") }
    return id
  }

  @discardableResult
  func insert(
    _ id: ConnectionID, _ direction: String, _ amount: String, _ price: String?, client: Int? = nil, _ more: String = ""
  ) -> Received {
    var params = "\"direction\":\"\(direction)\",\"instrument_name\":\"BTC-PERPETUAL\",\"amount\":\(amount)"
    if let price { params += ",\"price\":\(price)" }
    if let client { params += ",\"client_order_id\":\(client)" }
    if !more.isEmpty { params += "," + more }
    return ask(id, "private/insert", "{\(params)}")
  }
}

extension [String: Any] {
  func text(_ key: String) -> String { self[key] as? String ?? "" }
  func number(_ key: String) -> Double { (self[key] as? NSNumber)?.doubleValue ?? .nan }
  func items(_ key: String) -> [[String: Any]] { self[key] as? [[String: Any]] ?? [] }
}
