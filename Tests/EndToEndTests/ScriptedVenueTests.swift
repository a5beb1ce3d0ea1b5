import Apus
import Foundation
import Testing

/// The engine against a venue that was written from the protocol's description alone, in another language and with
/// another WebSocket library (python/scripted_venue.py says what it does).
@Suite(.timeLimit(.minutes(5)), .serialized) struct ScriptedVenueTests {
  /// The account by the venue's books.
  private struct Told: Decodable {
    var faults: [String]
    var positionLots: Int64
    var boughtLots: Int64
    var soldLots: Int64
    var feesE8: MoneyE8
    var trades: [String]
    var inserts: Int
    var amends: Int
    var errors: Int
    var pongs: Int
    var fragments: Int
    var orders: Int
  }

  private func python() throws -> String {
    let tool = try ChildProcess(Places.package + "/tools/python-env", [])
    let code = try tool.waitForExit(seconds: 200)
    guard code == 0 else { throw ChildProcess.Failure(description: "tools/python-env: \(tool.errorOutput)") }
    return tool.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Runs the engine for so long and returns both accounts; the third says in what they differ.
  private func run(seconds: Double, seed: Int, mutation: String? = nil) throws -> (Told, EngineReport, [String]) {
    let folder = try TemporaryFolder()
    let key = try SigningKey.generate()
    try key.publicPEM().write(toFile: folder.file("public.pem"), atomically: true, encoding: .utf8)
    let isWritten = try key.withPrivatePEM { pem in
      FileManager.default.createFile(
        atPath: folder.file("key.pem"), contents: Data(pem), attributes: [.posixPermissions: 0o600])
    }
    #expect(isWritten)
    var arguments = [
      Places.pythonScripts + "/scripted_venue.py", folder.file("public.pem"), folder.file("told.json"), "--seed",
      String(seed),
    ]
    if let mutation { arguments += ["--mutate", mutation] }
    let venue = try ChildProcess(python(), arguments, environment: ["PYTHONDONTWRITEBYTECODE": "1"])
    let url = try venue.line(startingWith: "listening on ", seconds: 20).dropFirst("listening on ".count)
    try """
    version: 1
    engine:
      name: test
      core: none
      idle: park
      data_directory: \(folder.file("data"))
    venue:
      url: \(url)
      key_id: K1
      private_key_file: \(folder.file("key.pem"))
    # The script tells of one connection; the watchdog has another.
    watchdog: {enabled: false}
    instruments:
      - name: BTC-PERPETUAL
        ladder: {levels: 2, half_spread_bps: 0.3, step_ticks: 2, size: 0.02, skew_bps: 1.0}
        limits: {max_position: 0.5, max_order: 0.1, max_notional: 40000, collar_bps: 100, max_orders: 12}
    """.write(toFile: folder.file("engine.yaml"), atomically: true, encoding: .utf8)
    let engine = try ChildProcess(
      Places.apus(), ["run", "--config", folder.file("engine.yaml"), "--report", folder.file("report.json")])
    usleep(UInt32(seconds * 1_000_000))
    engine.interrupt()
    let code = try engine.waitForExit(seconds: 30)
    #expect(code == 0, "the engine failed: \(engine.errorOutput)")
    let end = try venue.waitForExit(seconds: 20)
    #expect(end == 0, "the venue failed: \(venue.errorOutput)")
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    func read<Value: Decodable>(_ type: Value.Type, _ name: String) throws -> Value {
      try decoder.decode(type, from: Data(contentsOf: URL(fileURLWithPath: folder.file(name))))
    }
    let told = try read(Told.self, "told.json")
    let report = try read(EngineReport.self, "report.json")
    return (told, report, Self.differences(told, report))
  }

  private static func differences(_ told: Told, _ report: EngineReport) -> [String] {
    guard report.instruments.count == 1, let ours = report.instruments.first else { return ["instruments"] }
    var found: [String] = []
    func compare(_ name: String, _ ours: some Equatable & CustomStringConvertible, _ theirs: String) {
      if ours.description != theirs { found.append("\(name): engine \(ours), venue \(theirs)") }
    }
    compare("position", ours.positionLots.map(String.init) ?? "unknown", String(told.positionLots))
    compare("bought", ours.boughtLots, String(told.boughtLots))
    compare("sold", ours.soldLots, String(told.soldLots))
    compare("fees", ours.feesE8, String(told.feesE8))
    compare("fills", ours.fills, String(told.trades.count))
    compare("trade ids", Set(report.trades.map(\.tradeID)).sorted(), told.trades.sorted().description)
    compare("inserts", report.inserts, String(told.inserts))
    compare("amends", report.amends, String(told.amends))
    compare("refused", report.rejects + report.refusedLate + report.rateViolations, String(told.errors))
    compare("orders accepted", ours.ordersAccepted, String(told.orders))
    compare("orders left", report.ordersLeft, "0")
    compare("unknown orders", report.unknownOrders, "0")
    compare("fills without a fee", ours.fillsWithoutFee, "0")
    compare("refused at the edge", report.edgeRefusals, "0")
    return found
  }

  @Test func `R01 R06 R46 a venue that shares no code with the engine agrees on every order, fill, fee and position`()
    throws
  {
    let (told, report, differences) = try run(seconds: 15, seed: 1)
    #expect(told.faults.isEmpty, "\(told.faults)")
    #expect(differences.isEmpty, "\(differences)")
    #expect(report.isStopVerified)
    // The script did what it is for.
    #expect(told.trades.count >= 3 && told.amends > 20 && told.errors > 1 && told.fragments > 50 && told.pongs > 2)
  }

  @Test(arguments: [("fee", "fees"), ("lost", "fills")])
  func `a venue that lies is found out`(mutation: String, expected: String) throws {
    let (_, _, differences) = try run(seconds: 10, seed: 2, mutation: mutation)
    #expect(differences.contains { $0.hasPrefix(expected + ":") }, "\(differences)")
  }

  @Test func `an order off the grid would be found out`() throws {
    let (told, _, _) = try run(seconds: 4, seed: 3, mutation: "grid")
    #expect(told.faults.contains { $0.contains("is no multiple of") }, "\(told.faults)")
  }
}
