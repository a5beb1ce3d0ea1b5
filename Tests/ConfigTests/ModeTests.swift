import Testing

@testable import Apus

/// `engine.mode`, and what addresses say about it.
@Suite struct ModeTests {
  static let url = "url: wss://testnet.thalex.com/ws/api/v2"

  static func problems(_ url: String, mode: String? = nil, restURL: String? = nil) -> [String] {
    let text = Sample.text(Self.url, "url: \(url)" + (restURL.map { "\n  rest_url: \($0)" } ?? ""))
      .replacing("name: desk_1", with: mode.map { "name: desk_1\n  mode: \($0)" } ?? "name: desk_1")
    do throws(ConfigurationError) {
      _ = try ConfigurationFile.parse(text, path: "a.yaml")
      return []
    } catch {
      return error.problems.map { "\($0.place.map { "\($0)" } ?? ""): \($0.sentence)" }
    }
  }

  @Test(arguments: [
    ("ws://127.0.0.1:8765/x", EngineMode.simulated), ("wss://127.9.0.1/x", .simulated), ("wss://[::1]:1/x", .simulated),
    ("wss://localhost/x", .simulated), ("wss://LOCALHOST/x", .simulated),
    ("wss://testnet.thalex.com/x", .testnet), ("wss://test.deribit.com:443/x", .testnet),
    ("wss://stream-testnet.bybit.com/v5", .testnet), ("wss://Testnet.Thalex.Com/x", .testnet),
  ])
  func `without a mode the address says it`(url: String, mode: EngineMode) throws {
    let configuration = try ConfigurationFile.parse(Sample.text(Self.url, "url: \(url)"))
    #expect(configuration.engine.mode == nil && configuration.mode == mode)
  }

  @Test(arguments: [
    "thalex.com", "www.deribit.com", "stream.bybit.com", "stream.bybit.nl", "example.com", "10.0.0.1",
    "127.example.com",
    "127.0.0.1.nip.io", "127.0.0.256", "testnet.thalex.com.example.org", "0.0.0.0",
  ])
  func `an address that says nothing, or production, is an error at the address`(host: String) {
    let found = Self.problems("wss://\(host)/x")
    #expect(found.count == 1)
    #expect(found.first?.hasPrefix("5:8: venue.url is on \"\(host)\"") == true, "\(found)")
    #expect(found.first?.hasSuffix("give engine.mode, shadow, testnet or production") == true, "\(found)")
  }

  @Test(arguments: [
    ("wss://thalex.com/x", "production", true), ("wss://mm.example.com/x", "production", true),
    ("wss://mm.example.com/x", "testnet", true), ("wss://testnet.thalex.com/x", "testnet", true),
    ("ws://127.0.0.1:1/x", "simulated", true),
    ("ws://127.0.0.1:1/x", "shadow", true), ("wss://testnet.thalex.com/x", "shadow", true),
    ("wss://thalex.com/x", "shadow", true), ("wss://mm.example.com/x", "shadow", true),
    ("wss://testnet.thalex.com/x", "simulated", false), ("wss://thalex.com/x", "simulated", false),
    ("wss://mm.example.com/x", "simulated", false), ("wss://thalex.com/x", "testnet", false),
    ("wss://stream.bybit.com/x", "testnet", false), ("ws://127.0.0.1:1/x", "testnet", false),
    ("ws://127.0.0.1:1/x", "production", false), ("wss://localhost/x", "production", false),
    ("wss://test.deribit.com/x", "production", false),
  ])
  func `a mode that contradicts the address is an error at the address`(url: String, mode: String, isGood: Bool) {
    let found = Self.problems(url, mode: mode)
    #expect(found.isEmpty == isGood, "\(found)")
    guard !isGood else { return }
    #expect(found.first?.hasPrefix("6:8: venue.url is on ") == true, "\(found)")
    #expect(found.first?.contains("but engine.mode on line 3 is \(mode)") == true, "\(found)")
  }

