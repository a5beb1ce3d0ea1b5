import CSupport

/// A second way to the venue beside a lane's: asking what rests and cancelling by the venue's id.
///
/// For the watchdog and for drills; it quotes nothing and needs no lane. It blocks for as long as it is told to, and it
/// allocates: not for a lane's thread. One thread at a time.
protocol SideLink: AnyObject {
  /// Questions can be asked.
  var isReady: Bool { get }
  /// Whether a connection is wanted at all.
  var isWanted: Bool { get set }
  /// What the venue bears: cancels after one question, and the time between two questions.
  var pace: (cancels: Int, interval: Nanoseconds) { get }
  /// What wakes `turn` from another thread.
  func makeWaker() -> DriverWaker
  /// Takes in what has arrived, keeps the connection up, sends what is pending. Sleeps for up to `wait`.
  func turn(wait: Nanoseconds)
  /// Asks what rests; the answer is in `takeAnswer`. False if there is no session or a question is under way.
  func askForOrders() -> Bool
  /// Our orders that rest, once an answer has come; `nil` before.
  func takeAnswer() -> [VenueID]?
  func cancel(_ order: VenueID)
  /// Every mass quote of the account, those of other engines included.
  func cancelMassQuotes()
}

/// What a side link needs to know.
struct SideSettings {
  var venue = VenueKind.thalex
  var address: VenueAddress
  var account: String?
  var instruments: [String]
  /// Orders whose label begins so are ours (R14).
  var labelPrefix: String
  var tls: TLSContext?
  /// Made anew for each login, from the key's one source of times.
  var makeToken: @Sendable () -> String
  /// For venues that are asked by HTTP.
  var desk: HTTPLink.Settings

  func makeLink() throws -> any SideLink {
    switch venue {
    case .thalex:
      try SocketSide(
        self, ThalexSide(instruments: instruments, labelPrefix: labelPrefix, account: account))
    case .deribit: try SocketSide(self, DeribitSide(instruments: instruments, labelPrefix: labelPrefix))
    case .bybit: try BybitSide(self)
    }
  }
}

/// A side link over a WebSocket of its own.
private final class SocketSide: SideLink {
  private var link: VenueLink
  private var session: SideSession

  init(_ settings: SideSettings, _ venue: any SideProtocol) throws {
    let session = SideSession(venue, makeToken: settings.makeToken)
    link = try VenueLink(address: settings.address, tls: settings.tls)
    self.session = session
  }

  var isReady: Bool { session.isReady }
  var isWanted: Bool {
    get { link.isWanted }
    set { link.isWanted = newValue }
  }
  var pace: (cancels: Int, interval: Nanoseconds) { session.pace }
  func makeWaker() -> DriverWaker { link.makeWaker() }
  func turn(wait: Nanoseconds) { link.turn(wait: wait, &session) }
  func askForOrders() -> Bool { session.askForOrders(&link, now: EngineClock.now()) }
  func takeAnswer() -> [VenueID]? { session.takeAnswer() }
  func cancel(_ order: VenueID) { session.cancel(order, &link) }
  func cancelMassQuotes() { session.cancelMassQuotes(&link) }
}

/// Which request of a side link follows which answer.
struct SideSession: ~Copyable, LinkSession {
  private enum Step { case offline, loggingIn, listing, ready }

  private let makeToken: @Sendable () -> String
  private let venue: any SideProtocol
  private var sink = SideSink()
  private var step = Step.offline
  private var serial: UInt64 = 1 << 20
  private var queryAt: Nanoseconds?

  init(_ venue: any SideProtocol, makeToken: @escaping @Sendable () -> String) {
    self.venue = venue
    self.makeToken = makeToken
  }

  var isReady: Bool { step == .ready }
  var pace: (cancels: Int, interval: Nanoseconds) { venue.pace }

  mutating func opened(_ link: inout VenueLink, now: Nanoseconds) {
    step = .loggingIn
    let token = makeToken()
    _ = link.write { venue.login(into: $0, token: token) }
  }

  mutating func text(_ text: UnsafeRawBufferPointer, _ link: inout VenueLink, now: Nanoseconds) -> Bool {
    venue.decode(text, into: &sink)
    if sink.isRefused { return false }
    if step == .loggingIn, sink.isLoggedIn {
      step = .listing
      for place in 0..<venue.setUpCount { _ = link.write { venue.setUp(place, into: $0) } }
    }
    if step == .listing, sink.setUpAnswers >= venue.setUpCount { step = .ready }
    if sink.takeHeartbeatRequest() { _ = link.write { venue.heartbeat(into: $0) } }
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
    sink.beginQuestion()
    guard link.write({ venue.openOrders(into: $0, serial: serial) }) else { return false }
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
    _ = link.write { venue.cancel(order, into: $0) }
  }

  mutating func cancelMassQuotes(_ link: inout VenueLink) { _ = link.write { venue.cancelMassQuotes(into: $0) } }
}

/// Takes from the decoder what a side link needs: whether the session stands, and which orders of ours rest.
struct SideSink: ~Copyable, SelectiveEventSink {
  private(set) var isLoggedIn = false
  /// Answers to the requests that follow the login.
  private(set) var setUpAnswers = 0
  private var isHeartbeatRequested = false
  private(set) var isRefused = false
  /// Fixed memory: the decoder's code is the lane's, whose guards find any allocation in it. What does not fit is in the
  /// answer to the next question.
  let resting: UnsafeMutablePointer<VenueID>
  /// By the same places.
  let instruments: UnsafeMutablePointer<InstrumentIndex>
  private static let capacity = 1024
  private(set) var count = 0
  var isAnswered = false
  private var isInQuery = false

  init() {
    resting = .allocate(capacity: Self.capacity)
    instruments = .allocate(capacity: Self.capacity)
  }

  deinit {
    resting.deallocate()
    instruments.deallocate()
  }

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
    instruments[count] = report.instrument
    count += 1
  }

  mutating func heartbeatRequested() { isHeartbeatRequested = true }

  mutating func takeHeartbeatRequest() -> Bool {
    defer { isHeartbeatRequested = false }
    return isHeartbeatRequested
  }

  mutating func replied(_ request: RequestKind, value: Int64) {
    switch request {
    case .session(.login): isLoggedIn = true
    case .session(.instruments), .session(.instrument), .session(.heartbeat): setUpAnswers += 1
    default: break
    }
  }

  mutating func refused(_ request: RequestKind, code: Int64) {
    switch request {
    case .session(.login), .session(.instruments), .session(.instrument), .session(.heartbeat): isRefused = true
    default: break
    }
  }
}
