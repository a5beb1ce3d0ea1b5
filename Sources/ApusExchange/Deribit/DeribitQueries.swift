import Apus
import CSupport

/// Requests that only read (reference 9, 15).
extension DeribitVenue {
  // MARK: public

  func getInstruments(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    let currency = try arguments.string("currency") ?? "any"
    let kind = try arguments.string("kind") ?? "any"
    let isExpired = try arguments.flag("expired") ?? false
    reply.byte(UInt8(ascii: "["))
    var isFirst = true
    for market in markets where market.isListed != isExpired {
      let listing = listing(market)
      guard currency == "any" || listing.settlementCurrency == currency, kind == "any" || kind == word(kind: market)
      else { continue }
      if !isFirst { reply.byte(UInt8(ascii: ",")) }
      isFirst = false
      writeInstrument(reply, market)
    }
    reply.byte(UInt8(ascii: "]"))
  }

  /// Also one that has expired.
  private func anyMarket(_ arguments: DeribitArguments) throws(DeribitFault) -> Market {
    guard let market = allByName[try arguments.requiredString("instrument_name")] else {
      throw .invalid("instrument_name", "instrument not found")
    }
    return market
  }

  func getInstrument(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    writeInstrument(reply, try anyMarket(arguments))
  }

  func getCurrencies(_ session: DeribitSession, _ arguments: DeribitArguments) {
    let names = ["BTC": "Bitcoin", "ETH": "Ethereum", "USDC": "USD Coin"]
    reply.byte(UInt8(ascii: "["))
    for (place, currency) in currencies.enumerated() {
      reply.raw(place == 0 ? "{\"currency\":" : ",{\"currency\":")
      reply.quoted(currency)
      reply.raw(",\"currency_long\":")
      reply.quoted(names[currency] ?? currency)
      reply.raw(",\"coin_type\":")
      reply.quoted(currency == "BTC" ? "BITCOIN" : "ETHER")
      reply.raw(
        ",\"min_confirmations\":1,\"min_withdrawal_fee\":0.0001,\"withdrawal_fee\":0.0001,\"withdrawal_priorities\":[],\"in_cross_collateral_pool\":true}"
      )
    }
    reply.byte(UInt8(ascii: "]"))
  }

  func getIndexPrice(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    let name = try arguments.requiredString("index_name")
    guard let underlying = underlyings.first(where: { $0.name == Array(name.utf8) }) else {
      throw .invalid("index_name", "unknown index")
    }
    reply.raw("{\"index_price\":")
    number(reply, underlying.indexE8)
    reply.raw(",\"estimated_delivery_price\":")
    number(reply, underlying.indexE8)
    reply.byte(UInt8(ascii: "}"))
  }

  func getTicker(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    writeTicker(reply, try anyMarket(arguments), isTimed: false)
  }

  func getOrderBook(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    let market = try anyMarket(arguments)
    let depth = try arguments.integer("depth") ?? 5
    guard depth > 0 else { throw .invalid("depth", "must be above 0") }
    // The next that there is.
    let sizes: [Int64] = [1, 5, 10, 20, 50, 100, 1000, 10_000]
    let allowed = Int(sizes.first { $0 >= depth } ?? 10_000)
    writeTicker(reply, market, isTimed: true, depth: allowed)
  }

  private struct Page {
    var count = 10
    var start = Int64.min
    var end = Int64.max
    var first = Int64.min
    var last = Int64.max
    var isAscending = false

    /// - Parameter limit: Largest count.
    init(_ arguments: DeribitArguments, limit: Int64 = 1000) throws(DeribitFault) {
      if let given = try arguments.integer("count") {
        guard given >= 1 else { throw .invalid("count", "value is too low") }
        guard given <= limit else { throw .invalid("count", "value is too high") }
        count = Int(given)
      }
      if let time = try arguments.integer("start_timestamp") { start = time }
      if let time = try arguments.integer("end_timestamp") { end = time }
      if let number = try arguments.integer("start_seq") { first = number }
      if let number = try arguments.integer("end_seq") { last = number }
      switch try arguments.string("sorting") ?? "default" {
      case "asc": isAscending = true
      case "desc": isAscending = false
      // A range that has a beginning is read from there.
      case "default": isAscending = start != .min || first != .min
      default: throw .invalid("sorting", "must be asc, desc or default")
      }
    }

    func fits(time: Int64, sequence: Int64) -> Bool {
      time >= start && time <= end && sequence >= first && sequence <= last
    }
  }

  private func writePublicTrades(_ list: [Market], _ page: Page) {
    var found: [(market: Market, trade: PublicTrade, sequence: Int)] = []
    for market in list {
      var sequence = max(0, market.tradeCount - Market.tradeCapacity)
      market.recentTrades(from: sequence) { trade in
        sequence += 1
        if page.fits(time: wall(trade.time) / 1_000_000, sequence: Int64(sequence)) {
          found.append((market, trade, sequence))
        }
      }
    }
    if list.count > 1 {
      found.sort { ($0.trade.time, $0.market.index, $0.sequence) < ($1.trade.time, $1.market.index, $1.sequence) }
    }
    if !page.isAscending { found.reverse() }
    reply.raw("{\"trades\":[")
    for (place, item) in found.prefix(page.count).enumerated() {
      if place > 0 { reply.byte(UInt8(ascii: ",")) }
      write(reply, item.market, item.trade, item.sequence)
    }
    reply.raw("],\"has_more\":")
    reply.bool(found.count > page.count)
    reply.byte(UInt8(ascii: "}"))
  }

  func getLastTradesByInstrument(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    writePublicTrades([try anyMarket(arguments)], try Page(arguments))
  }

  func getLastTradesByCurrency(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    let scope = try family(arguments, needsCurrency: true)
    writePublicTrades(markets.filter { fits(scope, $0) }, try Page(arguments))
  }

