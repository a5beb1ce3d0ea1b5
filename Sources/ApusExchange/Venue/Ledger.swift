import Apus
import CSupport

/// What made a trade.
public enum FillCause: String, Codable, Sendable, CaseIterable {
  /// Two orders met in the matching engine: all trades without a fill model, and those of takers.
  case match
  /// With a fill model: a recorded trade at the order's price, when it was the order's turn.
  case queue
  /// A recorded trade through the order's price.
  case through
  /// A recorded quote of the other side, at the order's price or through it.
  case quote
}

/// One execution from the side of one account.
struct Fill {
  /// Every side of every trade has its own number.
  var number: UInt64
  var orderNumber: UInt64
  var clientID: UInt64?
  var label: String?
  var market: Int
  /// Market of the order, which for a roll is not that of the trade.
  var orderMarket: Int
  var legIndex = 0
  var isExpiration = false
  var side: Side
  var priceE8: Int64
  /// The price of the order's own fill: that of the roll for its legs.
  var orderPriceE8: Int64
  var lots: QtyLots
  var isMaker: Bool
  var cause = FillCause.match
  var time: Nanoseconds
  var feeE8: MoneyE8
  var feeRateE6: Int64
  var indexE8: Int64
  /// Middle of the others' best quotes.
  var midE8: Int64
  var fundingMarkE8: Int64
  var positionAfter: QtyLots
  var realisedAfterE8: MoneyE8
  /// When the trade history shows it.
  var visibleAt: Nanoseconds

  /// Trade ids are 32 hex digits, as seen on the wire.
  func writeID(_ out: TextBuffer) {
    out.hex(0x0080_0000_0000_0000 | UInt64(orderMarket), digits: 16)
    out.hex(0x1842_5435_0000_0000 + number, digits: 16)
  }

  /// As an item of an order's `fills`.
  func writeInOrder(_ out: TextBuffer, grid: InstrumentGrid, clock: VenueClock) {
    out.raw("{\"trade_id\":\"")
    writeID(out)
    out.raw("\",\"price\":")
    out.e8Pointed(orderPriceE8)
    out.raw(",\"amount\":")
    out.e8Pointed(lots.rawValue * grid.lotE8)
    out.raw(",\"time\":")
    out.seconds(clock.wall(time))
    out.raw(isMaker ? ",\"maker_taker\":\"maker\"" : ",\"maker_taker\":\"taker\"")
    out.raw(",\"leg_index\":0}")
  }

  /// As an item of the trade history.
  func write(_ out: TextBuffer, market: Market, clock: VenueClock) {
    let grid = market.spec.grid
    out.raw("{\"order_id\":\"")
    out.hex(orderNumber, digits: 16)
    out.raw("\",\"trade_id\":\"")
    writeID(out)
    out.raw("\",\"instrument_name\":\"")
    out.append(market.name)
    out.raw(side == .buy ? "\",\"direction\":\"buy\",\"price\":" : "\",\"direction\":\"sell\",\"price\":")
    out.e8Pointed(priceE8)
    out.raw(",\"amount\":")
    out.e8Pointed(lots.rawValue * grid.lotE8)
    if let label {
      out.raw(",\"label\":")
      out.quoted(label)
    }
    out.raw(",\"time\":")
    out.seconds(clock.wall(time))
    out.raw(",\"position_after\":")
    out.e8Pointed(positionAfter.rawValue * grid.lotE8)
    let type: StaticString = isExpiration ? "expiration" : orderMarket == market.index ? "normal" : "combo"
    out.raw(",\"trade_type\":\"")
    out.raw(type)
    out.raw("\",\"session_realised_after\":")
    out.e8Pointed(realisedAfterE8)
    out.raw(",\"fee\":")
    out.e8Pointed(feeE8)
    out.raw(",\"index\":")
    out.e8Pointed(indexE8)
    out.raw(",\"fee_rate\":")
    out.decimal(feeRateE6, places: 6, pointAlways: true)
    out.raw(",\"fee_basis\":")
    out.e8Pointed(indexE8)
    out.raw(",\"funding_mark\":")
    out.e8Pointed(fundingMarkE8)
    if let clientID {
      out.raw(",\"client_order_id\":")
      out.integer(clientID)
    }
    // Nobody makes or takes at an expiry.
    if !isExpiration { out.raw(isMaker ? ",\"maker_taker\":\"maker\"" : ",\"maker_taker\":\"taker\"") }
    out.raw(",\"leg_index\":")
    out.integer(Int64(legIndex))
    out.byte(UInt8(ascii: "}"))
  }
}

