import CSupport
import Synchronization

/// Pulls the quotes when the lane stalls (R35): on a thread of its own, through a connection of its own that is always
/// open, it asks what rests with our label and cancels each order by the venue's id. Orders of others stay (R14).
///
/// It sleeps nearly always: a look at the lane's sign of life every few dozen milliseconds, and a ping every 5 s. It also
/// acts when another process has asked for "cancel all" or more and the lane has not taken that up (R53). What it has
/// pulled stays pulled: it latches the lane's kill ladder at "cancel all".
final class Watchdog: @unchecked Sendable {
  // Sendable: the thread that runs it owns everything but `stopWord`, which is atomic.
  private let control: LaneControl
  private let stall: Nanoseconds
  private let mayCancelMassQuotes: Bool
  private let link: any SideLink
  private var telemetry: TelemetryWatchdog
  private var view = WatchdogView()
  private let stopWord = Atomic<Bool>(false)
  private let waker: DriverWaker

  /// Our own last turn: if that is long ago, the whole process stood still, and the lane is given its time again.
  private var lastTurn: Nanoseconds = 0
  private var notBefore: Nanoseconds = 0
  /// Since when the stop word asks for more than the lane obeys.
  private var ignoredSince: Nanoseconds?
  private var isTripped = false
  private var nextAsk: Nanoseconds = 0
  private var rounds = 0

  init(
    link: any SideLink, control: LaneControl, telemetry: consuming TelemetryWatchdog, stall: Nanoseconds,
    mayCancelMassQuotes: Bool
  ) {
    waker = link.makeWaker()
    self.link = link
    self.control = control
    self.telemetry = telemetry
    self.stall = stall
    self.mayCancelMassQuotes = mayCancelMassQuotes
  }

  /// Any thread.
  func stop() {
    stopWord.store(true, ordering: .relaxed)
    waker.wake()
  }

  func run() {
    lastTurn = EngineClock.now()
    // Only when the lane's session stands: two logins at once could overtake one another at the venue, which wants
    // their times to rise.
    link.isWanted = false
    while !stopWord.load(ordering: .relaxed) {
      link.turn(wait: isTripped ? 2_000_000 : min(stall / 4, 50_000_000))
      let now = EngineClock.now()
      judge(now)
      if isTripped { pull(now) }
      show(now)
    }
  }

  private func judge(_ now: Nanoseconds) {
    if now - lastTurn > stall / 2 { notBefore = now + stall }
    lastTurn = now
    let beat = control.lastBeat
    if beat != 0 { link.isWanted = true }
    let hasStalled = beat != 0 && now - beat > stall && now >= notBefore
    let asked = telemetry.requestedStop
    if asked >= .cancelAll, beat != 0, control.obeyedLevel < asked {
      ignoredSince = ignoredSince ?? now
    } else {
      ignoredSince = nil
    }
    let isIgnored = ignoredSince.map { now - $0 > stall } ?? false
    if hasStalled || isIgnored {
      if !isTripped { trip(now) }
    } else if isTripped, beat == 0 || now - beat < stall / 2 {
      // The lane lives; the rest is its own: the latch makes it cancel and verify.
      isTripped = false
    }
  }

  private func trip(_ now: Nanoseconds) {
    isTripped = true
    rounds = 0
    nextAsk = now
    view.trip_count += 1
    view.tripped_ns = now
    view.flat_ns = 0
    control.requestHalt(.cancelAll, .watchdog)
  }

  private func pull(_ now: Nanoseconds) {
    if let resting = link.takeAnswer() {
      view.orders_left = UInt32(clamping: resting.count)
      if resting.isEmpty {
        if view.flat_ns == 0 { view.flat_ns = now }
        // A request of the lane may still be on its way.
        nextAsk = now + stall
      } else {
        view.flat_ns = 0
        rounds += 1
        for order in resting.prefix(link.pace.cancels) { link.cancel(order) }
        if rounds > 2, mayCancelMassQuotes { link.cancelMassQuotes() }
        nextAsk = now + link.pace.interval
      }
    }
    guard now >= nextAsk, link.askForOrders() else { return }
    nextAsk = now + link.pace.interval
  }

  private func show(_ now: Nanoseconds) {
    view.state =
      isTripped ? (view.flat_ns != 0 ? 4 : 3) : link.isReady ? 2 : 1
    view.answered_ns = now
    telemetry.show(&view)
  }
}
