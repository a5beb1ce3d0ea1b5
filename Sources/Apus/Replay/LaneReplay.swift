import CSupport

/// A lane that repeats a recorded run: the engine's own code on the recorded inputs and times.
///
/// Each step takes one input from the player and hands it to the lane as the network, the timers or another thread did.
/// What the lane does about it is compared by the player, record by record.
struct LaneReplay<Adapter: ExchangeAdapter & ~Copyable>: ~Copyable {
  private var lane: Lane<Adapter>
  private let player: JournalPlayer
  private let text: UnsafeMutableRawPointer
  /// Twice what the WebSocket lets through. The decoder may look at a few bytes behind a text: they are zero.
  private static var textCapacity: Int { 2 << 20 }
  private static var textPadding: Int { 64 }

  init(
    _ description: RunDescription, player: JournalPlayer,
    strategies: StrategyMaking
  ) throws {
    // The network is not repeated: what is written is taken at once.
    let output = try LaneOutput(records: LaneRecords(player: player), companions: Adapter.companionCount)
    lane = try Lane(
      settings: description.settings, adapter: try Adapter(description.settings), output: output,
      makeToken: { "not recorded" }, strategies: strategies)
    self.player = player
    text = .allocate(byteCount: Self.textCapacity + Self.textPadding, alignment: 64)
  }

  deinit { text.deallocate() }

  /// Repeats the next input.
  mutating func step() {
    let now = player.record.time_ns
    let count = player.counts.records
    switch player.kind {
    case .inbound: read(now)
    case .timer: lane.tick(now: now)
    case .directive:
      guard let record = player.directive else { break }
      guard !record.isHedge else {
        lane.hedge(
          record.instrument_index, lots: record.target_lots, slippageCentiBps: record.long_cap_lots, now: now)
        break
      }
      lane.direct(record.directive, instrument: record.instrument_index, now: now)
    case .control:
      if let record = player.control { control(record, now) }
    case .parameters:
      if let change = try? ParameterChange(text: player.payload) { lane.adopt(change, now: now) }
    case .more, .outbound, .note, .fill, .account, .run, .none: break
    }
    if player.counts.records == count { player.missed() }
    Self.take(&lane.output.endpoint)
    Self.take(&lane.standby.endpoint)
    for place in 0..<Adapter.companionCount { Self.take(&lane.output.companions.at(place).pointee.endpoint) }
    while lane.output.companions.takeQuestion({ _ in true }) {}
  }

  /// An upgrade request is needed when the WebSocket opens; what comes later is not.
  private static func take(_ endpoint: inout WebSocketEndpoint) {
    if endpoint.state == .open { endpoint.consumeOutput(endpoint.output.count) }
  }

  private mutating func control(_ record: ControlRecord, _ now: Nanoseconds) {
    guard let kind = record.kind else { return }
    switch kind {
    case .connected: try? lane.connected(key: Self.key(record), maskSeed: record.third, now: now)
    case .disconnected: lane.disconnected(now: now)
    case .opened, .closed, .failed, .heard: read(now)
    case .halt:
      guard let cause = HaltCause(rawValue: UInt8(truncatingIfNeeded: record.first)),
        let level = StopLevel(rawValue: UInt32(truncatingIfNeeded: record.second))
      else { return }
      lane.halt(cause, at: level, now: now)
    case .rearm: lane.rearm(now: now)
    case .stop: lane.requestStop(now: now)
    case .stopStep: lane.runStopUnreached(now: now)
    case .wallClock: lane.noteWallClock(Nanoseconds(bitPattern: record.first), now: now)
    case .noRoom, .stopped: return
    case .spareUp: try? lane.standbyConnected(key: Self.key(record), maskSeed: record.third, now: now)
    case .spareLost: lane.standbyLost(now: now)
    case .movedOver: lane.moveOver(now: now)
    case .companionUp:
      try? lane.companionConnected(
        Int(truncatingIfNeeded: record.fourth), key: Self.key(record), maskSeed: record.third, now: now)
    case .companionLost: lane.companionLost(Int(truncatingIfNeeded: record.first), now: now)
    }
  }

  private static func key(_ record: ControlRecord) -> [UInt8] {
    [record.first, record.second].flatMap { word in (0..<8).map { UInt8(truncatingIfNeeded: word >> ($0 * 8)) } }
  }

  // MARK: - Reads

  /// One read of a connection, with all that came in it.
  private mutating func read(_ now: Nanoseconds) {
    let number = player.record.connection
    if let place = lane.output.companions.place(of: number) { return readCompanion(place, now) }
    guard number == lane.output.records.currentConnection else { return readStandby(now) }
    lane.setTime(now)
    lane.session.lastHeard = now
    lane.output.records.beginRead()
    repeat {
      switch player.kind {
      case .inbound, .more:
        guard let text = copyText() else { return }
        lane.handle(text, now)
      case .control:
        guard let record = player.control else { return }
        switch ControlKind(rawValue: record.control) {
        case .opened:
          Self.open(&lane.output.endpoint)
          lane.opened(now)
        case .closed: return lane.closed(UInt16(truncatingIfNeeded: record.first), now)
        case .failed:
          guard let failure = WebSocketFailure(record) else { return }
          return lane.failed(failure, now)
        case .heard: lane.output.records.endRead(now: now)
        default: return
        }
      default: return
      }
    } while player.isContinued
    lane.lookAll(now)
  }

