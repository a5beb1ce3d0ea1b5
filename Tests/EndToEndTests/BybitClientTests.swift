import ApusExchange
import Foundation
import Testing

/// Clients that others have written, unmodified, against the simulated Bybit as a process of its own.
@Suite(.timeLimit(.minutes(5)), .serialized) struct BybitClientTests {
  private func run(_ script: String, isSecure: Bool) throws -> ClientSession {
    try ClientSession(
      script, venue: ["--protocol", "bybit", "--speed", "0.1"], path: "/v5", isSecure: isSecure)
  }

  @Test(arguments: [false, true])
  func `ccxt trades over WebSocket and signed HTTP, with books, orders, positions and balance as feeds`(
    isSecure: Bool
  ) throws {
    struct Told: Decodable {
      var symbols: Int
      var bought: Double
    }
    let session = try run("bybit_ccxt.py", isSecure: isSecure)
    let told = try session.told(Told.self)
    #expect(told.symbols == 3 && told.bought == 0.01)
    let book = try #require(session.books.first)
    #expect(session.books.map(\.account) == ["desk"] && book.openOrders.isEmpty && book.positions[0].lots == 10)
  }

  @Test(arguments: [false, true])
  func `pybit trades over all three connections and HTTP, and its own books stay whole`(isSecure: Bool) throws {
    struct Told: Decodable {
      var books: Int
      var sold: Double
    }
    let session = try run("bybit_pybit.py", isSecure: isSecure)
    let told = try session.told(Told.self)
    #expect(told.books > 10 && told.sold == 0.02)
    let book = try #require(session.books.first)
    #expect(book.openOrders.isEmpty && book.positions[0].lots == -20)
  }
}
