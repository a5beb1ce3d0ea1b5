/// A request to the REST interface (protocol reference 11), to be sent off the lane. Cold.
public struct BybitRestRequest: Equatable, Sendable {
  public enum Method: String, Sendable {
    case get = "GET"
    case post = "POST"
  }

  /// What it asks for.
  public let question: BybitQuestion
  public let method: Method
  public let path: String
  /// The query without its `?`, or the body.
  public let payload: String
  /// It has to be signed.
  public let isPrivate: Bool

  /// The target of the request line.
  public var target: String { method == .get && !payload.isEmpty ? "\(path)?\(payload)" : path }

  private init(
    _ question: BybitQuestion, _ method: Method, _ path: String, _ payload: String, isPrivate: Bool = true
  ) {
    self.question = question
    self.method = method
    self.path = path
    self.payload = payload
    self.isPrivate = isPrivate
  }

  /// The request as HTTP/1.1 text, signed if it has to be; `nil` if the signature fails or `host` is no host name.
  ///
  /// - Parameter milliseconds: The time by the venue's clock since the Unix epoch.
  public func text(
    host: String, credentials: borrowing BybitCredentials, milliseconds: Int64,
    window: Int64 = BybitVenue.requestWindowMilliseconds
  ) -> String? {
    guard !host.isEmpty, host.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F }) else { return nil }
    var text = "\(method.rawValue) \(target) HTTP/1.1\r\nHost: \(host)\r\n"
    if isPrivate {
      guard
        let signature = credentials.requestSignature(milliseconds: milliseconds, window: window, payload: payload)
      else { return nil }
      text += "X-BAPI-API-KEY: \(credentials.key)\r\nX-BAPI-TIMESTAMP: \(milliseconds)\r\n"
      text += "X-BAPI-RECV-WINDOW: \(window)\r\nX-BAPI-SIGN: \(signature)\r\n"
    }
    guard method == .post else { return text + "\r\n" }
    return text + "Content-Type: application/json\r\nContent-Length: \(payload.utf8.count)\r\n\r\n\(payload)"
  }

  // MARK: What can be asked

  /// Cursors come with their escapes, and go back as they came.
  private static func query(_ members: KeyValuePairs<String, String>, cursor: String?) -> String {
    var parts = members.map { "\($0.key)=\(escaped($0.value))" }
    if let cursor, cursor.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7F && $0 != 0x26 && $0 != 0x23 }) {
      parts.append("cursor=\(cursor)")
    }
    return parts.joined(separator: "&")
  }

  /// RFC 3986: what is no unreserved character becomes its escapes.
  private static func escaped(_ text: String) -> String {
    let digits = Array("0123456789ABCDEF")
    var out = ""
    for byte in text.utf8 {
      switch byte {
      case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x5F, 0x7E: out.append(Character(UnicodeScalar(byte)))
      default: out += "%\(digits[Int(byte >> 4)])\(digits[Int(byte & 15)])"
      }
    }
    return out
  }

  private static func body(_ members: KeyValuePairs<String, String>) -> String {
    "{" + members.map { "\"\($0.key)\":\($0.value)" }.joined(separator: ",") + "}"
  }

  /// A JSON string.
  private static func quoted(_ text: String) -> String {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 6 * text.utf8.count + 64, alignment: 1)
    defer { memory.deallocate() }
    var out = RequestText(memory)
    out.quote(text)
    return String(decoding: memory[..<out.count], as: UTF8.self)
  }

  /// All linear instruments that are traded.
  public static func instruments(cursor: String? = nil) -> Self {
    Self(
      .instruments, .get, "/v5/market/instruments-info",
      query(["category": "linear", "limit": "\(BybitVenue.instrumentPage)"], cursor: cursor), isPrivate: false)
  }

  /// What rests now on all instruments in a settle coin.
  public static func openOrders(settleCoin: String = BybitVenue.settleCoin, cursor: String? = nil) -> Self {
    Self(
      .openOrders, .get, "/v5/order/realtime",
      query(
        ["category": "linear", "settleCoin": settleCoin, "openOnly": "0", "limit": "\(BybitVenue.orderPage)"],
        cursor: cursor))
  }

  /// One order, by its client tag: open, or among the last ones that ended.
  public static func order(linkID: String, symbol: String, isRecent: Bool = false) -> Self {
    Self(
      .order, .get, "/v5/order/realtime",
      query(
        ["category": "linear", "symbol": symbol, "orderLinkId": linkID, "openOnly": isRecent ? "1" : "0"], cursor: nil))
  }

  /// Executions of all instruments since a time, 0 for the venue's own beginning; it goes back 7 days at most.
  public static func executions(since milliseconds: Int64 = 0, cursor: String? = nil) -> Self {
    let limit = "\(BybitVenue.executionPage)"
    return Self(
      .executions, .get, "/v5/execution/list",
      milliseconds > 0
        ? query(["category": "linear", "startTime": "\(milliseconds)", "limit": limit], cursor: cursor)
        : query(["category": "linear", "limit": limit], cursor: cursor))
  }

  /// Open positions in a settle coin; an instrument that is not listed is flat.
  public static func positions(settleCoin: String = BybitVenue.settleCoin, cursor: String? = nil) -> Self {
    Self(
      .positions, .get, "/v5/position/list",
      query(
        ["category": "linear", "settleCoin": settleCoin, "limit": "\(BybitVenue.positionPage)"], cursor: cursor))
  }

  public static let wallet = Self(.wallet, .get, "/v5/account/wallet-balance", "accountType=UNIFIED")

  /// Of one instrument, or of all.
  public static func feeRate(symbol: String? = nil) -> Self {
    Self(
      .feeRate, .get, "/v5/account/fee-rate",
      symbol.map { query(["category": "linear", "symbol": $0], cursor: nil) } ?? "category=linear")
  }

  public static func priceLimit(symbol: String) -> Self {
    Self(
      .priceLimit, .get, "/v5/market/price-limit", query(["category": "linear", "symbol": symbol], cursor: nil),
      isPrivate: false)
  }

  public static let time = Self(.time, .get, "/v5/market/time", "", isPrivate: false)
  public static let deadMan = Self(.deadMan, .get, "/v5/account/query-dcp-info", "")

  /// Protection on disconnect for derivatives.
  ///
  /// - Parameter seconds: Within `BybitVenue.deadManSeconds`.
  public static func setDeadMan(seconds: Int) -> Self {
    Self(
      .setDeadMan, .post, "/v5/order/disconnected-cancel-all",
      body(["product": "\"DERIVATIVES\"", "timeWindow": "\(seconds)"]))
  }

  /// Cancels all orders on one instrument, or on all in a settle coin; up to `BybitVenue.cancelAllLimit` at once.
  public static func cancelAll(symbol: String? = nil, settleCoin: String = BybitVenue.settleCoin) -> Self {
    Self(
      .cancelAll, .post, "/v5/order/cancel-all",
      symbol.map { body(["category": "\"linear\"", "symbol": quoted($0)]) }
        ?? body(["category": "\"linear\"", "settleCoin": quoted(settleCoin)]))
  }

  /// Whether orders outside the price limits are moved to them (the venue's own choice) or refused.
  public static func setPriceLimitAction(isMoved: Bool) -> Self {
    Self(
      .setPriceLimitAction, .post, "/v5/account/set-limit-px-action",
      body(["category": "\"linear\"", "modifyEnable": "\(isMoved)"]))
  }
}
