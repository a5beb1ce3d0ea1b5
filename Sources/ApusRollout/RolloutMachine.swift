import Apus
import CSupport

/// Decides what comes next in a rollout.
///
/// Pure: looks in, commands out, everything that it knows in `state`. A supervisor that was killed makes a new machine of
/// the state on disk, and each command may come twice: to start what runs, to apply what is in force, to halt what is halted
/// changes nothing.
public struct RolloutMachine: Sendable {
  public private(set) var state: RolloutState
  private var commands: [RolloutCommand] = []
  /// When the last turn was.
  private var last: Nanoseconds = .min
  /// Since when an engine has not confirmed its shares while it is watched.
  private var unconfirmedSince: Nanoseconds?
  /// The first step waits for its hours, or for a person.
  private var isWaiting = false
  /// What the end asks for was given once in this life, which may do it a second time.
  private var isTidied = false

  public init(_ state: RolloutState) { self.state = state }

  private static let second: Nanoseconds = 1_000_000_000
  /// A candidate that has not halted and verified by then is killed.
  static let haltPatience: Nanoseconds = 3 * second
  static let silentPatience: Nanoseconds = second / 10
  /// Commands that are waited for are given again after this.
  private static let insistence: Nanoseconds = 5 * second

  public mutating func turn(_ sight: RolloutSight) -> [RolloutCommand] {
    commands = []
    // While no supervisor was at work, and before a start of the machine, nobody was late.
    if last == .min { state.since = sight.now }
    for request in sight.requests { obey(request, sight) }
    if isExposed {
      if let trouble = incumbentsTrouble(sight) {
        retreat(trouble, sight, isCandidates: false)
      } else if let trouble = candidatesTrouble(sight) {
        retreat(trouble, sight)
      }
    }
    switch state.phase {
    case .staging: stage(sight)
    case .shadow: shadow(sight)
    case .shadowEnd: endShadow(sight)
    case .giveUp: giveUp(sight)
    case .takeUp: takeUp(sight)
    case .watch: watch(sight)
    case .settle: settle(sight)
    case .halt: halt(sight)
    case .giveBack: giveBack(sight)
    case .stop: stop(sight)
    case .flat: flatten(sight)
    case .done: break
    }
    last = sight.now
    return commands
  }

  // MARK: - Requests

  private mutating func obey(_ request: RolloutRequest, _ sight: RolloutSight) {
    let why = request.why.map { ": \($0)" } ?? ""
    if let rollout = request.rollout, rollout != state.id {
      return tell(.info, "\(request.kind.rawValue) by \(request.user) was meant for the rollout \(rollout): ignored", sight)
    }
    switch request.kind {
    case .pause:
      guard !state.isPaused else { return }
      state.isPaused = true
      tell(.info, "paused by \(request.user)\(why): nothing further is handed over; gates and stops hold", sight)
    case .resume:
      guard state.isPaused else { return }
      state.isPaused = false
      tell(.info, "goes on, by \(request.user)\(why)", sight)
    case .promote:
      guard state.phase == .shadow || state.phase == .watch || isWaiting else {
        tell(.info, "promote by \(request.user) came in the phase \(state.phase.rawValue), in which nothing waits: ignored", sight)
        return
      }
      // It came after the stage that it was meant for had ended by itself.
      if let stage = request.stage, stage != state.stageKey {
        return tell(.warn, "promote by \(request.user) was meant for an earlier stage (\(stage)): ignored; ask again if this one is meant", sight)
      }
      state.isPromoted = true
      state.isPaused = false
      tell(.warn, "on to the next stage by the word of \(request.user)\(why), whatever has been seen", sight)
    case .abort:
      guard state.phase != .done, !isOnTheWayBack else { return }
      state.isAborted = true
      retreat("aborted by \(request.user)\(why)", sight)
    }
  }

  private var isOnTheWayBack: Bool {
    switch state.phase {
    case .halt, .giveBack, .stop, .flat, .done: true
    default: false
    }
  }

