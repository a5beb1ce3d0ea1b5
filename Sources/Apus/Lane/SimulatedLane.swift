import CSupport

/// A lane whose connection, clock and venue are somebody else's: for simulated worlds with faults.
///
/// The caller is the network: it opens and breaks connections, carries bytes both ways and passes the time. All
/// that is decided is the lane's own. One thread. Deterministic: the same calls give the same bytes.
///
/// What is asked in every step is mutating although it changes nothing: a borrowed lane of this size would be copied to the
/// stack for each question.
public struct SimulatedLane: ~Copyable {
  var lane: Lane<ThalexAdapter>

  /// - Parameters:
  ///   - ladders: one for each instrument of `settings`.
  ///   - makeToken: makes a login token; asked once for each connection.
  ///   - journal: where the run is recorded, so that it can be repeated; `nil`: nowhere.
  public init(
    settings: LaneSettings, ladders: [LadderParameters], makeToken: @escaping () -> String,
    journal: consuming JournalWriter? = nil
  ) throws {
    precondition(ladders.count == settings.instruments.count, "one ladder for each instrument")
    try self.init(
      settings, RunDescription(settings: settings, ladders: ladders), makeToken: makeToken, journal: journal)
  }

  /// A lane with the strategies of a configuration of one venue, whose instruments are those of `settings`.
  public init(
    settings: LaneSettings, strategiesOf configuration: Configuration, makeToken: @escaping () -> String,
    journal: consuming JournalWriter? = nil
  ) throws {
    precondition(
      configuration.instruments.map(\.name) == settings.instruments.map(\.name), "the settings are those of the file")
    try self.init(
      settings, RunDescription(settings: settings, configuration: configuration, isConfigured: true),
      makeToken: makeToken, journal: journal)
  }

  private init(
    _ settings: LaneSettings, _ description: RunDescription, makeToken: @escaping () -> String,
    journal: consuming JournalWriter?
  ) throws {
    var output = try LaneOutput(records: LaneRecords(journal: journal))
    if output.records.isOn { output.records.run(try description.text(), now: 0) }
    guard let strategies = description.makeStrategy(own: nil) else {
      preconditionFailure("a description of ladders or of a configuration makes its strategies")
    }
    lane = try Lane(
      settings: settings, adapter: try ThalexAdapter(settings), output: output, makeToken: makeToken,
      strategies: strategies)
  }

  // MARK: - The network's part

