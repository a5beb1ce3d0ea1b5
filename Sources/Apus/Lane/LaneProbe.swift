import CSupport

/// A lane with a Thalex adapter on a connection that is only memory: no sockets, no threads, no clock.
///
/// For benchmarks, and for guards that look at the machine code or run the lane under a sanitizer. `init`
/// brings a session up to `ready` with replies in the shape of the venue's samples; from then on the
/// caller feeds frames and reads what the lane wrote. Everything about quoting is the lane's own:
/// the probe decides nothing.
///
/// One thread. Deterministic: the same settings and the same calls give the same bytes.
public struct LaneProbe: ~Copyable {
  var lane: Lane<ThalexAdapter>
  private var venue: ScriptedVenue

  /// - Parameters:
  ///   - settings: the instruments are listed with a tick of 1, a lot and a smallest order of 0.001.
  ///   - strategy: a copy of it for each instrument.
  /// - Throws: if memory or the settings do not do, or the session did not become ready.
  public init(settings: LaneSettings, strategy: some Strategy & Sendable) throws {
    try self.init(settings: settings) { _, _, _ in StrategyBox(strategy) }
  }

  /// As above, with what makes the engine's strategies.
  init(
    settings: LaneSettings, makeStrategy: @escaping (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy
  ) throws {
    try self.init(settings: settings, strategies: StrategyMaking(makeStrategy))
  }

  init(settings: LaneSettings, strategies: StrategyMaking) throws {
    let adapter = try ThalexAdapter(
      instruments: settings.instruments.map {
        .init(name: $0.name, bookDepth: $0.bookDepth, usesMassQuotes: $0.usesMassQuotes)
      },
      account: settings.account, labelPrefix: settings.labelPrefix, label: settings.label,
      deadManSeconds: settings.cancelOnDisconnectSeconds)
    let output = try LaneOutput(records: LaneRecords(journal: nil))
    var venue = try ScriptedVenue(
      path: settings.path, instruments: settings.instruments.map(\.name), label: settings.label)
    var lane = try Lane(
      settings: settings, adapter: adapter, output: output, makeToken: { "a.b.c" }, strategies: strategies)
    try lane.connected(key: Array(1...16), maskSeed: settings.seed, now: 0)
    try Self.start(&lane, &venue)
    self.lane = lane
    self.venue = venue
  }

  /// Feeds bytes of the venue's WebSocket stream, as `appendFrame(_:to:)` makes them.
  ///
  /// - Parameter now: must not run backwards; the session is ready at `startTime`.
  @inline(__always)
  public mutating func receive(_ bytes: UnsafeRawBufferPointer, now: Nanoseconds) {
    lane.receive(bytes, now: now)
  }

  /// Runs the timers that are due.
  public mutating func tick(now: Nanoseconds) { lane.tick(now: now) }

  /// Lane time at which the session became ready.
  public var startTime: Nanoseconds { venue.now }

  /// Masked frames that the lane has written and nobody has taken.
  public var outputCount: Int { lane.output.endpoint.output.count }

  /// Forgets the output, as sending it does.
  @inline(__always)
  public mutating func discardOutput() {
    lane.output.endpoint.consumeOutput(lane.output.endpoint.output.count)
  }

  /// Takes the output, unmasks it and appends the requests in it, oldest first. Cold.
  public mutating func takeRequests(into list: inout [String]) {
    venue.take(from: &lane.output.endpoint)
    list += venue.requests
    venue.requests.removeAll()
  }

  /// Appends one text frame as the venue sends it. Cold.
  public mutating func appendFrame(_ text: String, to bytes: inout [UInt8]) {
    venue.queue(text)
    venue.moveOutput(to: &bytes)
  }

  /// The venue's consent to an order request of the lane's; `nil` for other requests. Cold.
  public mutating func acknowledgement(of request: String) -> String? { venue.acknowledgement(of: request) }

  /// Times that an instrument was looked at, and frames after which nothing had changed.
  public var looks: Int { lane.core.counters.looks }
  public var unchanged: Int { lane.core.counters.unchanged }

  private static func start(_ lane: inout Lane<ThalexAdapter>, _ venue: inout ScriptedVenue) throws {
    for _ in 0..<100 where lane.adapter.phase != .ready {
      venue.now += LaneSession.timerInterval
      venue.take(from: &lane.output.endpoint)
      venue.answerSession()
      var bytes: [UInt8] = []
      venue.moveOutput(to: &bytes)
      bytes.withUnsafeBytes { lane.receive($0, now: venue.now) }
      lane.tick(now: venue.now)
    }
    guard lane.adapter.phase == .ready else {
      throw LaneFailure(.refused, "the probe's session did not become ready: \(lane.adapter.statusText)")
    }
    lane.output.endpoint.consumeOutput(lane.output.endpoint.output.count)
  }
}

/// The other end of a probe's connection: says what the samples say, and matches nothing.
private struct ScriptedVenue: ~Copyable {
  var now: Nanoseconds = 0
  private var endpoint: WebSocketEndpoint
  private let instruments: [String]
  private let label: String
  var requests: [String] = []
  /// Direction and instrument of each order, by the text of its client id: an amend repeats neither.
  private var orders: [Substring: (direction: Substring, instrument: Substring)] = [:]

