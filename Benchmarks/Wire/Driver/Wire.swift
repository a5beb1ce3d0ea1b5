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
    if CommandLine.arguments.contains("--mem") {
      for n in [1, 8, 64, 512] {
        do {
        let script = try LaneScript(instruments: n, ticks: 20000)
        for l in [1, 2, 4] {
          let o = try MemoryLoad.run(script: script, lanes: l, cores: cores, schedule: .steady(perSecond: 20000, seconds: 0.5))
          print(n, l, "latency", [50, 99, 99.9, 99.99].map { microseconds(o.latency.percentile($0)) }, microseconds(o.latency.max), "service", [50, 99, 99.9].map { microseconds(o.service.percentile($0)) }, o.lateShare)
        }
        } catch { print(n, error) }
      }
      let script = try LaneScript(instruments: 1, ticks: 60000)
      for s in [Schedule.steady(perSecond: 20000, seconds: 0.5), .steady(perSecond: 100000, seconds: 0.5), .bursts(perSecond: 50000, period: 20_000_000, seconds: 0.5)] {
          let o = try MemoryLoad.run(script: script, lanes: 1, cores: cores, schedule: s)
          print(s.name, s.due.count, "latency", [50, 99, 99.9, 99.99].map { microseconds(o.latency.percentile($0)) }, microseconds(o.latency.max), "service", [50, 99, 99.9].map { microseconds(o.service.percentile($0)) }, o.lateShare)
      }
      return
    }
    if CommandLine.arguments.contains("--sock") {
      for n in [1, 8, 64] {
        wire_pin(-1)
        let rig = try Rig(tls: tls, core: cores[1], directory: dir, instruments: n, followsMark: true)
        wire_pin(0)
        for s in [Schedule.steady(perSecond: 5000, seconds: 0.5), .steady(perSecond: 20000, seconds: 0.5), .bursts(perSecond: 20000, period: 50_000_000, seconds: 0.5)] {
          let o = try SocketLoad.run(rig: rig, schedule: s)
          print(n, s.name, s.due.count, "own", o.own.count, [50, 99, 99.9, 99.99].map { microseconds(o.own.percentile($0)) }, microseconds(o.own.max), "all", [50, 99, 99.9].map { microseconds(o.all.percentile($0)) }, "late", [50, 99, 99.9].map { microseconds(o.lateness.percentile($0)) }, o.unanswered, o.unmatched, o.conflatedShare, o.largestBacklog)
        }
        let r = try rig.end()
        print(r.unknownOrders, r.ordersLeft, r.isStopVerified, r.amends, rig.venue.counts)
      }
      return
    }
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
