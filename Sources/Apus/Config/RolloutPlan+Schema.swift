import Yams

extension RolloutPlan.StagingSection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.recordings, \.recordings, optional: .path("a journal", advice: "give the data directory of a recorded run"),
      "Journals of sessions that the candidate has to repeat to the byte, and on which it is timed; with commas between several."),
    .init(
      CodingKeys.difference, \.difference,
      optional: .text(range: "text", allowed: "a reason in words") { $0.isEmpty ? "say why, or remove the line" : nil },
      "Why the candidate does not repeat them; without it a difference ends the rollout."),
    .init(
      CodingKeys.slowerAtMost, \.slowerAtMost, .decimal(.one...number(10), decimals: 2), .defaulted,
      "CPU time of a replay, candidate to incumbent."),
    .init(CodingKeys.pairs, \.pairs, .whole(5...100), .defaulted, "Most pairs of replays that are timed; fewer if it is decided before."),
    .init(
      CodingKeys.mayRaiseLimits, \.mayRaiseLimits, .flag, .defaulted,
      "Whether limits of the candidate may be above the incumbent's."),
    .init(
      CodingKeys.needsHealthyHost, \.needsHealthyHost, .flag, .defaulted,
      "Whether what apus doctor calls bad ends the rollout; else it is told."),
  ]
}

extension RolloutPlan.WatchSection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.atLeastSeconds, \.atLeastSeconds, .whole(1...1_000_000), .defaulted, unit: "s",
      "The stage lasts this long at least."),
    .init(
      CodingKeys.atMostSeconds, \.atMostSeconds, .whole(0...10_000_000), .defaulted, unit: "s",
      "What has not been seen by then ends the rollout; 0: it is waited for."),
    .init(
      CodingKeys.messages, \.messages, .whole(0...1_000_000_000), .defaulted,
      "Requests about orders that the candidate has to have sent."),
    .init(CodingKeys.fills, \.fills, .whole(0...1_000_000_000), .defaulted, "Fills that the candidate has to have had."),
  ]
}

extension RolloutPlan.StepSection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.instruments, \.instruments,
      optional: .text(range: "1, 25%, or names", allowed: "a number, a part such as 25%, or names with commas between them") {
        RolloutSelection($0) == nil ? "write 1, 25%, or BTC-PERPETUAL, ETH-PERPETUAL" : nil
      }, "Which instruments the candidate has from this step on, whole, on the incumbent's account."),
    .init(
      CodingKeys.size, \.size, optional: .decimal(.zero...(.one), isAboveLower: true, decimals: 4),
      "What part of every instrument's size and limit the candidate has, on an account of its own."),
    .init(
      CodingKeys.hours, \.hours,
      optional: .text(range: "hh:mm-hh:mm", allowed: "times of day in UTC, hh:mm-hh:mm, with commas between several") {
        RolloutHours($0) == nil ? "write 02:00-05:30" : nil
      }, "When the step may begin, UTC; any time if left out."),
  ]
}

extension RolloutPlan.GateSection: DescribedSection {
  static var blank: Self { Self() }
  private static let ratio = ConfigurationRule.decimal(.one...number(100), decimals: 2)

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.confidence, \.confidence, .decimal(DecimalE8(e8: 80_000_000)...DecimalE8(e8: 99_999_900), decimals: 6),
      .defaulted, "Of a breach: how seldom a candidate that is no worse would be taken back, over a whole stage."),
    .init(
      CodingKeys.sliceSeconds, \.sliceSeconds, .whole(1...3600), .defaulted, unit: "s",
      "Figures of both engines are compared over slices of this length."),
    .init(
      CodingKeys.spanRatio, \.spanRatio, ratio, .defaulted,
      "Median and 99th percentile of a span, candidate to incumbent; in steps 1.15 times that."),
    .init(
      CodingKeys.throughputRatio, \.throughputRatio, .decimal(DecimalE8(e8: 1_000_000)...(.one), decimals: 2), .defaulted,
      "Messages of the venue that are worked off, candidate to incumbent; in the shadow."),
    .init(CodingKeys.rejectRatio, \.rejectRatio, ratio, .defaulted, "Rejected requests a request, candidate to incumbent."),
    .init(
      CodingKeys.errorRatio, \.errorRatio, ratio, .defaulted,
      "Gaps, reconnects, positions taken over, impossible reports and rate violations a message, candidate to incumbent."),
    .init(
      CodingKeys.memoryGrowth, \.memoryGrowth, .whole(1...1_000_000), .defaulted, unit: "KB/s",
      "Growth of resident memory above the incumbent's."),
    .init(
      CodingKeys.markoutBps, \.markoutBps, .decimal(.zero...number(1000), decimals: 2), .defaulted, unit: "bps",
      "Markouts below the incumbent's by more than this."),
    .init(
      CodingKeys.profitBps, \.profitBps, .decimal(.zero...number(10_000), decimals: 2), .defaulted, unit: "bps",
      "Profit below the incumbent's by more than this, of what the position limits are worth, a minute."),
  ]
}

