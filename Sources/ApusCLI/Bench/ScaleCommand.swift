import Apus
import ArgumentParser
import CSupport
import Foundation

extension BenchCommand {
  struct Scale: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Measure how a tick's time grows with lanes and instruments, in simulation.",
      discussion: """
        Lanes in memory on one core, in turn, as they share a thread on a machine with too few cores: no network, no kernel, \
        no second thread. Each instrument of each lane gets a book message that moves all six of its quotes; timed is the \
        message to the masked frames of six amends, one by one. Orders per second count the venue's answers too. On cores of \
        their own lanes share nothing but the memory's bandwidth: multiply by them.

        Exit codes: 0; 64 for wrong arguments; 70 if a lane did something else than was recorded; 71 if the operating system \
        refuses something.
        """)

    @Option(help: ArgumentHelp("Numbers of lanes, 1 to 64, with commas.", valueName: "list"))
    var lanes = "1,2,4,8"

    @Option(help: ArgumentHelp("Numbers of instruments of a lane, 1 to 512, with commas.", valueName: "list"))
    var instruments = "1,16,128"

    @Option(help: ArgumentHelp("Seconds for each pair, 0.01 to 60.", valueName: "n"))
    var seconds = 0.5

    @Option(
      help: ArgumentHelp(
        "Also write the rows as a JSON array: lanes, instruments, p50_ns, p99_ns, orders_per_second, ticks.",
        valueName: "file"),
      completion: .file())
    var json: String?

    func validate() throws {
      guard seconds >= 0.01, seconds <= 60 else { throw ValidationError("--seconds must be from 0.01 to 60") }
      guard let lanes = Self.numbers(lanes), lanes.allSatisfy((1...64).contains) else {
        throw ValidationError("--lanes must be numbers from 1 to 64 with commas, for example 1,2,4")
      }
      guard let instruments = Self.numbers(instruments), instruments.allSatisfy((1...512).contains) else {
        throw ValidationError("--instruments must be numbers from 1 to 512 with commas, for example 1,16")
      }
    }

    private static func numbers(_ list: String) -> [Int]? {
      let numbers = list.split(separator: ",", omittingEmptySubsequences: false).map { Int($0) }
      return numbers.contains(nil) || numbers.isEmpty ? nil : numbers.compactMap { $0 }
    }

    struct Row: Encodable {
      var lanes: Int
      var instruments: Int
      var p50_ns: Nanoseconds
      var p99_ns: Nanoseconds
      var orders_per_second: Double
      var ticks: Int
    }

    func run() throws {
      EngineClock.start()
      let machine = BenchMachine.settle()
      var rows: [Row] = []
      do {
        for instruments in Self.numbers(instruments) ?? [] {
          let script = try MarketScript(instruments: instruments)
          for lanes in Self.numbers(lanes) ?? [] {
            rows.append(try Self.measure(script, lanes: lanes, for: Nanoseconds(seconds * 1e9)))
          }
        }
      } catch let failure as BenchFailure {
        throw Exit.fail(ExitCode(EX_SOFTWARE), "a lane did not do what was recorded: \(failure)")
      } catch {
        throw Exit.fail(Exit.system, "\(error)")
      }
      if let json {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys]
        do {
          try writeFile(Array(try encoder.encode(rows)), to: json, mode: 0o644)
        } catch {
          throw Exit.fail(Exit.system, "\(error)")
        }
      }
      say(machine)
      say("lanes  instruments   tick p50   tick p99     orders/s")
      for row in rows {
        say(
          String(
            format: "%5d %12d %7.2f µs %7.2f µs", row.lanes, row.instruments, Double(row.p50_ns) / 1e3,
            Double(row.p99_ns) / 1e3) + " " + Self.padded(Figures.grouped(UInt64(row.orders_per_second)), 12))
      }
    }

    private static func padded(_ text: String, _ width: Int) -> String {
      String(repeating: " ", count: max(0, width - text.count)) + text
    }

    private static func measure(_ script: MarketScript, lanes: Int, for time: Nanoseconds) throws -> Row {
      let players = try (0..<lanes).map { _ in try script.makePlayer() }
      var histogram = LatencyHistogram()
      var orders = 0
      func round() throws {
        for step in 0..<players[0].stepCount {
          for player in players {
            histogram.record(try player.tick(step))
            player.answer(step)
            orders += 2 * MarketScript.levels
          }
        }
        for player in players { player.again() }
      }
      // Orders as they were inserted, and cold caches.
      try round()
      histogram.reset()
      orders = 0
      let start = EngineClock.now()
      repeat { try round() } while EngineClock.now() - start < time
      return Row(
        lanes: lanes, instruments: script.instruments, p50_ns: histogram.percentile(50),
        p99_ns: histogram.percentile(99),
        orders_per_second: Double(orders) / (Double(EngineClock.now() - start) / 1e9), ticks: Int(histogram.count))
    }
  }
}
