import ApusExchange
import CSupport
import FoundationEssentials
import Testing

@testable import Apus

/// Parameters that are changed while the lane quotes.
@Suite struct ParameterChangeTests {
  private static let second: Nanoseconds = 1_000_000_000

  /// Amounts of the order messages before and after the change, and when the first one after it was sent.
  private static func amounts(_ path: String) throws -> (before: Set<String>, after: Set<String>, pause: Nanoseconds?) {
    var reader = try JournalReader(path: path)
    var (before, after): (Set<String>, Set<String>) = ([], [])
    var changedAt: Nanoseconds?
    var pause: Nanoseconds?
    while let record = reader.next() {
      if record.kind == .parameters { changedAt = record.time }
      guard record.kind == .outbound else { continue }
      let text = String(decoding: record.payload, as: UTF8.self)
      guard text.contains("private/insert") || text.contains("private/amend"),
        let amount = text.components(separatedBy: "\"amount\":").dropFirst().first?.prefix(while: { $0 != "," && $0 != "}" })
      else { continue }
      if let changedAt {
        after.insert(String(amount))
        pause = pause ?? (record.time - changedAt)
      } else {
        before.insert(String(amount))
      }
    }
    return (before, after, pause)
  }

  private static func expectEqualReplay(_ path: String) throws {
    let run = try #require(try RecordedTrial.replayed(path))
    #expect(run.difference == nil && run.refusal == nil && run.gap == nil, "\(String(describing: run.difference))")
    #expect(run.counts.framesOut > 20)
  }

  @Test func `all parameters change between two looks, at once, and no order is of old and new ones`() throws {
    let room = try JournalRoom()
    let old = try RecordedTrial.configuration()
    let new = try RecordedTrial.configuration(size: "0.05", halfSpread: "0.3")
    _ = try RecordedTrial.record(
      old, changes: [(10 * Self.second, new)], for: 20 * Self.second, into: room.journal)
    let (before, after, pause) = try Self.amounts(room.journal)
    // An amend of an order of which something was executed names the whole.
    #expect(before.contains("0.02") && !before.contains("0.05"), "\(before)")
    #expect(after.contains("0.05") && !after.contains("0.02"), "\(after)")
    // At once, unless a request is in flight: then when it is answered.
    #expect(try #require(pause) < 100_000_000)
    try Self.expectEqualReplay(room.journal)
  }

  @Test(arguments: [
    ("strategy:\n  kind: glft\n  risk_aversion_per_usd: 0.001\n  half_life_s: 60\n  trade_sample_ms: 100", "0.001", "0.01"),
    ("strategy:\n  kind: avellaneda_stoikov\n  horizon_s: 30\n  risk_aversion_per_usd: 0.02\n  starts_with_ladder: true", "30", "10"),
    ("order_flow:\n  widen_at_best_sizes: 1\n  pull_at_best_sizes: 2", "pull_at_best_sizes: 2", "pull_at_best_sizes: 3"),
  ])
  func `a run with a change is repeated to the byte, and what was learned stays`(
    strategy: String, old: String, new: String
  ) throws {
    let room = try JournalRoom()
    let first = try RecordedTrial.configuration(strategy)
    let second = try RecordedTrial.configuration(strategy.replacing(old, with: new), size: "0.03")
    #expect(first != second)
    let outcome = try RecordedTrial.record(
      first, changes: [(30 * Self.second, second)], for: 60 * Self.second, into: room.journal)
    #expect(outcome.fills > 5)
    let (_, after, pause) = try Self.amounts(room.journal)
    #expect(after.contains("0.03"))
    // A strategy that began anew would have to learn for half a minute.
    #expect(try #require(pause) < Self.second)
    try Self.expectEqualReplay(room.journal)
  }

  @Test func `a limit that is lowered holds from the same turn on`() throws {
    var probe = try LaneProbe(
      settings: LaneSettings(try RecordedTrial.configuration(), labelPrefix: "apus-t-", bootEpoch: 1),
      strategies: StrategyMaking(StrategyMaker(try RecordedTrial.configuration().instruments)))
    var lower = try RecordedTrial.configuration().instruments
    lower[0].limits.maxPosition = DecimalE8(e8: 4_000_000)
    lower[0].limits.maxOrder = DecimalE8(e8: 2_000_000)
    #expect(probe.lane.risk.limits(for: 0)?.maximumPosition == QtyLots(rawValue: 1000))
    probe.lane.adopt(try ParameterChange(version: 1, sections: lower), now: probe.startTime)
    #expect(probe.lane.risk.limits(for: 0)?.maximumPosition == QtyLots(rawValue: 40))
    #expect(probe.lane.risk.limits(for: 0)?.maximumOrder == QtyLots(rawValue: 20))
    #expect(probe.lane.parameterVersion == 1)
  }

  // MARK: - What may change

  @Test func `R51_ what needs a restart is refused with its key and both values, and nothing changes`() throws {
    let old = try RecordedTrial.configuration()
    let cases: [(new: Configuration, key: String)] = [
      (try RecordedTrial.configuration("mass_quotes: true"), "instruments[0].mass_quotes false → true"),
      (try RecordedTrial.configuration("strategy:\n  kind: glft\n  risk_aversion_per_usd: 1"), "instruments[0].strategy.kind ladder → glft"),
      (try RecordedTrial.configuration("order_flow:\n  enabled: true"), "instruments[0].order_flow"),
      (try RecordedTrial.configuration("book_depth: 20"), "instruments[0].book_depth 10 → 20"),
      (try RecordedTrial.configuration(more: "manager:\n  max_loss: 5\n"), "manager.max_loss 0 → 5"),
    ]
    for (new, key) in cases {
      do throws(ParameterRefusal) {
        _ = try old.adopting(new)
        Issue.record("\(key) was taken over")
      } catch {
        #expect(error.description.contains(key) && error.description.contains("by a restart"), "\(error)")
        #expect(!error.fixed.isEmpty)
      }
    }
    let engine = Engine(old)
    #expect(throws: ParameterRefusal.self) { try engine.adopt(cases[4].new) }
    #expect(try engine.adopt(RecordedTrial.configuration(size: "0.03")) == 1)
    // Measured from what is quoted now.
    #expect(try engine.adopt(old) == 2)
    #expect(engine.parameterVersion == 0, "no lane runs that could have taken them over")
  }

  @Test func `differences are told key by key, as in a file`() throws {
    let differences = try RecordedTrial.configuration().differences(to: RecordedTrial.configuration(size: "0.03", halfSpread: "0.2"))
    #expect(
      differences.map(\.description) == [
        "instruments[0].ladder.half_spread_bps 0.1 → 0.2", "instruments[0].ladder.size 0.02 → 0.03",
      ])
  }
}