extension RolloutPlan.StopSection: DescribedSection {
  static var blank: Self { Self() }
  private static let money = ConfigurationRule.decimal(.zero...number(90_000_000_000))

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.maxLoss, \.maxLoss, money, .defaulted, unit: "quote currency",
      "Loss of the candidate since its start; 0: nothing bounds it."),
    .init(
      CodingKeys.maxCommonLoss, \.maxCommonLoss, money, .defaulted, unit: "quote currency",
      "Loss of both engines together since the stage began; 0: none."),
    .init(CodingKeys.rejects, \.rejects, .whole(1...100_000), .defaulted, "Rejected requests of the candidate within a second."),
    .init(
      CodingKeys.unknownOrders, \.unknownOrders, .whole(1...100_000), .defaulted,
      "Orders of the candidate whose outcome is not known, for longer than a second."),
    .init(CodingKeys.memoryMB, \.memoryMB, .whole(16...1_000_000), .defaulted, unit: "MB", "Resident memory of the candidate."),
    .init(
      CodingKeys.heartbeatMs, \.heartbeatMs, .whole(100...60_000), .defaulted, unit: "ms",
      "No sign of life of the candidate for this long."),
    .init(
      CodingKeys.atLimitSeconds, \.atLimitSeconds, .whole(0...1_000_000), .defaulted, unit: "s",
      "A position of the candidate at its limit, or within a twentieth of it, for this long; 0: none."),
    .init(CodingKeys.alert, \.alert, .choice, .defaulted, "Alerts of the candidate of this severity or above."),
  ]
}

extension RolloutPlan.PatienceSection: DescribedSection {
  static var blank: Self { Self() }
  private static let seconds = ConfigurationRule.whole(1...3600)

  static let keys: [ConfigurationKey<Self>] = [
    .init(CodingKeys.start, \.start, seconds, .defaulted, unit: "s", "An engine until it quotes."),
    .init(
      CodingKeys.handOver, \.handOver, seconds, .defaulted, unit: "s",
      "What a step takes from the incumbent, until nothing of it rests there."),
    .init(CodingKeys.stop, \.stop, seconds, .defaulted, unit: "s", "An engine that is told to end."),
    .init(CodingKeys.giveBack, \.giveBack, seconds, .defaulted, unit: "s", "The incumbent, until it has everything again."),
  ]
}

private func number(_ whole: Int64) -> DecimalE8 { DecimalE8(e8: whole * 100_000_000) }

/// The sections of the file.
private enum PlanKey: String, CodingKey, CaseIterable { case staging, shadow, steps, gates, stops, patience }

/// A step's own keys and those of what has to be seen, side by side in the file.
private struct StepKeys: DescribedSection {
  static let blank = StepKeys()
  static let keys: [ConfigurationKey<Self>] = []
}

