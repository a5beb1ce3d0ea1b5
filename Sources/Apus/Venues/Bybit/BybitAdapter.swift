import CSupport

/// The session with Bybit V5 linear on top of its codec: which request follows which answer, on which connection.
///
/// Orders go over the main connection; what the market does comes over the first companion, what our orders do over the
/// second, and the desk answers what only HTTP does (protocol reference 1, 18). Start-up: both logins, then instruments,
/// dead-man protection, price limits and balance from the desk, then the topics, then the positions; after that the lane
/// asks what rests and trades. No private topic begins with a snapshot.
struct BybitAdapter: ~Copyable, ExchangeAdapter {
  private var decoder: BybitDecoder
  private var encoder: BybitEncoder
  private var desk: BybitDesk
  private let bookTopics: [String]
  private let publicTopics: [[String]]
  private static let privateTopics = ["order.linear", "execution.linear", "execution.fast.linear", "position.linear"]
  /// Topics of the two forms must not stand in one request.
  private static let accountTopics = ["wallet"]
  private static let deadManTopic = "dcp.future"

  private var hasBeenListed: [Bool]
  private var isSubscribedTo: [Bool]
  private var loginsMissing = 0
  private var isPublicOpen = false
  private var answersMissing = 0
  private var acksMissing = 0
  private var awaitsPositions = false
  /// A list of which another page is to be asked for.
  private var continued: BybitQuestion?
  private var pingedAt: Nanoseconds = 0
  private var wallOffset: Nanoseconds = 0

  private(set) var phase = SessionPhase.offline
  /// Requests of one class that the venue grants in any second (section 14).
  private var limit = BybitVenue.requestsPerSecond
  private(set) var failureCode: Int64 = 0
  private var failedAt: SessionRequest?
  private var problem: String?

  static let companionCount = 3
  private static let publicPlace = 0
  private static let privatePlace = 1
  private static let deskPlace = 2
  static let mainPath = "/trade"
  static func companion(_ place: Int) -> CompanionKind {
    switch place {
    case publicPlace: .socket(path: "/public/linear")
    case privatePlace: .socket(path: "/private")
    default: .desk
    }
  }

  /// A second of the venue's is a rolling one: what is sent at once and what comes back within it must fit together.
  var messageRate: Int64 { max(1, limit * 6 / 10) }
  var messageBurst: Int64 { max(1, limit * 4 / 10) }
  /// Counted apart from creates and amends (section 14). The lane takes nine tenths of it, at once and each second.
  var cancelRate: Int64 { max(2, limit / 2) }
  static let repliesAreState = false
  /// `cancel-all` would take what others have on the account (R14), and the end of a connection takes nothing.
  static let cancelsSessions = false
  static func redacted(_ text: UnsafeRawBufferPointer) -> StaticString? { nil }

  /// Between two pings in the venue's own form (section 3).
  private static let pingInterval: Nanoseconds = 15_000_000_000
  /// How far back a question for executions goes (section 11).
  private static let longestHistory: Int64 = 7 * 86_400_000 - 3_600_000

  init(_ settings: LaneSettings) throws {
    let names = settings.instruments.map(\.name)
    var decoder = try BybitDecoder(
      instrumentCapacity: max(names.count, 1), topicCapacity: 4 * names.count + 8, prefix: settings.labelPrefix,
      label: settings.label)
    let encoder = try BybitEncoder(instrumentCapacity: max(names.count, 1), label: settings.label)
    for name in names { _ = try decoder.want(instrument: name) }
    let bookTopics = settings.instruments.map { "orderbook.\(Self.depth($0.bookDepth)).\($0.name)" }
    let market = zip(names, bookTopics).flatMap { [$1, "tickers.\($0)", "priceLimit.\($0)", "publicTrade.\($0)"] }
    for topic in market + Self.privateTopics + Self.accountTopics + [Self.deadManTopic] {
      try decoder.register(topic: topic)
    }
    self.bookTopics = bookTopics
    publicTopics = ChannelGroups.of(market)
    hasBeenListed = Array(repeating: false, count: names.count)
    isSubscribedTo = hasBeenListed
    self.decoder = decoder
    self.encoder = encoder
    desk = BybitDesk()
  }

  /// The venue's next deeper book (section 6.1).
  private static func depth(_ levels: Int) -> Int { [1, 50, 200].first { levels <= $0 } ?? 1000 }

