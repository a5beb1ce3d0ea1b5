/// Guesses what a mistyped key was meant to be.
enum Spelling {
  /// The closest of `words`, or `nil` if none is close.
  static func closest(to word: String, among words: [String]) -> String? {
    let plain = normalised(word)
    guard plain.count >= 2, plain.count <= 64 else { return nil }
    if let same = words.first(where: { normalised($0) == plain }) { return same }
    if plain.count >= 4,
      let longer = words.filter({ normalised($0).hasPrefix(plain) || plain.hasPrefix(normalised($0)) })
        .min(by: { abs($0.count - word.count) < abs($1.count - word.count) })
    {
      return longer
    }
    let ranked = words.map { (word: $0, distance: distance(normalised($0), plain)) }
    guard let best = ranked.min(by: { $0.distance < $1.distance }), best.distance <= max(1, plain.count / 3) else {
      return nil
    }
    return best.word
  }

  /// Without case and separators: `maxPosition`, `max-position` and `max_position` are the same.
  private static func normalised(_ word: String) -> [Character] {
    word.lowercased().filter { $0 != "_" && $0 != "-" && $0 != " " }.map(\.self)
  }

  /// Insertions, deletions, substitutions and swaps of neighbours that turn one into the other.
  static func distance(_ a: [Character], _ b: [Character]) -> Int {
    var rows = [Array(0...b.count)]
    for i in 0..<a.count {
      var row = [i + 1]
      for j in 0..<b.count {
        var least = min(rows[i][j + 1] + 1, row[j] + 1, rows[i][j] + (a[i] == b[j] ? 0 : 1))
        if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { least = min(least, rows[i - 1][j - 1] + 1) }
        row.append(least)
      }
      rows.append(row)
    }
    return rows[a.count][b.count]
  }
}

extension [Character] {
  fileprivate func hasPrefix(_ other: [Character]) -> Bool { starts(with: other) }
}
