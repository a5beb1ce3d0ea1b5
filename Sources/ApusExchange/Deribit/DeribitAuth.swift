import Apus
import CSupport

/// Who is asking: grants, tokens, HTTP headers (reference 4).
extension DeribitVenue {
  /// The account of a request: by its own token, or that of its connection. `nil` without either.
  func account(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) -> DeribitAccount? {
    guard let text = try arguments.string("access_token") else { return session.account }
    guard let account = account(token: text, session) else { throw .unauthorized }
    // From now on its channels are this account's.
    join(session, account)
    return account
  }

  private func account(token text: String, _ session: DeribitSession) -> DeribitAccount? {
    guard let token = tokens[text], !token.isRefresh, token.expires > now,
      token.connection == nil || token.connection == session.id
    else { return nil }
    return token.account
  }

  private func join(_ session: DeribitSession, _ account: DeribitAccount) {
    guard session.account !== account else { return }
    session.account?.connections.removeAll { $0 === session }
    session.account = account
    account.messages += session.isHTTP ? 1 : session.received
    if !session.isHTTP {
      account.connections.append(session)
      // The oldest goes.
      if account.connections.count > 16 { close(account.connections[0], code: 1001) }
    }
  }

  func authenticate(_ session: DeribitSession, _ arguments: DeribitArguments) throws(DeribitFault) {
    let account: DeribitAccount?
    switch try arguments.requiredString("grant_type") {
    case "client_credentials":
      let id = try arguments.requiredString("client_id")
      account = self.account(client: id, secret: try arguments.requiredString("client_secret"))
    case "client_signature":
      let id = try arguments.requiredString("client_id")
      let signature = try arguments.requiredString("signature")
      guard let node = arguments.node("timestamp") else { throw .invalid("timestamp", "value required") }
      guard let time = try arguments.integer("timestamp") else { throw .invalid("timestamp", "value required") }
      let nonce = try arguments.string("nonce") ?? ""
      let data = try arguments.string("data") ?? ""
      let shown = String(decoding: document.bytes(node), as: UTF8.self)
      account = self.account(client: id, signature: signature, of: "\(shown)\n\(nonce)\n\(data)", time: time)
    case "refresh_token":
      let text = try arguments.requiredString("refresh_token")
      account = tokens[text].flatMap { $0.isRefresh && $0.expires > now ? $0.account : nil }
    default: throw .invalid("grant_type", "unknown grant type")
    }
    guard !refusesLogins, let account else {
      statistics.failedLogins += 1
      throw .invalidCredentials
    }
    join(session, account)
    try grant(session, account, arguments)
  }

  private func grant(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    let wanted = try arguments.string("scope") ?? ""
    var words = wanted.split(separator: " ").map(String.init)
    let name = words.first { $0.hasPrefix("session:") }
    var seconds: Int64 = 31_536_000
    if let word = words.first(where: { $0.hasPrefix("expires:") }), let given = Int64(word.dropFirst(8)), given > 0 {
      seconds = min(seconds, given)
    }
    if name == nil, !words.contains("connection") { words.insert("connection", at: 0) }
    for word in ["mainaccount", "account:read_write", "trade:read_write"]
    where !words.contains(where: { $0.hasPrefix(word.split(separator: ":")[0]) }) { words.append(word) }
    let scope = words.joined(separator: " ")
    let connection = name == nil && !session.isHTTP ? session.id : nil
    func make(isRefresh: Bool) -> String {
      let text = "\(wallClock / 1_000_000).\(letters(8)).\(letters(isRefresh ? 64 : 160))"
      // A refresh token outlives its connection.
      tokens[text] = DeribitToken(
        account: account, expires: now + seconds * 1_000_000_000, scope: scope, isRefresh: isRefresh,
        connection: isRefresh ? nil : connection)
      return text
    }
    reply.raw("{\"token_type\":\"bearer\",\"scope\":")
    reply.quoted(scope)
    reply.raw(",\"refresh_token\":")
    reply.quoted(make(isRefresh: true))
    reply.raw(",\"expires_in\":")
    reply.integer(seconds)
    reply.raw(",\"enabled_features\":[],\"access_token\":")
    reply.quoted(make(isRefresh: false))
    if let name {
      reply.raw(",\"sid\":")
      reply.quoted(String(name.dropFirst("session:".count)))
    }
    if let state = try arguments.string("state") {
      reply.raw(",\"state\":")
      reply.quoted(state)
    }
    reply.byte(UInt8(ascii: "}"))
  }

  private func letters(_ count: Int) -> String {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    return String(decoding: (0..<count).map { _ in alphabet[Int(random.next() & 63)] }, as: UTF8.self)
  }

  func logout(
    _ session: DeribitSession, _ account: DeribitAccount, _ arguments: DeribitArguments
  ) throws(DeribitFault) {
    guard !session.isHTTP else { throw .needsWebSocket }
    // The last thing that is said is the close; cancel on disconnect does not apply.
    isDeferred = true
    closeAfterReply = 1000
  }

  // MARK: keys

  private func client(_ id: String) -> DeribitClient? {
    if settings.clients.isEmpty { return id.isEmpty ? nil : DeribitClient(id: id, secret: nil, account: id) }
    return settings.clients.first { $0.id == id }
  }

  private func account(of client: DeribitClient) -> DeribitAccount {
    if let known = accounts[client.account] { return unsafeDowncast(known, to: DeribitAccount.self) }
    let account = DeribitAccount(
      name: client.account, number: accountList.count + 1, instruments: markets.count, clock: clock, settings: settings)
    accounts[client.account] = account
    accountList.append(account)
    return account
  }

  func account(client id: String, secret: String) -> DeribitAccount? {
    guard let client = client(id), client.secret == nil || client.secret == secret else { return nil }
    return account(of: client)
  }

  /// - Parameter time: Milliseconds since the epoch; must be within a minute of the venue's clock.
  func account(client id: String, signature: String, of text: String, time: Int64) -> DeribitAccount? {
    guard let client = client(id), abs(wallClock / 1_000_000 - time) <= 60_000 else { return nil }
    if let secret = client.secret {
      guard let right = hexSignature(of: text, secret: secret), right == signature.lowercased() else { return nil }
    }
    return account(of: client)
  }
}
