import CSupport
import Synchronization

/// Who follows a public stream. Called on the stream's thread.
package protocol PublicStreamListener: AnyObject {
  /// Every channel stands; how the venue lists each instrument, in the order in which they were asked for.
  func began(_ listed: [InstrumentInfo], now: Nanoseconds)
  /// What one frame has said, which arrived at `now` (`EngineClock`). Snapshots of books may come before `began`.
  func took(_ events: [PublicEvent], now: Nanoseconds)
  /// The connection is gone; `began` says when there is another.
  func lost(now: Nanoseconds)
}

/// Follows a venue's public stream, live: it sends nothing but questions for instruments and subscriptions to public
/// channels, needs no key, and makes a lost connection anew.
///
/// `run` blocks its caller; `requestStop` may be called from any thread. A stream runs once.
package final class PublicStream: Sendable {
  private let venue: VenueSection
  private let address: VenueAddress
  private let desk: HTTPLink.Settings?
  private let tls: TLSContext?
  private let instruments: [String]
  private let stopWord = Atomic<Bool>(false)

  /// - Parameters:
  ///   - venue: Whose `url`, `rest_url` and `ca_file` count, and nothing else.
  ///   - instruments: By the venue's names; at least one.
  package init(_ venue: VenueSection, instruments: [String]) throws(EngineError) {
    guard let address = VenueAddress(venue.url) else {
      throw EngineError(.configuration, "\(venue.url) is not ws://host:port/path or wss://host[:port]/path")
    }
    self.venue = venue
    self.instruments = instruments
    do {
      self.tls = address.isEncrypted ? try EngineLane.tlsContext(venue) : nil
      guard venue.kind == .bybit else {
        desk = nil
        self.address = address
        return
      }
      self.address = VenueAddress(address, appending: BybitPublicFeed.path)
      guard let rest = venue.restURL.map({ VenueAddress(rest: $0) }) ?? address else {
        throw EngineError(.configuration, "rest_url is not http://host:port or https://host[:port]")
      }
      desk = HTTPLink.Settings(
        address: rest, tls: rest.isEncrypted ? try EngineLane.tlsContext(venue) : nil, sign: { _ in "" })
    } catch let error as EngineError {
      throw error
    } catch {
      throw EngineError(.system, "\(error)")
    }
  }

  /// Any thread; idempotent.
  package func requestStop() { stopWord.store(true, ordering: .relaxed) }

  /// Follows the stream until it is stopped.
  ///
  /// - Parameter tell: Takes sentences for an operator, on the caller's thread: connections made and lost.
  /// - Throws: if the venue does not take what is asked for, or the system refuses something.
  package func run(_ listener: any PublicStreamListener, tell: (String) -> Void) throws(EngineError) {
    do {
      switch venue.kind {
      case .thalex: try follow(PublicSession(try ThalexPublicFeed(instruments), listener, instruments), tell)
      case .deribit: try follow(PublicSession(try DeribitPublicFeed(instruments), listener, instruments), tell)
      case .bybit: try follow(PublicSession(try BybitPublicFeed(instruments), listener, instruments), tell)
      }
    } catch let error as EngineError {
      throw error
    } catch {
      throw EngineError(.system, "\(error)")
    }
  }

  private func follow<Feed: PublicFeed & ~Copyable>(
    _ session: consuming PublicSession<Feed>, _ tell: (String) -> Void
  ) throws {
    var session = session
    try ask(&session, tell)
    var link = try VenueLink(address: address, tls: tls, receiveBuffers: 64)
    var watch = StreamWatch(url: venue.url, what: "following \(instruments.joined(separator: ", ")) on")
    while !stopWord.load(ordering: .relaxed) {
      link.turn(wait: 50_000_000, &session)
      session.stayAlive(&link, now: EngineClock.now())
      if let refusal = session.refusal { throw EngineError(.refused, "\(venue.url): \(refusal)") }
      watch.look(link, readyCount: session.readyCount, tell)
    }
  }

  /// Asks what only HTTP answers, until it is answered.
  private func ask<Feed: PublicFeed & ~Copyable>(
    _ session: inout PublicSession<Feed>, _ tell: (String) -> Void
  ) throws {
    guard let desk, session.question != nil else { return }
    var link = try HTTPLink(desk)
    var next: Nanoseconds = 0
    var problem: String?
    while !stopWord.load(ordering: .relaxed), let question = session.question {
      if !link.isBusy, EngineClock.now() >= next { link.ask(question) }
      link.turn(wait: 50_000_000)
      guard let answer = link.takeAnswer() else { continue }
      // The decoder may look at a few bytes behind a text: they are zero.
      (answer + repeatElement(0, count: 64)).withUnsafeBytes {
        session.answered(UnsafeRawBufferPointer(rebasing: $0[..<answer.count]))
      }
      if let refusal = session.refusal { throw EngineError(.refused, "\(venue.url): \(refusal)") }
      if let unanswered = session.unanswered {
        next = EngineClock.now() + 1_000_000_000
        if problem != unanswered { tell("\(unanswered); trying again") }
        problem = unanswered
      }
    }
  }
}

