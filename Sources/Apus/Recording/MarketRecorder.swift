import CSupport
import Glibc
import Synchronization

/// Keeps a venue's public stream in a journal, without trading and without a key.
///
/// `run` blocks its caller; `requestStop` may be called from any thread. A recorder runs once.
public final class MarketRecorder: Sendable {
  public struct Report: Sendable {
    /// Texts of the venue that were kept.
    public var frames = 0
    public var bytes = 0
    public var connections = 0
    public var seconds = 0.0
    /// Why it ended early.
    public var failure: String?
    /// That was the venue's doing.
    public var isRefused = false
    /// What an operator should know of.
    public var problems: [String] = []
  }

  private let url: String
  private let address: VenueAddress
  private let description: RecordingDescription
  private let path: String
  private let tls: TLSContext?
  private let section: JournalSection
  private let stopWord = Atomic<Bool>(false)

  /// - Parameters:
  ///   - url: `ws://…` or `wss://…`.
  ///   - levels: Of the books: a number, or `all`.
  ///   - directory: Of the journal; made if it is missing.
  ///   - trusting: PEM file with the certificate authority to trust instead of the system's.
  public init(
    url: String, instruments: [String], levels: String = "all", directory: String, trusting: String? = nil,
    journal: JournalSection = JournalSection()
  ) throws(EngineError) {
    guard let address = VenueAddress(url) else {
      throw EngineError(.configuration, "\(url) is not ws://host:port/path or wss://host[:port]/path")
    }
    guard !instruments.isEmpty else { throw EngineError(.configuration, "name at least one instrument") }
    self.url = url
    self.address = address
    path = directory
    section = journal
    description = RecordingDescription(url: url, instruments: instruments, levels: levels)
    do {
      tls =
        address.isEncrypted
        ? try trusting.map { try TLSContext.client(trusting: .file($0)) } ?? TLSContext.client() : nil
    } catch {
      throw EngineError(.system, "\(error)")
    }
  }

  /// Any thread; idempotent.
  public func requestStop() { stopWord.store(true, ordering: .relaxed) }

  /// Records until it is stopped, or for a time.
  ///
  /// - Parameters:
  ///   - seconds: `nil`: until `requestStop`.
  ///   - tell: Takes sentences for an operator, on the caller's thread: connections made and lost.
  public func run(seconds: Double? = nil, tell: (String) -> Void = { _ in }) throws(EngineError) -> Report {
    do {
      return try record(seconds, tell)
    } catch let error as EngineError {
      throw error
    } catch {
      throw EngineError(.system, "\(error)")
    }
  }

  private func record(_ seconds: Double?, _ tell: (String) -> Void) throws -> Report {
    EngineClock.start()
    let start = EngineClock.now()
    let bootEpoch = UInt64((start + EngineClock.wallOffset()) / 1_000_000)
    let ends = try JournalEnds(
      path: path, name: "recording", configuration: JournalConfiguration(section, bootEpoch: bootEpoch), now: start)
    let helper = RecordingHelper(
      JournalKeeper(ends.service, path: path, section: section, control: LaneControl()) { _ in })
    var session = try RecordingSession(description, LaneRecords(journal: .some(ends.writer)), now: start)
    var link = try VenueLink(address: address, tls: tls, receiveBuffers: 64)
    let thread = try EngineThread(name: "apus-helper") { helper.run() }
    var shown = 0
    var problem: String?
    var refused: String?
    let end = seconds.map { start + Nanoseconds($0 * 1e9) } ?? .max
    while !stopWord.load(ordering: .relaxed), EngineClock.now() < end, !session.hasFailed {
      link.turn(wait: 20_000_000, &session)
      if let refusal = session.refusal {
        refused = refusal
        break
      }
      if session.readyCount != shown {
        shown = session.readyCount
        problem = nil
        tell("recording \(description.instruments.joined(separator: ", ")) from \(description.url)")
      }
      if link.state == .down, link.lastProblem != problem {
        problem = link.lastProblem
        if let problem { tell("no connection to \(description.url): \(problem); trying again") }
      }
    }
    helper.stop()
    thread.join()
    var report = session.report
    report.seconds = Double(EngineClock.now() - start) / 1e9
    report.problems = helper.keeper.problems
    report.failure = refused
    report.isRefused = refused != nil
    if session.hasFailed {
      report.isRefused = false
      report.failure = "a frame could not be written: free space at \(path), or use a faster disk"
    }
    session.letGo()
    return report
  }
}

/// The journal's helper of a recording.
private final class RecordingHelper: @unchecked Sendable {
  // Sendable: `keeper` is the thread's own until it has been joined.
  let keeper: JournalKeeper
  private let stopWord = Atomic<Bool>(false)

  init(_ keeper: JournalKeeper) { self.keeper = keeper }

