import Apus
import ApusRelease
import CSupport
import Foundation

/// What has to be true before a rollout begins, and what it begins with.
struct RolloutPreparation {
  let store: RolloutStore
  let candidate: Release
  let candidateConfiguration: Configuration

  /// What forbids this rollout, in sentences, but for a person's override.
  private(set) var broken: [String] = []

  /// Failures of one release after which it is not tried again.
  static let mostFailures = 2

  init(candidate directory: String) throws(RolloutError) {
    guard let place = realpath(directory, nil) else {
      let error = SystemError("read the release \(directory)", result: -errno)
      let url = URL(fileURLWithPath: directory).standardizedFileURL
      let store = RolloutStore(root: ReleaseRoot(path: url.deletingLastPathComponent().path))
      guard let state = try store.state(), state.phase != .done, state.candidate == url.lastPathComponent else {
        throw RolloutError(.unreadable, error)
      }
      throw RolloutError(.unreadable, "\(error): its rollout is under way; \(store.wayOut(of: state))")
    }
    defer { free(place) }
    let path = String(cString: place)
    store = RolloutStore(root: ReleaseRoot(path: URL(fileURLWithPath: path).deletingLastPathComponent().path))
    candidate = try Self.release(path)
    candidateConfiguration = try Self.configuration(candidate)
  }

  private static func release(_ path: String) throws(RolloutError) -> Release {
    do throws(ReleaseError) {
      return try Release(directory: path)
    } catch {
      throw RolloutError(error.kind == .damaged ? .damaged : .unreadable, error.description)
    }
  }

  private static func configuration(_ release: Release) throws(RolloutError) -> Configuration {
    do {
      return try ConfigurationFile.load(path: release.configurationPath)
    } catch {
      throw RolloutError(.configuration, "\(error)")
    }
  }

  func incumbent(_ state: RolloutState) throws(RolloutError) -> Release {
    try Self.release("\(store.root.path)/\(state.incumbent)")
  }

  func incumbentConfiguration(_ state: RolloutState) throws(RolloutError) -> Configuration {
    try Self.configuration(try incumbent(state))
  }

  /// Where the rollout stands that is under way, or the beginning of a new one.
  mutating func state(plan: RolloutPlan, override: String?) throws(RolloutError) -> RolloutState {
    let (name, checksum) = (candidate.manifest.name, candidate.manifest.contentSha256)
    if let state = try store.state(), state.phase != .done {
      guard state.candidate != name || state.checksum == checksum else {
        throw RolloutError(.busy, "\(name) is not what it was when its rollout began; \(store.wayOut(of: state))")
      }
      guard state.candidate == name else {
        throw RolloutError(
          .busy,
          "a rollout of \(state.candidate) is under way (\(state.phase.rawValue)): go on with it by apus rollout --candidate "
            + "\(store.root.path)/\(state.candidate), and abort it there if it is not wanted")
      }
      return state
    }
    guard let current = store.root.current else {
      throw RolloutError(
        .unreadable,
        "no release is current in \(store.root.path), so there is nothing to replace: apus release use \(store.root.path) NAME")
    }
    guard current != name else {
      throw RolloutError(.arguments, "\(name) is the current release already: give the one that is to replace it")
    }
    let failures = store.history().filter { $0.checksum == checksum && $0.isFailure }
    if failures.count >= Self.mostFailures {
      let rule = "\(name) has failed \(failures.count) times, the last time: \(failures.last?.reason ?? "for no reason that is known")"
      guard override != nil else {
        throw RolloutError(.notPermitted, "\(rule); pack what is mended as a new release, or say why it is tried again: --override REASON")
      }
      broken.append(rule)
    }
    if let rule = store.root.promotionProblem(of: candidate) {
      guard override != nil else { throw RolloutError(.notPermitted, "\(rule); or say why it need not: --override REASON") }
      broken.append(rule)
    }
    if let missing = plan.recordingPaths.first(where: { !FileManager.default.fileExists(atPath: $0) }) {
      throw RolloutError(.unreadable, "the plan's recordings name \(missing), which is not there: correct the path, or leave it out")
    }
    let incumbent = try Self.release("\(store.root.path)/\(current)")
    let before = try Self.configuration(incumbent)
    try check(against: before, plan)
    let slots = try slots(before)
    let now = TelemetrySnapshot.monotonicNow
    let at = WallTime.now()
    let id = "\(at.filter { $0.isNumber || $0 == "T" })-\(name)"
    // One that was begun within the same second has the name already.
    let namesakes = store.history().count { $0.rollout == id || $0.rollout.hasPrefix("\(id).") }
    var state = RolloutState(
      id: namesakes == 0 ? id : "\(id).\(namesakes + 1)", candidate: name, checksum: checksum, incumbent: current,
      engineName: before.engine.name, slots: slots, plan: plan,
      instruments: EngineHandle.instruments(of: candidateConfiguration), now: now,
      wall: Int64(Date.now.timeIntervalSince1970 * 1e9))
    state.override = override
    state.incumbentPlacing = try checkLive(state)
    return state
  }

  /// Which of the two slots the incumbent has.
  private func slots(_ before: Configuration) throws(RolloutError) -> (candidate: EngineSlot, incumbent: EngineSlot) {
    let (first, second) = (EngineSlot.first(before), EngineSlot.second(before))
    switch (first.isTaken, second.isTaken) {
    case (true, false): return (EngineSlot.second(before), first)
    case (false, true): return (EngineSlot.first(before), second)
    case (true, true):
      throw RolloutError(
        .busy,
        "engines run with \(first.dataDirectory) and with \(second.dataDirectory): stop the one that is not the incumbent")
    case (false, false):
      throw RolloutError(
        .unreachable,
        "no engine runs with \(first.dataDirectory) or \(second.dataDirectory): start the incumbent, apus run --config "
          + "\(store.root.path)/current/config.yaml, and begin then")
    }
  }

