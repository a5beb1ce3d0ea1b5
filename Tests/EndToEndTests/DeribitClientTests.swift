import ApusExchange
import Foundation
import Testing

/// Clients that others have written, unmodified, against the simulated Deribit as a process of its own.
@Suite(.timeLimit(.minutes(5)), .serialized) struct DeribitClientTests {
  /// A market that hardly moves.
  private func run(_ script: String, _ more: [String] = [], isSecure: Bool = false) throws -> ClientSession {
    try ClientSession(
      script, venue: ["--protocol", "deribit", "--speed", "0.01"] + more, path: "/ws/api/v2", isSecure: isSecure)
  }

  @Test(arguments: [false, true])
  func `ccxt trades inverse and linear perpetuals, with feeds over WebSocket and signed orders over HTTP`(
    isSecure: Bool
  ) throws {
    let session = try run("deribit_ccxt.py", isSecure: isSecure)
    struct Told: Decodable {
      var fills: [Double]
      var symbols: Int
    }
    let told = try session.told(Told.self)
    #expect(told.fills == [100, 0.01] && told.symbols == 5)
    let book = try #require(session.books.first)
    #expect(session.books.map(\.account) == ["desk"] && book.openOrders.isEmpty)
    #expect(book.positions.prefix(2).map(\.lots) == [10, 100])
  }

  @Test func `typed-deribit enters orders over WebSocket, and every answer fits its schemas`() throws {
    let session = try run("deribit_typed.py")
    struct Told: Decodable {
      var instruments: Int
      var trade: String
    }
    let told = try session.told(Told.self)
    #expect(told.instruments == 5 && !told.trade.isEmpty)
    let book = try #require(session.books.first)
    #expect(book.positions[0].lots == 2 && book.openOrders.isEmpty)
  }

  @Test func `ccxt trades while orders that take are held back`() throws {
    let session = try run("deribit_ccxt.py", ["--taker-delay-ms", "10"])
    #expect(session.books.first?.positions.prefix(2).map(\.lots) == [10, 100])
  }
}