  /// A connection is up; the lane asks for the WebSocket upgrade. `key`: 16 random bytes.
  public mutating func connected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds) throws(WebSocketSetupError) {
    try lane.connected(key: key, maskSeed: maskSeed, now: now)
  }

  /// The connection is gone.
  public mutating func disconnected(now: Nanoseconds) { lane.disconnected(now: now) }

  /// Bytes of the connection's plain stream.
  public mutating func receive(_ bytes: UnsafeRawBufferPointer, now: Nanoseconds) { lane.receive(bytes, now: now) }

  /// Runs the timers that are due.
  public mutating func tick(now: Nanoseconds) { lane.tick(now: now) }

  /// When `tick` next has something to do.
  public var nextDueAt: Nanoseconds { mutating get { lane.nextDueAt } }

  /// What the lane has written; stays where it is until the next call.
  public var output: UnsafeRawBufferPointer { mutating get { lane.output.endpoint.output } }

  /// Takes the first `count` bytes off `output`.
  public mutating func consumeOutput(_ count: Int) { lane.output.endpoint.consumeOutput(count) }

  /// Not before this time does the lane want a new connection.
  public var retryAt: Nanoseconds { mutating get { lane.session.retryAt } }

  /// Why the lane wants its connection closed; `nil` if it does not.
  public var closeReason: String? {
    mutating get { lane.session.closeReason == .none ? nil : "\(lane.session.closeReason)" }
  }

  // MARK: - The network's part, for a second connection

  /// Whether the lane wants a second connection made beside the first one now.
  public mutating func wantsStandby(now: Nanoseconds) -> Bool { lane.wantsStandby(now) }

  /// The second connection is up. As `connected`.
  public mutating func standbyConnected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds) throws(WebSocketSetupError) {
    try lane.standbyConnected(key: key, maskSeed: maskSeed, now: now)
  }

  /// Bytes of the second connection's plain stream.
  public mutating func standbyReceive(_ bytes: UnsafeRawBufferPointer, now: Nanoseconds) {
    lane.standbyReceive(bytes, now: now)
  }

  /// What the lane has written for the second connection; stays where it is until the next call.
  public var standbyOutput: UnsafeRawBufferPointer { mutating get { lane.standby.endpoint.output } }

  /// Takes the first `count` bytes off `standbyOutput`.
  public mutating func consumeStandbyOutput(_ count: Int) { lane.standby.endpoint.consumeOutput(count) }

  /// The second connection could not be made, or is gone, or was dropped because it is no longer kept.
  public mutating func standbyLost(now: Nanoseconds) { lane.standbyLost(now: now) }

  /// Whether a second connection is still wanted: if not, it is to be dropped.
  public var keepsStandby: Bool { mutating get { lane.keepsStandby } }

  /// Whether the first connection is to be closed now and the second one to take its place.
  public var isMoveDue: Bool { mutating get { lane.isMoveDue } }

  /// Whether the second connection takes the place of the first one if that is lost now.
  public var takesOver: Bool { mutating get { lane.takesOver } }

  /// The second connection has taken the place of the first one, which is closed.
  public mutating func moveOver(now: Nanoseconds) { lane.moveOver(now: now) }

  // MARK: - The operator's part

  /// Cancel everything, verify, end. Idempotent.
  public mutating func requestStop(now: Nanoseconds) { lane.requestStop(now: now) }

  /// Other parameters, as `Engine.adopt` gives them to a running engine; `configuration` is the one venue's.
  ///
  /// - Throws: if the lane quotes by ladders instead of a configuration's strategies, or other instruments.
  public mutating func adopt(_ configuration: Configuration, now: Nanoseconds) throws {
    guard lane.strategies.maker != nil,
      configuration.instruments.map(\.name) == lane.settings.instruments.map(\.name)
    else { throw ParameterRefusal(description: "the lane quotes no configuration with these instruments") }
    lane.adopt(
      try ParameterChange(version: lane.parameterVersion + 1, sections: configuration.instruments), now: now)
  }

  /// The manager forbids or allows quoting in one instrument.
  public mutating func direct(_ directive: Directive, instrument: InstrumentIndex, now: Nanoseconds) {
    lane.direct(directive, instrument: instrument, now: now)
  }

  // MARK: - Looking

  /// A halt is latched that cancels everything, by the manager or otherwise.
  public var isHalted: Bool { mutating get { lane.safety.ladder.latchedLevel >= .cancelAll } }

  /// The lane says that nothing of ours rests at the venue, and that nothing will until it is re-armed.
  public var isHaltVerified: Bool {
    mutating get {
      switch lane.haltOutcome {
      case .verified, .closing, .flat: true
      default: false
      }
    }
  }

  /// Inserts, amends and mass quotes that have left.
  public var ordersSent: Int { mutating get { lane.ordersSent } }

  /// What the lane believes about its risk in one instrument, quantities in lots; as cheap as it can be.
  public struct Risk: Equatable, Sendable {
    public var isPositionKnown: Bool
    /// The position if everything is bought that may still be bought, and as a short if everything is sold, as the risk
    /// gate counts it: what is not proven dead counts, and the worse of our count and the venue's.
    public var worstLong: Int64
    public var worstShort: Int64
    public var fills: Int
    public var bought: Int64
    public var sold: Int64
    public var adjustments: Int
  }

  public mutating func risk(_ instrument: InstrumentIndex) -> Risk {
    let state = lane.core.tracker.state(instrument)
    return Risk(
      isPositionKnown: state.pointee.position != nil, worstLong: -state.pointee.room(for: .buy, limit: .zero).rawValue,
      worstShort: -state.pointee.room(for: .sell, limit: .zero).rawValue, fills: state.pointee.fills,
      bought: state.pointee.boughtLots.rawValue, sold: state.pointee.soldLots.rawValue,
      adjustments: state.pointee.positionAdjustments)
  }

  /// Profit of one instrument since its opening balance at the last mark that the lane has seen, fees taken off; and that
  /// mark. 10⁻⁸ USD. `nil` if it is not listed.
  public func profit(_ instrument: InstrumentIndex) -> (profitE8: MoneyE8, markE8: Int64)? {
    let market = lane.core.markets + Int(instrument)
    let mark = market.pointee.lastMarkE8
    guard market.pointee.info != nil else { return nil }
    return (lane.core.tracker.state(instrument).pointee.profitE8(markE8: mark), mark)
  }

  public var isReady: Bool { mutating get { lane.adapter.phase == .ready } }
  public var isStopped: Bool { mutating get { lane.isStopped } }
  public var isStopVerified: Bool { lane.stop.isVerified }
  public var statusText: String { lane.adapter.statusText }
  public var counters: LaneCounters { lane.core.counters }
  public var trackerCounters: TrackerCounters { lane.core.tracker.counters }
  public var unknownOrders: Int { lane.core.tracker.unknownCount }
  public var missingFillOrders: Int { lane.core.tracker.missingFillOrders }

  /// What the lane believes about one instrument; quantities in lots.
  public struct Account: Equatable, Sendable {
    public var position: Int64?
    public var stated: Int64?
    public var openBuys: Int64
    public var openSells: Int64
    public var fills: Int
    public var bought: Int64
    public var sold: Int64
    public var feesE8: MoneyE8
    public var fillsWithoutFee: Int
    /// Proceeds of sells minus costs of buys, positions taken over at their mark included.
    public var cashE8: MoneyE8
    public var adjustments: Int
    public var restingBids: Int
    public var restingAsks: Int
    public var block: QuotingBlock
  }

  public func account(_ instrument: InstrumentIndex) -> Account {
    let block = lane.quoting.block(instrument)
    return lane.core.tracker.with(instrument) {
      Account(
        position: $0.position?.rawValue, stated: $0.stated?.rawValue, openBuys: $0.openBuyLots.rawValue,
        openSells: $0.openSellLots.rawValue, fills: $0.fills, bought: $0.boughtLots.rawValue,
        sold: $0.soldLots.rawValue, feesE8: $0.feesE8, fillsWithoutFee: $0.fillsWithoutFee, cashE8: $0.cashE8,
        adjustments: $0.positionAdjustments, restingBids: $0.bids.restingCount, restingAsks: $0.asks.restingCount,
        block: block)
    }
  }

  /// An order that rests by the venue's word, as far as the lane knows.
  public struct Resting: Equatable, Sendable {
    public var side: Side
    public var priceTicks: Int64
    /// What is left of it.
    public var lots: Int64
  }

  /// The orders that rest, both sides. Cold.
  public func orders(_ instrument: InstrumentIndex) -> [Resting] {
    lane.core.tracker.with(instrument) { state in
      var list: [Resting] = []
      func add(_ order: OrderPointer) {
        guard order.pointee.phaseValue != .dead else { return }
        list.append(
          Resting(
            side: order.pointee.sideValue, priceTicks: order.pointee.price_ticks.rawValue,
            lots: (order.pointee.qty_lots - order.pointee.filled_lots).rawValue))
      }
      for index in 0..<state.bids.count { add(state.bids[index]) }
      for index in 0..<state.asks.count { add(state.asks[index]) }
      return list
    }
  }

  /// Requests about orders that have no answer yet, and orders whose state is not known.
  public var openQuestions: Int {
    lane.core.tracker.inFlightCount + lane.core.tracker.unknownCount + lane.core.tracker.missingFillOrders
  }

  /// One line for each order that may still trade, as the lane sees it. Cold.
  public func describeOrders(_ instrument: InstrumentIndex) -> [String] {
    lane.core.tracker.with(instrument) { state in
      var lines: [String] = []
      for index in 0..<state.bids.count { lines.append(Self.describe(state.bids[index])) }
      for index in 0..<state.asks.count { lines.append(Self.describe(state.asks[index])) }
      return lines
    }
  }

  /// How the lane sees one order, ended ones as long as they are remembered; `nil` for one that it does not know.
  public func describeOrder(_ clientID: UInt64) -> String? { lane.core.tracker.order(clientID).map(Self.describe) }

  static func describe(_ order: OrderPointer) -> String {
    let record = order.pointee
    let phase =
      switch record.phaseValue {
      case .free: "free"
      case .live: "live"
      case .dead: "dead"
      case .unknown: "unknown"
      default: "inserting"
      }
    let request =
      switch record.inFlightValue {
      case .insert: ", insert in flight"
      case .amend: ", amend in flight to \(record.target_lots.rawValue) at \(record.target_ticks.rawValue)"
      case .cancel: ", cancel in flight"
      default: ""
      }
    return "#\(record.client_id) \(record.sideValue == .buy ? "buy" : "sell") \(record.qty_lots.rawValue) at "
      + "\(record.price_ticks.rawValue), filled \(record.filled_lots.rawValue) of reported "
      + "\(record.reported_lots.rawValue), \(phase)\(request), worst \(record.worstCaseLots.rawValue)"
  }
}
