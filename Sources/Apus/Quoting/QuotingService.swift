import CSupport

/// Why nothing is quoted in an instrument at this moment; shown to the operator (R62).
/// Each ends by itself when its cause does.
public enum QuotingBlock: UInt8, Sendable, CaseIterable {
  case none
  case sessionNotReady, stopping, notListed, positionUnknown, noLimits, noBook, oneSidedBook, crossedBook
  case staleMarket, noMark, directive
  /// The strategy asked for nothing.
  case strategyEmpty
  case journalFailed, refusedByVenue, throttled
  /// The venue's protection of mass quotes is used up or not set.
  case protection
  /// The venue has left too many order messages unanswered.
  case unanswered
  /// Of the kill ladder and the safety rules.
  case halted, noNewOrders, slowVenue, staleBook, staleMark, staleIndex, churn, toxicFlow, clockOff
  /// The venue is only looked at.
  case referenceOnly
  /// Another engine of the account has the instrument.
  case handedOver

  /// For people. Literals all: the lane shows them, and makes no text for it.
  public var text: String {
    switch self {
    case .none: "quoting"
    case .sessionNotReady: "the session with the venue is not ready"
    case .stopping: "stopping"
    case .notListed: "the venue does not list the instrument"
    case .positionUnknown: "the venue has not stated the position"
    case .noLimits: "no risk limits are loaded"
    case .noBook: "no book snapshot has arrived"
    case .oneSidedBook: "a side of the market is empty"
    case .crossedBook: "the market is crossed or locked"
    case .staleMarket: "the market data is stale"
    case .noMark: "the venue has not stated a mark price"
    case .directive: "the manager has stopped quoting"
    case .strategyEmpty: "the strategy wants no quotes"
    case .journalFailed: "the journal could not be written; free space and restart"
    case .refusedByVenue: "the venue refuses our orders; they are tried again after a pause"
    case .unanswered: "the venue does not answer order messages; quoting resumes when it does"
    case .protection: "the venue's protection of mass quotes is used up or not set; it is set again after a pause"
    case .throttled: "the message rate was exceeded; quoting resumes after a pause"
    case .halted: "halted by the kill ladder; apus resume re-arms it"
    case .noNewOrders: "the kill ladder allows no new orders; apus resume re-arms it"
    case .slowVenue: "the venue answers too slowly; quoting resumes after a pause"
    case .staleBook: "the book is stale"
    case .staleMark: "the mark price is stale"
    case .staleIndex: "the index is stale"
    case .churn: "too many messages for this instrument; quoting resumes after a pause"
    case .toxicFlow: "too many fills on one side, or the mark moved against them; quoting resumes after a pause"
    case .referenceOnly: "only looked at: its prices count, nothing is sent"
    case .handedOver: "handed over: another engine has this instrument (share 0)"
    case .clockOff: "the clocks of this machine and of the venue have not been seen to agree"
    }
  }
}

/// Turns a look at one instrument into commands: strategy, safety cuts, reconciler.
///
/// Pure decisions: state in, commands out; sending, budget and risk are the lane's next steps.
public struct QuotingService: ~Copyable {
  private let strategies: UnsafeMutablePointer<Unmanaged<AnyStrategy>?>
  private let policies: UnsafeMutablePointer<ReconcilePolicy>
  private let blocks: UnsafeMutablePointer<QuotingBlock>
  private let directives: UnsafeMutablePointer<Directive>
  let instrumentCapacity: Int
  private var ladders: Ladders
  /// The best prices of others that the last look saw; nil where it did not get so far.
  private(set) var lastBests: (bid: PriceTicks?, ask: PriceTicks?) = (nil, nil)
  /// Of the last look: what takes risk off, to be sent first, and everything else.
  var cancels: CommandBuffer
  var changes: CommandBuffer

  init(instrumentCapacity: Int, ladderCapacity: Int, ordersPerSide: Int) {
    self.instrumentCapacity = instrumentCapacity
    strategies = .allocate(capacity: instrumentCapacity)
    strategies.initialize(repeating: nil, count: instrumentCapacity)
    policies = .allocate(capacity: instrumentCapacity)
    policies.initialize(repeating: ReconcilePolicy(), count: instrumentCapacity)
    blocks = .allocate(capacity: instrumentCapacity)
    blocks.initialize(repeating: .sessionNotReady, count: instrumentCapacity)
    directives = .allocate(capacity: instrumentCapacity)
    directives.initialize(repeating: Directive(), count: instrumentCapacity)
    ladders = Ladders(capacity: ladderCapacity)
    cancels = CommandBuffer(capacity: 2 * ordersPerSide)
    changes = CommandBuffer(capacity: 2 * max(ordersPerSide, ladderCapacity))
  }