  // MARK: - Trouble

  /// The candidate trades, or is about to.
  private var isExposed: Bool {
    switch state.phase {
    case .giveUp, .takeUp, .watch, .settle: true
    default: false
    }
  }

  /// What ends the rollout at once, and says nothing of the candidate.
  private func incumbentsTrouble(_ sight: RolloutSight) -> String? {
    let incumbent = sight.incumbent
    guard state.phase != .settle else { return nil }
    if !incumbent.isRunning { return "the incumbent has ended\(incumbent.ending.map { " (\($0))" } ?? "")" }
    if incumbent.wasRestarted || state.incumbentEpoch.map({ incumbent.isShown && incumbent.bootEpoch != $0 }) ?? false {
      return "the incumbent was started anew by somebody else"
    }
    guard let lane = incumbent.lanes.first(where: { $0.latched >= .cancelAll }), !isFlattening else { return nil }
    return "the incumbent has halted at \(lane.name): \(lane.cause)"
      + (incumbent.stopCause.isEmpty ? "" : " (\(incumbent.stopCause))")
  }

  /// What ends the rollout at once.
  private func candidatesTrouble(_ sight: RolloutSight) -> String? {
    let (candidate, incumbent) = (sight.candidate, sight.incumbent)
    guard state.hasTraded else { return nil }
    if !candidate.isRunning {
      // Only one that was never seen to run is still to be started.
      guard state.phase != .takeUp || state.step > 0 || state.hasRun || candidate.ending != nil else { return nil }
      return "the candidate has ended\(candidate.ending.map { " (\($0))" } ?? "")"
    }
    guard candidate.isShown else { return nil }
    return StopRules.breach(candidate, state.plan.stops)
      ?? StopRules.commonLoss(candidate, incumbent, before: state.profitBefore, state.plan.stops)
  }

  /// The incumbent closes its positions, because the candidate on its own account gets everything.
  private var isFlattening: Bool { !state.isByInstruments && state.candidateShares(state.step).values.allSatisfy { $0 == .one } }

  /// - Parameter isCandidates: It counts against the release.
  private mutating func retreat(_ reason: String, _ sight: RolloutSight, isCandidates: Bool = true) {
    if state.reason == nil {
      state.reason = reason
      state.isBlameless = !isCandidates
    }
    state.breachSeen = state.breachSeen ?? sight.now
    endStage(sight, note: reason)
    guard state.hasTraded || state.phase == .giveUp else {
      state.outcome = state.isAborted ? .aborted : .rejected
      return enter(.stop, sight)
    }
    if state.hasTraded { commands.append(.halt(.candidate, haltLevel, "rollout: \(reason)")) }
    tell(.page, "back to \(state.incumbent): \(reason)", sight)
    enter(state.hasTraded ? .halt : .giveBack, sight)
  }

  /// Ends a rollout that has handed over nothing yet, and leaves the incumbent as it is.
  private mutating func leave(_ reason: String, _ sight: RolloutSight) {
    state.reason = reason
    state.isBlameless = true
    state.outcome = .rejected
    endStage(sight, note: reason)
    tell(.warn, "nothing was handed over: \(reason)", sight)
    enter(.stop, sight)
  }

  /// What the candidate holds on an account of its own is closed; on a common one the incumbent takes it over.
  private var haltLevel: StopLevel { state.isByInstruments ? .cancelAll : .flatten }

  // MARK: - Stages

  private mutating func stage(_ sight: RolloutSight) {
    if state.stages.isEmpty { beginStage("staging", sight) }
    switch sight.staging {
    case .idle:
      // Shadows of a rollout before this one would be taken for its own.
      if state.plan.shadow != nil { commands.append(.killShadows) }
      commands.append(.stage)
    case .running: break
    case .passed where state.isPaused: break
    case .passed(let lines):
      note(lines)
      endStage(sight, note: nil)
      if state.plan.shadow != nil {
        beginStage("shadow", sight, sameInput: true)
        tell(.info, "staging passed; the shadow begins", sight)
        enter(.shadow, sight)
      } else {
        tell(.info, "staging passed", sight)
        enterStep(0, sight)
      }
    case .failed(let lines, let problem):
      note(lines)
      retreat("staging: \(problem)", sight)
    }
  }

