import Apus
import CSupport

/// The private methods that are served.
enum PrivateMethod: String {
  case insert = "private/insert"
  case buy = "private/buy"
  case sell = "private/sell"
  case amend = "private/amend"
  case cancel = "private/cancel"
  case cancelAll = "private/cancel_all"
  case cancelSession = "private/cancel_session"
  case massQuote = "private/mass_quote"
  case cancelMassQuote = "private/cancel_mass_quote"
  case setProtection = "private/set_mm_protection"
  case setCancelOnDisconnect = "private/set_cancel_on_disconnect"
  case subscribe = "private/subscribe"
  case openOrders = "private/open_orders"
  case orderHistory = "private/order_history"
  case tradeHistory = "private/trade_history"
  case portfolio = "private/portfolio"
  case accountSummary = "private/account_summary"
  case accountBreakdown = "private/account_breakdown"
  case marginForOrder = "private/required_margin_for_order"
  case createConditional = "private/create_conditional_order"
  case cancelConditional = "private/cancel_conditional_order"
  case cancelAllConditionals = "private/cancel_all_conditional_orders"
  case openConditionals = "private/open_conditional_orders"
  case conditionals = "private/conditional_orders"
  case createRequest = "private/create_rfq"
  case cancelRequest = "private/cancel_rfq"
  case tradeRequest = "private/trade_rfq"
  case openRequests = "private/open_rfqs"
  case makerRequests = "private/mm_rfqs"
  case insertQuote = "private/mm_rfq_insert_quote"
  case amendQuote = "private/mm_rfq_amend_quote"
  case deleteQuote = "private/mm_rfq_delete_quote"
  case makerQuotes = "private/mm_rfq_quotes"
  // Known, but with nothing behind them here: they get error 37.
  case marginBreakdown = "private/required_margin_breakdown"
  case dailyMarkHistory = "private/daily_mark_history"
  case transactionHistory = "private/transaction_history"
  case tradeValueHistory = "private/trade_value_history"
  case requestHistory = "private/rfq_history"
  case conditionalHistory = "private/conditional_order_history"
  case createBot = "private/create_bot"
  case cancelBot = "private/cancel_bot"
  case cancelAllBots = "private/cancel_all_bots"
  case bots = "private/bots"

  /// Counts against the matching-engine rate.
  var isOrder: Bool {
    switch self {
    case .insert, .buy, .sell, .amend, .massQuote, .insertQuote, .amendQuote, .tradeRequest: true
    default: false
    }
  }

  /// Counts against the cancel rate.
  var isCancel: Bool {
    switch self {
    case .cancel, .cancelAll, .cancelSession, .cancelMassQuote, .deleteQuote: true
    default: false
    }
  }
}

extension SimulatedVenue {
  /// Does what a private method asks for and writes its result, or says why not.
  func perform(
    _ action: PrivateMethod, _ session: Session, _ account: Account, _ arguments: Arguments
  ) -> VenueFault? {
    switch action {
    case .insert: return insert(session, account, arguments, side: nil)
    case .buy: return insert(session, account, arguments, side: .buy)
    case .sell: return insert(session, account, arguments, side: .sell)
    case .amend: return amend(session, account, arguments)
    case .cancel: return cancel(session, account, arguments)
    case .cancelAll:
      let list = account.orders.filter { configuration.cancelAllTakesQuotes || !$0.isQuote }
      cancelAll(list, deletion: .clientBulkCancel)
      reply.integer(Int64(list.count))
    case .cancelSession:
      guard session.timeout > 0 else { return .persistentSession }
      cancelAll(session.orders.filter { !$0.isPersistent }, deletion: .sessionEnd)
      resetProtection(session, reason: .sessionEnd)
      reply.raw("null")
    case .massQuote: return massQuote(session, account, arguments)
    case .cancelMassQuote: return cancelMassQuote(account, arguments)
    case .setProtection: return setProtection(session, arguments)
    case .setCancelOnDisconnect: return setCancelOnDisconnect(session, arguments)
    case .subscribe: return subscribe(session, arguments, isPrivate: true)
    case .openOrders: writeOrders(reply, account.orders)
    case .orderHistory: return orderHistory(account, arguments)
    case .tradeHistory: return tradeHistory(account, arguments)
    case .portfolio: writePortfolio(reply, account)
    case .accountSummary: writeSummary(reply, account)
    case .accountBreakdown: writeBreakdown(account)
    case .marginForOrder: return marginForOrder(account, arguments)
    case .createConditional: return createConditional(account, arguments)
    case .cancelConditional: return cancelConditional(account, arguments)
    case .cancelAllConditionals: cancelAllConditionals(account)
    case .openConditionals: writeConditionals(reply, account, activeOnly: true)
    case .conditionals: writeConditionals(reply, account, activeOnly: false)
    case .createRequest: return createRequest(account, arguments)
    case .cancelRequest: return cancelRequest(account, arguments)
    case .tradeRequest: return tradeRequest(account, arguments)
    case .openRequests: writeRequests(reply, requests.filter { $0.account === account }, event: nil)
    case .makerRequests: writeRequests(reply, requests, event: nil)
    case .insertQuote: return insertQuote(session, account, arguments)
    case .amendQuote: return amendQuote(session, account, arguments)
    case .deleteQuote: return deleteQuote(session, account, arguments)
    case .makerQuotes: writeQuotes(reply, account, event: nil)
    case .bots: reply.raw("[]")
    case .marginBreakdown, .dailyMarkHistory, .transactionHistory, .tradeValueHistory, .requestHistory,
      .conditionalHistory, .createBot, .cancelBot, .cancelAllBots:
      return .invalidState
    }
    return nil
  }
}
