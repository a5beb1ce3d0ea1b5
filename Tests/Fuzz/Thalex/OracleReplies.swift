import CSupport

/// Replies to requests that are not about one order.
extension Oracle {
  func last(_ key: String, of value: SlowJSON) -> SlowJSON? {
    guard case .object(let members) = value else { return nil }
    return members.last { name($0) == key }?.value
  }

  mutating func failure(_ request: RequestKind, _ value: SlowJSON) {
    var ignored = false
    if let code = last("code", of: value).flatMap({ number($0, &ignored) })?.scaled(0), code.outcome == .exact {
      sink.refused(request, code: code.value)
    } else {
      sink.refusedAtEdge(.missingMember)
      sink.refused(request, code: 0)
    }
  }

  mutating func success(_ request: RequestKind, _ value: SlowJSON) {
    var ignored = false
    guard case .session(let session) = request else {
      switch request {
      case .unknown, .protection, .cancelMassQuote: return sink.replied(request, value: 0)
      case .massQuote(let serial): return massQuoted(serial, value)
      default: break
      }
      // By the digits: the four before the last.
      let isNumbered = lastReplyID % 10 == 7
      let serial = isNumbered ? UInt16(lastReplyID / 10 % 10_000) : 0
      if order(value, .reply, isSession: true, amendSerial: serial) == .delivered { sink.replied(request, value: 0) }
      return
    }
    switch session {
    case .login:
      if let text = last("account_number", of: value).flatMap({ text($0, &ignored) }) { accountNumber = word(text) }
      sink.replied(request, value: 0)
    case .cancelOnDisconnect: amount(request, last("message_rate", of: value))
    case .cancelAll: amount(request, value)
    case .cancelSession, .systemInfo, .cancelConditional, .heartbeat, .resetProtection: sink.replied(request, value: 0)
    case .instrument: if instrument(value, isListed: true) != .refused { sink.replied(request, value: 0) }
    case .index: if priceIndex(value, nil) { sink.replied(request, value: 0) }
    case .accountSummary: if account(value) { sink.replied(request, value: 0) }
    case .subscribePublic, .subscribePrivate: confirm(request, value, true)
    case .unsubscribe: confirm(request, value, false)
    case .instruments: instruments(value, isSnapshot: true, isWrapped: false, reply: request)
    case .openOrders:
      if let awaited = awaitedOrdersID, awaited != lastReplyID { return sink.replied(.unknown, value: 0) }
      orders(value, .query, .openOrders, isSession: false, reply: request)
    case .portfolio: portfolio(value, isSnapshot: true, reply: request)
    case .tradeHistory:
      if let awaited = awaitedTradesID, awaited != lastReplyID { return sink.replied(.unknown, value: 0) }
      tradeHistory(request, value)
    }
  }

  mutating func massQuoted(_ serial: UInt64, _ value: SlowJSON) {
    let answer = read(value, texts: [], numbers: ["n_success", "n_fail"], isOrder: false)
    guard let good = answer.numbers["n_success"], let bad = answer.numbers["n_fail"], !answer.wrong else {
      return sink.refusedAtEdge(.missingMember)
    }
    var isComplete = true
    let errors = last("errors", of: value) ?? .null
    if errors != .null {
      guard case .array(let items) = errors else { return sink.refusedAtEdge(.missingMember) }
      for error in items {
        let item = read(error, texts: ["side"], numbers: ["code", "price"], isOrder: false)
        guard let code = item.numbers["code"]?.scaled(0), code.outcome == .exact, !item.wrong else {
          isComplete = refuse(.missingMember) == .delivered
          continue
        }
        let price = item.numbers["price"]?.scaled(8)
        if price?.outcome == .overflow {
          isComplete = refuse(.impossible) == .delivered
          continue
        }
        let sides: [String: Side] = ["bid": .buy, "buy": .buy, "ask": .sell, "sell": .sell]
        let side = item.texts["side"].flatMap { sides[word($0)] }
        if item.texts["side"] != nil, side == nil { sink.refusedAtEdge(.unknownWord) }
        sink.massQuoteFailed(serial, code: code.value, side: side, priceE8: price?.value, instrument: nil)
      }
    }
    let counts = (good.scaled(0), bad.scaled(0))
    guard counts.0.outcome == .exact, counts.1.outcome == .exact, counts.0.value >= 0, counts.1.value >= 0 else {
      return sink.refusedAtEdge(.impossible)
    }
    if isComplete { sink.massQuoted(serial, succeeded: counts.0.value, failed: counts.1.value) }
  }

  static let reasons: [String: ProtectionReason] = [
    "refill": .refill, "executions": .executions, "client_cancel": .clientCancel, "session_end": .sessionEnd,
    "failover": .failover,
  ]

  mutating func protection(_ value: SlowJSON) -> Outcome {
    let item = read(value, texts: ["product", "reason"], numbers: ["remaining_amount"], isOrder: false)
    guard let name = item.texts["product"], let reason = item.texts["reason"],
      let amount = item.numbers["remaining_amount"], !item.wrong
    else { return refuse(.missingMember) }
    guard let index = products.firstIndex(of: word(name)) else {
      ignoredItems += 1
      return .ignored
    }
    guard productLots[index] > 0 else { return refuse(.unknownName) }
    let size = amount.scaled(8)
    if size.outcome == .overflow { return refuse(.impossible) }
    if Self.reasons[word(reason)] == nil { sink.refusedAtEdge(.unknownWord) }
    var lots = size.value / productLots[index]
    if lots * productLots[index] > size.value { lots -= 1 }
    sink.protection(
      ProductIndex(index), remaining: QtyLots(rawValue: lots), reason: Self.reasons[word(reason)] ?? .other)
    return .delivered
  }

  mutating func amount(_ request: RequestKind, _ value: SlowJSON?) {
    var ignored = false
    guard let number = value.flatMap({ number($0, &ignored) })?.scaled(0) else {
      return sink.refusedAtEdge(.missingMember)
    }
    if number.outcome != .exact || number.value < 0 {
      sink.refusedAtEdge(.impossible)
    } else {
      sink.replied(request, value: number.value)
    }
  }

  mutating func confirm(_ request: RequestKind, _ value: SlowJSON, _ isConfirmed: Bool) {
    guard case .array(let items) = value else { return sink.refusedAtEdge(.missingMember) }
    var count: Int64 = 0
    var isComplete = true
    for item in items {
      var ignored = false
      guard let text = text(item, &ignored) else {
        sink.refusedAtEdge(.missingMember)
        isComplete = false
        continue
      }
      count += 1
      if channels[word(text)] == nil {
        sink.refusedAtEdge(.unknownName)
      } else if isConfirmed {
        confirmed.insert(word(text))
      } else {
        confirmed.remove(word(text))
      }
    }
    if isComplete { sink.replied(request, value: isConfirmed ? count : 0) }
  }

  mutating func tradeHistory(_ request: RequestKind, _ value: SlowJSON) {
    var wrong = false
    var mark: Text?
    var found: SlowJSON?
    if case .object(let members) = value {
      for member in members {
        switch name(member) {
        case "trades": found = member.value
        case "bookmark": mark = text(member.value, &wrong)
        default: break
        }
      }
    }
    guard let found, !wrong else { return sink.refusedAtEdge(.missingMember) }
    bookmark = mark.map(word)
    trades(found, .query, reply: request, hasMore: mark != nil)
  }
}
