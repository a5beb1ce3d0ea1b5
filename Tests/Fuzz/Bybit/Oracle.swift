import CSupport

/// Books, public trades, orders and executions once more, derived from a parsed tree, slowly. Every other kind of frame
/// is only held against the general reader.
struct Oracle {
  struct Book {
    var update: UInt64 = 0
    var isLive = false
  }

  let names: [String]
  let prefix: String
  let label: String
  /// The grids that the decoder has.
  var infos: [InstrumentInfo?]
  var books: [String: Book] = [:]
  var lines: [String] = []

  init(names: [String], prefix: String, label: String) {
    self.names = names
    self.prefix = prefix
    self.label = label
    infos = Array(repeating: nil, count: names.count)
  }

  private enum Number {
    case absent, unreadable
    case number(SlowNumber)
  }

  private func member(_ value: SlowJSON, _ key: String) -> SlowJSON? {
    guard case .object(let members) = value else { return nil }
    return members.first { $0.name == Array(key.utf8) }?.value
  }
  private func raw(_ value: SlowJSON?) -> [UInt8]? {
    guard case .string(let raw)? = value else { return nil }
    return raw
  }
  private func text(_ value: SlowJSON?) -> String? {
    raw(value).map { spelled(SlowJSON.meaning(of: $0)) }
  }
  private func number(_ raw: [UInt8]?) -> Number {
    guard let raw, !raw.isEmpty else { return .absent }
    guard case .number(let spelled)? = SlowJSON.parse(raw[...]), spelled == raw else { return .unreadable }
    return .number(SlowNumber(raw))
  }
  private func price(_ number: SlowNumber, _ info: InstrumentInfo) -> (problem: DecodeProblem?, ticks: Int64) {
    guard let steps = number.steps(info.grid.tickE8), steps.outcome != .overflow else { return (.offGrid, 0) }
    return (steps.value <= 0 ? .impossible : nil, steps.value)
  }
  private func size(_ number: SlowNumber, _ info: InstrumentInfo) -> (problem: DecodeProblem?, lots: Int64) {
    guard let steps = number.steps(info.grid.lotE8), steps.outcome != .overflow else { return (.offGrid, 0) }
    return (steps.value < 0 ? .impossible : nil, steps.value)
  }
  private func time(_ number: Number) -> Int64 {
    guard case .number(let number) = number else { return 0 }
    let (outcome, value) = number.scaled(6)
    return outcome == .overflow ? 0 : max(0, value)
  }
  private func side(_ value: SlowJSON?) -> UInt32? {
    switch text(value) {
    case "Buy": UInt32(Side.buy.rawValue)
    case "Sell": UInt32(Side.sell.rawValue)
    default: nil
    }
  }

  /// Whether the frame is of a kind that is judged here; then `lines` is what it has to deliver.
  mutating func decode(_ tree: SlowJSON) -> Bool {
    lines = []
    guard let topic = text(member(tree, "topic")), let data = member(tree, "data") else { return false }
    let parts = topic.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    switch parts.first {
    case "orderbook":
      guard parts.count == 3, let index = names.firstIndex(of: parts[2]), books[topic] != nil else { return false }
      book(topic, index, tree, data)
    case "publicTrade":
      guard topic == "publicTrade.BTCUSDT" else { return false }
      list(data) { $0.trade(0, $1) }
    case "order":
      guard topic == "order.linear" || topic == "order" else { return false }
      list(data) { $0.order($1) }
    case "execution":
      guard topic == "execution.linear" || topic == "execution.fast.linear" else { return false }
      list(data) { $0.execution($1, isFast: topic != "execution.linear") }
    default: return false
    }
    return true
  }

  private mutating func list(_ data: SlowJSON, _ item: (inout Oracle, SlowJSON) -> Void) {
    guard case .array(let items) = data else {
      lines.append("edge missingMember")
      return
    }
    for value in items {
      if case .object = value { item(&self, value) } else { lines.append("edge missingMember") }
    }
  }

