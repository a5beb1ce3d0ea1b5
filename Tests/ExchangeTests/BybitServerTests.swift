import Apus
import ApusExchange
import CSupport
import Foundation
import Synchronization
import Testing

/// Three kinds of WebSocket and HTTP on one port (protocol reference 1, 19).
@Suite(.timeLimit(.minutes(1))) struct BybitServerTests {
  private static func serve() throws -> RunningServer {
    var configuration = VenueServerConfiguration()
    configuration.port = 0
    configuration.closeTimeout = 200_000_000
    var venue = BybitConfiguration()
    venue.clients = [BybitClient(key: BybitHarness.key, secret: BybitHarness.secret, account: "desk")]
    return RunningServer(try VenueServer(configuration, bybit: venue, flow: ScriptedFlow([(0, BybitHarness.calm)])))
  }

  private static func upgrade(_ path: String) -> String {
    "GET \(path) HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: BwcHBwcHBwcHBwcHBwcHBw==\r\n\r\n"
  }

  @Test func `the address is what all paths begin with`() throws {
    let running = try Self.serve()
    #expect(running.server.url == "ws://127.0.0.1:\(running.server.port)/v5")
    _ = try running.finish()
  }

  @Test(arguments: [
    ("/v5/public/linear", "101"), ("/v5/private?max_active_time=1m", "101"), ("/v5/trade", "101"),
    ("/v5/public/spot", "404"), ("/", "404"), ("/v5/trade/", "404"),
  ])
  func `a WebSocket is to be had at the venue's paths only`(path: String, status: String) throws {
    let running = try Self.serve()
    let isOpened = status == "101"
    // Nothing behind a request that is refused: a server that closes with something unread takes its answer along.
    let text = try DeribitServerTests.raw(
      running.server.port, [Self.upgrade(path)] + (isOpened ? ["x"] : []), responses: 1,
      ending: isOpened ? "\r\n\r\n" : "\n")
    #expect(text.hasPrefix("HTTP/1.1 \(status) "), "\(text)")
    let report = try running.finish()
    #expect(report.opened == (isOpened ? 1 : 0))
  }

  @Test func `questions and orders by HTTP go on one connection, and are signed over what was sent`() throws {
    let running = try Self.serve()
    let milliseconds = (EngineClock.now() + EngineClock.wallOffset()) / 1_000_000
    func head(_ payload: String) -> String {
      let signature = BybitHarness.signature("\(milliseconds)\(BybitHarness.key)20000\(payload)", BybitHarness.secret)
      return "Host: x\r\nX-BAPI-API-KEY: \(BybitHarness.key)\r\nX-BAPI-TIMESTAMP: \(milliseconds)\r\n"
        + "X-BAPI-RECV-WINDOW: 20000\r\nX-BAPI-SIGN: \(signature)\r\n"
    }
    let body =
      #"{"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.010", "price": "85900"}"#
    let query = "category=linear&symbol=BTCUSDT"
    let text = try DeribitServerTests.raw(
      running.server.port,
      [
        "GET /v5/market/time HTTP/1.1\r\nHost: x\r\n\r\n",
        "POST /v5/order/create HTTP/1.1\r\n\(head(body))Content-Length: \(body.utf8.count)\r\n\r\n\(body)"
          + "GET /v5/order/realtime?\(query) HTTP/1.1\r\n\(head(query))\r\n",
      ], responses: 3)
    #expect(text.components(separatedBy: "HTTP/1.1 200 OK").count == 4, "\(text)")
    #expect(text.contains(#""orderStatus":"New""#) && text.contains("X-Bapi-Limit-Status: 9"))
    let report = try running.finish()
    #expect(report.connections == 1 && report.books.map(\.openOrders.count) == [1])
  }

  @Test func `actions on a running venue reach it`() throws {
    let running = try Self.serve()
    let seen = Mutex(false)
    running.server.performOnBybit { venue, now in
      venue.halt("BTCUSDT", now: now)
      seen.withLock { $0 = true }
    }
    for _ in 0..<200 where !seen.withLock({ $0 }) { usleep(10_000) }
    #expect(seen.withLock { $0 })
    _ = try running.finish()
  }
}
