import Apus
import CSupport

/// Requests that only read the account, page by page (11).
extension SimulatedBybit {
  private static let day: Nanoseconds = 86_400_000_000_000

  /// `{"nextPageCursor":…,"category":"linear","list":[…]}`.
  ///
  /// - Parameters:
  ///   - mark: What of an item its cursor says; a page begins behind the item that its cursor names.
  private func writePage<Item>(_ items: some Collection<Item>, mark: (Item) -> String, _ write: (Item) -> Void) {
    // Also behind the last item there is one.
    var cursor = ""
    if let first = items.first, let last = Array(items).last {
      cursor = "\(mark(first)),\(mark(last))".replacing(":", with: "%3A").replacing(",", with: "%2C")
    }
    reply.byte(UInt8(ascii: "{"))
    reply.member("nextPageCursor", text: cursor)
    reply.member("category", "linear")
    reply.key("list")
    reply.byte(UInt8(ascii: "["))
    for (place, item) in items.enumerated() {
      if place > 0 { reply.byte(UInt8(ascii: ",")) }
      write(item)
    }
    reply.raw("]}")
  }

  /// What the cursor says of the last item of the page before, without its escapes; clients may have escaped them again.
  private func cursor(_ arguments: BybitArguments) throws(BybitRefusal) -> String? {
    guard var text = try arguments.string("cursor"), !text.isEmpty else { return nil }
    while text.contains("%"), let plain = QueryString.decoded(text), plain != text { text = plain }
    guard let last = text.split(separator: ",").last else { throw .invalid("cursor", "invalid") }
    return String(last)
  }

  private func limit(_ arguments: BybitArguments, _ range: ClosedRange<Int64>, usual: Int) throws(BybitRefusal) -> Int {
    guard let limit = try integer(arguments, "limit") else { return usual }
    guard limit >= range.lowerBound else { throw .invalid("limit", "too low") }
    return Int(min(limit, range.upperBound))
  }

  private func integer(_ arguments: BybitArguments, _ name: StaticString) throws(BybitRefusal) -> Int64? {
    if let node = arguments.node(name), document.bytes(node).isEmpty { return nil }
    return try arguments.integer(name)
  }

  private func text(_ arguments: BybitArguments, _ name: StaticString) throws(BybitRefusal) -> String? {
    guard let text = try arguments.string(name), !text.isEmpty else { return nil }
    return text
  }

  func checkCategory(_ arguments: BybitArguments) throws(BybitRefusal) {
    guard try arguments.string("category") == "linear" else { throw .invalid("category", "invalid") }
  }

  /// Clients ask for lists of other categories too: those are empty here. False for `linear`, of which there is one.
  func answersEmpty(_ arguments: BybitArguments) throws(BybitRefusal) -> Bool {
    let category = try arguments.string("category") ?? ""
    if category == "linear" { return false }
    guard ["spot", "inverse", "option"].contains(category) else { throw .invalid("category", "invalid") }
    reply.byte(UInt8(ascii: "{"))
    reply.member("category", text: category)
    reply.raw(",\"list\":[],\"nextPageCursor\":\"\"}")
    return true
  }

  /// Which instruments a question is about: `symbol`, `baseCoin` or `settleCoin`.
  private func markets(_ arguments: BybitArguments, isNeeded: Bool) throws(BybitRefusal) -> (Market) -> Bool {
    if try text(arguments, "symbol") != nil {
      let market = try market(arguments)
      return { $0 === market }
    }
    if let coin = try text(arguments, "baseCoin") { return { self.listing($0).baseCoin == coin } }
    if let coin = try text(arguments, "settleCoin") { return { _ in coin == "USDT" } }
    if isNeeded { throw .invalid("symbol", "settleCoin or baseCoin must be given") }
    return { _ in true }
  }

  private func times(_ arguments: BybitArguments) throws(BybitRefusal) -> ClosedRange<Nanoseconds> {
    let week = 7 * Self.day
    func time(_ name: StaticString) throws(BybitRefusal) -> Nanoseconds? {
      guard let milliseconds = try integer(arguments, name) else { return nil }
      guard (0...8_000_000_000_000).contains(milliseconds) else { throw .invalid("\(name)", "out of range") }
      return milliseconds * 1_000_000
    }
    let start = try time("startTime")
    let end = try time("endTime").map { $0 + 999_999 }
    let last = end ?? start.map { $0 + week } ?? .max
    let first = start ?? (end ?? wallClock) - week
    guard first <= last, last == .max || last - first <= week + 1_000_000 else {
      throw .invalid("startTime", "and endTime must be in order, and 7 days apart at most")
    }
    return first...last
  }

  // MARK: orders

  private func wanted(_ arguments: BybitArguments) throws(BybitRefusal) -> (BybitOrder) -> Bool {
    let (id, link) = (try text(arguments, "orderId"), try text(arguments, "orderLinkId"))
    return { order in
      if let id { return order.id == id }
      return link == nil || order.link == link
    }
  }

