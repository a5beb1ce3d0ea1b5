import CSupport
import Glibc

/// The session with Deribit on top of its codec: which request follows which answer.
///
/// Order of start-up (protocol, section 20): login, heartbeat, the account's limits, cancel-on-disconnect, the instruments,
/// the channels, the positions; then the lane asks what rests and trades. No private channel begins with a snapshot, so all
/// of that is asked for.
struct DeribitAdapter: ~Copyable, ExchangeAdapter {
  private var decoder: DeribitDecoder
  private var encoder: DeribitEncoder
  /// The currencies under which executions are asked for, in the order of the instruments.
  private let currencies: [String]
  /// Which of them the present question is about, and from when on.
  private var tradeCurrency = 0
  private var tradesFrom: Int64 = 0
  private var tradesInPage = DeribitAdapter.tradesInPage
  private var instrumentsMissing = 0
  private var hasBeenListed: [Bool]
  private var isSubscribedTo: [Bool]
  private var channelReplies = 0
  private var channelGroups = 0
  private var channelsAccepted: Int64 = 0
  private var channelsAsked = 0
  private var awaitsPositions = false
  /// Channels that tell when the protection of mass quotes is used up, one an index.
  private var triggers: [String] = []

  private(set) var phase = SessionPhase.offline
  private(set) var messageRate: Int64 = 0
  private(set) var messageBurst: Int64 = 0
  /// Cancels are order messages like any other (section 16).
  let cancelRate: Int64 = 0
  /// `cancel_all` would take what others have on the account (R14); the end of the connection takes what is ours.
  static let cancelsSessions = false
  /// The answer to a login has tokens in it that are good for a year (section 4.1).
  static func redacted(_ text: UnsafeRawBufferPointer) -> StaticString? {
    let needle: StaticString = "_token\""
    let count = needle.utf8CodeUnitCount
    guard let base = text.baseAddress, text.count >= count,
      (0...(text.count - count)).contains(where: { memcmp(base + $0, needle.utf8Start, count) == 0 })
    else { return nil }
    return #"{"jsonrpc":"2.0","id":10,"result":{}}"#
  }
  private(set) var failureCode: Int64 = 0
  private var failedAt: SessionRequest?
  private var problem: String?
  /// Tells repeated queries apart: a late answer to an earlier one must not pass for the answer to the last (R02).
  private var serial: UInt64 = 0

  /// The shortest interval that the venue takes (section 3): an unanswered request for a sign of life ends the connection,
  /// and with it our orders, after twice that.
  private static let heartbeatSeconds: Int64 = 10
  /// Executions in one page: it is read in one turn of the lane, in which a tick has to wait.
  private static let tradesInPage: Int64 = 100
  /// The venue's most (section 15).
  private static let mostTradesInPage: Int64 = 1000
  /// What an account without volume may send (section 16), for a venue that does not say.
  private static let leastRate: Int64 = 5
  private static let leastBurst: Int64 = 20
  /// What is guaranteed of mass quotes, and the sides that are granted by default (section 12).
  private static let leastMassQuotes = MassQuoteGrant(requests: 2, requestBurst: 2, sides: 500, sideBurst: 500)

  init(_ settings: LaneSettings) throws {
    try self.init(
      instruments: settings.instruments.map(\.name),
      massQuoted: settings.instruments.filter(\.usesMassQuotes).map(\.name), labelPrefix: settings.labelPrefix,
      label: settings.label)
  }

