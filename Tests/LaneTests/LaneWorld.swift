import CSupport
import TestSupport

@testable import Apus
@testable import ApusExchange

/// A lane and a simulated venue in one process on virtual time: real bytes through real WebSocket
/// framing on both sides, a network with a latency, and faults by hand. Deterministic by seed.
final class LaneWorld {
  private(set) var lane: Lane<ThalexAdapter>
  let venue: SimulatedVenue
  /// The venue's end of the WebSocket.
  private final class ServerEnd {
    var endpoint: WebSocketEndpoint
    init() throws { endpoint = try WebSocketEndpoint(server: "/ws/api/v2") }
  }
  private var server: ServerEnd?
  private var connection = ConnectionID(0)
  private var connections: UInt64 = 0
  private(set) var now: Nanoseconds = 0
  private var random: TestSupport.SplitMix

  /// Bytes under way.
  private struct Parcel {
    var at: Nanoseconds
    var bytes: [UInt8]
  }
  private var toVenue: [Parcel] = []
  private var toLane: [Parcel] = []

  var latency: Nanoseconds = 100_000
  /// The network refuses new connections.
  var isUnreachable = false
  /// Whether the lane reads what has arrived.
  var laneReads = true
  /// Venue frames to be altered or dropped on their way: called with each text; nil drops it.
  var tamper: ((String) -> String?)?
  /// When each copy of a venue frame leaves, as delays; empty drops it. Replies and feeds may overtake one
  /// another at the real venue, so a delayed frame lets later ones pass. Asked after `tamper`.
  var schedule: ((String) -> [Nanoseconds])?
  private var held: [(at: Nanoseconds, text: String)] = []
  enum Fate { case pass, swallow, refuse(Int) }
  /// What becomes of a request of the lane before the venue sees it.
  var fate: ((String) -> Fate)?
  /// Texts of the lane's requests, newest last.
  private(set) var requests: [String] = []
  var recordsRequests = false
  /// The largest worst-case exposure at the venue, lots, either side.
  private(set) var isUp = false

  /// The connection that the lane makes beside the first one, and what is under way on it.
  private var spare: (id: ConnectionID, end: ServerEnd)?
  private var spareToVenue: [Parcel] = []
  private var spareToLane: [Parcel] = []
  private(set) var spareTries = 0
  var hasSpare: Bool { spare != nil }
  /// What becomes of a request on the second connection.
  var spareFate: ((String) -> Fate)?
  /// How long nothing of ours has rested at the venue.
  private(set) var timeWithoutOrders: Nanoseconds = 0

  static func settings(maximumPosition: Int64 = 500) -> LaneSettings {
    var settings = LaneSettings()
    settings.labelPrefix = "apus-test-"
    settings.label = "apus-test-1"
    settings.instruments = [
      InstrumentSettings(
        name: "BTC-PERPETUAL", maximumPosition: DecimalE8(e8: maximumPosition * 100_000),
        maximumOrder: DecimalE8(e8: 100_000_000), maximumNotional: DecimalE8(e8: 100_000_000_000_000),
        collarCentiBps: 20_000, maximumOrders: 20, priceToleranceTicks: 1, keepSizePermille: 500, bookDepth: 10,
        staleAfter: 5_000_000_000)
    ]
    return settings
  }

  static let ladder = LadderParameters(
    levels: 3, halfSpreadCentiBps: 20, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 100)

  init(
    seed: UInt64 = 1, settings: LaneSettings = LaneWorld.settings(), venue configuration: VenueConfiguration? = nil,
    strategy: (any Strategy)? = nil, journal: consuming JournalWriter? = nil, goesOnWithoutJournal: Bool = false
  ) throws {
    random = TestSupport.SplitMix(seed: seed)
    var configuration = configuration ?? VenueConfiguration()
    configuration.seed = seed
    venue = try SimulatedVenue(configuration, flow: SyntheticFlow(seed: seed))
    let adapter = try ThalexAdapter(
      instruments: settings.instruments.map {
        .init(name: $0.name, bookDepth: $0.bookDepth, usesMassQuotes: $0.usesMassQuotes)
      }, account: nil,
      labelPrefix: settings.labelPrefix, label: settings.label,
      deadManSeconds: settings.cancelOnDisconnectSeconds)
    let clock = Clock()
    var output = try LaneOutput(records: LaneRecords(journal: journal))
    output.records.goesOnWithoutJournal = goesOnWithoutJournal
    lane = try Lane(
      settings: settings, adapter: adapter, output: output,
      makeToken: { clock.token(base: configuration.wallClockBase) },
      strategies: StrategyMaking { _, _, _ in
        if let strategy { return LaneWorld.box(strategy) }
        return StrategyBox(LadderStrategy(LaneWorld.ladder))
      })
    self.clock = clock
  }

