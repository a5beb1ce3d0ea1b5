/// Why a request was refused: `retCode` and `retMsg` (protocol reference 13).
struct BybitRefusal: ArgumentFault {
  var code: Int64
  var message: String

  init(_ code: Int64, _ message: String) {
    self.code = code
    self.message = message
  }

  static func invalid(_ parameter: String, _ reason: StaticString) -> Self {
    Self(10_001, "params error: \(parameter) \(reason)")
  }

  static func symbol(_ name: String) -> Self { Self(10_001, "params error: symbol invalid \(name)") }
  static let quantity = Self(10_001, "Qty invalid")
  static let price = Self(10_001, "price invalid")
  static let positionMode = Self(10_001, "position idx not match position mode")
  static let unchanged = Self(
    10_001, "The order remains unchanged as the parameters entered match the existing ones.")
  static let key = Self(10_003, "API key is invalid.")
  static let signature = Self(10_004, "error sign! please check your signature generation algorithm.")
  static let permission = Self(10_005, "Permission denied, please check your API key permissions.")
  static let unauthenticated = Self(10_007, "User authentication failed.")
  static let tooMany = Self(10_006, "Too many visits. Exceeded the API Rate Limit.")
  static let serverError = Self(10_016, "Internal System Error.")
  static let restarting = Self(10_019, "The ws trade service is restarting; please reconnect.")
  static let unknownOperation = Self(10_404, "op type is not found.")
  static let category = Self(10_404, "category is not correct or not supported by this op type.")
  static let sessionRate = Self(20_003, "Too frequent requests under the same session.")
  static let duplicateRequest = Self(20_006, "Duplicated reqId.")
  static let tooLateToCancel = Self(110_001, "order not exists or too late to cancel")
  static let tooLateToReplace = Self(110_001, "order not exists or too late to replace")
  static let margin = Self(110_007, "CheckMarginRatio fail! InsufficientAB")
  static let reduceOnly = Self(110_017, "current position is zero, cannot fix reduce-only order qty")
  static let tooManyOrders = Self(110_020, "not allowed to have more than 500 active orders")
  static let belowFilled = Self(110_064, "The modified quantity cannot be less than or equal to the filled quantity.")
  static let notTrading = Self(110_066, "Trading is currently not allowed.")
  static let duplicateLink = Self(110_072, "OrderLinkedID is duplicate")
  static let belowMinimum = Self(110_094, "Order does not meet minimum order value 5USDT")
  static let modeUnchanged = Self(110_025, "Position mode has not been modified.")
  static let leverageUnchanged = Self(110_043, "leverage not modified")
  static let engineFull = Self(10_429, "System level frequency protection.")

  static func time(request: Int64, server: Int64, window: Int64) -> Self {
    Self(
      10_002,
      "invalid request, please check your server timestamp or recv_window param. "
        + "req_timestamp[\(request)],server_timestamp[\(server)],recv_window[\(window)]")
  }
}

typealias BybitArguments = RequestArguments<BybitRefusal>