  init(instruments: [String], massQuoted: [String] = [], labelPrefix: String, label: String) throws(TableError) {
    var decoder = try DeribitDecoder(
      instrumentCapacity: max(instruments.count, 1), labelPrefix: labelPrefix, label: label)
    let encoder = try DeribitEncoder(
      instrumentCapacity: max(instruments.count, 1), labelPrefix: labelPrefix, label: label)
    var currencies: [String] = []
    for name in instruments {
      let index = try decoder.want(instrument: name)
      try decoder.register(channel: Self.ticker(name), kind: .ticker, instrument: index)
      try decoder.register(channel: Self.book(name), kind: .book, instrument: index)
      try decoder.register(channel: Self.changes(name), kind: .userChanges, instrument: index)
      let currency = DeribitEncoder.currency(of: name)
      if !currencies.contains(currency) { currencies.append(currency) }
    }
    for name in massQuoted {
      let index = DeribitWords.index(of: name)
      guard !decoder.products.contains(index) else { continue }
      let product = try decoder.want(product: index)
      let channel = "user.mmp_trigger.\(index)"
      try decoder.register(channel: channel, kind: .protection, product: product)
      triggers.append(channel)
    }
    hasBeenListed = Array(repeating: false, count: instruments.count)
    isSubscribedTo = hasBeenListed
    self.currencies = currencies
    self.decoder = decoder
    self.encoder = encoder
  }

  private static func ticker(_ name: String) -> String { "ticker.\(name).raw" }
  private static func book(_ name: String) -> String { "book.\(name).raw" }
  private static func changes(_ name: String) -> String { "user.changes.\(name).raw" }

  var statusText: String {
    switch phase {
    case .offline: "not connected"
    case .opening: "connecting"
    case .loggingIn: "logging in"
    case .settingUp: "asking for limits, instruments and cancel-on-disconnect"
    case .subscribing: "waiting for subscriptions and positions"
    case .synchronising: "asking what rests and what traded"
    case .ready: "ready"
    case .leaving: "leaving"
    case .failed: failureText
    }
  }

  private var failureText: String {
    switch failedAt {
    case .login:
      "Deribit refused the login (error \(failureCode)): check the client id and the client secret, that the key may trade, "
        + "and that this machine's clock is right to within 60 s"
    case .subscribePrivate, .subscribePublic:
      "Deribit did not accept every channel: check the instrument names in the configuration, and that the key may read "
        + "the account and trade"
    case .instrument: "Deribit does not list \(problem ?? "an instrument"): check its name in the configuration"
    default: "Deribit refused a request that the session cannot do without (error \(failureCode))"
    }
  }

  mutating func decode(_ text: UnsafeRawBufferPointer, into sink: inout some VenueEventSink & ~Copyable) {
    decoder.decode(text, into: &sink)
  }

  mutating func connecting() { phase = .opening }

  mutating func opened(token: String, output: inout LaneOutput) {
    phase = .loggingIn
    messageRate = 0
    decoder.forgetConnection()
    decoder.grantedRate = 0
    guard let buffer = output.begin() else { return }
    output.noteRedacted(buffer, encoder.login(into: buffer, credentials: "\"client_id\":\"not recorded\""))
    _ = finish(encoder.login(into: buffer, credentials: token), buffer, &output, isSecret: true)
  }

  mutating func lost() { phase = .offline }

  mutating func synchronised() { phase = .ready }

