import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// What the simulated Deribit says has the members, and the kinds of values, that the samples of the reference have.
@Suite struct DeribitShapeTests {
  static func sample(_ name: String) throws -> [String: Any] {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appendingPathComponent("Fixtures/deribit-samples/\(name).json")
    return try #require(try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any])
  }

  /// Where two values differ in shape; lists are compared by their first elements.
  static func difference(_ want: Any, _ have: Any, _ path: String, ignoring: Set<String>) -> [String] {
    switch (want, have) {
    case (let want as [String: Any], let have as [String: Any]):
      var found: [String] = []
      for name in Set(want.keys).union(have.keys).sorted() where !ignoring.contains(name) {
        guard let one = want[name] else {
          found.append("\(path).\(name) is too much")
          continue
        }
        guard let other = have[name] else {
          found.append("\(path).\(name) is missing")
          continue
        }
        found += difference(one, other, "\(path).\(name)", ignoring: ignoring)
      }
      return found
    case (let want as [Any], let have as [Any]):
      guard let one = want.first, let other = have.first else { return [] }
      return difference(one, other, "\(path)[0]", ignoring: ignoring)
    case (is NSNull, _), (_, is NSNull): return []
    case (is String, is String): return []
    case (let one as NSNumber, let other as NSNumber):
      func isBool(_ number: NSNumber) -> Bool { String(cString: number.objCType) == "c" }
      return isBool(one) == isBool(other) ? [] : ["\(path): a boolean and a number"]
    default: return ["\(path): \(type(of: want)) and \(type(of: have))"]
    }
  }

  func check(_ name: String, _ message: DeribitMessage, ignoring: Set<String> = []) throws {
    let found = Self.difference(try Self.sample(name), message.json, name, ignoring: ignoring)
    #expect(found.isEmpty, "\(found.joined(separator: "\n"))\n\(message.text)")
  }

