import Apus
import ApusRelease
import Foundation

/// Lies in an engine's data directory while a rollout has divided the instruments between two engines: whoever starts one
/// there, as a service does after a crash, would give it everything. Only the rollout's supervisor may.
public struct RolloutMark: Codable, Equatable, Sendable {
  /// Of the releases.
  var root: String
  var rollout: String

  /// The supervisor's word to the engines that it starts: the rollout's name.
  static let variable = "APUS_ROLLOUT"

  private static func path(_ dataDirectory: String) -> String { "\(dataDirectory)/rollout.json" }

  func write(to dataDirectory: String) throws(SystemError) {
    // The second slot has no directory before its first engine.
    if mkdir(dataDirectory, 0o700) != 0, errno != EEXIST { throw SystemError("make \(dataDirectory)", result: -errno) }
    let text = (try? JSONEncoder().encode(self)) ?? Data()
    try WholeFile.write(Array(text), to: Self.path(dataDirectory), mode: 0o600)
  }

  static func remove(from dataDirectory: String) { unlink(path(dataDirectory)) }

  /// Why no engine may be started there now; `nil`: it may. What a rollout has left that has ended since is removed.
  public static func problem(
    dataDirectory: String, environment: [String: String] = ProcessInfo.processInfo.environment
  ) -> String? {
    guard let data = FileManager.default.contents(atPath: path(dataDirectory)),
      let mark = try? JSONDecoder().decode(Self.self, from: data), environment[variable] != mark.rollout
    else { return nil }
    let store = RolloutStore(root: ReleaseRoot(path: mark.root))
    let who: String
    do {
      guard let state = try store.state(), state.id == mark.rollout, state.phase != .done else {
        remove(from: dataDirectory)
        return nil
      }
      who = "the rollout of \(state.candidate) against \(state.incumbent) is under way (\(state.words))"
    } catch {
      who = "it is not known how the rollout \(mark.rollout) stands (\(error))"
    }
    return "\(who), and its supervisor starts the engines of \(dataDirectory): another one would trade what the rollout has given away. Start "
      + "the supervisor again, apus rollout --candidate …, or end the rollout, apus rollout abort or forget \(mark.root)"
  }
}
