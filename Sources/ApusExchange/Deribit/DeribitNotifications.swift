import Apus
import CSupport

/// Something that an account hears at the end of the transaction.
enum DeribitEvent {
  /// An order's new state and its new trades, as text in the venue's `items`.
  case order(DeribitAccount, Market, order: Range<Int>, trades: Range<Int>)
  case protection(DeribitAccount, ProtectionKey, until: Nanoseconds)

  var account: DeribitAccount {
    switch self {
    case .order(let account, _, _, _), .protection(let account, _, _): account
    }
  }
}

/// What accounts are told (reference 8).
extension DeribitVenue {
  /// Notes an order's state and new trades for the end of the transaction.
  func tell(_ order: DeribitOrder, _ fills: ArraySlice<Int>) {
    guard !order.owner.connections.isEmpty else { return }
    let start = items.count
    writeOrder(items, order)
    let middle = items.count
    writeTrades(items, order.owner, fills)
    accountEvents.append(
      .order(order.owner, order.market, order: start..<middle, trades: middle..<items.count))
  }

  private func text(_ range: Range<Int>) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(rebasing: items.bytes[range])
  }

  /// Sends what has been noted.
  func flushAccountEvents() {
    guard !accountEvents.isEmpty else { return }
    let events = accountEvents
    accountEvents.removeAll(keepingCapacity: true)
    var topics: [DeribitUserChannel.Topic] = [.orders, .trades, .changes]
    if settings.messageOrder == .random {
      for place in [2, 1] { topics.swapAt(place, Int(orderRandom.below(Int64(place) + 1))) }
    }
    for topic in topics {
      for event in events {
        guard case .order(let account, let market, let order, let trades) = event else { continue }
        for session in account.connections where session.isOpen {
          for channel in session.userChannels where channel.topic == topic && fits(channel.scope, market) {
            send(topic, channel, session, account, market, order, trades)
          }
        }
      }
    }
    for event in events {
      guard case .protection(let account, let key, let until) = event else { continue }
      for session in account.connections where session.isOpen {
        for channel in session.userChannels
        where channel.topic == .protection(key.index) || channel.topic == .protection("any") {
          begin(channel.name)
          message.raw("{\"frozen_until\":")
          message.integer(shown(frozenUntil: until))
          message.raw(",\"index_name\":")
          message.quoted(key.index)
          if let group = key.group {
            message.raw(",\"mmp_group\":")
            message.quoted(group)
          }
          message.raw("}}}")
          notify(session, message)
        }
      }
    }
    var told: [DeribitAccount] = []
    for event in events where !told.contains(where: { $0 === event.account }) {
      told.append(event.account)
      for currency in event.account.changedCurrencies { sendPortfolio(event.account, currency) }
      event.account.changedCurrencies.removeAll()
      // Open orders have moved the margin: told with the next mark.
      if case .order(let account, let market, _, _) = event {
        account.changedCurrencies = [listing(market).settlementCurrency]
      }
    }
    items.clear()
  }

  private func send(
    _ topic: DeribitUserChannel.Topic, _ channel: DeribitUserChannel, _ session: DeribitSession,
    _ account: DeribitAccount, _ market: Market, _ order: Range<Int>, _ trades: Range<Int>
  ) {
    if channel.interval > 0 {
      if topic != .trades { channel.orders.append((market.index, Array(text(order)))) }
      if topic != .orders, !trades.isEmpty { channel.trades.append((market.index, Array(text(trades)))) }
      guard !channel.isScheduled, !channel.orders.isEmpty || !channel.trades.isEmpty else { return }
      channel.isScheduled = true
      timers.set(.userChannel(channel, session), at: now + channel.interval)
      return
    }
    begin(channel.name)
    switch topic {
    case .orders: message.append(text(order))
    case .trades:
      guard !trades.isEmpty else { return }
      message.byte(UInt8(ascii: "["))
      message.append(text(trades))
      message.byte(UInt8(ascii: "]"))
    default:
      message.raw("{\"instrument_name\":\"")
      message.append(market.name)
      message.raw("\",\"trades\":[")
      message.append(text(trades))
      message.raw("],\"orders\":[")
      message.append(text(order))
      message.raw("],\"positions\":[")
      if !trades.isEmpty { writePosition(message, account, market, isUpdate: true) }
      message.raw("]}")
    }
    message.raw("}}")
    notify(session, message)
  }

  /// Sends what an aggregated channel has collected.
  func flush(_ channel: DeribitUserChannel, to session: DeribitSession) {
    guard let account = session.account else { return }
    let (orders, trades) = (channel.orders, channel.trades)
    channel.orders.removeAll()
    channel.trades.removeAll()
    func list(_ items: [(market: Int, text: [UInt8])], _ market: Int? = nil) {
      var isFirst = true
      message.byte(UInt8(ascii: "["))
      for item in items where market == nil || item.market == market {
        if !isFirst { message.byte(UInt8(ascii: ",")) }
        isFirst = false
        message.append(item.text)
      }
      message.byte(UInt8(ascii: "]"))
    }
    guard channel.topic == .changes else {
      begin(channel.name)
      list(channel.topic == .orders ? orders : trades)
      message.raw("}}")
      notify(session, message)
      return
    }
    for index in Set(orders.map(\.market) + trades.map(\.market)).sorted() {
      begin(channel.name)
      message.raw("{\"instrument_name\":\"")
      message.append(markets[index].name)
      message.raw("\",\"trades\":")
      list(trades, index)
      message.raw(",\"orders\":")
      list(orders, index)
      message.raw(",\"positions\":[")
      if trades.contains(where: { $0.market == index }) {
        writePosition(message, account, markets[index], isUpdate: true)
      }
      message.raw("]}}}")
      notify(session, message)
    }
  }

  func sendPortfolio(_ account: DeribitAccount, _ currency: String) {
    for session in account.connections where session.isOpen {
      for channel in session.userChannels
      where channel.topic == .portfolio(currency) || channel.topic == .portfolio(nil) {
        begin(channel.name)
        writeSummary(message, account, currency, isPortfolio: true, isExtended: false)
        message.raw("}}")
        notify(session, message)
      }
    }
  }
}
