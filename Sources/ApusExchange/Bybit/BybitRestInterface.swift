public import Apus
import CSupport

/// An answer of the REST interface.
public struct BybitRestResponse: Sendable, Equatable {
  public struct Header: Sendable, Equatable {
    public var name: String
    public var value: String
  }

  /// HTTP status: 200 also for refused requests; 400, 401, 403 and 404 for those that are none.
  public var status: Int
  /// Without `Content-Length` and `Connection`.
  public var headers: [Header]
  public var body: [UInt8]
}

/// The REST interface: who asks, for what, and the envelope of the answer (4.2, 11).
extension SimulatedBybit {
  /// Serves one request. It needs no connection, and belongs to none.
  ///
  /// - Parameters:
  ///   - query: What stands behind the `?`, as it was sent: it is what a GET is signed over.
  ///   - headers: By name in lower case.
  ///   - body: As it was sent, likewise.
  public func rest(
    method: String, path: String, query: String, headers: [String: String], body: [UInt8], now: Nanoseconds
  ) -> BybitRestResponse {
    advance(to: now)
    statistics.received += 1
    if settings.enforcesLimits, !addresses.take(now: self.now) {
      statistics.rateViolations += 1
      return failure(403, BybitRefusal(10_018, "access too frequent"))
    }
    guard let route = BybitRoute(path: path) else { return failure(404, BybitRefusal(10_017, "route not found")) }
    guard method == (route.isPost ? "POST" : "GET") else { return failure(400, BybitRefusal(10_001, "bad method")) }
    if !route.isPost, !body.isEmpty { return failure(403, BybitRefusal(10_001, "a GET has no body")) }
    var account: BybitAccount?
    if !route.isPublic {
      guard let key = headers["x-bapi-api-key"], let stamp = headers["x-bapi-timestamp"],
        let signature = headers["x-bapi-sign"], let time = Int64(stamp)
      else { return failure(401, .key) }
      let window = headers["x-bapi-recv-window"] ?? ""
      do throws(BybitRefusal) {
        guard let milliseconds = window.isEmpty ? 5000 : Int64(window) else { throw .invalid("recv_window", "invalid") }
        try checkTime(time, window: milliseconds)
        let payload = route.isPost ? String(decoding: body, as: UTF8.self) : query
        account = try self.account(
          key: key, signature: signature, of: stamp + key + window + payload, isSocket: false)
      } catch {
        if error.code != 10_002 { statistics.failedLogins += 1 }
        return failure(200, error)
      }
    }
    account?.messages += 1
    guard let bytes = route.isPost ? body : QueryString.json(query) else {
      return failure(200, .invalid("query", "has wrong escapes"))
    }
    return bytes.withUnsafeBytes { bytes in
      guard document.parse(bytes), document[0].kind == .object else {
        statistics.malformed += 1
        return failure(200, .invalid("body", "is no JSON object"))
      }
      return serve(route, account, BybitArguments(document: document, object: 0))
    }
  }

  private func serve(
    _ route: BybitRoute, _ account: BybitAccount?, _ arguments: BybitArguments
  ) -> BybitRestResponse {
    reply.clear()
    reply.raw("{\"retCode\":0,\"retMsg\":\"OK\",\"result\":")
    var outcomes: [BybitOutcome] = []
    var refusal: BybitRefusal?
    do throws(BybitRefusal) {
      if let account {
        outcomes = try answer(route, account, arguments)
      } else {
        try answer(route, arguments)
      }
      reply.key("retExtInfo")
      writeExtra(outcomes, isBatch: route.action?.isBatch == true)
      writeTime()
    } catch {
      refusal = error
      write(error)
    }
    var response = BybitRestResponse(status: 200, headers: heads(), body: Array(reply.bytes))
    if let account, let rate = route.rate {
      for (name, value) in limits(account, rate, refusal) {
        response.headers.append(.init(name: "\(name)", value: "\(value)"))
      }
    }
    settle()
    return response
  }

  private func heads() -> [BybitRestResponse.Header] {
    [
      .init(name: "Content-Type", value: "application/json; charset=utf-8"), .init(name: "Traceid", value: trace()),
      .init(name: "Timenow", value: "\(wallClock / 1_000_000)"),
    ]
  }

  private func failure(_ status: Int, _ refusal: BybitRefusal) -> BybitRestResponse {
    write(refusal)
    return BybitRestResponse(status: status, headers: heads(), body: Array(reply.bytes))
  }

  private func write(_ refusal: BybitRefusal) {
    reply.clear()
    reply.byte(UInt8(ascii: "{"))
    reply.member("retCode", number: refusal.code)
    reply.member("retMsg", text: refusal.message)
    reply.raw(",\"result\":{},\"retExtInfo\":{}")
    writeTime()
  }

  private func writeTime() {
    reply.member("time", number: wallClock / 1_000_000)
    reply.byte(UInt8(ascii: "}"))
  }

  private func answer(_ route: BybitRoute, _ arguments: BybitArguments) throws(BybitRefusal) {
    switch route {
    case .time: writeServerTime()
    case .instruments: try writeInstruments(arguments)
    case .book: try writeRestBook(arguments)
    case .tickers: try writeRestTickers(arguments)
    case .priceLimit: try writeRestPriceLimit(arguments)
    case .recentTrades: try writeRecentTrades(arguments)
    default: preconditionFailure("a private route without an account")
    }
  }

