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
  ///   - seconds: `nil`, or more than 10⁹: until `requestStop`.
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
    var watch = StreamWatch(
      url: description.url, what: "recording \(description.instruments.joined(separator: ", ")) from")
    var refused: String?
    // What no clock will see, and what is no number, is without an end.
    let end = seconds.map { $0 < 1e9 ? start + Nanoseconds(max(0, $0) * 1e9) : .max } ?? .max
    while !stopWord.load(ordering: .relaxed), EngineClock.now() < end, !session.hasFailed {
      link.turn(wait: 20_000_000, &session)
      if let refusal = session.refusal {
        refused = refusal
        break
      }
      watch.look(link, readyCount: session.readyCount, tell)
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
  private var records: LaneRecords
  private var feed: ThalexPublicFeed
  private(set) var report = MarketRecorder.Report()
  private(set) var readyCount = 0
  private(set) var isReady = false
  private var isUp = false

  init(_ description: RecordingDescription, _ records: consuming LaneRecords, now: Nanoseconds) throws {
    let feed = try ThalexPublicFeed(description.instruments, channels: description.channels)
    records.run(try description.text(), now: now)
    self.records = records
    self.feed = feed
  }

  var hasFailed: Bool { records.hasFailed }
  /// The venue does not take what is asked for.
  var refusal: String? { feed.refusal }

  /// Closes the journal, once the helper has let go too.
  mutating func letGo() { records = LaneRecords(journal: nil) }

  mutating func connected(key: [UInt8], maskSeed: UInt64, now: Nanoseconds) {
    report.connections += 1
    isUp = true
    records.connected(key: key, maskSeed: maskSeed, now: now)
  }

  mutating func opened(_ link: inout VenueLink, now: Nanoseconds) {
    records.event(.opened, now: now)
    feed.opened()
    send(&link, now)
  }

  private mutating func send(_ link: inout VenueLink, _ now: Nanoseconds) {
    for request in feed.requests {
      let text = Array(request.utf8)
      _ = link.write { memory in
        guard text.count <= memory.count else { return 0 }
        memory.copyBytes(from: text)
        records.outbound(UnsafeRawBufferPointer(rebasing: memory[..<text.count]), now: now)
        return text.count
      }
    }
    feed.requests.removeAll()
  }

  mutating func beginRead(now: Nanoseconds) { records.beginRead() }

  mutating func text(_ text: UnsafeRawBufferPointer, _ link: inout VenueLink, now: Nanoseconds) -> Bool {
    records.inbound(text, now: now)
    report.frames += 1
    report.bytes += text.count
    guard !isReady else { return true }
    feed.take(text)
    guard feed.refusal == nil else { return false }
    send(&link, now)
    if feed.isReady {
      isReady = true
      readyCount += 1
    }
    return true
  }

  mutating func endRead(now: Nanoseconds) { records.endRead(now: now) }

  mutating func lost(now: Nanoseconds) {
    if isUp { records.control(.disconnected, now: now) }
    isUp = false
    isReady = false
    feed.lost()
  }
}
