import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Quoting programs on the venue's official Python client, as section 10 of the protocol reference describes its examples,
/// against `apus venue`; and everything that the venue says held against the venue's own schemas.
@Suite(.timeLimit(.minutes(5)), .serialized) struct QuoterTests {
  /// What a quoter prints at its end.
  private struct Told: Decodable {
    struct Fill: Decodable {
      var trade_id: String
      var instrument: String
      var is_buy: Bool
      var lots: Int64
      var price_e8: Int64

      var text: String { "\(trade_id) \(instrument) \(is_buy ? "buy" : "sell") \(lots) at \(price_e8)" }
    }
    var counts: [String: Int]
    var errors: [String: Int]
    var fills: [Fill]
  }

  /// A quoter, on an account of its own, and what it must have met in its time.
  private struct Quoter {
    var script: String
    var keyID: String
    var instrument = "BTC-PERPETUAL"
    var least: [String: Int]
  }

  private let quoters = [
    Quoter(script: "simple_quoter", keyID: "K1", least: ["insert": 4, "amend": 1, "lwt notifications": 10]),
    Quoter(
      script: "simple_quoter", keyID: "K2", instrument: "ETH-PERPETUAL",
      least: ["insert": 4, "amend": 1, "lwt notifications": 10]),
    Quoter(
      script: "perp_quoter", keyID: "K3",
      least: ["insert": 20, "amend": 100, "order amend": 50, "ticker notifications": 200]),
    Quoter(
      script: "roll_quoter", keyID: "K4",
      least: ["insert": 10, "amend": 10, "order amend": 10, "instruments notifications": 1]),
    Quoter(
      script: "chain_quoter", keyID: "K5",
      least: [
        "mass_quote": 20, "quotes accepted": 2000, "instruments quoted": 300, "deleted: replaced": 100,
        "protection executions": 5, "protection exhausted": 2, "protection refill": 3, "deleted: mm_protection": 100,
      ]),
  ]

  @Test func `quoters on the official client quote for a while, are filled, and count what the venue counts`() throws {
    let python = try PythonEnvironment.interpreter()
    let folder = try TemporaryFolder()
    let key = try SigningKey.generate()
    try key.publicPEM().write(toFile: folder.file("public.pem"), atomically: true, encoding: .utf8)
    let isWritten = try key.withPrivatePEM { pem in
      FileManager.default.createFile(
        atPath: folder.file("private.pem"), contents: Data(pem), attributes: [.posixPermissions: 0o600])
    }
    #expect(isWritten)
    let venue = try ChildProcess(
      Places.apus(),
      ["venue", "--port", "0", "--seed", "7", "--speed", "4", "--chain", "400", "--books", folder.file("books.json")]
        + quoters.flatMap { ["--key", "\($0.keyID)=\(folder.file("public.pem"))"] })
    let url = String(try venue.line(startingWith: "listening on ", seconds: 20).dropFirst("listening on ".count))
    let running = try quoters.map { quoter in
      try ChildProcess(
        python,
        [
          "\(Places.pythonScripts)/quoters/\(quoter.script).py", url, quoter.keyID, folder.file("private.pem"),
          "--seconds", "20", "--instrument", quoter.instrument, "--record", folder.file("\(quoter.keyID).jsonl"),
        ], environment: PythonEnvironment.noProxy)
    }
    var told: [Told] = []
    for (quoter, process) in zip(quoters, running) {
      let code = try process.waitForExit(seconds: 150)
      #expect(code == 0, "\(quoter.script) failed: \(process.errorOutput)")
      // Neither the client's library nor the event loop complained.
      #expect(process.errorOutput.isEmpty, "\(quoter.script): \(process.errorOutput)")
      guard code == 0 else { return }
      told.append(try JSONDecoder().decode(Told.self, from: Data(process.output.utf8)))
    }
    venue.terminate()
    #expect(try venue.waitForExit(seconds: 20) == 0)
    #expect(venue.output.contains("connections: 5 accepted, 5 opened, 0 failed, 0 refused"))
    #expect(venue.output.contains(", 0 malformed"))
    #expect(venue.output.contains("sides done") && venue.output.contains("protection was hit"))
    #expect(venue.errorOutput.isEmpty)

    let books = try JSONDecoder().decode(
      [AccountBooks].self, from: Data(contentsOf: URL(fileURLWithPath: folder.file("books.json"))))
    var throttled: UInt64 = 0
    for (quoter, told) in zip(quoters, told) {
      let book = try #require(books.first { $0.account == "A" + quoter.keyID.dropFirst() })
      for (name, least) in quoter.least {
        #expect(
          told.counts[name, default: 0] >= least, "\(quoter.script), \(quoter.instrument): \(name); \(told.counts)")
      }
      #expect(told.fills.count >= 3, "\(quoter.script), \(quoter.instrument): \(told.counts)")
      // Fill for fill, and nothing is left.
      let theirs = book.fills.map {
        "\($0.tradeID) \($0.instrument) \($0.isBuy ? "buy" : "sell") \($0.lots) at \($0.priceE8)"
      }
      #expect(told.fills.map(\.text).sorted() == theirs.sorted(), "\(quoter.script), \(quoter.instrument)")
      #expect(book.openOrders.isEmpty)
      for position in book.positions {
        let lots = told.fills.filter { $0.instrument == position.instrument }.reduce(0) {
          $0 + ($1.is_buy ? $1.lots : -$1.lots)
        }
        #expect(position.lots == lots && position.openBuyLots == 0 && position.openSellLots == 0)
      }
      #expect(UInt64(told.errors["4", default: 0]) == book.rateViolations)
      throttled += book.rateViolations
    }
    // The perpetual's quoter is too fast for its rate, as the official one is on raw tickers.
    #expect(throttled > 0)

    let schemas = try ChildProcess(
      python,
      [Places.pythonScripts + "/check_schemas.py", Self.schemas] + quoters.map { folder.file("\($0.keyID).jsonl") })
    #expect(try schemas.waitForExit(seconds: 100) == 0, "\(schemas.errorOutput)")
  }

  @Test func `the smaller examples of the official client find what they need`() throws {
    let python = try PythonEnvironment.interpreter()
    let folder = try TemporaryFolder()
    let key = try SigningKey.generate()
    _ = try key.withPrivatePEM {
      FileManager.default.createFile(atPath: folder.file("private.pem"), contents: Data($0))
    }
    let venue = try ChildProcess(Places.apus(), ["venue", "--port", "0", "--seed", "5", "--chain", "20"])
    let url = String(try venue.line(startingWith: "listening on ", seconds: 20).dropFirst("listening on ".count))
    let demos = try ChildProcess(
      python, [Places.pythonScripts + "/demos.py", url, folder.file("private.pem")],
      environment: PythonEnvironment.noProxy)
    #expect(try demos.waitForExit(seconds: 90) == 0, "\(demos.errorOutput)")
    venue.terminate()
    #expect(try venue.waitForExit(seconds: 20) == 0)
    #expect(venue.output.contains("connections: 5 accepted, 5 opened, 0 failed, 0 refused"))
  }

  private static let schemas = Places.package + "/Tests/Fixtures/thalex-schemas.json"

  /// Replies and notifications of a venue on which a future expires, one JSON document a line.
  private func expiryRecord() throws -> String {
    let expiry: Int64 = 1_776_758_400
    var configuration = VenueConfiguration()
    configuration.wallClockBase = (expiry - 600) * 1_000_000_000
    let future = InstrumentSpec.btcFuture(day: expiry / 86_400)
    configuration.instruments += [
      future, .roll(far: future, near: .btcPerpetual), .btcOption(.put, strike: 62_000, expiryOf: future),
    ]
    configuration.checksTokenTime = false
    let venue = try SimulatedVenue(configuration)
    let connection = ConnectionID(1)
    venue.connect(connection, now: 0)
    let token = try JSONWebToken.make(keyID: "K1", key: .generate(), issuedAt: 1_776_757_800_000_000)
    var now: Nanoseconds = 2_000_000_000
    var record: [String] = []
    func ask(_ method: String, _ params: String) {
      venue.receive(connection, text: "{\"method\":\"\(method)\",\"id\":1,\"params\":\(params)}", now: now)
      venue.drain { _, outgoing in
        guard case .text(let bytes) = outgoing else { return }
        let text = String(decoding: bytes, as: UTF8.self)
        record.append("{\"message\":\(text)" + (text.hasPrefix("{\"id\"") ? ",\"method\":\"\(method)\"}" : "}"))
      }
    }
    ask("public/login", "{\"token\":\"\(token)\"}")
    ask(
      "private/subscribe",
      #"{"channels":["account.trade_history","account.portfolio","account.order_history","account.orders"]}"#)
    ask("public/subscribe", #"{"channels":["instruments","price_index.BTCUSD","base_price.BTCUSD.2026-04-21"]}"#)
    for name in [future.name, "BTC-21APR26-62000-P"] {
      ask("private/buy", "{\"instrument_name\":\"\(name)\",\"amount\":0.1,\"order_type\":\"market\"}")
      ask("private/buy", "{\"instrument_name\":\"\(name)\",\"amount\":0.1,\"price\":5}")
    }
    now = 601_000_000_000
    ask("private/trade_history", "{}")
    ask("private/order_history", "{}")
    ask("public/all_instruments", "{}")
    ask("public/instrument", "{\"instrument_name\":\"BTC-21APR26-62000-P\"}")
    let text = record.joined(separator: "\n") + "\n"
    for wanted in [
      "\"removed\"", "\"expiration\"", "expiration_progress", "instrument_deactivated", "settlement_price",
    ] {
      #expect(text.contains(wanted), "the record of the expiry lacks \(wanted)")
    }
    return text
  }

  @Test func `what the venue says, by every method and channel, fits the exchange's own schemas`() throws {
    let python = try PythonEnvironment.interpreter()
    let folder = try TemporaryFolder()
    let key = try SigningKey.generate()
    _ = try key.withPrivatePEM {
      FileManager.default.createFile(atPath: folder.file("private.pem"), contents: Data($0))
    }
    let venue = try ChildProcess(
      Places.apus(), ["venue", "--port", "0", "--seed", "3", "--chain", "20", "--speed", "5"])
    let url = String(try venue.line(startingWith: "listening on ", seconds: 20).dropFirst("listening on ".count))
    let tour = try ChildProcess(
      python, [Places.pythonScripts + "/tour.py", url, folder.file("private.pem"), folder.file("tour.jsonl")],
      environment: PythonEnvironment.noProxy)
    #expect(try tour.waitForExit(seconds: 90) == 0, "\(tour.errorOutput)")
    try expiryRecord().write(toFile: folder.file("expiry.jsonl"), atomically: true, encoding: .utf8)
    let checker = Places.pythonScripts + "/check_schemas.py"
    let check = try ChildProcess(
      python,
      [
        checker, Self.schemas, folder.file("tour.jsonl"), folder.file("expiry.jsonl"), "--all-of",
        Places.pythonScripts + "/tour.py",
      ])
    #expect(try check.waitForExit(seconds: 100) == 0, "\(check.errorOutput)")

    // The checker does find what does not fit: a member too many, one missing, one of the wrong kind.
    for wrong in [
      #"{"message":{"id":1,"result":{"account_number":"A1","rest":1}},"method":"public/login"}"#,
      #"{"message":{"id":1,"result":{"n_success":1,"n_fail":0}},"method":"private/mass_quote"}"#,
      #"{"message":{"channel_name":"price_index.BTCUSD","notification":{"index_name":"BTCUSD","price":"1","timestamp":1}}}"#,
      #"{"message":{"channel_name":"session.order","notification":[]}}"#,
    ] {
      try wrong.write(toFile: folder.file("wrong.jsonl"), atomically: true, encoding: .utf8)
      let check = try ChildProcess(python, [checker, Self.schemas, folder.file("wrong.jsonl")])
      #expect(try check.waitForExit(seconds: 30) == 1, "\(wrong) passed")
    }
  }
}
