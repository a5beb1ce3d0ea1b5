import Apus
import CSupport

/// What accounts are told: orders at once, trades and positions a little later.
extension SimulatedVenue {
  /// Notes an order's state for the feeds; sent at the end of the transaction.
  func notify(_ order: VenueOrder, change: OrderChange, newFills: ArraySlice<Int>) {
    let offset = items.count
    order.write(items, change: change, newFills: newFills)
    pending.append(
      PendingItem(
        session: order.session, account: order.account, offset: offset, length: items.count - offset,
        isPersistent: order.isPersistent))
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
      sendItems("{\"channel_name\":\"session.orders\",\"notification\":[", to: [session]) { $0.session === session }
    }
    for account in accountsConcerned {
      sendItems(
        "{\"channel_name\":\"account.orders\",\"notification\":[", to: listeners(account, .accountOrders)
      ) { $0.account === account }
    }
    for account in accountsConcerned {
      sendItems(
        "{\"channel_name\":\"account.persistent_orders\",\"notification\":[", to: listeners(account, .persistentOrders)
      ) { $0.account === account && $0.isPersistent }
    }
    pending.removeAll(keepingCapacity: true)
    items.clear()
  }

  /// A notification ends here, if there is more to say: clients refuse messages of 1 MiB (reference 1.4).
  private static let notificationLimit = 900_000

  /// The account's connections that listen to a channel.
  func listeners(_ account: Account, _ channel: PrivateChannels) -> [Session] {
    account.sessions.filter { $0.isOpen && $0.privateChannels.contains(channel) }
  }

  /// Sends the pending items that fit, in one notification unless that would be too long.
  private func sendItems(_ head: StaticString, to sessions: [Session], _ fits: (PendingItem) -> Bool) {
    guard !sessions.isEmpty else { return }
    var count = 0
    func send() {
      guard count > 0 else { return }
      message.raw("]}")
      for session in sessions { outbox.post(session.id, message) }
      count = 0
    }
    for item in pending where fits(item) {
      if count > 0, message.count + item.length > Self.notificationLimit { send() }
      if count == 0 {
        message.clear()
        message.raw(head)
      } else {
        message.byte(UInt8(ascii: ","))
      }
      count += 1
      message.append(UnsafeRawBufferPointer(rebasing: items.bytes[item.offset..<item.offset + item.length]))
    }
    send()
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
        fill.write(message, market: markets[fill.market], clock: clock)
      }
      message.raw("]}")
      for session in historians { outbox.post(session.id, message) }
    }
    sendPortfolio(account, changed)
  }

  /// Lines of the given instruments to all who listen.
  func sendPortfolio(_ account: Account, _ changed: [Int]) {
    let listeners = listeners(account, .portfolio)
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
}
