import CSupport
import Glibc
import Synchronization

/// The engine's helper thread: journal segments, the clock's fit, what is latched, and who asks for other parameters.
final class HelperWork: @unchecked Sendable {
  // Sendable: made before the thread starts; what it holds is touched by that thread alone until it has been joined.
  private let keepers: [JournalKeeper]
  private let latches: [LatchKeeper]
  private let parameters: ParameterDesk
  private let stopWord = Atomic<Bool>(false)

  init(lanes: [EngineLane], latches: [LatchKeeper], parameters: ParameterDesk) {
    keepers = lanes.compactMap(\.keeper)
    self.latches = latches
    self.parameters = parameters
  }

  func stop() { stopWord.store(true, ordering: .relaxed) }

  func run() {
    var turn = 0
    while !stopWord.load(ordering: .relaxed) {
      let now = EngineClock.now()
      for keeper in keepers { keeper.turn(now: now) }
      parameters.turn(now: now)
      if turn % 500 == 0 { EngineClock.refit() }
      if turn % 25 == 0 { for latch in latches { latch.turn() } }
      turn += 1
      usleep(2000)
    }
  }
}
