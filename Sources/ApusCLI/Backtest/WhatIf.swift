import Apus
import ApusExchange
import ArgumentParser
import Foundation

/// A recorded run beside the same market with other parameters.
enum WhatIf {
  /// Prints three columns: what the journal says, its own parameters by the fill model, and the other ones by the same.
  ///
  /// The first two differ by what the model and the network's times get wrong; only the last two differ by the
  /// parameters.
  static func run(journal path: String, epoch: UInt64?, configPath: String, options: FillOptions) throws {
    let configuration = try BacktestSetup.load(configPath)
    let market: JournalMarket
    do {
      market = try JournalMarket(path: path, epoch: epoch)
    } catch {
      throw Exit.fail(Exit.unreadable, "\(error)")
    }
    guard let recorded = market.run else {
      throw Exit.fail(
        ExitCode(EX_DATAERR),
        "\(path) does not say how its run was set up: its first segments were removed, or nothing was quoted")
    }
    var options = options
    let isMeasuredHere = options.latency == nil && options.feedLatency == nil && options.latencyFrom == nil
    if isMeasuredHere { options.latencyFrom = path }
    let other = try BacktestMarket(market, for: configuration)
    let setup = try BacktestSetup(configuration, other, options, epoch: isMeasuredHere ? market.bootEpoch : nil)
    let plan = setup.plan

    // The run's own parameters on the instruments that it quoted.
    let specs = recorded.settings.instruments.compactMap { settings in
      market.instruments.first { $0.name == settings.name }
    }
    guard let ladders = recorded.ladders(on: specs.map(\.grid)) else {
      throw Exit.fail(
        ExitCode(EX_DATAERR),
        "the run was quoted by a strategy of the program's own, which this program does not have")
    }
    var same = QuotingTrial.Plan(instruments: specs, ladders: ladders, settings: recorded.settings)
    same.quote(recorded.configuration)
    same.feedLatency = plan.feedLatency
    same.orderLatency = plan.orderLatency
    same.replyLatency = plan.replyLatency
    same.fillModel = plan.fillModel
    same.makerFeeE6 = plan.makerFeeE6
    same.takerFeeE6 = plan.takerFeeE6
    same.messageRate = plan.messageRate
    same.seed = plan.seed

    let reports = [
      try market.recorded(),
      try setup.run(try market.flow(for: specs.map(\.name)), with: same),
      try setup.run(try other.flow()),
    ]
    say(BacktestTable(titles: ["recorded", "same, by model", "what if, by model"], reports: reports).text)
    say(
      "\nrun \(market.bootEpoch), \(Figures.clock(Double(reports[0].circumstances.duration) / 1e9)); queue model "
        + "\(plan.fillModel?.queue.text ?? ""), feed \(plan.feedLatency.text), orders \(plan.orderLatency.text), seed "
        + "\(plan.seed)\nrecorded: what the journal says, without funding; same: the run's own parameters on the market that "
        + "it saw; what if: those of \(configPath)")
    for (title, report) in zip(["same", "what if"], reports.dropFirst()) {
      if let failure = report.circumstances.failure {
        throw Exit.fail(ExitCode(EX_SOFTWARE), "\(title) ended early: \(failure)")
      }
    }
    try BacktestSetup.tell(setup.gaps)
  }
}
