public import CSupport

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
  }

  private var decoder: ThalexDecoder
  private var encoder: ThalexEncoder
  private let account: String?
  private let label: String
  private let deadManSeconds: Int
  private let privateChannels: [String]
  private let publicChannels: [String]

  private(set) var phase = SessionPhase.offline
  private(set) var messageRate: Int64 = 0
  let cancelRate: Int64 = 1000
  private(set) var failureCode: Int64 = 0
  private var failedAt: SessionRequest?
  private var awaited: Awaited = []

  /// Snapshots and confirmations that must have arrived before the session is synchronised (R21).
  private struct Awaited: OptionSet {
    let rawValue: UInt8
    static let publicChannels = Self(rawValue: 1)
    static let privateChannels = Self(rawValue: 2)
    static let orders = Self(rawValue: 4)
    static let portfolio = Self(rawValue: 8)
    static let all: Self = [.publicChannels, .privateChannels, .orders, .portfolio]
  }

  init(instruments: [Instrument], account: String?, labelPrefix: String, label: String, deadManSeconds: Int)
    throws(ThalexError)
  {
    self.account = account
    self.label = label
    self.deadManSeconds = deadManSeconds
    var decoder = try ThalexDecoder(instrumentCapacity: instruments.count, labelPrefix: labelPrefix)
    var publicChannels = ["instruments", "system"]
    for instrument in instruments {
      let index = try decoder.want(instrument: instrument.name)
      let ticker = "ticker.\(instrument.name).raw"
      let book = "book.\(instrument.name).none.\(instrument.bookDepth).raw"
      try decoder.register(channel: ticker, kind: .ticker, instrument: index)
      try decoder.register(channel: book, kind: .book, instrument: index)
      publicChannels += [ticker, book]
    }
    self.publicChannels = publicChannels
    privateChannels = ["session.orders", "account.portfolio", "account.trade_history"]
    self.decoder = decoder
    encoder = ThalexEncoder(instruments: instruments.map(\.name), label: label)
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
    case .failed: Self.failureText(failedAt, code: failureCode)
    }
  }

  static func failureText(_ request: SessionRequest?, code: Int64) -> String {
    switch request {
    case .login:
      "Thalex refused the login (error \(code)): check key id, private key and account, and that this "
        + "machine's clock is right to within 30 s"
    case .subscribePrivate, .subscribePublic:
      "Thalex did not accept every channel: check the instrument names in the configuration"
    case .instruments:
      "Thalex does not list every configured instrument: check their names"
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
    awaited = .all
    messageRate = 0
    decoder.connectionBegan()
    let id = ThalexRequestID.session(.login)
    _ = output.write(isSecret: true) { [encoder, account] in
      encoder.login(id, token: token, account: account, into: $0)
    }
  }

  mutating func lost() {
    phase = .offline
  }

  mutating func synchronised() { phase = .ready }

  mutating func advance(_ event: SessionEvent, output: inout LaneOutput) {
    switch event {
    case .replied(.login, _):
      phase = .settingUp
      _ = output.write { [encoder, deadManSeconds] in
        encoder.setCancelOnDisconnect(ThalexRequestID.session(.cancelOnDisconnect), seconds: deadManSeconds, into: $0)
      }
    case .replied(.cancelOnDisconnect, let rate):
      messageRate = rate
      _ = output.write { [encoder] in encoder.instruments(ThalexRequestID.session(.instruments), into: $0) }
    case .replied(.instruments, _):
      guard decoder.listsEveryWantedInstrument else {
        fail(.instruments, code: 0)
        return
      }
      phase = .subscribing
      _ = output.write { [encoder, privateChannels] in
        encoder.subscribe(
          ThalexRequestID.session(.subscribePrivate), channels: privateChannels, isPrivate: true, into: $0)
      }
      _ = output.write { [encoder, publicChannels] in
        encoder.subscribe(
          ThalexRequestID.session(.subscribePublic), channels: publicChannels, isPrivate: false, into: $0)
      }
    case .replied(.subscribePrivate, let count):
      confirm(.privateChannels, count == privateChannels.count, .subscribePrivate)
    case .replied(.subscribePublic, let count):
      confirm(.publicChannels, count == publicChannels.count, .subscribePublic)
    case .snapshotEnded(.sessionOrders):
      received(.orders)
    case .snapshotEnded(.portfolio):
      received(.portfolio)
    case .refused(let request, let code):
      switch request {
      case .login, .cancelOnDisconnect, .instruments, .subscribePublic, .subscribePrivate:
        fail(request, code: code)
      default: break
      }
    case .replied, .snapshotEnded, .reconnectRequested:
      break
    }
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
    output.write { [encoder] in encoder.openOrders(ThalexRequestID.session(.openOrders), into: $0) }
  }

  mutating func queryPositions(output: inout LaneOutput) -> Bool {
    output.write { [encoder] in encoder.portfolio(ThalexRequestID.session(.portfolio), into: $0) }
  }

  mutating func queryTrades(since: Nanoseconds, continued: Bool, output: inout LaneOutput) -> Bool {
    let bookmark = continued ? decoder.tradeBookmark : nil
    return output.write { [encoder] in
      encoder.tradeHistory(
        ThalexRequestID.session(.tradeHistory), since: since, bookmark: bookmark, limit: 500, into: $0)
    }
  }

  mutating func cancelSession(output: inout LaneOutput) -> Bool {
    output.write { [encoder] in encoder.cancelSession(ThalexRequestID.session(.cancelSession), into: $0) }
  }

  mutating func cancelForeign(_ id: VenueID, output: inout LaneOutput) -> Bool {
    guard id.count > 0 else { return false }
    return output.write { [encoder] in
      encoder.cancel(ThalexRequestID.session(.systemInfo), venueID: id, into: $0)
    }
  }

  mutating func encode(
    _ approved: ApprovedCommand, clientID: UInt64, into buffer: UnsafeMutableRawBufferPointer
  ) -> Int {
    let command = approved.command
    let grid = decoder.grid(of: command.instrument)
    switch command.kind {
    case .insert:
      return encoder.insert(clientID, command, grid: grid, into: buffer)
    case .amend:
      return encoder.amend(clientID, command, grid: grid, into: buffer)
    case .cancel:
      return encoder.cancel(clientID, into: buffer)
    }
  }

  // MARK: - The venue's table of proofs (protocol 2.4 and 8.1)

  static func proof(of kind: RequestKind, code: Int64) -> RefusalProof {
    switch code {
    case 1: .orderGone
    // Partition, session, temporary and state failures do not say whether the request had an effect.
    case 10, 11, 20, 21, 37: .nothing
    default: .noEffect
    }
  }

  static func isThrottle(code: Int64) -> Bool { code == 4 || code == 3 }
}
