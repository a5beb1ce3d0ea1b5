public import Apus
import CSupport
import Glibc
import Synchronization

/// What takes the place of the real venues in a shadow run: for each a simulated venue in this process, whose market is the
/// real venue's live public stream and whose fills are those of the backtest's queue model.
///
/// To the real venues go questions for instruments and subscriptions to public channels, and nothing else: there is no
/// login. The ports are of this machine alone, and chosen by the system.
public final class ShadowVenues: VenueStandIn {
  private let tell: @Sendable (String) -> Void
  private let patience: Double
  private let venues = Mutex<[ShadowVenue]>([])

  /// - Parameters:
  ///   - patience: How long the start waits for the market, seconds.
  ///   - tell: Takes sentences for an operator, on any thread: connections to the real venues made and lost.
  public init(patience: Double = 30, tell: @escaping @Sendable (String) -> Void = { _ in }) {
    self.patience = patience
    self.tell = tell
  }

  public func start(
    _ configuration: Configuration, isStopped: () -> Bool, notice: (String) -> Void
  ) throws(EngineError) -> [StandInVenue] {
    let lanes = configuration.lanes
    var list: [ShadowVenue] = []
    for lane in lanes {
      let venue = try ShadowVenue(lane, tell: tell)
      list.append(venue)
      venues.withLock { $0.append(venue) }
    }
    let deadline = EngineClock.now() + Nanoseconds(patience * 1e9)
    var standIns: [StandInVenue] = []
    for (venue, lane) in zip(list, lanes) {
      standIns.append(try venue.serve(try Self.wait(for: venue, lane.venue, deadline, patience, isStopped)))
    }
    for (lane, standIn) in zip(lanes, standIns) {
      notice(
        "shadow: \(standIn.url) stands in for \(lane.venue.url); fills by the queue model \(lane.shadow.queueModel.text), "
          + "orders \(lane.shadow.orderLatencyMs) ms each way; no order leaves this process")
    }
    return standIns
  }

  /// Until its market is there.
  private static func wait(
    for venue: ShadowVenue, _ section: VenueSection, _ deadline: Nanoseconds, _ patience: Double, _ isStopped: () -> Bool
  ) throws(EngineError) -> LiveMarket.Listing {
    while true {
      let state = venue.market.current
      if let failure = state.failure { throw failure }
      if let listing = state.listing { return listing }
      if isStopped() { throw EngineError(.unreachable, "stopped before the market of \(section.url) was there") }
      guard EngineClock.now() < deadline else {
        throw EngineError(
          .unreachable,
          "the market of \(section.url) was not there within \(Int(patience)) s: every instrument needs a book and an index; "
            + "check address and instruments")
      }
      usleep(10_000)
    }
  }

  /// Ends them all, and returns what they have to tell; empty if they never served. Idempotent; any thread, after
  /// `Engine.run`.
  @discardableResult
  public func stop() -> [ShadowReport] {
    let list = venues.withLock { venues in
      defer { venues = [] }
      return venues
    }
    return list.compactMap { venue in
      let state = venue.market.current
      guard let report = venue.stop() else { return nil }
      return ShadowReport(
        books: report.books.first, inverse: venue.inverseNames(state.listing), frames: state.frames, absences: state.absences,
        absentSeconds: Double(state.absent) / 1e9, failure: state.failure?.description)
    }
  }
}

/// What one venue that stood in has to tell.
public struct ShadowReport: Sendable {
  /// Of the engine's account; `nil` if it never logged in.
  public var books: AccountBooks?
  /// Instruments whose amounts are in the quote currency.
  public var inverse: Set<String>
  /// Of the live market.
  public var frames: Int
  /// Times that the live market was away, and for how long in all.
  public var absences: Int
  public var absentSeconds: Double
  /// Why the live market ended before the run, if it did.
  public var failure: String?
}
