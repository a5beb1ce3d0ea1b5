package import CSupport

/// What a venue's public stream says of the market, in the order of the wire.
package enum PublicEvent: Sendable {
  case ticker(InstrumentIndex, Ticker)
  case bookBegin(InstrumentIndex, isSnapshot: Bool)
  case bookLevel(InstrumentIndex, Side, PriceTicks, QtyLots)
  case bookEnd(InstrumentIndex)
  case trade(InstrumentIndex, aggressor: Side, PriceTicks, QtyLots, time: Nanoseconds)
  /// A message of the book is missing: what was said of it is void until the next snapshot.
  case bookLost(InstrumentIndex)

  package func deliver(to sink: inout some VenueEventSink & ~Copyable) {
    switch self {
    case .ticker(let instrument, let ticker): sink.ticker(instrument, ticker)
    case .bookBegin(let instrument, let isSnapshot): sink.bookBegin(instrument, isSnapshot: isSnapshot)
    case .bookLevel(let instrument, let side, let price, let qty): sink.bookLevel(instrument, side, price, qty)
    case .bookEnd(let instrument): sink.bookEnd(instrument)
    case .trade(let instrument, let aggressor, let price, let qty, let time):
      sink.publicTrade(instrument, aggressor: aggressor, price: price, qty: qty, time: time)
    case .bookLost(let instrument): sink.bookLost(instrument)
    }
  }
}

/// A venue's public session free of I/O: its list of instruments, then the channels. It has no login to make.
///
/// Texts and time go in; requests and what the market does come out. One thread; it allocates: not for a lane.
protocol PublicFeed: ~Copyable {
  /// What the path of its WebSocket has behind the configured one.
  static var path: String { get }
  /// Texts to be sent, oldest first.
  var requests: [String] { get set }
  /// A question that only HTTP answers, to be asked before there is a connection; `nil` when there is none (left).
  var question: DeskRequest? { get }
  /// Every instrument is listed, and the venue has accepted every channel.
  var isReady: Bool { get }
  /// The venue does not take what is asked for.
  var refusal: String? { get }
  /// What the market has done since somebody last took it away.
  var events: [PublicEvent] { get set }

  mutating func opened()
  mutating func take(_ text: UnsafeRawBufferPointer)
  /// The answer to `question`, as `DeskRequest` has it.
  mutating func answered(_ text: UnsafeRawBufferPointer)
  /// Signs of life beyond pings of the WebSocket; called several times a second.
  mutating func stayAlive(now: Nanoseconds)
  mutating func lost()
  /// How the venue lists an instrument, which is known once the feed is ready.
  func info(of instrument: InstrumentIndex) -> InstrumentInfo?
}

extension PublicFeed where Self: ~Copyable {
  static var path: String { "" }
  var question: DeskRequest? { nil }
  mutating func answered(_ text: UnsafeRawBufferPointer) {}
  mutating func stayAlive(now: Nanoseconds) {}
}

/// Takes down what a public session goes by, and what the market does.
struct PublicSink: ~Copyable, SelectiveEventSink {
  // Never inlined: a decoder made for this sink is told from the one that trades by what it calls.
  var events: [PublicEvent] = []
  var refusal: (request: RequestKind, code: Int64)?
  /// Replies to `instruments` or `instrument`.
  var listings = 0
  /// Replies to subscriptions, and the channels in them that were accepted.
  var replies = 0
  var accepted = 0
  var wantsHeartbeat = false
  /// Books of which a message is missing.
  var lostBooks: [InstrumentIndex] = []

  @inline(never)
  mutating func replied(_ request: RequestKind, value: Int64) {
    switch request {
    case .session(.instruments), .session(.instrument): listings += 1
    case .session(.subscribePublic):
      replies += 1
      accepted += Int(value)
    default: break
    }
  }

  @inline(never)
  mutating func refused(_ request: RequestKind, code: Int64) { refusal = refusal ?? (request, code) }
  @inline(never)
  mutating func heartbeatRequested() { wantsHeartbeat = true }
  @inline(never)
  mutating func bookLost(_ instrument: InstrumentIndex) {
    lostBooks.append(instrument)
    events.append(.bookLost(instrument))
  }

  @inline(never)
  mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) { events.append(.ticker(instrument, ticker)) }
  @inline(never)
  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
    events.append(.bookBegin(instrument, isSnapshot: isSnapshot))
  }
  @inline(never)
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    events.append(.bookLevel(instrument, side, price, qty))
  }
  @inline(never)
  mutating func bookEnd(_ instrument: InstrumentIndex) { events.append(.bookEnd(instrument)) }
  @inline(never)
  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {
    events.append(.trade(instrument, aggressor: aggressor, price, qty, time: time))
  }
}

/// The text that an encoder writes.
func encodedText(_ encode: (UnsafeMutableRawBufferPointer) -> Int) -> String {
  withUnsafeTemporaryAllocation(byteCount: LaneOutput.frameCapacity, alignment: 64) { memory in
    String(decoding: memory[..<encode(memory)], as: UTF8.self)
  }
}