  deinit { venue.letGo() }

  static func box(_ strategy: some Strategy) -> AnyStrategy { StrategyBox(strategy) }

  /// Unsigned tokens with a rising time; the venue here checks no signature.
  final class Clock {
    var now: Nanoseconds = 0
    private var last: Nanoseconds = 0
    func token(base: Nanoseconds) -> String {
      last = max(last + 1_000_000, base + now)
      let header = Base64URL.encode(Array(#"{"alg":"RS512","kid":"K1","typ":"JWT"}"#.utf8))
      let payload = Base64URL.encode(Array("{\"iat\":\(Double(last) / 1e9)}".utf8))
      return "\(header).\(payload).\(Base64URL.encode([1, 2, 3]))"
    }
  }
  private let clock: Clock

  // MARK: - Running

  func run(for duration: Nanoseconds) throws {
    let end = now + duration
    while now < end {
      if lane.isStopped { return }
      try step(until: end)
    }
  }

  /// Runs until `condition` holds; false if it does not within `limit`.
  func run(limit: Nanoseconds = 30_000_000_000, until condition: (LaneWorld) -> Bool) throws -> Bool {
    let end = now + limit
    while now < end {
      if condition(self) { return true }
      try step(until: end)
    }
    return condition(self)
  }

  var isReady: Bool { lane.adapter.phase == .ready }

  private func step(until end: Nanoseconds) throws {
    var next = min(end, now + 1_000_000)
    next = min(next, max(venue.nextWake, now + 1))
    if let parcel = toVenue.first { next = min(next, max(parcel.at, now + 1)) }
    if let parcel = toLane.first, laneReads { next = min(next, max(parcel.at, now + 1)) }
    if let parcel = spareToVenue.first { next = min(next, max(parcel.at, now + 1)) }
    if let parcel = spareToLane.first { next = min(next, max(parcel.at, now + 1)) }
    if venue.accountList.first.map(\.orders.isEmpty) != false { timeWithoutOrders += next - now }
    now = next
    clock.now = now
    if !isUp { try connectIfDue() }
    if isUp, spare == nil, lane.wantsStandby(now) { try connectSpare() }
    venue.advance(to: now)
    deliverToVenue()
    deliverToVenueOnSpare()
    drainVenue()
    sendHeld()
    deliverToLane()
    deliverToStandby()
    lane.tick(now: now)
    collectLane()
    if isUp, spare != nil, lane.isMoveDue || lane.session.closeReason != .none && lane.takesOver { changeOver() }
    if spare != nil, !lane.keepsStandby { dropSpare() }
    if isUp, lane.session.closeReason != .none { drop() }
  }

  // MARK: - The second connection

  private func connectSpare() throws {
    spareTries += 1
    guard !isUnreachable else { return lane.standbyLost(now: now) }
    connections += 1
    spare = (ConnectionID(connections), try ServerEnd())
    venue.connect(ConnectionID(connections), now: now)
    let key = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
    try lane.standbyConnected(key: key, maskSeed: random.next(), now: now)
    collectLane()
  }

  private func changeOver() {
    guard let new = spare else { return }
    venue.disconnected(connection, now: now)
    held.removeAll()
    (connection, server) = (new.id, new.end)
    (toVenue, toLane) = (spareToVenue, spareToLane)
    forgetSpare()
    lane.moveOver(now: now)
    collectLane()
  }

  private func forgetSpare() {
    spare = nil
    spareToVenue.removeAll()
    spareToLane.removeAll()
  }

  /// The second connection breaks.
  func dropSpare() {
    guard let spare else { return }
    venue.disconnected(spare.id, now: now)
    forgetSpare()
    lane.standbyLost(now: now)
  }

  private func deliverToVenueOnSpare() {
    while let parcel = spareToVenue.first, parcel.at <= now, let spare {
      spareToVenue.removeFirst()
      parcel.bytes.withUnsafeBytes { bytes in
        spare.end.endpoint.receive(bytes)
        while case let event = spare.end.endpoint.next() {
          switch event {
          case .none: return
          case .text(let text):
            let plain = String(decoding: text, as: UTF8.self)
            switch spareFate?(plain) ?? .pass {
            case .pass: venue.receive(spare.id, text: text, now: now)
            case .swallow: venue.pinged(spare.id, now: now)
            case .refuse(let code):
              let id = plain.split(separator: "\"id\":")[1].prefix { $0.isNumber }
              var reply = "{\"id\":\(id),\"error\":{\"code\":\(code),\"message\":\"no\"}}"
              reply.withUTF8 { _ = spare.end.endpoint.sendText(UnsafeRawBufferPointer($0)) }
            }
          case .ping, .pong: venue.pinged(spare.id, now: now)
          default: continue
          }
        }
      }
    }
  }

  private func deliverToStandby() {
    if let spare, spare.end.endpoint.output.count > 0 {
      spareToLane.append(Parcel(at: now + latency, bytes: Array(spare.end.endpoint.output)))
      spare.end.endpoint.consumeOutput(spare.end.endpoint.output.count)
    }
    while let parcel = spareToLane.first, parcel.at <= now, spare != nil {
      spareToLane.removeFirst()
      parcel.bytes.withUnsafeBytes { lane.standbyReceive($0, now: now) }
    }
  }

  private func connectIfDue() throws {
    guard !isUnreachable, now >= lane.session.retryAt, lane.mayConnect else { return }
    connections += 1
    connection = ConnectionID(connections)
    server = try ServerEnd()
    venue.connect(connection, now: now)
    let key = (0..<16).map { _ in UInt8.random(in: 0...255, using: &random) }
    try lane.connected(key: key, maskSeed: random.next(), now: now)
    isUp = true
    collectLane()
  }

  /// The connection breaks; what was under way is lost.
  func drop() {
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

  /// The lane's end is gone, but the venue does not notice (until its dead-man timer does).
  func dropUnnoticed() {
    guard isUp else { return }
    isUp = false
    toVenue.removeAll()
    toLane.removeAll()
    held.removeAll()
    server = nil
    lane.disconnected(now: now)
  }

  /// The manager forbids quoting.
  func pullQuotes() {
    var directive = Directive()
    directive.isQuotingAllowed = false
    lane.direct(directive, instrument: 0, now: now)
    collectLane()
  }

  func requestStop() { lane.requestStop(now: now) }

  func halt(_ level: StopLevel, _ cause: HaltCause = .otherProcess) {
    lane.halt(cause, at: level, now: now)
    collectLane()
  }

  func rearm() {
    lane.rearm(now: now)
    collectLane()
  }

  /// How far our wall clock is ahead of the venue's; `nil` leaves the lane without one.
  var clockError: Nanoseconds? {
    didSet { lane.safety.wallOffset = clockError.map { venue.configuration.wallClockBase + $0 } }
  }

  var outcome: HaltOutcome { lane.haltOutcome }
  var plan: FlattenPlan? { lane.flattenPlan(0) }
  var ordersLeft: Int { lane.ordersLeft }
  var clockEstimate: Nanoseconds? { lane.safety.clock.estimate }
  var isClockRefused: Bool { lane.safety.isClockRefused }
  func obey(_ message: DirectiveMessage) { lane.obey(message, now: now) }
  func level(of cause: HaltCause) -> StopLevel { lane.safety.ladder.level(of: cause) }

  private func collectLane() {
    let second = lane.standby.endpoint.output
    if second.count > 0, spare != nil {
      spareToVenue.append(Parcel(at: now + latency, bytes: Array(second)))
      lane.standby.endpoint.consumeOutput(second.count)
    }
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
            if recordsRequests { requests.append(String(decoding: text, as: UTF8.self)) }
            switch fate?(String(decoding: text, as: UTF8.self)) ?? .pass {
            case .pass: venue.receive(connection, text: text, now: now)
            case .swallow: venue.pinged(connection, now: now)
            case .refuse(let code):
              venue.pinged(connection, now: now)
              let id = String(decoding: text, as: UTF8.self).split(separator: "\"id\":")[1].prefix { $0.isNumber }
              inject("{\"id\":\(id),\"error\":{\"code\":\(code),\"message\":\"no\"}}")
            }
          case .ping, .pong: venue.pinged(connection, now: now)
          default: continue
          }
        }
      }
    }
  }

  private func drainVenue() {
    guard venue.hasOutput else {
      flushServer()
      return
    }
    var closes = false
    venue.drain { id, outgoing in
      if let spare, id == spare.id, case .text(let text) = outgoing { _ = spare.end.endpoint.sendText(text) }
      guard id == connection, let server else { return }
      switch outgoing {
      case .text(let text):
        if tamper != nil || schedule != nil {
          let plain = String(decoding: text, as: UTF8.self)
          guard let altered = tamper == nil ? plain : tamper?(plain) else { return }
          guard let schedule else { return send(altered) }
          for delay in schedule(altered) {
            if delay == 0 { send(altered) } else { held.append((now + delay, altered)) }
          }
        } else {
          _ = server.endpoint.sendText(text)
        }
      case .close(let code):
        server.endpoint.close(code: code)
        closes = true
      }
    }
    flushServer()
    if closes { venue.disconnected(connection, now: now) }
  }

  private func send(_ text: String) {
    var text = text
    guard let server else { return }
    text.withUTF8 { _ = server.endpoint.sendText(UnsafeRawBufferPointer($0)) }
  }

  /// A frame that the venue did not send.
  func inject(_ text: String) { held.append((now, text)) }

  private func sendHeld() {
    guard !held.isEmpty, server != nil else { return }
    let due = held.filter { $0.at <= now }.sorted { $0.at < $1.at }
    held.removeAll { $0.at <= now }
    for frame in due { send(frame.text) }
    flushServer()
  }

  private func flushServer() {
    guard let server else { return }
    let output = server.endpoint.output
    guard output.count > 0 else { return }
    toLane.append(Parcel(at: now + latency, bytes: Array(output)))
    server.endpoint.consumeOutput(output.count)
  }

  private func deliverToLane() {
    while laneReads, let parcel = toLane.first, parcel.at <= now, isUp {
      toLane.removeFirst()
      parcel.bytes.withUnsafeBytes { lane.receive($0, now: now) }
    }
  }

  /// Shows the lane in a telemetry file, as its runner does a few times a second.
  func show(in telemetry: inout LaneTelemetry) {
    lane.core.acks.span = telemetry.acknowledgeSpan
    while !telemetry.publish(&lane, error: "", now: now) {}
  }

  /// The venue grants so many order messages a second.
  func grant(messages: Int) throws {
    lane.orderBudget = TokenBucket(try BucketRate(capacity: messages, tokensPerSecond: messages))
  }

  // MARK: - Looking

  var books: AccountBooks? { venue.books(venue.accountNames.first ?? "") }

  var quoted: (bids: Int, asks: Int) {
    lane.core.tracker.with(0) { ($0.bids.restingCount, $0.asks.restingCount) }
  }

  var fills: Int { lane.core.tracker.with(0) { $0.fills } }
  var position: Int64? { lane.core.tracker.with(0) { $0.position?.rawValue } }
  var feesE8: Int64 { lane.core.tracker.with(0) { $0.feesE8 } }
  var block: QuotingBlock { lane.quoting.block(0) }
  var adjustments: Int { lane.core.tracker.with(0) { $0.positionAdjustments } }

  /// A second connection of the same account.
  func loginElsewhere() -> ConnectionID {
    let other = ConnectionID(90_000 + connections)
    venue.connect(other, now: now)
    let token = clock.token(base: venue.configuration.wallClockBase)
    venue.receive(other, text: "{\"method\":\"public/login\",\"id\":1,\"params\":{\"token\":\"\(token)\"}}", now: now)
    return other
  }
}
