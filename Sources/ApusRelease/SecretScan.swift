import Apus

/// A configuration holds no secrets, only their whereabouts; but somebody may have put one beside them.
enum SecretScan {
  /// What is wrong, with the line's number and none of its text (R57); `nil` if nothing is.
  static func problem(_ text: String) -> String? {
    for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated() {
      if let found = found(line) {
        return "line \(index + 1) has what looks like \(found), and a release is read by more people than a secret may "
          + "be: take it out"
      }
    }
    return nil
  }

  private static func found(_ line: Substring) -> String? {
    if line.contains("-----BEGIN") || line.contains("PRIVATE KEY") { return "a private key" }
    let words = line.split { $0.isWhitespace || "\"'".contains($0) }
    if words.contains(where: { $0.hasPrefix("eyJ") && $0.count >= 20 }) { return "a token" }
    if words.contains(where: hasCredentials) { return "a URL with a password" }
    // Values were read, and are what they should be: an API key's id is long and not secret.
    guard let comment = line.firstRange(of: " #")?.lowerBound ?? (line.hasPrefix("#") ? line.startIndex : nil),
      line[comment...].split(whereSeparator: \.isWhitespace).contains(where: { ShownText.looksSecret(String($0)) })
    else { return nil }
    return "a key or a token in its comment"
  }

  private static func hasCredentials(_ word: Substring) -> Bool {
    guard let scheme = word.firstRange(of: "://") else { return false }
    return word[scheme.upperBound...].prefix { $0 != "/" }.contains("@")
  }
}
