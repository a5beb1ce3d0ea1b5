public import Apus
import CSupport

/// What every simulated venue has behind its protocol: markets with their matching engines, accounts with their orders,
/// fills and positions, and the market flow that moves them.
///
/// A venue is a subclass that speaks a protocol. The matching (`Matching.swift`) tells it what happens through the methods
/// below. Not thread-safe: one thread at a time owns it.
public class ExchangeCore {
  final let configuration: VenueConfiguration
  final let flow: (any MarketFlow)?
  // Looked at in every step of a simulation, and by one thread: not checked for overlapping accesses at run time.
  @exclusivity(unchecked) public internal(set) final var now: Nanoseconds = 0

  final let clock: VenueClock
  final let outbox = Outbox()
  final let document = JSONDocument()
  final let reply = TextBuffer()
  final let message = TextBuffer()
  final let items = TextBuffer()
  private final var flowEvents: [FlowEvent] = []
  @exclusivity(unchecked) final var markets: [Market] = []
  final var marketsByName: [String: Market] = [:]
  /// Also those that have expired.
  final var allByName: [String: Market] = [:]
  final var underlyings: [Underlying] = []
  final var accounts: [String: Account] = [:]
  @exclusivity(unchecked) final var accountList: [Account] = []
  /// Live orders by slot; slot 0 stays empty.
  final var orders: [VenueOrder?] = [nil]
  final var freeSlots: [Int] = []
  final var ordersByNumber: [UInt64: VenueOrder] = [:]
  final var nextOrderNumber: UInt64
  final var nextFillNumber: UInt64 = 0
  /// Calls of the matching engines.
  final var matchNumber: UInt64 = 0
  /// Decides the venue's own quotes and trades in instruments without a flow.
  final var derivedRandom: SplitMix
  /// Scratch of the book channels.
  final var view: [(price: Int64, lots: Int64)] = []
  @exclusivity(unchecked) final var tradedAccounts: [Account] = []
  /// Quotes have traded since the last look at their protection.
  @exclusivity(unchecked) final var isProtectionTouched = false
  public internal(set) final var statistics = VenueStatistics()
  /// The source of the market is away.
  public internal(set) final var isSilent = false

  init(_ configuration: VenueConfiguration, flow: (any MarketFlow)?, firstOrderNumber: UInt64) {
    self.configuration = configuration
    self.flow = flow
    clock = VenueClock(base: configuration.wallClockBase)
    derivedRandom = SplitMix(seed: configuration.seed ^ 0x5EED_0F0C_4A15)
    nextOrderNumber = firstOrderNumber
  }

  // MARK: time

  /// Does everything that is due until `target`, in the order of time; at the same time, timers before the market.
  ///
  /// - Parameters:
  ///   - nextTimer: when the venue's next timer is due.
  ///   - expire: does what that timer is for.
  ///   - settle: ends a step of the market.
  final func pass(to target: Nanoseconds, nextTimer: () -> Nanoseconds, expire: () -> Void, settle: () -> Void) {
    while true {
      let timerTime = nextTimer()
      let flowTime = flow?.nextTime ?? .max
      let due = min(timerTime, flowTime)
      if due > target || due == .max { break }
      now = max(now, due)
      if timerTime <= flowTime {
        expire()
      } else {
        flowEvents.removeAll(keepingCapacity: true)
        flow?.next(into: &flowEvents)
        statistics.flowEvents += UInt64(flowEvents.count)
        apply(flowEvents)
        settle()
      }
    }
    now = max(now, target)
  }

  // MARK: what the matching tells

  /// A participant's order has changed other than by its owner's request at this moment; the new fills are indexes into
  /// the account's list.
  func noteChange(_ order: VenueOrder, _ change: OrderChange, newFills: ArraySlice<Int>) {}
  /// The account's last fill is new; of a roll, it is that of a leg in `market`.
  func noteFill(_ order: VenueOrder, _ market: Market) {}
  /// A quote has traded in a way that protection counts.
  func noteQuoteTrade(_ order: VenueOrder, _ lots: QtyLots) {}
  /// Quotes have traded since the last call, and no order is being matched: those of exhausted groups are to go.
  func watchProtection() {}
  /// An order has ended and is out of the book.
  func noteEnd(_ order: VenueOrder) {}

  /// The fee of a trade, 10⁻⁸ of the settlement currency, and its rate in 10⁻⁶.
  func fee(
    _ order: VenueOrder, _ market: Market, _ lots: QtyLots, priceE8: Int64, isMaker: Bool
  ) -> (feeE8: MoneyE8, rateE6: Int64) {
    var rate = isMaker ? configuration.makerFeeE6 : configuration.takerFeeE6
    if market.spec.kind == .option { rate = configuration.optionFeeE6 }
    // Offsetting legs pay half each (reference 4.3).
    if market !== order.market { rate /= 2 }
    let notional = valueE8(lots: lots.rawValue, priceE8: market.indexE8, grid: market.spec.grid)
    // Rounded to cents: 10^6 units of 10⁻⁸ USD.
    return (Decimal.scaled(notional, rate, over: 1_000_000_000_000) * 1_000_000, rate)
  }

  /// Where the window of a market's background is to begin, given the first prices, in ticks; `nil` for the first of them.
  func firstPrice(_ market: Market, _ prices: some Sequence<Int64>) -> Int64? { nil }

  /// Whether an execution's id is that of the public trade that it was part of.
  var namesFillsByTrades: Bool { false }

  /// How many ticks apart the prices that are allowed at a price lie.
  func step(_ market: Market, at price: Int64) -> Int64 { 1 }

  /// An order's id as the protocol shows it.
  func orderID(_ number: UInt64, _ market: Market) -> String {
    let text = TextBuffer(capacity: 64)
    text.hex(number, digits: 16)
    return String(decoding: text.bytes, as: UTF8.self)
  }

  /// The trade id of a fill as the protocol shows it; `index` is its place in the account's list.
  func tradeID(of fill: Fill, _ index: Int, _ account: Account) -> String {
    let text = TextBuffer(capacity: 64)
    fill.writeID(text)
    return String(decoding: text.bytes, as: UTF8.self)
  }

  // MARK: time and output

  /// The market flow has come to its end (true without a flow).
  public final var isFinished: Bool { flow?.isFinished ?? true }

  public final var hasOutput: Bool { !outbox.isEmpty }

  /// Hands over everything that waits to be sent, in order. `deliver` must not call the venue.
  public final func drain(_ deliver: (ConnectionID, Outgoing) -> Void) { outbox.drain(deliver) }

  /// The venue's clock now, nanoseconds since the Unix epoch.
  public final var wallClock: Nanoseconds { clock.wall(now) }
  final func wall(_ time: Nanoseconds) -> Nanoseconds { clock.wall(time) }
}
