import Foundation
import Testing

@testable import Apus

@Suite struct ConfigurationExplanationTests {
  @Test func `the table names every key with type, unit, range, default and meaning`() {
    let lines = ConfigurationExplanation.text.split(separator: "\n")
    for section in ConfigurationSchema.sections where !section.path.isEmpty {
      #expect(lines.contains { $0.hasPrefix("\(section.path): ") })
    }
    func row(_ key: String) -> [String] {
      let line = lines.first { $0.hasPrefix("  \(key) ") } ?? ""
      return line.split(separator: "  ").map { $0.drop { $0 == " " }.reversed().drop { $0 == " " }.reversed() }
        .map { String($0) }
    }
    #expect(row("levels") == ["levels", "whole number", "quotes", "1 to 32", "required", "Quotes a side."])
    #expect(
      row("half_spread_bps") == [
        "half_spread_bps", "decimal", "bps", "0 to 1000, 2 decimals", "required",
        "From the fair price to the best quote.",
      ])
    #expect(
      row("request_timeout_ms") == [
        "request_timeout_ms", "whole number", "ms", "100 to 60000", "3000",
        "A request without an answer for this long has an unknown outcome.",
      ])
    #expect(row("idle")[1...4] == ["word", "–", "spin, yield, park", "spin"])
    #expect(row("idle_spin_us")[1...4] == ["whole number", "us", "0 to 1000000", "50"])
    #expect(row("idle_yield_us")[1...4] == ["whole number", "us", "0 to 10000000", "0"])
    #expect(row("driver")[1...4] == ["word", "–", "auto, io_uring, epoll", "auto"])
    #expect(row("ca_file")[4] == "none")
    #expect(row("core")[4] == "auto")
    #expect(row("keep_size")[4] == "1")
  }

  @Test func `R54_ the table shows no default for any limit`() {
    let limits = ConfigurationSchema.sections.first { $0.path == "instruments[].limits" }
    #expect(limits?.keys.count == 5)
    #expect(limits?.keys.allSatisfy { $0.presence == .required } == true)
  }

  @Test func `every stated default passes its own rule and is what a file without the key gets`() throws {
    let underlying = "underlyings:\n  - name: BTC\n    max_position: 1\n"
    let configuration = try ConfigurationFile.parse(Sample.text + underlying)
    var written = ConfigurationFile.text(of: configuration)
    // One instrument has one strategy: those of the other kinds, with their defaults.
    for (_, lines) in StrategySectionTests.sections { written += try StrategySectionTests.withOnlyRequired(lines) }
    for section in ConfigurationSchema.sections {
      for key in section.keys {
        guard case .defaulted(let text) = key.presence else { continue }
        #expect(written.contains("\(key.name): \(text)\n"), "\(section.path).\(key.name)")
      }
    }
    #expect(try ConfigurationFile.parse(ConfigurationFile.text(of: configuration)) == configuration)
  }

  @Test func `the list has exactly the keys that Codable has`() {
    func names(_ path: String) -> Set<String> {
      Set(ConfigurationSchema.sections.first { $0.path == path }?.keys.map(\.name) ?? [])
    }
    func coded<Keys: CodingKey & CaseIterable>(_: Keys.Type) -> Set<String> { Set(Keys.allCases.map(\.stringValue)) }
    #expect(
      coded(Configuration.CodingKeys.self)
        == names("").union([
          "engine", "journal", "venue", "instruments", "venues", "defaults", "manager", "underlyings", "safety",
          "watchdog", "shadow",
        ]))
    #expect(coded(ShadowSection.CodingKeys.self) == names("shadow"))
    #expect(coded(JournalSection.CodingKeys.self) == names("journal"))
    #expect(coded(SafetySection.CodingKeys.self) == names("safety"))
    #expect(coded(WatchdogSection.CodingKeys.self) == names("watchdog"))
    #expect(coded(EngineSection.CodingKeys.self) == names("engine"))
    #expect(coded(UnderlyingSection.CodingKeys.self) == names("underlyings[]"))
    #expect(coded(VenueSection.CodingKeys.self) == names("venue"))
    #expect(coded(InstrumentSection.CodingKeys.self) == names("instruments[]").union(["strategy", "ladder", "limits", "order_flow"]))
    #expect(coded(StrategySection.CodingKeys.self) == names("instruments[].strategy"))
    func kind(_ kind: StrategyKind) -> Set<String> { names("instruments[].strategy, kind: \(kind.rawValue)") }
    #expect(coded(AvellanedaStoikovSection.CodingKeys.self) == kind(.avellanedaStoikov))
    #expect(coded(GLFTSection.CodingKeys.self) == kind(.glft))
    #expect(coded(MakeAndHedgeSection.CodingKeys.self) == kind(.makeAndHedge))
    #expect(coded(OptionsSection.CodingKeys.self) == kind(.options))
    #expect(coded(OrderFlowSection.CodingKeys.self) == names("instruments[].order_flow"))
    #expect(coded(LadderSection.CodingKeys.self) == names("instruments[].ladder"))
    #expect(coded(LimitsSection.CodingKeys.self) == names("instruments[].limits"))
    #expect(coded(ManagerSection.CodingKeys.self) == names("manager"))
  }

  @Test func `the documentation's tables have a row for every key`() {
    let rows = ConfigurationExplanation.markdown.split(separator: "\n").filter { $0.hasPrefix("| `") }
    #expect(rows.count == ConfigurationSchema.sections.reduce(0) { $0 + $1.keys.count })
    #expect(rows.allSatisfy { $0.split(separator: "|").count == 6 })
  }

  /// Every default of a safety rule stands in the article's line that names its key.
  @Test func `R51_ the article about safety has every rule with its key and its default`() throws {
    let article = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appendingPathComponent("Sources/Apus/Apus.docc/Safety.md")
    let lines = try String(contentsOf: article, encoding: .utf8).split(separator: "\n")
    for path in ["safety", "watchdog"] {
      let section = try #require(ConfigurationSchema.sections.first { $0.path == path })
      for key in section.keys {
        guard case .defaulted(let text) = key.presence else { continue }
        let isThere = lines.contains { line in
          let words = line.split { !$0.isLetter && !$0.isNumber && $0 != "_" && $0 != "." }.map(String.init)
          let names = [key.name, "\(path).\(key.name)"]
          return words.contains { names.contains($0) } && (words.contains(text) || line.contains(text))
        }
        #expect(isThere, "\(path).\(key.name): \(text)")
      }
    }
  }

  @Test(arguments: [
    ("max_positon", "max_position"), ("maxPosition", "max_position"), ("max_psoition", "max_position"),
    ("position", nil), ("x", nil), ("", nil), ("max", nil),
  ])
  func `a mistyped word finds its closest neighbour`(word: String, closest: String?) {
    #expect(Spelling.closest(to: word, among: ["max_order", "max_position", "collar_bps"]) == closest)
  }

  @Test func `the distance between words counts edits and swaps`() {
    func distance(_ a: String, _ b: String) -> Int { Spelling.distance(Array(a), Array(b)) }
    #expect(distance("", "") == 0)
    #expect(distance("", "abc") == 3)
    #expect(distance("abc", "") == 3)
    #expect(distance("kitten", "sitting") == 3)
    #expect(distance("levles", "levels") == 1)
  }
}