  var statusText: String {
    switch phase {
    case .offline: "not connected"
    case .opening: "connecting"
    case .loggingIn: "logging in, and making the connections for market data and for the account"
    case .settingUp: "asking for instruments, limits and balance"
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
      "Bybit refused the login (error \(failureCode)): check the API key and its secret, that the key may trade contracts "
        + "from this address, and that this machine's clock is right to within a second"
    case .subscribePublic, .subscribePrivate:
      "Bybit did not accept a topic (error \(failureCode)): check the instrument names in the configuration, for example "
        + "BTCUSDT"
    case .instruments where problem != nil:
      "Bybit does not list \(problem ?? "an instrument") as a linear perpetual in \(BybitVenue.settleCoin): check its name "
        + "in the configuration, for example BTCUSDT"
    case .instruments:
      "Bybit did not answer the question for its instruments (error \(failureCode)): check venue.rest_url, and that this "
        + "machine may reach it"
    default: "Bybit refused a request that the session cannot do without (error \(failureCode))"
    }
  }

  // MARK: - Frames

  /// The main connection: answers to order requests.
  mutating func decode(_ text: UnsafeRawBufferPointer, into sink: inout some VenueEventSink & ~Copyable) {
    decoder.decodeTrade(text, into: &sink)
  }

  mutating func decode(
    _ text: UnsafeRawBufferPointer, companion place: Int, into sink: inout some VenueEventSink & ~Copyable
  ) {
    switch place {
    case Self.publicPlace: decoder.decodePublic(text, into: &sink)
    case Self.privatePlace: decoder.decodePrivate(text, into: &sink)
    default: answered(text, into: &sink)
    }
  }

  @inline(never)
  private mutating func answered(_ text: UnsafeRawBufferPointer, into sink: inout some VenueEventSink & ~Copyable) {
    guard let answer = DeskAnswer(text) else { return sink.refusedAtEdge(.malformed) }
    guard let (question, isContinued) = desk.take(answer.tag) else { return }
    var outcome = BybitRestOutcome.refused(code: BybitDesk.code(status: answer.status))
    if answer.status == 200 {
      outcome = decoder.decodeRest(question, answer.body, isContinued: isContinued, into: &sink)
    } else if let request = question.request, case .refused(let code) = outcome {
      sink.refused(.session(request), code: code)
    }
    switch outcome {
    case .answered(hasMore: true):
      // Executions go on when the lane says so.
      if question != .executions { continued = question }
    case .answered, .refused:
      noteSetUp(question)
    case .unreadable:
      if question == .instruments { fail(.instruments, code: BybitDesk.code(status: 0)) }
      noteSetUp(question)
    }
  }

  mutating func asked(_ text: UnsafeRawBufferPointer, companion place: Int) {
    if place == Self.deskPlace, let request = DeskRequest(String(decoding: text, as: UTF8.self)) { desk.expect(request.tag) }
  }

  private mutating func noteSetUp(_ question: BybitQuestion) {
    guard phase == .settingUp else { return }
    switch question {
    case .instruments, .deadMan, .wallet, .setPriceLimitAction: answersMissing -= 1
    default: break
    }
  }

  mutating func goOn(output: inout LaneOutput) {
    if let question = continued {
      continued = nil
      _ = ask(question, page: true, output: &output)
    }
    if phase == .settingUp, answersMissing == 0 { subscribe(&output) }
  }

  // MARK: - The session

  /// From here on companions may open, before the main connection too.
  mutating func connecting() {
    phase = .opening
    loginsMissing = 2
    isPublicOpen = false
    awaitsPositions = false
    continued = nil
    desk.forget()
    decoder.forgetStreams()
  }

  mutating func opened(token: String, output: inout LaneOutput) {
    phase = .loggingIn
    logIn(token, .orders, &output)
  }

  mutating func openedCompanion(_ place: Int, token: String, output: inout LaneOutput) {
    if place == Self.publicPlace {
      isPublicOpen = true
      setUp(&output)
    } else if place == Self.privatePlace {
      output.on(Self.privatePlace) { logIn(token, .stream, &$0) }
    }
  }

  private mutating func logIn(_ token: String, _ connection: BybitEncoder.Connection, _ output: inout LaneOutput) {
    guard let buffer = output.begin() else { return }
    let id = RequestID.session(.login)
    let shown = encoder.login(
      into: buffer, id: id, key: "not recorded", expires: 0, signature: "not recorded", connection: connection)
    output.noteRedacted(buffer, shown)
    let login = BybitLogin(token: token)
    let count = encoder.login(
      into: buffer, id: id, key: login.key, expires: login.expires, signature: login.signature, connection: connection)
    _ = finish(count, buffer, &output, isSecret: true)
  }

