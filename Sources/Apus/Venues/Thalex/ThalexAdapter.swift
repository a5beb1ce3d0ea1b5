import CSupport

/// The session with Thalex on top of its codec: which request follows which answer.
///
/// Order of start-up (protocol 8.2): login, cancel-on-disconnect, instruments, private and public
/// subscriptions, snapshots, then the lane asks what rests and trades. Request ids carry what the
/// request was, so a reply needs no table.
struct ThalexAdapter: ~Copyable, ExchangeAdapter {
  /// What the adapter needs of one instrument.
  struct Instrument {
    var name: String
    var bookDepth: Int
    var usesMassQuotes = false
  }

  private var decoder: ThalexDecoder
  private var encoder: ThalexEncoder
  private let account: String?
  private let deadManSeconds: Int
  /// Why an instrument could not be set up, if one could not.
  private var listingProblem: String?
  private let privateChannels: [String]
  /// Public channels that every session has, and those of each instrument.
  private let commonChannels: [String]
  private let instrumentChannels: [[String]]
  /// Instruments that the venue has listed in this life: one that it lists no more has expired, and is left out.
  private var hasBeenListed: [Bool]
  private var isSubscribed: [Bool]
  /// Groups of channels, each of which fits one request, and what the venue has said to them so far.
  private var publicGroups = 0
  private var publicCount = 0
  private var publicReplies = 0
  private var publicAccepted: Int64 = 0

  private(set) var phase = SessionPhase.offline
  private(set) var messageRate: Int64 = 0
  var messageBurst: Int64 { messageRate }
  let cancelRate: Int64 = 1000
  static let cancelsSessions = true
  static func redacted(_ text: UnsafeRawBufferPointer) -> StaticString? { nil }
  private(set) var failureCode: Int64 = 0
  private var failedAt: SessionRequest?
  private var awaited: Awaited = []
  /// Tells repeated queries apart: a late answer to an earlier one must not pass for the answer to the last (R02).
  private var serial: UInt64 = 0

  /// Snapshots and confirmations that must have arrived before the session is synchronised (R21).
  private struct Awaited: OptionSet {
    let rawValue: UInt8
    static let publicChannels = Self(rawValue: 1)
    static let privateChannels = Self(rawValue: 2)
    static let orders = Self(rawValue: 4)
    static let portfolio = Self(rawValue: 8)
    static let all: Self = [.publicChannels, .privateChannels, .orders, .portfolio]
  }

  init(_ settings: LaneSettings) throws {
    try self.init(
      instruments: settings.instruments.map {
        .init(name: $0.name, bookDepth: $0.bookDepth, usesMassQuotes: $0.usesMassQuotes)
      },
      account: settings.account, labelPrefix: settings.labelPrefix, label: settings.label,
      deadManSeconds: settings.cancelOnDisconnectSeconds)
  }

  init(instruments: [Instrument], account: String?, labelPrefix: String, label: String, deadManSeconds: Int)
    throws(TableError)
  {
    var privateChannels = ["session.orders", "account.portfolio", "account.trade_history"]
    commonChannels = ["instruments", "system"]
    var instrumentChannels: [[String]] = []
    var decoder = try ThalexDecoder(
      instrumentCapacity: max(instruments.count, 1), channelCapacity: 8 + 2 * instruments.count,
      labelPrefix: labelPrefix, ownLabel: label)
    let encoder = try ThalexEncoder(instrumentCapacity: max(instruments.count, 1), label: label)
    try decoder.register(channel: "instruments", kind: .instruments)
    try decoder.register(channel: "system", kind: .system)
    try decoder.register(channel: "session.orders", kind: .sessionOrders)
    try decoder.register(channel: "account.portfolio", kind: .portfolio)
    try decoder.register(channel: "account.trade_history", kind: .tradeHistory)
    if instruments.contains(where: \.usesMassQuotes) {
      privateChannels.append("session.mm_protection")
      try decoder.register(channel: "session.mm_protection", kind: .protection)
      for instrument in instruments where instrument.usesMassQuotes {
        _ = try decoder.want(product: Self.product(of: instrument.name))
      }
    }
    for instrument in instruments {
      let index = try decoder.want(instrument: instrument.name)
      let ticker = "ticker.\(instrument.name).raw"
      let book = "book.\(instrument.name).none.\(instrument.bookDepth).raw"
      try decoder.register(channel: ticker, kind: .ticker, instrument: index)
      try decoder.register(channel: book, kind: .book, instrument: index)
      instrumentChannels.append([ticker, book])
    }
    self.privateChannels = privateChannels
    self.instrumentChannels = instrumentChannels
    hasBeenListed = Array(repeating: false, count: instruments.count)
    isSubscribed = hasBeenListed
    self.account = account
    self.deadManSeconds = deadManSeconds
    self.decoder = decoder
    self.encoder = encoder
  }

