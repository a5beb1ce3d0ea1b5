import CSupport

@testable import Apus

/// One instrument (a tick of 1 USD, a lot of 0.001) with its market, its orders and a risk gate, and
/// the few statements of a venue that tests of quoting and risk need.
struct Desk: ~Copyable {
  static let grid = InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 2))
  static let limits = RiskLimits(
    maximumPosition: QtyLots(rawValue: 100), maximumOrder: QtyLots(rawValue: 40),
    maximumNotionalE8: 300_000_000_000, collarCentiBps: 20_000, maximumOrders: 10)

  var tracker: StateTracker
  var market: MarketState
  var gate = RiskGate(instrumentCapacity: 1)
  private var trades = 0

  /// Listed and flat, the market 99 x 101 with the mark at 100, limits loaded.
  init(position: Int64? = 0, ordersPerSide: Int = 64) throws {
    var market = try MarketState(bookLevels: 64)
    var tracker = try StateTracker(
      instrumentCapacity: 1, orderCapacity: 1024, ordersPerSide: ordersPerSide, idBits: 32, firstGeneration: 1,
      tradeMemory: 1024)
    let info = InstrumentInfo(index: 0, kind: .perpetual, grid: Self.grid, expirySeconds: 0)
    tracker.list(info)
    market.info = info
    market.ticker.markE8 = 100 * 100_000_000
    market.isBookValid = true
    _ = market.book.set(.buy, PriceTicks(rawValue: 99), QtyLots(rawValue: 50))
    _ = market.book.set(.sell, PriceTicks(rawValue: 101), QtyLots(rawValue: 50))
    if let position { _ = tracker.setPosition(0, QtyLots(rawValue: position), mark: PriceTicks(rawValue: 100)) }
    self.tracker = tracker
    self.market = market
    gate.load(Self.limits, for: 0)
  }

  // MARK: - Orders

  mutating func sent(_ side: Side, _ price: Int64, _ qty: Int64) -> OrderPointer {
    tracker.beginInsert(0, side, price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty), now: 1)!
  }

  @discardableResult
  mutating func resting(_ side: Side, _ price: Int64, _ qty: Int64) -> OrderPointer {
    let order = sent(side, price, qty)
    confirm(order)
    return order
  }

  mutating func amend(_ order: OrderPointer, _ price: Int64, _ qty: Int64) {
    tracker.beginAmend(order, price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty), now: 3)
  }

  /// The venue's reply: what was asked for has happened.
  mutating func confirm(_ order: OrderPointer) {
    let isCancel = order.pointee.inFlightValue == .cancel
    var report = OrderReport()
    report.source = .reply
    report.change = isCancel ? .cancel : order.pointee.inFlightValue == .amend ? .amend : .insert
    if report.change == .amend { report.amendSerial = tracker.amendSerial(of: order) }
    report.status = isCancel ? .cancelled : .open
    report.side = order.pointee.sideValue
    report.instrument = 0
    report.isLabelledOurs = true
    report.clientID = order.pointee.client_id
    report.hasPrice = true
    report.price = order.pointee.effectivePrice
    report.qty = order.pointee.isChanging ? order.pointee.target_lots : order.pointee.qty_lots
    report.filled = order.pointee.filled_lots
    _ = tracker.apply(report, now: 4)
  }

  mutating func fill(_ order: OrderPointer, _ qty: Int64) {
    trades += 1
    var fill = FillReport()
    fill.side = order.pointee.sideValue
    fill.instrument = 0
    fill.clientID = order.pointee.client_id
    let text = "trade-\(trades)"
    _ = apus_id_set(&fill.tradeID, text, text.utf8.count)
    fill.price = order.pointee.price_ticks
    fill.qty = QtyLots(rawValue: qty)
    _ = tracker.apply(fill, now: 5)
  }

  // MARK: - The gate

  static func command(
    _ kind: CommandKind, _ side: Side, _ price: Int64, _ qty: Int64, _ order: OrderPointer? = nil
  ) -> Command {
    Command(
      kind: kind, side: side, instrument: 0, clientID: order?.pointee.client_id ?? 0,
      price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty))
  }

  var riskMarket: RiskMarket {
    RiskMarket(
      grid: Self.grid, markE8: market.ticker.markE8, collarLowE8: market.ticker.collarLowE8,
      collarHighE8: market.ticker.collarHighE8)
  }

  /// The gate's answer: `nil` if it lets the command through.
  mutating func judge(_ command: Command, _ order: OrderPointer? = nil) -> RiskRefusal? {
    let verdict = gate.check(command, order: order, state: tracker.state(0), market: riskMarket)
    switch verdict {
    case .passed(let approved):
      precondition(approved.command == command)
      return nil
    case .refused(let cause): return cause
    }
  }

  mutating func judgeInsert(_ side: Side, _ price: Int64, _ qty: Int64) -> RiskRefusal? {
    judge(Self.command(.insert, side, price, qty))
  }

  mutating func judgeAmend(_ order: OrderPointer, _ price: Int64, _ qty: Int64) -> RiskRefusal? {
    judge(Self.command(.amend, order.pointee.sideValue, price, qty, order), order)
  }
}
