import Yams

/// A file as a tree of nodes with their places.
///
/// Yams refuses a mapping that has a key twice and names only the first place. To report such keys along with
/// everything else, the later ones are renamed in the text, without moving anything, until the tree is whole.
struct ConfigurationYAML {
  struct Duplicate { let name: String, first: ConfigurationPlace }

  /// `nil`: the file is empty, or `failure` says why there is none.
  private(set) var root: Node?
  private(set) var failure: ConfigurationProblem?
  /// By the stand-in that took the later key's place.
  private(set) var duplicates: [String: Duplicate] = [:]

  init(_ text: String) {
    var scalars = Array(text.unicodeScalars)
    // Some editors begin a file with a byte order mark, which would count as indentation.
    if scalars.first == "\u{FEFF}" { scalars.removeFirst() }
    while true {
      switch Self.compose(scalars) {
      case .whole(let root):
        self.root = root
        return
      case .broken(let failure):
        self.failure = failure
        return
      case .twice(let name, let first):
        // Each round takes care of one name in one mapping; a file with this many is not worth repairing.
        guard duplicates.count < 32, let later = Self.laterPlaces(of: name, first, in: scalars) else {
          failure = ConfigurationProblem(
            place: first, key: name, sentence: "\(ShownText.of(name)) is given more than once here: keep one of them")
          return
        }
        for start in later {
          // From the private use area: no key of a file that a person writes, and YAML takes it for text.
          guard let mark = Unicode.Scalar(0xE000 + UInt32(duplicates.count)) else { continue }
          let count = name.unicodeScalars.count
          scalars.replaceSubrange(start..<(start + count), with: repeatElement(mark, count: count))
          duplicates[String(String.UnicodeScalarView(repeatElement(mark, count: count)))] =
            Duplicate(name: name, first: first)
        }
      }
    }
  }

  private enum Outcome {
    case whole(Node?)
    case twice(name: String, first: ConfigurationPlace)
    case broken(ConfigurationProblem)
  }

  private static func compose(_ scalars: [Unicode.Scalar]) -> Outcome {
    let text = String(String.UnicodeScalarView(scalars))
    do {
      return .whole(try Yams.compose(yaml: text, .default, .default, .utf8))
    } catch YamlError.duplicatedKeysInMapping(let names, let context) {
      return .twice(name: names.min() ?? "", first: ConfigurationPlace(context.mark))
    } catch {
      return .broken(problem(error, text))
    }
  }

  /// Where the key is given again in the mapping that has it at `first`: the occurrences without which, all
  /// others being renamed, the mapping would be in order.
  private static func laterPlaces(
    of name: String, _ first: ConfigurationPlace, in scalars: [Unicode.Scalar]
  ) -> [Int]? {
    let wanted = Array(name.unicodeScalars)
    guard !wanted.isEmpty, let start = offset(of: first, in: scalars), holds(wanted, at: start, scalars) else {
      return nil
    }
    var candidates: [Int] = []
    // A key in quotation marks begins one later than its place.
    var index = start + wanted.count + (scalars[start] == wanted[0] ? 0 : 1)
    while index + wanted.count <= scalars.count {
      if scalars[index..<(index + wanted.count)].elementsEqual(wanted), isBoundary(scalars[index - 1]),
        index + wanted.count == scalars.count || isBoundary(scalars[index + wanted.count])
      {
        candidates.append(index)
        index += wanted.count
      } else {
        index += 1
      }
    }
    guard !candidates.isEmpty, candidates.count <= 256 else { return nil }
    let later = candidates.filter { kept in
      var trial = scalars
      for (number, candidate) in candidates.enumerated() where candidate != kept {
        guard let mark = Unicode.Scalar(0xF000 + UInt32(number)) else { continue }
        trial.replaceSubrange(candidate..<(candidate + wanted.count), with: repeatElement(mark, count: wanted.count))
      }
      if case .twice(name, first) = compose(trial) { return true }
      return false
    }
    return later.isEmpty ? nil : later
  }

  /// Whether the key stands at `start`, plain or after a quotation mark.
  private static func holds(_ wanted: [Unicode.Scalar], at start: Int, _ scalars: [Unicode.Scalar]) -> Bool {
    scalars[start...].starts(with: wanted) || scalars[(start + 1)...].starts(with: wanted)
  }

  private static func isBoundary(_ scalar: Unicode.Scalar) -> Bool {
    !(scalar.properties.isAlphabetic || scalar.properties.numericType != nil || scalar == "_" || scalar == "-")
  }

  private static func offset(of place: ConfigurationPlace, in scalars: [Unicode.Scalar]) -> Int? {
    var line = 1
    var index = 0
    while line < place.line, index < scalars.count {
      let isBreak =
        switch scalars[index] {
        case "\n", "\u{85}", "\u{2028}", "\u{2029}": true
        case "\r": index + 1 == scalars.count || scalars[index + 1] != "\n"
        default: false
        }
      if isBreak { line += 1 }
      index += 1
    }
    let offset = index + place.column - 1
    return line == place.line && offset < scalars.count ? offset : nil
  }

  /// What Yams says, without the piece of the file that it quotes (R57).
  private static func problem(_ error: any Error, _ text: String) -> ConfigurationProblem {
    func problem(_ place: ConfigurationPlace?, _ what: String, _ advice: String) -> ConfigurationProblem {
      ConfigurationProblem(place: place, key: "", sentence: "this is not YAML, \(what): \(advice)")
    }
    switch error {
    case YamlError.scanner(let context, let what, let mark, _), YamlError.parser(let context, let what, let mark, _):
      // A key without its colon is noticed on the line after, or after the last line.
      if let context, what == "could not find expected ':'" {
        return problem(
          ConfigurationPlace(context.mark), "there is no colon after this", "write a colon and a space after each key")
      }
      let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
      let place = ConfigurationPlace(
        line: min(mark.line, lines.count), column: mark.line > lines.count ? 1 : mark.column)
      let isIndentedByTab = lines[place.line - 1].prefix { $0 == " " || $0 == "\t" }.contains("\t")
      let advice =
        isIndentedByTab
        ? "indent with spaces instead of tabs"
        : what.hasPrefix("mapping values are not allowed")
          ? "add the colon that is missing on the line before, or correct the indentation"
          : "check indentation, colons and quotation marks here and just before"
      let began = context.map { " (\($0.text) that began on line \($0.mark.line))" } ?? ""
      return problem(place, what + began, advice)
    case YamlError.composer(_, let what, let mark, _):
      let advice =
        what.contains("another document")
        ? "keep one document and remove the line ---" : "define the anchor before its use"
      return problem(ConfigurationPlace(mark), what, advice)
    case YamlError.reader(let what, let offset?, _, _):
      let before = text.prefix(offset)
      let line = before.count(where: \.isNewline) + 1
      let column = before.reversed().prefix { !$0.isNewline }.count + 1
      return problem(ConfigurationPlace(line: line, column: column), what, "remove that character")
    default: return problem(nil, "it could not be read", "check that the file is a plain text in UTF-8")
    }
  }
}

extension ConfigurationPlace {
  init(_ mark: Mark) { self.init(line: mark.line, column: mark.column) }
}