  // MARK: orders

  /// `currency` and `kind`.
  private func family(_ arguments: DeribitArguments, needsCurrency: Bool) throws(DeribitFault) -> DeribitScope {
    let currency = needsCurrency ? try arguments.requiredString("currency") : try arguments.string("currency")
    let kind = try arguments.string("kind")
    return .family(kind: kind == "any" ? nil : kind, currency: currency == "any" ? nil : currency)
  }

  func getOpenOrders(
    _ account: DeribitAccount, _ arguments: DeribitArguments, method: String
  ) throws(DeribitFault) {
    var label: String?
    let scope: DeribitScope
    switch method {
    case "private/get_open_orders_by_instrument": scope = .market(try market(arguments).index)
    case "private/get_open_orders_by_label":
      scope = try family(arguments, needsCurrency: true)
      label = try arguments.string("label")
    case "private/get_open_orders_by_currency": scope = try family(arguments, needsCurrency: true)
    default: scope = try family(arguments, needsCurrency: false)
    }
    let type = try arguments.string("type") ?? "all"
    let isWanted = type == "all" || type == "limit"
    writeOrders(
      reply, isWanted ? account.orders.filter { fits(scope, $0.market) && (label == nil || $0.label == label) } : [])
  }

  func getOrderState(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    writeOrder(reply, try order(account, try arguments.requiredString("order_id")))
  }

  func getOrderStateByLabel(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let scope = try family(arguments, needsCurrency: true)
    let label = try arguments.string("label") ?? ""
    let closed = account.closed.filter { $0.label == label && fits(scope, $0.market) } as [VenueOrder]
    writeOrders(reply, closed + account.orders.filter { $0.label == label && fits(scope, $0.market) })
  }

  func getOrderHistory(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let scope: DeribitScope =
      arguments.has("instrument_name")
      ? .market(try anyMarket(arguments).index) : try family(arguments, needsCurrency: true)
    let count = try arguments.integer("count") ?? 20
    let offset = try arguments.integer("offset") ?? 0
    guard (1...1000).contains(count), offset >= 0 else { throw .invalid("count", "value is too high") }
    let withUnfilled = try arguments.flag("include_unfilled") ?? false
    let list = account.closed.reversed().filter { fits(scope, $0.market) && (withUnfilled || $0.filled > .zero) }
    writeOrders(reply, Array(list.dropFirst(Int(offset)).prefix(Int(count))))
  }

  // MARK: trades

  private func writeUserTrades(_ account: DeribitAccount, _ scope: DeribitScope, _ page: Page, order: UInt64? = nil) {
    var found: [Int] = []
    for (index, fill) in account.fills.enumerated() {
      guard !fill.isExpiration, fits(scope, markets[fill.market]), order == nil || fill.orderNumber == order,
        page.fits(time: wall(fill.time) / 1_000_000, sequence: Int64(account.trades[index].sequence))
      else { continue }
      found.append(index)
    }
    if !page.isAscending { found.reverse() }
    reply.raw("{\"trades\":[")
    writeTrades(reply, account, found.prefix(page.count))
    reply.raw("],\"has_more\":")
    reply.bool(found.count > page.count)
    reply.byte(UInt8(ascii: "}"))
  }

  func getUserTrades(
    _ account: DeribitAccount, _ arguments: DeribitArguments, method: String
  ) throws(DeribitFault) {
    let scope: DeribitScope =
      method.hasPrefix("private/get_user_trades_by_instrument")
      ? .market(try anyMarket(arguments).index) : try family(arguments, needsCurrency: true)
    if method.hasSuffix("_and_time"), !arguments.has("start_timestamp") || !arguments.has("end_timestamp") {
      throw .invalid("start_timestamp", "value required")
    }
    writeUserTrades(account, scope, try Page(arguments))
  }

  func getUserTradesByOrder(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let order = try order(account, try arguments.requiredString("order_id"))
    var found = account.fills.indices.filter { account.fills[$0].orderNumber == order.number }
    if try arguments.string("sorting") == "desc" { found.reverse() }
    reply.byte(UInt8(ascii: "["))
    writeTrades(reply, account, found[...])
    reply.byte(UInt8(ascii: "]"))
  }

  // MARK: positions and money

  func getPositions(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let scope = try family(arguments, needsCurrency: false)
    reply.byte(UInt8(ascii: "["))
    var isFirst = true
    for market in markets where fits(scope, market) && account.positions[market.index].hasTraded && market.isListed {
      if !isFirst { reply.byte(UInt8(ascii: ",")) }
      isFirst = false
      writePosition(reply, account, market, isUpdate: false)
    }
    reply.byte(UInt8(ascii: "]"))
  }

  func getPosition(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    writePosition(reply, account, try anyMarket(arguments), isUpdate: false)
  }

  func getAccountSummary(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let currency = try arguments.requiredString("currency")
    guard currencies.contains(currency) || settings.initialBalances[currency] != nil else {
      throw .invalid("currency", "unknown currency")
    }
    writeSummary(
      reply, account, currency, isPortfolio: false, isExtended: try arguments.flag("extended") ?? false)
  }

  func getAccountSummaries(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    reply.raw("{\"id\":")
    reply.integer(account.userID)
    reply.raw(",\"username\":")
    reply.quoted(account.name)
    reply.raw(",\"type\":\"main\",\"system_name\":")
    reply.quoted(account.name)
    reply.raw(",\"summaries\":[")
    for (place, currency) in currencies.enumerated() {
      if place > 0 { reply.byte(UInt8(ascii: ",")) }
      writeSummary(reply, account, currency, isPortfolio: false, isExtended: false)
    }
    reply.raw("]}")
  }
}