  func stop() { stopWord.store(true, ordering: .relaxed) }

  func run() {
    var turn = 0
    while !stopWord.load(ordering: .relaxed) {
      if turn % 500 == 0 { EngineClock.refit() }
      keeper.turn(now: EngineClock.now())
      turn += 1
      usleep(2000)
    }
    keeper.look()
  }
}

/// Subscribes, and keeps what comes.
struct RecordingSession: ~Copyable, LinkSession {
  private let description: RecordingDescription
  private var records: LaneRecords
  private var decoder: ThalexDecoder
  private let encoder: ThalexEncoder
  private var sink = RecordingSink()
  private(set) var report = MarketRecorder.Report()
  private(set) var readyCount = 0
  private(set) var isReady = false
  private var isUp = false
  /// The venue does not take what is asked for.
  private(set) var refusal: String?

  init(_ description: RecordingDescription, _ records: consuming LaneRecords, now: Nanoseconds) throws {
    var decoder = try ThalexDecoder(
      instrumentCapacity: description.instruments.count, channelCapacity: 1, labelPrefix: "")
    for name in description.instruments { _ = try decoder.want(instrument: name) }
    let encoder = try ThalexEncoder(instrumentCapacity: description.instruments.count, label: "")
    records.run(try description.text(), now: now)
    self.description = description
    self.records = records
    self.decoder = decoder
    self.encoder = encoder
  }

  var hasFailed: Bool { records.hasFailed }

  /// Closes the journal, once the helper has let go too.
  mutating func letGo() { records = LaneRecords(journal: nil) }

  mutating func connected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds) {
    report.connections += 1
    isUp = true
    sink = RecordingSink()
    records.connected(key: key, maskSeed: maskSeed, now: now)
  }

  mutating func opened(_ link: inout VenueLink, now: Nanoseconds) {
    records.event(.opened, now: now)
    send(&link, now) { encoder, memory in
      encoder.instruments(into: memory, id: RequestID.session(.instruments))
    }
  }

  private mutating func send(
    _ link: inout VenueLink, _ now: Nanoseconds,
    _ encode: (borrowing ThalexEncoder, UnsafeMutableRawBufferPointer) -> Int
  ) {
    _ = link.write { memory in
      let count = encode(encoder, memory)
      records.outbound(UnsafeRawBufferPointer(rebasing: memory[..<count]), now: now)
      return count
    }
  }

  mutating func beginRead(now: Nanoseconds) { records.beginRead() }

  mutating func text(_ text: UnsafeRawBufferPointer, _ link: inout VenueLink, now: Nanoseconds) -> Bool {
    records.inbound(text, now: now)
    report.frames += 1
    report.bytes += text.count
    guard !isReady else { return true }
    decoder.decode(text, into: &sink)
    if sink.isRefused {
      refusal = "the venue refuses the list of instruments or a subscription"
      return false
    }
    if sink.isListed, !sink.isSubscribing {
      for (index, name) in decoder.instruments.enumerated() where !decoder.isListed(InstrumentIndex(index)) {
        refusal = "the venue does not list \(name): check its name"
        return false
      }
      sink.isSubscribing = true
      subscribe(&link, now)
    }
    if sink.isSubscribing, sink.accepted >= description.channels.count {
      isReady = true
      readyCount += 1
    } else if sink.isSubscribing, sink.replies == sink.groups {
      refusal = "the venue accepted \(sink.accepted) of \(description.channels.count) channels"
      return false
    }
    return true
  }

  /// In groups that fit a frame.
  private mutating func subscribe(_ link: inout VenueLink, _ now: Nanoseconds) {
    let size = 64
    var rest = description.channels[...]
    while !rest.isEmpty {
      let group = Array(rest.prefix(size))
      rest = rest.dropFirst(size)
      sink.groups += 1
      send(&link, now) { encoder, memory in
        encoder.subscribe(
          into: memory, id: RequestID.session(.subscribePublic), channels: group, isPrivate: false)
      }
    }
  }

  mutating func endRead(now: Nanoseconds) { records.endRead(now: now) }

  mutating func lost(now: Nanoseconds) {
    if isUp { records.control(.disconnected, now: now) }
    isUp = false
    isReady = false
    sink = RecordingSink()
  }
}

struct RecordingSink: ~Copyable, SelectiveEventSink {
  var isListed = false
  var isRefused = false
  var isSubscribing = false
  var groups = 0
  var replies = 0
  var accepted = 0

  mutating func replied(_ request: RequestKind, value: Int64) {
    switch request {
    case .session(.instruments): isListed = true
    case .session(.subscribePublic):
      replies += 1
      accepted += Int(value)
    default: break
    }
  }

  mutating func refused(_ request: RequestKind, code: Int64) { isRefused = true }
}
