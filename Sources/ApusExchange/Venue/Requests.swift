import Apus
import CSupport

/// Requests in, replies out: framing, login, session state.
extension SimulatedVenue {
  func answer(_ session: Session, _ text: UnsafeRawBufferPointer) {
    reply.clear()
    reply.raw("{\"id\":")
    guard document.parse(text), document[0].kind == .object else {
      statistics.malformed += 1
      reply.raw("null,")
      refuse(.invalidRequest, headLength: reply.count)
      outbox.post(session.id, reply)
      return
    }
    if let id = document.member("id", of: 0) {
      reply.append(document.verbatim(id))
    } else {
      reply.raw("null")
    }
    reply.byte(UInt8(ascii: ","))
    let headLength = reply.count
    reply.raw("\"result\":")
    if let fault = perform(session) {
      refuse(fault, headLength: headLength)
    } else {
      reply.byte(UInt8(ascii: "}"))
    }
    settle(requester: session, hasReply: true)
    if let code = closeAfterReply {
      closeAfterReply = nil
      outbox.close(session.id, code: code)
      end(session)
      settle(requester: nil)
    }
  }

  private func refuse(_ fault: VenueFault, headLength: Int) {
    reply.truncate(to: headLength)
    reply.raw("\"error\":{\"code\":")
    reply.integer(fault.rawValue)
    reply.raw(",\"message\":\"")
    reply.raw(fault.message)
    reply.raw("\"}}")
  }

  /// Does what the parsed request asks for and writes its result, or says why not.
  private func perform(_ session: Session) -> VenueFault? {
    guard let method = document.member("method", of: 0), let name = document.string(method) else {
      return .invalidRequest
    }
    var params: Int?
    if let given = document.member("params", of: 0) {
      guard document[given].kind == .object else { return .invalidRequest }
      params = given
    } else {
      statistics.missingParams += 1
    }
    let arguments = Arguments(document: document, object: params)
    switch name {
    case "public/login": return login(session, arguments)
    case "public/instruments": return instruments(arguments)
    case "public/all_instruments": return allInstruments(arguments)
    case "public/instrument": return instrument(arguments)
    case "public/ticker": return withMarket(arguments) { writeTicker(reply, $0) }
    case "public/book": return withMarket(arguments) { writeBook(reply, $0) }
    case "public/index": return index(arguments)
    case "public/system_info":
      reply.raw("{\"banners\":[],\"environment\":")
      reply.quoted(configuration.environment)
      reply.raw(",\"api_version\":\"2.59.0\"}")
      return nil
    case "public/subscribe": return subscribe(session, arguments, isPrivate: false)
    case "unsubscribe": return unsubscribe(session, arguments)
    default: break
    }
    guard let action = PrivateMethod(rawValue: name) else { return .unknownMethod }
    guard let account = session.account else { return .notLoggedIn }
    let cost = action == .massQuote ? messageCost(massQuote: arguments) : 1
    if action.isOrder, !session.messages.pass(now: now, penalty: configuration.throttlePenalty, cost: cost) {
      return throttled(session, account)
    }
    if action.isCancel, !session.cancels.pass(now: now, penalty: configuration.throttlePenalty) {
      return throttled(session, account)
    }
    return perform(action, session, account, arguments)
  }

  private func throttled(_ session: Session, _ account: Account) -> VenueFault {
    session.violations += 1
    account.violations += 1
    statistics.rateViolations += 1
    return .throttleExceeded
  }

  func setCancelOnDisconnect(_ session: Session, _ arguments: Arguments) -> VenueFault? {
    guard case .value(let seconds) = arguments.unsigned("timeout_secs"), seconds > 0, seconds <= 3600 else {
      return .invalidRequest
    }
    let wasOff = session.timeout == 0
    session.timeout = Nanoseconds(seconds) * 1_000_000_000
    session.messages.setRate(configuration.sessionMessageRate, now: now)
    // A shorter time-out needs an earlier look; a longer one finds out at the look that is due.
    if now + session.timeout < session.nextLook {
      session.nextLook = now + session.timeout
      timers.set(.silence(session), at: session.nextLook)
    }
    if wasOff { statistics.sessions += 1 }
    reply.raw("{\"message_rate\":")
    reply.integer(Int64(configuration.sessionMessageRate))
    reply.byte(UInt8(ascii: "}"))
    return nil
  }

  // MARK: login (reference 3.1, 3.2)

  private func login(_ session: Session, _ arguments: Arguments) -> VenueFault? {
    guard case .value(let text) = arguments.string("token") else { return .invalidRequest }
    let wanted: String?
    switch arguments.string("account") {
    case .value(let name): wanted = name
    case .absent: wanted = nil
    case .wrong: return .invalidRequest
    }
    guard !refusesLogins, let token = LoginToken(text), let name = accountName(token, wanted), isAuthentic(token) else {
      statistics.failedLogins += 1
      if configuration.closesOnFailedLogin { closeAfterReply = 1008 }
      return .authenticationFailed
    }
    tokenTimes[token.keyID] = max(token.issuedAt, tokenTimes[token.keyID] ?? .min)
    if let current = session.account {
      guard current.name == name else { return .invalidState }
    } else {
      let account = account(name)
      session.account = account
      account.sessions.append(session)
      account.messages += session.received
    }
    reply.raw("{\"account_number\":")
    reply.quoted(name)
    reply.byte(UInt8(ascii: "}"))
    return nil
  }