  /// Here both sights are those of the shadows.
  private mutating func shadow(_ sight: RolloutSight) {
    guard let plan = state.plan.shadow else { return enterStep(0, sight) }
    for (who, engine) in [("the candidate", sight.candidate), ("the incumbent's shadow", sight.incumbent)] where !engine.isRunning {
      guard state.watched == 0, engine.ending == nil, state.starts < 2 else {
        return retreat(
          "\(who) ended in the shadow (\(engine.ending ?? "it is gone"))", sight, isCandidates: !sight.candidate.isRunning)
      }
      state.starts += 1
      return commands.append(.startShadows)
    }
    guard state.watched > 0 || sight.candidate.isQuoting && sight.incumbent.isQuoting else {
      if sight.now - state.since > Self.second * Nanoseconds(state.plan.patience.start) {
        let who = sight.candidate.isQuoting ? "the incumbent's shadow" : "the candidate's shadow"
        // Where neither does, it is the market or the venue.
        retreat("\(who) did not quote within \(state.plan.patience.start) s", sight, isCandidates: sight.incumbent.isQuoting)
      } else if let breach = StopRules.breach(sight.candidate, state.plan.stops) {
        retreat("in the shadow: \(breach)", sight)
      }
      return
    }
    if let breach = StopRules.breach(sight.candidate, state.plan.stops) { return retreat("in the shadow: \(breach)", sight) }
    guard take(sight) else { return }
    guard hasSeenEnough(plan, sight) else { return }
    state.isPromoted = false
    enter(.shadowEnd, sight)
  }

  /// Both have to end as they are told to.
  private mutating func endShadow(_ sight: RolloutSight) {
    let (candidate, incumbent) = (sight.candidate, sight.incumbent)
    if candidate.isRunning || incumbent.isRunning {
      if isDue(sight) { commands.append(.stopShadows) }
      guard isLate(state.plan.patience.stop, sight) else { return }
      commands.append(.killShadows)
      guard candidate.isRunning else { return }
      return retreat("the candidate did not end within \(state.plan.patience.stop) s of SIGTERM", sight)
    }
    if let code = candidate.exitCode, code != 0 {
      return retreat("the candidate's shadow did not end well (\(candidate.ending ?? "code \(code)"))", sight)
    }
    endStage(sight, note: nil)
    tell(.info, "the shadow passed", sight)
    enterStep(0, sight)
  }

  private mutating func enterStep(_ step: Int, _ sight: RolloutSight) {
    state.step = step
    state.isPromoted = false
    state.starts = 0
    beginStage(state.stageName(step: step), sight)
    tell(.info, "\(state.stageName(step: step)) begins", sight)
    enter(.giveUp, sight)
  }

