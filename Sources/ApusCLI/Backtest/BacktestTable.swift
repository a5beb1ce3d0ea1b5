import Apus
import ApusExchange

/// One report, or several side by side, for people.
struct BacktestTable {
  let titles: [String]
  let reports: [BacktestReport]

  private typealias Row = (name: String, value: (BacktestReport) -> String)

  private static func money(_ e8: MoneyE8) -> String {
    Figures.decimal(e8: rounded(e8, 1_000_000), places: 2, sign: true)
  }

  /// To a whole number of `step`, half away from zero.
  private static func rounded(_ e8: Int64, _ step: Int64) -> Int64 {
    (e8 + (e8 < 0 ? -step : step) / 2) / step * step
  }

  private static func share(_ part: Int64, _ whole: Int64) -> String {
    whole > 0 ? Figures.percent(Double(part) / Double(whole)) : "none"
  }

  private static func basisPoints(e8: Int64, _ time: Nanoseconds) -> String {
    time > 0 ? Figures.decimal(e8: rounded(e8 * 10_000, 1_000_000), places: 2) + " bp" : "none"
  }

  private static func signedBasisPoints(_ value: Double?) -> String {
    guard let value else { return "none" }
    let hundredths = Int((abs(value) * 100).rounded())
    let fraction = hundredths % 100
    return "\(value < 0 ? "−" : "+")\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) bp"
  }

  private var rows: [Row] {
    var rows: [Row] = [
      ("both sides quoted", { Self.share($0.total.quotedBoth, $0.total.watched) }),
      (
        "distance of the best bid, ask from the mid",
        {
          Self.basisPoints(e8: $0.total.bidDistanceE8, $0.total.quotedBid) + ", "
            + Self.basisPoints(e8: $0.total.askDistanceE8, $0.total.quotedAsk)
        }
      ),
      ("order messages", { Figures.grouped(UInt64($0.messages.orders)) }),
      ("cancels", { Figures.grouped(UInt64($0.messages.cancels)) }),
      (
        "order messages a quoted minute",
        { $0.total.quotedBoth > 0 ? "\($0.messages.orders * 60_000_000_000 / Int($0.total.quotedBoth))" : "none" }
      ),
      ("refused (of it for their rate)", { "\($0.messages.refused) (\($0.messages.violations))" }),
      ("fills as maker, as taker", { "\($0.total.makerFills), \($0.total.takerFills)" }),
      (
        "of it at the price, through it, by quotes",
        {
          $0.total.queueFills + $0.total.throughFills + $0.total.quoteFills > 0 || $0.total.makerFills == 0
            ? "\($0.total.queueFills), \($0.total.throughFills), \($0.total.quoteFills)" : "not known"
        }
      ),
      ("traded, USD", { Figures.decimal(e8: Self.rounded($0.total.tradedE8, 100_000_000), places: 0) }),
    ]
    for place in reports[0].total.markouts.indices {
      let seconds = reports[0].total.markouts[place].horizon / 1_000_000_000
      rows.append(
        (
          "markout after \(seconds) s",
          {
            let markout = $0.total.markouts[place]
            return Self.signedBasisPoints(markout.basisPoints) + " of \(markout.fills)"
          }
        ))
    }
    rows += [
      ("spread captured, USD", { Self.money($0.total.spreadE8) }),
      ("inventory, USD", { Self.money($0.total.inventoryE8) }),
      ("fees, USD", { Self.money(-$0.total.feesE8) }),
      ("funding, USD", { Self.money($0.total.fundingE8) }),
      ("profit, USD", { Self.money($0.total.profitE8) }),
      (
        "deepest fall of the profit, USD",
        { Figures.decimal(e8: Self.rounded($0.total.drawdownE8, 1_000_000), places: 2) }
      ),
    ]
    if reports.count == 1, reports[0].instruments.count > 1 {
      for (index, instrument) in reports[0].instruments.enumerated() {
        rows.append(("profit in \(instrument.name), USD", { Self.money($0.instruments[index].figures.profitE8) }))
      }
    }
    for (index, instrument) in reports[0].instruments.enumerated() {
      let places = Figures.places(of: instrument.lotE8)
      rows.append(
        (
          "\(instrument.name): position at the end, largest",
          { report in
            guard index < report.instruments.count else { return "none" }
            let found = report.instruments[index]
            return Figures.decimal(e8: found.positionLots * found.lotE8, places: places, sign: true) + ", "
              + Figures.decimal(e8: found.largestPositionLots * found.lotE8, places: places)
          }
        ))
    }
    return rows
  }

  var text: String {
    let rows = rows
    let width = rows.map(\.name.count).max() ?? 0
    let columns = zip(titles, reports).map { title, report in [title] + rows.map { $0.value(report) } }
    let widths = columns.map { column in column.map(\.count).max() ?? 0 }
    var lines: [String] = []
    for (index, name) in ([""] + rows.map(\.name)).enumerated() {
      if index == 0, titles.allSatisfy(\.isEmpty) { continue }
      var line = name + String(repeating: " ", count: width - name.count)
      for (column, columnWidth) in zip(columns, widths) {
        line += "  " + String(repeating: " ", count: columnWidth - column[index].count) + column[index]
      }
      lines.append(line)
    }
    return lines.joined(separator: "\n")
  }
}
