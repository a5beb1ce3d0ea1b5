import Glibc
import Synchronization

/// The strategy manager's own thread: it neither reads nor writes files, so that nothing but the scheduler delays it.
final class ManagerThread: @unchecked Sendable {
  // Sendable: made before the thread starts; the work is touched by that thread alone until it has been joined.
  private let work: ManagerWork
  private let stopWord = Atomic<Bool>(false)
  private var thread: EngineThread?

  init(_ work: ManagerWork) { self.work = work }

  func start() throws(SystemError) { thread = try EngineThread(name: "apus-manager") { [self] in run() } }

  /// Ends the thread and waits for it.
  func stop() {
    stopWord.store(true, ordering: .relaxed)
    thread?.join()
    thread = nil
  }

  /// Once the manager and the lanes have ended: what is held of each underlying over all venues, by what the lanes have told.
  func finalPositions() -> [EngineReport.Underlying] {
    work.turn(now: EngineClock.now())
    return work.positions
  }

  private func run() {
    let pause = useconds_t(work.interval / 1000)
    while !stopWord.load(ordering: .relaxed) {
      work.turn(now: EngineClock.now())
      usleep(pause)
    }
  }
}