  /// First the incumbent leaves what the candidate gets: at no moment do both have it.
  private mutating func giveUp(_ sight: RolloutSight) {
    let hours = state.plan.steps[state.step].hours.flatMap(RolloutHours.init)
    if state.step == 0, !state.hasTraded, !state.isPromoted, state.isPaused || !(hours?.contain(wall: sight.wall) ?? true) {
      isWaiting = true
      return
    }
    if isWaiting {
      isWaiting = false
      state.since = sight.now
    }
    if !state.hasTraded, let changed = sight.incumbent.changed {
      return leave(
        "the incumbent was given other parameters since the rollout began (\(changed)), and the hand-over would undo that: pack them as "
          + "a release, make that current, and begin anew", sight)
    }
    let wanted = state.incumbentShares(state.step)
    if isFlattening {
      // With this answer it is known to quote what its release says.
      guard state.hasTraded || state.hasFlattened || sight.incumbent.shares != nil else { return ask(.incumbent, state.all(.one), sight) }
      guard sight.incumbent.isHalted(at: .flatten) else { return flattenIncumbent(sight) }
    } else {
      guard sight.incumbent.shares == wanted else { return ask(.incumbent, wanted, sight) }
      let held = stillHeld(sight.incumbent, wanted)
      guard held.isEmpty else {
        if isLate(state.plan.patience.handOver, sight) {
          retreat(
            "the incumbent did not give up its part within \(state.plan.patience.handOver) s: \(held.joined(separator: "; "))", sight,
            isCandidates: false)
        }
        return
      }
    }
    if !state.hasTraded {
      state.profitBefore = sight.incumbent.profit
      state.incumbentEpoch = sight.incumbent.bootEpoch
    }
    state.hasTraded = true
    state.isPromoted = false
    enter(.takeUp, sight)
    if state.step == 0 { commands.append(.start(.candidate, state.candidateShares(0))) }
  }

  private mutating func flattenIncumbent(_ sight: RolloutSight) {
    state.hasFlattened = true
    if isDue(sight) {
      commands.append(.halt(.incumbent, .flatten, "rollout: \(state.candidate) takes everything over"))
    }
    guard isLate(state.plan.patience.handOver, sight) else { return }
    retreat("the incumbent did not close its positions within \(state.plan.patience.handOver) s", sight, isCandidates: false)
  }

  /// What of the incumbent may still trade above what it has left; a text for each instrument.
  private func stillHeld(_ incumbent: EngineSight, _ wanted: ShareTable) -> [String] {
    let shown = Dictionary(incumbent.instruments.map { ($0.name, $0) }) { first, _ in first }
    return wanted.sorted { $0.key < $1.key }.compactMap { name, share in
      guard let shown = shown[name] else { return "\(name) is not shown" }
      let isLeft = share == .zero ? shown.isEmpty && shown.position == nil : shown.worst <= shown.limit
      guard !isLeft else { return nil }
      return "\(name) has \(shown.position.map { "a position of \($0) lots" } ?? "no position") and may reach \(shown.worstLong) long, "
        + "\(shown.worstShort) short, with a limit of \(shown.limit)"
    }
  }

  private mutating func takeUp(_ sight: RolloutSight) {
    let wanted = state.candidateShares(state.step)
    guard sight.candidate.isRunning else {
      if isDue(sight) { commands.append(.start(.candidate, wanted)) }
      return late("did not start", state.plan.patience.start, sight)
    }
    state.hasRun = true
    guard sight.candidate.isShown else { return late("did not start", state.plan.patience.start, sight) }
    guard sight.candidate.shares == wanted else { return ask(.candidate, wanted, sight) }
    guard sight.candidate.hasTaken(wanted) else { return late("did not quote", state.plan.patience.start, sight) }
    state.keeper = GateKeeper(state.plan.gates, isSameInput: false)
    state.watched = 0
    enter(.watch, sight)
  }

  private mutating func late(_ what: String, _ seconds: Int, _ sight: RolloutSight) {
    guard isLate(seconds, sight) else { return }
    let causes = sight.candidate.lanes.filter { !$0.isQuoting }.map { ": \($0.name): \($0.status)" }.joined()
    retreat("the candidate \(what) within \(seconds) s\(causes)", sight)
  }

