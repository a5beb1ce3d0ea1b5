import CSupport

/// The manager's ends of the rings to one lane.
final class ManagerLink {
  fileprivate var updates: RingConsumer
  fileprivate var directives: RingProducer
  fileprivate let waker: DriverWaker?
  fileprivate let control: LaneControl
  fileprivate var rearmings: UInt32 = 0
  fileprivate var pending: [DirectiveMessage] = []

  /// - Parameter waker: Of the lane's driver, if the lane may be asleep when a directive comes.
  init(
    updates: consuming RingConsumer, directives: consuming RingProducer, waker: DriverWaker?, control: LaneControl
  ) {
    self.updates = updates
    self.directives = directives
    self.waker = waker
    self.control = control
  }
}

/// The strategy manager with its rings. One thread; a lane that does not read holds up nobody else.
final class ManagerWork {
  private var manager: StrategyManager
  private let lanes: [ManagerLink]

  init(manager: StrategyManager, lanes: [ManagerLink]) {
    self.manager = manager
    self.lanes = lanes
  }

  func turn() {
    for (index, lane) in lanes.enumerated() {
      while let update = lane.updates.pop(as: LaneUpdate.self) { manager.note(update, lane: index) }
    }
    var isAll = manager.decide()
    // A lane was re-armed by hand: what was met counts anew.
    for lane in lanes where lane.control.rearmings != lane.rearmings {
      lane.rearmings = lane.control.rearmings
      isAll = true
      manager.rearm()
    }
    for (lane, message) in manager.messages(isAll: isAll) { lanes[lane].pending.append(message) }
    // A full ring keeps the rest for the next turn: a directive is never dropped.
    for lane in lanes where !lane.pending.isEmpty {
      while let message = lane.pending.first, lane.directives.push(message) { lane.pending.removeFirst() }
      lane.waker?.wake()
    }
  }
}
