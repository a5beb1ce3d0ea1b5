import Apus
import CSupport

/// What comes on a WebSocket (3, 4.1, 5).
extension SimulatedBybit {
  /// Bytes of all `args` of one public connection.
  static let topicLimit = 21_000

  func answer(_ connection: BybitConnection, _ text: UnsafeRawBufferPointer) {
    guard document.parse(text), document[0].kind == .object else {
      statistics.malformed += 1
      return answerUnreadable(connection)
    }
    let isTrade = connection.kind == .trade
    let arguments = BybitArguments(document: document, object: 0)
    let requestID = arguments.node(isTrade ? "reqId" : "req_id").flatMap { node -> [UInt8]? in
      let kind = document[node].kind
      return kind == .string || kind == .number ? Array(document.verbatim(node)) : nil
    }
    let operation = (try? arguments.string("op")) ?? nil
    switch operation {
    case "ping": pong(connection, requestID)
    case "auth": authenticate(connection, arguments, requestID)
    case "subscribe" where !isTrade: subscribe(connection, arguments, requestID)
    case "unsubscribe" where !isTrade: unsubscribe(connection, arguments, requestID)
    case let operation? where isTrade: return enterOrders(connection, operation, arguments, requestID)
    default: refuse(connection, operation ?? "", "error:invalid op", requestID)
    }
    settle(requester: connection)
  }

  private func answerUnreadable(_ connection: BybitConnection) {
    if connection.kind == .trade {
      write(connection, "", nil, BybitRefusal(10_001, "Failed to decode incoming data"))
    } else {
      write(connection, "", isSuccess: false, "Failed to decode incoming data:invalid JSON", nil)
    }
    settle(requester: connection)
  }

  private func refuse(_ connection: BybitConnection, _ operation: String, _ why: String, _ id: [UInt8]?) {
    if connection.kind == .trade {
      write(connection, operation, id, .unknownOperation)
    } else {
      write(connection, operation, isSuccess: false, why, id)
    }
  }

  /// An answer on a stream; `req_id` as it came, or empty on public ones.
  private func write(
    _ connection: BybitConnection, _ operation: String, isSuccess: Bool, _ text: String, _ id: [UInt8]?
  ) {
    reply.clear()
    reply.byte(UInt8(ascii: "{"))
    reply.member("success", flag: isSuccess)
    reply.member("ret_msg", text: text)
    reply.member("conn_id", text: connection.name)
    if let id {
      reply.key("req_id")
      reply.append(id)
    } else if connection.kind == .publicStream {
      reply.member("req_id", "")
    }
    reply.member("op", text: operation)
    reply.byte(UInt8(ascii: "}"))
  }

  /// A refusal on the trade connection that has no order request behind it.
  private func write(_ connection: BybitConnection, _ operation: String, _ id: [UInt8]?, _ refusal: BybitRefusal?) {
    reply.clear()
    reply.byte(UInt8(ascii: "{"))
    if let id {
      reply.key("reqId")
      reply.append(id)
    }
    reply.member("retCode", number: refusal?.code ?? 0)
    reply.member("retMsg", text: refusal?.message ?? "OK")
    reply.member("op", text: operation)
    reply.member("connId", text: connection.name)
    reply.byte(UInt8(ascii: "}"))
  }

  private func pong(_ connection: BybitConnection, _ id: [UInt8]?) {
    let time = wallClock / 1_000_000
    switch connection.kind {
    case .publicStream: write(connection, "ping", isSuccess: true, "pong", id)
    case .privateStream:
      reply.clear()
      reply.byte(UInt8(ascii: "{"))
      if let id {
        reply.key("req_id")
        reply.append(id)
      }
      reply.raw(reply.count > 1 ? ",\"op\":\"pong\",\"args\":[\"" : "\"op\":\"pong\",\"args\":[\"")
      reply.integer(time)
      reply.raw("\"]")
      reply.member("conn_id", text: connection.name)
      reply.byte(UInt8(ascii: "}"))
    case .trade, .http:
      // Never with the id of the ping.
      reply.clear()
      reply.raw("{\"retCode\":0,\"retMsg\":\"OK\",\"op\":\"pong\",\"data\":[\"")
      reply.integer(time)
      reply.raw("\"]")
      reply.member("connId", text: connection.name)
      reply.byte(UInt8(ascii: "}"))
    }
  }

  // MARK: login (4.1)

  private func authenticate(_ connection: BybitConnection, _ arguments: BybitArguments, _ id: [UInt8]?) {
    guard connection.kind != .publicStream else {
      return write(connection, "auth", isSuccess: false, "error:invalid op", id)
    }
    if connection.account != nil {
      if connection.kind == .trade {
        write(connection, "auth", id, BybitRefusal(20_001, "Repeat auth"))
      } else {
        write(connection, "auth", isSuccess: true, "", id)
      }
      return
    }
    do throws(BybitRefusal) {
      let account = try login(arguments)
      connection.account = account
      account.messages += connection.received
      if connection.kind == .privateStream {
        account.streams.append(connection)
      } else {
        account.tradeConnections.append(connection)
      }
      if connection.kind == .trade {
        write(connection, "auth", id, nil)
      } else {
        write(connection, "auth", isSuccess: true, "", id)
      }
    } catch {
      statistics.failedLogins += 1
      if connection.kind == .trade { return write(connection, "auth", id, error) }
      if error.code == BybitRefusal.key.code { return writeInvalidKey(connection, id) }
      write(connection, "auth", isSuccess: false, error.code == 10_001 ? "Params Error" : error.message, id)
    }
  }

