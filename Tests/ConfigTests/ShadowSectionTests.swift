import Testing

@testable import Apus

/// The section `shadow`, and what a configuration for shadow may leave out.
@Suite struct ShadowSectionTests {
  /// The sample in mode shadow, with lines taken out and added.
  private static func text(without lines: [String] = [], end: String = "") -> String {
    var text = Sample.text("name: desk_1", "name: desk_1\n  mode: shadow")
    for line in lines {
      let kept = text.replacing("  \(line)\n", with: "")
      if kept == text { Issue.record("the sample does not contain \(line)") }
      text = kept
    }
    return text + end
  }

  private static func problems(_ text: String) -> [String] {
    do throws(ConfigurationError) {
      _ = try ConfigurationFile.parse(text, path: "a.yaml")
      return []
    } catch {
      return error.problems.map { "\($0.place.map { "\($0)" } ?? ""): \($0.sentence)" }
    }
  }

  @Test func `the defaults are those of a backtest, and what is given is taken`() throws {
    let plain = try ConfigurationFile.parse(Self.text())
    #expect(plain.mode == .shadow)
    #expect(plain.shadow == ShadowSection() && plain.shadow.queueModel == .riskAverse)
    #expect(plain.shadow.orderLatency == 500_000)
    #expect(plain.shadow.makerFeeE6 == 100 && plain.shadow.takerFeeE6 == 500)
    let given = try ConfigurationFile.parse(
      Self.text(
        end: "shadow: {queue_model: \"power:3\", order_latency_ms: 12.345, maker_fee_bps: -0.25, taker_fee_bps: 2.5}\n"))
    #expect(given.shadow.queueModel == .power(3) && given.shadow.orderLatency == 12_345_000)
    #expect(given.shadow.makerFeeE6 == -25 && given.shadow.takerFeeE6 == 250)
    #expect(try ConfigurationFile.parse(ConfigurationFile.text(of: given)) == given)
  }

  @Test(arguments: [
    ("queue_model: riskaverse", "one of", "did you mean risk-averse?"), ("queue_model: power:0", "power:N", "above 0"),
    ("queue_model: power:11", "power:N", "at most 10"), ("order_latency_ms: -1", "from 0 to 1000", "raise it"),
    ("order_latency_ms: 1001", "from 0 to 1000", "lower it"), ("order_latency_ms: 0.0001", "3 decimals", "round it"),
    ("maker_fee_bps: -101", "from -100 to 100", "raise it"), ("latency: 1", "is not a key", "order_latency_ms"),
  ])
  func `a wrong value is named with what is allowed`(line: String, part: String, advice: String) {
    let found = Self.problems(Self.text(end: "shadow:\n  \(line)\n"))
    #expect(found.count == 1 && found[0].hasPrefix("37:"), "\(found)")
    #expect(found.first?.contains(advice) == true, "\(found)")
    if part != "one of" { #expect(found.first?.contains(part) == true, "\(found)") }
  }

  @Test func `a key is not needed, and what is written without one reads the same`() throws {
    let keyless = Self.text(without: ["key_id: K1", "private_key_file: key.pem"])
    let configuration = try ConfigurationFile.parse(keyless)
    #expect(configuration.venue.keyID == "" && configuration.venue.privateKeyFile == nil)
    #expect(try ConfigurationFile.parse(ConfigurationFile.text(of: configuration)) == configuration)
    // In every other mode both are missed.
    let found = Self.problems(keyless.replacing("mode: shadow", with: "mode: testnet"))
    #expect(found.count == 2 && found.contains { $0.contains("venue.key_id is missing") }, "\(found)")
  }

  @Test func `options are refused at their names`() {
    let text = Self.text().replacing("name: ETH-PERPETUAL", with: "name: BTC-25DEC26-100000-C")
    let found = Self.problems(text)
    #expect(found.count == 1 && found[0].contains("instruments[1].name"), "\(found)")
    #expect(found.first?.contains("a shadow run knows no options") == true, "\(found)")
    #expect(Self.problems(text.replacing("mode: shadow", with: "mode: testnet")) == [])
  }

  @Test func `an engine without a venue that stands in refuses in one sentence, and reads no key`() throws {
    var configuration = try ConfigurationFile.parse(Self.text())
    configuration.venue.url = "ws://127.0.0.1:1/x"
    configuration.venue.privateKeyFile = "/nonexistent/key.pem"
    configuration.engine.dataDirectory = "/nonexistent/data"
    do throws(EngineError) {
      _ = try Engine(configuration).run()
      Issue.record("it ran")
    } catch {
      #expect(error.kind == .configuration)
      #expect(error.description.hasPrefix("engine.mode is shadow, but this program brings no venue"), "\(error)")
    }
  }

  @Test func `nobody looks at the orders of a shadow run at the real venue`() throws {
    let configuration = try ConfigurationFile.parse(Self.text())
    do throws(EngineError) {
      _ = try VenueObserver(configuration)
      Issue.record("it was made")
    } catch {
      #expect(error.kind == .configuration && error.description.contains("engine.mode is shadow"), "\(error)")
    }
  }
}
