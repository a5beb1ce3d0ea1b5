/// Why a request was refused: the codes of reference 2.4.
enum VenueFault: Int64 {
  case orderNotFound = 1
  case duplicateOrderID = 2
  case throttleExceeded = 4
  case unknownInstrument = 5
  case invalidRequest = 6
  case notLoggedIn = 7
  case invalidOrderID = 12
  case invalidPrice = 13
  case invalidQuantity = 14
  case priceNotAligned = 15
  case authenticationFailed = 19
  case invalidTimeInForce = 25
  case unknownMethod = 31
  case invalidState = 37
  case unknownUnderlying = 40
  case insufficientLiquidity = 41
  case priceCollarBreach = 43
  case unboundedMarketOrder = 45
  case tooManyOpenOrders = 49
  case totalOrderSizeTooLarge = 50
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
    case .invalidOrderID: "invalid order id"
    case .invalidPrice: "invalid price"
    case .invalidQuantity: "invalid quantity"
    case .priceNotAligned: "price not aligned with tick size"
    case .authenticationFailed: "authentication failed"
    case .invalidTimeInForce: "invalid time in force"
    case .unknownMethod: "unknown method"
    case .invalidState: "invalid state"
    case .unknownUnderlying: "unknown underlying"
    case .insufficientLiquidity: "insufficient liquidity"
    case .priceCollarBreach: "price collar breach"
    case .unboundedMarketOrder: "unbounded market order"
    case .tooManyOpenOrders: "too many open orders"
    case .totalOrderSizeTooLarge: "total order size too large"
    case .persistentSession: "persistent session"
    case .reduceOnlyMode: "reduce only"
    }
  }
}
