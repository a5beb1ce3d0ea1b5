import ApusExchange
import Foundation
import Testing

/// Clients that others have written, unmodified, against the simulated Deribit as a process of its own.
@Suite(.timeLimit(.minutes(5)), .serialized) struct DeribitClientTests {
  /// Runs a client's script against a venue with a market that hardly moves: what it prints, and the books.
  private func run(_ script: String, _ more: [String] = [], isSecure: Bool = false) throws -> (
    output: String, books: [AccountBooks]
  ) {
    let python = try PythonEnvironment.interpreter()
    let folder = try TemporaryFolder()
    try "kJ3xW9mQe5VtB8yLzR2nD6uPhG0sAfXcOi4jTbE1\n".write(
      toFile: folder.file("secret.txt"), atomically: true, encoding: .utf8)
    let venue = try ChildProcess(
      Places.apus(),
      [
        "venue", "--protocol", "deribit", "--port", "0", "--seed", "7", "--speed", "0.01", "--order-rate", "50",
        "--client",
        "desk=\(folder.file("secret.txt"))", "--books", folder.file("books.json"),
      ] + more + (isSecure ? ["--tls", "--write-certificate", folder.file("venue.pem")] : []))
    let url = try venue.line(startingWith: "listening on \(isSecure ? "wss" : "ws")://127.0.0.1:", seconds: 20)
    #expect(url.hasSuffix("/ws/api/v2"))
    let port = try #require(url.split(separator: ":").last?.split(separator: "/").first)
    let client = try ChildProcess(
      python,
      [Places.pythonScripts + "/" + script, String(port), "desk", folder.file("secret.txt")]
        + (isSecure ? [folder.file("venue.pem")] : []),
      environment: PythonEnvironment.noProxy)
    let code = try client.waitForExit(seconds: 120)
    #expect(code == 0, "the client failed: \(client.errorOutput)")
    venue.terminate()
    #expect(try venue.waitForExit(seconds: 10) == 0)
    #expect(venue.errorOutput.isEmpty, "\(venue.errorOutput)")
    #expect(venue.output.contains("rate violations: 0"))
    let books = try JSONDecoder().decode(
      [AccountBooks].self, from: Data(contentsOf: URL(fileURLWithPath: folder.file("books.json"))))
    return (client.output, books)
  }

  @Test(arguments: [false, true])
  func `ccxt trades inverse and linear perpetuals, with feeds over WebSocket and signed orders over HTTP`(
    isSecure: Bool
  ) throws {
    let (output, books) = try run("deribit_ccxt.py", isSecure: isSecure)
    struct Told: Decodable {
      var fills: [Double]
      var symbols: Int
    }
    let told = try JSONDecoder().decode(Told.self, from: Data(output.utf8))
    #expect(told.fills == [100, 0.01] && told.symbols == 5)
    let book = try #require(books.first)
    #expect(books.map(\.account) == ["desk"] && book.openOrders.isEmpty)
    #expect(book.positions.prefix(2).map(\.lots) == [10, 100])
  }

  @Test func `typed-deribit enters orders over WebSocket, and every answer fits its schemas`() throws {
    let (output, books) = try run("deribit_typed.py")
    struct Told: Decodable {
      var instruments: Int
      var trade: String
    }
    let told = try JSONDecoder().decode(Told.self, from: Data(output.utf8))
    #expect(told.instruments == 5 && !told.trade.isEmpty)
    let book = try #require(books.first)
    #expect(book.positions[0].lots == 2 && book.openOrders.isEmpty)
  }

  @Test func `ccxt trades while orders that take are held back`() throws {
    let (_, books) = try run("deribit_ccxt.py", ["--taker-delay-ms", "10"])
    #expect(books.first?.positions.prefix(2).map(\.lots) == [10, 100])
  }
}
