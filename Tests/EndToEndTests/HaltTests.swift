import Apus
import CSupport
import Foundation
import Synchronization
import Testing

/// `apus halt`, `apus resume` and `apus drill`: other processes against a running engine.
@Suite(.serialized) struct HaltTests {
  private func engine(_ stage: RunTests.Stage) throws -> Program {
    let engine = try Program("apus", ["run", "--config", stage.configuration()])
    #expect(engine.waitFor("quoting"))
    #expect(waitForOrders(stage, true))
    return engine
  }

  private func lane(_ stage: RunTests.Stage) -> LaneSnapshot? {
    (try? TelemetryReader(path: stage.room.file("data/telemetry")))?.snapshot().lanes.first
  }

  /// Whether orders rest, by the engine's own account.
  private func waitForOrders(_ stage: RunTests.Stage, _ wanted: Bool, seconds: Double = 20) -> Bool {
    let deadline = Date().addingTimeInterval(seconds)
    while Date() < deadline {
      if let lane = lane(stage), (lane[.ordersLive] > 0) == wanted { return true }
      usleep(20_000)
    }
    if let lane = lane(stage) {
      Issue.record("\(lane.state.map { "\($0)" } ?? "-") \(lane.cause) \(String(describing: lane.halt))")
    }
    return false
  }

  private func halt(_ stage: RunTests.Stage, _ options: [String], _ code: Int32 = 0) throws -> String {
    let halt = try Program("apus", ["halt", "--telemetry", stage.room.file("data/telemetry")] + options)
    #expect(halt.wait(seconds: 40) == code, "\(halt.out)\(halt.err)")
    return halt.out + halt.err
  }

  private func resume(_ stage: RunTests.Stage, _ code: Int32 = 0) throws -> String {
    let resume = try Program("apus", ["resume", "--telemetry", stage.room.file("data/telemetry")])
    #expect(resume.wait(seconds: 20) == code, "\(resume.out)\(resume.err)")
    return resume.out + resume.err
  }

