import CSupport

/// The manager's ends of the rings to one lane.
final class ManagerLink {
  fileprivate var updates: RingConsumer
  fileprivate var tops: RingConsumer?
  fileprivate var directives: RingProducer
  fileprivate let waker: DriverWaker?
  fileprivate let control: LaneControl
  fileprivate var rearmings: UInt32 = 0
  /// What the ring has no room for.
  fileprivate private(set) var pending: [DirectiveMessage] = []

  /// - Parameters:
  ///   - tops: `nil` if the manager wants no prices.
  ///   - waker: Of the lane's driver, if the lane may be asleep when a directive comes.
  init(
    updates: consuming RingConsumer, tops: consuming RingConsumer? = .none, directives: consuming RingProducer,
    waker: DriverWaker?, control: LaneControl
  ) {
    self.updates = updates
    self.tops = tops
    self.directives = directives
    self.waker = waker
    self.control = control
  }

  /// A lane that does not read hears the latest of each instrument when it does: what is lasting takes the place of what was
  /// to be told before. Orders and halts are kept as they are.
  fileprivate func tell(_ message: DirectiveMessage) {
    let isLasting = { (message: DirectiveMessage) in !message.isHedge && message.haltLevel == 0 }
    if isLasting(message), let place = pending.lastIndex(where: { $0.instrument == message.instrument }),
      isLasting(pending[place])
    {
      pending[place] = message
    } else {
      pending.append(message)
    }
  }

  /// Hands over as much as fits.
  fileprivate func flush() {
    guard !pending.isEmpty else { return }
    let count = pending.prefix { directives.push($0) }.count
    pending.removeFirst(count)
    waker?.wake()
  }
}

/// The strategy manager with its rings. One thread; a lane that does not read holds up nobody else.
final class ManagerWork {
  private var manager: StrategyManager
  private let lanes: [ManagerLink]
  private var nextPlanAt = Nanoseconds.min

  /// Between two looks at everything but prices.
  static let planInterval: Nanoseconds = 10_000_000

  init(manager: StrategyManager, lanes: [ManagerLink]) {
    self.manager = manager
    self.lanes = lanes
  }

  /// Between two turns; there are no prices to wait for without a fair value.
  var interval: Nanoseconds {
    manager.settings.underlyings.contains { $0.fair != nil } ? LaneTops.interval : Self.planInterval
  }

  /// `now` never falls. Prices in each turn, the rest every ten milliseconds.
  func turn(now: Nanoseconds) {
    for (index, lane) in lanes.enumerated() {
      while let update = lane.updates.pop(as: LaneUpdate.self) { manager.note(update, lane: index, now: now) }
      if lane.tops != nil {
        while let top = lane.tops!.pop(as: LaneTop.self) { manager.note(top, lane: index) }
      }
    }
    for (lane, message) in manager.prices(now: now) { lanes[lane].tell(message) }
    if now >= nextPlanAt { plan(now) }
    for lane in lanes { lane.flush() }
  }

  var positions: [EngineReport.Underlying] {
    manager.settings.underlyings.indices.map {
      EngineReport.Underlying(name: manager.settings.underlyings[$0].name, positionE8: manager.position($0))
    }
  }

  private func plan(_ now: Nanoseconds) {
    nextPlanAt = now + Self.planInterval
    var isAll = manager.decide()
    // A lane was re-armed by hand: what was met counts anew.
    for lane in lanes where lane.control.rearmings != lane.rearmings {
      lane.rearmings = lane.control.rearmings
      isAll = true
      manager.rearm()
    }
    for (lane, message) in manager.messages(isAll: isAll, now: now) { lanes[lane].tell(message) }
  }
}
