import Apus
import CSupport

/// Requests in, replies out (reference 2).
extension DeribitVenue {
  /// Bytes of a message.
  static let messageLimit = 32_768

  func answer(_ session: DeribitSession, _ text: UnsafeRawBufferPointer) {
    requestTime = now
    requestID = nil
    isDeferred = false
    guard text.count <= Self.messageLimit else { return refuse(session, .tooLarge) }
    guard document.parse(text), document[0].kind == .object else {
      statistics.malformed += 1
      return refuse(session, .invalidJSON)
    }
    if let id = document.member("id", of: 0) {
      switch document[id].kind {
      case .number, .string: requestID = Array(document.verbatim(id))
      default: break
      }
    }
    guard let method = document.member("method", of: 0), let name = document.string(method) else {
      return refuse(session, .badRequest)
    }
    var params: Int?
    if let given = document.member("params", of: 0), document[given].kind != .null {
      guard document[given].kind == .object else { return refuse(session, .invalid("params", "must be an object")) }
      params = given
    }
    perform(session, name, DeribitArguments(document: document, object: params))
  }

  /// Serves one request of a connection whose message has been parsed.
  func perform(_ session: DeribitSession, _ method: String, _ arguments: DeribitArguments) {
    beginReply()
    let mark = reply.count
    do throws(DeribitFault) {
      reply.raw("\"result\":")
      try serve(session, method, arguments)
      if !isDeferred { endReply() }
    } catch {
      isDeferred = false
      reply.truncate(to: mark)
      error.write(reply)
      endReply()
    }
    settle(requester: isDeferred ? nil : session)
    if let code = closeAfterReply {
      closeAfterReply = nil
      close(session, code: code, isLogout: code == 1000)
    }
  }

  private func refuse(_ session: DeribitSession, _ fault: DeribitFault) {
    beginReply()
    fault.write(reply)
    endReply()
    settle(requester: session)
  }

  func beginReply() {
    reply.clear()
    reply.raw("{\"jsonrpc\":\"2.0\",")
    if let requestID {
      reply.raw("\"id\":")
      reply.append(requestID)
      reply.byte(UInt8(ascii: ","))
    }
  }

  func endReply() {
    reply.raw(",\"usIn\":")
    reply.integer(wall(requestTime) / 1000)
    reply.raw(",\"usOut\":")
    reply.integer(wallClock / 1000)
    reply.raw(",\"usDiff\":")
    reply.integer(max(0, (wallClock - wall(requestTime)) / 1000))
    reply.raw(",\"testnet\":true}")
  }

  private enum Cost { case other, subscribe, instruments, matching, cancelAll, massQuote }

  private func cost(_ method: String, _ arguments: DeribitArguments) -> Cost {
    switch method {
    case "public/subscribe", "private/subscribe": .subscribe
    case "public/get_instruments": .instruments
    case "private/buy", "private/sell", "private/edit", "private/edit_by_label", "private/cancel",
      "private/cancel_all_by_currency", "private/cancel_all_by_currency_pair", "private/cancel_all_by_instrument",
      "private/close_position", "private/cancel_quotes":
      .matching
    case "private/cancel_by_label": arguments.has("currency") ? .matching : .cancelAll
    case "private/cancel_all", "private/cancel_all_by_kind_or_type": .cancelAll
    case "private/mass_quote": .massQuote
    default: .other
    }
  }

  /// Takes the credits of a request (reference 16).
  private func charge(_ session: DeribitSession, _ account: DeribitAccount?, _ cost: Cost) throws(DeribitFault) {
    guard settings.enforcesLimits else { return }
    let isPaid: Bool
    if let account {
      switch cost {
      case .other: isPaid = account.other.take(now: now)
      case .subscribe: isPaid = account.subscribes.take(now: now)
      case .instruments: isPaid = account.instruments.take(now: now)
      case .matching: isPaid = account.matching.take(now: now)
      case .cancelAll: isPaid = account.cancelAlls.take(now: now)
      case .massQuote: isPaid = account.massQuotes.take(now: now)
      }
    } else {
      isPaid = session.anonymous.take(now: now)
    }
    guard !isPaid else { return }
    account?.violations += 1
    statistics.rateViolations += 1
    closeAfterReply = Self.limitClose
    throw .tooManyRequests
  }

