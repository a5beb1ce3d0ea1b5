public import Apus

public enum RolloutPhase: String, Codable, CaseIterable, Sendable {
  /// Before anything of the candidate reaches a venue.
  case staging
  /// Both releases on the live market, without orders.
  case shadow
  /// They are ended, which the candidate has to do well.
  case shadowEnd = "shadow_end"
  /// The incumbent leaves what the step takes.
  case giveUp = "give_up"
  /// The candidate gets it.
  case takeUp = "take_up"
  case watch
  /// The incumbent, which has nothing any more, is ended.
  case settle
  /// Back: the candidate's orders are cancelled, and the venue confirms it.
  case halt
  /// The incumbent gets everything again.
  case giveBack = "give_back"
  /// The candidate is ended.
  case stop
  /// The incumbent cannot come back: positions are closed.
  case flat
  case done
}

public enum RolloutOutcome: String, Codable, Sendable {
  /// The candidate is the current release and has everything.
  case promoted
  /// Found wanting before it traded.
  case rejected
  /// Taken back after it had traded.
  case rolledBack = "rolled_back"
  /// Taken back, and the incumbent did not come back.
  case flat
  /// By a person's word.
  case aborted

  /// Counts against the release.
  public var isFailure: Bool { self == .rejected || self == .rolledBack || self == .flat }
}

/// One stage, for reports.
public struct RolloutStage: Codable, Equatable, Sendable {
  /// `staging`, `shadow`, `step 1 of 3: 1 of 4 instruments`.
  public var name: String
  /// Nanoseconds since 1970 UTC.
  public var began: Int64
  public var ended: Int64?
  public var candidate = SliceFigures()
  public var incumbent = SliceFigures()
  public var verdicts: [GateVerdict] = []
  public var notes: [String] = []

  init(name: String, began: Int64) {
    self.name = name
    self.began = began
  }
}

/// Everything that a supervisor has to know to go on where another one was killed. Written to disk before it acts.
public struct RolloutState: Codable, Equatable, Sendable {
  public var version = Self.newestVersion
  /// Of what supervisors read.
  static let newestVersion = 1
  /// Of the rollout: when it began, UTC, as in file names.
  public var id: String
  public var candidate: String
  /// Of the candidate's content.
  public var checksum: String
  public var incumbent: String
  public var engineName: String
  /// Where each engine runs.
  public var candidateSlot: EngineSlot
  public var incumbentSlot: EngineSlot
  public var plan: RolloutPlan
  /// Names of what is quoted, in the configuration's order.
  public var instruments: [String]
  public var phase = RolloutPhase.staging
  /// The step that is under way, or was.
  public var step = 0
  /// Since when the phase lasts, CLOCK_MONOTONIC; a machine that has started anew begins it again.
  public var since: Nanoseconds
  /// When this rollout began, nanoseconds since 1970 UTC.
  public var began: Int64
  public var keeper: GateKeeper?
  /// Watched so far in this stage, nanoseconds.
  public var watched: Nanoseconds = 0
  public var isPaused = false
  /// A person has asked for the next stage.
  public var isPromoted = false
  /// Why it goes back.
  public var reason: String?
  public var outcome: RolloutOutcome?
  /// A person asked for the way back.
  public var isAborted = false
  /// The incumbent did not come back.
  public var isLost = false
  /// The positions of an engine that is gone are closed by the other release's program, or were to be.
  public var isClosing = false
  /// The candidate was started, and has to be ended.
  public var hasTraded = false
  /// Of the shadows.
  public var starts = 0
  /// The candidate was seen to run with what it trades.
  public var hasRun = false
  /// The incumbent was told to close its positions.
  public var hasFlattened = false
  /// Why it goes back is not the candidate's.
  public var isBlameless = false
  /// The incumbent did not end in order when the candidate had everything.
  public var hasKilled = false
  /// The incumbent's life in which it gave the first part up.
  public var incumbentEpoch: UInt64?
  /// Why rules against this rollout need not hold.
  public var override: String?
  /// How the incumbent was started.
  public var incumbentPlacing = EnginePlacing.asReleased
  /// When the breach was seen, the candidate sent no new order any more, nothing of it was left, and everything was given
  /// back; CLOCK_MONOTONIC.
  public var breachSeen: Nanoseconds?
  public var quiet: Nanoseconds?
  public var haltVerified: Nanoseconds?
  public var givenBack: Nanoseconds?
  /// Profit of both when the stage began.
  public var profitBefore: Double?
  public var stages: [RolloutStage] = []

