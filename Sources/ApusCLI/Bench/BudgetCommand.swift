import Apus
import ApusExchange
import ArgumentParser
import CSupport
import Foundation

extension BenchCommand {
  struct Budget: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract: "Quote a recorded market with few order messages, in three ways, and compare.",
      discussion: """
        The engine's own lane quotes the recording through the simulated venue, on virtual time: every way sees the same \
        market, and a run gives the same figures each time. The ways differ in how order messages are spent: naively \
        (when anything moves, cancel everything and insert it anew), in order of arrival (only what has to change, first \
        come, first served), and by value (what is most wrong and most likely to be hit goes first).

        Exit codes: 0 the table was printed; 64 for wrong arguments; 66 if a feed cannot be read; 70 if a run ended \
        before its market did.
        """)

    @Option(
      name: .customLong("feed"),
      help: ArgumentHelp(
        "A recorded market (collector format, .gz or plain, or a directory of apus record); once or twice: for "
          + "BTC-PERPETUAL, then for ETH-PERPETUAL. "
          + "Default: a synthetic market of both.", valueName: "file"),
      completion: .file())
    var feeds: [String] = []

    @Option(help: ArgumentHelp("Order messages a second that the venue grants, 6 to 1000.", valueName: "n"))
    var rate = 50

    @Option(help: ArgumentHelp("Quotes a side, 1 to 10.", valueName: "n"))
    var levels = 5

    @Option(help: ArgumentHelp("Distance of the best quotes from the fair price, 0.01 to 100 bp.", valueName: "bp"))
    var halfSpread = 1.0

    @Option(help: ArgumentHelp("One way through the network, 0.001 to 1000 ms.", valueName: "ms"))
    var latency = 0.5

    @Option(help: ArgumentHelp("End after this much time of the market.", valueName: "n"))
    var seconds: Double?

    @Flag(help: "Print the table as Markdown.")
    var markdown = false

    func validate() throws {
      guard feeds.count <= 2 else { throw ValidationError("--feed may be given once or twice") }
      guard (6...1000).contains(rate) else { throw ValidationError("--rate must be from 6 to 1000") }
      guard (1...10).contains(levels) else { throw ValidationError("--levels must be from 1 to 10") }
      guard halfSpread >= 0.01, halfSpread <= 100 else {
        throw ValidationError("--half-spread must be from 0.01 to 100")
      }
      guard latency >= 0.001, latency <= 1000 else { throw ValidationError("--latency must be from 0.001 to 1000") }
      try TimeLimit.check(seconds, "--seconds")
      if feeds.isEmpty, seconds == nil {
        throw ValidationError("a synthetic market has no end: say --seconds, or give a --feed")
      }
    }

    func run() throws {
      for feed in feeds where access(feed, R_OK) != 0 {
        throw Exit.fail(
          ExitCode(66),
          "cannot read the feed \(feed): \(String(cString: strerror(errno))); give the path of a recording")
      }
      var outcomes: [QuotingTrial.Outcome] = []
      for spending in MessageSpending.allCases.reversed() {
        do {
          let market = try market()
          let trial = try QuotingTrial(plan(spending, market.specs), flow: market.flow)
          outcomes.append(try trial.run(for: seconds.map { Nanoseconds($0 * 1e9) } ?? .max))
          if let failure = trial.failure {
            throw Exit.fail(ExitCode(EX_SOFTWARE), "the run \(Self.title(spending)) ended early: \(failure)")
          }
        } catch let error as VenueFeeds.Failure {
          throw Exit.fail(ExitCode(66), "\(error)")
        }
      }
      let table = BudgetTable(
        titles: MessageSpending.allCases.reversed().map(Self.title), outcomes: outcomes,
        circumstances:
          "\(specs.map(\.name).joined(separator: " and ")), \(levels) quotes a side from \(halfSpread) bp on, \(rate) messages a second, "
          + "\(latency) ms each way")
      say(markdown ? table.markdown : table.text)
    }

    private static func title(_ spending: MessageSpending) -> String {
      switch spending {
      case .byValue: "by value"
      case .inOrder: "in order"
      case .naively: "naively"
      }
    }

    private var specs: [InstrumentSpec] {
      feeds.count == 1 ? [.btcPerpetual] : [.btcPerpetual, .ethPerpetual]
    }

    /// The market, and what the instruments begin with.
    private func market() throws -> (specs: [InstrumentSpec], flow: any MarketFlow) {
      var specs = specs
      guard feeds.isEmpty else {
        let sources = zip(feeds, specs).map { VenueFeeds.Source(path: $0, instrument: $1.name) }
        let flow = try VenueFeeds(sources, for: &specs).flow
        return (specs, flow)
      }
      let streams = specs.enumerated().map { index, spec in
        SyntheticFlow.Stream(
          instrument: FlowInstrument(index: index, grid: spec.grid), startE8: spec.initialIndexE8,
          levelLots: spec.premiumLots.rawValue / 2)
      }
      return (specs, SyntheticFlow(seed: 1, streams: streams))
    }

    private func plan(_ spending: MessageSpending, _ specs: [InstrumentSpec]) -> QuotingTrial.Plan {
      var settings = LaneSettings()
      settings.spending = spending
      settings.labelPrefix = "apus-trial-"
      settings.label = "apus-trial-1"
      settings.instruments = specs.map { spec in
        InstrumentSettings(
          name: spec.name, maximumPosition: DecimalE8(e8: 5_000 * spec.grid.lotE8),
          maximumOrder: DecimalE8(e8: 100 * spec.grid.lotE8), maximumNotional: DecimalE8(e8: 100_000_000_000_000),
          collarCentiBps: 20_000, maximumOrders: 4 * levels + 8, priceToleranceTicks: 0, keepSizePermille: 500,
          bookDepth: 10, staleAfter: 5_000_000_000)
      }
      let ladders = specs.map { spec in
        LadderParameters(
          levels: levels, halfSpreadCentiBps: Int64((halfSpread * 100).rounded()), stepTicks: 2,
          size: QtyLots(rawValue: spec.name.hasPrefix("ETH") ? 50 : 20),
          skewCentiBps: 200)
      }
      var plan = QuotingTrial.Plan(instruments: specs, ladders: ladders, settings: settings)
      plan.latency = Nanoseconds(latency * 1e6)
      plan.messageRate = rate
      return plan
    }
  }
}