  private func serve(
    _ session: DeribitSession, _ method: String, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    if method == "public/auth" {
      try charge(session, session.account, .other)
      return try authenticate(session, arguments)
    }
    if let body = publicMethod(method) {
      // A token counts here too: it is what raw channels need.
      let account = try arguments.has("access_token") ? account(session, arguments) : session.account
      try charge(session, account, cost(method, arguments))
      return try body(session, arguments)
    }
    guard let body = privateMethod(method) else {
      try charge(session, session.account, .other)
      throw .methodNotFound
    }
    guard let account = try account(session, arguments) else { throw .unauthorized }
    let cost = cost(method, arguments)
    try charge(session, account, cost)
    if cost != .other, cost != .subscribe {
      if inMaintenance { throw .maintenance }
      if isSettling { throw .settling }
      if fullQueueReplies > 0 {
        fullQueueReplies -= 1
        throw .queueFull
      }
    }
    try body(session, account, arguments)
  }

  private typealias PublicBody = (DeribitSession, DeribitArguments) throws(DeribitFault) -> Void
  private typealias PrivateBody = (DeribitSession, DeribitAccount, DeribitArguments) throws(DeribitFault) -> Void

  private func publicMethod(_ name: String) -> PublicBody? {
    switch name {
    case "public/test", "public/hello": testOrHello
    case "public/set_heartbeat": setHeartbeat
    case "public/disable_heartbeat": disableHeartbeat
    case "public/subscribe": { (s, a) throws(DeribitFault) in try self.subscribe(s, s.account, a) }
    case "public/unsubscribe": unsubscribe
    case "public/unsubscribe_all": unsubscribeAll
    case "public/get_time": { (_, _) in self.reply.integer(self.wallClock / 1_000_000) }
    case "public/status": { (_, _) in self.reply.raw("{\"locked\":\"false\",\"locked_indices\":[]}") }
    case "public/get_instruments": getInstruments
    case "public/get_instrument": getInstrument
    case "public/get_currencies": getCurrencies
    case "public/get_index_price": getIndexPrice
    case "public/ticker": getTicker
    case "public/get_order_book": getOrderBook
    case "public/get_last_trades_by_instrument", "public/get_last_trades_by_instrument_and_time":
      getLastTradesByInstrument
    case "public/get_last_trades_by_currency", "public/get_last_trades_by_currency_and_time": getLastTradesByCurrency
    default: nil
    }
  }

