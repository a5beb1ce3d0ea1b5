public import Apus
import CSupport

/// The same methods over HTTP: `GET /api/v2/{method}?…` and `POST /api/v2/{method}` with a JSON-RPC body (reference 1, 4.2).
extension DeribitVenue {
  static let httpPath = "/api/v2/"

  public func receive(_ id: ConnectionID, request: HTTPRequest, now: Nanoseconds) {
    advance(to: now)
    guard let session = sessions[id], session.isOpen, session.isHTTP else { return }
    // Who it is belongs to this request alone.
    session.account = nil
    note(session)
    requestTime = self.now
    requestID = nil
    isDeferred = false
    session.keepsAlive = request.headers["connection"]?.lowercased() != "close"
    do throws(DeribitFault) {
      try serve(session, request)
    } catch {
      beginReply()
      error.write(reply)
      endReply()
      settle(requester: session)
    }
  }

  private func serve(_ session: DeribitSession, _ request: HTTPRequest) throws(DeribitFault) {
    let parts = request.target.split(separator: "?", maxSplits: 1, omittingEmptySubsequences: false)
    var path = String(parts[0])
    if path == "/api/v2" { path += "/" }
    guard path.hasPrefix(Self.httpPath) else { throw .methodNotFound }
    var method = String(path.dropFirst(Self.httpPath.count))
    if let header = request.headers["authorization"] {
      guard let account = account(session, header: header, request) else { throw .unauthorized }
      session.account = account
      account.messages += 1
    }
    switch request.method {
    case "GET":
      guard let body = QueryString.json(parts.count > 1 ? parts[1] : "") else { throw .badRequest }
      body.withUnsafeBytes { bytes in
        // It has been written just now, and is good JSON.
        _ = document.parse(bytes)
        perform(session, method, DeribitArguments(document: document, object: 0))
      }
    case "POST":
      var isKnown = true
      request.body.withUnsafeBytes { bytes in
        guard document.parse(bytes), document[0].kind == .object, let name = document.member("method", of: 0),
          let text = document.string(name)
        else {
          isKnown = false
          return
        }
        if let id = document.member("id", of: 0), document[id].kind == .number || document[id].kind == .string {
          requestID = Array(document.verbatim(id))
        }
        method = text
        var params: Int?
        if let given = document.member("params", of: 0), document[given].kind == .object { params = given }
        perform(session, method, DeribitArguments(document: document, object: params))
      }
      if !isKnown { throw .badRequest }
    default: throw .badRequest
    }
  }

  private func account(_ session: DeribitSession, header: String, _ request: HTTPRequest) -> DeribitAccount? {
    let parts = header.split(separator: " ", maxSplits: 1)
    guard parts.count == 2, !refusesLogins else { return nil }
    switch parts[0].lowercased() {
    case "bearer":
      guard let token = tokens[String(parts[1])], !token.isRefresh, token.expires > now, token.connection == nil else {
        return nil
      }
      return token.account
    case "basic":
      guard let bytes = Self.base64(parts[1]), let text = String(validating: bytes, as: UTF8.self) else { return nil }
      let pair = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
      return pair.count == 2 ? account(client: String(pair[0]), secret: String(pair[1])) : nil
    case "deri-hmac-sha256":
      var fields: [String: String] = [:]
      for item in parts[1].split(separator: ",") {
        let pair = item.split(separator: "=", maxSplits: 1)
        guard pair.count == 2 else { return nil }
        fields[pair[0].filter { $0 != " " }] = String(pair[1])
      }
      guard let id = fields["id"], let time = fields["ts"], let nonce = fields["nonce"], let signature = fields["sig"],
        let milliseconds = Int64(time)
      else { return nil }
      let body = String(decoding: request.body, as: UTF8.self)
      return account(
        client: id, signature: signature, of: "\(time)\n\(nonce)\n\(request.method)\n\(request.target)\n\(body)\n",
        time: milliseconds)
    default: return nil
    }
  }

  private static func base64(_ text: some StringProtocol) -> [UInt8]? {
    var result: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    for character in text.utf8 where character != UInt8(ascii: "=") {
      let value: UInt32
      switch character {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(character - 65)
      case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(character - 71)
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(character + 4)
      case UInt8(ascii: "+"): value = 62
      case UInt8(ascii: "/"): value = 63
      default: return nil
      }
      bits = bits << 6 | value
      count += 6
      if count >= 8 {
        count -= 8
        result.append(UInt8(truncatingIfNeeded: bits >> UInt32(count)))
      }
    }
    return result
  }

  /// Posts a JSON-RPC answer as a whole HTTP response.
  func writeHTTP(_ session: DeribitSession, _ body: TextBuffer) {
    let isError = body.contains("\"error\":{", before: 128)
    message.clear()
    message.raw(isError ? "HTTP/1.1 400 Bad Request\r\n" : "HTTP/1.1 200 OK\r\n")
    message.raw("Content-Type: application/json\r\nContent-Length: ")
    message.integer(Int64(body.count))
    message.raw(session.keepsAlive ? "\r\nConnection: keep-alive\r\n\r\n" : "\r\nConnection: close\r\n\r\n")
    message.append(body.bytes)
    outbox.post(session.id, message)
    if !session.keepsAlive { close(session, code: 1000) }
  }
}