  private mutating func book(_ topic: String, _ index: Int, _ tree: SlowJSON, _ data: SlowJSON) {
    var problem: DecodeProblem?
    var sides: [[(Int64, Int64)]] = [[], []]
    var update: UInt64?
    if let info = infos[index] {
      if case .object(let members) = data {
        for member in members {
          switch String(decoding: member.name, as: UTF8.self) {
          case "b": sides[0] = levels(member.value, info, &problem)
          case "a": sides[1] = levels(member.value, info, &problem)
          case "u":
            if case .number(let spelled) = member.value { update = SlowNumber(spelled).whole }
          default: break
          }
        }
      } else {
        problem = .missingMember
      }
    } else {
      problem = .unknownName
    }
    if update == nil || update == .max { problem = problem ?? .missingMember }
    let word = text(member(tree, "type"))
    if word != "snapshot", word != "delta" { problem = problem ?? (word == nil ? .missingMember : .unknownWord) }
    let book = books[topic] ?? Book()
    func lose(_ self: inout Oracle) {
      if book.isLive { self.lines.append("book lost \(index)") }
      self.books[topic]?.isLive = false
    }
    if let problem {
      lines.append("edge \(problem)")
      lose(&self)
      return
    }
    if word == "delta" {
      guard book.isLive else { return }
      guard update == book.update &+ 1 else { return lose(&self) }
    }
    books[topic] = Book(update: update ?? 0, isLive: true)
    lines.append("book \(index) \(word == "snapshot")")
    for (side, levels) in zip([Side.buy, Side.sell], sides) {
      for (ticks, lots) in levels { lines.append("level \(index) \(side.rawValue) \(ticks)x\(lots)") }
    }
    lines.append("book end \(index)")
  }

  private func levels(_ value: SlowJSON, _ info: InstrumentInfo, _ problem: inout DecodeProblem?) -> [(Int64, Int64)] {
    guard case .array(let items) = value else {
      problem = problem ?? .missingMember
      return []
    }
    var out: [(Int64, Int64)] = []
    for item in items {
      guard case .array(let pair) = item, pair.count >= 2, let first = raw(pair[0]), let second = raw(pair[1]),
        case .number(let priceNumber) = number(first)
      else {
        problem = problem ?? .missingMember
        continue
      }
      let (priceProblem, ticks) = price(priceNumber, info)
      if let priceProblem {
        problem = problem ?? priceProblem
        continue
      }
      guard case .number(let sizeNumber) = number(second) else {
        problem = problem ?? .missingMember
        continue
      }
      let (sizeProblem, lots) = size(sizeNumber, info)
      if let sizeProblem { problem = problem ?? sizeProblem } else { out.append((ticks, lots)) }
    }
    return out
  }

  private mutating func trade(_ index: Int, _ item: SlowJSON) {
    guard let info = infos[index] else { return lines.append("edge unknownName") }
    guard raw(member(item, "S")) != nil, let v = raw(member(item, "v")), let p = raw(member(item, "p")),
      case .number(let T)? = member(item, "T"), case .number(let priceNumber) = number(p),
      case .number(let sizeNumber) = number(v)
    else { return lines.append("edge missingMember") }
    let (priceProblem, ticks) = price(priceNumber, info)
    let (sizeProblem, lots) = size(sizeNumber, info)
    if let problem = priceProblem ?? sizeProblem { return lines.append("edge \(problem)") }
    guard let side = side(member(item, "S")) else { return lines.append("edge unknownWord") }
    lines.append("trade \(index) \(side) \(ticks)x\(lots) \(time(.number(SlowNumber(T))))")
  }

  private enum Owner { case other, ours, order(UInt64) }

  private func owner(_ item: SlowJSON) -> Owner {
    guard let tag = text(member(item, "orderLinkId")), tag.hasPrefix(prefix) else { return .other }
    guard tag.hasPrefix(label), tag.unicodeScalars.count == label.utf8.count + 10 else { return .ours }
    var id: UInt64 = 0
    let digits = Array("0123456789abcdefghijklmnopqrstuv".unicodeScalars)
    for scalar in tag.unicodeScalars.dropFirst(label.utf8.count) {
      guard let digit = digits.firstIndex(of: scalar) else { return .ours }
      id = id << 5 | UInt64(digit)
    }
    return id == 0 || id > RequestID.operandLimit ? .ours : .order(id)
  }

