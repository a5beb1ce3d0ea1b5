import CSupport
import Testing

@testable import Apus

@Suite struct LaneRehearsalTests {
  private static func settings(_ names: [String]) -> LaneSettings {
    var settings = LaneSettings()
    settings.instruments = names.map {
      InstrumentSettings(
        name: $0, maximumPosition: DecimalE8(e8: 100_000_000), maximumOrder: DecimalE8(e8: 10_000_000),
        maximumNotional: DecimalE8(e8: 10_000_000_000_000), collarCentiBps: 5_000, maximumOrders: 12,
        priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: 10, staleAfter: 1_000_000_000)
    }
    return settings
  }

  private struct Quiet: Strategy {
    mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {}
  }

  private static func ladder(_ levels: Int) -> LadderStrategy {
    LadderStrategy(
      LadderParameters(
        levels: levels, halfSpreadCentiBps: 250, stepTicks: 5, size: QtyLots(rawValue: 10), skewCentiBps: 150))
  }

  @Test(arguments: [1, 3])
  func `a rehearsal takes the engine's own strategy through quotes and their changes`(levels: Int) throws {
    var made: [String] = []
    let frames = try LaneRehearsal.run(settings: Self.settings(["BTC-PERPETUAL", "ETH-PERPETUAL"])) { index, name, _ in
      made.append("\(index) \(name)")
      return StrategyBox(Self.ladder(levels))
    }
    // Both sides were inserted, and have been moved many times since.
    #expect(frames > 2 * levels * 100)
    #expect(made == ["0 BTC-PERPETUAL"])
  }

  @Test(arguments: [1, 3])
  func `mass quotes are rehearsed too, and an instrument of each way if the engine has both`(levels: Int) throws {
    var settings = Self.settings(["BTC-PERPETUAL", "ETH-PERPETUAL", "SOL-PERPETUAL"])
    settings.instruments[0].usesMassQuotes = true
    var made: [String] = []
    let both = try LaneRehearsal.run(settings: settings) { index, name, _ in
      made.append("\(index) \(name)")
      return StrategyBox(Self.ladder(levels))
    }
    #expect(made == ["0 BTC-PERPETUAL", "0 ETH-PERPETUAL"])
    settings.instruments = [settings.instruments[0]]
    let quotes = try LaneRehearsal.run(settings: settings) { _, _, _ in StrategyBox(Self.ladder(levels)) }
    // A side or both in each message, and the market moves in two of three rounds.
    #expect(quotes > 100, "\(quotes)")
    #expect(both > quotes + 2 * levels * 100)
  }

  @Test func `a strategy that wants nothing, and an engine without instruments, rehearse without a frame`() throws {
    let frames = try LaneRehearsal.run(settings: Self.settings(["BTC-PERPETUAL"])) { _, _, _ in StrategyBox(Quiet()) }
    #expect(frames == 0)
    let none = try LaneRehearsal.run(settings: Self.settings([])) { _, _, _ in StrategyBox(Quiet()) }
    #expect(none == 0)
  }

  @Test func `the same settings rehearse the same frames`() throws {
    func run() throws -> Int {
      try LaneRehearsal.run(settings: Self.settings(["BTC-PERPETUAL"])) { _, _, _ in StrategyBox(Self.ladder(2)) }
    }
    let first = try run()
    let second = try run()
    #expect(first == second)
  }
}
