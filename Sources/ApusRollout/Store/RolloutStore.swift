public import Apus
public import ApusRelease
import Foundation

/// Why a rollout was not begun, or a request not made; a sentence for an operator.
public struct RolloutError: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    case arguments, configuration, unreadable, unwritable, damaged, busy, notPermitted, unreachable
  }
  public let kind: Kind
  public let description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  init(_ kind: Kind, _ error: SystemError) { self.init(kind, error.description) }
}

/// One line of a rollout's journal.
public struct RolloutLine: Codable, Equatable, Sendable {
  /// UTC, RFC 3339.
  public var at: String
  public var rollout: String
  public var severity: AlertSeverity
  public var text: String

  public init(at: String, rollout: String, severity: AlertSeverity, text: String) {
    self.at = at
    self.rollout = rollout
    self.severity = severity
    self.text = text
  }
}

/// How one rollout ended; a line of `history.jsonl`.
public struct RolloutHistoryLine: Codable, Equatable, Sendable {
  public var at: String
  public var rollout: String
  public var candidate: String
  /// Of the candidate's content: another release of the same name is another one.
  public var checksum: String
  public var incumbent: String
  public var outcome: RolloutOutcome
  /// It does not count against the release: the incumbent had ended, or was halted.
  public var isBlameless: Bool?
  public var reason: String?
  /// What was overridden to begin it.
  public var overridden: String?

  /// Counts against the release.
  public var isFailure: Bool { outcome.isFailure && isBlameless != true }
}

/// Where a root of releases keeps its rollout: state, journal, requests, what engines print, reports.
///
/// All below `ROOT/rollout`, which only its owner may enter. Any process; `lock` lets one supervisor in.
public struct RolloutStore: Sendable {
  public let root: ReleaseRoot
  public var directory: String { "\(root.path)/\(ReleaseRoot.rolloutName)" }
  var enginesDirectory: String { "\(directory)/engines" }
  private var requestsDirectory: String { "\(directory)/requests" }
  public var reportsDirectory: String { "\(directory)/reports" }
  private var statePath: String { "\(directory)/state.json" }
  public var journalPath: String { "\(directory)/journal.jsonl" }
  var baselinePath: String { "\(directory)/baseline.json" }
  private var historyPath: String { "\(directory)/history.jsonl" }

  public init(root: ReleaseRoot) { self.root = root }

