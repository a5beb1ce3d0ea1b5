import Apus
import ArgumentParser
import CSupport
import Foundation

struct BenchCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "bench",
    abstract: "Measure the engine on this machine, in memory.",
    discussion: "The microbenchmarks beside other libraries are a program of their own: tools/bench.",
    subcommands: [Guide.self, Budget.self, Scale.self])

  struct Guide: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Print the table of the guide that the engine follows, with our column and the ratios.",
      discussion: """
        Each row is timed now, in this process, warm, in memory, on one core: no network, no TLS, no kernel; but for the \
        row over sockets, which starts three simulated venues and an engine. Beside it \
        stand the guide's own figures, before and after its improvements, and those of the Python original, measured \
        earlier on this kind of machine. Wanted is a hundred times the Python original in each row. A busy machine \
        makes the figures worse: close everything else.

        Exit codes: 0 the table was printed, whatever it says; 64 for wrong arguments; 70 if a row did something else \
        than it says, so that its figure would mean nothing; 71 if the operating system refuses something.
        """)

    @Option(
      help: ArgumentHelp(
        "About how long to measure, 0.1 to 600 seconds, and as long over sockets, 4 at least; preparing takes a few more.",
        valueName: "n"))
    var seconds = 6.0

    @Option(
      help: ArgumentHelp(
        "Also write the rows as a JSON array: row, unit, ours, target, met, peers, conditions.", valueName: "file"),
      completion: .file())
    var json: String?

    @Flag(help: "Tell for each row how it was measured, too.")
    var explain = false

    func validate() throws {
      guard seconds >= 0.1, seconds <= 600 else { throw ValidationError("--seconds must be from 0.1 to 600") }
    }

    func run() throws {
      EngineClock.start()
      let sockets = GuideSockets(seconds: max(4, seconds))
      let machine = BenchMachine.settle()
      var figures: [GuideRow.Key: GuideFigure]
      do {
        figures = try GuideMeasurement.run(seconds: seconds)
        figures[.multiVenueSockets] = try sockets.measure()
      } catch let failure as BenchFailure {
        throw Exit.fail(ExitCode(EX_SOFTWARE), "a row did not do what it says: \(failure)")
      } catch {
        throw Exit.fail(Exit.system, "\(error)")
      }
      let table = GuideTable(figures: figures, machine: machine)
      if let json {
        do {
          try writeFile(Array(table.json()), to: json, mode: 0o644)
        } catch {
          throw Exit.fail(Exit.system, "\(error)")
        }
      }
      say(table.text(explain: explain))
    }
  }
}

/// Where the measurement runs, on one line.
enum BenchMachine {
  /// Pins the calling thread to the last core that it may use, and tells about the machine.
  static func settle() -> String {
    let allowed = (try? CPU.allowedCores()) ?? []
    // The last one: interrupts gather on the first.
    var place = "not pinned"
    if let core = allowed.last, (try? CPU.pinCurrentThread(to: core)) != nil { place = "pinned to core \(core)" }
    var facts = HostFacts()
    apus_host_read(UInt32(clamping: allowed.last ?? 0), &facts)
    let info = (try? String(contentsOfFile: "/proc/cpuinfo", encoding: .utf8)) ?? ""
    let model =
      info.split(separator: "\n").first { $0.hasPrefix("model name") }?.split(separator: ":", maxSplits: 1).last
      .map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor"
    let load = ((try? String(contentsOfFile: "/proc/loadavg", encoding: .utf8)) ?? "").split(separator: " ").first
    let release = withUnsafeBytes(of: facts.release) { String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self) }
    let isVirtual = info.contains(" hypervisor")
    let busy = load.flatMap { Double($0) }.map { $0 > 1.5 } ?? false
    return "\(model), \(ProcessInfo.processInfo.processorCount) cores\(isVirtual ? ", virtual machine" : ""), "
      + "kernel \(release), \(place), load average \(load ?? "unknown")"
      + (busy ? ": OTHER WORK ON THE MACHINE, trust ratios only" : "")
  }
}
