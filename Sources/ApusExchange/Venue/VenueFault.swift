/// Why a request was refused: the codes of reference 2.4.
enum VenueFault: Int64 {
  case orderNotFound = 1
  case duplicateOrderID = 2
  case throttleExceeded = 4
  case unknownInstrument = 5
  case invalidRequest = 6
  case notLoggedIn = 7
  case partitionUnavailable = 10
  case invalidOrderID = 12
  case invalidPrice = 13
  case invalidQuantity = 14
  case priceNotAligned = 15
  case unknownProduct = 17
  case authenticationFailed = 19
  case protectionNotSet = 23
  case invalidTimeInForce = 25
  case unknownMethod = 31
  case invalidState = 37
  case unknownUnderlying = 40
  case insufficientLiquidity = 41
  case priceCollarBreach = 43
  case quoteTooLarge = 44
  case unboundedMarketOrder = 45
  case tooManyOpenOrders = 49
  case totalOrderSizeTooLarge = 50
  case massQuotesNotEnabled = 51
  case persistentSession = 52
  case reduceOnlyMode = 57

  var message: StaticString {
    switch self {
    case .orderNotFound: "order not found"
    case .duplicateOrderID: "duplicate order id"
    case .throttleExceeded: "throttle exceeded"
    case .unknownInstrument: "unknown instrument"
    case .invalidRequest: "invalid request"
    case .notLoggedIn: "not logged in"
    case .partitionUnavailable: "partition unavailable"
    case .invalidOrderID: "invalid order id"
    case .invalidPrice: "invalid price"
    case .invalidQuantity: "invalid quantity"
    case .priceNotAligned: "price not aligned with tick size"
    case .unknownProduct: "unknown product"
    case .authenticationFailed: "authentication failed"
    case .protectionNotSet: "protection not set"
    case .invalidTimeInForce: "invalid time in force"
    case .unknownMethod: "unknown method"
    case .invalidState: "invalid state"
    case .unknownUnderlying: "unknown underlying"
    case .insufficientLiquidity: "insufficient liquidity"
    case .priceCollarBreach: "price collar breach"
    case .quoteTooLarge: "quote exceeds protection group size"
    case .unboundedMarketOrder: "unbounded market order"
    case .tooManyOpenOrders: "too many open orders"
    case .totalOrderSizeTooLarge: "total order size too large"
    case .massQuotesNotEnabled: "mass quoting not enabled"
    case .persistentSession: "persistent session"
    case .reduceOnlyMode: "reduce only"
    }
  }
}
