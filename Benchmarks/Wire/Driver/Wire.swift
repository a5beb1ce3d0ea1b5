import Apus
import Foundation
import WireC

func print(_ a: Any...) { FileHandle.standardOutput.write(Data((a.map { "\($0)" }.joined(separator: " ") + "\n").utf8)) }
@main struct Wire {
  static func main() throws {
    if CommandLine.arguments.count == 3, CommandLine.arguments[1] == EngineProcess.argument {
      EngineProcess.run(CommandLine.arguments[2])
    }
    EngineClock.start()
    let cores = try CPU.allowedCores()
    let tls = CommandLine.arguments.contains("--tls")
    let dir = "/tmp/wire-dev"
    try FileManager.default.createDirectory(atPath: dir, withIntermediateDirectories: true)
    let rig = try Rig(tls: tls, core: cores[1], directory: dir)
    let bare = try BareEcho(tls: tls, core: cores[1], directory: dir, names: rig.names)
    let driver = try DriverEcho(tls: tls, core: cores[1], directory: dir, names: rig.names)
    try CPU.pinCurrentThread(to: cores[0])
    for (gap, count, rounds) in [(20_000 as Int64, 400, 30), (2_000_000, 100, 10)] {
      let outcome = try WireToWire(tls: tls, gap: gap, rounds: rounds, count: count).run(rig: rig, peers: [bare, driver])
      for (name, s) in [("ours", outcome.ours), ("bare", outcome.peers[0].samples), ("driver", outcome.peers[1].samples)] {
        print(name, gap, s.count, [50, 99, 99.9].map { microseconds(s.percentile($0)) }, microseconds(s.max))
      }
      for p in outcome.peers { print("ratio", median(p.p50Ratios), median(p.p99Ratios)) }
      print(outcome.tickBytes, outcome.orderBytes, outcome.acknowledgementBytes, outcome.gapsPerSecond, outcome.largestGap, outcome.cipher)
    }
    let report = try rig.end()
    print(report.amends, report.inserts, report.isStopVerified, report.rejects, report.tickToFrame, report.tickToOrder)
  }
}