/// The outcomes side by side, for people.
struct BudgetTable {
  let titles: [String]
  let outcomes: [QuotingTrial.Outcome]
  let circumstances: String

  private typealias Row = (name: String, value: @Sendable (QuotingTrial.Outcome) -> String)

  private static let rows: [Row] = [
    ("order messages per quoted minute", { perMinute($0.orderMessages, $0) }),
    ("cancels per quoted minute", { perMinute($0.cancels, $0) }),
    ("time with both sides quoted", { Figures.percent(Double($0.quoted) / Double(max(1, $0.watched))) }),
    ("quotes hit", { "\($0.fills)" }),
    ("age of a quote that was hit, median", { Figures.duration(quantile($0.ages, 0.5)) }),
    ("age of a quote that was hit, p90", { Figures.duration(quantile($0.ages, 0.9)) }),
    ("hit on the wrong side of the index", { share($0.edges) }),
    ("price against the index when hit, mean", { basisPoints($0.edges) }),
    ("price against the index 1 s later, mean", { basisPoints($0.edgesAfterSecond) }),
    ("traded, USD", { Figures.decimal(e8: $0.tradedE8, places: 0) }),
    ("profit before fees, USD", { Figures.decimal(e8: $0.profitE8 + $0.feesE8, places: 2, sign: true) }),
    ("profit after fees, USD", { Figures.decimal(e8: $0.profitE8, places: 2, sign: true) }),
    ("refused for their rate", { "\($0.violations)" }),
  ]

  private static func perMinute(_ count: Int, _ outcome: QuotingTrial.Outcome) -> String {
    guard outcome.quoted > 0 else { return "none quoted" }
    return "\(Int((Double(count) * 60e9 / Double(outcome.quoted)).rounded()))"
  }

  private static func quantile(_ values: [Nanoseconds], _ q: Double) -> Nanoseconds {
    guard !values.isEmpty else { return 0 }
    return values.sorted()[min(values.count - 1, Int(Double(values.count) * q))]
  }

  private static func share(_ edges: [Int64]) -> String {
    Figures.percent(Double(edges.count { $0 < 0 }) / Double(max(1, edges.count)))
  }

  private static func basisPoints(_ edges: [Int64]) -> String {
    guard !edges.isEmpty else { return "none" }
    let mean = Double(edges.reduce(0, +)) / Double(edges.count) / 1e4
    let hundredths = Int((abs(mean) * 100).rounded())
    return "\(mean < 0 ? "−" : "+")\(hundredths / 100).\(hundredths % 100 < 10 ? "0" : "")\(hundredths % 100) bp"
  }

  var text: String {
    let width = Self.rows.map(\.name.count).max() ?? 0
    let columns = zip(titles, outcomes).map { title, outcome in [title] + Self.rows.map { $0.value(outcome) } }
    let widths = columns.map { column in column.map(\.count).max() ?? 0 }
    var lines = [circumstances, ""]
    for (index, name) in ([""] + Self.rows.map(\.name)).enumerated() {
      var line = name + String(repeating: " ", count: width - name.count)
      for (column, columnWidth) in zip(columns, widths) {
        line += "  " + String(repeating: " ", count: columnWidth - column[index].count) + column[index]
      }
      lines.append(line)
    }
    return lines.joined(separator: "\n")
  }

  var markdown: String {
    var lines = ["| \(circumstances) | \(titles.joined(separator: " | ")) |"]
    lines.append("|---|" + String(repeating: "---|", count: titles.count))
    for row in Self.rows { lines.append("| \(row.name) | \(outcomes.map(row.value).joined(separator: " | ")) |") }
    return lines.joined(separator: "\n")
  }
}
