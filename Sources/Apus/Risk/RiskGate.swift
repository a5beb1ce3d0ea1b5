import CSupport

/// The limits of one instrument, on its grid. Without them nothing is traded (R54).
public struct RiskLimits: Equatable, Sendable {
  /// Largest worst-case position, long or short: position plus everything that may still trade.
  public var maximumPosition: QtyLots {
    didSet {
      maximumLong = maximumPosition
      maximumShort = maximumPosition
    }
  }
  /// The same for each side, where the manager leaves less; at most `maximumPosition`, and negative where the position has
  /// to be on the other side.
  public internal(set) var maximumLong: QtyLots
  public internal(set) var maximumShort: QtyLots
  /// Largest single order.
  public var maximumOrder: QtyLots
  /// Largest price × size of a single order, 10⁻⁸ of the quote currency.
  public var maximumNotionalE8: MoneyE8
  /// Largest distance of a price from the mark towards the aggressive side, in 10⁻² basis points.
  public var collarCentiBps: Int64
  /// Orders of one instrument at once, both sides.
  public var maximumOrders: Int

  public init(
    maximumPosition: QtyLots, maximumOrder: QtyLots, maximumNotionalE8: MoneyE8, collarCentiBps: Int64,
    maximumOrders: Int
  ) {
    self.maximumPosition = maximumPosition
    maximumLong = maximumPosition
    maximumShort = maximumPosition
    self.maximumOrder = maximumOrder
    self.maximumNotionalE8 = maximumNotionalE8
    self.collarCentiBps = collarCentiBps
    self.maximumOrders = maximumOrders
  }

  @inline(__always)
  func maximum(_ side: Side) -> QtyLots { side == .buy ? maximumLong : maximumShort }
}

/// Why a command was not let through. Each is looked at again on the next look; none stops quoting
/// for good (R62).
public enum RiskRefusal: UInt8, Sendable, CaseIterable {
  /// No limits are loaded for the instrument.
  case noLimits
  /// The position has not been stated by the venue.
  case positionUnknown
  case orderSize
  case notional
  /// The worst case of the side would pass the largest position.
  case exposure
  /// The price is too far on the aggressive side of the mark, or beyond the venue's collar.
  case collar
  case tooManyOrders
  /// The price would meet an order of our own.
  case selfCross
  /// The message budget is used up for now.
  case rate
  /// The order ended or changed while the look went on.
  case orderGone
}

/// A command that has passed the gate. Nothing else can make one, and adapters encode nothing else.
public struct ApprovedCommand: Sendable {
  public let command: Command

  fileprivate init(_ command: Command) {
    self.command = command
  }
}

public enum RiskVerdict: Sendable {
  case passed(ApprovedCommand)
  case refused(RiskRefusal)
}

/// What the gate needs to know of the market, integers only.
public struct RiskMarket: Sendable {
  public var grid: InstrumentGrid
  /// 0: unknown; then orders are refused.
  public var markE8: Int64
  /// The venue's own collars; 0: none stated.
  public var collarLowE8: Int64
  public var collarHighE8: Int64
  /// A combination's price is a difference: it may be 0 or less, and collars are measured by the index.
  public var isCombination = false
  public var indexE8: Int64 = 0

  init(_ info: InstrumentInfo, _ ticker: Ticker) {
    grid = info.grid
    markE8 = ticker.markE8
    collarLowE8 = ticker.collarLowE8
    collarHighE8 = ticker.collarHighE8
    isCombination = info.kind == .combination
    indexE8 = ticker.indexE8
  }

  public init(grid: InstrumentGrid, markE8: Int64, collarLowE8: Int64, collarHighE8: Int64) {
    self.grid = grid
    self.markE8 = markE8
    self.collarLowE8 = collarLowE8
    self.collarHighE8 = collarHighE8
  }
}

/// Checks each command against the limits. The only source of `ApprovedCommand`s.
public struct RiskGate: ~Copyable {
  private let limits: UnsafeMutablePointer<RiskLimits?>
  public let instrumentCapacity: Int
  /// Refusals by cause, in the order of `RiskRefusal`.
  private let refusals: UnsafeMutablePointer<Int>
  private let causeCount = RiskRefusal.allCases.count

  public init(instrumentCapacity: Int) {
    self.instrumentCapacity = instrumentCapacity
    limits = .allocate(capacity: instrumentCapacity)
    limits.initialize(repeating: nil, count: instrumentCapacity)
    refusals = .allocate(capacity: RiskRefusal.allCases.count)
    refusals.initialize(repeating: 0, count: RiskRefusal.allCases.count)
  }

  deinit {
    limits.deallocate()
    refusals.deallocate()
  }

  public mutating func load(_ value: RiskLimits, for instrument: InstrumentIndex) {
    limits[Int(instrument)] = value
  }

  /// What the manager leaves of the limits; holds until it says otherwise.
  mutating func cap(_ instrument: InstrumentIndex, long: QtyLots, short: QtyLots) {
    guard let limit = limits[Int(instrument)] else { return }
    limits[Int(instrument)]!.maximumLong = min(limit.maximumPosition, long)
    limits[Int(instrument)]!.maximumShort = min(limit.maximumPosition, short)
  }

