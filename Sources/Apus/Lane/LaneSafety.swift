import CSupport

/// The kill ladder and the safety rules of one lane: who may quote, how wide, and why not.
///
/// The lane asks it before it sends; its timers and its fills feed it. One thread; nothing is allocated after `init`.
struct LaneSafety: ~Copyable {
  let settings: SafetySettings
  var ladder = KillLadder()
  /// What changes in place is reached by `pointee`: of a subscript here Swift 6.3.1 makes a broken module under the thread
  /// sanitizer.
  let instruments: UnsafeMutablePointer<InstrumentSafety>
  let instrumentCount: Int
  /// Times of the last fills, `toxicFills` a side of each instrument.
  private let fillTimes: UnsafeMutablePointer<Nanoseconds>
  private let fillCapacity: Int

  /// Lane time plus this is our wall clock; `nil` where there is none, as in a benchmark.
  var wallOffset: Nanoseconds?
  var clock = ClockOffset()
  /// The clocks were seen to agree at least once: before that nothing is quoted.
  var isClockProven = false
  /// They do not, and nothing has been quoted: the start is refused.
  var isClockRefused = false

  /// Profit at the start or at the last re-arming; `nil` before the first look.
  var profitBase: MoneyE8?
  var profitPeak: MoneyE8 = 0
  var nextProfitAt: Nanoseconds = 0

  /// Quoting waits until then because the venue was slow.
  var slowUntil = LaneSession.never

  /// When each instrument of the plan may send its next order, and since when the level is in force.
  var flattenAt: Nanoseconds = 0
  var haltedAt: Nanoseconds = 0
  /// When the venue last confirmed that nothing of ours rests, since the halt; 0: not yet.
  var verifiedAt: Nanoseconds = 0
  /// Times that a rule pulled an instrument's quotes for a while.
  var pauseCount = 0
  /// Re-armings carried out, by the count in the stop word, and the stop word's level as last read.
  var rearmCount: UInt32 = 0
  var obeyedLevel = StopLevel.none
  /// Re-armings of this life, whoever asked for them.
  var rearmings: UInt32 = 0
  /// Rises with everything that other processes should hear of at once.
  var changeCount = 0

  private static let largestFillCount = 256

  init(settings: SafetySettings, instrumentCount: Int) {
    self.settings = settings
    self.instrumentCount = instrumentCount
    instruments = .allocate(capacity: instrumentCount)
    instruments.initialize(repeating: InstrumentSafety(), count: instrumentCount)
    fillCapacity = min(max(settings.toxicFills, 0), Self.largestFillCount)
    fillTimes = .allocate(capacity: max(1, 2 * instrumentCount * fillCapacity))
    fillTimes.initialize(repeating: LaneSession.never, count: max(1, 2 * instrumentCount * fillCapacity))
  }

  deinit {
    instruments.deallocate()
    fillTimes.deallocate()
  }

  // MARK: - What the lane asks

  /// Why an instrument must not be quoted; `.none` if nothing here is against it.
  @inline(__always)
  mutating func block(_ instrument: InstrumentIndex) -> QuotingBlock {
    if ladder.level >= .cancelAll || isClockRefused { return laneBlock() }
    return instruments[Int(instrument)].block
  }

  @inline(never)
  private mutating func laneBlock() -> QuotingBlock {
    if isClockRefused { return .clockOff }
    return ladder.latchedLevel >= .cancelAll ? .halted : .slowVenue
  }

  /// The manager's directive, and wider still if the ladder says so.
  mutating func widened(_ directive: Directive) -> Directive {
    guard ladder.level >= .widen else { return directive }
    var wider = directive
    wider.widenPermille = max(directive.widenPermille, settings.widenPermille)
    return wider
  }

  /// Whether an insert or amend may leave now: `nil` if so, else why not.
  ///
  /// - Parameter isNew: an insert, or an amend to a larger size.
  @inline(__always)
  mutating func admit(isNew: Bool, _ instrument: InstrumentIndex, _ now: Nanoseconds) -> QuotingBlock? {
    if isNew, ladder.level >= .noNewOrders { return .noNewOrders }
    guard settings.messagesPerMinute > 0 else { return nil }
    // A bucket that holds a minute's worth and fills again within a minute, as the time at which it is full.
    let step = 60_000_000_000 / Nanoseconds(settings.messagesPerMinute)
    let full = max(instruments[Int(instrument)].churnFullAt, now)
    guard full - now <= 60_000_000_000 - step else { return .churn }
    return nil
  }

  /// An insert or amend has left.
  @inline(__always)
  mutating func sent(_ instrument: InstrumentIndex, _ now: Nanoseconds) {
    (instruments + Int(instrument)).pointee.messagesSinceFill += 1
    guard settings.messagesPerMinute > 0 else { return }
    let step = 60_000_000_000 / Nanoseconds(settings.messagesPerMinute)
    instruments[Int(instrument)].churnFullAt = max(instruments[Int(instrument)].churnFullAt, now) + step
  }

