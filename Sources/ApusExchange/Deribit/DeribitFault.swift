/// Why a request was refused: a JSON-RPC error (reference 17).
struct DeribitFault: ArgumentFault {
  var code: Int64
  var message: String
  /// `data.reason` and `data.param`.
  var reason: StaticString?
  var parameter: String?
  /// `data` as a mere text.
  var text: StaticString?

  init(_ code: Int64, _ message: String) {
    self.code = code
    self.message = message
  }

  static func invalid(_ parameter: String, _ reason: StaticString) -> Self {
    var fault = Self(-32602, "Invalid params")
    fault.reason = reason
    fault.parameter = parameter
    return fault
  }

  static var invalidJSON: Self {
    var fault = Self(11050, "bad_request")
    fault.text = "invalid json"
    return fault
  }
  static let badRequest = Self(11050, "bad_request")
  static let tooLarge = Self(-32600, "request entity too large")
  static let methodNotFound = Self(-32601, "Method not found")
  static let invalidCredentials = Self(13004, "invalid_credentials")
  static var unauthorized: Self {
    var fault = Self(13009, "unauthorized")
    fault.reason = "invalid_token"
    fault.parameter = "access_token"
    return fault
  }
  static let rawNeedsLogin = Self(13778, "raw_subscriptions_not_available_for_unauthorized")
  static let tooManyRequests = Self(10028, "too_many_requests")
  static let needsWebSocket = Self(10030, "must_be_websocket_request")
  static let unsupportedInstrument = Self(10020, "invalid_or_unsupported_instrument")
  static let invalidAmount = Self(10021, "invalid_amount")
  static let invalidPrice = Self(10023, "invalid_price")
  static let bookClosed = Self(10012, "book_closed")
  static let notEnoughFunds = Self(10009, "not_enough_funds")
  static let overlap = Self(10003, "order_overlap")
  static let orderNotFound = Self(10004, "order_not_found")
  static let notOpen = Self(11044, "not_open_order")
  static let settling = Self(10041, "settlement_in_progress")
  static let maintenance = Self(11051, "system_maintenance")
  static let queueFull = Self(10047, "matching_engine_queue_full")
  static let postOnlyReject = Self(11054, "post_only_reject")
  static let postOnlyImpossible = Self(11021, "post_only_price_modification_not_possible")
  static let timedOut = Self(13888, "timed_out")
  static let replaced = Self(13777, "replaced")
  static let cancelledByUser = Self(13666, "request_cancelled_by_user")
  static let labelNotUnique = Self(13032, "non_unique_order_label")
  static let protectionTriggered = Self(13030, "mmp_trigger")
  static let protectionRequired = Self(13040, "mmp_required")
  static let needsCancelOnDisconnect = Self(13042, "cod_not_enabled")
  static let quotesFrozen = Self(13043, "quotes_frozen")
  static let massQuotesDisabled = Self(13902, "mass_quotes_disabled")
  static let tooManyQuotes = Self(13903, "too_many_quotes")
  static let reduceOnly = Self(11030, "other_reject invalid_reduce_only_order")
  static let internalError = Self(11094, "internal_server_error")

  func write(_ out: TextBuffer) {
    out.raw("\"error\":{\"code\":")
    out.integer(code)
    out.raw(",\"message\":")
    out.quoted(message)
    if let text {
      out.raw(",\"data\":\"")
      out.raw(text)
      out.byte(UInt8(ascii: "\""))
    } else if let reason, let parameter {
      out.raw(",\"data\":{\"reason\":\"")
      out.raw(reason)
      out.raw("\",\"param\":")
      out.quoted(parameter)
      out.byte(UInt8(ascii: "}"))
    }
    out.byte(UInt8(ascii: "}"))
  }
}

typealias DeribitArguments = RequestArguments<DeribitFault>