  mutating func advance(_ event: SessionEvent, output: inout LaneOutput) {
    switch event {
    case .replied(.login, _):
      phase = .settingUp
      write(&output) { $0.setHeartbeat(into: $1, seconds: Self.heartbeatSeconds) }
    case .replied(.heartbeat, _):
      let currency = currencies.first ?? "BTC"
      write(&output) { $0.accountSummary(into: $1, currency: currency) }
    case .replied(.accountSummary, _):
      write(&output) { $0.cancelOnDisconnect(into: $1) }
    case .replied(.cancelOnDisconnect, _):
      messageRate = decoder.grantedRate > 0 ? decoder.grantedRate : Self.leastRate
      messageBurst = decoder.grantedBurst > 0 ? decoder.grantedBurst : Self.leastBurst
      askForInstruments(&output)
    case .replied(.instrument, _):
      instrumentsMissing -= 1
      if instrumentsMissing == 0, phase == .settingUp { instrumentsAreThere(&output) }
    case .replied(.subscribePrivate, let count), .replied(.subscribePublic, let count):
      guard phase == .subscribing else { return }
      channelReplies += 1
      channelsAccepted += count
      guard channelReplies == channelGroups else { return }
      guard channelsAccepted == channelsAsked else { return fail(.subscribePublic, code: 0) }
      awaitsPositions = true
      _ = queryPositions(output: &output)
    case .snapshotEnded(.portfolio):
      if awaitsPositions, phase == .subscribing {
        awaitsPositions = false
        phase = .synchronising
      }
    case .heartbeatRequested:
      serial += 1
      let serial = serial
      write(&output) { $0.test(into: $1, serial: serial) }
    case .bookLost(let instrument):
      // An active channel that is subscribed again sends no snapshot (section 6).
      let channel = Self.book(decoder.instruments[Int(instrument)])
      write(&output) {
        $0.unsubscribe(into: $1, id: RequestID.session(.unsubscribe), channel: channel)
      }
      write(&output) {
        $0.subscribe(
          into: $1, id: RequestID.session(.subscribePublic, serial: 1 << 16), channels: [channel], isPrivate: false)
      }
    case .refused(let request, let code):
      switch request {
      // A summary that cannot be read leaves the least rate.
      case .accountSummary: write(&output) { $0.cancelOnDisconnect(into: $1) }
      case .instrument:
        guard phase == .settingUp else { break }
        // One that was listed before has expired; the others go on without it (R32).
        let place = Int(RequestID.serial(of: decoder.lastReplyID))
        if decoder.instruments.indices.contains(place), hasBeenListed[place], code != 10028 {
          decoder.delist(InstrumentIndex(place))
          instrumentsMissing -= 1
          if instrumentsMissing == 0 { instrumentsAreThere(&output) }
        } else {
          problem = decoder.instruments.indices.contains(place) ? decoder.instruments[place] : nil
          fail(request, code: code)
        }
      case .login, .heartbeat, .cancelOnDisconnect, .subscribePublic, .subscribePrivate: fail(request, code: code)
      default: break
      }
    case .replied, .snapshotEnded, .reconnectRequested, .quotesAnswered, .quoteFailed, .quotesRefused: break
    }
  }

  /// One by one: the whole list is long, and costs the account's rate twenty times as much (section 16).
  private mutating func askForInstruments(_ output: inout LaneOutput) {
    instrumentsMissing = decoder.instruments.count
    for (place, name) in decoder.instruments.enumerated() {
      write(&output) { $0.instrument(into: $1, name: name, serial: UInt64(place)) }
    }
  }

  /// Hands the grids to the encoder (R64) and subscribes.
  private mutating func instrumentsAreThere(_ output: inout LaneOutput) {
    for (place, name) in decoder.instruments.enumerated() {
      let index = InstrumentIndex(place)
      guard let info = decoder.info(of: index), decoder.isListed(index) || hasBeenListed[place],
        (try? encoder.setInstrument(index, name: name, grid: info.grid)) != nil
      else {
        problem = name
        return fail(.instrument, code: 0)
      }
      hasBeenListed[place] = true
    }
    phase = .subscribing
    channelReplies = 0
    channelsAccepted = 0
    for place in isSubscribedTo.indices { isSubscribedTo[place] = decoder.isListed(InstrumentIndex(place)) }
    let names = decoder.instruments.indices.filter { isSubscribedTo[$0] }.map { decoder.instruments[$0] }
    let own = ChannelGroups.of(names.map(Self.changes) + triggers)
    let market = ChannelGroups.of(names.flatMap { [Self.ticker($0), Self.book($0)] })
    channelGroups = own.count + market.count
    channelsAsked = 3 * names.count + triggers.count
    for group in own {
      write(&output) {
        $0.subscribe(into: $1, id: RequestID.session(.subscribePrivate), channels: group, isPrivate: true)
      }
    }
    for group in market {
      write(&output) {
        $0.subscribe(into: $1, id: RequestID.session(.subscribePublic), channels: group, isPrivate: false)
      }
    }
  }

  private mutating func fail(_ request: SessionRequest, code: Int64) {
    failedAt = request
    failureCode = code
    phase = .failed
  }