  init(path: String, instruments: [String], label: String) throws {
    endpoint = try WebSocketEndpoint(server: path)
    self.instruments = instruments
    self.label = label
  }

  mutating func take(from client: inout WebSocketEndpoint) {
    let bytes = client.output
    guard bytes.count > 0 else { return }
    endpoint.receive(bytes)
    reading: while true {
      switch endpoint.next() {
      case .text(let text): requests.append(String(decoding: text, as: UTF8.self))
      case .none, .closed, .failed: break reading
      default: continue
      }
    }
    client.consumeOutput(bytes.count)
  }

  mutating func queue(_ text: String) {
    var text = text
    text.withUTF8 { _ = endpoint.sendText(UnsafeRawBufferPointer($0)) }
  }

  mutating func moveOutput(to bytes: inout [UInt8]) {
    bytes += endpoint.output
    endpoint.consumeOutput(endpoint.output.count)
  }

  /// What follows `key` in a request that our own encoder wrote, up to the next delimiter.
  private func value(_ key: String, in request: String) -> Substring? {
    guard let start = request.firstRange(of: "\"\(key)\":")?.upperBound else { return nil }
    return request[start...].prefix { $0 != "," && $0 != "}" }
  }

  /// Answers what a session asks for at its start.
  mutating func answerSession() {
    for request in requests {
      guard let id = value("id", in: request), let method = value("method", in: request) else { continue }
      switch method {
      case "\"public/login\"":
        reply(id, #"{"account_number":"A123456789"}"#)
      case "\"private/set_cancel_on_disconnect\"":
        reply(id, #"{"message_rate":50000}"#)
      case "\"public/instruments\"":
        let list = instruments.map {
          #"{"instrument_name":"\#($0)","tick_size":1,"volume_tick_size":0.001,"min_order_amount":0.001,"type":"perpetual","product":"\#(ThalexAdapter.product(of: $0))"}"#
        }
        reply(id, "[\(list.joined(separator: ","))]")
      case "\"public/subscribe\"", "\"private/subscribe\"":
        guard let open = request.firstIndex(of: "["), let close = request.lastIndex(of: "]") else { continue }
        reply(id, request[open...close])
        guard method == "\"private/subscribe\"" else { continue }
        queue(#"{"channel_name":"session.orders","notification":[],"snapshot":true}"#)
        queue(#"{"channel_name":"account.portfolio","notification":[],"snapshot":true}"#)
      case "\"private/open_orders\"":
        reply(id, "[]")
      default:
        continue
      }
    }
    requests.removeAll()
  }

  private mutating func reply(_ id: Substring, _ result: some StringProtocol) {
    queue("{\"id\":\(id),\"result\":\(result)}")
  }

  mutating func acknowledgement(of request: String) -> String? {
    guard let id = value("id", in: request), let method = value("method", in: request),
      let client = value("client_order_id", in: request)
    else { return nil }
    if method == "\"private/insert\"", let direction = value("direction", in: request),
      let instrument = value("instrument_name", in: request)
    {
      orders[client] = (direction, instrument)
    }
    guard let order = orders[client] else { return nil }
    let isCancel = method == "\"private/cancel\""
    let price = value("price", in: request) ?? "1"
    let amount = value("amount", in: request) ?? "0.001"
    return "{\"id\":\(id),\"result\":{\"order_id\":\"00\(client)\",\"order_type\":\"limit\","
      + "\"time_in_force\":\"good_till_cancelled\",\"instrument_name\":\(order.instrument),"
      + "\"direction\":\(order.direction),\"price\":\(price),\"amount\":\(amount),\"filled_amount\":0,"
      + "\"remaining_amount\":\(isCancel ? "0" : amount),\"label\":\"\(label)\",\"client_order_id\":\(client),"
      + "\"status\":\"\(isCancel ? "cancelled" : "open")\",\"fills\":[],"
      + "\"change_reason\":\"\(isCancel ? "cancel" : method == "\"private/amend\"" ? "amend" : "insert")\","
      + (isCancel ? "\"delete_reason\":\"client_cancel\"," : "")
      + "\"insert_reason\":\"client_request\",\"create_time\":1776715498.201377,\"persistent\":false}}"
  }
}