  private func isAuthentic(_ token: LoginToken) -> Bool {
    let tolerance: Nanoseconds = 30_000_000_000
    if configuration.checksTokenTime,
      token.issuedAt < wallClock - tolerance || token.issuedAt > wallClock + tolerance
    {
      return false
    }
    if configuration.checksTokenOrder, let last = tokenTimes[token.keyID], token.issuedAt <= last { return false }
    return verifier?.verify(
      keyID: token.keyID, algorithm: token.algorithm, signingInput: token.signingInput, signature: token.signature)
      ?? true
  }

  private func accountName(_ token: LoginToken, _ wanted: String?) -> String? {
    if configuration.accounts.isEmpty {
      let digits = token.keyID.filter(\.isNumber)
      return wanted ?? "A" + (digits.isEmpty ? "000000001" : digits)
    }
    guard let own = configuration.accounts[token.keyID], let first = own.first else { return nil }
    guard let wanted else { return first }
    return own.contains(wanted) ? wanted : nil
  }

  private func account(_ name: String) -> Account {
    if let known = accounts[name] { return known }
    let account = Account(
      name: name, owner: UInt32(accountList.count + 1), instruments: markets.count,
      clock: clock, initialCashE8: configuration.initialCashE8)
    accounts[name] = account
    accountList.append(account)
    return account
  }
}

/// The parameters of a request, read leniently about nothing: present, absent or wrong.
struct Arguments {
  enum Value<T> {
    case absent, wrong
    case value(T)
  }

  let document: JSONDocument
  let object: Int?

  /// The member's node; null counts as absent.
  func node(_ name: StaticString) -> Int? {
    guard let object, let node = document.member(name, of: object), document[node].kind != .null else { return nil }
    return node
  }

  private func read<T>(_ name: StaticString, _ convert: (Int) -> T?) -> Value<T> {
    guard let node = node(name) else { return .absent }
    return convert(node).map { .value($0) } ?? .wrong
  }

  func string(_ name: StaticString) -> Value<String> { read(name) { document.string($0) } }
  func unsigned(_ name: StaticString) -> Value<UInt64> { read(name) { document.unsigned($0) } }
  func decimal(_ name: StaticString, places: Int) -> Value<Int64> {
    read(name) { document.decimal($0, places: places) }
  }

  /// `nil` if it is no boolean.
  func flag(_ name: StaticString) -> Bool? {
    guard let node = node(name) else { return false }
    return document[node].kind == .bool ? document.isTrue(node) : nil
  }
}

/// A login token taken apart: a JWS in compact form (reference 3.1).
struct LoginToken {
  var keyID = ""
  var algorithm = ""
  /// Nanoseconds since the Unix epoch.
  var issuedAt: Nanoseconds = 0
  var signingInput: [UInt8] = []
  var signature: [UInt8] = []

  init?(_ text: String) {
    let parts = text.utf8.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
    guard parts.count == 3, let header = Self.base64URL(parts[0]), let payload = Self.base64URL(parts[1]),
      let signature = Self.base64URL(parts[2])
    else { return nil }
    self.signature = signature
    signingInput = Array(parts[0]) + [UInt8(ascii: ".")] + Array(parts[1])
    let document = JSONDocument()
    let headerIsGood = header.withUnsafeBytes { bytes in
      guard document.parse(bytes), document[0].kind == .object, let kid = document.member("kid", of: 0),
        let alg = document.member("alg", of: 0), let keyID = document.string(kid), let algorithm = document.string(alg)
      else { return false }
      self.keyID = keyID
      self.algorithm = algorithm
      return true
    }
    guard headerIsGood, ["RS256", "RS384", "RS512"].contains(algorithm) else { return nil }
    let payloadIsGood = payload.withUnsafeBytes { bytes in
      guard document.parse(bytes), document[0].kind == .object, let iat = document.member("iat", of: 0),
        let time = document.decimal(iat, places: 9)
      else { return false }
      issuedAt = time
      return true
    }
    guard payloadIsGood else { return nil }
  }

  private static func base64URL(_ text: Substring.UTF8View.SubSequence) -> [UInt8]? {
    var result: [UInt8] = []
    var bits: UInt32 = 0
    var count = 0
    for character in text {
      let value: UInt32
      switch character {
      case UInt8(ascii: "A")...UInt8(ascii: "Z"): value = UInt32(character - 65)
      case UInt8(ascii: "a")...UInt8(ascii: "z"): value = UInt32(character - 71)
      case UInt8(ascii: "0")...UInt8(ascii: "9"): value = UInt32(character + 4)
      case UInt8(ascii: "-"): value = 62
      case UInt8(ascii: "_"): value = 63
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
}