  private mutating func readCompanion(_ place: Int, _ now: Nanoseconds) {
    lane.setTime(now)
    lane.output.companions.at(place).pointee.lastHeard = now
    lane.output.records.beginRead()
    repeat {
      switch player.kind {
      case .inbound, .more:
        guard let text = copyText() else { return }
        lane.handle(text, companion: place, now)
      case .control:
        guard let record = player.control, let kind = record.kind else { return }
        switch kind {
        case .opened:
          Self.open(&lane.output.companions.at(place).pointee.endpoint)
          lane.companionOpened(place, now)
        case .closed, .failed: return lane.companionClosed(place, kind, record.first, record.second, now)
        case .heard: lane.companionHeard(place, now)
        default: return
        }
      default: return
      }
    } while player.isContinued
    lane.lookAll(now)
  }

  private mutating func readStandby(_ now: Nanoseconds) {
    lane.setTime(now)
    lane.output.records.beginRead()
    repeat {
      switch player.kind {
      case .inbound, .more:
        guard let text = copyText() else { return }
        lane.standbyHandle(text, now)
      case .control where player.control?.control == ControlKind.opened.rawValue:
        Self.open(&lane.standby.endpoint)
        lane.standbyOpened(now)
      case .control where player.control?.control == ControlKind.closed.rawValue:
        lane.standbyClosed(now)
      default: return
      }
    } while player.isContinued
  }

  /// The record's memory is gone once the lane has noted it.
  private func copyText() -> UnsafeRawBufferPointer? {
    let payload = player.payload
    guard payload.count <= Self.textCapacity else { return nil }
    if let base = payload.baseAddress { text.copyMemory(from: base, byteCount: payload.count) }
    (text + payload.count).initializeMemory(as: UInt8.self, repeating: 0, count: Self.textPadding)
    return UnsafeRawBufferPointer(start: text, count: payload.count)
  }

  /// Opens a WebSocket that has been started, as a venue would.
  private static func open(_ client: inout WebSocketEndpoint) {
    guard var server = try? WebSocketEndpoint(server: "") else { return }
    server.receive(client.output)
    while case .some = said(server.next()) {}
    client.consumeOutput(client.output.count)
    client.receive(server.output)
    while case .some = said(client.next()) {}
  }

  private static func said(_ event: WebSocketEvent) -> Bool? {
    if case .none = event { return nil }
    return true
  }

  // MARK: - Looking

  /// The client id of an order that the venue knows by this id; `nil` if it is not known.
  func clientID(of venueID: VenueID) -> UInt64? { lane.core.tracker.order(venueID)?.pointee.client_id }

  /// How the lane sees an order, its venue id and its instrument; `nil` if it does not know it, or no longer.
  func look(_ clientID: UInt64) -> (text: String, venueID: String, instrument: InstrumentIndex)? {
    guard let order = lane.core.tracker.order(clientID) else { return nil }
    return (
      SimulatedLane.describe(order), order.pointee.venue_id.text, order.pointee.instrument_index
    )
  }

  /// Whether the lane knows that an order has ended; false for one that it does not know, or no longer.
  func isDead(_ clientID: UInt64) -> Bool { lane.core.tracker.order(clientID)?.pointee.phaseValue == .dead }

  /// The best prices of an instrument.
  func standing(_ instrument: InstrumentIndex) -> Standing {
    let market = lane.core.markets + Int(instrument)
    let state = lane.core.tracker.state(instrument)
    func quote(_ level: BookLevel?) -> Quote? { level.map { Quote(price: $0.price_ticks, qty: $0.qty_lots) } }
    func ours(_ side: borrowing SideOrders) -> Quote? {
      side.firstResting.map {
        Quote(price: $0.pointee.price_ticks, qty: side.restingLots(at: $0.pointee.price_ticks))
      }
    }
    return Standing(
      ourBid: ours(state.pointee.bids), ourAsk: ours(state.pointee.asks),
      bid: quote(market.pointee.book.best(.buy)), ask: quote(market.pointee.book.best(.sell)),
      markE8: market.pointee.ticker.markE8)
  }

  /// What the lane counts, one for each instrument.
  func accounts() -> [ReplayedAccount] {
    (0..<lane.core.instrumentCount).map { index in
      lane.core.tracker.with(InstrumentIndex(index)) {
        ReplayedAccount(
          position: $0.position?.rawValue, bought: $0.boughtLots.rawValue, sold: $0.soldLots.rawValue,
          fills: Int64($0.fills), feesE8: $0.feesE8, cashE8: $0.cashE8)
      }
    }
  }

  /// The best bid and ask of the book, our own orders included, in ticks.
  func best(_ instrument: InstrumentIndex) -> String {
    let market = lane.core.markets + Int(instrument)
    func text(_ level: BookLevel?) -> String {
      level.map { "\($0.qty_lots.rawValue) at \($0.price_ticks.rawValue)" } ?? "none"
    }
    return "bid \(text(market.pointee.book.best(.buy))), ask \(text(market.pointee.book.best(.sell)))"
  }

  /// How each instrument stands, a line each.
  func state() -> [String] {
    (0..<lane.core.instrumentCount).map { index in
      let instrument = InstrumentIndex(index)
      let name = lane.settings.instruments[index].name
      return lane.core.tracker.with(instrument) {
        "\(name): position \($0.position.map { "\($0.rawValue) lots" } ?? "not known"), \($0.bids.restingCount) bids and "
          + "\($0.asks.restingCount) asks rest, \($0.fills) fills; book: \(best(instrument)) "
          + "(lots at ticks); \(lane.quoting.block(instrument).text)"
      }
    }
  }
}

extension WebSocketFailure {
  fileprivate init?(_ record: ControlRecord) {
    guard let raw = WebSocketFailureCode(rawValue: UInt32(truncatingIfNeeded: record.first)),
      (1...19).contains(raw.rawValue)
    else { return nil }
    self.init(raw, code: UInt16(truncatingIfNeeded: record.second))
  }
}