  @Test func `answers and notifications have the shape of the samples`() throws {
    let h = try DeribitHarness(flow: [
      (0, DeribitHarness.calm), (second, [.trade(0, aggressor: .sell, 119_000, 3)]),
    ])
    let id = h.connect()
    try check("error-invalid-json", h.send(id, "{")[0])
    try check("error-method-not-found", h.ask(id, "public/x"))
    try check("unauthorized-error", h.ask(id, "private/get_positions"))
    try check(
      "subscribe-error-raw-unauthorized", h.ask(id, "public/subscribe", #"{"channels":["book.BTC-PERPETUAL.raw"]}"#))
    let login =
      #"{"grant_type":"client_credentials","client_id":"desk","client_secret":"\#(DeribitHarness.secret)"}"#
    try check("auth-error", h.ask(id, "public/auth", login.replacingOccurrences(of: "desk", with: "x")))
    try check("auth-response", h.ask(id, "public/auth", login))
    try check("hello-response", h.ask(id, "public/hello", #"{"client_name":"x","client_version":"1"}"#))
    try check("test-response", h.ask(id, "public/test"))
    try check("set-heartbeat-response", h.ask(id, "public/set_heartbeat", #"{"interval":10}"#))
    try check("enable-cancel-on-disconnect-response", h.ask(id, "private/enable_cancel_on_disconnect"))
    try check("get-cancel-on-disconnect-response", h.ask(id, "private/get_cancel_on_disconnect"))
    try check("get-time-response", h.ask(id, "public/get_time"))
    let instrument = { (name: String) in h.ask(id, "public/get_instrument", #"{"instrument_name":"\#(name)"}"#) }
    try check("instrument-inverse-perpetual", instrument("BTC-PERPETUAL"))
    try check("instrument-linear-perpetual", instrument("BTC_USDC-PERPETUAL"))
    try check("get-instruments-response", h.ask(id, "public/get_instruments", #"{"currency":"BTC"}"#))

    h.ask(
      id, "private/subscribe",
      #"{"channels":["user.changes.future.BTC.raw","user.orders.future.BTC.raw","user.orders.BTC-PERPETUAL.100ms","user.trades.future.BTC.raw","user.portfolio.btc"]}"#
    )
    h.ask(
      id, "public/subscribe",
      #"{"channels":["book.BTC-PERPETUAL.raw","book.BTC-PERPETUAL.none.10.100ms","quote.BTC-PERPETUAL","ticker.BTC-PERPETUAL.100ms","trades.BTC-PERPETUAL.raw","perpetual.BTC-PERPETUAL.100ms","deribit_price_index.btc_usd"]}"#
    )
    let first = h.take(id)
    func of(_ list: [DeribitMessage], _ channel: String) throws -> DeribitMessage {
      try #require(list.first { $0.channel == channel })
    }
    try check("book-raw-snapshot", of(first, "book.BTC-PERPETUAL.raw"))
    try check("book-grouped-snapshot", of(first, "book.BTC-PERPETUAL.none.10.100ms"))
    try check("quote", of(first, "quote.BTC-PERPETUAL"))
    try check("ticker", of(first, "ticker.BTC-PERPETUAL.100ms"))
    try check("perpetual-interest", of(first, "perpetual.BTC-PERPETUAL.100ms"))
    try check("price-index", of(first, "deribit_price_index.btc_usd"))

    let placed = h.order(
      id, "buy", "100", "60000.5", #""label":"mm1-000001","post_only":true,"reject_post_only":true"#)
    try check("buy-limit-open-response", placed)
    let told = h.take(id)
    try check("user-orders-raw-open", of(told, "user.orders.future.BTC.raw"))
    try check("book-raw-change", of(told, "book.BTC-PERPETUAL.raw"))
    try check("get-open-orders-response", h.ask(id, "private/get_open_orders"))
    let number = placed.order.text("order_id")
    try check("get-order-state-response", h.ask(id, "private/get_order_state", #"{"order_id":"\#(number)"}"#))
    h.pass(second)
    let filled = h.take(id)
    try check("trades-public", of(filled, "trades.BTC-PERPETUAL.raw"))
    try check("user-orders-100ms", of(filled, "user.orders.BTC-PERPETUAL.100ms"))
    try check("user-trades-raw", of(filled, "user.trades.future.BTC.raw"))
    try check("user-changes-raw-fill", of(filled, "user.changes.future.BTC.raw"))
    try check("user-portfolio", of(filled.reversed(), "user.portfolio.btc"))
    try check(
      "edit-response",
      h.ask(
        id, "private/edit",
        #"{"order_id":"\#(number)","amount":90,"price":59000,"post_only":true,"reject_post_only":true}"#))
    try check("cancel-response", h.ask(id, "private/cancel", #"{"order_id":"\#(number)"}"#))
    try check("user-orders-raw-cancelled", of(h.take(id).reversed(), "user.orders.future.BTC.raw"))
    try check("cancel-error-not-open", h.ask(id, "private/cancel", #"{"order_id":"\#(number)"}"#))
    try check("edit-error-already-filled", h.ask(id, "private/edit", #"{"order_id":"\#(number)","amount":90}"#))
    try check("cancel-error-not-found", h.ask(id, "private/cancel", #"{"order_id":"1"}"#))
    try check("cancel-all-response", h.ask(id, "private/cancel_all"))
    try check("cancel-by-label-response", h.ask(id, "private/cancel_by_label", #"{"label":"x"}"#))
    try check("buy-error-tick", h.order(id, "buy", "10", "59000.1"))
    try check("buy-error-amount-step", h.order(id, "buy", "11", "59000"))
    try check("buy-error-price-too-high", h.order(id, "buy", "10", "69000"))
    try check(
      "buy-error-post-only-reject", h.order(id, "buy", "10", "60500", #""post_only":true,"reject_post_only":true"#))
    try check("buy-error-timed-out", h.order(id, "buy", "10", "59000", #""valid_until":1"#))
    let immediate = #""time_in_force":"immediate_or_cancel""#
    try check("buy-ioc-filled-response", h.order(id, "buy", "10", "60500", immediate))
    try check("sell-ioc-nofill-response", h.order(id, "sell", "10", "60500", immediate))
    try check("buy-market-remainder-rests-response", h.order(id, "buy", "50000", nil, #""type":"market""#))
    h.ask(id, "private/cancel_all")
    try check("get-positions-response", h.ask(id, "private/get_positions"))
    try check("get-user-trades-response", h.ask(id, "private/get_user_trades_by_currency", #"{"currency":"BTC"}"#))
    try check("get-account-summary-response", h.ask(id, "private/get_account_summary", #"{"currency":"BTC"}"#))
    try check("get-order-book-response", h.ask(id, "public/get_order_book", #"{"instrument_name":"BTC-PERPETUAL"}"#))

    try check(
      "set-mmp-config-response",
      h.ask(
        id, "private/set_mmp_config",
        #"{"index_name":"btc_usd","mmp_group":"g","interval":10,"frozen_time":30,"quantity_limit":2.5,"delta_limit":1.5,"max_quote_quantity":5.0}"#
      ))
    try check(
      "mass-quote-response",
      h.ask(
        id, "private/mass_quote",
        #"{"quote_id":"1","mmp_group":"g","detailed":true,"quotes":[{"instrument_name":"BTC-PERPETUAL","quote_set_id":"s","bid":{"price":59000,"amount":10,"post_only":true,"reject_post_only":true},"ask":{"price":50000,"amount":10}}]}"#
      ), ignoring: ["pending_requests"])
    h.ask(id, "public/set_heartbeat", #"{"interval":10}"#)
    h.pass(10 * second)
    try check("heartbeat-notification", try #require(h.take(id).first { $0.type == "heartbeat" }))
  }
}