  private func privateMethod(_ name: String) -> PrivateBody? {
    switch name {
    case "private/logout": logout
    case "private/enable_cancel_on_disconnect":
      { (s, c, a) throws(DeribitFault) in try self.setCancelOnDisconnect(s, c, a, true) }
    case "private/disable_cancel_on_disconnect":
      { (s, c, a) throws(DeribitFault) in try self.setCancelOnDisconnect(s, c, a, false) }
    case "private/get_cancel_on_disconnect": getCancelOnDisconnect
    case "private/subscribe": { (s, c, a) throws(DeribitFault) in try self.subscribe(s, c, a) }
    case "private/unsubscribe": { (s, _, a) throws(DeribitFault) in try self.unsubscribe(s, a) }
    case "private/unsubscribe_all": { (s, _, a) throws(DeribitFault) in try self.unsubscribeAll(s, a) }
    case "private/buy": { (s, c, a) throws(DeribitFault) in try self.place(s, c, a, .buy) }
    case "private/sell": { (s, c, a) throws(DeribitFault) in try self.place(s, c, a, .sell) }
    case "private/close_position": closePosition
    case "private/edit": edit
    case "private/edit_by_label": editByLabel
    case "private/cancel": cancel
    case "private/cancel_by_label": cancelByLabel
    case "private/cancel_all", "private/cancel_all_by_currency", "private/cancel_all_by_currency_pair",
      "private/cancel_all_by_instrument", "private/cancel_all_by_kind_or_type":
      { (s, c, a) throws(DeribitFault) in try self.cancelAllMatching(s, c, a, method: name) }
    case "private/get_open_orders", "private/get_open_orders_by_currency", "private/get_open_orders_by_instrument",
      "private/get_open_orders_by_label":
      { (_, c, a) throws(DeribitFault) in try self.getOpenOrders(c, a, method: name) }
    case "private/get_order_state": getOrderState
    case "private/get_order_state_by_label": getOrderStateByLabel
    case "private/get_order_history_by_instrument", "private/get_order_history_by_currency": getOrderHistory
    case "private/get_user_trades_by_instrument", "private/get_user_trades_by_instrument_and_time",
      "private/get_user_trades_by_currency", "private/get_user_trades_by_currency_and_time":
      { (_, c, a) throws(DeribitFault) in try self.getUserTrades(c, a, method: name) }
    case "private/get_user_trades_by_order": getUserTradesByOrder
    case "private/get_positions": getPositions
    case "private/get_position": getPosition
    case "private/get_account_summary": getAccountSummary
    case "private/get_account_summaries": getAccountSummaries
    case "private/set_self_trading_config": setSelfTrading
    case "private/mass_quote": massQuote
    case "private/cancel_quotes": cancelQuotes
    case "private/set_mmp_config": setProtection
    case "private/get_mmp_config": getProtection
    case "private/get_mmp_status": getProtectionStatus
    case "private/reset_mmp": resetProtection
    default: nil
    }
  }

  // MARK: small ones

  private func testOrHello(_ session: DeribitSession, _ arguments: DeribitArguments) {
    session.awaitsTest = false
    reply.raw("{\"version\":\"1.2.26\"}")
  }

  private func setHeartbeat(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    guard !session.isHTTP else { throw .needsWebSocket }
    guard let seconds = try arguments.integer("interval") else { throw .invalid("interval", "value required") }
    guard seconds >= 10, seconds <= 3600 else { throw .invalid("interval", "value is too low") }
    startHeartbeat(session, seconds * 1_000_000_000)
    reply.raw("\"ok\"")
  }

  private func disableHeartbeat(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    guard !session.isHTTP else { throw .needsWebSocket }
    startHeartbeat(session, 0)
    reply.raw("\"ok\"")
  }

  private func setCancelOnDisconnect(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments, _ isOn: Bool
  ) throws(DeribitFault) {
    guard !session.isHTTP else { throw .needsWebSocket }
    switch try arguments.string("scope") ?? "connection" {
    case "connection":
      if isOn, !session.cancelsOnDisconnect { statistics.sessions += 1 }
      session.cancelsOnDisconnect = isOn
    case "account":
      account.cancelsOnDisconnect = isOn
      session.cancelsOnDisconnect = isOn
    default: throw .invalid("scope", "must be connection or account")
    }
    reply.raw("\"ok\"")
  }

  private func getCancelOnDisconnect(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let isAccount = try arguments.string("scope") == "account"
    reply.raw(isAccount ? "{\"scope\":\"account\",\"enabled\":" : "{\"scope\":\"connection\",\"enabled\":")
    reply.bool(isAccount ? account.cancelsOnDisconnect : session.cancelsOnDisconnect || account.cancelsOnDisconnect)
    reply.byte(UInt8(ascii: "}"))
  }

  private func setSelfTrading(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    guard let mode = DeribitAccount.SelfTradeMode(rawValue: try arguments.requiredString("mode")) else {
      throw .invalid("mode", "must be reject_taker or cancel_maker")
    }
    account.selfTradeMode = mode
    account.extendsToSubaccounts = try arguments.flag("extended_to_subaccounts") ?? false
    reply.raw("\"ok\"")
  }
}