  mutating func lost() { phase = .offline }

  mutating func synchronised() { phase = .ready }

  mutating func granted(_ rate: Int64) -> Bool {
    guard rate != limit else { return false }
    limit = rate
    return true
  }

  mutating func setWallClock(_ offset: Nanoseconds) { wallOffset = offset }

  mutating func stayAlive(now: Nanoseconds, output: inout LaneOutput) {
    guard now - pingedAt >= Self.pingInterval else { return }
    pingedAt = now
    _ = output.write { encoder.ping(into: $0) }
    for place in [Self.publicPlace, Self.privatePlace] where output.companions.at(place).pointee.isOpen {
      output.on(place) { _ = $0.write { encoder.ping(into: $0) } }
    }
  }

  mutating func advance(_ event: SessionEvent, output: inout LaneOutput) {
    switch event {
    case .replied(.login, _):
      loginsMissing -= 1
      setUp(&output)
    case .replied(.subscribePublic, _), .replied(.subscribePrivate, _): acknowledged(&output)
    case .snapshotEnded(.portfolio):
      guard awaitsPositions, phase == .subscribing else { return }
      awaitsPositions = false
      phase = .synchronising
    case .bookLost(let instrument): resubscribe(instrument, &output)
    case .refused(let request, let code): refused(request, code, &output)
    case .replied, .snapshotEnded, .reconnectRequested, .heartbeatRequested, .quotesAnswered, .quoteFailed, .quotesRefused:
      break
    }
  }

  private mutating func refused(_ request: SessionRequest, _ code: Int64, _ output: inout LaneOutput) {
    switch request {
    case .login, .instruments: fail(request, code: code)
    case .subscribePublic, .subscribePrivate:
      guard phase == .subscribing else { return }
      // Without the topic of the dead-man protection there is none; all else is needed.
      let isOptional = RequestID.serial(of: decoder.lastReplyID) == Self.deadManSerial
      if BybitVenue.isUnchanged(code: code) || isOptional { acknowledged(&output) } else { fail(request, code: code) }
    case .portfolio:
      if awaitsPositions { fail(request, code: code) }
    default: break
    }
  }

  private static let deadManSerial: UInt64 = 9

  /// All connections stand: asks the desk.
  private mutating func setUp(_ output: inout LaneOutput) {
    guard phase == .loggingIn, loginsMissing == 0, isPublicOpen else { return }
    phase = .settingUp
    answersMissing = 0
    for question in [BybitQuestion.instruments, .setPriceLimitAction, .deadMan, .wallet]
    where ask(question, output: &output) {
      answersMissing += 1
    }
  }

  /// Hands the grids to the encoder (R64) and subscribes.
  private mutating func subscribe(_ output: inout LaneOutput) {
    for (place, name) in decoder.instruments.enumerated() {
      let index = InstrumentIndex(place)
      guard let info = decoder.info(of: index), decoder.isListed(index) || hasBeenListed[place],
        (try? encoder.setInstrument(index, name: name, grid: info.grid)) != nil
      else {
        problem = name
        return fail(.instruments, code: 0)
      }
      hasBeenListed[place] = true
      isSubscribedTo[place] = true
    }
    phase = .subscribing
    acksMissing = 2 + publicTopics.count
    subscribe(Self.privateTopics, serial: 0, &output)
    subscribe(Self.accountTopics, serial: 1, &output)
    if decoder.deadManSeconds > 0 {
      acksMissing += 1
      subscribe([Self.deadManTopic], serial: Self.deadManSerial, &output)
      _ = ask(.setDeadMan, output: &output)
    }
    for topics in publicTopics {
      let id = RequestID.session(.subscribePublic)
      output.on(Self.publicPlace) { _ = $0.write { encoder.subscribe(into: $0, id: id, topics: topics) } }
    }
  }

  private mutating func subscribe(_ topics: [String], serial: UInt64, _ output: inout LaneOutput) {
    let id = RequestID.session(.subscribePrivate, serial: serial)
    output.on(Self.privatePlace) { _ = $0.write { encoder.subscribe(into: $0, id: id, topics: topics) } }
  }

  private mutating func acknowledged(_ output: inout LaneOutput) {
    guard phase == .subscribing, acksMissing > 0 else { return }
    acksMissing -= 1
    guard acksMissing == 0 else { return }
    awaitsPositions = true
    _ = queryPositions(output: &output)
  }