  deinit {
    for index in 0..<instrumentCapacity { strategies[index]?.release() }
    strategies.deallocate()
    policies.deallocate()
    blocks.deallocate()
    directives.deallocate()
  }

  /// Cold: when the instrument is listed.
  mutating func assign(_ strategy: AnyStrategy, policy: ReconcilePolicy, to instrument: InstrumentIndex) {
    strategies[Int(instrument)]?.release()
    strategies[Int(instrument)] = Unmanaged.passRetained(strategy)
    policies[Int(instrument)] = policy
  }

  /// Cold: other parameters for a strategy that was assigned.
  mutating func retune(_ instrument: InstrumentIndex, policy: ReconcilePolicy, _ retune: (AnyStrategy) -> Void) {
    guard let strategy = strategies[Int(instrument)] else { return }
    retune(strategy.takeUnretainedValue())
    policies[Int(instrument)] = policy
  }

  mutating func direct(_ directive: Directive, _ instrument: InstrumentIndex) {
    directives[Int(instrument)] = directive
  }

  func block(_ instrument: InstrumentIndex) -> QuotingBlock { blocks[Int(instrument)] }

  /// Quotes are wanted, but for this reason they are not sent now.
  mutating func hold(_ instrument: InstrumentIndex, _ block: QuotingBlock) { blocks[Int(instrument)] = block }

  /// Looks at one instrument and fills `cancels` and `changes`.
  ///
  /// - Parameter gate: a reason outside of this instrument not to quote, or `.none`.
  mutating func look(
    _ instrument: InstrumentIndex, market: MarketPointer, state: StatePointer, limits: RiskLimits?,
    staleAfter: Nanoseconds, gate: QuotingBlock, now: Nanoseconds
  ) {
    cancels.removeAll()
    changes.removeAll()
    ladders.removeAll()
    lastBests = (nil, nil)
    blocks[Int(instrument)] = fill(
      instrument, market: market, state: state, limits: limits, staleAfter: staleAfter, gate: gate, now: now)
    tellHeld(instrument, market, state, limits, now)
    let policy = policies[Int(instrument)]
    // When the market moves up the asks move away first, when it moves down the bids: the orders of
    // one instrument are processed in order, so our own sides never meet.
    let asksFirst = movesUp(state)
    if asksFirst {
      Reconciler.reconcile(
        instrument: instrument, desired: ladders.asks, orders: state.pointee.asks, policy: policy, cancels: &cancels,
        changes: &changes)
    }
    Reconciler.reconcile(
      instrument: instrument, desired: ladders.bids, orders: state.pointee.bids, policy: policy, cancels: &cancels,
      changes: &changes)
    if !asksFirst {
      Reconciler.reconcile(
        instrument: instrument, desired: ladders.asks, orders: state.pointee.asks, policy: policy, cancels: &cancels,
        changes: &changes)
    }
  }

  /// What each change of the last look is worth. `order` finds the order that an amend is about.
  func value(of command: Command, order: OrderPointer?) -> Int64 {
    guard let far = command.side == .buy ? lastBests.ask : lastBests.bid else { return 0 }
    let best = command.side == .buy ? ladders.bids[0].price : ladders.asks[0].price
    let value = MessageValue(side: command.side, far: far, bestDesired: best)
    guard let order else { return value.insert(at: command.price) }
    let standing = order.pointee.price_ticks
    if standing != command.price { return value.move(from: standing, to: command.price) }
    return value.resize(
      at: command.price, missing: command.qty - order.pointee.qty_lots,
      of: command.qty - order.pointee.filled_lots)
  }

  /// Looks at an instrument that is quoted with mass quotes, and plans both sides.
  ///
  /// A ladder is cut to half of the room up to the limit: while a side is being replaced, what stands and what
  /// replaces it both count.
  mutating func lookForQuotes(
    _ instrument: InstrumentIndex, market: MarketPointer, state: StatePointer, limits: RiskLimits?,
    staleAfter: Nanoseconds, gate: QuotingBlock, bids: inout QuotePlan, asks: inout QuotePlan, now: Nanoseconds
  ) {
    ladders.removeAll()
    lastBests = (nil, nil)
    blocks[Int(instrument)] = fill(
      instrument, market: market, state: state, limits: limits, staleAfter: staleAfter, gate: gate, share: 2, now: now)
    tellHeld(instrument, market, state, limits, now)
    let policy = policies[Int(instrument)]
    bids.plan(desired: ladders.bids, orders: state.pointee.bids, policy: policy, far: lastBests.ask)
    asks.plan(desired: ladders.asks, orders: state.pointee.asks, policy: policy, far: lastBests.bid)
  }