  private mutating func watch(_ sight: RolloutSight) {
    // A supervisor that has just begun does not know what is in force.
    let (own, other) = (state.candidateShares(state.step), state.incumbentShares(state.step))
    if sight.candidate.shares != own { ask(.candidate, own, sight) }
    if sight.incumbent.shares != other, !isFlattening { ask(.incumbent, other, sight) }
    let isConfirmed = sight.candidate.shares == own && (isFlattening || sight.incumbent.shares == other)
    unconfirmedSince = isConfirmed ? nil : unconfirmedSince ?? sight.now
    if let since = unconfirmedSince, sight.now - since > Self.second * Nanoseconds(state.plan.patience.handOver) {
      let problem = [sight.candidate.problem, sight.incumbent.problem].compactMap(\.self).first.map { ": \($0)" } ?? ""
      return retreat("the shares in force were not confirmed within \(state.plan.patience.handOver) s\(problem)", sight)
    }
    guard take(sight), hasSeenEnough(state.plan.steps[state.step].watch, sight) else { return }
    let next = state.step + 1
    if state.plan.steps.indices.contains(next), !state.isPromoted,
      let hours = state.plan.steps[next].hours.flatMap(RolloutHours.init), !hours.contain(wall: sight.wall)
    {
      return
    }
    endStage(sight, note: state.isPromoted ? "ended by a person's word" : nil)
    if state.plan.steps.indices.contains(next) {
      enterStep(next, sight)
    } else {
      tell(.info, "\(state.candidate) has everything; the incumbent is ended", sight)
      enter(.settle, sight)
    }
  }

  /// Takes a slice in. False if that ended the stage.
  private mutating func take(_ sight: RolloutSight) -> Bool {
    guard let slice = sight.slice else { return !isOnTheWayBack }
    state.watched += Nanoseconds(slice.candidate.seconds * 1e9)
    state.keeper?.note(candidate: slice.candidate, incumbent: slice.incumbent)
    guard let breach = state.keeper?.breach, let keeper = state.keeper else { return true }
    retreat(
      "gate \(breach.gate): \(breach.evidence), allowed is \(keeper.allowance(of: breach.gate)), confidence "
        + Percent.text(breach.confidence), sight)
    return false
  }

  private mutating func hasSeenEnough(_ watch: RolloutPlan.WatchSection, _ sight: RolloutSight) -> Bool {
    if state.isPromoted { return true }
    guard !state.isPaused else { return false }
    let seen = state.keeper?.candidate ?? SliceFigures()
    let isEnough =
      state.watched >= Self.second * Nanoseconds(watch.atLeastSeconds) && seen.requests >= watch.messages
      && seen.fills >= watch.fills
    if !isEnough, watch.atMostSeconds > 0, sight.now - state.since > Self.second * Nanoseconds(watch.atMostSeconds) {
      retreat(
        "too little was seen in \(watch.atMostSeconds) s: \(seen.requests) of \(watch.messages) messages, \(seen.fills) of "
          + "\(watch.fills) fills", sight, isCandidates: false)
    }
    return isEnough
  }

  private mutating func settle(_ sight: RolloutSight) {
    if sight.incumbent.isRunning {
      if isDue(sight) { commands.append(.terminate(.incumbent)) }
      if isLate(state.plan.patience.stop, sight) {
        state.hasKilled = true
        commands.append(.kill(.incumbent))
      }
      return
    }
    guard sight.incumbent.ordersAtVenue == 0 || isLate(2 * state.plan.patience.stop, sight) else {
      if !sight.incumbent.isSweeping { commands.append(.sweep(.incumbent)) }
      return
    }
    let isVerified = sight.incumbent.ordersAtVenue == 0
    let isCurrent = sight.currentRelease == state.candidate
    if !isTidied || !isCurrent && isDue(sight) {
      isTidied = true
      if state.hasKilled || !isVerified {
        // What keeps services starts one anew that did not end well, and it would begin with everything.
        commands.append(.halt(.incumbent, .cancelAll, "rollout: \(state.candidate) has everything"))
      } else if isFlattening {
        commands.append(.rearm(.incumbent))
      }
      commands.append(.use)
      return
    }
    guard isCurrent || isLate(3 * state.plan.patience.stop, sight) else { return }
    if !isVerified {
      tell(.page, "the venue has not confirmed that no order of \(state.incumbent) is left: look at it", sight)
    }
    if !isCurrent {
      tell(.page, "\(state.candidate) trades, but could not be made the current release: see the lines above, then apus release use", sight)
    }
    state.outcome = .promoted
    finish(sight)
  }

