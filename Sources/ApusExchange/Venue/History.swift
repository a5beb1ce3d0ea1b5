import Apus
import CSupport

/// How a history call pages and what it shows (reference 6.8).
struct HistoryFilter {
  var limit = 100
  var low = Nanoseconds.min
  var high = Nanoseconds.max
  var isAscending = false
  var instruments: Set<String>?
  var direction: Side?
  var label: String?
  var orderNumbers: Set<UInt64>?
  var conditionals: Set<UInt64>?
  /// Place in the account's list at which the page begins.
  var bookmark: Int?

  /// `nil` if a parameter is wrong.
  init?(_ arguments: Arguments) {
    switch arguments.unsigned("limit") {
    case .absent: break
    case .value(let count) where count >= 1 && count <= 1000: limit = Int(count)
    default: return nil
    }
    switch arguments.decimal("time_low", places: 9) {
    case .absent: break
    case .value(let time): low = time
    case .wrong: return nil
    }
    switch arguments.decimal("time_high", places: 9) {
    case .absent: break
    case .value(let time): high = time
    case .wrong: return nil
    }
    switch arguments.string("sort") {
    case .absent, .value("descending"): break
    case .value("ascending"): isAscending = true
    default: return nil
    }
    switch arguments.string("instrument_names") {
    case .absent: break
    case .value(let names): instruments = Set(names.split(separator: ",").map(String.init))
    case .wrong: return nil
    }
    switch arguments.string("direction") {
    case .absent: break
    case .value("buy"): direction = .buy
    case .value("sell"): direction = .sell
    default: return nil
    }
    switch arguments.string("label") {
    case .absent: break
    case .value(let text): label = text
    case .wrong: return nil
    }
    func numbers(_ value: Arguments.Value<String>) -> Set<UInt64>?? {
      switch value {
      case .absent: .some(nil)
      case .value(let text): Set(text.split(separator: ",").compactMap { UInt64($0, radix: 16) })
      case .wrong: nil
      }
    }
    guard let orders = numbers(arguments.string("order_ids")),
      let conditionals = numbers(arguments.string("conditional_order_ids"))
    else { return nil }
    orderNumbers = orders
    self.conditionals = conditionals
    switch arguments.string("bookmark") {
    case .absent: break
    case .value(let text):
      guard let given = Int(text), given >= 0 else { return nil }
      bookmark = given
    case .wrong: return nil
    }
  }

  func fits(time: Nanoseconds, side: Side, label: String?, instrument: String, order: UInt64) -> Bool {
    // Times are shown with microseconds; compare what is shown.
    let shown = time / 1000 * 1000
    return shown >= low && shown <= high && (direction == nil || side == direction)
      && (self.label == nil || label == self.label) && (instruments == nil || instruments!.contains(instrument))
      && (orderNumbers == nil || orderNumbers!.contains(order))
  }

  /// Goes through the first `visible` items of a list from the place where the page begins.
  ///
  /// - Parameter write: writes an item if it fits, and says whether it does; `isRoom` false means only to say so.
  /// - Returns: Where the next page begins; `nil` on the last one.
  func page(_ visible: Int, _ write: (_ place: Int, _ isRoom: Bool, _ isFirst: Bool) -> Bool) -> Int? {
    var place = isAscending ? bookmark ?? 0 : min(bookmark ?? visible - 1, visible - 1)
    var written = 0
    while isAscending ? place < visible : place >= 0 {
      if write(place, written < limit, written == 0) {
        if written == limit { return place }
        written += 1
      }
      place += isAscending ? 1 : -1
    }
    return nil
  }
}

/// Trades and finished orders as the database shows them.
extension SimulatedVenue {
  private func writeBookmark(_ bookmark: Int?) {
    reply.raw("],\"bookmark\":")
    if let bookmark {
      reply.byte(UInt8(ascii: "\""))
      reply.integer(Int64(bookmark))
      reply.raw("\"}")
    } else {
      reply.raw("null}")
    }
  }

  /// Trades that the database shows by now, a page at a time.
  ///
  /// Newest first unless asked otherwise. A bookmark names the place in the account's list at which
  /// the next page goes on, and is null on the last page.
  func tradeHistory(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard let filter = HistoryFilter(arguments) else { return .invalidRequest }
    // Fills become visible in the order in which they were made.
    var visible = account.fills.count
    while visible > 0, account.fills[visible - 1].visibleAt > now { visible -= 1 }
    reply.raw("{\"trades\":[")
    let bookmark = filter.page(visible) { place, isRoom, isFirst in
      let fill = account.fills[place]
      let market = markets[fill.market]
      guard
        filter.fits(
          time: wall(fill.time), side: fill.side, label: fill.label, instrument: market.spec.name,
          order: fill.orderNumber)
      else { return false }
      if isRoom {
        if !isFirst { reply.byte(UInt8(ascii: ",")) }
        fill.write(reply, market: market, clock: clock)
      }
      return true
    }
    writeBookmark(bookmark)
    return nil
  }

