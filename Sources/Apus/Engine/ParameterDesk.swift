import FoundationEssentials
import Glibc

/// How one process asks a running engine for other parameters: a request beside the engine's other files, and an answer.
///
/// The directory `parameters` of the data directory, which only the owner may enter, has `request.yaml` until the engine
/// takes it, then `answer.json`. Requesters take turns by a lock on `lock`.
public struct ParameterAnswer: Codable, Equatable, Sendable {
  /// Why nothing was changed; `nil`: it was.
  public var refusal: String?
  /// With `refusal`: a lane had not taken the parameters over in time; it will.
  public var isLate = false
  /// The version by which every lane quotes now; of a refusal that of before.
  public var version: UInt32 = 0
  /// `key before → after`, in the order of the keys.
  public var changes: [String] = []
  /// From handing the parameters to the lanes until each of them had taken them over.
  public var effectiveMicroseconds: Int64 = 0

  static func directory(of data: String) -> String { data + "/parameters" }
}

/// Asks an engine for other parameters, from another process.
public enum ParameterRequest {
  /// Hands `text`, a whole configuration in YAML, to the engine that runs with this data directory, and waits for its answer.
  ///
  /// - Parameters:
  ///   - seconds: how long; after that the request is withdrawn.
  ///   - isTrial: nothing is changed, only answered.
  /// - Returns: `nil` if there was no answer.
  public static func send(
    _ text: String, dataDirectory: String, seconds: Double, isTrial: Bool = false
  ) throws(SystemError) -> ParameterAnswer? {
    let directory = ParameterAnswer.directory(of: dataDirectory)
    if mkdir(directory, 0o700) != 0, errno != EEXIST { throw SystemError("make \(directory)", result: -errno) }
    let lock = open(directory + "/lock", O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
    guard lock >= 0 else { throw SystemError("open \(directory)/lock", result: -errno) }
    defer { close(lock) }
    let end = Date.now.timeIntervalSince1970 + seconds
    while flock(lock, LOCK_EX | LOCK_NB) != 0 {
      guard Date.now.timeIntervalSince1970 < end else { return nil }
      usleep(10_000)
    }
    let answer = directory + "/answer.json"
    unlink(answer)
    let request = directory + (isTrial ? "/trial.yaml" : "/request.yaml")
    try WholeFile.write(Array(text.utf8), to: request, mode: 0o600)
    while Date.now.timeIntervalSince1970 < end {
      if let data = FileManager.default.contents(atPath: answer) {
        return try? JSONDecoder().decode(ParameterAnswer.self, from: data)
      }
      usleep(500)
    }
    unlink(request)
    return nil
  }
}

/// The engine's end: takes requests and answers them when the lanes have. On the helper's thread.
final class ParameterDesk {
  private let engine: Engine
  private let directory: String
  /// Handed to the lanes, and not yet taken over by all of them.
  private var pending: (answer: ParameterAnswer, since: Nanoseconds)?

  /// A lane that has not taken them over by then is stalled; it does when it goes on.
  private static let patience: Nanoseconds = 2_000_000_000

  init(_ engine: Engine) {
    self.engine = engine
    directory = ParameterAnswer.directory(of: engine.configuration.engine.dataDirectory)
    // Of a life before: nobody waits for it.
    for name in ["request", "trial"] { unlink("\(directory)/\(name).yaml") }
  }

  func turn(now: Nanoseconds) {
    if let pending { return settle(pending.answer, now - pending.since) }
    if take("request") { return answer { try self.engine.adopt($0) } }
    if take("trial") { answer { _ = try self.engine.liveConfiguration.adopting($0) } }
  }

  /// A system call while there is nothing.
  private func take(_ name: String) -> Bool {
    rename("\(directory)/\(name).yaml", directory + "/taken.yaml") == 0
  }

  private func answer(_ adopt: (Configuration) throws -> Void) {
    var answer = ParameterAnswer(version: engine.parameterVersion)
    let before = engine.liveConfiguration
    do {
      let new = try ConfigurationFile.load(path: directory + "/taken.yaml")
      try adopt(new)
      answer.changes = before.differences(to: new).map(\.description)
      guard engine.offeredVersion > answer.version else { return write(answer) }
      answer.version = engine.offeredVersion
      pending = (answer, EngineClock.now())
    } catch {
      answer.refusal = "\(error)"
      write(answer)
    }
  }

  private func settle(_ answer: ParameterAnswer, _ elapsed: Nanoseconds) {
    var answer = answer
    if engine.parameterVersion >= answer.version {
      answer.effectiveMicroseconds = engine.parameterDelay / 1000
    } else if elapsed > Self.patience {
      answer.isLate = true
      answer.refusal =
        "a lane has not taken the parameters over within 2 s, as one that stalls does not: it will when it goes on; look at "
        + "apus top"
    } else {
      return
    }
    pending = nil
    write(answer)
  }

  private func write(_ answer: ParameterAnswer) {
    // Who asked sees that there is no answer.
    guard let data = try? JSONEncoder().encode(answer) else { return }
    try? WholeFile.write(Array(data), to: directory + "/answer.json", mode: 0o600)
  }
}
