import ApusExchange
import CSupport
import Testing

@testable import Apus

/// A journal names the strategies of its run, and they decide the same again.
@Suite struct StrategyReplayTests {
  private static let second: Nanoseconds = 1_000_000_000

  @Test(arguments: [
    "strategy:\n  kind: glft\n  risk_aversion_per_usd: 0.001\n  half_life_s: 60\n  trade_sample_ms: 100",
    "strategy:\n  kind: avellaneda_stoikov\n  horizon_s: 30\n  risk_aversion_per_usd: 0.02\n  starts_with_ladder: true",
    "order_flow:\n  widen_at_best_sizes: 1\n  pull_at_best_sizes: 2",
  ])
  func `a run is repeated to the byte by the strategy that its journal names`(strategy: String) throws {
    let room = try JournalRoom()
    let configuration = try RecordedTrial.configuration(strategy)
    let outcome = try RecordedTrial.record(configuration, for: 60 * Self.second, into: room.journal)
    #expect(outcome.fills > 5)
    let run = try #require(try RecordedTrial.replayed(room.journal))
    #expect(run.difference == nil, "\(String(describing: run.difference))")
    #expect(run.refusal == nil && run.gap == nil)
    #expect(run.counts.framesOut > 20)
    var reader = try JournalReader(path: room.journal)
    let head = reader.next()
    let recorded = try RecordedRun(description: try #require(head))
    #expect(recorded.configuration?.instruments == configuration.instruments)
  }

  @Test func `a run of a program's own strategy is repeated by that strategy alone`() throws {
    let room = try JournalRoom()
    _ = try RecordedTrial.record(try RecordedTrial.configuration(), for: 20 * Self.second, into: room.journal)
    // The same records, said to be quoted by a strategy that the journal does not describe.
    let own = "\(room.path)/own"
    var reader = try JournalReader(path: room.journal)
    var recorded: RecordedRun?
    do {
      var ends = try JournalEnds(
        path: own, name: "own", configuration: JournalConfiguration(bootEpoch: 1, sync: .none), now: 0)
      while var record = reader.next() {
        if record.kind == .run {
          recorded = try RecordedRun(description: record)
          let text = String(decoding: record.payload, as: UTF8.self)
          record.payload = Array(
            text.replacing("\"strategy\":\"configuredLadders\"", with: "\"strategy\":\"own\"").utf8)
        }
        let isWritten = record.payload.withUnsafeBytes {
          ends.writer.append(record.kind!, connection: record.connection, time: record.time, payload: $0)
        }
        #expect(isWritten)
      }
    }
    let described = try #require(recorded)
    var without = try Replay(path: own)
    let refused = without.next()
    #expect(refused?.refusal?.contains("strategy of the program's own") == true)

    var names: [String] = []
    var with = try Replay(path: own) { index, name, info in
      names.append(name)
      return LadderStrategy(described.ladders(on: [info.grid])![Int(index)])
    }
    let next = with.next()
    let equal = try #require(next)
    #expect(equal.refusal == nil && equal.difference == nil && equal.gap == nil, "\(equal)")
    #expect(equal.counts.framesOut > 20 && names == ["BTC-PERPETUAL"])

    var other = try Replay(path: own) { _, _, _ in Silent() }
    let silent = other.next()
    #expect(silent?.difference != nil)
  }

  private struct Silent: Strategy {
    mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {}
  }
}