  @Test func `the address for HTTP counts as well`() {
    let test = "wss://stream-testnet.bybit.com/v5"
    #expect(Self.problems(test, restURL: "https://api-testnet.bybit.com") == [])
    let found = Self.problems(test, restURL: "https://api.bybit.com")
    #expect(found.count == 1 && found[0].hasPrefix("6:13: venue.rest_url is on \"api.bybit.com\""), "\(found)")
    let mixed = Self.problems(test, restURL: "http://127.0.0.1:1")
    #expect(mixed.count == 1 && mixed[0].contains("one mode"), "\(mixed)")
  }

  @Test func `all venues of an engine have one mode`() throws {
    func problems(_ first: String, _ second: String, mode: String = "") -> [String] {
      let entry = "    key_id: K\n    private_key_file: k\n    instruments: [{name: A}]\n"
      let text = """
        engine: {name: desk, data_directory: data\(mode)}
        defaults:
          ladder: {levels: 1, half_spread_bps: 1, step_ticks: 1, size: 1, skew_bps: 0}
          limits: {max_position: 5, max_order: 1, max_notional: 5000, collar_bps: 10, max_orders: 2}
        venues:
          - kind: thalex
            url: \(first)
        \(entry)  - kind: deribit
            url: \(second)
        \(entry)
        """
      do throws(ConfigurationError) {
        _ = try ConfigurationFile.parse(text, path: "a.yaml")
        return []
      } catch {
        return error.problems.map(\.sentence)
      }
    }
    #expect(problems("ws://127.0.0.1:1/x", "ws://[::1]:2/x") == [])
    #expect(problems("wss://testnet.thalex.com/x", "wss://test.deribit.com/x") == [])
    #expect(problems("wss://thalex.com/x", "wss://www.deribit.com/x", mode: ", mode: production") == [])
    #expect(
      problems("ws://127.0.0.1:1/x", "wss://test.deribit.com/x") == [
        "venues[1].url is on \"test.deribit.com\", which is a venue's test network, but venues[0].url makes the engine's "
          + "mode simulated: all venues of an engine have one mode, give the other to a second engine"
      ])
    let found = problems("wss://thalex.com/x", "wss://test.deribit.com/x", mode: ", mode: production")
    #expect(found.count == 1 && found[0].hasPrefix("venues[1].url is on"), "\(found)")
  }

  @Test func `a mode that does not exist is one mistake, with the words that do`() {
    let found = Self.problems("wss://testnet.thalex.com/x", mode: "testnett")
    #expect(found.count == 1, "\(found)")
    #expect(found.first?.contains("one of simulated, shadow, testnet, production: did you mean testnet?") == true, "\(found)")
  }

  @Test func `a configuration that no file was checked for is production unless its address says otherwise`() {
    func mode(_ url: String) -> EngineMode {
      Configuration(
        engine: EngineSection(name: "a", dataDirectory: "d"), venue: VenueSection(url: url, keyID: "k"), instruments: []
      ).mode
    }
    #expect(mode("ws://127.0.0.1:1/x") == .simulated)
    #expect(mode("wss://mm.example.com/x") == .production)
    #expect(mode("nonsense") == .production)
  }

  @Test func `the written file keeps the mode, and its hash does not depend on the file's form`() throws {
    let plain = try ConfigurationFile.parse(Sample.text)
    let given = try ConfigurationFile.parse(Sample.text("name: desk_1", "mode: testnet\n  name: desk_1  # ours"))
    #expect(try ConfigurationFile.parse(ConfigurationFile.text(of: given)) == given)
    #expect(ConfigurationFile.sha256(of: plain).count == 64)
    #expect(ConfigurationFile.sha256(of: plain) != ConfigurationFile.sha256(of: given))
    let commented = try ConfigurationFile.parse("# a comment\n" + Sample.text)
    #expect(ConfigurationFile.sha256(of: plain) == ConfigurationFile.sha256(of: commented))
  }
}
