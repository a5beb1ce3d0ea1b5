import CSupport

/// A stage of a tick on its way to an order's frame.
enum TickStage: UInt32, CaseIterable {
  case receive, decode, decide, risk, encode
}

/// Takes the time of a tick apart into its stages: of one turn in `interval` in which something came in.
///
/// A reading of the clock takes some ten nanoseconds, and a tick has six or more: reading it in each would be felt, in one of
/// sixteen it is not. In the others a stage's end is one look at a flag. One thread. Nothing that decides depends on it, and in
/// simulations and repetitions, where nobody begins a turn, it stays off.
struct StageTimes: ~Copyable, @unchecked Sendable {
  // Sendable: the memory is owned by it alone.
  static let interval = Int(APUS_TELEMETRY_STAGE_INTERVAL)
  private let clock: UnsafeMutablePointer<StageClock>

  init() {
    clock = .allocate(capacity: 1)
    clock.initialize(to: StageClock())
    clock.pointee.turns_left = 1
  }

  deinit { clock.deallocate() }

  /// This turn is timed.
  var isOn: Bool {
    @inline(__always) get { clock.pointee.is_on != 0 }
  }

  /// A turn begins in which something came in.
  @inline(__always)
  func begin(_ now: Nanoseconds) {
    clock.pointee.turns_left &-= 1
    if clock.pointee.turns_left == 0 { apus_stages_start(clock, now) }
  }

  /// What the turn has done since the last call belongs to `stage`.
  @inline(__always)
  func end(_ stage: TickStage) { apus_stages_end(clock, stage.rawValue) }

  /// The same, at a time that is known.
  func note(_ stage: TickStage, _ now: Nanoseconds) { apus_stages_note(clock, stage.rawValue, now) }

  /// The turn is over.
  @inline(__always)
  func finish() { clock.pointee.is_on = 0 }

  /// The time of a stage in the turn that is or was timed last, ns.
  subscript(stage: TickStage) -> Nanoseconds {
    switch stage {
    case .receive: clock.pointee.spent_ns.0
    case .decode: clock.pointee.spent_ns.1
    case .decide: clock.pointee.spent_ns.2
    case .risk: clock.pointee.spent_ns.3
    case .encode: clock.pointee.spent_ns.4
    }
  }
}