  // MARK: - The way back

  private mutating func halt(_ sight: RolloutSight) {
    let candidate = sight.candidate
    if state.quiet == nil, !candidate.isRunning || candidate.hasObeyed(haltLevel) { state.quiet = sight.now }
    if candidate.isRunning, candidate.isShown, candidate.isHalted(at: haltLevel) { return nothingIsLeft(sight) }
    if candidate.isRunning {
      // One without a sign of life does not answer; its orders are cancelled from outside when it is gone.
      let isSilent = candidate.heartbeatAge > Nanoseconds(state.plan.stops.heartbeatMs) * 1_000_000
      let patience = isSilent ? Self.silentPatience : (haltLevel == .flatten ? 5 : 1) * Self.haltPatience
      if sight.now - state.since > patience {
        commands.append(.kill(.candidate))
      } else if isDue(sight) {
        commands.append(.halt(.candidate, haltLevel, "rollout: \(state.reason ?? "")"))
      }
      return
    }
    if candidate.ordersAtVenue == 0 { return nothingRests(sight) }
    if !candidate.isSweeping { commands.append(.sweep(.candidate)) }
    // The venue's own dead-man timer has had its time by then.
    if sight.now - state.since > 20 * Self.haltPatience {
      tell(.page, "the venue has not confirmed that no order of \(state.candidate) is left: look at it", sight)
      nothingIsLeft(sight)
    }
  }

  /// The candidate is gone, and so are its orders. A position on an account of its own is left.
  private mutating func nothingRests(_ sight: RolloutSight) {
    guard !state.isByInstruments else { return nothingIsLeft(sight) }
    guard state.isClosing else {
      state.isClosing = true
      state.since = sight.now
      return commands.append(.close(.candidate, "rollout: \(state.reason ?? "")"))
    }
    tell(.page, "the positions of \(state.candidate) could not be closed: close them at the venue", sight)
    nothingIsLeft(sight)
  }

  private mutating func nothingIsLeft(_ sight: RolloutSight) {
    state.haltVerified = sight.now
    enter(.giveBack, sight)
    commands.append(.apply(.incumbent, state.all(.one)))
  }

  private mutating func giveBack(_ sight: RolloutSight) {
    keepHalted(sight)
    let all = state.all(.one)
    let incumbent = sight.incumbent
    let isHalted = incumbent.isRunning && incumbent.lanes.contains { $0.latched >= .cancelAll } && !isOurs(incumbent)
    if incumbent.isShown, incumbent.shares == all, isHalted || isLate(state.plan.patience.giveBack, sight) {
      // It has everything and its own reason not to quote, as it might have without a rollout.
      state.givenBack = sight.now
      let causes = incumbent.lanes.filter { !$0.isQuoting || $0.latched >= .cancelAll }.map { ": \($0.name): \($0.cause)" }.joined()
      tell(.page, "\(state.incumbent) has everything again, but does not quote\(causes)", sight)
      return enter(.stop, sight)
    }
    if isLate(state.plan.patience.giveBack, sight) {
      state.isLost = true
      tell(.page, "the incumbent did not come back within \(state.plan.patience.giveBack) s: positions are closed", sight)
      return enter(.flat, sight)
    }
    guard incumbent.isRunning else {
      if isDue(sight) { commands.append(.start(.incumbent, all)) }
      return
    }
    guard incumbent.isShown else { return }
    if incumbent.lanes.contains(where: { $0.latched >= .cancelAll }), isOurs(incumbent), isDue(sight) {
      commands.append(.rearm(.incumbent))
    }
    guard incumbent.shares == all else { return ask(.incumbent, all, sight) }
    guard incumbent.hasTaken(all) else { return }
    state.givenBack = sight.now
    tell(.warn, "\(state.incumbent) has everything again", sight)
    enter(.stop, sight)
  }

