import Apus
import ApusExchange
import CSupport
import Foundation

let replayPieces: [Piece] = [
  Piece("replay.frames", .batch(20_000)) { _ in Timed(try ReplayRun()) },
  Piece("simulate.microseconds", .batch(1_000_000)) { _ in Timed(SimulationRun()) },
]

/// A lane's run of some minutes is recorded once, and repeated whole: an operation is a frame of it, and its time the share
/// that one frame has.
private struct ReplayRun: Operation, ~Copyable {
  private let path = NSTemporaryDirectory() + "/apus-benchmark-\(UInt64.random(in: 0 ... .max))"

  init() throws {
    let ends = try JournalEnds(
      path: path, name: "benchmark", configuration: JournalConfiguration(bootEpoch: 1, sync: .none), now: 0)
    let spec = InstrumentSpec.btcPerpetual
    var settings = LaneSettings()
    settings.labelPrefix = "apus-benchmark-"
    settings.label = "apus-benchmark-1"
    let lotE8 = spec.grid.lotE8
    settings.instruments = [
      InstrumentSettings(
        name: spec.name, maximumPosition: DecimalE8(e8: 1000 * lotE8), maximumOrder: DecimalE8(e8: 100 * lotE8),
        maximumNotional: DecimalE8(e8: 100_000_000_000_000), collarCentiBps: 20_000, maximumOrders: 20,
        priceToleranceTicks: 5, keepSizePermille: 500, bookDepth: 10, staleAfter: 5_000_000_000)
    ]
    // Far from the market: most frames are ticks that move no quote.
    let ladder = LadderParameters(
      levels: 1, halfSpreadCentiBps: 3000, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 0)
    let flow = SyntheticFlow(
      seed: 1,
      streams: [
        SyntheticFlow.Stream(
          instrument: FlowInstrument(index: 0, grid: spec.grid), startE8: spec.initialIndexE8,
          levelLots: spec.premiumLots.rawValue / 2)
      ])
    let trial = try QuotingTrial(
      QuotingTrial.Plan(instruments: [spec], ladders: [ladder], settings: settings), flow: flow, journal: ends.writer)
    _ = try trial.run(for: 300_000_000_000)
    if let failure = trial.failure { throw PieceError("the run to be repeated ended early: \(failure)") }
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var replay = try Replay(path: path)
    guard let run = replay.next(), run.difference == nil, run.refusal == nil, run.gap == nil,
      run.counts.framesIn > 10_000
    else { throw PieceError("the run in \(path) was not repeated as it was recorded") }
    return run.replayTime * Int64(count) / Int64(run.counts.framesIn)
  }
}

/// Whole simulations of eight seeds, from the first quote to the verdict: an operation is a simulated microsecond, and its
/// time the share of the processor's time that one has.
private struct SimulationRun: Operation, ~Copyable {
  mutating func run(_ count: Int) throws -> Nanoseconds {
    var simulated: Nanoseconds = 0
    let start = Self.processorTime()
    for seed in 1...8 as ClosedRange<UInt64> {
      let verdict = try ChaosRun.run(FaultPlan.random(seed: seed))
      guard verdict.violations.isEmpty else { throw PieceError("the world of seed \(seed) breaks an invariant") }
      simulated += verdict.virtualTime
    }
    return (Self.processorTime() - start) * Int64(count) / (simulated / 1000)
  }

  /// Of this thread.
  private static func processorTime() -> Nanoseconds {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return Nanoseconds(time.tv_sec) * 1_000_000_000 + Nanoseconds(time.tv_nsec)
  }
}