/// An account's position in one instrument. Money is counted in 10⁻⁸ USD: exactly, since a lot at one tick is a whole
/// number of them.
struct Position {
  /// Negative = short.
  var lots: Int64 = 0
  /// What the open position cost at its average price: signed like `lots`.
  var cost: MoneyE8 = 0
  /// The same at its start price, which the daily settlement sets to the mark (reference 7.4).
  var startCost: MoneyE8 = 0
  /// Profit and fees up to the last daily settlement, and the funding that those have paid out.
  var settledE8: MoneyE8 = 0
  var settledFeesE8: MoneyE8 = 0
  var settledFundingE8: MoneyE8 = 0
  /// Money that came in from trades minus what went out, fees excluded.
  var cash: MoneyE8 = 0
  var feesE8: MoneyE8 = 0
  /// Σ lots · funding mark at the trade, 10⁻⁸ USD.
  var fundingEntryE8: MoneyE8 = 0
  var openBuys: Int64 = 0
  var openSells: Int64 = 0
  var maximumLots: Int64 = 0
  /// Most that was ever held, or could have been held had all open orders of a side filled.
  var worstLong: Int64 = 0
  var worstShort: Int64 = 0
  /// Mark in the last portfolio line that was sent; 0 = none.
  var sentMarkE8: Int64 = 0
  var hasTraded = false

  /// Realised price P&L: exact, because `cost` only moves value between open and realised.
  var realised: Int64 { cash + cost }
  /// The same with what the daily settlements have realised.
  var realisedWithSettlements: Int64 { cash + startCost }
  /// Since the last daily settlement: price P&L, and fees.
  var sessionRealised: Int64 { realisedWithSettlements - settledE8 }
  var sessionFeesE8: MoneyE8 { feesE8 - settledFeesE8 }

  /// The daily settlement: what is open is worth the mark from now on, and funding is paid.
  mutating func settle(_ market: Market) {
    settledFundingE8 += fundingE8(market)
    fundingEntryE8 = 0
    startCost = market.valueE8(lots: lots, priceE8: market.markE8)
    settledE8 = realisedWithSettlements
    settledFeesE8 = feesE8
  }

  /// - Parameter valueE8: What `quantity` lots cost together.
  mutating func trade(side: Side, quantity: Int64, valueE8: MoneyE8) {
    let signed = side.sign * quantity
    cash -= side.sign * valueE8
    hasTraded = true
    if lots == 0 || (lots > 0) == (signed > 0) {
      cost += side.sign * valueE8
      startCost += side.sign * valueE8
      lots += signed
      return
    }
    let closing = min(abs(lots), quantity)
    // The closed part leaves at the average; the last lot takes the rounding with it.
    cost -= Decimal.scaled(cost, closing, over: abs(lots))
    startCost -= Decimal.scaled(startCost, closing, over: abs(lots))
    lots += signed
    let opened = quantity - closing
    guard opened > 0 else { return }
    let value = side.sign * Decimal.scaled(valueE8, opened, over: quantity)
    cost += value
    startCost += value
  }

  mutating func noteExposure() {
    maximumLots = max(maximumLots, abs(lots))
    worstLong = max(worstLong, lots + openBuys)
    worstShort = max(worstShort, openSells - lots)
  }
}