  public init(
    id: String, candidate: String, checksum: String, incumbent: String, engineName: String,
    slots: (candidate: EngineSlot, incumbent: EngineSlot), plan: RolloutPlan, instruments: [String], now: Nanoseconds, wall: Int64
  ) {
    self.id = id
    self.candidate = candidate
    self.checksum = checksum
    self.incumbent = incumbent
    self.engineName = engineName
    candidateSlot = slots.candidate
    incumbentSlot = slots.incumbent
    self.plan = plan
    self.instruments = instruments
    since = now
    began = wall
  }

  /// Both engines are on one account, and instruments pass whole.
  public var isByInstruments: Bool { plan.steps.first?.size == nil }

  /// What the candidate has from a step on, 0 ..< `plan.steps.count`; before the first nothing.
  public func candidateShares(_ step: Int) -> ShareTable {
    guard plan.steps.indices.contains(step) else { return all(.zero) }
    if let size = plan.steps[step].size { return all(size) }
    let chosen = Set(chosen(step))
    return Dictionary(uniqueKeysWithValues: instruments.map { ($0, chosen.contains($0) ? .one : .zero) })
  }

  public func incumbentShares(_ step: Int) -> ShareTable {
    candidateShares(step).mapValues { DecimalE8(e8: DecimalE8.one.e8 - $0.e8) }
  }

  func all(_ share: DecimalE8) -> ShareTable {
    Dictionary(uniqueKeysWithValues: instruments.map { ($0, share) })
  }

  /// Instruments of a step; each step keeps those of the one before, in the order of the configuration.
  private func chosen(_ step: Int) -> [String] {
    var chosen: [String] = []
    for section in plan.steps[...step] {
      guard let selection = section.instruments.flatMap(RolloutSelection.init) else { continue }
      switch selection {
      case .named(let names): chosen += names.filter { !chosen.contains($0) }
      case .count(let count): fill(&chosen, to: count)
      case .part(let percent): fill(&chosen, to: (instruments.count * percent + 99) / 100)
      }
    }
    return chosen
  }

  private func fill(_ chosen: inout [String], to count: Int) {
    for name in instruments where chosen.count < count && !chosen.contains(name) { chosen.append(name) }
  }

  /// Names a stage for requests: `watch 0`.
  var stageKey: String { "\(phase.rawValue) \(step)" }

  public func stageName(step: Int) -> String {
    let number = "step \(step + 1) of \(plan.steps.count)"
    if let size = plan.steps[step].size { return "\(number): \(DecimalE8(e8: size.e8 * 100)) % of the size" }
    let count = chosen(step).count
    return "\(number): \(count) of \(instruments.count) instruments"
  }
}

extension RolloutState {
  /// How it stands, for people.
  public var words: String {
    guard outcome == nil else { return outcome?.text ?? "" }
    return phase.words + (isPaused ? ", paused" : "")
  }

  /// `12 of 600 s, 340 of 0 messages, 3 of 30 fills`, while a stage is watched.
  public var seen: String? {
    let watch: RolloutPlan.WatchSection? =
      switch phase {
      case .shadow: plan.shadow
      case .watch: plan.steps[step].watch
      default: nil
      }
    guard let watch, let keeper else { return nil }
    guard keeper.slices > 0 else { return "the first slice of \(plan.gates.sliceSeconds) s is under way" }
    return "\(watched / 1_000_000_000) of \(watch.atLeastSeconds) s, \(keeper.candidate.requests) of \(watch.messages) messages, "
      + "\(keeper.candidate.fills) of \(watch.fills) fills"
  }
}

extension RolloutPhase {
  /// For people.
  public var words: String {
    switch self {
    case .staging: "in staging"
    case .shadow: "in the shadow"
    case .shadowEnd: "ending the shadow"
    case .giveUp: "the incumbent leaves what the step takes"
    case .takeUp: "the candidate takes it over"
    case .watch: "the candidate is watched"
    case .settle: "the incumbent is ended"
    case .halt: "going back: the candidate is halted"
    case .giveBack: "going back: the incumbent gets everything again"
    case .stop: "going back: the candidate is ended"
    case .flat: "the incumbent cannot come back: positions are closed"
    case .done: "ended"
    }
  }
}