  /// The incumbent's latch is this rollout's flattening; any other one is for a person to take back.
  private func isOurs(_ incumbent: EngineSight) -> Bool {
    state.hasFlattened && incumbent.stopCause.hasPrefix("rollout: ")
      && incumbent.lanes.allSatisfy { $0.latched < .cancelAll || EngineSight.isStopWordAlone($0.cause) }
  }

  /// Whoever re-arms the candidate on the way back would have both trade the same.
  private mutating func keepHalted(_ sight: RolloutSight) {
    let candidate = sight.candidate
    guard state.hasTraded, candidate.isRunning, candidate.isShown, !candidate.hasObeyed(haltLevel) else { return }
    commands.append(.halt(.candidate, haltLevel, "rollout: \(state.reason ?? "")"))
  }

  private mutating func stop(_ sight: RolloutSight) {
    keepHalted(sight)
    if state.isLost, !state.isByInstruments, sight.incumbent.isRunning {
      if isDue(sight) { commands.append(.terminate(.incumbent)) }
      if isLate(state.plan.patience.stop, sight) { commands.append(.kill(.incumbent)) }
      return
    }
    if sight.candidate.isRunning {
      if isDue(sight) { commands.append(.terminate(.candidate)) }
      if isLate(state.plan.patience.stop, sight) { commands.append(.kill(.candidate)) }
      return
    }
    guard !state.hasTraded || sight.candidate.ordersAtVenue == 0 || isLate(2 * state.plan.patience.stop, sight) else {
      if !sight.candidate.isSweeping { commands.append(.sweep(.candidate)) }
      return
    }
    guard isTidied else {
      isTidied = true
      if state.hasTraded { commands.append(.rearm(.candidate)) }
      if state.plan.shadow != nil { commands.append(.killShadows) }
      return
    }
    if state.hasTraded, sight.candidate.ordersAtVenue != 0 {
      tell(.page, "the venue has not confirmed that no order of \(state.candidate) is left: look at it", sight)
    }
    state.outcome = state.outcome ?? (state.isLost ? .flat : state.isAborted ? .aborted : .rolledBack)
    finish(sight)
  }

  /// With the incumbent gone, the candidate takes the positions over and closes them; on accounts of their own each is closed.
  private mutating func flatten(_ sight: RolloutSight) {
    guard state.isByInstruments else { return flattenAccount(sight) }
    let all = state.all(.one)
    // One that runs and does not answer could still trade.
    guard !sight.incumbent.isRunning, sight.incumbent.ordersAtVenue == 0 || isLate(state.plan.patience.stop, sight) else {
      if sight.incumbent.isRunning {
        if isDue(sight) { commands.append(.kill(.incumbent)) }
      } else if !sight.incumbent.isSweeping {
        commands.append(.sweep(.incumbent))
      }
      guard isLate(4 * state.plan.patience.giveBack, sight) else { return }
      tell(.page, "the incumbent can neither be reached nor ended: end it, and close the positions at the venue", sight)
      return enter(.stop, sight)
    }
    guard sight.candidate.isRunning, sight.candidate.isShown else {
      tell(.page, "no engine is left to close the positions: close them at the venue", sight)
      return enter(.stop, sight)
    }
    if isDue(sight) {
      commands.append(.halt(.candidate, .flatten, "rollout: the incumbent cannot come back"))
    }
    guard sight.candidate.shares == all else { return ask(.candidate, all, sight) }
    if sight.candidate.isHalted(at: .flatten), sight.candidate.instruments.allSatisfy({ $0.position == 0 }) {
      tell(.page, "no position is left; nothing trades", sight)
      return enter(.stop, sight)
    }
    guard isLate(4 * state.plan.patience.giveBack, sight) else { return }
    tell(.page, "positions could not be closed in time: close them at the venue", sight)
    enter(.stop, sight)
  }