/// Tells of connections that are made and lost, each once.
struct StreamWatch {
  let url: String
  /// Ends before the address: `recording BTC-PERPETUAL from`.
  let what: String
  private var shown = 0
  private var problem: String?

  init(url: String, what: String) {
    self.url = url
    self.what = what
  }

  mutating func look(_ link: borrowing VenueLink, readyCount: Int, _ tell: (String) -> Void) {
    if readyCount != shown {
      shown = readyCount
      problem = nil
      tell("\(what) \(url)")
    }
    if link.state == .down, link.lastProblem != problem {
      problem = link.lastProblem
      if let problem { tell("no connection to \(url): \(problem); trying again") }
    }
  }
}

/// Carries a feed over a connection, and hands on what it says.
struct PublicSession<Feed: PublicFeed & ~Copyable>: ~Copyable, LinkSession {
  private var feed: Feed
  private let listener: any PublicStreamListener
  private let instruments: [String]
  private var isUp = false
  private(set) var isReady = false
  /// How often it has become ready.
  private(set) var readyCount = 0

  init(_ feed: consuming Feed, _ listener: any PublicStreamListener, _ instruments: [String]) {
    self.feed = feed
    self.listener = listener
    self.instruments = instruments
  }

  var refusal: String? { feed.refusal }
  var question: DeskRequest? { feed.question }
  /// Why the last question is asked again.
  private(set) var unanswered: String?

  mutating func answered(_ text: UnsafeRawBufferPointer) {
    let before = feed.question
    feed.answered(text)
    unanswered = feed.question == before ? "the venue has not answered the question for its instruments" : nil
  }

  mutating func opened(_ link: inout VenueLink, now: Nanoseconds) {
    isUp = true
    feed.opened()
    send(&link)
  }

  private mutating func send(_ link: inout VenueLink) {
    while !feed.requests.isEmpty {
      let text = Array(feed.requests[0].utf8)
      let isSent = link.write { memory in
        guard text.count <= memory.count else { return 0 }
        memory.copyBytes(from: text)
        return text.count
      }
      guard isSent else { return }
      feed.requests.removeFirst()
    }
  }

  mutating func stayAlive(_ link: inout VenueLink, now: Nanoseconds) {
    guard isUp else { return }
    feed.stayAlive(now: now)
    send(&link)
  }

  mutating func text(_ text: UnsafeRawBufferPointer, _ link: inout VenueLink, now: Nanoseconds) -> Bool {
    feed.take(text)
    guard feed.refusal == nil else { return false }
    send(&link)
    if !isReady, feed.isReady {
      let listed = instruments.indices.compactMap { feed.info(of: InstrumentIndex($0)) }
      guard listed.count == instruments.count else { return false }
      isReady = true
      readyCount += 1
      listener.began(listed, now: now)
    }
    if !feed.events.isEmpty {
      listener.took(feed.events, now: now)
      feed.events.removeAll(keepingCapacity: true)
    }
    return true
  }

  mutating func lost(now: Nanoseconds) {
    if isUp { listener.lost(now: now) }
    isUp = false
    isReady = false
    feed.lost()
  }
}

extension VenueAddress {
  /// The same host with more behind the path.
  fileprivate init(_ address: VenueAddress, appending path: String) {
    let scheme = address.isEncrypted ? "wss" : "ws"
    let host = address.host.contains(":") ? "[\(address.host)]" : address.host
    // What was an address remains one.
    self = VenueAddress("\(scheme)://\(host):\(address.port)\(address.path)\(path)") ?? address
  }
}

extension VenueKind {
  /// What keeps an order's place in the queue of its price there.
  package var queueRules: QueueRules {
    switch self {
    case .thalex: ThalexAdapter.queueRules
    case .deribit: DeribitAdapter.queueRules
    case .bybit: BybitAdapter.queueRules
    }
  }
}
