import CSupport
import Foundation
import TestSupport

@testable import Apus
@testable import ApusExchange

/// A lane and a simulated venue in one process on virtual time, whatever the venue: real bytes through real WebSocket
/// framing on both sides, and faults by hand. Deterministic by seed.
class ConformanceWorld {
  /// What a frame of the venue is about, as far as a fault may choose.
  enum Role: CaseIterable {
    case insertReply, amendReply, cancelReply, ordersReply, tradesReply, positionsReply, sessionReply
    case privateFeed, book, ticker, other
  }
  enum Fate {
    case pass, drop
    /// So many copies, each after a delay.
    case copies([Nanoseconds])
  }

  let venue: any VenueSimulation
  fileprivate(set) var now: Nanoseconds = 0
  fileprivate(set) var isUp = false
  var isUnreachable = false
  let latency: Nanoseconds = 200_000
  /// What becomes of a frame of the venue, and of a request of the lane (which may be dropped only).
  var fate: ((Role, String) -> Fate)?
  var requestFate: ((RequestKind, String) -> Bool)?
  /// Requests of the lane, if they are kept.
  private(set) var requests: [String] = []
  var keepsRequests = false

  init(venue: any VenueSimulation) { self.venue = venue }

  // What is asked of the lane.
  var isReady: Bool { false }
  var isStopped: Bool { false }
  var isVerified: Bool { false }
  var counters: LaneCounters { LaneCounters() }
  var unknownCount: Int { 0 }
  var status: String { "" }
  /// Position, worst long and worst short in coins, 10⁻⁸.
  func coins(_ instrument: InstrumentIndex = 0) -> (position: Int64, long: Int64, short: Int64)? { nil }
  var block: QuotingBlock { .none }
  func requestStop() {}
  /// Connects the lane with a manager; as a runner does, it tells of itself at once after an execution or a directive.
  func attach(updates: consuming RingProducer, directives: consuming RingConsumer, names: [String]) {}
  func drop() {}
  func position(_ instrument: InstrumentIndex = 0) -> QtyLots? { nil }
  func state<T>(_ instrument: InstrumentIndex = 0, _ body: (StatePointer) -> T) -> T { fatalError("of a world") }
  fileprivate func step(until end: Nanoseconds) throws {}

  fileprivate func noteRequest(_ text: String) { if keepsRequests { requests.append(text) } }

  /// Of the lane's account, the first that has logged in.
  var books: AccountBooks? { venue.accountNames.first.flatMap(venue.books) }

  func run(for duration: Nanoseconds) throws {
    let end = now + duration
    while now < end, !isStopped { try step(until: end) }
  }

  /// Runs until `condition` holds; false if it does not within `limit`.
  func run(limit: Nanoseconds = 30_000_000_000, until condition: () -> Bool) throws -> Bool {
    let end = now + limit
    while now < end {
      if condition() { return true }
      try step(until: end)
    }
    return condition()
  }
}

/// The role of a frame that carries one of our ids.
extension ConformanceWorld {
  static func kind(ofID text: String) -> RequestKind? {
    guard let range = text.range(of: "\"id\":") else { return nil }
    let digits = text[range.upperBound...].drop { $0 == "\"" }.prefix { $0.isNumber }
    return UInt64(digits).map(RequestID.kind)
  }

  static func role(ofReply text: String) -> Role? {
    guard let kind = kind(ofID: text) else { return nil }
    switch kind {
    case .insert: return .insertReply
    case .amend: return .amendReply
    case .cancel: return .cancelReply
    case .session(.openOrders): return .ordersReply
    case .session(.tradeHistory): return .tradesReply
    case .session(.portfolio): return .positionsReply
    case .session: return .sessionReply
    default: return .other
    }
  }
}

/// The world of one adapter.
final class World<Adapter: ExchangeAdapter & ~Copyable>: ConformanceWorld {
  private var lane: Lane<Adapter>
  private let clock: Clock
  private let path: String
  private let role: (String) -> Role

  final class Clock {
    var now: Nanoseconds = 0
  }

  /// The venue's end of the WebSocket.
  private final class ServerEnd {
    var endpoint: WebSocketEndpoint
    init(path: String) throws { endpoint = try WebSocketEndpoint(server: path) }
  }
  private struct Parcel {
    var at: Nanoseconds
    var bytes: [UInt8]
  }

  private var telemetry: LaneTelemetry?
  private var directives: RingConsumer?
  private var tellAt: Nanoseconds = 0
  private var server: ServerEnd?
  private var connection = ConnectionID(0)
  private var connections: UInt64 = 0
  private var toVenue: [Parcel] = []
  private var toLane: [Parcel] = []
  private var held: [(at: Nanoseconds, text: String)] = []
  private var random: TestSupport.SplitMix

  init(
    settings: LaneSettings, venue: any VenueSimulation, seed: UInt64, clock: Clock, path: String,
    makeToken: @escaping () -> String, ladder: LadderParameters, role: @escaping (String) -> Role
  ) throws {
    random = TestSupport.SplitMix(seed: seed)
    self.clock = clock
    self.path = path
    self.role = role
    let output = try LaneOutput(records: LaneRecords(journal: nil), companions: Adapter.companionCount)
    lane = try Lane(
      settings: settings, adapter: try Adapter(settings), output: output, makeToken: makeToken,
      makeStrategy: { _, _, _ in StrategyBox(LadderStrategy(ladder)) })
    super.init(venue: venue)
  }

