import Apus
import CSupport
import Synchronization

/// Hears a venue's public stream, and turns it into what the rest of the market does to the venue that stands in.
///
/// It is away from a lost connection, or a gap in a book, until every book has begun anew.
// Sendable: everything but `state` belongs to the stream's thread, on which the methods are called.
final class LiveMarket: PublicStreamListener, @unchecked Sendable {
  /// What the venue's list says of the instruments, and the first index (or mark) of each, 10⁻⁸.
  struct Listing {
    var infos: [InstrumentInfo]
    var indexesE8: [Int64]
  }

  /// What others may look at.
  struct State {
    var listing: Listing?
    var isAway = true
    var frames = 0
    /// Times that it went away since it was first there, and for how long in all, ended absences alone.
    var absences = 0
    var absent: Nanoseconds = 0
    /// Why it cannot go on.
    var failure: EngineError?
  }

  let queue = LiveQueue()
  private let state = Mutex(State())
  /// Called on the stream's thread behind each step.
  private let wake = Mutex<(@Sendable () -> Void)?>(nil)
  private let instruments: [String]
  private var infos: [InstrumentInfo]?
  private var sink = StreamSink()
  /// What came before the grids were known.
  private var backlog: [(events: [PublicEvent], time: Nanoseconds)] = []
  private var isReady = false
  private var hasBook: [Bool]
  private var indexesE8: [Int64]
  private var awaySince: Nanoseconds?

  init(_ instruments: [String]) {
    self.instruments = instruments
    hasBook = instruments.map { _ in false }
    indexesE8 = instruments.map { _ in 0 }
  }

  /// Any thread.
  var current: State { state.withLock { $0 } }
  func onStep(_ wake: @escaping @Sendable () -> Void) { self.wake.withLock { $0 = wake } }
  func fail(_ error: EngineError) { state.withLock { $0.failure = $0.failure ?? error } }

  // MARK: - The stream's thread

  func began(_ listed: [InstrumentInfo], now: Nanoseconds) {
    if let infos {
      for (place, info) in listed.enumerated() where info.grid != infos[place].grid {
        fail(
          EngineError(
            .configuration,
            "the venue has changed tick, lot or minimum of \(instruments[place]) since this run began: start it anew"))
        return
      }
    } else {
      infos = listed
      sink.begin(
        listed.enumerated().map { FlowInstrument(index: $0, grid: $1.grid) }, levels: nil)
      for info in listed { sink.instrument(info, isListed: true) }
    }
    isReady = true
    let waiting = backlog
    backlog = []
    for (events, time) in waiting { hear(events, now: time) }
    lookWhetherAllIsThere(now: now)
  }

  func took(_ events: [PublicEvent], now: Nanoseconds) {
    if infos == nil { backlog.append((events, now)) } else { hear(events, now: now) }
  }

  func lost(now: Nanoseconds) {
    isReady = false
    hasBook = hasBook.map { _ in false }
    backlog = []
    goAway(now: now)
  }

  private func hear(_ events: [PublicEvent], now: Nanoseconds) {
    state.withLock { $0.frames += 1 }
    for event in events {
      switch event {
      case .bookLost(let instrument):
        hasBook[Int(instrument)] = false
        goAway(now: now)
      case .bookEnd(let instrument) where beginsAnew == instrument:
        hasBook[Int(instrument)] = true
        beginsAnew = nil
      case .bookBegin(let instrument, isSnapshot: true): beginsAnew = instrument
      case .ticker(let instrument, let ticker):
        let price = ticker.indexE8 > 0 ? ticker.indexE8 : ticker.markE8
        if indexesE8[Int(instrument)] == 0, price > 0 { indexesE8[Int(instrument)] = price }
      default: break
      }
      event.deliver(to: &sink)
    }
    if !sink.pending.isEmpty {
      put(sink.pending, now: now)
      sink.pending.removeAll(keepingCapacity: true)
    }
    if awaySince != nil || current.listing == nil { lookWhetherAllIsThere(now: now) }
  }

  /// The book whose snapshot is being read.
  private var beginsAnew: InstrumentIndex?

  private func lookWhetherAllIsThere(now: Nanoseconds) {
    guard isReady, hasBook.allSatisfy({ $0 }), indexesE8.allSatisfy({ $0 > 0 }), let infos else { return }
    let since = awaySince
    awaySince = nil
    if since != nil { put([.back], now: now) }
    state.withLock {
      $0.isAway = false
      if let since { $0.absent += now - since }
      if $0.listing == nil { $0.listing = Listing(infos: infos, indexesE8: indexesE8) }
    }
  }

  private func goAway(now: Nanoseconds) {
    // Before it was first there nobody has seen it.
    guard awaySince == nil, current.listing != nil else { return }
    awaySince = now
    put([.away], now: now)
    state.withLock {
      $0.isAway = true
      $0.absences += 1
    }
  }

  private func put(_ events: [FlowEvent], now: Nanoseconds) {
    queue.put(events, time: now)
    wake.withLock { $0 }?()
  }
}