  /// The other form in which a stream refuses.
  private func writeInvalidKey(_ connection: BybitConnection, _ id: [UInt8]?) {
    reply.clear()
    reply.byte(UInt8(ascii: "{"))
    if let id {
      reply.key("req_id")
      reply.append(id)
    }
    reply.member("op", "auth")
    reply.member("success", flag: false)
    reply.member("retCode", number: BybitRefusal.key.code)
    reply.member("retMsg", "Invalid apikey")
    reply.member("connId", text: connection.name)
    reply.byte(UInt8(ascii: "}"))
  }

  private func login(_ arguments: BybitArguments) throws(BybitRefusal) -> BybitAccount {
    var list: [Int] = []
    if let node = arguments.node("args"), document[node].kind == .array {
      document.forEach(in: node) { list.append($0) }
    }
    guard list.count == 3, let key = document.string(list[0]), let signature = document.string(list[2]),
      document[list[1]].kind == .number || document[list[1]].kind == .string
    else { throw .invalid("args", "must be key, expires and signature") }
    let shown = String(decoding: document.bytes(list[1]), as: UTF8.self)
    // Only this frame has to come in time: the session stays.
    guard let expires = Int64(shown), expires > wallClock / 1_000_000 else {
      throw .invalid("expires", "has passed")
    }
    return try account(key: key, signature: signature, of: "GET/realtime\(shown)", isSocket: true)
  }

  /// The account of a key whose signature is right.
  func account(
    key: String, signature: String, of text: String, isSocket: Bool
  ) throws(BybitRefusal) -> BybitAccount {
    let client =
      settings.clients.isEmpty
      ? BybitClient(key: key, secret: nil, account: key) : settings.clients.first { $0.key == key }
    guard !faults.refusesLogins, let client, !key.isEmpty else { throw .key }
    if let secret = client.secret {
      guard let right = hexSignature(of: text, secret: secret), right == signature else {
        throw isSocket ? BybitRefusal(10_004, "Invalid sign") : .signature
      }
    }
    if let known = accounts[client.account] { return unsafeDowncast(known, to: BybitAccount.self) }
    let account = BybitAccount(
      name: client.account, number: accountList.count + 1, instruments: settings.instruments, clock: clock,
      settings: settings)
    accounts[client.account] = account
    accountList.append(account)
    return account
  }

  // MARK: topics (5)

  private func topics(_ arguments: BybitArguments) -> [String]? {
    guard let list = try? arguments.strings("args"), !list.isEmpty else { return nil }
    return list
  }

  private func subscribe(_ connection: BybitConnection, _ arguments: BybitArguments, _ id: [UInt8]?) {
    func refuse(_ why: String) { write(connection, "subscribe", isSuccess: false, why, id) }
    guard let names = topics(arguments) else { return refuse("error:invalid args") }
    if connection.kind == .privateStream {
      guard connection.account != nil else { return refuse("Request not authorized") }
      return subscribePrivate(connection, names, id)
    }
    // One bad topic fails the whole request.
    var wanted: [BybitChannel] = []
    for name in names {
      guard let channel = channel(name) else { return refuse("error:handler not found,topic:\(name)") }
      wanted.append(channel)
    }
    for (place, channel) in wanted.enumerated()
    where connection.channels.contains(where: { $0 === channel })
      || wanted[..<place].contains(where: { $0 === channel })
    {
      return refuse("error:already subscribed,topic:\(channel.name)")
    }
    let bytes = (connection.channels + wanted).reduce(0) { $0 + $1.name.utf8.count }
    guard bytes <= Self.topicLimit else { return refuse("error:args too long") }
    for channel in wanted { join(connection, channel) }
    write(connection, "subscribe", isSuccess: true, "", id)
  }

  private static let categorised = ["order", "execution", "execution.fast", "position"]
  private static let whole = ["wallet", "greeks", "dcp.future", "dcp.spot", "dcp.option"]

  private func subscribePrivate(_ connection: BybitConnection, _ names: [String], _ id: [UInt8]?) {
    func refuse(_ why: String) { write(connection, "subscribe", isSuccess: false, why, id) }
    for name in names {
      let isKnown =
        Self.whole.contains(name) || Self.categorised.contains { name == $0 || name == "\($0).linear" }
      guard isKnown else { return refuse("error:handler not found,topic:\(name)") }
    }
    let isMixed =
      names.contains { $0.hasSuffix(".linear") } && names.contains { Self.categorised.contains($0) }
    guard !isMixed else { return refuse("error:all-in-one and categorised topics mixed") }
    for (place, name) in names.enumerated() where connection.topics.contains(name) || names[..<place].contains(name) {
      return refuse("error:already subscribed,topic:\(name)")
    }
    connection.topics += names
    if let account = connection.account, names.contains(Self.protectionTopic) { lookAtProtection(account) }
    write(connection, "subscribe", isSuccess: true, "", id)
  }

  private func unsubscribe(_ connection: BybitConnection, _ arguments: BybitArguments, _ id: [UInt8]?) {
    guard let names = topics(arguments) else {
      return write(connection, "unsubscribe", isSuccess: false, "error:invalid args", id)
    }
    for name in names {
      if let channel = connection.channels.first(where: { $0.name == name }) { leave(connection, channel) }
      // Protection watches what is lost, not what is given up: who unsubscribes is no longer waited for.
      connection.topics.removeAll { $0 == name }
    }
    write(connection, "unsubscribe", isSuccess: true, "", id)
  }
}