  var statusText: String {
    switch phase {
    case .offline: "not connected"
    case .opening: "connecting"
    case .loggingIn: "logging in"
    case .settingUp: "asking for instruments and the dead-man timer"
    case .subscribing: "waiting for subscriptions and snapshots"
    case .synchronising: "asking what rests and what traded"
    case .ready: "ready"
    case .leaving: "cancelling everything before another connection takes over"
    case .failed: Self.failureText(failedAt, code: failureCode, instrument: listingProblem)
    }
  }

  static func failureText(_ request: SessionRequest?, code: Int64, instrument: String?) -> String {
    switch request {
    case .login:
      "Thalex refused the login (error \(code)): check key id, private key and account, and that this "
        + "machine's clock is right to within 30 s"
    case .subscribePrivate, .subscribePublic:
      "Thalex did not accept every channel: check the instrument names in the configuration"
    case .instruments:
      "Thalex does not list \(instrument ?? "an instrument") as a tradable instrument: check its name in the configuration"
    default:
      "Thalex refused a request that the session cannot do without (error \(code))"
    }
  }

  mutating func decode(_ text: UnsafeRawBufferPointer, into sink: inout some VenueEventSink & ~Copyable) {
    decoder.decode(text, into: &sink)
  }

  mutating func connecting() { phase = .opening }

  mutating func opened(token: String, output: inout LaneOutput) {
    phase = .loggingIn
    messageRate = 0
    beginSubscribing()
    _ = logIn(token: token, &output)
  }

  private mutating func beginSubscribing() {
    awaited = .all
    publicReplies = 0
    publicAccepted = 0
    decoder.forgetConfirmations()
  }

  private func logIn(token: String, _ output: inout LaneOutput) -> Bool {
    guard let buffer = output.begin() else { return false }
    let id = RequestID.session(.login)
    output.noteRedacted(buffer, encoder.login(into: buffer, id: id, token: "not recorded", account: account))
    let count = encoder.login(into: buffer, id: id, token: token, account: account)
    return finish(count, buffer, &output, isSecret: true)
  }

  private func setDeadManTimer(_ output: inout LaneOutput) -> Bool {
    guard let buffer = output.begin() else { return false }
    let id = RequestID.session(.cancelOnDisconnect)
    return finish(encoder.setCancelOnDisconnect(into: buffer, id: id, seconds: UInt64(deadManSeconds)), buffer, &output)
  }

  mutating func lost() {
    phase = .offline
  }

  mutating func synchronised() { phase = .ready }

  mutating func advance(_ event: SessionEvent, output: inout LaneOutput) {
    switch event {
    case .replied(.login, _):
      phase = .settingUp
      _ = setDeadManTimer(&output)
    case .replied(.cancelOnDisconnect, let rate):
      messageRate = rate
      guard let buffer = output.begin() else { return }
      _ = finish(
        encoder.instruments(into: buffer, id: RequestID.session(.instruments)), buffer, &output)
    case .replied(.instruments, _):
      takeGrids()
      guard listingProblem == nil else {
        fail(.instruments, code: 0)
        return
      }
      phase = .subscribing
      subscribe(privateChannels, isPrivate: true, .subscribePrivate, &output)
      subscribePublic(&output)
    case .replied(.subscribePrivate, let count):
      confirm(.privateChannels, count == privateChannels.count, .subscribePrivate)
    case .replied(.subscribePublic, let count):
      publicReplies += 1
      publicAccepted += count
      guard publicReplies == publicGroups else { return }
      confirm(.publicChannels, publicAccepted == publicCount, .subscribePublic)
    case .snapshotEnded(.sessionOrders):
      received(.orders)
    case .snapshotEnded(.portfolio):
      received(.portfolio)
    case .snapshotEnded(.instruments):
      if phase == .ready || phase == .synchronising || phase == .leaving { takeGrids() }
    case .refused(let request, let code):
      switch request {
      case .login, .cancelOnDisconnect, .instruments, .subscribePublic, .subscribePrivate:
        fail(request, code: code)
      default: break
      }
    case .replied, .snapshotEnded, .reconnectRequested, .heartbeatRequested, .bookLost, .quotesAnswered, .quoteFailed,
      .quotesRefused:
      break
    }
  }