  /// The candidate is flat on its own account; the incumbent's has what the incumbent left.
  private mutating func flattenAccount(_ sight: RolloutSight) {
    if isDue(sight) { commands.append(.close(.incumbent, "rollout: the incumbent cannot come back")) }
    if sight.incumbent.isRunning, sight.incumbent.isHalted(at: .flatten) {
      tell(.page, "no position is left; nothing trades", sight)
      return enter(.stop, sight)
    }
    guard isLate(4 * state.plan.patience.giveBack, sight) else { return }
    tell(.page, "the positions of \(state.incumbent) could not be closed in time: close them at the venue", sight)
    enter(.stop, sight)
  }

  // MARK: - Small things

  /// Other shares, unless they are under way.
  private mutating func ask(_ role: RolloutRole, _ shares: ShareTable, _ sight: RolloutSight) {
    let engine = role == .candidate ? sight.candidate : sight.incumbent
    if !engine.isApplying { commands.append(.apply(role, shares)) }
    guard isExposed, state.phase != .watch, isLate(state.plan.patience.handOver, sight) else { return }
    retreat(
      "the \(role.rawValue) did not take other shares over within \(state.plan.patience.handOver) s"
        + (engine.problem.map { ": \($0)" } ?? ""), sight, isCandidates: role == .candidate)
  }

  private func isLate(_ seconds: Int, _ sight: RolloutSight) -> Bool {
    sight.now - state.since > Self.second * Nanoseconds(seconds)
  }

  /// The first turn of a phase, or time to insist.
  private func isDue(_ sight: RolloutSight) -> Bool {
    last <= state.since || (last - state.since) / Self.insistence != (sight.now - state.since) / Self.insistence
  }

  private mutating func enter(_ phase: RolloutPhase, _ sight: RolloutSight) {
    state.phase = phase
    state.since = sight.now
  }

  private mutating func finish(_ sight: RolloutSight) {
    enter(.done, sight)
    let reason = state.reason.map { ": \($0)" } ?? ""
    tell(state.outcome == .promoted ? .info : .warn, "ended, \(state.outcome?.text ?? "")\(reason)", sight)
  }

  private mutating func beginStage(_ name: String, _ sight: RolloutSight, sameInput: Bool = false) {
    state.stages.append(RolloutStage(name: name, began: sight.wall))
    state.keeper = GateKeeper(state.plan.gates, isSameInput: sameInput)
    state.watched = 0
  }

  private mutating func endStage(_ sight: RolloutSight, note: String?) {
    guard !state.stages.isEmpty, state.stages[state.stages.count - 1].ended == nil else { return }
    let last = state.stages.count - 1
    state.stages[last].ended = sight.wall
    if let keeper = state.keeper {
      state.stages[last].candidate = keeper.candidate
      state.stages[last].incumbent = keeper.incumbent
      state.stages[last].verdicts = keeper.verdicts
    }
    if let note { state.stages[last].notes.append(note) }
  }

  private mutating func note(_ lines: [String]) {
    guard !state.stages.isEmpty else { return }
    state.stages[state.stages.count - 1].notes += lines
  }

  private mutating func tell(_ severity: AlertSeverity, _ text: String, _ sight: RolloutSight) {
    commands.append(.tell(severity, text))
  }
}

extension RolloutOutcome {
  /// For people.
  public var text: String {
    switch self {
    case .promoted: "promoted"
    case .rejected: "rejected"
    case .rolledBack: "rolled back"
    case .flat: "rolled back, and flat: the incumbent did not come back"
    case .aborted: "aborted"
    }
  }
}

enum Percent {
  /// `99.97 %`; never rounded up to certainty.
  static func text(_ part: Double) -> String {
    let hundredths = Int((min(max(part, 0), 1) * 10_000).rounded(.down))
    let rest = hundredths % 100
    return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) %"
  }
}
