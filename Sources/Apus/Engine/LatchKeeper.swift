import CSupport

/// Writes latches of the kill ladder into the stop word of the telemetry file, so that they outlive the process: who
/// starts the engine again finds it halted until it is re-armed. On the helper's thread; the lane knows nothing of it.
final class LatchKeeper {
  private let control: LaneControl
  private let path: String
  private var kept = StopLevel.none

  init(control: LaneControl, path: String) {
    self.control = control
    self.path = path
  }

  func turn() {
    let (latched, rearmCount) = control.latch
    guard latched != kept else { return }
    // A file that cannot be written keeps nothing; the latch itself holds.
    if latched > kept {
      TelemetryControl.keepLatch(path: path, level: latched, cause: "latched by the engine", rearmCount: rearmCount)
    }
    kept = latched
  }
}