  /// Channels in groups whose requests fit a frame.
  private static func groups(of channels: [String]) -> [[String]] {
    let limit = LaneOutput.frameCapacity - 256
    var groups: [[String]] = [[]]
    var bytes = 0
    for channel in channels {
      // Its quotes and a comma.
      let more = channel.utf8.count + 3
      if bytes + more > limit {
        groups.append([])
        bytes = 0
      }
      groups[groups.count - 1].append(channel)
      bytes += more
    }
    return groups
  }

  /// The protection group of an instrument by its name (protocol 4.1, 4.2): options end with `-C` or `-P`.
  static func product(of name: String) -> String {
    let coin = name.prefix { $0 != "-" }
    return (name.hasSuffix("-C") || name.hasSuffix("-P") ? "O" : "F") + coin + "USD"
  }

  /// Hands the grids that the venue has stated to the encoder (R64).
  private mutating func takeGrids() {
    listingProblem = nil
    for (position, name) in decoder.instruments.enumerated() {
      let index = InstrumentIndex(position)
      guard decoder.isListed(index), let info = decoder.info(of: index) else {
        if !hasBeenListed[position] { listingProblem = name }
        continue
      }
      hasBeenListed[position] = true
      do {
        try encoder.setInstrument(index, name: name, grid: info.grid)
      } catch {
        listingProblem = name
      }
    }
    for (position, name) in decoder.products.enumerated() {
      let product = ProductIndex(position)
      guard let lotE8 = decoder.lotE8(ofProduct: product) else { continue }
      do {
        try encoder.setProduct(product, name: name, lotE8: lotE8)
      } catch {
        listingProblem = name
      }
    }
  }

  static let massQuoteRules = MassQuoteRules.thalex
  var protectionGroupCount: Int { decoder.productCount }

  mutating func setProtection(_ group: ProductIndex, _ settings: ProtectionSettings, output: inout LaneOutput) -> Bool {
    guard let lotE8 = decoder.lotE8(ofProduct: group), let buffer = output.begin() else { return false }
    serial += 1
    let count = encoder.setProtection(
      into: buffer, product: group, trade: QtyLots(rawValue: max(1, settings.trade.steps(of: lotE8))),
      quote: QtyLots(rawValue: max(1, settings.quote.steps(of: lotE8))), serial: serial)
    return finish(count, buffer, &output)
  }