  /// Finished orders that the database shows by now, by the time of their end; paged like trades.
  func orderHistory(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard let filter = HistoryFilter(arguments) else { return .invalidRequest }
    var visible = account.history.count
    while visible > 0, account.history[visible - 1].visibleAt > now { visible -= 1 }
    reply.raw("{\"orders\":[")
    let bookmark = filter.page(visible) { place, isRoom, isFirst in
      let order = account.history[place]
      guard
        filter.fits(
          time: wall(order.closeTime), side: order.side, label: order.label, instrument: order.market.spec.name,
          order: order.number),
        filter.conditionals == nil || order.conditional.map(filter.conditionals!.contains) == true
      else { return false }
      if isRoom {
        if !isFirst { reply.byte(UInt8(ascii: ",")) }
        order.writeFinished(reply)
      }
      return true
    }
    writeBookmark(bookmark)
    return nil
  }

  /// Notes a finished order, unless it is of a kind that history does not keep: unfilled mass quotes, and unfilled
  /// non-persistent orders that the client itself cancelled (reference 3.3, 6.8).
  func recordHistory(_ order: VenueOrder) {
    if order.filled == .zero {
      if order.isQuote { return }
      if !order.isPersistent, order.deletion == .clientCancel || order.deletion == .clientBulkCancel { return }
    }
    order.account.history.append(order)
    if !finishedAccounts.contains(where: { $0 === order.account }) { finishedAccounts.append(order.account) }
  }

  /// Gives the orders that ended in this transaction the time at which history shows them.
  func scheduleHistory() {
    guard !finishedAccounts.isEmpty else { return }
    for account in finishedAccounts {
      let range = account.firstUnscheduledOrder..<account.history.count
      account.firstUnscheduledOrder = account.history.count
      // As late as the range allows: no draw of its own, so that the trades' delays stay what they are.
      let time = max(account.lastHistory, now + configuration.accountFeedDelay.upperBound)
      account.lastHistory = time
      for index in range { account.history[index].visibleAt = time }
      timers.set(.orderHistory(account, orders: range), at: time)
    }
    finishedAccounts.removeAll()
  }

  /// account.order_history.
  func deliver(_ account: Account, orders: Range<Int>) {
    let listeners = listeners(account, .orderHistory)
    guard !listeners.isEmpty else { return }
    message.clear()
    message.raw("{\"channel_name\":\"account.order_history\",\"notification\":[")
    for index in orders {
      if index > orders.lowerBound { message.byte(UInt8(ascii: ",")) }
      account.history[index].writeFinished(message)
    }
    message.raw("]}")
    for session in listeners { outbox.post(session.id, message) }
  }
}

extension VenueOrder {
  /// As the history shows it (reference 7.3): at most eight fills.
  func writeFinished(_ out: TextBuffer) {
    let grid = market.spec.grid
    out.raw("{\"order_id\":\"")
    out.hex(number, digits: 16)
    out.raw(isMarket ? "\",\"order_type\":\"market\"" : "\",\"order_type\":\"limit\"")
    out.raw(",\"instrument_name\":\"")
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
    for (place, index) in fills.prefix(8).enumerated() {
      if place > 0 { out.byte(UInt8(ascii: ",")) }
      account.fills[index].writeInOrder(out, grid: grid, clock: account.clock)
    }
    out.raw("],\"insert_reason\":\"")
    out.raw(conditional == nil ? "client_request" : "conditional_order")
    if let conditional {
      out.raw("\",\"conditional_order_id\":\"")
      out.hex(conditional, digits: 16)
    }
    out.raw("\",\"delete_reason\":\"")
    out.raw((deletion ?? .adminCancel).word)
    out.raw("\",\"create_time\":")
    out.seconds(account.clock.wall(createTime))
    out.raw(",\"close_time\":")
    out.seconds(account.clock.wall(closeTime))
    if isReduceOnly { out.raw(",\"reduce_only\":true") }
    out.byte(UInt8(ascii: "}"))
  }
}
