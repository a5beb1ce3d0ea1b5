/// Everything that is wrong with one configuration file, in the order of its lines (R51).
///
/// Holds only what may be shown: values that look like secrets were replaced when the problem was found (R57).
public struct ConfigurationError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The file, as it was named by the caller.
  public let path: String
  /// At least one.
  public let problems: [ConfigurationProblem]

  /// One line a problem, in the form `file:line:column: sentence` that editors can jump to.
  public var description: String {
    problems.map { problem in
      guard let place = problem.place else { return "\(path): \(problem.sentence)" }
      return "\(path):\(place): \(problem.sentence)"
    }.joined(separator: "\n")
  }
}

/// One mistake: where, which key, and a sentence with the value found, what is allowed, and what to do.
public struct ConfigurationProblem: Equatable, Sendable {
  /// `nil` if the file as a whole is meant.
  public let place: ConfigurationPlace?
  /// Path of the key, instruments counted from 0: `instruments[1].ladder.levels`. Empty for the whole file.
  public let key: String
  public let sentence: String
}

/// A position in a file; both numbers count from 1, columns in Unicode scalars.
public struct ConfigurationPlace: Hashable, Comparable, Sendable, CustomStringConvertible {
  public let line: Int
  public let column: Int

  public static func < (left: Self, right: Self) -> Bool {
    (left.line, left.column) < (right.line, right.column)
  }

  public var description: String { "\(line):\(column)" }
}

/// How a text from a file is quoted in a message, if it may be (R57).
package enum ShownText {
  /// In quotation marks, shortened to 60 characters; text that looks like a secret is only described.
  package static func of(_ text: String) -> String {
    if looksSecret(text) { return "a text of \(text.count) characters that looks like a secret and is not shown" }
    if text.contains(where: \.isNewline) { return "a text of several lines" }
    var shown = ""
    for character in text.prefix(60) {
      let isControl = character.unicodeScalars.contains { $0.properties.generalCategory == .control }
      shown += isControl ? "\u{FFFD}" : String(character)
    }
    return "\"\(shown)\(text.count > 60 ? "…" : "")\""
  }

  /// PEM, a JSON web token, credentials in a URL, a UUID, or 20 and more letters and digits in a row.
  ///
  /// Wide on purpose: a path or a name that is hidden for nothing can be read in the file.
  package static func looksSecret(_ text: String) -> Bool {
    if text.contains("-----BEGIN") || text.contains("PRIVATE KEY") || text.hasPrefix("eyJ") { return true }
    if let scheme = text.firstRange(of: "://"), text[scheme.upperBound...].contains(where: { $0 == "@" || $0 == "?" }) {
      return true
    }
    if text.split(whereSeparator: { !$0.isHexDigit && $0 != "-" }).contains(where: isUUID) { return true }
    return text.split(whereSeparator: { !($0.isASCII && ($0.isLetter || $0.isNumber || $0 == "+" || $0 == "=")) })
      .contains { $0.count >= 20 && $0.contains(where: \.isLetter) && $0.contains(where: \.isNumber) }
  }

  private static func isUUID(_ text: Substring) -> Bool {
    let parts = text.split(separator: "-", omittingEmptySubsequences: false)
    return parts.map(\.count) == [8, 4, 4, 4, 12] && parts.allSatisfy { $0.allSatisfy(\.isHexDigit) }
  }
}
