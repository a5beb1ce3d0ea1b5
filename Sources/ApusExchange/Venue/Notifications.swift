import Apus
import CSupport

/// What accounts are told: orders at once, trades and positions a little later.
extension SimulatedVenue {
  /// Notes an order's state for the feeds; sent at the end of the transaction.
  func notify(_ order: VenueOrder, change: OrderChange, newFills: ArraySlice<Int>) {
    let offset = items.count
    order.write(items, change: change, newFills: newFills)
    pending.append(
      PendingItem(session: order.session, account: order.account, offset: offset, length: items.count - offset))
  }

  /// session.orders for every session concerned, the requester's first; then account.orders.
  func flushOrderNotifications(requester: Session?) {
    guard !pending.isEmpty else { return }
    var sessionsConcerned: [Session] = []
    var accountsConcerned: [Account] = []
    if let requester { sessionsConcerned.append(requester) }
    for item in pending {
      if let session = item.session, !sessionsConcerned.contains(where: { $0 === session }) {
        sessionsConcerned.append(session)
      }
      if !accountsConcerned.contains(where: { $0 === item.account }) { accountsConcerned.append(item.account) }
    }
    for session in sessionsConcerned where session.privateChannels.contains(.sessionOrders) && session.isOpen {
      if writeItems("{\"channel_name\":\"session.orders\",\"notification\":[", { $0.session === session }) {
        outbox.post(session.id, message)
      }
    }
    for account in accountsConcerned {
      let listeners = account.sessions.filter { $0.isOpen && $0.privateChannels.contains(.accountOrders) }
      guard !listeners.isEmpty else { continue }
      if writeItems("{\"channel_name\":\"account.orders\",\"notification\":[", { $0.account === account }) {
        for session in listeners { outbox.post(session.id, message) }
      }
    }
    pending.removeAll(keepingCapacity: true)
    items.clear()
  }

  /// Builds one notification from the pending items that fit; false if none does.
  private func writeItems(_ head: StaticString, _ fits: (PendingItem) -> Bool) -> Bool {
    message.clear()
    message.raw(head)
    var isFirst = true
    for item in pending where fits(item) {
      if !isFirst { message.byte(UInt8(ascii: ",")) }
      isFirst = false
      message.append(UnsafeRawBufferPointer(rebasing: items.bytes[item.offset..<item.offset + item.length]))
    }
    message.raw("]}")
    return !isFirst
  }

  /// Live orders as the array of a snapshot or of `open_orders`.
  func writeOrders(_ out: TextBuffer, _ list: [VenueOrder]) {
    out.byte(UInt8(ascii: "["))
    var isFirst = true
    for order in list {
      if !isFirst { out.byte(UInt8(ascii: ",")) }
      isFirst = false
      order.write(out, change: .existing, newFills: order.fills[...])
    }
    out.byte(UInt8(ascii: "]"))
  }

  // MARK: trade history and portfolio

  /// Gives the fills of this transaction their time of arrival, 5 to 50 ms from now.
  func scheduleDeliveries() {
    guard !tradedAccounts.isEmpty else { return }
    for account in tradedAccounts {
      let range = account.firstUnscheduledFill..<account.fills.count
      account.firstUnscheduledFill = account.fills.count
      let time = max(account.lastDelivery, now + delays.within(configuration.accountFeedDelay))
      account.lastDelivery = time
      for index in range { account.fills[index].visibleAt = time }
      timers.set(.delivery(account, fills: range, markets: account.changedPositions), at: time)
      account.changedPositions.removeAll()
    }
    tradedAccounts.removeAll()
  }

  /// The database has caught up: account.trade_history, then account.portfolio.
  func deliver(_ account: Account, fills: Range<Int>, markets changed: [Int]) {
    let historians = account.sessions.filter { $0.isOpen && $0.privateChannels.contains(.tradeHistory) }
    if !historians.isEmpty {
      message.clear()
      message.raw("{\"channel_name\":\"account.trade_history\",\"notification\":[")
      for index in fills {
        if index > fills.lowerBound { message.byte(UInt8(ascii: ",")) }
        let fill = account.fills[index]
        fill.write(message, market: markets[fill.market], wallClockBase: configuration.wallClockBase)
      }
      message.raw("]}")
      for session in historians { outbox.post(session.id, message) }
    }
    sendPortfolio(account, changed)
  }

  /// Lines of the given instruments to all who listen.
  func sendPortfolio(_ account: Account, _ changed: [Int]) {
    let listeners = account.sessions.filter { $0.isOpen && $0.privateChannels.contains(.portfolio) }
    guard !listeners.isEmpty, !changed.isEmpty else { return }
    message.clear()
    message.raw("{\"channel_name\":\"account.portfolio\",\"notification\":[")
    var isFirst = true
    for index in changed {
      if !isFirst { message.byte(UInt8(ascii: ",")) }
      isFirst = false
      account.positions[index].sentMarkE8 = markets[index].markE8
      account.positions[index].write(message, market: markets[index])
    }
    message.raw("]}")
    for session in listeners { outbox.post(session.id, message) }
  }

  /// All open positions, as an array.
  func writePortfolio(_ out: TextBuffer, _ account: Account) {
    out.byte(UInt8(ascii: "["))
    var isFirst = true
    for index in account.positions.indices where account.positions[index].lots != 0 {
      if !isFirst { out.byte(UInt8(ascii: ",")) }
      isFirst = false
      account.positions[index].sentMarkE8 = markets[index].markE8
      account.positions[index].write(out, market: markets[index])
    }
    out.byte(UInt8(ascii: "]"))
  }

  // MARK: summary

  func writeSummary(_ out: TextBuffer, _ account: Account) {
    var realised: MoneyE8 = 0
    var unrealised: MoneyE8 = 0
    var required: MoneyE8 = 0
    for (index, position) in account.positions.enumerated()
    where position.hasTraded || position.openBuys + position.openSells > 0 {
      let market = markets[index]
      realised += position.realised * market.tickLotE8 - position.feesE8
      unrealised += position.unrealisedE8(market) + position.fundingE8(market)
      let worst = max(abs(position.lots + position.openBuys), abs(position.lots - position.openSells))
      // For show: 2 % of the worst case. Nothing is refused for want of margin.
      required += valueE8(lots: worst, priceE8: market.markE8, grid: market.spec.grid) / 50
    }
    let cash = account.initialCashE8 + realised
    out.raw("{\"cash\":[{\"currency\":\"USDT\",\"balance\":")
    out.e8Pointed(cash)
    out.raw(",\"collateral_factor\":1,\"collateral_index_price\":null,\"transactable\":true}],\"unrealised_pnl\":")
    out.e8Pointed(unrealised)
    out.raw(",\"cash_collateral\":")
    out.e8Pointed(cash)
    out.raw(",\"margin\":")
    out.e8Pointed(cash + unrealised)
    out.raw(",\"required_margin\":")
    out.e8Pointed(required)
    out.raw(",\"remaining_margin\":")
    out.e8Pointed(cash + unrealised - required)
    out.raw(",\"session_realised_pnl\":")
    out.e8Pointed(realised)
    out.byte(UInt8(ascii: "}"))
  }

  func sendSummary(_ account: Account) {
    let listeners = account.sessions.filter { $0.isOpen && $0.privateChannels.contains(.summary) }
    guard !listeners.isEmpty else { return }
    message.clear()
    message.raw("{\"channel_name\":\"account.summary\",\"notification\":")
    writeSummary(message, account)
    message.byte(UInt8(ascii: "}"))
    for session in listeners { outbox.post(session.id, message) }
  }
}
