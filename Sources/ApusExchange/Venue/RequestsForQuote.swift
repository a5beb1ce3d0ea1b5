import Apus
import CSupport

/// A request for quotes (reference 6.7).
final class RequestForQuote {
  let number: UInt64
  let account: Account
  let legs: [(market: Market, quantity: Int64)]
  let amountE8: Int64
  let label: String?
  let createTime: Nanoseconds
  var quotes: [RequestQuote] = []

  init(
    number: UInt64, account: Account, legs: [(market: Market, quantity: Int64)], amountE8: Int64, label: String?,
    createTime: Nanoseconds
  ) {
    self.number = number
    self.account = account
    self.legs = legs
    self.amountE8 = amountE8
    self.label = label
    self.createTime = createTime
  }

  func write(_ out: TextBuffer, clock: VenueClock, event: StaticString?) {
    out.raw("{\"rfq_id\":\"")
    out.hex(number, digits: 16)
    out.raw("\",\"amount\":")
    out.e8(amountE8)
    out.raw(",\"create_time\":")
    out.seconds(clock.wall(createTime))
    out.raw(",\"legs\":[")
    for (place, leg) in legs.enumerated() {
      out.raw(place == 0 ? "{\"instrument_name\":\"" : ",{\"instrument_name\":\"")
      out.append(leg.market.name)
      out.raw("\",\"quantity\":")
      out.integer(leg.quantity)
      out.raw(",\"fee_quantity\":")
      out.integer(abs(leg.quantity))
      out.byte(UInt8(ascii: "}"))
    }
    out.raw("],\"volume_tick_size\":")
    out.e8(legs.map(\.market.spec.grid.lotE8).max() ?? 0)
    if let label {
      out.raw(",\"label\":")
      out.quoted(label)
    }
    if let event {
      out.raw(",\"event\":\"")
      out.raw(event)
      out.byte(UInt8(ascii: "\""))
    }
    out.byte(UInt8(ascii: "}"))
  }
}

/// A market maker's answer to one.
struct RequestQuote {
  var number: UInt64
  var account: Account
  var session: ConnectionID
  var isPersistent: Bool
  var side: Side
  var priceE8: Int64
  var amountE8: Int64
  var clientID: UInt64?
  var label: String?

  func write(_ out: TextBuffer, request: UInt64, event: StaticString?) {
    out.raw("{\"rfq_id\":\"")
    out.hex(request, digits: 16)
    out.raw("\",\"order_id\":\"")
    out.hex(number, digits: 16)
    out.byte(UInt8(ascii: "\""))
    if let clientID {
      out.raw(",\"client_order_id\":")
      out.integer(clientID)
    }
    out.raw(side == .buy ? ",\"direction\":\"buy\"" : ",\"direction\":\"sell\"")
    out.raw(",\"price\":")
    out.e8(priceE8)
    out.raw(",\"amount\":")
    out.e8(amountE8)
    if let label {
      out.raw(",\"label\":")
      out.quoted(label)
    }
    if let event {
      out.raw(",\"event\":\"")
      out.raw(event)
      out.byte(UInt8(ascii: "\""))
    }
    out.byte(UInt8(ascii: "}"))
  }
}

