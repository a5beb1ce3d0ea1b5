import CSupport

/// How far a session with a venue has come. Table-tested: see `SessionPhase.allowed`.
public enum SessionPhase: UInt8, Sendable, CaseIterable {
  /// No connection.
  case offline
  /// The transport and the WebSocket upgrade are under way.
  case opening
  case loggingIn
  /// Dead-man timer, instrument list.
  case settingUp
  case subscribing
  /// Every stream is confirmed; asking what rests, what traded and what we hold.
  case synchronising
  case ready
  /// The venue has refused something without which the session cannot be used.
  case failed
  /// Everything of this session is being cancelled because another connection takes over: nothing new is sent on it.
  case leaving
}

/// How far the login of a second connection has come, beside the one in use.
enum StandbyStep: Equatable {
  case continues
  /// Logged in, with the dead-man timer set; the message rate that the venue has granted.
  case stands(Int64)
  case refused(code: Int64)
}

/// Something that concerns the session as a whole.
public enum SessionEvent: Equatable, Sendable {
  case replied(SessionRequest, value: Int64)
  case refused(SessionRequest, code: Int64)
  case snapshotEnded(SnapshotKind)
  case reconnectRequested
  /// The venue closes the connection unless it gets a sign of life now.
  case heartbeatRequested
  /// A message of an instrument's book is missing: it has to be begun anew.
  case bookLost(InstrumentIndex)
  /// The answer to a mass quote has come; what failed in it was told before.
  case quotesAnswered(UInt64)
  case quoteFailed(UInt64, code: Int64, side: Side?, priceE8: Int64?, instrument: InstrumentIndex?)
  /// The whole mass quote failed.
  case quotesRefused(UInt64, code: Int64)
}

/// A venue's protocol as a state machine free of I/O: frames, events and time in; frames and events out.
///
/// One adapter serves one connection at a time; the lane's thread only.
protocol ExchangeAdapter: ~Copyable, SendableMetatype {
  /// For a lane of these settings.
  init(_ settings: LaneSettings) throws

  var phase: SessionPhase { get }
  /// Order messages a second that the venue has granted; 0 before it has.
  var messageRate: Int64 { get }
  /// Order messages that may be sent at once after a pause.
  var messageBurst: Int64 { get }
  /// Cancels a second, where the venue counts them apart (R40); 0: a cancel is an order message like any other.
  var cancelRate: Int64 { get }
  /// The error code of what made the session fail.
  var failureCode: Int64 { get }
  /// What the session is waiting for or has failed at, for people.
  var statusText: String { get }

  /// Reads one frame and delivers what it says.
  mutating func decode(_ text: UnsafeRawBufferPointer, into sink: inout some VenueEventSink & ~Copyable)

  /// Connections beside the main one; each frame of theirs is read by the decode of its place.
  static var companionCount: Int { get }
  static func companion(_ place: Int) -> CompanionKind
  /// What the main connection's path has behind the configured one.
  static var mainPath: String { get }
  /// A companion's WebSocket is open. `token` is what the venue's login wants.
  mutating func openedCompanion(_ place: Int, token: String, output: inout LaneOutput)
  mutating func decode(
    _ text: UnsafeRawBufferPointer, companion place: Int, into sink: inout some VenueEventSink & ~Copyable)
  /// A reader of a journal has come to a text that was sent to a companion: its answer is to be read too. Cold.
  mutating func asked(_ text: UnsafeRawBufferPointer, companion place: Int)
  /// After each frame of a companion: writes what follows from it, such as the question for the next page.
  mutating func goOn(output: inout LaneOutput)
  /// Signs of life beyond pings of the WebSocket; called every few seconds.
  mutating func stayAlive(now: Nanoseconds, output: inout LaneOutput)
  /// Lane time plus `offset` is the wall clock from now on.
  mutating func setWallClock(_ offset: Nanoseconds)
  /// How an order stands is said by the answer to the request. If not, an answer is an acknowledgement, and the feed says
  /// what has come of it.
  static var repliesAreState: Bool { get }
  /// The venue has said how many requests it grants in a second; whether that is new.
  mutating func granted(_ rate: Int64) -> Bool
  /// Messages are counted for each connection, and not for the account.
  static var countsByConnection: Bool { get }
  /// Whether the code says that nothing is accepted on this connection any more.
  static func isRestart(code: Int64) -> Bool
  /// Whether a second connection can be made before the venue closes the first one.
  static var makesStandby: Bool { get }