  public func limits(for instrument: InstrumentIndex) -> RiskLimits? { limits[Int(instrument)] }

  public func refusalCount(_ cause: RiskRefusal) -> Int { refusals[Int(cause.rawValue)] }

  /// Refusals of all causes.
  var refusalCount: Int {
    var sum = 0
    for cause in 0..<causeCount { sum += refusals[cause] }
    return sum
  }

  mutating func count(_ cause: RiskRefusal) { refusals[Int(cause.rawValue)] += 1 }

  /// Lets a cancel through: taking risk off is never refused.
  func passCancel(_ command: Command) -> ApprovedCommand {
    precondition(command.kind == .cancel)
    return ApprovedCommand(command)
  }

  /// Lets an order through that closes a part of the position, and nothing else: against the position, no larger than
  /// it, no worse than `worst`, no larger than the largest order.
  func passReduction(_ command: Command, worst: PriceTicks, state: StatePointer) -> ApprovedCommand? {
    guard command.kind == .insert, let position = state.pointee.position,
      let limits = limits[Int(command.instrument)], command.qty > .zero, command.qty <= limits.maximumOrder,
      command.side == .sell ? command.qty <= position : command.qty <= -position,
      !command.side.isBetter(command.price, than: worst)
    else { return nil }
    return ApprovedCommand(command)
  }

  /// Checks an insert or amend.
  ///
  /// - Parameters:
  ///   - order: the order to amend; `nil` for an insert.
  ///   - state: our orders and position in the instrument.
  mutating func check(
    _ command: Command, order: OrderPointer?, state: StatePointer, market: RiskMarket
  ) -> RiskVerdict {
    let verdict = judge(command, order: order, state: state, market: market)
    if let verdict {
      count(verdict)
      return .refused(verdict)
    }
    return .passed(ApprovedCommand(command))
  }

  private func judge(
    _ command: Command, order: OrderPointer?, state: StatePointer, market: RiskMarket
  ) -> RiskRefusal? {
    guard let limits = limits[Int(command.instrument)] else { return .noLimits }
    let filled = order?.pointee.filled_lots ?? .zero
    if let refusal = judgeAlone(command, filled: filled, limits: limits, state: state, market: market) {
      return refusal
    }

    // The worst case counts this order at the larger of what it is and what it may become.
    let before = order?.pointee.worstCaseLots ?? .zero
    let growth = max(command.qty - filled - before, .zero)
    if growth > .zero, growth > state.pointee.room(for: command.side, limit: limits.maximum(command.side)) {
      return .exposure
    }
    if command.kind == .insert, state.pointee.bids.count + state.pointee.asks.count >= limits.maximumOrders {
      return .tooManyOrders
    }
    return crossesOwn(command, state) ? .selfCross : nil
  }

  /// What can be judged of one order without its neighbours: size, value, price.
  @inline(__always)
  func judgeAlone(
    _ command: Command, filled: QtyLots = .zero, limits: RiskLimits, state: StatePointer, market: RiskMarket
  ) -> RiskRefusal? {
    guard state.pointee.position != nil else { return .positionUnknown }
    let remaining = command.qty - filled
    guard remaining > .zero, remaining <= limits.maximumOrder,
      command.kind == .amend || remaining >= market.grid.minimumLots
    else { return .orderSize }

    guard let notional = state.pointee.value.notional(remaining, at: command.price),
      notional <= limits.maximumNotionalE8
    else { return .notional }

    let base = market.isCombination ? market.indexE8 : market.markE8
    guard base > 0, market.isCombination || command.price.rawValue > 0 else { return .collar }
    let (priceE8, isOver) = command.price.rawValue.multipliedReportingOverflow(by: market.grid.tickE8)
    guard !isOver, priceE8.magnitude <= UInt64(1) << 62 else { return .collar }
    let away = command.side == .buy ? priceE8 - market.markE8 : market.markE8 - priceE8
    guard away <= base / 1_000_000 * limits.collarCentiBps else { return .collar }
    if command.side == .buy, market.collarHighE8 != 0, priceE8 > market.collarHighE8 { return .collar }
    if command.side == .sell, market.collarLowE8 != 0, priceE8 < market.collarLowE8 { return .collar }
    return nil
  }

  /// Whether the price would meet one of our orders on the other side, wherever that one may be by now.
  private func crossesOwn(_ command: Command, _ state: StatePointer) -> Bool {
    switch command.side {
    case .buy:
      for index in 0..<state.pointee.asks.count where state.pointee.asks[index].pointee.boldestPrice <= command.price {
        return true
      }
    case .sell:
      for index in 0..<state.pointee.bids.count where state.pointee.bids[index].pointee.boldestPrice >= command.price {
        return true
      }
    }
    return false
  }
}

extension OrderRecord {
  /// The more aggressive of where the order rests and where it is going.
  var boldestPrice: PriceTicks {
    guard isChanging else { return price_ticks }
    return sideValue.isBetter(target_ticks, than: price_ticks) ? target_ticks : price_ticks
  }
}