  /// A strategy that was not asked for quotes learns what is held all the same.
  @inline(__always)
  private func tellHeld(
    _ instrument: InstrumentIndex, _ market: MarketPointer, _ state: StatePointer, _ limits: RiskLimits?,
    _ now: Nanoseconds
  ) {
    let block = blocks[Int(instrument)]
    guard block != .none, block != .strategyEmpty, let info = market.pointee.info,
      let position = state.pointee.position, let strategy = strategies[Int(instrument)]
    else { return }
    let none = Quote(price: .init(rawValue: 0), qty: .zero)
    let view = makeView(
      instrument, market, info.grid, none, none, position, limits?.maximumPosition ?? .zero,
      directives[Int(instrument)], now)
    strategy._withUnsafeGuaranteedRef { $0.hold(view) }
  }

  @inline(__always)
  private func makeView(
    _ instrument: InstrumentIndex, _ market: MarketPointer, _ grid: InstrumentGrid, _ bid: Quote, _ ask: Quote,
    _ position: QtyLots, _ maximumPosition: QtyLots, _ directive: Directive, _ now: Nanoseconds
  ) -> QuoteView {
    QuoteView(
      now: now, instrument: instrument, grid: grid, bestBid: bid, bestAsk: ask,
      markE8: market.pointee.ticker.markE8, indexE8: market.pointee.ticker.indexE8, position: position,
      maximumPosition: maximumPosition, directive: directive, venueTime: market.pointee.venueTime(now: now),
      volatilityE8: market.pointee.ticker.volatilityE8, deltaE8: market.pointee.ticker.deltaE8,
      forwardE8: market.pointee.ticker.forwardE8)
  }

  /// Fills the ladders, cut to what is safe; returns why they are empty, if they are.
  ///
  /// - Parameter share: a ladder takes one part in so many of the room up to the limit.
  @inline(__always)
  private mutating func fill(
    _ instrument: InstrumentIndex, market: MarketPointer, state: StatePointer, limits: RiskLimits?,
    staleAfter: Nanoseconds, gate: QuotingBlock, share: Int64 = 1, now: Nanoseconds
  ) -> QuotingBlock {
    guard gate == .none else { return gate }
    guard let info = market.pointee.info else { return .notListed }
    guard let position = state.pointee.position else { return .positionUnknown }
    guard let limits else { return .noLimits }
    guard market.pointee.isBookValid else { return .noBook }
    guard now - market.pointee.tickerTime <= staleAfter else { return .staleMarket }
    guard market.pointee.ticker.markE8 > 0 || info.kind == .combination else { return .noMark }
    guard !market.pointee.book.isCrossed else { return .crossedBook }
    guard let bid = market.pointee.book.bestOfOthers(.buy, own: state.pointee.bids),
      let ask = market.pointee.book.bestOfOthers(.sell, own: state.pointee.asks)
    else { return .oneSidedBook }
    lastBests = (bid.price, ask.price)
    let directive = directives[Int(instrument)].fresh(now: now)
    guard directive.isQuotingAllowed else { return .directive }
    guard let strategy = strategies[Int(instrument)] else { return .notListed }

    let view = makeView(
      instrument, market, info.grid, bid, ask, position, limits.maximumPosition, directive, now)
    while let trade = market.pointee.trades.take() { strategy._withUnsafeGuaranteedRef { $0.trade(trade) } }
    strategy._withUnsafeGuaranteedRef { $0.quote(view, into: &ladders) }
    let (bought, sold) = (directive.passiveHedge, .zero - directive.passiveHedge)
    if bought > .zero { ladders.bids.add(price: bid.price, qty: min(bought, limits.maximumOrder)) }
    if sold > .zero { ladders.asks.add(price: ask.price, qty: min(sold, limits.maximumOrder)) }
    if directive.pullsBids { ladders.bids.removeAll() }
    if directive.pullsAsks { ladders.asks.removeAll() }

    // Whatever the strategy asked for: never across the market, never past the limits.
    ladders.bids.clip(
      bound: PriceTicks(rawValue: ask.price.rawValue - 1),
      limit: QtyLots(rawValue: (limits.maximumLong - position).rawValue / share),
      minimum: info.grid.minimumLots)
    if info.kind != .combination { ladders.bids.keepPositive() }
    ladders.asks.clip(
      bound: PriceTicks(rawValue: bid.price.rawValue + 1),
      limit: QtyLots(rawValue: (limits.maximumShort + position).rawValue / share),
      minimum: info.grid.minimumLots)
    return ladders.bids.count + ladders.asks.count > 0 ? .none : .strategyEmpty
  }

  /// Whether the desired bids come closer to our standing asks than the desired asks to our bids.
  @inline(__always)
  private func movesUp(_ state: StatePointer) -> Bool {
    guard ladders.bids.count > 0, state.pointee.bids.count > 0 else { return false }
    return ladders.bids[0].price > state.pointee.bids[0].pointee.effectivePrice
  }
}
