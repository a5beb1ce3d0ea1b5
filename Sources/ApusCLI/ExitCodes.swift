import Apus
import ArgumentParser
import Foundation

/// What the process's exit code says; stable, and named in the README.
enum Exit {
  /// The books of engine and venue differ (`apus demo`).
  static let booksDiffer = ExitCode(1)
  /// A replay is not what was recorded (`apus replay`).
  static let replayDiffers = ExitCode(1)
  /// What is left of a damaged journal is equal, or exported, but there was more (`apus replay`, `apus export`).
  static let damaged = ExitCode(65)
  /// What was asked for needs a restart, or cannot be; nothing has changed (`apus apply`).
  static let refusedContent = ExitCode(65)
  /// A file that is to be read is not there or cannot be read.
  static let unreadable = ExitCode(66)
  /// What is to be written cannot be.
  static let cannotCreate = ExitCode(73)
  /// Stopped, but the venue did not confirm that no order is left.
  static let unverified = ExitCode(75)
  /// The venue could not be reached, or its certificate is not trusted.
  static let unreachable = ExitCode(69)
  /// The operating system refused something: a full disk, a missing permission, an unsupported kernel.
  static let system = ExitCode(71)
  /// The venue refused the login or the session.
  static let refused = ExitCode(77)
  /// The arguments do not fit what they are about; wrong ones give the same code.
  static let usage = ExitCode(64)
  /// The configuration is wrong.
  static let configuration = ExitCode(78)

  static func code(of kind: EngineError.Kind) -> ExitCode {
    switch kind {
    case .configuration: configuration
    case .system: system
    case .unreachable: unreachable
    case .refused: refused
    }
  }

  /// Prints one line on standard error and ends with `code`.
  static func fail(_ code: ExitCode, _ text: String) -> ExitCode {
    FileHandle.standardError.write(Data("apus: \(text)\n".utf8))
    return code
  }
}