  private func writeOrders(_ list: [BybitOrder], _ arguments: BybitArguments) throws(BybitRefusal) {
    var list = list.sorted { $0.number > $1.number }[...]
    if let id = try cursor(arguments)?.split(separator: ":").first,
      let last = list.first.flatMap({ $0.owner.byID[String(id)] })
    {
      list = list.drop { $0.number >= last.number }
    }
    let page = list.prefix(try limit(arguments, 1...50, usual: 20))
    writePage(page, mark: { "\($0.id):\(self.milliseconds($0.createTime))" }) {
      writeOrder(reply, $0, isStream: false)
    }
  }

  func writeOpenOrders(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) {
    if try answersEmpty(arguments) { return }
    let fits = try markets(arguments, isNeeded: true)
    let isWanted = try wanted(arguments)
    let isRecent = try integer(arguments, "openOnly") ?? 0 != 0
    let list =
      isRecent
      ? Array(account.closed.suffix(500)) : account.orders.map { unsafeDowncast($0, to: BybitOrder.self) }
    let known = now - settings.queryDelay
    try writeOrders(list.filter { fits($0.market) && isWanted($0) && $0.createTime <= known }, arguments)
  }

  func writeOrderHistory(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) {
    if try answersEmpty(arguments) { return }
    let fits = try markets(arguments, isNeeded: false)
    let isWanted = try wanted(arguments)
    let times = try times(arguments)
    try writeOrders(
      account.closed.filter { fits($0.market) && isWanted($0) && times.contains(wall($0.createTime)) }, arguments)
  }

  // MARK: executions

  func writeExecutions(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) {
    if try answersEmpty(arguments) { return }
    let fits = try markets(arguments, isNeeded: false)
    let isWanted = try wanted(arguments)
    let (id, link) = (try text(arguments, "orderId"), try text(arguments, "orderLinkId"))
    let isNamed = id != nil || link != nil
    let type = try text(arguments, "execType")
    let times = try times(arguments)
    let known = now - settings.queryDelay
    var end = account.postings.count
    if let place = try cursor(arguments)?.split(separator: ":").last.flatMap({ Int($0) }) {
      end = max(0, min(end, place))
    }
    let limit = try limit(arguments, 1...100, usual: 50)
    var page: [(place: Int, time: Nanoseconds)] = []
    for place in (0..<end).reversed() where page.count < limit {
      let time: Nanoseconds
      let isOne: Bool
      switch account.postings[place] {
      case .trade(let index):
        let trade = account.trades[index]
        time = account.fills[index].time
        isOne = fits(trade.order.market) && isWanted(trade.order) && (type == nil || type == "Trade")
      case .funding(let index):
        let funding = account.fundings[index]
        time = funding.time
        isOne = fits(markets[funding.market]) && !isNamed && (type == nil || type == "Funding")
      }
      if isOne, times.contains(wall(time)), time <= known { page.append((place, time)) }
    }
    writePage(page, mark: { "\(self.milliseconds($0.time)):\($0.place)" }) { item in
      switch account.postings[item.place] {
      case .trade(let index): writeExecution(reply, account, index, isStream: false)
      case .funding(let index): writeFunding(reply, account.fundings[index], isStream: false)
      }
    }
  }

  // MARK: positions and money

  func writePositions(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) {
    if try answersEmpty(arguments) { return }
    let fits = try markets(arguments, isNeeded: true)
    let isOne = try text(arguments, "symbol") != nil
    var list = markets.filter { fits($0) && (isOne || account.positions[$0.index].lots != 0) }[...]
    if let name = try cursor(arguments) {
      list = list.drop { $0.spec.name != name }.dropFirst()
    }
    let page = list.prefix(try limit(arguments, 1...200, usual: 20))
    writePage(page, mark: { $0.spec.name }) { writePosition(reply, account, $0, isStream: false) }
  }

  func writeBalances(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) {
    guard try arguments.string("accountType") == "UNIFIED" else {
      throw BybitRefusal(10_001, "accountType only support UNIFIED.")
    }
    reply.raw("{\"list\":[")
    writeWallet(reply, account, isStream: false)
    reply.raw("]}")
  }

  func writeFeeRates(_ arguments: BybitArguments) throws(BybitRefusal) {
    if try answersEmpty(arguments) { return }
    let fits = try markets(arguments, isNeeded: false)
    reply.raw("{\"category\":\"linear\",\"list\":[")
    for (place, market) in markets.filter(fits).enumerated() {
      reply.raw(place == 0 ? "{" : ",{")
      reply.member("symbol", text: market.spec.name)
      reply.member("takerFeeRate", decimal: listing(market).takerFeeE6, places: 6)
      reply.member("makerFeeRate", decimal: listing(market).makerFeeE6, places: 6)
      reply.byte(UInt8(ascii: "}"))
    }
    reply.raw("]}")
  }

