import Foundation
import Testing

@testable import Apus

@Suite struct ConfigurationFileTests {
  private static let examples = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../tools/configs").standardizedFileURL.path

  @Test func `a file is read value by value, and what it leaves out gets its default`() throws {
    let configuration = try ConfigurationFile.parse(Sample.text)
    let ladder = LadderSection(
      levels: 3, halfSpreadBps: DecimalE8(e8: 35_000_000), stepTicks: 2, size: DecimalE8(e8: 2_000_000), skewBps: .one)
    let limits = LimitsSection(
      maxPosition: DecimalE8(e8: 50_000_000), maxOrder: DecimalE8(e8: 10_000_000),
      maxNotional: DecimalE8(e8: 2_000_000_000_000), collarBps: DecimalE8(e8: 2_000_000_000), maxOrders: 12)
    #expect(configuration.version == 1)
    #expect(configuration.engine == EngineSection(name: "desk_1", dataDirectory: "data"))
    #expect(configuration.engine.core == .automatic)
    #expect(configuration.engine.journal)
    #expect(configuration.engine.rehearsal)
    #expect(
      configuration.venue
        == VenueSection(url: "wss://testnet.thalex.com/ws/api/v2", keyID: "K1", privateKeyFile: "key.pem"))
    #expect(configuration.instruments.count == 2)
    #expect(configuration.instruments.first == InstrumentSection(name: "BTC-PERPETUAL", ladder: ladder, limits: limits))
    #expect(configuration.instruments.last?.limits.collarBps == DecimalE8("10.5"))
    #expect(configuration.manager == ManagerSection())
  }

  @Test(arguments: ["thalex-testnet.yaml", "demo.yaml"])
  func `the example files load`(name: String) throws {
    let configuration = try ConfigurationFile.load(path: "\(Self.examples)/\(name)")
    #expect(configuration.instruments.map(\.name) == ["BTC-PERPETUAL"])
    #expect(try ConfigurationFile.parse(ConfigurationFile.text(of: configuration)) == configuration)
  }

  @Test func `the example of several venues loads`() throws {
    let configuration = try ConfigurationFile.load(path: "\(Self.examples)/several-venues.yaml")
    #expect(configuration.lanes.map(\.venue.kind) == [.thalex, .deribit])
    #expect(configuration.underlyings.first?.hedge == "deribit:BTC_USDC-PERPETUAL")
  }

  @Test func `the examples of strategies load, and name the strategies that they show`() throws {
    let one = try ConfigurationFile.load(path: "\(Self.examples)/strategies.yaml")
    #expect(one.instruments.map(\.strategy.kind) == [.glft, .avellanedaStoikov, .options, .options, .options, .options])
    #expect(one.instruments.map { $0.orderFlow != nil } == [true, false, false, false, false, false])
    let two = try ConfigurationFile.load(path: "\(Self.examples)/make-and-hedge.yaml")
    #expect(two.lanes.map { $0.instruments[0].strategy.kind } == [.makeAndHedge, .ladder])
  }

  @Test func `the demonstration's file says what the demonstration needs`() throws {
    let configuration = try ConfigurationFile.load(path: "\(Self.examples)/demo.yaml")
    #expect(VenueAddress(configuration.venue.url)?.port == 8765)
    let instrument = try #require(configuration.instruments.first)
    #expect(instrument.ladder.levels == 3)
    #expect(instrument.ladder.halfSpreadBps == DecimalE8("0.3"))
    #expect(instrument.ladder.stepTicks == 2)
    #expect(instrument.ladder.size == DecimalE8("0.02"))
    #expect(instrument.ladder.skewBps == .one)
    #expect(instrument.limits.maxPosition == DecimalE8("0.5"))
  }

  @Test func `the full example has every key, each with a comment`() throws {
    let text = try String(contentsOfFile: "\(Self.examples)/thalex-testnet.yaml", encoding: .utf8)
    let lines = text.split(separator: "\n")
    for section in ConfigurationSchema.sections {
      for key in section.keys {
        let index = lines.firstIndex { line in
          line.drop { " #-".contains($0) }.hasPrefix("\(key.name):")
        }
        guard let index else {
          Issue.record("\(section.path).\(key.name) is not in the example")
          continue
        }
        let isExplained =
          lines[index].contains("  # ") || (index > 0 && lines[index - 1].drop { $0 == " " }.hasPrefix("# "))
        #expect(isExplained, "\(key.name) has no comment")
      }
    }
  }

  /// Every member differs from its default.
  private static let everything = Configuration(
    engine: EngineSection(
      name: "a_1", core: .core(3), idle: .park, idleSpinUs: 0, idleYieldUs: 10_000_000, driver: .epoll,
      rehearsal: false, dataDirectory: "a \"b\" \\ c#: ü\t", journal: false, mode: .simulated),
    venue: VenueSection(
      url: "wss://[::1]:8765/ws", restURL: "https://[::1]:8766", keyID: "K-1._", privateKeyEnv: "KEY", account: "0012", caFile: "ca.pem",
      cancelOnDisconnectSeconds: 7, reserveMessages: 0, requestTimeoutMs: 100, closureWindowMs: 0,
      takerFeeBps: DecimalE8(e8: 450_000_000)),
    instruments: [
      InstrumentSection(
        name: "true",
        ladder: LadderSection(
          levels: 32, halfSpreadBps: DecimalE8(e8: 1_000_000), stepTicks: 3, size: DecimalE8(e8: 1),
          growth: DecimalE8(e8: 100_000), skewBps: .zero, markWeight: .one, keepWithinTicks: 2, keepSize: .zero),
        limits: LimitsSection(
          maxPosition: DecimalE8(e8: 10_000_000_000_000_000), maxOrder: .two, maxNotional: DecimalE8(e8: 123_456_789),
          collarBps: DecimalE8(e8: 1_000_000), maxOrders: 64),
        bookDepth: 100, staleAfterMs: 600_000, share: DecimalE8(e8: 12_340_000))
    ],
    manager: ManagerSection(
      maxLoss: .two, maxDrawdown: .one, widenAtLoss: .one, widenFactor: DecimalE8(e8: 100_100_000),
      darkAfterMs: 900),
    safety: SafetySection(
      widenFactor: .one, flattenWorstBps: .one, flattenIntervalMs: 51, laneMaxLoss: .one, laneMaxDrawdown: .two,
      lossLevel: .noNew, maxMessagesPerMinute: 1, maxMessagesPerFill: 2, churnPauseMs: 101, rejectCount: 4,
      rejectPauseMs: 11, rejectLongestPauseMs: 12, bookStaleMs: 1, markStaleMs: 2, indexStaleMs: 3, clockOffsetMs: 4,
      slowAckWidenMs: 5, slowAckStopMs: 6, slowAckPauseMs: 107, toxicFills: 8, toxicWindowMs: 9,
      toxicMoveBps: DecimalE8(e8: 1_000_000), toxicMoveMs: 10, toxicPauseMs: 111),
    watchdog: WatchdogSection(enabled: false, stallMs: 51, cancelMassQuotes: true),
    journal: JournalSection(
      sync: .each, syncIntervalMs: 7, segmentMib: 3, keepHours: 48, keepMib: 500, minFreeMib: 33, onFailure: .continue),
    moreVenues: [
      .init(
        venue: VenueSection(
          kind: .deribit, name: "deribit_2", url: "ws://127.0.0.1:9102/ws/api/v2", keyID: "K2", privateKeyEnv: "SECRET"),
        instruments: [
          InstrumentSection(
            name: "BTC-PERPETUAL",
            ladder: LadderSection(
              levels: 1, halfSpreadBps: .one, stepTicks: 1, size: DecimalE8(e8: 100_00000000), skewBps: .zero),
            limits: LimitsSection(
              maxPosition: DecimalE8(e8: 1000_00000000), maxOrder: DecimalE8(e8: 100_00000000),
              maxNotional: DecimalE8(e8: 1000_00000000), collarBps: .one, maxOrders: 2))
        ])
    ],
    underlyings: [
      UnderlyingSection(
        name: "BTC", maxPosition: .two, skew: false, hedge: "deribit_2:BTC-PERPETUAL", hedgeBand: .one,
        hedgeSlippageBps: DecimalE8(e8: 250_000_000), hedgePatienceMs: 1, hedgePerMinute: .two, hedgeLost: .stop,
        fair: .micro, fairHalfLifeMs: 501, fairStaleMs: 3001, fairBasisSeconds: 61, fairOutlierBps: .two,
        crossedEdgeBps: .two, crossedSize: .one, crossedPerMinute: .two)
    ],
    shadow: ShadowSection(
      queueModel: .power(2.5), orderLatencyMs: DecimalE8(e8: 100_000), makerFeeBps: DecimalE8(e8: -1_000_000),
      takerFeeBps: .two))

  private static let desk = """
    engine:
      name: desk
      data_directory: data
    defaults:
      ladder:
        levels: 2
        half_spread_bps: 1
        step_ticks: 1
        size: 0.1
        skew_bps: 1
      limits:
        max_position: 1
        max_order: 0.5
        max_notional: 100000
        collar_bps: 50
        max_orders: 8
    venues:
      - kind: thalex
        url: wss://testnet.thalex.com/ws/api/v2
        key_id: K1
        private_key_file: key.pem
        instruments:
          - name: BTC-PERPETUAL
          - name: ETH-PERPETUAL
            ladder:
              size: 2
            limits:
              max_position: 20
              max_order: 5
      - kind: deribit
        url: wss://test.deribit.com/ws/api/v2
        key_id: client
        private_key_env: SECRET
        instruments:
          - name: BTC_USDC-PERPETUAL
    underlyings:
      - name: BTC
        max_position: 1.5
        hedge: deribit:BTC_USDC-PERPETUAL
        hedge_band: 0.2

    """

  @Test func `several venues have instruments of their own, which take from the defaults what they do not say`() throws
  {
    let configuration = try ConfigurationFile.parse(Self.desk)
    let lanes = configuration.lanes
    #expect(lanes.map(\.venue.name) == ["thalex", "deribit"])
    #expect(lanes[0].instruments.map(\.name) == ["BTC-PERPETUAL", "ETH-PERPETUAL"])
    #expect(lanes[1].instruments.map(\.name) == ["BTC_USDC-PERPETUAL"])
    #expect(lanes[0].instruments.map(\.ladder.size) == [DecimalE8("0.1"), .two])
    #expect(lanes[0].instruments.map(\.ladder.levels) == [2, 2])
    #expect(lanes[0].instruments.map(\.limits.maxPosition) == [.one, DecimalE8("20")])
    #expect(lanes[1].instruments[0].limits.maxOrders == 8)
    #expect(lanes.allSatisfy { $0.moreVenues.isEmpty && $0.underlyings.count == 1 })
    #expect(try ConfigurationFile.parse(ConfigurationFile.text(of: configuration)) == configuration)
  }

  @Test(arguments: [
    (
      "hedge: deribit:BTC_USDC-PERPETUAL", "hedge: deribit:BTC-PERPETUAL",
      "a.yaml:39:12: underlyings[0].hedge is \"deribit:BTC-PERPETUAL\", but must be one of the instruments that are quoted: "
        + "choose one of thalex:BTC-PERPETUAL, thalex:ETH-PERPETUAL, deribit:BTC_USDC-PERPETUAL"
    ),
    (
      "hedge: deribit:BTC_USDC-PERPETUAL", "hedge: thalex:ETH-PERPETUAL",
      "a.yaml:39:12: underlyings[0].hedge is \"thalex:ETH-PERPETUAL\", but must be an instrument on BTC: choose another one"
    ),
    (
      "hedge_band: 0.2", "hedge_band: 1.5",
      "a.yaml:40:17: underlyings[0].hedge_band is 1.5, but must be below max_position (1.5), at which quoting has stopped: "
        + "lower it"
    ),
    (
      "kind: deribit", "kind: thalex",
      "a.yaml:30:5: venues[1].name is \"thalex\", but venues[0] has that name: give each venue a name of its own"
    ),
    (
      "    size: 0.1", "    size: 0.7",
      "a.yaml:13:16: venues[0].instruments[0].limits.max_order is 0.5, but the ladder's largest level is 0.7: raise it to 0.7 "
        + "or more, or make the ladder smaller"
    ),
  ])
  func `R51_ what cannot hold together between venues is told where it stands`(
    old: String, new: String, message: String
  ) throws {
    #expect(Sample.problems(Self.desk.replacingOccurrences(of: old, with: new)).contains(message))
  }

  @Test func `what is written out is read back the same`() throws {
    let text = ConfigurationFile.text(of: Self.everything)
    #expect(try ConfigurationFile.parse(text) == Self.everything)
    // The keys of each kind of strategy have a test of their own.
    for section in ConfigurationSchema.sections
    where !section.path.contains("kind: ") && section.path != "instruments[].order_flow" {
      for key in section.keys where key.name != "private_key_file" { #expect(text.contains("\(key.name): ")) }
    }
  }

  @Test func `encoding and decoding by Codable gives the same, with the file's keys`() throws {
    let data = try JSONEncoder().encode(Self.everything)
    #expect(try JSONDecoder().decode(Configuration.self, from: data) == Self.everything)
    // JSON is YAML: the reader must know every key that Codable writes, and take every value.
    let text = String(decoding: data, as: UTF8.self)
    #expect(try ConfigurationFile.parse(text) == Self.everything)
  }

  @Test(arguments: ["1", "0.1", "-0.5", "92233720368.54775807", "0.00000001", "20000"])
  func `a decimal is exact`(text: String) { #expect(DecimalE8(text)?.description == text) }

  @Test(arguments: [
    "", "-", ".", "1.", ".5", "+1", "1e3", "0x10", "1_000", "1,5", " 1", "0.000000001", "92233720369", "∞", "١",
  ])
  func `what is not a plain decimal is refused`(text: String) { #expect(DecimalE8(text) == nil) }

  @Test func `a random decimal survives being written and read`() {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(state: seed)
    for _ in 0..<2000 {
      let shift = Int64.random(in: 0..<63, using: &generator)
      let value = DecimalE8(e8: Int64.random(in: (.min + 1)...(.max), using: &generator) >> shift)
      #expect(DecimalE8(value.description) == value, "seed \(seed)")
    }
  }

  @Test func `a section may be shared by an anchor`() throws {
    let shared = """
      engine: {name: a, data_directory: b}
      venue: {url: "ws://127.0.0.1:1/x", key_id: k, private_key_env: K}
      instruments:
        - name: A
          ladder: &ladder {levels: 1, half_spread_bps: 1, step_ticks: 1, size: 1, skew_bps: 0}
          limits: &limits {max_position: 5, max_order: 1, max_notional: 1, collar_bps: 1, max_orders: 2}
        - {name: B, ladder: *ladder, limits: *limits}
      """
    let configuration = try ConfigurationFile.parse(shared)
    #expect(configuration.instruments[0].ladder == configuration.instruments[1].ladder)
    #expect(configuration.instruments[1].limits.maxOrders == 2)
  }

  // MARK: The file itself

  @Test func `R51_ a file that is missing, a directory, too large or not UTF-8 is named`() throws {
    let directory = try TemporaryDirectory()
    func message(_ path: String) -> String {
      do {
        _ = try ConfigurationFile.load(path: path)
        return ""
      } catch { return error.description }
    }
    #expect(
      message("\(directory.path)/none.yaml")
        == "\(directory.path)/none.yaml: could not read the configuration: No such file or directory")
    #expect(message(directory.path).hasSuffix("could not read the configuration: it is not a regular file"))
    let large = try directory.write("large.yaml", String(repeating: "# much\n", count: 200_000))
    #expect(message(large).hasSuffix("it is larger than 1 MiB, is it the right file?"))
    let latin = try directory.write("latin.yaml", bytes: Array("engine:\n  name: ".utf8) + [0xFC, 10])
    #expect(message(latin) == "\(latin):2:9: this is not UTF-8: save the file in that encoding")
  }

  @Test func `R51_ an empty file is told what it must have`() {
    for text in ["", "\n", "# nothing\n", "---\n", "{}"] {
      #expect(
        Sample.problems(text) == [
          "a.yaml:1:1: engine is missing, but is required: add it with name, data_directory",
          "a.yaml:1:1: venue is missing, but is required: add it with url, key_id",
          "a.yaml:1:1: instruments is missing, but at least one is required: add a list with - name: …",
        ])
    }
  }

  @Test(arguments: [
    (
      "engine:\n\tname: a\n",
      "a.yaml:2:1: this is not YAML, found character that cannot start any token (while scanning for the next token "
        + "that began on line 2): indent with spaces instead of tabs"
    ),
    (
      "engine: {name: a\nvenue: 1\n",
      "a.yaml:2:6: this is not YAML, did not find expected ',' or '}' (while parsing a flow mapping that began on "
        + "line 1): check indentation, colons and quotation marks here and just before"
    ),
    (
      "engine:\n  name\n  data_directory: a\n",
      "a.yaml:3:17: this is not YAML, mapping values are not allowed in this context: add the colon that is missing on "
        + "the line before, or correct the indentation"
    ),
    (
      "engine: {name: a, data_directory: b}\nvenue",
      "a.yaml:2:1: this is not YAML, there is no colon after this: write a colon and a space after each key"
    ),
    (
      "engine:\r\n  name: a\r\n\tx: y\r\n",
      "a.yaml:3:1: this is not YAML, found a tab character that violates indentation (while scanning a plain scalar "
        + "that began on line 2): indent with spaces instead of tabs"
    ),
    (
      "engine: {}\n---\nengine: {}\n",
      "a.yaml:2:1: this is not YAML, but found another document: keep one document and remove the line ---"
    ),
    (
      "engine: *a\n", "a.yaml:1:9: this is not YAML, found undefined alias: define the anchor before its use"
    ),
    (
      "engine:\n  name: a\u{1}\n",
      "a.yaml:2:10: this is not YAML, control characters are not allowed: remove that character"
    ),
    (
      "- a\n- b\n",
      "a.yaml:1:1: the file is a list, but must be a mapping: give it the keys version, engine, journal, venue, "
        + "instruments, venues, defaults, manager, underlyings, safety, watchdog, shadow"
    ),
    (
      "hello\n",
      "a.yaml:1:1: the file is \"hello\", but must be a mapping: give it the keys version, engine, journal, venue, "
        + "instruments, venues, defaults, manager, underlyings, safety, watchdog, shadow"
    ),
  ])
  func `R51_ what is not YAML, or not a mapping, is located`(text: String, message: String) {
    #expect(Sample.problems(text) == [message])
  }

  @Test func `R51_ a file spoiled at random is read or refused with places inside it, never a crash`() throws {
    let seed = UInt64.random(in: .min ... .max)
    var generator = SeededGenerator(state: seed)
    let pieces = [
      "-", ":", " ", "\n", "  ", "\t", "{", "}", "[", "]", "*a", "&a", "!x", "'", "\"", "|", ">", "#", "<<", "0",
      "levels: 2\n", "name", "\u{FEFF}", "é", "\r\n", "%", "@", "?", ",", "---\n", "...\n", "\u{E000}", "\0",
    ]
    for _ in 0..<1500 {
      var scalars = Array(Sample.text.unicodeScalars)
      for _ in 0..<Int.random(in: 1...4, using: &generator) {
        let start = Int.random(in: 0..<scalars.count, using: &generator)
        let end = min(scalars.count, start + Int.random(in: 0...6, using: &generator))
        let piece = pieces[Int.random(in: 0..<pieces.count, using: &generator)]
        scalars.replaceSubrange(start..<end, with: piece.unicodeScalars)
      }
      let text = String(String.UnicodeScalarView(scalars))
      let lines = text.unicodeScalars.count { $0 == "\n" || $0 == "\r" } + 1
      do {
        _ = try ConfigurationFile.parse(text)
      } catch {
        let places = error.problems.compactMap(\.place)
        let isInside = places.allSatisfy { $0.line >= 1 && $0.line <= lines && $0.column >= 1 }
        #expect(
          !places.isEmpty && isInside && places == places.sorted(), "seed \(seed): \(error) in \(text.debugDescription)"
        )
      }
    }
  }

  @Test func `line ends of Windows and a byte order mark change nothing`() throws {
    let text = "\u{FEFF}" + Sample.text.replacing("\n", with: "\r\n")
    #expect(try ConfigurationFile.parse(text) == ConfigurationFile.parse(Sample.text))
    #expect(
      Sample.problems(text.replacing("levels: 1", with: "levels: 1\r\n      levels: 0")) == [
        "a.yaml:25:7: instruments[1].ladder.levels is given twice, but must be given once: keep one of this and line 24"
      ])
  }

  @Test func `nesting without end is refused, not followed`() {
    let problems = Sample.problems(String(repeating: "[", count: 200_000))
    #expect(problems.count == 1)
    #expect(problems.first?.contains("this is not YAML") == true)
  }
}

struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = (state ^ (state >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }
}
