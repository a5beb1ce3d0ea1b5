import Testing

@testable import Apus

/// What must hold between keys, and what a message must not show.
@Suite struct ConfigurationCheckTests {
  @Test func `R51_ a venue has one private key, in a file or in the environment`() {
    #expect(
      Sample.problems("  private_key_file: key.pem\n", "") == [
        "a.yaml:4:1: venue has neither private_key_file nor private_key_env, but must have one of them: "
          + "add private_key_file with the path of a PEM file of mode 0600"
      ])
    #expect(
      Sample.problems("  private_key_file: key.pem\n", "  private_key_env: KEY\n  private_key_file: key.pem\n") == [
        "a.yaml:8:3: venue has both private_key_file and private_key_env, but must have one of them: "
          + "keep one of this and line 7"
      ])
  }

  @Test func `a private key that is given but wrong is one problem, not two`() {
    #expect(Sample.problems("private_key_file: key.pem", "private_key_env: 1K").count == 1)
  }

  @Test func `R51_ a certificate authority without TLS is an error`() {
    let text = Sample.text("wss://testnet.thalex.com", "ws://127.0.0.1:80")
      .replacing("  key_id", with: "  ca_file: ca.pem\n  key_id")
    #expect(
      Sample.problems(text) == [
        "a.yaml:6:12: venue.ca_file is given, but the url is ws:// and uses no certificates: remove it or use wss://"
      ])
  }

  @Test
  func `R51_ protection of mass quotes that the venue would refuse is an error, also where one of both is left out`() {
    for quote in ["", "  protection_quote: 1\n"] {
      let text = Sample.text("  key_id", "  protection_trade: 2\n\(quote)  key_id")
      #expect(
        Sample.problems(text) == [
          "a.yaml:6:21: venue.protection_trade is 2, but must be at most protection_quote (1): lower it, or raise "
            + "protection_quote"
        ])
    }
  }

  @Test func `R51_ an instrument named twice is an error at the second place`() {
    #expect(
      Sample.problems("ETH-PERPETUAL", "BTC-PERPETUAL") == [
        "a.yaml:22:11: instruments[1].name is \"BTC-PERPETUAL\", but instruments[0] on line 9 has that name: "
          + "remove one of the two"
      ])
  }

  @Test func `R54_ the largest order must hold the ladder's largest level`() throws {
    #expect(
      Sample.problems("max_order: 0.1", "max_order: 0.01") == [
        "a.yaml:18:18: instruments[0].limits.max_order is 0.01, but the ladder's largest level is 0.02: "
          + "raise it to 0.02 or more, or make the ladder smaller"
      ])
    // 0.02, 0.03, 0.045
    let grown = Sample.text("size: 0.02", "size: 0.02\n      growth: 0.5")
    #expect(
      Sample.problems(grown.replacing("max_order: 0.1", with: "max_order: 0.0449")) == [
        "a.yaml:19:18: instruments[0].limits.max_order is 0.0449, but the ladder's largest level is 0.045: "
          + "raise it to 0.045 or more, or make the ladder smaller"
      ])
    _ = try ConfigurationFile.parse(grown.replacing("max_order: 0.1", with: "max_order: 0.045"))
  }

  @Test func `R54_ the largest position must hold a side of the ladder`() throws {
    #expect(
      Sample.problems("max_position: 0.5", "max_position: 0.05999999") == [
        "a.yaml:17:21: instruments[0].limits.max_position is 0.05999999, but a side of the ladder adds up to 0.06: "
          + "raise it to 0.06 or more, or make the ladder smaller"
      ])
    _ = try ConfigurationFile.parse(Sample.text("max_position: 0.5", "max_position: 0.06"))
  }

  @Test func `R54_ the number of orders must hold both sides of the ladder`() throws {
    #expect(
      Sample.problems("max_orders: 12", "max_orders: 5") == [
        "a.yaml:21:19: instruments[0].limits.max_orders is 5, but 3 levels on both sides are 6 orders: "
          + "raise it to 6 or more, or use fewer levels"
      ])
    _ = try ConfigurationFile.parse(Sample.text("max_orders: 12", "max_orders: 6"))
  }

  @Test func `a ladder that grows beyond all numbers is refused, not overflowed`() {
    let text = Sample.text("levels: 3", "levels: 32").replacing("size: 0.02", with: "size: 1000000\n      growth: 10")
      .replacing("max_orders: 12", with: "max_orders: 64")
    let problems = Sample.problems(text)
    #expect(
      problems.contains { $0.contains("max_order is 0.1, but the ladder's largest level is 92233720368.54775807") })
    #expect(problems.contains { $0.contains("max_position is 0.5, but a side of the ladder adds up to") })
  }

  /// The sample at Deribit, its first instrument quoted with mass quotes.
  private func massQuoted(_ changes: (String, String)...) -> String {
    var text = Sample.text("venue:\n", "venue:\n  kind: deribit\n")
      .replacing("  - name: BTC-PERPETUAL\n", with: "  - name: BTC_USDC-PERPETUAL\n    mass_quotes: true\n")
      .replacing("levels: 3", with: "levels: 1")
    for (old, new) in changes { text = text.replacing(old, with: new) }
    return text
  }

  @Test func `R54_ mass quotes have as many levels as the venue gives a side, and go only where they are taken`() throws
  {
    _ = try ConfigurationFile.parse(massQuoted())
    #expect(
      Sample.problems(massQuoted(("levels: 1\n      half_spread_bps: 0.35", "levels: 3\n      half_spread_bps: 0.35")))
        == [
          "a.yaml:13:15: instruments[0].ladder.levels is 3, but a mass quote has at most 1 level a side at deribit: use fewer "
            + "levels, or set mass_quotes to false"
        ])
    let bybit = massQuoted(("kind: deribit", "kind: bybit\n  rest_url: https://api-testnet.bybit.com"))
    #expect(
      Sample.problems(bybit) == [
        "a.yaml:12:18: instruments[0].mass_quotes is true, but the engine sends no mass quotes to bybit: set it to false"
      ])
    #expect(
      Sample.problems(massQuoted(("max_orders: 12", "max_orders: 3"))) == [
        "a.yaml:23:19: instruments[0].limits.max_orders is 3, but while mass quotes replace both sides 4 orders count: raise "
          + "it to 4 or more, or use fewer levels"
      ])
  }

  @Test func `R54_ what protects mass quotes is what the venue takes`() throws {
    func venue(_ key: String) -> String { massQuoted(("  key_id: K1", "  key_id: K1\n  \(key)")) }
    #expect(
      Sample.problems(venue("protection_trade: 0.00005")) == [
        "a.yaml:8:21: venue.protection_trade is 0.00005, but deribit takes multiples of 0.0001: round it"
      ])
    #expect(
      Sample.problems(venue("protection_window_ms: 3600001")) == [
        "a.yaml:8:25: venue.protection_window_ms is 3600001, but deribit counts for at most 3600000 ms: lower it"
      ])
    #expect(
      Sample.problems(venue("protection_quote: 0.01")) == [
        "a.yaml:8:21: venue.protection_quote is 0.01, but instruments[0].ladder quotes up to 0.02: raise it, or make the "
          + "ladder smaller"
      ])
    // An inverse contract's sizes are money, and cannot be compared with coins.
    _ = try ConfigurationFile.parse(
      venue("protection_quote: 0.01").replacing("BTC_USDC-PERPETUAL", with: "BTC-PERPETUAL"))
    // Deribit lets a group trade more than a quote shows; Thalex does not.
    let more = venue("protection_trade: 2\n  protection_quote: 1")
    _ = try ConfigurationFile.parse(more)
    #expect(Sample.problems(more.replacing("kind: deribit", with: "kind: thalex")).count == 1)
  }

  @Test func `R51_ widening must begin before the loss that stops`() throws {
    for (widen, stop) in [("50", "50"), ("50.5", "50")] {
      #expect(
        Sample.problems(Sample.text + "manager:\n  max_loss: \(stop)\n  widen_at_loss: \(widen)\n") == [
          "a.yaml:37:18: manager.widen_at_loss is \(widen), but must be below max_loss (\(stop)), at which quoting has "
            + "stopped: lower it, or set it to 0 to never widen"
        ])
    }
    for manager in ["{max_loss: 0, widen_at_loss: 5}", "{max_loss: 5, widen_at_loss: 0}", "{widen_at_loss: 5}"] {
      _ = try ConfigurationFile.parse(Sample.text + "manager: \(manager)\n")
    }
  }

  @Test func `a check between keys waits until each is good`() {
    #expect(Sample.problems("size: 0.02", "size: much").count == 1)
    #expect(Sample.problems("size: 0.02", "size: 0.02\n      growth: -1").count == 1)
    #expect(Sample.problems("levels: 3", "levels: 1000").count == 1)
  }

  // MARK: Secrets

  private static let pem = """
    -----BEGIN PRIVATE KEY-----
    MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj
    MzEfYyjiWA4R4/M2bS1GB4t7NXp98C3SC6dVMvDuictGeurT8jNbvJZHtCSuYEvu
    -----END PRIVATE KEY-----
    """
  private static let fragments = [
    "MIIEvQ", "C7VJTUt9Us8cKj", "MzEfYyji", "eyJhbGci", "hunter2pass", "4f9a8b7c", "AKIA1234567890ABCDEF",
  ]

  private static let indentedPEM = pem.replacing("\n", with: "\n    ")
  private static let spoiled: [(old: String, new: String)] = [
    // The key instead of its file.
    ("private_key_file: key.pem", "private_key_file: |\n    " + indentedPEM),
    ("private_key_file: key.pem", "private_key_file: \"\(pem.replacing("\n", with: "\\n"))\""),
    ("private_key_file: key.pem", "private_key: |\n    " + indentedPEM),
    ("private_key_file: key.pem", "private_key_env: |\n    " + indentedPEM),
    // Without indentation: not YAML any more.
    ("private_key_file: key.pem", "private_key_file: |\n" + pem),
    ("private_key_file: key.pem", pem),
    // Tokens in places of names and numbers.
    ("key_id: K1", "key_id: eyJhbGciOiJSUzUxMiJ9.eyJpYXQiOjF9.MIIEvQ_x=="),
    ("key_id: K1", "key_id: MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj/x"),
    ("key_id: K1", "key_id: 4f9a8b7c-1111-2222-3333-444455556666 x"),
    ("levels: 3", "levels: AKIA1234567890ABCDEF"),
    ("levels: 3", "4f9a8b7c1d2e3f4a5b6c7d8e: 1\n      levels: 3"),
    ("levels: 3", "AKIA1234567890ABCDEF\n      levels: 3"),
    // Credentials in a URL.
    ("wss://testnet.thalex.com/ws/api/v2", "wss://me:hunter2pass@thalex.com/ws"),
    ("wss://testnet.thalex.com/ws/api/v2", "wss://thalex.com/ws?token=hunter2pass"),
    // Twice.
    ("levels: 3", "AKIA1234567890ABCDEF: 1\n      AKIA1234567890ABCDEF: 2\n      levels: 3"),
    ("levels: 3", "{AKIA1234567890ABCDEF: 1, AKIA1234567890ABCDEF: 2}: 3\n      levels: 3"),
  ]

  @Test(arguments: spoiled)
  func `R57_ no message shows what looks like a secret`(old: String, new: String) {
    do {
      _ = try ConfigurationFile.parse(Sample.text(old, new))
      Issue.record("no problem was found")
    } catch {
      var dumped = ""
      dump(error, to: &dumped)
      for fragment in Self.fragments {
        #expect(!error.description.contains(fragment))
        #expect(!dumped.contains(fragment))
      }
    }
  }

  @Test func `R57_ a key in place of its file is told where keys belong`() {
    let problems = Sample.problems(
      "private_key_file: key.pem", "private_key_file: |\n    " + Self.pem.replacing("\n", with: "\n    "))
    #expect(
      problems == [
        "a.yaml:7:21: venue.private_key_file is a text of 184 characters that looks like a secret and is not shown, "
          + "but must be the path of a PEM file: put the key into a file of its own with mode 0600 and give the path "
          + "of that file"
      ])
  }

  @Test(arguments: [
    "BTC-PERPETUAL", "BTC-26SEP25-100000-C", "desk_1", "wss://testnet.thalex.com:443/ws/api/v2", "K123456789",
    "/home/trader/keys/testnet-2026.pem", "0.123456789123456789123456789",
  ])
  func `ordinary texts are shown`(text: String) { #expect(ShownText.of(text) == "\"\(text)\"") }

  @Test func `long texts are cut and control characters made harmless`() {
    #expect(ShownText.of(String(repeating: "ab ", count: 40)).count == 63)
    #expect(ShownText.of("a\u{1B}[31mb") == "\"a\u{FFFD}[31mb\"")
    #expect(ShownText.of("a\nb") == "a text of several lines")
  }
}
