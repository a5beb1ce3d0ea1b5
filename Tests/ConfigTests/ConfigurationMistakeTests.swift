import Testing

@testable import Apus

/// Single keys: types, ranges, spelling, absence. Cross-checks are in `ConfigurationCheckTests`.
@Suite struct ConfigurationMistakeTests {
  struct Mistake: Sendable, CustomTestStringConvertible {
    let old, new, message: String
    init(_ old: String, _ new: String, _ message: String) { (self.old, self.new, self.message) = (old, new, message) }
    var testDescription: String { new }
  }

  @Test(arguments: [
    Mistake(
      "levels: 3", "levels: 33",
      "a.yaml:11:15: instruments[0].ladder.levels is 33, but must be a whole number from 1 to 32: lower it to 32 or less"
    ),
    Mistake(
      "levels: 3", "levels: 0",
      "a.yaml:11:15: instruments[0].ladder.levels is 0, but must be a whole number from 1 to 32: raise it to 1 or more"),
    Mistake(
      "levels: 3", "levels: -99999999999999999999",
      "a.yaml:11:15: instruments[0].ladder.levels is -99999999999999999999, but must be a whole number from 1 to 32: "
        + "raise it to 1 or more"),
    Mistake(
      "levels: 3", "levels: 99999999999999999999",
      "a.yaml:11:15: instruments[0].ladder.levels is 99999999999999999999, but must be a whole number from 1 to 32: "
        + "lower it to 32 or less"),
    Mistake(
      "levels: 3", "levels: 3.0",
      "a.yaml:11:15: instruments[0].ladder.levels is 3.0, but must be a whole number from 1 to 32: "
        + "write it without decimals"),
    Mistake(
      "levels: 3", "levels: three",
      "a.yaml:11:15: instruments[0].ladder.levels is \"three\", but must be a whole number from 1 to 32: "
        + "write it in digits, for example 1"),
    Mistake(
      "levels: 3", "levels: 1_0",
      "a.yaml:11:15: instruments[0].ladder.levels is 1_0, but must be a whole number from 1 to 32: "
        + "write it without separators"),
    Mistake(
      "levels: 3", "levels: [3]",
      "a.yaml:11:15: instruments[0].ladder.levels is a list, but must be a whole number from 1 to 32: "
        + "give a single value"),
    Mistake(
      "levels: 3", "levels: {a: 3}",
      "a.yaml:11:15: instruments[0].ladder.levels is a mapping, but must be a whole number from 1 to 32: "
        + "give a single value"),
    Mistake(
      "levels: 3", "levels:",
      "a.yaml:11:7: instruments[0].ladder.levels has no value, but must be a whole number from 1 to 32: give it one"),
    Mistake(
      "levels: 3", "levels: ~",
      "a.yaml:11:7: instruments[0].ladder.levels has no value, but must be a whole number from 1 to 32: give it one"),
    Mistake(
      "levels: 3", "levels: !!int 3\n      growth: !env G",
      "a.yaml:12:15: instruments[0].ladder.growth has a YAML tag, but tags are not supported: write the value alone"),
  ])
  func `R51_ a whole number that is not one, or out of range, is named with its place and the range`(mistake: Mistake) {
    #expect(Sample.problems(mistake.old, mistake.new).first == mistake.message)
  }