/// Requests for quotes are made, announced, quoted and cancelled, but never traded: `trade_rfq` gets error 41 without a
/// quote that fits and 37 with one. No quotes are shown to the requester, and nothing is charged for them.
extension SimulatedVenue {
  func createRequest(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard let node = arguments.node("legs"), document[node].kind == .array else { return .invalidRequest }
    var amounts: [(name: String, e8: Int64)] = []
    var isGood = true
    document.forEach(in: node) { leg in
      if let name = document.member("instrument_name", of: leg).flatMap({ document.string($0) }),
        let e8 = document.member("amount", of: leg).flatMap({ document.decimal($0, places: 8) })
      {
        amounts.append((name, e8))
      } else {
        isGood = false
      }
    }
    var label: String?
    switch arguments.string("label") {
    case .absent: break
    case .value(let text) where Self.isLabel(text): label = text
    default: return .invalidRequest
    }
    guard isGood, (1...4).contains(amounts.count), Set(amounts.map(\.name)).count == amounts.count else {
      return .invalidRequest
    }
    var unit: Int64 = 0
    var markets: [Market] = []
    for (name, e8) in amounts {
      guard let market = marketsByName[name] else { return .unknownInstrument }
      guard market.spec.kind != .combination else { return .invalidRequest }
      guard e8 != 0, e8 % market.spec.grid.lotE8 == 0, abs(e8) <= 1_000_000_00000000 else { return .invalidQuantity }
      var (a, b) = (unit, abs(e8))
      while b != 0 { (a, b) = (b, a % b) }
      unit = a
      markets.append(market)
    }
    let request = RequestForQuote(
      number: nextRequest, account: account, legs: zip(markets, amounts).map { ($0, $1.e8 / unit) }, amountE8: unit,
      label: label, createTime: now)
    nextRequest += 1
    requests.append(request)
    request.write(reply, clock: clock, event: nil)
    announce(request, event: "Created")
    return nil
  }

  private func request(_ arguments: Arguments) -> RequestForQuote? {
    guard case .value(let text) = arguments.string("rfq_id"), text.utf8.count == 16,
      let number = UInt64(text, radix: 16)
    else { return nil }
    return requests.first { $0.number == number }
  }

  func cancelRequest(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard let request = request(arguments), request.account === account else { return .orderNotFound }
    requests.removeAll { $0 === request }
    for quote in request.quotes { announce(quote, of: request, event: "Cancelled") }
    announce(request, event: "Cancelled")
    reply.raw("null")
    return nil
  }

  func tradeRequest(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard let side = direction(arguments), case .value(let limitE8) = arguments.decimal("limit_price", places: 8) else {
      return .invalidRequest
    }
    guard let request = request(arguments), request.account === account else { return .orderNotFound }
    let fits = request.quotes.contains {
      $0.side != side && (side == .buy ? $0.priceE8 <= limitE8 : $0.priceE8 >= limitE8)
    }
    return fits ? .invalidState : .insufficientLiquidity
  }

  func writeRequests(_ out: TextBuffer, _ list: [RequestForQuote], event: StaticString?) {
    out.byte(UInt8(ascii: "["))
    for (place, request) in list.enumerated() {
      if place > 0 { out.byte(UInt8(ascii: ",")) }
      request.write(out, clock: clock, event: event)
    }
    out.byte(UInt8(ascii: "]"))
  }

  // MARK: the market maker's side

  func insertQuote(_ session: Session, _ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard let side = direction(arguments), case .value(let priceE8) = arguments.decimal("price", places: 8),
      case .value(let amountE8) = arguments.decimal("amount", places: 8)
    else { return .invalidRequest }
    guard let request = request(arguments) else { return .orderNotFound }
    guard amountE8 > 0 else { return .invalidQuantity }
    var quote = RequestQuote(
      number: nextOrderNumber, account: account, session: session.id, isPersistent: session.timeout == 0, side: side,
      priceE8: priceE8, amountE8: amountE8)
    switch arguments.unsigned("client_order_id") {
    case .absent: break
    case .value(let id): quote.clientID = id
    case .wrong: return .invalidRequest
    }
    switch arguments.string("label") {
    case .absent: break
    case .value(let label) where Self.isLabel(label): quote.label = label
    default: return .invalidRequest
    }
    nextOrderNumber += 1
    request.quotes.append(quote)
    quote.write(reply, request: request.number, event: nil)
    announce(quote, of: request, event: "Inserted")
    return nil
  }

  private func quote(_ session: Session, _ account: Account, _ arguments: Arguments) -> (RequestForQuote, Int)? {
    for request in requests {
      for (place, quote) in request.quotes.enumerated() where quote.account === account {
        switch (arguments.string("order_id"), arguments.unsigned("client_order_id")) {
        case (.value(let text), .absent) where UInt64(text, radix: 16) == quote.number: return (request, place)
        case (.absent, .value(let id)) where quote.session == session.id && quote.clientID == id:
          return (request, place)
        default: continue
        }
      }
    }
    return nil
  }

