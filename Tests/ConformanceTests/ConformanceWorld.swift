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
    case insertReply, amendReply, cancelReply, massQuoteReply, ordersReply, tradesReply, positionsReply, sessionReply
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
  /// How much longer the way of the main connection is than that of the others.
  var detour: Nanoseconds = 0
  /// What becomes of a frame of the venue, and of a request of the lane (which may be dropped only).
  var fate: ((Role, String) -> Fate)?
  var requestFate: ((RequestKind, String) -> Bool)?
  /// The error code with which a request is refused before the venue sees it; `nil` lets it pass. In the form of a venue of
  /// JSON-RPC.
  var refusal: ((RequestKind, String) -> Int?)?
  /// Requests of the lane, if they are kept.
  private(set) var requests: [String] = []
  var keepsRequests = false

  init(venue: any VenueSimulation) { self.venue = venue }

  deinit { venue.letGo() }

  // What is asked of the lane.
  var isReady: Bool { false }
  var isStopped: Bool { false }
  var isVerified: Bool { false }
  var counters: LaneCounters { LaneCounters() }
  var unknownCount: Int { 0 }
  var inFlightCount: Int { 0 }
  /// Reports that were not believed, and requests that the account refused.
  var impossibleCount: Int { 0 }
  var status: String { "" }
  /// Position, worst long and worst short in coins, 10⁻⁸.
  func coins(_ instrument: InstrumentIndex = 0) -> (position: Int64, long: Int64, short: Int64)? { nil }
  var block: QuotingBlock { .none }
  /// The last one that the manager has given.
  var directive: Directive { Directive() }
  func requestStop() {}
  /// Connects the lane with a manager; as a runner does, it tells of itself at once after an execution or a directive.
  func attach(
    updates: consuming RingProducer, tops: consuming RingProducer, directives: consuming RingConsumer, names: [String]
  ) {}
  func drop() {}
  /// One of the connections beside the main one breaks; false if there is none.
  func dropCompanion(_ place: Int) -> Bool { false }
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
    // Bybit's has another name.
    guard let range = text.range(of: "\"id\":") ?? text.range(of: "\"reqId\":") else { return nil }
    let digits = text[range.upperBound...].drop { $0 == "\"" }.prefix { $0.isNumber }
    return UInt64(digits).map(RequestID.kind)
  }

  static func error(_ code: Int, toID request: String) -> String {
    let id = request.range(of: "\"id\":").map { request[$0.upperBound...].prefix { $0.isNumber } } ?? ""
    return #"{"jsonrpc":"2.0","id":\#(id),"error":{"code":\#(code),"message":"refused"}}"#
  }

  static func role(ofReply text: String) -> Role? {
    guard let kind = kind(ofID: text) else { return nil }
    switch kind {
    case .insert: return .insertReply
    case .amend: return .amendReply
    case .cancel: return .cancelReply
    case .massQuote: return .massQuoteReply
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
  private let role: (String) -> Role
  /// What answers the questions of the lane's desk, if the adapter has one; all but the tag.
  private let rest: ((DeskRequest, Nanoseconds) -> (role: Role, status: Int, body: [UInt8]))?

  final class Clock {
    var now: Nanoseconds = 0
  }

  private struct Parcel {
    var at: Nanoseconds
    var bytes: [UInt8]
  }

  /// A connection: the venue's end of its WebSocket, and what is under way.
  private final class Link {
    let id: ConnectionID
    var server: WebSocketEndpoint
    var toVenue: [Parcel] = []
    var toLane: [Parcel] = []
    var held: [(at: Nanoseconds, text: String)] = []

    init(_ id: ConnectionID, path: String) throws {
      self.id = id
      server = try WebSocketEndpoint(server: path)
    }
  }

  private var telemetry: LaneTelemetry?
  private var directives: RingConsumer?
  private var tellAt: Nanoseconds = 0
  /// The main connection, then the companions by place.
  private var links: [Link?]
  private var answers: [Parcel] = []
  private var connections: UInt64 = 0
  private let path: String
  private var random: TestSupport.SplitMix

  init(
    settings: LaneSettings, venue: any VenueSimulation, seed: UInt64, clock: Clock, wallClockBase: Nanoseconds,
    makeToken: @escaping () -> String, ladder: LadderParameters,
    rest: ((DeskRequest, Nanoseconds) -> (role: Role, status: Int, body: [UInt8]))? = nil,
    role: @escaping (String) -> Role
  ) throws {
    random = TestSupport.SplitMix(seed: seed)
    self.clock = clock
    self.role = role
    self.rest = rest
    path = settings.path
    links = Array(repeating: nil, count: 1 + Adapter.companionCount)
    let output = try LaneOutput(records: LaneRecords(journal: nil), companions: Adapter.companionCount)
    lane = try Lane(
      settings: settings, adapter: try Adapter(settings), output: output, makeToken: makeToken,
      strategies: StrategyMaking { _, _, _ in StrategyBox(LadderStrategy(ladder)) })
    super.init(venue: venue)
    lane.noteWallClock(wallClockBase, now: 0)
  }

  override var isReady: Bool { lane.adapter.phase == .ready }
  override var isStopped: Bool { lane.isStopped }
  override var isVerified: Bool { lane.stop.isVerified }
  override var counters: LaneCounters { lane.core.counters }
  override var unknownCount: Int { lane.core.tracker.unknownCount }
  override var inFlightCount: Int { lane.core.tracker.inFlightCount }
  override var impossibleCount: Int { lane.core.counters.edgeRefusals + lane.core.tracker.counters.impossible }
  override var status: String { "\(lane.adapter.statusText); \(lane.session.closeReason.text)" }
  override var block: QuotingBlock { lane.quoting.block(0) }
  override var directive: Directive { lane.safety.instruments[0].directive }
  override func coins(_ instrument: InstrumentIndex) -> (position: Int64, long: Int64, short: Int64)? {
    let market = lane.core.markets + Int(instrument)
    guard let info = market.pointee.info, let position = position(instrument) else { return nil }
    let unit = Underlying.unitE12(info, markE8: market.pointee.lastMarkE8, deltaE8: 0)
    func coins(_ lots: QtyLots) -> Int64 { Int64(clamping: Int128(lots.rawValue) * Int128(unit) / 10_000) }
    return state(instrument) { (coins(position), coins($0.pointee.worstLong), coins($0.pointee.worstShort)) }
  }
  override func requestStop() { lane.requestStop(now: now) }
  override func attach(
    updates: consuming RingProducer, tops: consuming RingProducer, directives: consuming RingConsumer, names: [String]
  ) {
    var telemetry = LaneTelemetry(file: .none, lane: .none, instrumentNames: names, updates: .some(updates))
    telemetry.keep(LaneTops(ring: tops, instruments: names.indices.map { InstrumentIndex($0) }))
    self.telemetry = .some(telemetry)
    self.directives = .some(directives)
  }

  private func talkToManager() {
    guard telemetry != nil else { return }
    while let message = directives!.pop(as: DirectiveMessage.self) {
      lane.take(message, now: now)
      tellAt = 0
    }
    if lane.core.lastFillAt >= now { tellAt = 0 }
    telemetry!.tellTops(&lane, now: now)
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
    for link in links.compactMap(\.self) {
      for parcel in [link.toVenue.first, link.toLane.first] {
        if let parcel { next = min(next, max(parcel.at, now + 1)) }
      }
    }
    now = next
    clock.now = now
    if isUp { try connectCompanions() } else { try connectIfDue() }
    venue.advance(to: now)
    for link in links.compactMap(\.self) { deliverToVenue(link) }
    drainVenue()
    for link in links.compactMap(\.self) { sendHeld(link) }
    deliverToLane()
    talkToManager()
    lane.tick(now: now)
    collectLane()
    if isUp, lane.session.closeReason != .none { drop() }
  }

  private func open(_ place: Int, _ target: String) throws -> (key: [UInt8], maskSeed: UInt64) {
    connections += 1
    let link = try Link(ConnectionID(connections), path: target)
    links[place] = link
    venue.connect(link.id, target: target, now: now)
    return ((0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }, random.next())
  }

  private func connectIfDue() throws {
    guard !isUnreachable, now >= lane.session.retryAt, lane.mayConnect else { return }
    let (key, maskSeed) = try open(0, path + Adapter.mainPath)
    try lane.connected(key: key, maskSeed: maskSeed, now: now)
    isUp = true
    collectLane()
  }

  private func connectCompanions() throws {
    guard lane.wantsCompanions, !isUnreachable else { return }
    for place in 0..<Adapter.companionCount where links[place + 1] == nil {
      guard case .socket(let target) = Adapter.companion(place) else { continue }
      let (key, maskSeed) = try open(place + 1, path + target)
      try lane.companionConnected(place, key: key, maskSeed: maskSeed, now: now)
    }
  }

  /// All connections break; what was under way is lost.
  override func drop() {
    guard isUp else { return }
    isUp = false
    answers.removeAll()
    for place in links.indices { end(place) }
    venue.drain { _, _ in }
    lane.disconnected(now: now)
  }

  override func dropCompanion(_ place: Int) -> Bool {
    guard isUp, place < Adapter.companionCount, links[place + 1] != nil else { return false }
    end(place + 1)
    lane.companionLost(place, now: now)
    return true
  }

  private func end(_ place: Int) {
    guard let link = links[place] else { return }
    links[place] = nil
    venue.disconnected(link.id, now: now)
  }

  private func collectLane() {
    guard isUp else { return }
    if let link = links[0] { collect(&lane.output.endpoint, link) }
    for place in 0..<Adapter.companionCount {
      if let link = links[place + 1] { collect(&lane.output.companions.at(place).pointee.endpoint, link) }
    }
    while lane.output.companions.takeQuestion({ ask(String(decoding: $0, as: UTF8.self)) }) {}
  }

  private func collect(_ endpoint: inout WebSocketEndpoint, _ link: Link) {
    let output = endpoint.output
    guard output.count > 0 else { return }
    link.toVenue.append(Parcel(at: now + latency(of: link), bytes: Array(output)))
    endpoint.consumeOutput(output.count)
  }

  /// The venue answers at once, and the answer takes a round trip.
  private func ask(_ text: String) -> Bool {
    guard let rest, let question = DeskRequest(text) else { return true }
    noteRequest(text)
    let answer = rest(question, now)
    let body = answer.body
    func arrive(_ delay: Nanoseconds, status: Int, _ body: [UInt8]) {
      answers.append(
        Parcel(at: now + 2 * latency + delay, bytes: DeskRequest.answer(question.tag, status: status, body)))
    }
    switch fate?(answer.role, String(decoding: body, as: UTF8.self)) ?? .pass {
    case .pass: arrive(0, status: answer.status, body)
    // Who asks by HTTP waits only so long.
    case .drop: arrive(3_000_000_000, status: 0, [])
    case .copies(let delays): for delay in delays { arrive(delay, status: answer.status, body) }
    }
    return true
  }

  /// In the order of their arrival, whatever the connection.
  private func deliverToLane() {
    while isUp {
      let due = links.indices.filter { links[$0]?.toLane.first.map { $0.at <= now } == true }
      let answer = answers.indices.filter { answers[$0].at <= now }.min { answers[$0].at < answers[$1].at }
      let first = due.min { links[$0]!.toLane[0].at < links[$1]!.toLane[0].at }
      if let first, answer.map({ links[first]!.toLane[0].at <= answers[$0].at }) ?? true {
        let parcel = links[first]!.toLane.removeFirst()
        parcel.bytes.withUnsafeBytes {
          if first == 0 { lane.receive($0, now: now) } else { lane.receive($0, companion: first - 1, now: now) }
        }
      } else if let answer {
        // Memory behind it, as the desk's.
        let parcel = answers.remove(at: answer)
        (parcel.bytes + [UInt8](repeating: 0, count: 64)).withUnsafeBytes {
          let text = UnsafeRawBufferPointer(rebasing: $0.prefix(parcel.bytes.count))
          lane.answered(text, companion: Adapter.companionCount - 1, now: now)
        }
      } else {
        return
      }
    }
  }

  private func deliverToVenue(_ link: Link) {
    while let parcel = link.toVenue.first, parcel.at <= now {
      link.toVenue.removeFirst()
      parcel.bytes.withUnsafeBytes { bytes in
        link.server.receive(bytes)
        while true {
          switch link.server.next() {
          case .none: return
          case .text(let text):
            let plain = String(decoding: text, as: UTF8.self)
            noteRequest(plain)
            if let requestFate, let kind = Self.kind(ofID: plain), !requestFate(kind, plain) {
              venue.pinged(link.id, now: now)
            } else if let refusal, let kind = Self.kind(ofID: plain), let code = refusal(kind, plain) {
              venue.pinged(link.id, now: now)
              var answer = Self.error(code, toID: plain)
              answer.withUTF8 { _ = link.server.sendText(UnsafeRawBufferPointer($0)) }
              flush(link)
            } else {
              venue.receive(link.id, text: text, now: now)
            }
          case .ping, .pong: venue.pinged(link.id, now: now)
          default: continue
          }
        }
      }
    }
  }

  private func drainVenue() {
    var closed: [Link] = []
    venue.drain { id, outgoing in
      guard let link = links.compactMap(\.self).first(where: { $0.id == id }) else { return }
      switch outgoing {
      case .text(let text):
        guard let fate else {
          _ = link.server.sendText(text)
          return
        }
        let plain = String(decoding: text, as: UTF8.self)
        switch fate(Self.role(ofReply: plain) ?? role(plain), plain) {
        case .pass: _ = link.server.sendText(text)
        case .drop: break
        case .copies(let delays): for delay in delays { link.held.append((now + delay, plain)) }
        }
      case .close(let code):
        link.server.close(code: code)
        closed.append(link)
      }
    }
    for link in links.compactMap(\.self) { flush(link) }
    for link in closed { venue.disconnected(link.id, now: now) }
  }

  private func sendHeld(_ link: Link) {
    guard !link.held.isEmpty else { return }
    let due = link.held.filter { $0.at <= now }.sorted { $0.at < $1.at }
    link.held.removeAll { $0.at <= now }
    for frame in due {
      var text = frame.text
      text.withUTF8 { _ = link.server.sendText(UnsafeRawBufferPointer($0)) }
    }
    flush(link)
  }

  private func latency(of link: Link) -> Nanoseconds { latency + (link === links[0] ? detour : 0) }

  private func flush(_ link: Link) {
    let output = link.server.output
    guard output.count > 0 else { return }
    link.toLane.append(Parcel(at: now + latency(of: link), bytes: Array(output)))
    link.server.consumeOutput(output.count)
  }
}