  /// What two engines can share, and what not.
  private func check(against before: Configuration, _ plan: RolloutPlan) throws(RolloutError) {
    for (name, configuration) in [("the candidate", candidateConfiguration), ("the current release", before)] {
      guard let lane = configuration.lanes.first(where: { $0.instruments.contains { $0.share != nil } }) else { continue }
      throw RolloutError(
        .arguments,
        "\(name) gives shares of its own at \(lane.venue.name): a rollout gives them from one engine to the other; pack it without")
    }
    let (own, theirs) = (EngineHandle.instruments(of: candidateConfiguration), EngineHandle.instruments(of: before))
    guard own == theirs else {
      let changed = Set(own).symmetricDifference(theirs).sorted().joined(separator: ", ")
      throw RolloutError(
        .arguments,
        "both releases have to quote the same instruments in the same order, which is not so for \(changed.isEmpty ? "their order" : changed): "
          + "bring new instruments in with apus release use and a restart")
    }
    guard candidateConfiguration.mode == before.mode, candidateConfiguration.engine.name == before.engine.name else {
      throw RolloutError(
        .arguments,
        "the candidate is \(candidateConfiguration.engine.name) for \(candidateConfiguration.mode.rawValue), the current release "
          + "\(before.engine.name) for \(before.mode.rawValue): both have to be the same")
    }
    let common = [candidateConfiguration, before].contains { !$0.underlyings.isEmpty || $0.manager.maxExposure > .zero }
    if common, plan.steps.count > 1 {
      throw RolloutError(
        .arguments,
        "limits that instruments share (underlyings, manager.max_exposure) hold within one engine: two of them could reach "
          + "them twice. Hand over everything at once: a plan with one step, - instruments: 100%")
    }
    try checkAccounts(before, plan)
    let names = Set(own)
    for section in plan.steps {
      guard case .named(let wanted)? = section.instruments.flatMap(RolloutSelection.init) else { continue }
      guard let missing = wanted.first(where: { !names.contains($0) }) else { continue }
      throw RolloutError(.arguments, "the plan names \(missing), but the release quotes \(own.joined(separator: ", "))")
    }
  }

  /// Instruments pass whole on one account, whose position goes with them; a part of a size needs an account of its own.
  private func checkAccounts(_ before: Configuration, _ plan: RolloutPlan) throws(RolloutError) {
    func accounts(_ configuration: Configuration) -> [String] {
      configuration.lanes.filter { $0.venue.role == .quote }.map { "\($0.venue.name) \($0.venue.keyID) \($0.venue.account ?? "")" }
    }
    let (own, theirs) = (accounts(candidateConfiguration), accounts(before))
    if plan.steps.first?.size != nil {
      guard let same = own.first(where: { theirs.contains($0) }) else { return }
      throw RolloutError(
        .arguments,
        "the plan goes by size, but candidate and incumbent have the same account (\(same)): a venue knows one position an account. "
          + "Give the candidate's configuration a key or an account of its own, or hand over instruments")
    }
    guard own != theirs else { return }
    throw RolloutError(
      .arguments,
      "the plan hands over instruments with their positions, but the accounts differ (\(own.joined(separator: ", ")) and "
        + "\(theirs.joined(separator: ", "))): use the incumbent's key and account, or steps by size")
  }

  /// The incumbent has to quote what its release says: what it is given back is that.
  ///
  /// - Returns: How it was started.
  func checkLive(_ state: RolloutState) throws(RolloutError) -> EnginePlacing {
    let release = try incumbentConfiguration(state)
    for (who, slot) in [("the incumbent", state.incumbentSlot), ("the candidate's place", state.candidateSlot)] {
      guard let stop = (try? TelemetryReader(path: slot.telemetryPath))?.snapshot().stop, stop.level >= .cancelAll else { continue }
      // What a rollout has left in a place is taken back by the next one.
      guard slot == state.incumbentSlot || !stop.cause.hasPrefix("rollout: ") else { continue }
      throw RolloutError(
        .notPermitted,
        "\(who) is halted (\(stop.cause)): find out why, and re-arm it with apus resume --telemetry \(slot.telemetryPath)")
    }
    var found: String?
    for placing in EnginePlacing.allCases {
      do throws(SystemError) {
        let text = ConfigurationFile.text(of: release.placed(in: state.incumbentSlot, placing))
        guard
          let answer = try ParameterRequest.send(
            text, dataDirectory: state.incumbentSlot.dataDirectory, seconds: 5, isTrial: true)
        else {
          throw SystemError("ask the incumbent for its parameters", result: -ETIMEDOUT)
        }
        guard answer.refusal != nil || !answer.changes.isEmpty else { return placing }
        found = found ?? answer.refusal ?? answer.changes.joined(separator: "; ")
      } catch {
        throw RolloutError(.unreachable, error.description)
      }
    }
    throw RolloutError(
      .notPermitted,
      "the engine of \(state.incumbentSlot.dataDirectory) does not run with the configuration of the current release, "
        + "\(state.incumbent): \(found ?? "it differs"); apply that, make the release current that it runs with, or pack what it quotes as one")
  }
}

extension RolloutPlan {
  /// Directories of recorded sessions.
  var recordingPaths: [String] {
    (staging.recordings ?? "").split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) }.filter { !$0.isEmpty }
  }
}