  /// The venue sends a snapshot to a new subscription only.
  private mutating func resubscribe(_ instrument: InstrumentIndex, _ output: inout LaneOutput) {
    let topic = [bookTopics[Int(instrument)]]
    output.on(Self.publicPlace) {
      _ = $0.write { encoder.unsubscribe(into: $0, id: RequestID.session(.unsubscribe), topics: topic) }
      _ = $0.write { encoder.subscribe(into: $0, id: RequestID.session(.subscribePublic, serial: 1), topics: topic) }
    }
  }

  private mutating func fail(_ request: SessionRequest, code: Int64) {
    failedAt = request
    failureCode = code
    phase = .failed
  }

  // MARK: - Requests of the lane

  func isListed(_ instrument: InstrumentIndex) -> Bool { decoder.isListed(instrument) }
  func isSubscribed(_ instrument: InstrumentIndex) -> Bool { isSubscribedTo[Int(instrument)] }

  private mutating func ask(
    _ question: BybitQuestion, since: Int64 = 0, page: Bool = false, output: inout LaneOutput
  ) -> Bool {
    output.ask(Self.deskPlace) {
      desk.write(
        question, since: since,
        page: page ? UnsafeBufferPointer(start: decoder.cursorBytes, count: decoder.cursorCount) : nil, into: $0)
    }
  }

  mutating func queryOpenOrders(output: inout LaneOutput) -> Bool { ask(.openOrders, output: &output) }

  mutating func queryPositions(output: inout LaneOutput) -> Bool { ask(.positions, output: &output) }

  mutating func queryTrades(since: Nanoseconds, continued: Bool, output: inout LaneOutput) -> Bool {
    var from = since / 1_000_000
    if from > 0 { from = max(from, milliseconds(output.now) - Self.longestHistory) }
    return ask(.executions, since: from, page: continued, output: &output)
  }

  mutating func cancelSession(output: inout LaneOutput) -> Bool { false }

  /// The venue's clock, as far as ours tells it.
  @inline(__always)
  private func milliseconds(_ now: Nanoseconds) -> Int64 { (now + wallOffset) / 1_000_000 }

  private func finish(
    _ count: Int, _ buffer: UnsafeMutableRawBufferPointer, _ output: inout LaneOutput, isSecret: Bool = false
  ) -> Bool {
    guard count > 0 else {
      output.drop()
      return false
    }
    return output.commit(buffer, count, isSecret: isSecret)
  }

  mutating func cancelForeign(
    _ id: VenueID, clientID: UInt64, instrument: InstrumentIndex, output: inout LaneOutput
  ) -> Bool {
    guard id.count > 0, let buffer = output.begin() else { return false }
    let count = encodeCancel(of: id, clientID: clientID, instrument: instrument, now: output.now, into: buffer)
    return finish(count, buffer, &output)
  }

  mutating func encode(
    _ approved: ApprovedCommand, _ order: OrderPointer, amendSerial: UInt16, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    let command = approved.command
    let clientID = order.pointee.client_id
    let time = milliseconds(now)
    switch command.kind {
    case .insert:
      return encoder.create(
        into: buffer, clientID: clientID, instrument: command.instrument, side: command.side, price: command.price,
        qty: command.qty, milliseconds: time)
    case .amend:
      return encoder.amend(
        into: buffer, clientID: clientID, serial: amendSerial, instrument: command.instrument, price: command.price,
        qty: command.qty, milliseconds: time)
    case .cancel:
      return encoder.cancel(into: buffer, clientID: clientID, instrument: command.instrument, milliseconds: time)
    }
  }

  mutating func encodeTake(
    _ approved: ApprovedCommand, clientID: UInt64, isReduceOnly: Bool, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    let command = approved.command
    return encoder.create(
      into: buffer, clientID: clientID, instrument: command.instrument, side: command.side, price: command.price,
      qty: command.qty, kind: isReduceOnly ? .reduction : .immediate, milliseconds: milliseconds(now))
  }

  mutating func encodeCancel(
    of id: VenueID, clientID: UInt64, instrument: InstrumentIndex, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    encoder.cancel(
      into: buffer, venueID: id, operand: clientID, instrument: instrument, milliseconds: milliseconds(now))
  }

  static func proof(of kind: RequestKind, code: Int64) -> RefusalProof { BybitVenue.proof(of: kind, code: code) }
  static func isOvertaken(_ kind: RequestKind, code: Int64) -> Bool { BybitVenue.isOvertaken(kind, code: code) }
  static func isThrottle(code: Int64) -> Bool { BybitVenue.isThrottle(code: code) }
  static func isRestart(code: Int64) -> Bool { BybitVenue.isRestart(code: code) }
  static var queueRules: QueueRules { BybitVenue.queueRules }
}
