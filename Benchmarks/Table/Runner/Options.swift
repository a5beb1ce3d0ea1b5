/// What the command line asks for.
struct Options {
  var json: String?
  var peers: String?
  var pattern: Regex<AnyRegexOutput>?
  var isQuick = false
  var merges: [String] = []
  var cores: (Int, Int?)?

  static let help = """
    Times every in-memory row of the table, ours and the peers round by round, and prints one table.
    Usually run by tools/bench, which builds the peers as well.

      --json FILE      also write the rows to FILE, as a JSON array
      --peers LIBRARY  shared library with the peers
      --rows PATTERN   only rows whose key or title matches the regular expression
      --quick          fewer rounds: a look, not a result
      --merge FILE     add the rows of another program's JSON file; may be given again
      --cores A[,B]    measure on core A, with B for the second thread; default: the last two allowed
      --help

    Exit codes: 0 all rows printed, 1 a row or a peer failed (it is named), 64 wrong arguments.
    """

  init(_ arguments: [String]) throws(OptionError) {
    var rest = arguments[...]
    func value(_ option: String) throws(OptionError) -> String {
      guard let value = rest.popFirst() else { throw OptionError("\(option) needs a value") }
      return value
    }
    while let option = rest.popFirst() {
      switch option {
      case "--json": json = try value(option)
      case "--peers": peers = try value(option)
      case "--rows":
        let text = try value(option)
        do { pattern = try Regex(text).ignoresCase() } catch {
          throw OptionError("--rows: \(text) is not a regular expression")
        }
      case "--quick": isQuick = true
      case "--merge": merges.append(try value(option))
      case "--cores":
        let text = try value(option)
        let numbers = text.split(separator: ",").map { Int($0) }
        guard (1...2).contains(numbers.count), !numbers.contains(where: { ($0 ?? -1) < 0 }), let first = numbers[0]
        else { throw OptionError("--cores takes one or two core numbers, 0,1 say; found \(text)") }
        cores = (first, numbers.count == 2 ? numbers[1] : nil)
      case "--help", "-h": throw OptionError(nil)
      default: throw OptionError("unknown option \(option); see --help")
      }
    }
  }

  func wants(_ texts: String...) -> Bool {
    guard let pattern else { return true }
    return texts.contains { $0.contains(pattern) }
  }
}

/// `nil`: the help was asked for.
struct OptionError: Error {
  let text: String?
  init(_ text: String?) { self.text = text }
}