  // MARK: - Writing

  @discardableResult
  private mutating func write(
    _ output: inout LaneOutput, _ encode: (borrowing DeribitEncoder, UnsafeMutableRawBufferPointer) -> Int
  ) -> Bool {
    guard let buffer = output.begin() else { return false }
    return finish(encode(encoder, buffer), buffer, &output)
  }

  /// Sends what was written, or gives the space back if it did not fit.
  private func finish(
    _ count: Int, _ buffer: UnsafeMutableRawBufferPointer, _ output: inout LaneOutput, isSecret: Bool = false
  ) -> Bool {
    guard count > 0 else {
      output.drop()
      return false
    }
    return output.commit(buffer, count, isSecret: isSecret)
  }

  // MARK: - Requests of the lane

  func isListed(_ instrument: InstrumentIndex) -> Bool { decoder.isListed(instrument) }

  func isSubscribed(_ instrument: InstrumentIndex) -> Bool { isSubscribedTo[Int(instrument)] }

  mutating func queryOpenOrders(output: inout LaneOutput) -> Bool {
    serial += 1
    let id = RequestID.session(.openOrders, serial: serial)
    guard write(&output, { $0.openOrders(into: $1, id: id) }) else { return false }
    decoder.awaitedOrdersID = id
    return true
  }

  mutating func queryPositions(output: inout LaneOutput) -> Bool {
    serial += 1
    let id = RequestID.session(.portfolio, serial: serial)
    guard write(&output, { $0.positions(into: $1, id: id) }) else { return false }
    decoder.awaitedPositionsID = id
    return true
  }

  /// Executions are told by currency; the lane's one question becomes one for each, page by page.
  mutating func queryTrades(since: Nanoseconds, continued: Bool, output: inout LaneOutput) -> Bool {
    if !continued {
      tradesInPage = Self.tradesInPage
      tradeCurrency = 0
      tradesFrom = since / 1_000_000
    } else if decoder.hasMoreTrades {
      // The millisecond is asked for again: its executions that were told already are known by their ids. One that is
      // fuller than a page is asked for whole.
      tradesInPage = decoder.newestTradeInPage > tradesFrom ? Self.tradesInPage : Self.mostTradesInPage
      tradesFrom = max(tradesFrom, decoder.newestTradeInPage)
    } else {
      tradeCurrency += 1
      tradesFrom = since / 1_000_000
    }
    guard tradeCurrency < currencies.count else { return false }
    serial += 1
    let id = RequestID.session(.tradeHistory, serial: serial)
    let currency = currencies[tradeCurrency]
    let from = tradesFrom
    let count = tradesInPage
    // Until an hour from now, by the venue's clock.
    let until = max(decoder.replyTime / 1000, from) + 3_600_000
    guard
      write(
        &output,
        {
          $0.trades(into: $1, id: id, currency: currency, from: from, until: until, count: count)
        })
    else { return false }
    decoder.tradesGoOn = tradeCurrency + 1 < currencies.count
    decoder.awaitedTradesID = id
    return true
  }

  mutating func cancelSession(output: inout LaneOutput) -> Bool { false }

  mutating func cancelForeign(
    _ id: VenueID, clientID: UInt64, instrument: InstrumentIndex, output: inout LaneOutput
  ) -> Bool {
    guard id.count > 0 else { return false }
    var id = id
    return write(&output) { encoder, buffer in
      encoder.cancel(into: buffer, clientID: clientID, venueID: &id, instrument: .max)
    }
  }

  mutating func encode(
    _ approved: ApprovedCommand, _ order: OrderPointer, amendSerial: UInt16, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    let command = approved.command
    let clientID = order.pointee.client_id
    switch command.kind {
    case .insert:
      return encoder.insert(
        into: buffer, clientID: clientID, instrument: command.instrument, side: command.side, price: command.price,
        qty: command.qty, options: .postOnly)
    case .amend:
      return encoder.amend(
        into: buffer, clientID: clientID, serial: amendSerial, venueID: &order.pointee.venue_id,
        instrument: command.instrument, price: command.price, qty: command.qty)
    case .cancel:
      return encoder.cancel(
        into: buffer, clientID: clientID, venueID: &order.pointee.venue_id, instrument: command.instrument)
    }
  }