  /// The transport is up and the WebSocket is being opened.
  mutating func connecting()
  /// The WebSocket is open. `token` is what the venue's login wants.
  mutating func opened(token: String, output: inout LaneOutput)
  mutating func lost()
  /// Moves the session on. Requests that follow are written to `output`.
  mutating func advance(_ event: SessionEvent, output: inout LaneOutput)
  /// Synchronisation is complete: quoting may begin.
  mutating func synchronised()

  /// Whether the venue lists an instrument now.
  func isListed(_ instrument: InstrumentIndex) -> Bool
  /// Whether this session has the channels of an instrument: one that is listed later needs a new session.
  func isSubscribed(_ instrument: InstrumentIndex) -> Bool
  mutating func queryOpenOrders(output: inout LaneOutput) -> Bool
  mutating func queryPositions(output: inout LaneOutput) -> Bool
  /// Asks for executions; the next page of the last answer if `continued`.
  mutating func queryTrades(since: Nanoseconds, continued: Bool, output: inout LaneOutput) -> Bool
  /// What the journal gets in place of a frame that holds a credential of the venue's, and says the same otherwise (R57);
  /// `nil` for the frame itself. Asked while the login is under way.
  static func redacted(_ text: UnsafeRawBufferPointer) -> StaticString?
  /// Cancels everything that this session has in the market, requests in flight included.
  mutating func cancelSession(output: inout LaneOutput) -> Bool
  /// Whether the venue can do that without touching what others have on the account. If not, orders are cancelled one by
  /// one, or all with the connection.
  static var cancelsSessions: Bool { get }
  /// A second connection's WebSocket is open: writes its login. The session in use stays as it is.
  mutating func openStandby(token: String, output: inout LaneOutput) -> Bool
  /// Moves the second connection's login on; requests that follow are written to `output`, which is that connection's.
  mutating func advanceStandby(_ event: SessionEvent, output: inout LaneOutput) -> StandbyStep
  /// Cancels everything that the session has in the market before another connection takes over; false if the request
  /// could not be written.
  mutating func leave(output: inout LaneOutput) -> Bool
  /// The other connection is gone: the session in use is ready again.
  mutating func stay()
  /// The connection that was made beside the last one is the session from here on: subscribes.
  mutating func movedOver(messageRate: Int64, output: inout LaneOutput)
  /// Whether the code says that the account has too many connections.
  static func isConnectionLimit(code: Int64) -> Bool
  /// Cancels an order by the venue's id that the venue knows no client id of: written into `buffer` as `encode` does.
  mutating func encodeCancel(
    of id: VenueID, clientID: UInt64, instrument: InstrumentIndex, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int
  /// What the venue's mass quotes are.
  static var massQuoteRules: MassQuoteRules { get }
  /// What the venue grants of mass quotes apart from order messages; `nil` if it counts them as those alone.
  var massQuoteGrant: MassQuoteGrant? { get }
  /// Groups whose mass quotes the venue protects; their indexes begin at 0. 0 without mass quotes.
  var protectionGroupCount: Int { get }
  /// Sets, or refills, the protection of a group.
  mutating func setProtection(_ group: ProductIndex, _ settings: ProtectionSettings, output: inout LaneOutput) -> Bool
  /// Writes the mass quote of all sides in `batch`; returns its length, 0 if it does not fit.
  mutating func encode(_ batch: borrowing QuoteBatch, serial: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int
  /// Whether the code says that a mass quote came before its protection, or after that was used up, or while the venue
  /// takes none.
  static func isProtectionMissing(code: Int64) -> Bool

  /// Cancels an order of an earlier session or life by the venue's id; `clientID` 0 if it is not in the slab.
  mutating func cancelForeign(
    _ id: VenueID, clientID: UInt64, instrument: InstrumentIndex, output: inout LaneOutput
  ) -> Bool

  /// Writes the frame of an approved command about an order of the slab; returns its length, 0 if it does not fit.
  mutating func encode(
    _ approved: ApprovedCommand, _ order: OrderPointer, amendSerial: UInt16, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int

  /// Writes an approved order that takes what it can at once and never rests.
  ///
  /// - Parameter isReduceOnly: The venue must let it do nothing but reduce the position.
  mutating func encodeTake(
    _ approved: ApprovedCommand, clientID: UInt64, isReduceOnly: Bool, now: Nanoseconds,
    into buffer: UnsafeMutableRawBufferPointer
  ) -> Int

  /// What an error reply proves about the order that the request was for (R04).
  static func proof(of kind: RequestKind, code: Int64) -> RefusalProof
  /// Whether an error reply says that the order of an amend or a cancel was executed or ended while the request was under
  /// way, which is ordinary.
  static func isOvertaken(_ kind: RequestKind, code: Int64) -> Bool
  /// Whether the code says that the message rate was exceeded.
  static func isThrottle(code: Int64) -> Bool
  /// What keeps an order's place in the queue of its price.
  static var queueRules: QueueRules { get }
}

/// What most venues do not have: one connection, whose replies say how orders stand.
extension ExchangeAdapter where Self: ~Copyable {
  static func isOvertaken(_ kind: RequestKind, code: Int64) -> Bool {
    switch kind {
    case .amend, .cancel: proof(of: kind, code: code) == .orderGone
    default: false
    }
  }
  static var companionCount: Int { 0 }
  static func companion(_ place: Int) -> CompanionKind { .desk }
  static var mainPath: String { "" }
  mutating func openedCompanion(_ place: Int, token: String, output: inout LaneOutput) {}
  mutating func decode(
    _ text: UnsafeRawBufferPointer, companion place: Int, into sink: inout some VenueEventSink & ~Copyable
  ) {}
  mutating func asked(_ text: UnsafeRawBufferPointer, companion place: Int) {}
  mutating func goOn(output: inout LaneOutput) {}
  mutating func stayAlive(now: Nanoseconds, output: inout LaneOutput) {}
  mutating func setWallClock(_ offset: Nanoseconds) {}
  static var repliesAreState: Bool { true }
  mutating func granted(_ rate: Int64) -> Bool { false }
  static func isRestart(code: Int64) -> Bool { false }
  static var countsByConnection: Bool { false }
}

/// What a venue does not have that announces no closures, and takes no mass quotes.
extension ExchangeAdapter where Self: ~Copyable {
  static var makesStandby: Bool { false }
  mutating func openStandby(token: String, output: inout LaneOutput) -> Bool { false }
  mutating func advanceStandby(_ event: SessionEvent, output: inout LaneOutput) -> StandbyStep { .refused(code: 0) }
  mutating func leave(output: inout LaneOutput) -> Bool { false }
  mutating func stay() {}
  mutating func movedOver(messageRate: Int64, output: inout LaneOutput) {}
  static func isConnectionLimit(code: Int64) -> Bool { false }

  static var massQuoteRules: MassQuoteRules { .none }
  var massQuoteGrant: MassQuoteGrant? { nil }
  var protectionGroupCount: Int { 0 }
  mutating func setProtection(_ group: ProductIndex, _ settings: ProtectionSettings, output: inout LaneOutput) -> Bool {
    false
  }
  mutating func encode(_ batch: borrowing QuoteBatch, serial: UInt64, into buffer: UnsafeMutableRawBufferPointer) -> Int
  { 0 }
  static func isProtectionMissing(code: Int64) -> Bool { false }
}
