import Apus
import CSupport

enum OrderState: UInt8 {
  case open, partiallyFilled, filled, cancelled, cancelledPartiallyFilled

  var isLive: Bool { self == .open || self == .partiallyFilled }
  var word: StaticString {
    switch self {
    case .open: "open"
    case .partiallyFilled: "partially_filled"
    case .filled: "filled"
    case .cancelled: "cancelled"
    case .cancelledPartiallyFilled: "cancelled_partially_filled"
    }
  }
}

enum OrderChange {
  case existing, insert, amend, cancel, fill

  var word: StaticString {
    switch self {
    case .existing: "existing"
    case .insert: "insert"
    case .amend: "amend"
    case .cancel: "cancel"
    case .fill: "fill"
    }
  }
}

enum OrderDeletion {
  case clientCancel, clientBulkCancel, sessionEnd, filled, immediateCancel, adminCancel, selfTradePrevention
  case replaced, protection, instrumentDeactivated, failover

  var word: StaticString {
    switch self {
    case .clientCancel: "client_cancel"
    case .clientBulkCancel: "client_bulk_cancel"
    case .sessionEnd: "session_end"
    case .filled: "filled"
    case .immediateCancel: "immediate_cancel"
    case .adminCancel: "admin_cancel"
    case .selfTradePrevention: "self_trade_prevention"
    case .replaced: "replaced"
    case .protection: "mm_protection"
    case .instrumentDeactivated: "instrument_deactivated"
    case .failover: "failover"
    }
  }
}

/// A participant's order, from its acceptance to its end.
class VenueOrder {
  let number: UInt64
  let account: Account
  let market: Market
  /// The connection that inserted it, until that closes.
  var session: Session?
  let side: Side
  let isMarket: Bool
  let isImmediate: Bool
  let isReduceOnly: Bool
  let isPersistent: Bool
  let clientID: UInt64?
  let label: String?
  let createTime: Nanoseconds
  /// It came by mass_quote.
  var isQuote = false
  /// The conditional order that it came from.
  var conditional: UInt64?
  /// When the order history shows it.
  var visibleAt: Nanoseconds = .max

  /// Slot in the venue's table; the tag in the matching engine.
  var slot = 0
  var handle: UInt64 = 0
  var price: PriceTicks
  var amount: QtyLots
  var filled = QtyLots.zero
  var remaining: QtyLots
  var state = OrderState.open
  var deletion: OrderDeletion?
  var closeTime: Nanoseconds = 0
  /// Indexes of its fills in the account's list.
  var fills: [Int] = []

  init(
    number: UInt64, account: Account, market: Market, session: Session?, side: Side, isMarket: Bool,
    isImmediate: Bool, isReduceOnly: Bool, isPersistent: Bool, clientID: UInt64?, label: String?,
    createTime: Nanoseconds, price: PriceTicks, amount: QtyLots
  ) {
    self.number = number
    self.account = account
    self.market = market
    self.session = session
    self.side = side
    self.isMarket = isMarket
    self.isImmediate = isImmediate
    self.isReduceOnly = isReduceOnly
    self.isPersistent = isPersistent
    self.clientID = clientID
    self.label = label
    self.createTime = createTime
    self.price = price
    self.amount = amount
    remaining = amount
  }

  /// `change_reason` must have been written but for its closing quote.
  private func writeOrigin(_ out: TextBuffer) {
    guard let conditional else {
      out.raw("\",\"insert_reason\":\"client_request\"")
      return
    }
    out.raw("\",\"insert_reason\":\"conditional_order\",\"conditional_order_id\":\"")
    out.hex(conditional, digits: 16)
    out.byte(UInt8(ascii: "\""))
  }

  /// Order ids are 16 hex digits, as seen on the wire: a gateway part and a counter.
  static let numberBase: UInt64 = 0x001F_3C26_0000_0000

  func write(_ out: TextBuffer, change: OrderChange, newFills: ArraySlice<Int>) {
    let grid = market.spec.grid
    out.raw("{\"order_id\":\"")
    out.hex(number, digits: 16)
    out.raw(isMarket ? "\",\"order_type\":\"market\"" : "\",\"order_type\":\"limit\"")
    out.raw(",\"time_in_force\":\"")
    out.raw(isImmediate ? "immediate_or_cancel" : "good_till_cancelled")
    out.raw("\",\"instrument_name\":\"")
    out.append(market.name)
    out.raw("\",\"direction\":")
    out.raw(side == .buy ? "\"buy\"" : "\"sell\"")
    if !isMarket {
      out.raw(",\"price\":")
      out.e8Pointed(price.rawValue * grid.tickE8)
    }
    out.raw(",\"amount\":")
    out.e8Pointed(amount.rawValue * grid.lotE8)
    out.raw(",\"filled_amount\":")
    out.e8Pointed(filled.rawValue * grid.lotE8)
    out.raw(",\"remaining_amount\":")
    out.e8Pointed(state.isLive ? remaining.rawValue * grid.lotE8 : 0)
    if let label {
      out.raw(",\"label\":")
      out.quoted(label)
    }
    if let clientID {
      out.raw(",\"client_order_id\":")
      out.integer(clientID)
    }
    out.raw(",\"status\":\"")
    out.raw(state.word)
    out.raw("\",\"fills\":[")
    var isFirst = true
    for index in newFills {
      if !isFirst { out.byte(UInt8(ascii: ",")) }
      isFirst = false
      account.fills[index].writeInOrder(out, grid: grid, clock: account.clock)
    }
    out.raw("],\"change_reason\":\"")
    out.raw(change.word)
    writeOrigin(out)
    out.raw(",\"create_time\":")
    out.seconds(account.clock.wall(createTime))
    out.raw(",\"persistent\":")
    out.bool(isPersistent)
    if let deletion {
      out.raw(",\"delete_reason\":\"")
      out.raw(deletion.word)
      out.raw("\",\"close_time\":")
      out.seconds(account.clock.wall(closeTime))
    }
    if isReduceOnly { out.raw(",\"reduce_only\":true") }
    out.byte(UInt8(ascii: "}"))
  }
}