  mutating func encodeTake(
    _ approved: ApprovedCommand, clientID: UInt64, isReduceOnly: Bool, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    let command = approved.command
    return encoder.insert(
      into: buffer, clientID: clientID, instrument: command.instrument, side: command.side, price: command.price,
      qty: command.qty, options: isReduceOnly ? [.reduceOnly, .immediateOrCancel] : .immediateOrCancel)
  }

  mutating func encodeCancel(
    of id: VenueID, clientID: UInt64, instrument: InstrumentIndex, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    var id = id
    return encoder.cancel(into: buffer, clientID: clientID, venueID: &id, instrument: .max)
  }

  // MARK: - Mass quotes

  static let massQuoteRules = MassQuoteRules.deribit

  var massQuoteGrant: MassQuoteGrant? {
    guard let granted = decoder.grantedMassQuotes else { return Self.leastMassQuotes }
    return MassQuoteGrant(
      requests: granted.requests, requestBurst: granted.requestBurst, sides: granted.sides,
      sideBurst: granted.sideBurst)
  }

  var protectionGroupCount: Int { decoder.products.count }

  /// The configuration of a group outlives connections, and so does its freeze: both are made anew. A reset that comes before
  /// the configuration, or is lost, is found out by the next mass quote.
  mutating func setProtection(_ group: ProductIndex, _ settings: ProtectionSettings, output: inout LaneOutput) -> Bool {
    serial += 1
    let serial = serial
    let index = decoder.products[Int(group)]
    guard
      write(
        &output,
        { $0.setProtection(into: $1, product: group, index: index, settings: settings, serial: serial) })
    else { return false }
    write(&output) { $0.resetProtection(into: $1, index: index, serial: serial) }
    return true
  }

  mutating func encode(_ batch: borrowing QuoteBatch, serial: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int
  {
    encoder.massQuote(into: buffer, serial: serial, quotes: batch.approved)
  }

  /// The group is used up, or not set; a cancel has frozen all mass quotes for a moment.
  static func isProtectionMissing(code: Int64) -> Bool { code == 13030 || code == 13040 || code == 13043 }

  // MARK: - The venue's table of proofs (protocol, sections 10 and 17)

  static func proof(of kind: RequestKind, code: Int64) -> RefusalProof {
    switch code {
    // Not found, closed, filled, not open.
    case 10004, 10010, 11008, 11044: return .orderGone
    // A second amend was faster; several orders of one label: neither says how the order stands.
    case 13777, 13032: return .nothing
    // Try again, not on this server, lock time exceeded, other errors, request failed, unavailable: not said whether the
    // request had an effect.
    case 10001, 10040, 10048, 10050, 11030, 11031, 11094, 13008, 13028, 13503: return .nothing
    // An amend that may not rest ends its order if it was sent with `reject_post_only` (section 10.2).
    case 11054:
      if case .amend = kind { return .nothing }
      return .noEffect
    // Malformed or with a wrong value; refused before it reached the book; purged by a cancel; out of time; the protection.
    case -32700, -32602 ... -32600, -32000, 10000, 10002...10047, 10066, 10072, 11013...11029, 11035...11051, 11055,
      11056,
      11098, 13004...13043, 13403, 13666, 13778, 13888, 13902, 13903:
      return .noEffect
    // A code that this version does not know, or none, proves nothing (R05).
    default: return .nothing
    }
  }

  static func isThrottle(code: Int64) -> Bool { code == 10028 || code == 10047 || code == 10066 || code == 13903 }

  /// Sections 10.2 and 12.
  static let queueRules = QueueRules(keepsReduced: true, keepsEnlarged: false, keepsRepeated: false)
}