  func writeAccountInfo(_ account: BybitAccount) {
    reply.raw("{\"marginMode\":\"REGULAR_MARGIN\"")
    reply.member("updatedTime", whole: wall(0) / 1_000_000)
    reply.member("unifiedMarginStatus", number: 6)
    reply.member("dcpStatus", account.protectionSeconds == nil ? "OFF" : "ON")
    reply.member("timeWindow", number: account.protectionSeconds ?? 10)
    reply.raw(",\"smpGroup\":0,\"isMasterTrader\":false,\"spotHedgingStatus\":\"OFF\"}")
  }

  func writeKeyInfo(_ account: BybitAccount) {
    reply.byte(UInt8(ascii: "{"))
    reply.member("id", whole: account.userID)
    reply.member("note", text: account.name)
    reply.member("apiKey", text: settings.clients.first { $0.account == account.name }?.key ?? account.name)
    reply.member("readOnly", number: 0)
    reply.raw(
      ",\"secret\":\"\",\"permissions\":{\"ContractTrade\":[\"Order\",\"Position\"],\"Spot\":[],\"Wallet\":[],\"Options\":[],\"Derivatives\":[\"DerivativesTrade\"],\"CopyTrading\":[],\"BlockTrade\":[],\"Exchange\":[],\"NFT\":[],\"Affiliate\":[]},\"ips\":[\"*\"],\"type\":1,\"deadlineDay\":-2,\"expiredAt\":\"1970-01-01T00:00:00Z\",\"createdAt\":\"2026-01-01T00:00:00Z\",\"unified\":0,\"uta\":1"
    )
    reply.member("userID", number: account.userID)
    reply.raw(
      ",\"inviterID\":0,\"vipLevel\":\"No VIP\",\"mktMakerLevel\":\"0\",\"affiliateID\":0,\"rsaPublicKey\":\"\",\"isMaster\":true,\"parentUid\":\"0\",\"kycLevel\":\"LEVEL_DEFAULT\",\"kycRegion\":\"\"}"
    )
  }

  func writeProtection(_ account: BybitAccount) {
    reply.raw("{\"dcpInfos\":[")
    if let seconds = account.protectionSeconds {
      reply.raw("{\"product\":\"DERIVATIVES\",\"dcpStatus\":\"ON\"")
      reply.member("timeWindow", whole: seconds)
      reply.byte(UInt8(ascii: "}"))
    }
    reply.raw("]}")
  }

  // MARK: settings

  func writeCancelAll(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) {
    guard try arguments.string("category") == "linear" else { throw .category }
    let list = try cancelAll(account, arguments)
    reply.raw("{\"list\":[")
    for (place, order) in list.enumerated() {
      reply.raw(place == 0 ? "{" : ",{")
      reply.member("orderId", text: order.id)
      reply.member("orderLinkId", text: order.link)
      reply.byte(UInt8(ascii: "}"))
    }
    reply.raw("],\"success\":\"1\"}")
  }

  func setProtection(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) {
    guard settings.allowsDisconnectProtection else { throw .permission }
    guard let seconds = try arguments.integer("timeWindow"), (3...300).contains(seconds) else {
      throw .invalid("timeWindow", "must be from 3 to 300")
    }
    // Options are what is meant if nothing is said.
    switch try arguments.string("product") ?? "OPTIONS" {
    case "DERIVATIVES": setProtection(account, seconds: seconds)
    case "OPTIONS", "SPOT": break
    default: throw .invalid("product", "invalid")
    }
    reply.raw("{}")
  }

  func setLeverage(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) {
    try checkCategory(arguments)
    let market = try market(arguments)
    let buy = try arguments.decimal("buyLeverage", places: 2)
    guard let buy, buy == (try arguments.decimal("sellLeverage", places: 2)) else {
      throw .invalid("buyLeverage", "and sellLeverage must be equal in one-way mode")
    }
    guard buy >= 100, buy <= listing(market).maximumLeverage * 100 else {
      throw .invalid("buyLeverage", "out of range")
    }
    guard buy != account.sides[market.index].leverageE2 else { throw .leverageUnchanged }
    account.sides[market.index].leverageE2 = buy
    reply.raw("{}")
  }

  func switchMode(_ arguments: BybitArguments) throws(BybitRefusal) {
    try checkCategory(arguments)
    guard try arguments.integer("mode") == 0 else { throw .invalid("mode", "only one-way mode is served here") }
    throw .modeUnchanged
  }

  func setPriceLimitAction(_ account: BybitAccount, _ arguments: BybitArguments) throws(BybitRefusal) {
    try checkCategory(arguments)
    guard let isMoved = try arguments.flag("modifyEnable") else { throw .invalid("modifyEnable", "is missing") }
    account.movesToBand = isMoved
    reply.raw("{}")
  }
}