  override var isReady: Bool { lane.adapter.phase == .ready }
  override var isStopped: Bool { lane.isStopped }
  override var isVerified: Bool { lane.stop.isVerified }
  override var counters: LaneCounters { lane.core.counters }
  override var unknownCount: Int { lane.core.tracker.unknownCount }
  override var status: String { "\(lane.adapter.statusText); \(lane.session.closeReason.text)" }
  override var block: QuotingBlock { lane.quoting.block(0) }
  override func coins(_ instrument: InstrumentIndex) -> (position: Int64, long: Int64, short: Int64)? {
    let market = lane.core.markets + Int(instrument)
    guard let info = market.pointee.info, let position = position(instrument) else { return nil }
    let unit = Underlying.unitE12(info, markE8: market.pointee.lastMarkE8, deltaE8: 0)
    func coins(_ lots: QtyLots) -> Int64 { Int64(clamping: Int128(lots.rawValue) * Int128(unit) / 10_000) }
    return state(instrument) { (coins(position), coins($0.pointee.worstLong), coins($0.pointee.worstShort)) }
  }
  override func requestStop() { lane.requestStop(now: now) }
  override func attach(updates: consuming RingProducer, directives: consuming RingConsumer, names: [String]) {
    telemetry = .some(LaneTelemetry(file: .none, lane: .none, instrumentNames: names, updates: .some(updates)))
    self.directives = .some(directives)
  }

  private func talkToManager() {
    guard telemetry != nil else { return }
    while let message = directives!.pop(as: DirectiveMessage.self) {
      lane.take(message, now: now)
      tellAt = 0
    }
    if lane.core.lastFillAt >= now { tellAt = 0 }
    guard now >= tellAt else { return }
    tellAt = now + 50_000_000
    while !telemetry!.publish(&lane, error: "", now: now) {}
  }
  override func position(_ instrument: InstrumentIndex = 0) -> QtyLots? {
    lane.core.tracker.state(instrument).pointee.position
  }
  override func state<T>(_ instrument: InstrumentIndex = 0, _ body: (StatePointer) -> T) -> T {
    body(lane.core.tracker.state(instrument))
  }

  fileprivate override func step(until end: Nanoseconds) throws {
    var next = min(end, now + 1_000_000)
    next = min(next, max(venue.nextWake, now + 1))
    if let parcel = toVenue.first { next = min(next, max(parcel.at, now + 1)) }
    if let parcel = toLane.first { next = min(next, max(parcel.at, now + 1)) }
    now = next
    clock.now = now
    if !isUp { try connectIfDue() }
    venue.advance(to: now)
    deliverToVenue()
    drainVenue()
    sendHeld()
    while let parcel = toLane.first, parcel.at <= now, isUp {
      toLane.removeFirst()
      parcel.bytes.withUnsafeBytes { lane.receive($0, now: now) }
    }
    talkToManager()
    lane.tick(now: now)
    collectLane()
    if isUp, lane.session.closeReason != .none { drop() }
  }

  private func connectIfDue() throws {
    guard !isUnreachable, now >= lane.session.retryAt, lane.mayConnect else { return }
    connections += 1
    connection = ConnectionID(connections)
    server = try ServerEnd(path: path)
    venue.connect(connection, now: now)
    let key = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
    try lane.connected(key: key, maskSeed: random.next(), now: now)
    isUp = true
    collectLane()
  }

  /// The connection breaks; what was under way is lost.
  override func drop() {
    guard isUp else { return }
    isUp = false
    toVenue.removeAll()
    toLane.removeAll()
    held.removeAll()
    server = nil
    venue.disconnected(connection, now: now)
    venue.drain { _, _ in }
    lane.disconnected(now: now)
  }

  private func collectLane() {
    let output = lane.output.endpoint.output
    guard output.count > 0, isUp else { return }
    toVenue.append(Parcel(at: now + latency, bytes: Array(output)))
    lane.output.endpoint.consumeOutput(output.count)
  }

  private func deliverToVenue() {
    while let parcel = toVenue.first, parcel.at <= now, let server {
      toVenue.removeFirst()
      parcel.bytes.withUnsafeBytes { bytes in
        server.endpoint.receive(bytes)
        while true {
          switch server.endpoint.next() {
          case .none: return
          case .text(let text):
            let plain = String(decoding: text, as: UTF8.self)
            noteRequest(plain)
            if let requestFate, let kind = Self.kind(ofID: plain), !requestFate(kind, plain) {
              venue.pinged(connection, now: now)
            } else {
              venue.receive(connection, text: text, now: now)
            }
          case .ping, .pong: venue.pinged(connection, now: now)
          default: continue
          }
        }
      }
    }
  }

  private func drainVenue() {
    var closes = false
    venue.drain { id, outgoing in
      guard id == connection, let server else { return }
      switch outgoing {
      case .text(let text):
        guard let fate else {
          _ = server.endpoint.sendText(text)
          return
        }
        let plain = String(decoding: text, as: UTF8.self)
        switch fate(Self.role(ofReply: plain) ?? role(plain), plain) {
        case .pass: _ = server.endpoint.sendText(text)
        case .drop: break
        case .copies(let delays): for delay in delays { held.append((now + delay, plain)) }
        }
      case .close(let code):
        server.endpoint.close(code: code)
        closes = true
      }
    }
    flushServer()
    if closes { venue.disconnected(connection, now: now) }
  }

  private func sendHeld() {
    guard !held.isEmpty, let server else { return }
    let due = held.filter { $0.at <= now }.sorted { $0.at < $1.at }
    held.removeAll { $0.at <= now }
    for frame in due {
      var text = frame.text
      text.withUTF8 { _ = server.endpoint.sendText(UnsafeRawBufferPointer($0)) }
    }
    flushServer()
  }

  private func flushServer() {
    guard let server else { return }
    let output = server.endpoint.output
    guard output.count > 0 else { return }
    toLane.append(Parcel(at: now + latency, bytes: Array(output)))
    server.endpoint.consumeOutput(output.count)
  }
}