/// One customer account, with its own books.
class Account {
  let name: String
  /// Self-trade group in the matching engines.
  let owner: UInt32
  let clock: VenueClock
  let initialCashE8: MoneyE8
  var positions: [Position]
  var fills: [Fill] = []
  /// Finished orders that the history shows, in the order of their end.
  var history: [VenueOrder] = []
  var firstUnscheduledOrder = 0
  var conditionals: [ConditionalOrder] = []
  /// Live orders in the order of their insertion.
  var orders: [VenueOrder] = []
  /// How many of them came by mass_quote.
  var quoteCount = 0
  /// Open connections, in the order of login.
  var sessions: [Session] = []
  var violations: UInt64 = 0
  var messages: UInt64 = 0
  /// Fills up to here have been announced on `account.trade_history`.
  var announcedFills = 0
  /// When the last announcement that is under way arrives; later ones never overtake it.
  var lastDelivery: Nanoseconds = .min
  var lastHistory: Nanoseconds = .min
  /// Fills made in the current transaction, waiting for their announcement to be scheduled.
  var firstUnscheduledFill = 0
  var changedPositions: [Int] = []

  init(name: String, owner: UInt32, instruments: Int, clock: VenueClock, initialCashE8: MoneyE8) {
    self.name = name
    self.owner = owner
    self.clock = clock
    self.initialCashE8 = initialCashE8
    positions = Array(repeating: Position(), count: instruments)
  }
}

/// A portfolio line, written from a position and its market.
extension Position {
  func write(_ out: TextBuffer, market: Market) {
    let grid = market.spec.grid
    out.raw("{\"instrument_name\":\"")
    out.append(market.name)
    out.raw("\",\"position\":")
    out.e8Pointed(lots * grid.lotE8)
    out.raw(",\"mark_price\":")
    out.e8Pointed(market.markE8)
    if market.spec.kind == .option {
      out.raw(",\"iv\":")
      out.decimal(market.volatilityE12, places: 12)
    }
    out.raw(",\"index\":")
    out.e8Pointed(market.indexE8)
    out.raw(",\"start_price\":")
    out.e8Pointed(priceE8(startCost, grid))
    out.raw(",\"average_price\":")
    out.e8Pointed(priceE8(cost, grid))
    out.raw(",\"unrealised_pnl\":")
    out.e8Pointed(unrealisedE8(market))
    out.raw(",\"realised_pnl\":")
    out.e8Pointed(sessionRealised)
    out.raw(",\"entry_value\":")
    out.e8Pointed(startCost)
    if fundingEntryE8 != 0 {
      out.raw(",\"perpetual_funding_entry_value\":")
      out.e8Pointed(fundingEntryE8)
    }
    if market.spec.kind == .perpetual {
      out.raw(",\"unrealised_perpetual_funding\":")
      out.e8Pointed(fundingE8(market))
    }
    out.byte(UInt8(ascii: "}"))
  }

  /// What one contract of the open position costs, given what all of it does; 0 if flat.
  func priceE8(_ cost: MoneyE8, _ grid: InstrumentGrid) -> Int64 {
    lots == 0 ? 0 : Decimal.scaled(cost, 100_000_000, over: lots * grid.lotE8)
  }

  /// Open profit at the mark since the start price, 10⁻⁸ USD.
  func unrealisedE8(_ market: Market) -> MoneyE8 {
    market.valueE8(lots: lots, priceE8: market.markE8) - startCost
  }

  /// What funding is owed (negative) or due since the position was built, 10⁻⁸ USD.
  func fundingE8(_ market: Market) -> MoneyE8 {
    fundingEntryE8 - valueE8(lots: lots, priceE8: market.fundingMarkE8, grid: market.spec.grid)
  }
}

/// lots · price, rounded to 10⁻⁸ USD.
func valueE8(lots: Int64, priceE8: Int64, grid: InstrumentGrid) -> MoneyE8 {
  Decimal.scaled(priceE8, lots * grid.lotE8, over: 100_000_000)
}
