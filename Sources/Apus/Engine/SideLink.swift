import CSupport

/// A second connection to the venue beside a lane's: logged in, asking what rests and cancelling by the venue's id.
///
/// For the watchdog and for drills; it quotes nothing and needs no lane. It blocks for as long as it is told to, and it
/// allocates: not for a lane's thread. One thread at a time.
struct SideLink: ~Copyable {
  struct Settings {
    var address: VenueAddress
    var account: String?
    var instruments: [String]
    /// Orders whose label begins so are ours (R14).
    var labelPrefix: String
    var tls: TLSContext?
    /// Made anew for each login, from the key's one source of times.
    var makeToken: @Sendable () -> String
  }

  private var link: VenueLink
  private var session: SideSession

  init(_ settings: Settings) throws {
    let session = try SideSession(settings)
    link = try VenueLink(address: settings.address, tls: settings.tls)
    self.session = session
  }

  /// Logged in and listed: questions can be asked.
  var isReady: Bool { session.isReady }

  /// Whether a connection is wanted at all.
  var isWanted: Bool {
    get { link.isWanted }
    set { link.isWanted = newValue }
  }

  /// What wakes `turn` from another thread.
  func makeWaker() -> DriverWaker { link.makeWaker() }

  /// Takes in what has arrived, keeps the connection up, sends what is pending. Sleeps for up to `wait`.
  mutating func turn(wait: Nanoseconds) { link.turn(wait: wait, &session) }

  /// Asks what rests; the answer is in `takeAnswer`. False if there is no session or a question is under way.
  mutating func askForOrders() -> Bool { session.askForOrders(&link, now: EngineClock.now()) }

  /// Our orders that rest, once an answer has come; `nil` before.
  mutating func takeAnswer() -> [VenueID]? { session.takeAnswer() }

  mutating func cancel(_ order: VenueID) { session.cancel(order, &link) }

  /// Every mass quote of the account, those of other engines included.
  mutating func cancelMassQuotes() {
    var text = "{\"method\":\"private/cancel_mass_quote\",\"id\":\(UInt64(1) << 40),\"params\":{}}"
    text.withUTF8 { _ = link.endpoint.sendText(UnsafeRawBufferPointer($0)) }
    link.flush()
  }
}

/// Which request of a side link follows which answer.
struct SideSession: ~Copyable, LinkSession {
  private enum Step { case offline, loggingIn, listing, ready }

  private let settings: SideLink.Settings
  private var decoder: ThalexDecoder
  private let encoder: ThalexEncoder
  private var sink = SideSink()
  private var step = Step.offline
  private var serial: UInt64 = 1 << 20
  private var queryAt: Nanoseconds?

  init(_ settings: SideLink.Settings) throws {
    var decoder = try ThalexDecoder(
      instrumentCapacity: max(settings.instruments.count, 1), channelCapacity: 1, labelPrefix: settings.labelPrefix)
    for name in settings.instruments { _ = try decoder.want(instrument: name) }
    let encoder = try ThalexEncoder(instrumentCapacity: max(settings.instruments.count, 1), label: "")
    self.settings = settings
    self.decoder = decoder
    self.encoder = encoder
  }

  var isReady: Bool { step == .ready }

  mutating func opened(_ link: inout VenueLink, now: Nanoseconds) {
    step = .loggingIn
    let token = settings.makeToken()
    _ = link.write {
      encoder.login(into: $0, id: RequestID.session(.login), token: token, account: settings.account)
    }
  }

  mutating func text(_ text: UnsafeRawBufferPointer, _ link: inout VenueLink, now: Nanoseconds) -> Bool {
    decoder.decode(text, into: &sink)
    if sink.isRefused { return false }
    if step == .loggingIn, sink.isLoggedIn {
      step = .listing
      _ = link.write { encoder.instruments(into: $0, id: RequestID.session(.instruments)) }
    }
    if step == .listing, sink.isListed { step = .ready }
    return true
  }

  mutating func lost(now: Nanoseconds) {
    step = .offline
    queryAt = nil
    sink = SideSink()
  }

  mutating func askForOrders(_ link: inout VenueLink, now: Nanoseconds) -> Bool {
    // A question that is not answered is asked again.
    if let asked = queryAt, now - asked < 1_000_000_000 { return false }
    guard isReady else { return false }
    serial += 1
    let id = RequestID.session(.openOrders, serial: serial)
    decoder.awaitedOrdersID = id
    sink.beginQuestion()
    guard link.write({ encoder.openOrders(into: $0, id: id) }) else { return false }
    queryAt = now
    return true
  }

  mutating func takeAnswer() -> [VenueID]? {
    guard sink.isAnswered else { return nil }
    sink.isAnswered = false
    queryAt = nil
    return (0..<sink.count).map { sink.resting[$0] }
  }

  mutating func cancel(_ order: VenueID, _ link: inout VenueLink) {
    _ = link.write { encoder.cancel(into: $0, venueID: order, operand: 0) }
  }
}

/// Takes from the decoder what a side link needs: whether the session stands, and which orders of ours rest.
struct SideSink: ~Copyable, SelectiveEventSink {
  private(set) var isLoggedIn = false
  private(set) var isListed = false
  private(set) var isRefused = false
  /// Fixed memory: the decoder's code is the lane's, whose guards find any allocation in it. What does not fit is in the
  /// answer to the next question.
  let resting: UnsafeMutablePointer<VenueID>
  private static let capacity = 1024
  private(set) var count = 0
  var isAnswered = false
  private var isInQuery = false

  init() { resting = .allocate(capacity: Self.capacity) }

  deinit { resting.deallocate() }

  mutating func beginQuestion() {
    isAnswered = false
    count = 0
  }

  mutating func snapshotBegin(_ kind: SnapshotKind) {
    guard kind == .openOrders else { return }
    isInQuery = true
    count = 0
  }

  mutating func snapshotEnd(_ kind: SnapshotKind) {
    guard kind == .openOrders, isInQuery else { return }
    isInQuery = false
    isAnswered = true
  }

  mutating func order(_ report: OrderReport) {
    guard isInQuery, report.isLabelledOurs, report.status.isLive, report.venueID.count > 0, count < Self.capacity
    else { return }
    resting[count] = report.venueID
    count += 1
  }

  mutating func replied(_ request: RequestKind, value: Int64) {
    switch request {
    case .session(.login): isLoggedIn = true
    case .session(.instruments): isListed = true
    default: break
    }
  }

  mutating func refused(_ request: RequestKind, code: Int64) {
    switch request {
    case .session(.login), .session(.instruments): isRefused = true
    default: break
    }
  }
}