  @Test func `R52 R53 every level is reached from another process, verified, and taken back by hand`() throws {
    let stage = try RunTests.Stage()
    let engine = try engine(stage)
    #expect(try halt(stage, ["--level", "widen"]).contains("widened"))
    #expect(try halt(stage, ["--level", "no-new"]).contains("no new orders"))
    #expect(try halt(stage, []).contains("the venue confirms that no order of ours is left"))
    #expect(waitForOrders(stage, false))
    #expect(lane(stage)?.halt?.latchedLevel == .cancelAll)
    // A lower level does not take a higher one back.
    #expect(try halt(stage, ["--level", "widen"]).contains("no order of ours is left"))
    #expect(lane(stage)?.halt?.latchedLevel == .cancelAll)
    #expect(try resume(stage).contains("re-armed; no level is in force"))
    #expect(waitForOrders(stage, true))
    let refused = try halt(stage, ["--level", "flatten"], 1)
    #expect(refused.contains("--yes") && lane(stage)?.halt?.level == StopLevel.none)
    #expect(try halt(stage, ["--level", "flatten", "--yes"]).contains("no order of ours is left, and no position"))
    _ = try resume(stage)
    #expect(waitForOrders(stage, true))
    #expect(try halt(stage, ["--level", "disconnect"]).contains("disconnected"))
    #expect(try resume(stage).contains("re-armed"))
    #expect(waitForOrders(stage, true))
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)")
    try stage.expectNothingLeft()
  }

  @Test func `R52 SIGUSR1 allows no new orders, SIGUSR2 cancels all, and the engine runs on`() throws {
    let stage = try RunTests.Stage()
    let engine = try engine(stage)
    func wait(_ level: StopLevel) -> Bool {
      let deadline = Date().addingTimeInterval(10)
      while Date() < deadline, lane(stage)?.halt?.level != level { usleep(20_000) }
      return lane(stage)?.halt?.level == level
    }
    engine.signal(SIGUSR1)
    #expect(wait(.noNewOrders))
    engine.signal(SIGUSR2)
    #expect(wait(.cancelAll))
    #expect(waitForOrders(stage, false))
    #expect(lane(stage)?.halt?.cause == "a signal (cancel)")
    #expect(try resume(stage).contains("a signal"))
    #expect(waitForOrders(stage, true))
    // Once more: the re-arming has not used the signal up.
    engine.signal(SIGUSR2)
    #expect(wait(.cancelAll))
    #expect(engine.isRunning)
    // As `timeout` does it, to the process and then to its group: one wish.
    engine.signal(SIGINT)
    engine.signal(SIGINT)
    #expect(engine.wait() == 0, "\(engine.err)")
    try stage.expectNothingLeft()
  }

  @Test func `R10 R53 a halt outlives kill -9, and the next start says so and sends nothing until it is re-armed`()
    throws
  {
    let stage = try RunTests.Stage()
    let first = try engine(stage)
    _ = try halt(stage, [])
    first.signal(SIGKILL)
    _ = first.wait()
    #expect(try halt(stage, [], 69).contains("kept"))
    let second = try Program("apus", ["run", "--config", stage.configuration()])
    #expect(second.waitFor("halted since before this start"))
    usleep(3_000_000)
    let seen = try #require(self.lane(stage))
    #expect(seen[.inserts] == 0 && seen.halt?.level == .cancelAll)
    _ = try resume(stage)
    #expect(waitForOrders(stage, true))
    second.signal(SIGTERM)
    #expect(second.wait() == 0, "\(second.err)")
    try stage.expectNothingLeft()
  }

  @Test func `R10 a latch of the engine itself outlives kill -9 too`() throws {
    let stage = try RunTests.Stage()
    let first = try engine(stage)
    first.signal(SIGUSR2)
    #expect(waitForOrders(stage, false))
    // The helper writes it down within some dozen milliseconds.
    usleep(500_000)
    first.signal(SIGKILL)
    _ = first.wait()
    let second = try Program("apus", ["run", "--config", stage.configuration()])
    #expect(second.waitFor("halted since before this start: all orders cancelled"))
    usleep(2_000_000)
    #expect(lane(stage)?[.inserts] == 0)
    _ = try resume(stage)
    #expect(waitForOrders(stage, true))
    second.signal(SIGTERM)
    #expect(second.wait() == 0, "\(second.err)")
    try stage.expectNothingLeft()
  }

  @Test func `R14 R35 the watchdog cancels the stalled engine's orders and leaves those of another one alone`() throws {
    let stage = try RunTests.Stage()
    let other = try Program(
      "apus", ["run", "--config", stage.configuration(data: "other-data", name: "other")])
    #expect(other.waitFor("quoting"))
    let path = try stage.configuration()
    let configuration = try ConfigurationFile.load(path: path)
    let engine = Engine(configuration)
    let ended = DispatchSemaphore(value: 0)
    let verified = Mutex(false)
    Thread.detachNewThread {
      let report = try? engine.run()
      verified.withLock { $0 = report?.isStopVerified ?? false }
      ended.signal()
    }
    let ours = try VenueObserver(configuration)
    let theirs = try VenueObserver(ConfigurationFile.load(path: stage.room.file("other.yaml")))
    func wait(_ observer: VenueObserver, seconds: Double, until good: (Int) -> Bool) -> Bool {
      let deadline = Date().addingTimeInterval(seconds)
      while Date() < deadline {
        if let count = observer.resting(within: 1), good(count) { return true }
        usleep(5000)
      }
      return false
    }
    #expect(wait(ours, seconds: 20) { $0 >= 2 })
    #expect(wait(theirs, seconds: 20) { $0 >= 2 })
    let deadline = Date().addingTimeInterval(10)
    while Date() < deadline, lane(stage)?.watchdog?.state != .watching { usleep(10_000) }
    engine.stallLane(seconds: 4)
    #expect(wait(ours, seconds: 3.5) { $0 == 0 }, "the watchdog, not the lane: that one still sleeps")
    #expect(lane(stage)?.watchdog?.trips == 1)
    // It asks once more by itself before it says so.
    let soon = Date().addingTimeInterval(2)
    while Date() < soon, lane(stage)?.watchdog?.flatAt == nil { usleep(5000) }
    #expect(lane(stage)?.watchdog?.flatAt != nil)
    #expect(wait(theirs, seconds: 5) { $0 >= 2 }, "orders of others are not ours to cancel")
    // The lane wakes up into the latch, and sends nothing new.
    let later = Date().addingTimeInterval(10)
    while Date() < later, lane(stage)?.halt?.outcome != .verified { usleep(10_000) }
    #expect(lane(stage)?.halt?.cause.contains("the watchdog (cancel)") == true)
    engine.resume()
    #expect(wait(ours, seconds: 10) { $0 >= 2 })
    engine.requestStop()
    ended.wait()
    #expect(verified.withLock { $0 })
    other.signal(SIGTERM)
    #expect(other.wait() == 0, "\(other.err)")
    try stage.expectNothingLeft()
  }

  @Test func `R35 R53 an engine that stands still is named as silent, and obeys when it moves again`() throws {
    let stage = try RunTests.Stage()
    let engine = try engine(stage)
    engine.signal(SIGSTOP)
    #expect(try halt(stage, ["--wait", "4"], 69).contains("does not answer"))
    engine.signal(SIGCONT)
    #expect(waitForOrders(stage, false))
    #expect(try halt(stage, []).contains("no order of ours is left"))
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)")
    try stage.expectNothingLeft()
  }

  @Test func `R15 R35 the drill finds the book flat after the lane and after the whole process was stopped`() throws {
    let drill = try Program("apus", ["drill", "--lane-rounds", "3", "--process-rounds", "1"])
    #expect(drill.wait(seconds: 120) == 0, "\(drill.out)\(drill.err)")
    #expect(drill.out.contains("3 of 3 rounds ended flat"), "\(drill.out)")
    #expect(drill.out.contains("1 of 1 rounds ended flat"), "\(drill.out)")
  }
}
