import Apus
import CSupport

/// Something that an account hears at the end of the transaction, as text.
struct BybitEvent {
  var account: BybitAccount
  var market: Market
  /// Empty for a payment of funding.
  var order: [UInt8] = []
  var executions: [[UInt8]] = []
  var fast: [[UInt8]] = []
}

/// What accounts are told (8, 15).
extension SimulatedBybit {
  static let protectionTopic = "dcp.future"

  private enum Topic: CaseIterable { case order, execution, fast, position, wallet }

  /// Notes an order's state and new executions for the end of the transaction.
  func tell(_ order: BybitOrder, _ fills: ArraySlice<Int>) {
    guard !order.owner.streams.isEmpty else { return }
    var event = BybitEvent(account: order.owner, market: order.market)
    event.order = text { writeOrder($0, order, isStream: true) }
    for index in fills {
      event.executions.append(text { writeExecution($0, order.owner, index, isStream: true) })
      event.fast.append(text { writeFastExecution($0, order.owner, index) })
    }
    accountEvents.append(event)
  }

  func tellFunding(_ account: BybitAccount, _ market: Market) {
    guard !account.streams.isEmpty, let funding = account.fundings.last else { return }
    var event = BybitEvent(account: account, market: market)
    event.executions = [text { writeFunding($0, funding, isStream: true) }]
    accountEvents.append(event)
  }

  private func text(_ body: (TextBuffer) -> Void) -> [UInt8] {
    items.clear()
    body(items)
    return Array(items.bytes)
  }

  /// Sends what has been noted.
  func flushAccountEvents() {
    guard !accountEvents.isEmpty else { return }
    let events = accountEvents
    accountEvents.removeAll(keepingCapacity: true)
    var topics = Topic.allCases
    if settings.messageOrder == .random {
      for place in (1..<topics.count).reversed() { topics.swapAt(place, Int(orderRandom.below(Int64(place) + 1))) }
    }
    var accounts: [BybitAccount] = []
    for event in events where !accounts.contains(where: { $0 === event.account }) { accounts.append(event.account) }
    for topic in topics {
      for account in accounts { send(topic, account, events.filter { $0.account === account }) }
    }
  }

  private func send(_ topic: Topic, _ account: BybitAccount, _ events: [BybitEvent]) {
    switch topic {
    case .order: send("order", account, events.map(\.order).filter { !$0.isEmpty })
    case .execution: send("execution", account, events.flatMap(\.executions))
    case .fast: send("execution.fast", account, events.flatMap(\.fast), hasID: false)
    case .position:
      var markets: [Market] = []
      for event in events where !markets.contains(where: { $0 === event.market }) { markets.append(event.market) }
      send("position", account, markets.map { market in text { writePosition($0, account, market, isStream: true) } })
    case .wallet: send("wallet", account, [text { writeWallet($0, account, isStream: true) }], isCategorised: false)
    }
  }

  /// Records to every stream that listens to the topic, under the name by which it subscribed.
  private func send(
    _ topic: String, _ account: BybitAccount, _ records: [[UInt8]], hasID: Bool = true, isCategorised: Bool = true
  ) {
    guard !records.isEmpty else { return }
    let names = isCategorised ? [topic, topic + ".linear"] : [topic]
    for connection in account.streams where connection.isOpen {
      for name in connection.topics where names.contains(name) {
        var first = 0
        while first < records.count {
          let end = min(records.count, first + settings.recordsPerMessage)
          write(name, records[first..<end], hasID: hasID)
          deliver(topic, connection)
          first = end
        }
      }
    }
  }

  private func write(_ name: String, _ records: ArraySlice<[UInt8]>, hasID: Bool) {
    message.clear()
    message.byte(UInt8(ascii: "{"))
    if hasID {
      message.member("id", text: uuid(.message, random.next()))
    }
    message.member("topic", text: name)
    message.member("creationTime", number: wallClock / 1_000_000)
    message.key("data")
    message.byte(UInt8(ascii: "["))
    for (place, record) in records.enumerated() {
      if place > 0 { message.byte(UInt8(ascii: ",")) }
      message.append(record)
    }
    message.raw("]}")
  }

  /// Sends `message`, or what faults make of it.
  private func deliver(_ topic: String, _ connection: BybitConnection) {
    let isExecution = topic.hasPrefix("execution")
    if faults.takes(topic) { return }
    let late = isExecution ? faults.executionDelay : 0
    post(connection, message, later: settings.privateDelay + late)
    if isExecution, faults.executionsToRepeat > 0 {
      faults.executionsToRepeat -= 1
      post(connection, message, later: settings.privateDelay + late + faults.repeatDelay)
    }
  }

  // MARK: protection on disconnect (15)

  /// Somebody listens, or nobody does any longer: the orders of an account that wants it go in time.
  func lookAtProtection(_ account: BybitAccount) {
    if account.streams.contains(where: { $0.topics.contains(Self.protectionTopic) }) {
      account.unprotectedSince = nil
      return
    }
    guard let seconds = account.protectionSeconds else { return }
    let since = account.unprotectedSince ?? now
    account.unprotectedSince = since
    let due = max(since + seconds * 1_000_000_000, account.protectionFrom)
    guard now >= due else {
      timers.set(.protection(account), at: due)
      return
    }
    account.unprotectedSince = nil
    cancelAll(account.orders, deletion: .sessionEnd)
    settle()
  }

  /// - Parameter seconds: Within 3 … 300.
  func setProtection(_ account: BybitAccount, seconds: Int64) {
    account.protectionSeconds = seconds
    account.protectionFrom = now + settings.protectionDelay
    // Whoever has left before it was set has not left it.
    if account.unprotectedSince != nil { lookAtProtection(account) }
  }
}