  func makeDirectories() throws(RolloutError) {
    for path in [directory, enginesDirectory, requestsDirectory, reportsDirectory] {
      guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
        throw RolloutError(.unwritable, SystemError("make \(path)", result: -errno))
      }
    }
  }

  /// Held by the one supervisor, and let go by its end, however that comes.
  func lock() throws(RolloutError) -> DirectoryLock {
    do {
      var lock = try DirectoryLock.attempt(directory)
      // Whoever asks whether one is at work has it for a moment, too.
      for _ in 0..<20 where lock == nil {
        usleep(10_000)
        lock = try DirectoryLock.attempt(directory)
      }
      guard let lock else {
        let who = (try? state()).map { " (\($0.candidate) against \($0.incumbent), \($0.phase.rawValue))" } ?? ""
        throw RolloutError(
          .busy, "another supervisor is at work in \(directory)\(who): look at it with apus rollout status \(root.path)")
      }
      return lock
    } catch let error as RolloutError {
      throw error
    } catch {
      throw RolloutError(.unwritable, "\(error)")
    }
  }

  /// Whether a supervisor is at work.
  public var isSupervised: Bool {
    do {
      switch try DirectoryLock.attempt(directory) {
      case .some: return false
      case nil: return true
      }
    } catch {
      return false
    }
  }

  // MARK: - State

  /// `nil`: there never was a rollout.
  ///
  /// - Throws: if the file cannot be read: then nobody knows whether one is under way.
  public func state() throws(RolloutError) -> RolloutState? {
    struct Head: Decodable { var version: Int }
    guard let data = FileManager.default.contents(atPath: statePath) else {
      if access(statePath, F_OK) != 0, errno == ENOENT { return nil }
      throw RolloutError(.unreadable, SystemError("read the state of the rollout, \(statePath)", result: -(errno == 0 ? EIO : errno)))
    }
    let decoder = JSONDecoder()
    if let state = try? decoder.decode(RolloutState.self, from: data), state.version == RolloutState.newestVersion { return state }
    let version = (try? decoder.decode(Head.self, from: data)).map { "version \($0.version)" } ?? "\(data.count) bytes that are none"
    throw RolloutError(
      .damaged,
      "\(statePath) is not a state that this program reads (\(version); it reads version \(RolloutState.newestVersion)): go on with the "
        + "program that began the rollout; if nothing of it runs any more, move the file away")
  }

  func save(_ state: RolloutState) throws(RolloutError) {
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      try WholeFile.write(Array(try encoder.encode(state)), to: statePath, mode: 0o600)
    } catch {
      throw RolloutError(.unwritable, "the state of the rollout could not be written: \(error)")
    }
  }

  // MARK: - Journal and history

  func note(_ line: RolloutLine) throws(RolloutError) { try append(line, to: journalPath) }

  /// Newest last; those of one rollout, or all.
  public func lines(of rollout: String? = nil) -> [RolloutLine] {
    read(journalPath).filter { rollout == nil || $0.rollout == rollout }
  }

  func note(_ line: RolloutHistoryLine) throws(RolloutError) { try append(line, to: historyPath) }

  public func history() -> [RolloutHistoryLine] { read(historyPath) }

  /// Why nobody but its supervisor may switch releases now; `nil`: no rollout is under way.
  public var switchProblem: String? {
    let state: RolloutState
    do throws(RolloutError) {
      guard let found = try self.state(), found.phase != .done else { return nil }
      state = found
    } catch {
      return error.description
    }
    return "a rollout of \(state.candidate) against \(state.incumbent) is under way (\(state.words)), and it switches releases itself: "
      + "end it first, apus rollout abort \(root.path)" + (isSupervised ? "" : ", after starting its supervisor again")
  }

  /// What to do where a rollout cannot go on, for its candidate is not there any more.
  func wayOut(of state: RolloutState) -> String {
    "put the release back as it was, or end the record of its rollout: apus rollout forget \(root.path) --why REASON"
  }

  private func append(_ line: some Encodable, to path: String) throws(RolloutError) {
    do {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      try Files.append(line: String(decoding: try encoder.encode(line), as: UTF8.self), to: path)
    } catch {
      throw RolloutError(.unwritable, "\(error)")
    }
  }

  /// A line that was cut short by the end of its writer is left out.
  private func read<Line: Decodable>(_ path: String) -> [Line] {
    guard let data = FileManager.default.contents(atPath: path) else { return [] }
    return data.split(separator: 10).compactMap { try? JSONDecoder().decode(Line.self, from: Data($0)) }
  }

  // MARK: - Requests

  /// - Throws: if no supervisor is at work that would obey.
  public func ask(_ request: RolloutRequest) throws(RolloutError) {
    let state = try state()
    let isUnderWay = state.map { $0.phase != .done } ?? false
    guard isUnderWay, isSupervised else {
      let advice = isUnderWay ? ": start it again, it goes on where it was" : ", and no rollout is under way"
      throw RolloutError(.unreachable, "no supervisor is at work in \(directory)\(advice)")
    }
    var request = request
    request.rollout = state?.id
    request.stage = state?.stageKey
    do {
      let path = "\(requestsDirectory)/\(WallTime.now())-\(getpid()).json"
      try WholeFile.write(Array(try JSONEncoder().encode(request)), to: path, mode: 0o600)
    } catch {
      throw RolloutError(.unwritable, "\(error)")
    }
  }

  /// In the order in which they were made.
  func takeRequests() -> [RolloutRequest] {
    guard let names = try? FileManager.default.contentsOfDirectory(atPath: requestsDirectory), !names.isEmpty else { return [] }
    return names.filter { $0.hasSuffix(".json") }.sorted().compactMap { name in
      let path = "\(requestsDirectory)/\(name)"
      defer { unlink(path) }
      return FileManager.default.contents(atPath: path).flatMap { try? JSONDecoder().decode(RolloutRequest.self, from: $0) }
    }
  }
}
