import CSupport
import Glibc
import Synchronization

/// The engine's helper thread: journal segments, the clock's fit, and what is latched.
final class HelperWork: @unchecked Sendable {
  // Sendable: made before the thread starts; what it holds is touched by that thread alone until it has been joined.
  private let keepers: [JournalKeeper]
  private let latches: [LatchKeeper]
  private let stopWord = Atomic<Bool>(false)

  init(lanes: [EngineLane], latches: [LatchKeeper]) {
    keepers = lanes.compactMap(\.keeper)
    self.latches = latches
  }

  func stop() { stopWord.store(true, ordering: .relaxed) }

  func run() {
    var turn = 0
    while !stopWord.load(ordering: .relaxed) {
      let now = EngineClock.now()
      for keeper in keepers { keeper.turn(now: now) }
      if turn % 500 == 0 { EngineClock.refit() }
      if turn % 25 == 0 { for latch in latches { latch.turn() } }
      turn += 1
      usleep(2000)
    }
  }
}