  /// When an instrument that has used up its minute may send again.
  mutating func churnReadyAt(_ instrument: InstrumentIndex) -> Nanoseconds {
    guard settings.messagesPerMinute > 0 else { return 0 }
    return instruments[Int(instrument)].churnFullAt - 60_000_000_000
      + 60_000_000_000 / Nanoseconds(settings.messagesPerMinute)
  }

  // MARK: - What it is told

  /// An execution was booked, at this mark.
  mutating func noteFill(_ instrument: Int, isBuy: Bool, markE8: Int64, now: Nanoseconds) {
    guard instrument < instrumentCount else { return }
    instruments[instrument].messagesSinceFill = 0
    (instruments + instrument).pointee.lastFill(isBuy: isBuy, at: now, markE8: markE8)
    guard fillCapacity > 0 else { return }
    let times = fillTimes + (2 * instrument + (isBuy ? 0 : 1)) * fillCapacity
    let count = instruments[instrument].fillCount(isBuy: isBuy)
    // The one that this fill takes the place of was `fillCapacity` fills ago: with this one they are one more.
    let oldest = times[(count + 1) % fillCapacity]
    times[count % fillCapacity] = now
    (instruments + instrument).pointee.countFill(isBuy: isBuy)
    let first = fillCapacity == 1 ? now : oldest
    if now - first <= settings.toxicWindow { pause(instrument, .toxicFlow, until: now + settings.toxicPause) }
  }

  mutating func pause(_ instrument: Int, _ block: QuotingBlock, until: Nanoseconds) {
    if until > instruments[instrument].pausedUntil, instruments[instrument].pauseBlock != block {
      pauseCount += 1
      changeCount += 1
    }
    instruments[instrument].pausedUntil = max(instruments[instrument].pausedUntil, until)
    instruments[instrument].pauseBlock = block
    instruments[instrument].block = block
  }

  mutating func endPauses() {
    for index in 0..<instrumentCount {
      instruments[index].pausedUntil = LaneSession.never
      instruments[index].churnFullAt = 0
      instruments[index].messagesSinceFill = 0
    }
    slowUntil = LaneSession.never
  }
}

/// What the safety rules know of one instrument.
struct InstrumentSafety {
  /// Why it must not be quoted now.
  var block = QuotingBlock.none
  /// The directive as the manager gave it, before the ladder widens it.
  var directive = Directive()
  /// Of the last message of the manager that was obeyed.
  var serial: UInt32 = 0
  /// The client id of the last order that the manager has asked for; 0 before the first.
  var hedgeOrder: UInt64 = 0
  var pausedUntil = LaneSession.never
  var pauseBlock = QuotingBlock.none
  /// When the bucket of the minute's messages is full again.
  var churnFullAt: Nanoseconds = 0
  var messagesSinceFill = 0
  /// The last index and the last time of a mark, and since when they are these.
  var indexE8: Int64 = 0
  var indexSince: Nanoseconds = 0
  var markTime: Nanoseconds = 0
  var markSince: Nanoseconds = 0
  private var buys = FillMemory()
  private var sells = FillMemory()

  private struct FillMemory {
    var count = 0
    var at = LaneSession.never
    var markE8: Int64 = 0
  }

  func fillCount(isBuy: Bool) -> Int { isBuy ? buys.count : sells.count }
  mutating func countFill(isBuy: Bool) { if isBuy { buys.count += 1 } else { sells.count += 1 } }

  mutating func lastFill(isBuy: Bool, at now: Nanoseconds, markE8: Int64) {
    if isBuy {
      buys.at = now
      buys.markE8 = markE8
    } else {
      sells.at = now
      sells.markE8 = markE8
    }
  }

  /// Whether the mark has moved by so much against a fill that is no older than `window`.
  func hasMovedAgainst(markE8: Int64, centiBps: Int64, within window: Nanoseconds, now: Nanoseconds) -> Bool {
    func exceeds(_ loss: Int64, _ base: Int64) -> Bool { base > 0 && loss > base / 1_000_000 * centiBps }
    if now - buys.at <= window, exceeds(buys.markE8 - markE8, buys.markE8) { return true }
    return now - sells.at <= window && exceeds(markE8 - sells.markE8, sells.markE8)
  }
}

/// How long the venue takes to answer requests about orders (R16).
struct AnswerTimes {
  /// Exponential average with weight 1/8, nanoseconds.
  private(set) var smoothed: Nanoseconds = 0
  private(set) var count = 0
  /// Where all times are shown; memory of the telemetry file, mapped as long as the lane runs.
  var span: UnsafeMutablePointer<apus_histogram>?

  @inline(__always)
  mutating func note(_ time: Nanoseconds) {
    count += 1
    if let span { LatencyHistogram.record(time, in: span) }
    smoothed += (time - smoothed) / 8
  }

  mutating func forget() { smoothed = 0 }
}
