import Apus
import CSupport

/// Cancels of orders, one or many (reference 10.3).
extension DeribitVenue {
  func cancel(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let order = try order(account, try arguments.requiredString("order_id"))
    guard order.state.isLive else { throw .notOpen }
    withdraw(order, deletion: .clientCancel)
    tell(order, [])
    writeOrder(reply, order)
  }

  func cancelByLabel(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let label = try arguments.requiredString("label")
    let currency = try arguments.string("currency")
    func fits(_ market: Market, _ other: String?) -> Bool {
      other == label && (currency == nil || listing(market).settlementCurrency == currency)
    }
    purgeHeld(session) { request in
      switch request.action {
      case .place(let terms): fits(terms.market, terms.label)
      case .edit(let order, _): fits(order.market, order.label)
      }
    }
    let list = account.orders.filter { fits($0.market, $0.label) && !$0.isQuote }
    cancelAll(list, deletion: .clientCancel)
    reply.integer(Int64(list.count))
  }

  /// What `cancel_all` and its kin choose.
  func cancelAllMatching(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments, method: String
  ) throws(DeribitFault) {
    var chosen: Market?
    var currencies: Set<String>?
    var pair: String?
    switch method {
    case "private/cancel_all_by_instrument": chosen = try market(arguments)
    case "private/cancel_all_by_currency": currencies = [try arguments.requiredString("currency")]
    case "private/cancel_all_by_currency_pair": pair = try arguments.requiredString("currency_pair")
    case "private/cancel_all_by_kind_or_type":
      if let node = arguments.node("currency"), arguments.document[node].kind == .array {
        currencies = Set(try arguments.strings("currency") ?? [])
      } else if let currency = try arguments.string("currency") {
        currencies = [currency]
      }
      if currencies?.contains("any") == true { currencies = nil }
    default: break
    }
    let kind = try arguments.string("kind") ?? "any"
    let type = try arguments.string("type") ?? "all"
    let isDetailed = try arguments.flag("detailed") ?? false
    func fits(_ market: Market) -> Bool {
      if let chosen, chosen !== market { return false }
      if let currencies, !currencies.contains(listing(market).settlementCurrency) { return false }
      if let pair, market.spec.underlying != pair.lowercased() { return false }
      return kind == "any" || kind == word(kind: market)
    }
    if try arguments.flag("freeze_quotes") ?? false { account.quotesFrozenUntil = now + 1_000_000_000 }
    purgeHeld(session) { request in
      switch request.action {
      case .place(let terms): fits(terms.market)
      case .edit(let order, _): fits(order.market)
      }
    }
    // All orders are limit orders here.
    let isWanted = type == "all" || type == "limit" || type == "any"
    let list = isWanted ? account.orders.filter { fits($0.market) } : []
    cancelAll(list, deletion: .clientBulkCancel)
    writeCancelled(list, isDetailed: isDetailed)
  }

  /// A count, or the orders by currency.
  func writeCancelled(_ list: [VenueOrder], isDetailed: Bool) {
    guard isDetailed else {
      reply.integer(Int64(list.count))
      return
    }
    reply.byte(UInt8(ascii: "["))
    var isFirst = true
    for currency in currencies {
      let orders = list.filter { listing($0.market).settlementCurrency == currency }
      guard !orders.isEmpty else { continue }
      if !isFirst { reply.byte(UInt8(ascii: ",")) }
      isFirst = false
      reply.raw("{\"currency\":")
      reply.quoted(currency)
      reply.raw(",\"type\":\"limit\",\"result\":")
      writeOrders(reply, orders)
      reply.byte(UInt8(ascii: "}"))
    }
    reply.byte(UInt8(ascii: "]"))
  }
}