  /// The instrument of an item, unless it is stepped over or refused.
  private mutating func instrument(_ item: SlowJSON, _ owner: Owner) -> Int? {
    guard let symbol = text(member(item, "symbol")) else {
      lines.append("edge missingMember")
      return nil
    }
    guard let index = names.firstIndex(of: symbol) else {
      if case .other = owner { return nil }
      lines.append("edge unknownName")
      return nil
    }
    if infos[index] == nil {
      lines.append("edge unknownName")
      return nil
    }
    return index
  }

  private func isID(_ text: String?) -> Bool { text.map { (1...39).contains($0.unicodeScalars.count) } ?? false }

  private mutating func order(_ item: SlowJSON) {
    if let category = text(member(item, "category")), category != "linear" { return }
    let owner = owner(item)
    guard let index = instrument(item, owner), let info = infos[index] else { return }
    let id = text(member(item, "orderId"))
    guard isID(id), raw(member(item, "side")) != nil, let word = text(member(item, "orderStatus")),
      raw(member(item, "qty")) != nil, raw(member(item, "cumExecQty")) != nil
    else { return lines.append("edge missingMember") }
    guard let side = side(member(item, "side")) else { return lines.append("edge unknownWord") }
    guard case .number(let qtyNumber) = number(raw(member(item, "qty"))) else { return lines.append("edge missingMember") }
    var (problem, qty) = size(qtyNumber, info)
    if let problem { return lines.append("edge \(problem)") }
    var filled: Int64 = 0
    switch number(raw(member(item, "cumExecQty"))) {
    case .number(let number):
      (problem, filled) = size(number, info)
      if let problem { return lines.append("edge \(problem)") }
    case .absent: break
    case .unreadable: return lines.append("edge missingMember")
    }
    let known = [
      "New", "PartiallyFilled", "Filled", "Cancelled", "Rejected", "Deactivated", "PartiallyFilledCanceled",
      "Untriggered", "Triggered",
    ]
    let status: OrderStatus =
      switch word {
      case "New": .open
      case "PartiallyFilled": .partiallyFilled
      case "Filled": .filled
      case "Cancelled", "Rejected", "Deactivated", "PartiallyFilledCanceled":
        filled > 0 ? .cancelledPartiallyFilled : .cancelled
      default: .other
      }
    let isMarket = text(member(item, "orderType")) == "Market"
    var ticks: Int64 = -1
    if let priceText = raw(member(item, "price")), !isMarket {
      switch number(priceText) {
      case .number(let number):
        if !number.digits.isEmpty || status.isLive {
          (problem, ticks) = price(number, info)
          if let problem { return lines.append("edge \(problem)") }
        }
      case .absent: break
      case .unreadable: return lines.append("edge missingMember")
      }
    }
    if ticks < 0, status.isLive, !isMarket { return lines.append("edge missingMember") }
    var left: Int64 = 0
    if status.isTerminal {
      if status == .cancelledPartiallyFilled { qty = max(qty, filled) }
      if filled > qty || status == .filled && filled < qty { return lines.append("edge impossible") }
    } else if case .number(let number) = number(raw(member(item, "leavesQty"))) {
      (problem, left) = size(number, info)
      if let problem { return lines.append("edge \(problem)") }
      if filled > qty || left > qty - filled { return lines.append("edge impossible") }
    } else if status.isLive {
      return lines.append("edge missingMember")
    } else if filled > qty {
      return lines.append("edge impossible")
    }
    var isWordNew = !known.contains(word)
    let reason = deletion(item, status, &isWordNew)
    if isWordNew { lines.append("edge unknownWord") }
    var clientID: UInt64 = 0
    var isOurs = true
    switch owner {
    case .other: isOurs = false
    case .ours: break
    case .order(let id): clientID = id
    }
    lines.append(
      "order \(id ?? "") \(clientID) \(index) \(side) \(ticks) \(qty) \(filled) \(left) \(status) \(reason) feed "
        + "\(isOurs) \(time(number(raw(member(item, "createdTime")))))")
  }

