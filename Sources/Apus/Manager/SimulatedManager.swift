import CSupport

/// The strategy manager of one simulated lane, connected with it by the rings of a real engine.
///
/// The caller is the clock of both threads: it decides when the lane tells how it stands, when the manager has its turn,
/// and when the lane takes what it is asked. One thread. Deterministic.
public struct SimulatedManager: ~Copyable {
  private let work: ManagerWork
  private let control = LaneControl()
  private var updates: LaneTelemetry
  private var directives: RingConsumer
  /// Directives that the lane has taken.
  public private(set) var directiveCount = 0

  /// - Parameter instrumentNames: those of the lane's settings.
  public init(settings: ManagerSettings, instrumentNames: [String]) throws(SystemError) {
    let updates = try Ring(capacity: 64)
    let tops = try Ring(capacity: 64)
    let directives = try Ring(capacity: 64)
    self.directives = directives.consumer
    work = ManagerWork(
      manager: StrategyManager(settings: settings, instruments: [instrumentNames]),
      lanes: [
        ManagerLink(
          updates: updates.consumer, tops: .some(tops.consumer), directives: directives.producer, waker: nil,
          control: control)
      ])
    self.updates = LaneTelemetry(
      file: .none, lane: .none, instrumentNames: instrumentNames, updates: .some(updates.producer))
    let priced = Set(settings.underlyings.filter { $0.fair != nil }.map(\.name))
    self.updates.keep(
      LaneTops(
        ring: tops.producer,
        instruments: instrumentNames.indices.filter {
          priced.contains(Underlying.name(of: instrumentNames[$0])) && !Underlying.isOption(instrumentNames[$0])
        }.map { InstrumentIndex($0) }))
  }

  /// On the lane's thread, every 50 ms: how its instruments stand.
  public mutating func tell(_ lane: inout SimulatedLane, now: Nanoseconds) {
    while !updates.publish(&lane.lane, error: "", now: now) {}
  }

  /// On the lane's thread, in each turn: the prices that the manager wants to hear of.
  public mutating func tellTops(_ lane: inout SimulatedLane, now: Nanoseconds) {
    updates.tellTops(&lane.lane, now: now)
  }

  /// A turn of the manager's own thread.
  public mutating func turn(now: Nanoseconds) { work.turn(now: now) }

  /// On the lane's thread, in each turn: it does what it is asked.
  ///
  /// - Returns: whether there was anything.
  @discardableResult
  public mutating func direct(_ lane: inout SimulatedLane, now: Nanoseconds) -> Bool {
    var isAny = false
    while let message = directives.pop(as: DirectiveMessage.self) {
      lane.lane.take(message, now: now)
      directiveCount += 1
      isAny = true
    }
    return isAny
  }

  /// A person re-arms: what was latched is let go, and loss and drawdown count anew.
  public mutating func rearm(_ lane: inout SimulatedLane, now: Nanoseconds) {
    lane.lane.rearm(now: now)
    control.noteHalt(obeyed: .none, latched: .none, rearmCount: 0, rearmings: lane.lane.safety.rearmings)
  }
}