  mutating func encode(_ batch: borrowing QuoteBatch, serial: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int
  {
    // What would cross is taken away, not moved: a quote at a price that was not asked for could not be told apart.
    encoder.massQuote(
      into: buffer, id: RequestID.massQuote(serial), quotes: batch.approved,
      options: [.postOnly, .rejectPostOnly])
  }

  mutating func encodeCancel(
    of id: VenueID, clientID: UInt64, instrument: InstrumentIndex, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    encoder.cancel(into: buffer, venueID: id, operand: clientID)
  }

  static func isProtectionMissing(code: Int64) -> Bool { code == 22 || code == 23 }

  /// Subscribes the channels of what the venue lists.
  private mutating func subscribePublic(_ output: inout LaneOutput) {
    var channels = commonChannels
    for (position, own) in instrumentChannels.enumerated() {
      isSubscribed[position] = decoder.isListed(InstrumentIndex(position))
      if isSubscribed[position] { channels += own }
    }
    let groups = Self.groups(of: channels)
    publicGroups = groups.count
    publicCount = channels.count
    for group in groups { subscribe(group, isPrivate: false, .subscribePublic, &output) }
  }

  func isListed(_ instrument: InstrumentIndex) -> Bool { decoder.isListed(instrument) }

  func isSubscribed(_ instrument: InstrumentIndex) -> Bool { isSubscribed[Int(instrument)] }

  private mutating func subscribe(
    _ channels: [String], isPrivate: Bool, _ request: SessionRequest, _ output: inout LaneOutput
  ) {
    guard let buffer = output.begin() else { return }
    let count = encoder.subscribe(
      into: buffer, id: RequestID.session(request), channels: channels, isPrivate: isPrivate)
    _ = finish(count, buffer, &output)
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

  private mutating func confirm(_ what: Awaited, _ isComplete: Bool, _ request: SessionRequest) {
    if isComplete { received(what) } else { fail(request, code: 0) }
  }

  private mutating func received(_ what: Awaited) {
    awaited.remove(what)
    if phase == .subscribing, awaited.isEmpty { phase = .synchronising }
  }

  private mutating func fail(_ request: SessionRequest, code: Int64) {
    failedAt = request
    failureCode = code
    phase = .failed
  }

  // MARK: - Requests of the lane

  mutating func queryOpenOrders(output: inout LaneOutput) -> Bool {
    guard let buffer = output.begin() else { return false }
    serial += 1
    let id = RequestID.session(.openOrders, serial: serial)
    guard finish(encoder.openOrders(into: buffer, id: id), buffer, &output) else { return false }
    decoder.awaitedOrdersID = id
    return true
  }

  mutating func queryPositions(output: inout LaneOutput) -> Bool {
    guard let buffer = output.begin() else { return false }
    serial += 1
    let id = RequestID.session(.portfolio, serial: serial)
    guard finish(encoder.portfolio(into: buffer, id: id), buffer, &output) else { return false }
    decoder.awaitedPositionsID = id
    return true
  }

  mutating func queryTrades(since: Nanoseconds, continued: Bool, output: inout LaneOutput) -> Bool {
    // A page is read in one turn of the lane, in which a tick has to wait: about 0.1 ms for so many.
    var query = ThalexTradeQuery(limit: 100)
    if since > 0 { query.timeLow = since / 1_000_000_000 }
    if continued { query.bookmark = decoder.tradeHistoryBookmark }
    guard let buffer = output.begin() else { return false }
    serial += 1
    let id = RequestID.session(.tradeHistory, serial: serial)
    guard finish(encoder.tradeHistory(into: buffer, id: id, query: query), buffer, &output) else { return false }
    decoder.awaitedTradesID = id
    return true
  }

  mutating func cancelSession(output: inout LaneOutput) -> Bool {
    guard let buffer = output.begin() else { return false }
    return finish(encoder.cancelSession(into: buffer, id: RequestID.session(.cancelSession)), buffer, &output)
  }

  // MARK: - A second connection

  mutating func openStandby(token: String, output: inout LaneOutput) -> Bool { logIn(token: token, &output) }

  mutating func advanceStandby(_ event: SessionEvent, output: inout LaneOutput) -> StandbyStep {
    switch event {
    case .replied(.login, _): setDeadManTimer(&output) ? .continues : .refused(code: 0)
    case .replied(.cancelOnDisconnect, let rate): .stands(rate)
    case .refused(_, let code): .refused(code: code)
    default: .continues
    }
  }

  mutating func leave(output: inout LaneOutput) -> Bool {
    guard phase == .ready, cancelSession(output: &output) else { return false }
    phase = .leaving
    return true
  }

  mutating func stay() { if phase == .leaving { phase = .ready } }

  mutating func movedOver(messageRate: Int64, output: inout LaneOutput) {
    self.messageRate = messageRate
    // What is listed was told by the last connection up to now; the channel's snapshot is the word of this one.
    phase = .subscribing
    beginSubscribing()
    subscribe(privateChannels, isPrivate: true, .subscribePrivate, &output)
    subscribePublic(&output)
  }

  static let makesStandby = true
  static let countsByConnection = true
  static func isConnectionLimit(code: Int64) -> Bool { code == 53 }

  mutating func cancelForeign(
    _ id: VenueID, clientID: UInt64, instrument: InstrumentIndex, output: inout LaneOutput
  ) -> Bool {
    guard id.count > 0, let buffer = output.begin() else { return false }
    return finish(encoder.cancel(into: buffer, venueID: id, operand: clientID), buffer, &output)
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
        into: buffer, clientID: clientID, serial: amendSerial, instrument: command.instrument, price: command.price,
        qty: command.qty)
    case .cancel:
      return encoder.cancel(into: buffer, clientID: clientID)
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

  // MARK: - The venue's table of proofs (protocol 2.4 and 8.1)

  static func proof(of kind: RequestKind, code: Int64) -> RefusalProof {
    switch code {
    case 1: .orderGone
    // Partition, session, temporary and state failures do not say whether the request had an effect.
    case 10, 11, 20, 21, 37, 53: .nothing
    case 2...58: .noEffect
    // A code that this version does not know, or none, proves nothing (R05).
    default: .nothing
    }
  }

  static func isThrottle(code: Int64) -> Bool { code == 4 || code == 3 }

  /// Thalex protocol 6.2 (amends) and 6.5 (mass quotes).
  static let queueRules = QueueRules(keepsReduced: true, keepsEnlarged: false, keepsRepeated: true)
}