  private func deletion(_ item: SlowJSON, _ status: OrderStatus, _ isWordNew: inout Bool) -> DeleteReason {
    guard status.isTerminal else { return .none }
    if status == .filled { return .filled }
    switch text(member(item, "cancelType")) {
    case nil, "", "UNKNOWN": break
    case "CancelByUser": return .clientCancel
    case "CancelBySmp": return .selfTradePrevention
    case "CancelByDCP": return .sessionEnd
    case "CancelByPrepareLiq", "CancelAllBeforeLiq", "CancelByPrepareAdl", "CancelAllBeforeAdl": return .marginBreach
    case "CancelByAdmin": return .adminCancel
    case "CancelBySettle": return .instrumentDeactivated
    case "CancelByReduceOnly", "CancelByTpSlTsClear", "CancelByRebalance", "CancelByOCOTpCanceledBySlTriggered",
      "CancelByOCOSlCanceledByTpTriggered":
      return .other
    default:
      isWordNew = true
      return .other
    }
    switch text(member(item, "rejectReason")) {
    case "EC_PerCancelRequest": return .clientCancel
    case "EC_PostOnlyWillTakeLiquidity", "EC_NoImmediateQtyToFill", "EC_NoEnoughQtyToFill", "EC_CancelForNoFullFill":
      return .immediateCancel
    case "EC_BySelfMatch", "EC_StopBySelfMatch": return .selfTradePrevention
    case "EC_CancelReplaceOrder": return .replaced
    case "EC_CancelByMMP": return .protection
    case "EC_InvalidSymbolStatus", "EC_InCallAuctionStatus", "EC_SecurityStatusFail": return .instrumentDeactivated
    default: return .other
    }
  }

  private mutating func execution(_ item: SlowJSON, isFast: Bool) {
    if let category = text(member(item, "category")), category != "linear" { return }
    if !isFast {
      switch text(member(item, "execType")) {
      case nil: return lines.append("edge missingMember")
      case "Trade", "AdlTrade", "BustTrade", "BlockTrade", "FutureSpread": break
      case "Funding", "Delivery", "Settle", "MovePosition", "CorporateAction": return
      default: return lines.append("edge unknownWord")
      }
    }
    let owner = owner(item)
    guard let index = instrument(item, owner), let info = infos[index] else { return }
    let execID = text(member(item, "execId")), orderID = text(member(item, "orderId"))
    guard isID(execID), isID(orderID), raw(member(item, "side")) != nil,
      case .number(let priceNumber) = number(raw(member(item, "execPrice"))),
      case .number(let sizeNumber) = number(raw(member(item, "execQty")))
    else { return lines.append("edge missingMember") }
    guard let side = side(member(item, "side")) else { return lines.append("edge unknownWord") }
    let (priceProblem, ticks) = price(priceNumber, info)
    let (sizeProblem, lots) = size(sizeNumber, info)
    if let problem = priceProblem ?? sizeProblem { return lines.append("edge \(problem)") }
    if lots == 0 { return lines.append("edge impossible") }
    var fee = Int64.min
    switch number(raw(member(item, "execFee"))) {
    case .absent: break
    case .unreadable: return lines.append("edge missingMember")
    case .number(let number):
      let coin = text(member(item, "feeCurrency")) ?? ""
      if coin != "", coin != "USDT" {
        lines.append("edge unknownWord")
      } else {
        let (outcome, value) = number.scaled(8)
        if outcome == .overflow { return lines.append("edge impossible") }
        fee = value
      }
    }
    var clientID: UInt64 = 0
    var isOurs = true
    switch owner {
    case .other: isOurs = false
    case .ours: break
    case .order(let id): clientID = id
    }
    lines.append(
      "fill \(execID ?? "") \(orderID ?? "") \(clientID) \(index) \(side) \(ticks)x\(lots) "
        + "\(member(item, "isMaker") == .bool(true)) \(isFast ? "feed" : "tradeFeed") \(isOurs) \(fee) "
        + "\(time(number(raw(member(item, "execTime")))))")
  }
}