  @Test(arguments: [
    ("0.355", "0.355", "round it to 2 decimals"),
    ("0.123456789", "0.123456789", "round it to 8 decimals"),
    ("-0.01", "-0.01", "raise it to 0 or more"),
    ("1000.01", "1000.01", "lower it to 1000 or less"),
    ("0,35", "0,35", "write a point for the decimals, and nothing between thousands"),
    ("3.5e-1", "3.5e-1", "write it without sign or exponent"),
    ("+1", "+1", "write it without sign or exponent"),
    (".35", ".35", "write a 0 before the point"),
    ("1.", "1.", "write it without the last point"),
    ("0.35bps", "\"0.35bps\"", "write the number alone, its unit is part of the key"),
    ("0.35 %", "\"0.35 %\"", "write the number alone, its unit is part of the key"),
    (".inf", "\".inf\"", "write it in digits, for example 1"),
    ("tight", "\"tight\"", "write it in digits, for example 1"),
    ("''", "\"\"", "write it in digits, for example 1"),
    ("true", "true", "write it in digits, for example 1"),
  ])
  func `R51_ a decimal that is not one is named with what to do`(written: String, shown: String, advice: String) {
    #expect(
      Sample.problems("half_spread_bps: 0.35", "half_spread_bps: \(written)") == [
        "a.yaml:12:24: instruments[0].ladder.half_spread_bps is \(shown), but must be a decimal from 0 to 1000 "
          + "with at most 2 decimals: \(advice)"
      ])
  }

  @Test func `a number in quotation marks is a number, and trailing zeros are not decimals`() throws {
    let text = Sample.text("half_spread_bps: 0.35", "half_spread_bps: \"0.35000000\"")
    #expect(try ConfigurationFile.parse(text) == ConfigurationFile.parse(Sample.text))
  }

  @Test(arguments: [
    Mistake(
      "name: desk_1", "name: Desk-A",
      "a.yaml:2:9: engine.name is \"Desk-A\", but must be 1 to 12 characters of a-z 0-9 _: choose another name, "
        + "for example desk_1"),
    Mistake(
      "name: desk_1", "name: thirteen_long",
      "a.yaml:2:9: engine.name is \"thirteen_long\", but must be 1 to 12 characters of a-z 0-9 _: choose another name, "
        + "for example desk_1"),
    Mistake(
      "name: desk_1", "name: dësk",
      "a.yaml:2:9: engine.name is \"dësk\", but must be 1 to 12 characters of a-z 0-9 _: choose another name, "
        + "for example desk_1"),
    Mistake(
      "name: desk_1", "name: \"\"",
      "a.yaml:2:9: engine.name is \"\", but must be 1 to 12 characters of a-z 0-9 _: choose another name, "
        + "for example desk_1"),
    Mistake(
      "name: desk_1", "name: desk_1\n  core: first",
      "a.yaml:3:9: engine.core is \"first\", but must be auto, none, or the number of a core from 0 to 1023: "
        + "write auto if in doubt"),
    Mistake(
      "name: desk_1", "name: desk_1\n  core: 1024",
      "a.yaml:3:9: engine.core is 1024, but must be auto, none, or the number of a core from 0 to 1023: "
        + "give one of the cores that lscpu lists"),
    Mistake(
      "name: desk_1", "name: desk_1\n  idle: spinn",
      "a.yaml:3:9: engine.idle is \"spinn\", but must be one of spin, yield, park: did you mean spin?"),
    Mistake(
      "name: desk_1", "name: desk_1\n  driver: iouring",
      "a.yaml:3:11: engine.driver is \"iouring\", but must be one of auto, io_uring, epoll: did you mean io_uring?"),
    Mistake(
      "name: desk_1", "name: desk_1\n  driver: kqueue",
      "a.yaml:3:11: engine.driver is \"kqueue\", but must be one of auto, io_uring, epoll: choose one of them"),
    Mistake(
      "name: desk_1", "name: desk_1\n  idle_spin_us: -1",
      "a.yaml:3:17: engine.idle_spin_us is -1, but must be a whole number from 0 to 1000000: raise it to 0 or more"),
    Mistake(
      "name: desk_1", "name: desk_1\n  idle: sleep",
      "a.yaml:3:9: engine.idle is \"sleep\", but must be one of spin, yield, park: choose one of them"),
    Mistake(
      "name: desk_1", "name: desk_1\n  journal: yes",
      "a.yaml:3:12: engine.journal is \"yes\", but must be true or false: write true"),
    Mistake(
      "data_directory: data", "data_directory: ~/data",
      "a.yaml:3:19: engine.data_directory is \"~/data\", but must be the path of a directory: "
        + "write the home directory out, ~ is not replaced"),
    Mistake(
      "data_directory: data", "data_directory: $HOME/data",
      "a.yaml:3:19: engine.data_directory is \"$HOME/data\", but must be the path of a directory: "
        + "write the path out, variables are not replaced"),
    Mistake(
      "key_id: K1", "key_id: K1\n  kind: binance",
      "a.yaml:7:9: venue.kind is \"binance\", but must be one of thalex, deribit, bybit: choose one of them"),
    Mistake(
      "key_id: K1", "key_id: K 1",
      "a.yaml:6:11: venue.key_id is \"K 1\", but must be 1 to 64 characters of A-Z a-z 0-9 - _ .: "
        + "copy the id that the venue shows next to the key"),
    Mistake(
      "private_key_file: key.pem", "private_key_env: $KEY",
      "a.yaml:7:20: venue.private_key_env is \"$KEY\", but must be the name of an environment variable: "
        + "give the variable's name, not what it holds"),
    Mistake(
      "name: ETH-PERPETUAL", "name: ETH PERPETUAL",
      "a.yaml:22:11: instruments[1].name is \"ETH PERPETUAL\", but must be 1 to 64 characters of A-Z a-z 0-9 - _ . : /: "
        + "copy the name from the venue, for example BTC-PERPETUAL"),
    Mistake(
      "engine:", "version: 2\nengine:",
      "a.yaml:1:10: version is 2, but must be 1: lower it to 1 or less"),
  ])
  func `R51_ a text that is not allowed is named with what is`(mistake: Mistake) {
    #expect(Sample.problems(mistake.old, mistake.new) == [mistake.message])
  }

  @Test(arguments: [
    ("https://thalex.com/ws", "write wss:// instead of https://"),
    ("http://thalex.com/ws", "write ws:// instead of http://"),
    ("ftp://thalex.com/ws", "use the scheme wss:// (or ws:// for a venue without TLS)"),
    ("WSS://thalex.com/ws", "use the scheme wss:// (or ws:// for a venue without TLS)"),
    ("thalex.com/ws", "begin it with wss:// (or ws:// for a venue without TLS)"),
    ("wss://thalex.com", "add the path, for example /ws/api/v2"),
    ("wss:///ws", "give a host name or an address between :// and the path"),
    ("wss://tha lex.com/ws", "give a host name or an address between :// and the path"),
    ("wss://thalex.com/ws api", "shorten the path to 255 characters without spaces"),
    ("ws://127.0.0.1/ws", "add the port, for example ws://127.0.0.1:8765/ws/api/v2"),
    ("wss://thalex.com:0/ws", "give a port from 1 to 65535"),
    ("wss://thalex.com:65536/ws", "give a port from 1 to 65535"),
    ("wss://thalex.com:/ws", "give a port from 1 to 65535"),
    ("wss://thalex.com:1:2/ws", "give a port from 1 to 65535"),
    ("wss://thalex.com/ws#x", "end it with the path, without ? and #"),
    ("wss://[::1/ws", "close the bracket of the address"),
    ("wss://[::1]8/ws", "write an IPv6 address as [::1]:8765"),
  ])
  func `R51_ a url that cannot be used is named with what to do`(url: String, advice: String) {
    #expect(
      Sample.problems("url: wss://testnet.thalex.com/ws/api/v2", "url: \"\(url)\"") == [
        "a.yaml:5:8: venue.url is \"\(url)\", but must be ws://host:port/path or wss://host[:port]/path: \(advice)"
      ])
  }

  @Test func `a url is taken apart`() {
    let secure = VenueAddress("wss://thalex.com/ws/api/v2")
    #expect(secure?.isEncrypted == true)
    #expect(secure?.host == "thalex.com")
    #expect(secure?.port == 443)
    #expect(secure?.path == "/ws/api/v2")
    #expect(secure?.hostField == "thalex.com")
    let plain = VenueAddress("ws://[::1]:8765/")
    #expect(plain?.isEncrypted == false)
    #expect(plain?.host == "::1")
    #expect(plain?.port == 8765)
    #expect(plain?.path == "/")
    #expect(plain?.hostField == "[::1]:8765")
    #expect(VenueAddress("wss://a:8443/b")?.hostField == "a:8443")
    #expect(VenueAddress("ws://a:80/b")?.hostField == "a")
    #expect(VenueAddress("wss://a") == nil)
  }

  // MARK: Keys

  private static let ladderKeys =
    "around, levels, half_spread_bps, step_ticks, size, growth, skew_bps, mark_weight, keep_within_ticks, keep_size"

  @Test(arguments: [
    ("level", "did you mean levels?"),
    ("Levels", "did you mean levels?"),
    ("half_spread", "did you mean half_spread_bps?"),
    ("halfSpreadBps", "did you mean half_spread_bps?"),
    ("half-spread-bps", "did you mean half_spread_bps?"),
    ("keep_sise", "did you mean keep_size?"),
    ("max_position", "move it to instruments[].limits"),
    ("stale_after_ms", "move it to instruments[]"),
    ("version", "move it to the top of the file"),
    ("colour", "remove it"),
    ("<<", "merge keys are not supported, write the keys out"),
  ])
  func `R51_ an unknown key is an error that names the closest known one`(key: String, advice: String) {
    let problems = Sample.problems("      skew_bps: 1\n", "      skew_bps: 1\n      \(key): 1\n")
    // A key that is given already is suggested if no other is closer.
    let expected = advice
    #expect(
      problems == [
        "a.yaml:16:7: instruments[0].ladder.\(key) is not a key, allowed are \(Self.ladderKeys): \(expected)"
      ])
  }

  @Test func `R51_ a mistyped key is reported together with the one that is missing for it`() {
    #expect(
      Sample.problems("max_position: 0.5", "maxposition: 0.5") == [
        "a.yaml:16:5: instruments[0].limits.max_position is missing, but is required: add it, a decimal above 0, "
          + "at most 100000000",
        "a.yaml:17:7: instruments[0].limits.maxposition is not a key, allowed are max_position, max_order, "
          + "max_notional, collar_bps, max_orders: did you mean max_position?",
      ])
  }

  @Test func `R51_ an unknown section is an error`() {
    #expect(
      Sample.problems("engine:", "manger: {}\nengine:") == [
        "a.yaml:1:1: manger is not a key, allowed are version, engine, journal, venue, instruments, venues, defaults, manager, underlyings, safety, watchdog, shadow: did you mean manager?"
      ])
  }

  @Test func `R51_ a key given twice is an error at the second place, however it is written`() {
    #expect(
      Sample.problems("  data_directory: data\n", "  data_directory: data\n  name: other\n") == [
        "a.yaml:4:3: engine.name is given twice, but must be given once: keep one of this and line 2"
      ])
    #expect(
      Sample.problems("venue:\n", "engine: {name: x, data_directory: y}\nvenue:\n") == [
        "a.yaml:4:1: engine is given twice, but must be given once: keep one of this and line 1"
      ])
    #expect(
      Sample.problems("  name: desk_1\n  data_directory: data\n", "  {name: a, \"data_directory\": b, name: c}\n")
        == ["a.yaml:2:34: engine.name is given twice, but must be given once: keep one of this and line 2"])
    #expect(
      Sample.problems("levels: 1", "\"levels\": 1\n      # levels: 4\n      levels: 2") == [
        "a.yaml:26:7: instruments[1].ladder.levels is given twice, but must be given once: keep one of this and line 24"
      ])
  }

  @Test func `R51_ keys given three times, and several such keys, are all reported with the other mistakes`() {
    let problems = Sample.problems(
      Sample.text("size: 1\n", "size: 1\n      size: 2\n      size: 3\n      step_ticks: 4\n      levels: x\n")
        .replacing("  name: desk_1", with: "  name: desk_1\n  core: x"))
    #expect(
      problems.map { $0.prefix { $0 != " " } } == [
        "a.yaml:3:9:", "a.yaml:29:7:", "a.yaml:30:7:", "a.yaml:31:7:", "a.yaml:32:7:",
      ])
    #expect(problems.filter { $0.contains("is given twice") }.count == 4)
  }

  @Test func `R51_ keys that are no words are an error`() {
    #expect(
      Sample.problems("  name: desk_1\n", "  name: desk_1\n  [a]: 1\n") == [
        "a.yaml:3:3: engine has a key that is a list, but keys must be words: write it as a word"
      ])
  }

  @Test func `R51_ all problems of a file come together, in the order of its lines`() {
    let text = Sample.text
      .replacing("name: desk_1", with: "nam: desk_1")
      .replacing("url: wss", with: "url: http")
      .replacing("levels: 1", with: "levels: many")
      .replacing("max_orders: 2", with: "max_orders: -2")
      .replacing("step_ticks: 2", with: "step_ticks: 2.5")
    let problems = Sample.problems(text)
    #expect(
      problems.map { $0.prefix { $0 != " " } } == [
        "a.yaml:1:1:", "a.yaml:2:3:", "a.yaml:5:8:", "a.yaml:13:19:", "a.yaml:24:15:", "a.yaml:34:19:",
      ])
  }

  // MARK: Absence

  @Test(arguments: [
    "name", "data_directory", "url", "key_id", "levels", "half_spread_bps", "step_ticks", "size", "skew_bps",
  ])
  func `R51_ a required key that is missing is named at its section`(key: String) {
    let lines = Sample.text.split(separator: "\n", omittingEmptySubsequences: false)
    let line = lines.firstIndex { $0.drop { $0 == " " }.hasPrefix("\(key):") } ?? 0
    let problems = Sample.problems((lines[..<line] + lines[(line + 1)...]).joined(separator: "\n"))
    #expect(problems.count == 1)
    #expect(problems.first?.contains(".\(key) is missing, but is required: add it, ") == true)
  }

  @Test(arguments: ["max_position", "max_order", "max_notional", "collar_bps", "max_orders"])
  func `R54_ a limit that is left out is an error: there are no default limits`(key: String) {
    let lines = Sample.text.split(separator: "\n", omittingEmptySubsequences: false)
    let line = lines.firstIndex { $0.drop { $0 == " " }.hasPrefix("\(key):") } ?? 0
    let problems = Sample.problems((lines[..<line] + lines[(line + 1)...]).joined(separator: "\n"))
    #expect(problems.count == 1)
    #expect(
      problems.first?.hasPrefix("a.yaml:16:5: instruments[0].limits.\(key) is missing, but is required: add it, ")
        == true)
  }

  @Test func `R54_ an instrument without limits is an error`() {
    let start = Sample.text.ranges(of: "    limits:")[1].lowerBound
    #expect(
      Sample.problems(String(Sample.text[..<start])) == [
        "a.yaml:22:5: instruments[1].limits is missing, but is required: add it with max_position, max_order, "
          + "max_notional, collar_bps, max_orders"
      ])
  }

  @Test func `R54_ limits of zero are no limits`() {
    for key in ["max_position: 0.5", "max_order: 0.1", "max_notional: 20000", "collar_bps: 20"] {
      let name = key.prefix { $0 != ":" }
      let problems = Sample.problems(key, "\(name): 0")
      #expect(problems.count == 1)
      #expect(problems.first?.contains("is 0, but must be a decimal above 0") == true)
    }
  }

  @Test(arguments: [
    ("instruments:\n", "a.yaml:1:1: instruments is empty"),
    ("instruments: []\n", "a.yaml:1:14: instruments has 0 entries, but must have 1 to 512: add one"),
    ("instruments: BTC-PERPETUAL\n", "a.yaml:1:14: instruments is \"BTC-PERPETUAL\""),
    ("instruments: {name: A}\n", "a.yaml:1:14: instruments is a mapping"),
    ("instruments: [A]\n", "a.yaml:1:15: instruments[0] is \"A\", but must be a mapping"),
  ])
  func `R51_ instruments that are no list are an error`(text: String, start: String) {
    #expect(Sample.problems(text).contains { $0.hasPrefix(start) })
  }

  @Test func `more instruments than an engine holds are refused`() {
    let problems = Sample.problems("instruments: [\(Array(repeating: "{}", count: 513).joined(separator: ", "))]\n")
    #expect(
      problems.contains {
        $0.hasSuffix("instruments has 513 entries, but must have 1 to 512: give the others to a second engine")
      })
  }

  @Test func `a section whose keys are all commented out has its defaults`() throws {
    let text = Sample.text + "manager:\n  # max_loss: 5\n"
    #expect(try ConfigurationFile.parse(text).manager == ManagerSection())
  }
}
