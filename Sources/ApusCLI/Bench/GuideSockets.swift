import Apus
import Foundation

/// Three simulated venues and an engine that quotes on all of them at once, over sockets: `apus demo`, without a limit of
/// messages that matters and with a market at ten times its pace.
final class GuideSockets: @unchecked Sendable {
  // Sendable: the result is written before `isDone` is signalled, and read after that.
  private let isWanted = DispatchSemaphore(value: 0)
  private let isDone = DispatchSemaphore(value: 0)
  private var result: Result<GuideFigure, any Error>?

  /// To be made before the calling thread is pinned: processes that a pinned thread starts stay on its core.
  ///
  /// - Parameter seconds: of quoting; starting and stopping take a few more.
  init(seconds: Double) {
    Thread.detachNewThread { [self] in
      isWanted.wait()
      result = Result { try Self.measure(seconds: seconds) }
      isDone.signal()
    }
  }

  /// - Throws: `BenchFailure` if the run was not clean: then its rate says nothing.
  func measure() throws -> GuideFigure? {
    isWanted.signal()
    isDone.wait()
    return try result?.get()
  }

  private static func measure(seconds: Double) throws -> GuideFigure {
    let room = try WorkingDirectory.make(nil, prefix: "apus-bench")
    defer { try? FileManager.default.removeItem(atPath: room) }
    let path = "\(room)/report.json"
    let demo = try ChildProcess(
      "the demo",
      arguments: [
        "demo", "--venues", "thalex,bybit,deribit", "--seconds", "\(seconds)", "--speed", "10", "--order-rate",
        "100000",
        "--report", path,
      ])
    demo.watchOutput()
    let code = demo.wait(seconds: seconds + 60)
    guard code == 0, let data = FileManager.default.contents(atPath: path),
      let report = try? JSONDecoder().decode(DemoReport.self, from: data)
    else { throw BenchFailure("the demo on three venues ended with exit code \(code)") }
    guard report.rateViolations == 0, report.limitBreaches == 0 else {
      throw BenchFailure("the demo on three venues passed a limit")
    }
    let orders = report.engine.inserts + report.engine.amends
    let cores = (try? CPU.allowedCores())?.count ?? 1
    return GuideFigure(
      value: Double(orders) / max(report.engine.seconds, 1e-9),
      conditions: "\(orders) orders and amends in \(String(format: "%.1f", report.engine.seconds)) s, "
        + "\(report.fills) fills; engine and venues on \(cores) core\(cores == 1 ? "" : "s")")
  }
}