  func amendQuote(_ session: Session, _ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard case .value(let priceE8) = arguments.decimal("price", places: 8),
      case .value(let amountE8) = arguments.decimal("amount", places: 8)
    else { return .invalidRequest }
    guard let (request, place) = quote(session, account, arguments) else { return .orderNotFound }
    guard amountE8 > 0 else { return .invalidQuantity }
    request.quotes[place].priceE8 = priceE8
    request.quotes[place].amountE8 = amountE8
    request.quotes[place].write(reply, request: request.number, event: nil)
    announce(request.quotes[place], of: request, event: "Amended")
    return nil
  }

  func deleteQuote(_ session: Session, _ account: Account, _ arguments: Arguments) -> VenueFault? {
    guard let (request, place) = quote(session, account, arguments) else { return .orderNotFound }
    announce(request.quotes.remove(at: place), of: request, event: "Cancelled")
    reply.raw("null")
    return nil
  }

  /// Quotes that die with their connection.
  func endQuotes(of session: Session) {
    for request in requests { request.quotes.removeAll { $0.session == session.id && !$0.isPersistent } }
  }

  func writeQuotes(_ out: TextBuffer, _ account: Account, event: StaticString?) {
    out.byte(UInt8(ascii: "["))
    var isFirst = true
    for request in requests {
      for quote in request.quotes where quote.account === account {
        if !isFirst { out.byte(UInt8(ascii: ",")) }
        isFirst = false
        quote.write(out, request: request.number, event: event)
      }
    }
    out.byte(UInt8(ascii: "]"))
  }

  // MARK: channels

  /// What waits to be said until the transaction's reply is out.
  enum RequestNews {
    case request(RequestForQuote, event: StaticString)
    case quote(RequestQuote, of: RequestForQuote, event: StaticString)
  }

  private func announce(_ request: RequestForQuote, event: StaticString) {
    requestNews.append(.request(request, event: event))
  }
  private func announce(_ quote: RequestQuote, of request: RequestForQuote, event: StaticString) {
    requestNews.append(.quote(quote, of: request, event: event))
  }

  func flushRequestNews() {
    guard !requestNews.isEmpty else { return }
    let all = sessions.values.filter(\.isOpen).sorted { $0.id < $1.id }
    for news in requestNews {
      switch news {
      case .request(let request, let event):
        for session in all where session.account === request.account && session.privateChannels.contains(.rfqs) {
          message.clear()
          message.raw("{\"channel_name\":\"account.rfqs\",\"notification\":[")
          request.write(message, clock: clock, event: event)
          message.raw("]}")
          outbox.post(session.id, message)
        }
        for session in all where session.privateChannels.contains(.makerRFQs) {
          message.clear()
          message.raw("{\"channel_name\":\"mm.rfqs\",\"notification\":[")
          request.write(message, clock: clock, event: event)
          message.raw("]}")
          outbox.post(session.id, message)
        }
      case .quote(let quote, let request, let event):
        for session in all where session.account === quote.account && session.privateChannels.contains(.makerQuotes) {
          message.clear()
          message.raw("{\"channel_name\":\"mm.rfq_quotes\",\"notification\":[")
          quote.write(message, request: request.number, event: event)
          message.raw("]}")
          outbox.post(session.id, message)
        }
      }
    }
    requestNews.removeAll()
  }

  func writeMakerRFQs() {
    message.clear()
    message.raw("{\"channel_name\":\"mm.rfqs\",\"notification\":")
    writeRequests(message, requests, event: nil)
    message.raw(",\"snapshot\":true}")
  }

  func writeMakerQuotes(_ account: Account) {
    message.clear()
    message.raw("{\"channel_name\":\"mm.rfq_quotes\",\"notification\":")
    writeQuotes(message, account, event: "Existing")
    message.raw(",\"snapshot\":true}")
  }
}
