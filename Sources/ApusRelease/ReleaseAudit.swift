public import Apus
import FoundationEssentials
import Glibc

/// One line of `audit.jsonl`: what somebody did to the releases of a root. Written before it is done.
public struct AuditLine: Codable, Equatable, Sendable {
  public enum Act: String, Codable, Sendable {
    /// Became the current release.
    case use
    /// Became it again.
    case back
    /// Was given a pass.
    case passed
    /// Was rolled out against a rule.
    case rollout
  }
  /// UTC, RFC 3339.
  public var at: String
  public var user: String
  public var what: Act
  public var release: String
  public var mode: EngineMode
  /// The current release before.
  public var from: String?
  /// Why a rule was overridden, by the user's word.
  public var why: String?
  /// The rule that was, in a sentence.
  public var overridden: String?

  /// Who runs this; with sudo, who asked for it too.
  public static func currentUser() -> String {
    let user = getpwuid(geteuid()).map { String(cString: $0.pointee.pw_name) } ?? "user \(geteuid())"
    guard let asker = getenv("SUDO_USER").map({ String(cString: $0) }), asker != user else { return user }
    return "\(user) for \(asker)"
  }
}

/// The file of these lines; only ever appended to.
struct ReleaseAudit {
  let path: String

  func append(_ line: AuditLine) throws(ReleaseError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    do {
      try Files.append(line: String(decoding: try encoder.encode(line), as: UTF8.self), to: path)
    } catch let error as SystemError {
      throw ReleaseError(.unwritable, error)
    } catch {
      throw ReleaseError(.unwritable, "could not write \(path): \(error)")
    }
  }

  /// Oldest first; a line that was cut short by the end of its writer has not happened. No file: no lines.
  func lines() throws(ReleaseError) -> [AuditLine] {
    let bytes: [UInt8]
    do {
      bytes = try Files.read(path, limit: 256 << 20)
    } catch {
      if error.code == ENOENT { return [] }
      throw ReleaseError(.unreadable, error)
    }
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return bytes.split(separator: 10).compactMap { try? decoder.decode(AuditLine.self, from: Data($0)) }
  }

  /// Releases that were current before `current`, the last one last. A line whose switch did not follow, because the
  /// process ended in between, is recognised by where the next one began.
  static func before(_ current: String?, _ lines: [AuditLine]) -> [String] {
    let switches = lines.filter { $0.what == .use || $0.what == .back }
    var stack: [String] = []
    for (index, line) in switches.enumerated() {
      let next = index + 1 < switches.count ? switches[index + 1].from : current
      guard next == line.release else { continue }
      switch line.what {
      case .use: if let from = line.from { stack.append(from) }
      case .back: _ = stack.popLast()
      case .passed, .rollout: break
      }
    }
    return stack
  }
}