extension ConfigurationReader {
  mutating func readPlan(_ yaml: ConfigurationYAML) -> RolloutPlan {
    var plan = RolloutPlan()
    let top = ConfigurationPlace(line: 1, column: 1)
    guard let file = mapping(yaml.root, "", StepKeys.self, top, sections: PlanKey.allCases) else { return plan }
    if file.entries[PlanKey.staging.rawValue] != nil,
      let found = section(PlanKey.staging, of: file, "", RolloutPlan.StagingSection.self)
    {
      fill(&plan.staging, found.mapping, found.path)
    }
    if file.entries[PlanKey.shadow.rawValue] != nil,
      let found = section(PlanKey.shadow, of: file, "", RolloutPlan.WatchSection.self)
    {
      var watch = RolloutPlan.WatchSection()
      fill(&watch, found.mapping, found.path)
      check(watch, found.path)
      plan.shadow = watch
    }
    readSteps(file, &plan)
    if file.entries[PlanKey.gates.rawValue] != nil,
      let found = section(PlanKey.gates, of: file, "", RolloutPlan.GateSection.self)
    {
      fill(&plan.gates, found.mapping, found.path)
    }
    if file.entries[PlanKey.stops.rawValue] != nil,
      let found = section(PlanKey.stops, of: file, "", RolloutPlan.StopSection.self)
    {
      fill(&plan.stops, found.mapping, found.path)
    }
    if file.entries[PlanKey.patience.rawValue] != nil,
      let found = section(PlanKey.patience, of: file, "", RolloutPlan.PatienceSection.self)
    {
      fill(&plan.patience, found.mapping, found.path)
    }
    return plan
  }

  private mutating func readSteps(_ file: Mapping, _ plan: inout RolloutPlan) {
    let key = PlanKey.steps.rawValue
    guard let entry = file.entries[key], let list = entry.value.sequence, (1...64).contains(list.count) else {
      let place = file.entries[key].map { Self.place($0.value) } ?? file.place
      let found = file.entries[key].map { $0.value.sequence.map { "a list of \($0.count)" } ?? Self.kind($0.value) }
      report(
        place, key,
        "steps \(found.map { "is \($0)" } ?? "is missing"), but must be a list of 1 to 64 steps: begin each with "
          + "- instruments: 1, and let the last one be - instruments: 100%")
      return
    }
    let watchKeys = RolloutPlan.WatchSection.CodingKeys.allCases.map(PlanWord.init)
    for (index, node) in list.enumerated() {
      let path = "\(key)[\(index)]"
      var step = RolloutPlan.StepSection()
      guard let mapping = mapping(node, path, RolloutPlan.StepSection.self, Self.place(node), sections: watchKeys) else {
        continue
      }
      fill(&step, mapping, path)
      fill(&step.watch, mapping, path)
      check(step.watch, path)
      if (step.instruments == nil) == (step.size == nil), problems.isEmpty {
        report(
          mapping.place, path,
          "\(path) has \(step.size == nil ? "neither instruments nor size" : "both instruments and size"), but must have one of "
            + "them: write instruments: 1, or size: 0.1")
      }
      plan.steps.append(step)
    }
    checkLast(plan, entry.keyPlace)
  }

  private mutating func check(_ watch: RolloutPlan.WatchSection, _ path: String) {
    guard watch.atMostSeconds > 0, watch.atMostSeconds < watch.atLeastSeconds, let place = places["\(path).at_most_s"] else {
      return
    }
    report(
      place, "\(path).at_most_s",
      "\(path).at_most_s is \(watch.atMostSeconds), but must be at least at_least_s (\(watch.atLeastSeconds)): raise it, or let it "
        + "be 0, which waits")
  }

  private mutating func checkLast(_ plan: RolloutPlan, _ place: ConfigurationPlace) {
    guard problems.isEmpty, let last = plan.steps.last else { return }
    let kinds = Set(plan.steps.map { $0.size == nil })
    if kinds.count > 1 {
      report(
        place, PlanKey.steps.rawValue,
        "steps has steps by instruments and by size, but must have one kind: with instruments both engines are on one account, "
          + "with size each has its own")
    }
    let isWhole =
      last.size == .one || last.instruments.flatMap(RolloutSelection.init) == .part(100)
    if !isWhole {
      report(
        place, PlanKey.steps.rawValue,
        "steps ends with a part, but the last step must leave nothing to the incumbent: add - instruments: 100% or - size: 1")
    }
    for (before, after) in zip(plan.steps, plan.steps.dropFirst()) {
      guard let first = before.size, let second = after.size, second <= first else { continue }
      report(
        place, PlanKey.steps.rawValue,
        "steps goes from size \(first) to \(second), but each step must be larger than the one before: raise it")
    }
  }
}

/// A key of another section that may stand beside.
private struct PlanWord: CodingKey {
  var stringValue: String
  var intValue: Int? { nil }
  init(_ key: some CodingKey) { stringValue = key.stringValue }
  init?(stringValue: String) { self.stringValue = stringValue }
  init?(intValue: Int) { nil }
}