  private func answer(
    _ route: BybitRoute, _ account: BybitAccount, _ arguments: BybitArguments
  ) throws(BybitRefusal) -> [BybitOutcome] {
    if let action = route.action {
      let outcomes = try perform(action, account, arguments)
      write(outcomes, isBatch: action.isBatch)
      return outcomes
    }
    if let rate = route.rate { try charge(account, rate) }
    if faults.isDown { throw .serverError }
    switch route {
    case .cancelAll: try writeCancelAll(account, arguments)
    case .openOrders: try writeOpenOrders(account, arguments)
    case .orderHistory: try writeOrderHistory(account, arguments)
    case .executions: try writeExecutions(account, arguments)
    case .positions: try writePositions(account, arguments)
    case .wallet: try writeBalances(account, arguments)
    case .accountInfo: writeAccountInfo(account)
    case .feeRate: try writeFeeRates(arguments)
    case .keyInfo: writeKeyInfo(account)
    case .coins: reply.raw("{\"rows\":[]}")
    case .selfMatchGroup: reply.raw("{\"smpGroup\":0}")
    case .protectionInfo: writeProtection(account)
    case .setProtection: try setProtection(account, arguments)
    case .setLeverage: try setLeverage(account, arguments)
    case .switchMode: try switchMode(arguments)
    case .setPriceLimitAction: try setPriceLimitAction(account, arguments)
    default: preconditionFailure("a public route with an account")
    }
    return []
  }

  // MARK: over a connection

  public func receive(_ id: ConnectionID, request: HTTPRequest, now: Nanoseconds) {
    advance(to: now)
    guard let connection = connections[id], connection.isOpen, connection.kind == .http else { return }
    connection.keepsAlive = request.headers["connection"]?.lowercased() != "close"
    let parts = request.target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    let response = rest(
      method: request.method, path: String(parts[0]), query: parts.count > 1 ? String(parts[1]) : "",
      headers: request.headers, body: request.body, now: now)
    let reasons = [200: "OK", 400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found"]
    message.clear()
    message.append(Array("HTTP/1.1 \(response.status) \(reasons[response.status] ?? "Error")\r\n".utf8))
    for header in response.headers { message.append(Array("\(header.name): \(header.value)\r\n".utf8)) }
    message.raw("Content-Length: ")
    message.integer(Int64(response.body.count))
    message.raw(connection.keepsAlive ? "\r\nConnection: keep-alive\r\n\r\n" : "\r\nConnection: close\r\n\r\n")
    message.append(response.body)
    outbox.post(connection.id, message)
    if !connection.keepsAlive { close(connection, code: 1000) }
  }
}

/// What the REST interface has.
enum BybitRoute: String, CaseIterable {
  case time = "/v5/market/time"
  case instruments = "/v5/market/instruments-info"
  case book = "/v5/market/orderbook"
  case tickers = "/v5/market/tickers"
  case priceLimit = "/v5/market/price-limit"
  case recentTrades = "/v5/market/recent-trade"
  case create = "/v5/order/create"
  case amend = "/v5/order/amend"
  case cancel = "/v5/order/cancel"
  case createBatch = "/v5/order/create-batch"
  case amendBatch = "/v5/order/amend-batch"
  case cancelBatch = "/v5/order/cancel-batch"
  case cancelAll = "/v5/order/cancel-all"
  case setProtection = "/v5/order/disconnected-cancel-all"
  case setLeverage = "/v5/position/set-leverage"
  case switchMode = "/v5/position/switch-mode"
  case setPriceLimitAction = "/v5/account/set-limit-px-action"
  case openOrders = "/v5/order/realtime"
  case orderHistory = "/v5/order/history"
  case executions = "/v5/execution/list"
  case positions = "/v5/position/list"
  case wallet = "/v5/account/wallet-balance"
  case accountInfo = "/v5/account/info"
  case feeRate = "/v5/account/fee-rate"
  case selfMatchGroup = "/v5/account/smp-group"
  case protectionInfo = "/v5/account/query-dcp-info"
  case keyInfo = "/v5/user/query-api"
  case coins = "/v5/asset/coin/query-info"

  init?(path: String) { self.init(rawValue: path) }

  var isPublic: Bool { rawValue.hasPrefix("/v5/market/") }

  var isPost: Bool {
    switch self {
    case .setProtection, .setLeverage, .switchMode, .setPriceLimitAction, .cancelAll: true
    default: action != nil
    }
  }

  /// What it does with orders, as over their socket.
  var action: BybitAction? {
    switch self {
    case .create: .create
    case .amend: .amend
    case .cancel: .cancel
    case .createBatch: .createBatch
    case .amendBatch: .amendBatch
    case .cancelBatch: .cancelBatch
    default: nil
    }
  }

  /// What it counts as.
  var rate: BybitRateClass? {
    if let action { return action.rate }
    switch self {
    case .cancelAll: return .cancelAll
    case .openOrders, .orderHistory: return .orders
    case .executions: return .executions
    case .positions: return .positions
    case .wallet, .accountInfo, .feeRate, .selfMatchGroup, .protectionInfo, .keyInfo, .coins: return .account
    case .setProtection, .setLeverage, .switchMode, .setPriceLimitAction: return .settings
    default: return nil
    }
  }
}
