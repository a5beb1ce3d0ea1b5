import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Member names and their order as in the reference (sections 5, 7, 9), and the official client's texts (section 10).
@Suite struct VenueShapeTests {
  /// The member names of a JSON text, in order, nested ones included.
  func names(_ text: String) -> [String] {
    var found: [String] = []
    var rest = Substring(text)
    while let start = rest.firstIndex(of: "\"") {
      let after = rest.index(after: start)
      guard let end = rest[after...].firstIndex(of: "\"") else { break }
      let next = rest.index(after: end)
      if next < rest.endIndex, rest[next] == ":" { found.append(String(rest[after..<end])) }
      rest = rest[next...]
    }
    return found
  }

  let openOrder = [
    "order_id", "order_type", "time_in_force", "instrument_name", "direction", "price", "amount", "filled_amount",
    "remaining_amount", "label", "client_order_id", "status", "fills", "change_reason", "insert_reason", "create_time",
    "persistent",
  ]

  @Test func `an order is described as in the reference, to the byte where values are known`() throws {
    let h = try Harness()
    let id = h.trader()
    let reply = h.send(
      id,
      #"{"method": "private/insert", "params": {"direction": "buy", "instrument_name": "BTC-PERPETUAL", "amount": 0.1, "client_order_id": 1001, "price": 61780, "label": "simple_quoter"}, "id": 1001}"#
    )[0]
    #expect(
      reply.text
        == #"{"id":1001,"result":{"order_id":"001F3C2600000000","order_type":"limit","time_in_force":"good_till_cancelled","instrument_name":"BTC-PERPETUAL","direction":"buy","price":61780.0,"amount":0.1,"filled_amount":0.0,"remaining_amount":0.1,"label":"simple_quoter","client_order_id":1001,"status":"open","fills":[],"change_reason":"insert","insert_reason":"client_request","create_time":1776715497.0,"persistent":false}}"#
    )
    let ended = h.ask(id, "private/cancel", #"{"client_order_id":1001}"#)
    #expect(names(ended.text) == ["id", "result"] + openOrder + ["delete_reason", "close_time"])
    let filled = h.insert(id, "buy", "0.1", nil, #""order_type":"market""#)
    #expect(
      names(filled.text) == ["id", "result"]
        + openOrder.filter { !["price", "label", "client_order_id"].contains($0) }
        .flatMap { $0 == "fills" ? [$0, "trade_id", "price", "amount", "time", "maker_taker", "leg_index"] : [$0] }
        + ["delete_reason", "close_time"])
    let trade = filled.object.items("fills")[0].text("trade_id")
    #expect(trade.count == 32 && trade.allSatisfy(\.isHexDigit))
  }

  @Test func `queries and feeds have the members of the reference in their order`() throws {
    let h = try Harness()
    let id = h.trader()
    h.ask(id, "private/subscribe", #"{"channels":["account.trade_history","account.portfolio"]}"#)
    h.insert(id, "buy", "0.04", "61801", client: 1001, #""label":"mm""#)
    h.pass(60 * millisecond)
    let feeds = h.take(id)
    let trade = [
      "order_id", "trade_id", "instrument_name", "direction", "price", "amount", "label", "time", "position_after",
      "trade_type", "session_realised_after", "fee", "index", "fee_rate", "fee_basis", "funding_mark",
      "client_order_id",
      "maker_taker", "leg_index",
    ]
    #expect(names(feeds[0].text) == ["channel_name", "notification"] + trade)
    let line = [
      "instrument_name", "position", "mark_price", "index", "start_price", "average_price", "unrealised_pnl",
      "realised_pnl",
      "entry_value", "unrealised_perpetual_funding",
    ]
    #expect(names(feeds[1].text) == ["channel_name", "notification"] + line)
    #expect(names(h.ask(id, "private/trade_history").text) == ["id", "result", "trades"] + trade + ["bookmark"])
    #expect(names(h.ask(id, "private/portfolio").text) == ["id", "result"] + line)
    #expect(
      names(h.ask(id, "private/account_summary").text) == [
        "id", "result", "cash", "currency", "balance", "collateral_factor", "collateral_index_price", "transactable",
        "unrealised_pnl", "cash_collateral", "margin", "required_margin", "remaining_margin", "session_realised_pnl",
      ])
    #expect(
      names(h.ask(id, "public/ticker", #"{"instrument_name":"BTC-PERPETUAL"}"#).text) == [
        "id", "result", "mark_price", "mark_timestamp", "best_bid_price", "best_bid_amount", "best_ask_price",
        "best_ask_amount", "last_price", "delta", "volume_24h", "value_24h", "low_price_24h", "high_price_24h",
        "change_24h", "index", "collar_low", "collar_high", "open_interest", "funding_rate", "funding_mark",
        "realised_funding_24h", "average_funding_rate_24h",
      ])
    #expect(
      h.ask(id, "public/instrument", #"{"instrument_name":"BTC-PERPETUAL"}"#).text
        == #"{"id":7,"result":{"instrument_name":"BTC-PERPETUAL","product":"FBTCUSD","tick_size":1,"volume_tick_size":0.001,"min_order_amount":0.001,"underlying":"BTCUSD","type":"perpetual","base_currency":"USD","create_time":1630051200.0}}"#
    )
    #expect(h.ask(id, "public/instruments").list.map { $0.number("tick_size") } == [1, 0.1])
    #expect(h.ask(id, "public/instruments", #"{"underlying":"ETHUSD","instrument_type":"futures"}"#).list.count == 1)
    #expect(h.ask(id, "public/instruments", #"{"instrument_type":"options"}"#).list.isEmpty)
    #expect(
      names(h.ask(id, "public/index", #"{"underlying":"BTCUSD"}"#).text) == [
        "id", "result", "index_name", "price", "timestamp", "previous_settlement_price",
      ])
    #expect(
      names(h.ask(id, "public/book", #"{"instrument_name":"BTC-PERPETUAL"}"#).text) == [
        "id", "result", "bids", "asks", "last", "time",
      ])
    #expect(h.ask(id, "public/instrument", #"{"instrument_name":"X"}"#).errorCode == 5)
    #expect(h.ask(id, "public/index", #"{"underlying":"X"}"#).errorCode == 40)
    #expect(names(h.ask(id, "public/system_info").text) == ["id", "result", "banners", "environment", "api_version"])
  }

  @Test func `the simple quoter of the official client finds all it needs`() throws {
    let h = try Harness(flow: [(0, ScriptedFlow.calm), (2 * second, [.index(0, e8: 61_900_00000000)])])
    let c = h.connect()
    // Five texts without waiting, none with an id.
    _ = h.send(c, "{\"method\": \"public/login\", \"params\": {\"token\": \"\(h.token())\"}}")
    #expect(
      h.send(c, #"{"method": "private/set_cancel_on_disconnect", "params": {"timeout_secs": 6}}"#)[0].text
        == #"{"id":null,"result":{"message_rate":50}}"#)
    #expect(
      h.send(c, #"{"method": "public/subscribe", "params": {"channels": ["lwt.BTC-PERPETUAL.1000ms"]}}"#)[1]
        .notification.number("m") == 61_800)
    let snapshots = h.send(
      c, #"{"method": "private/subscribe", "params": {"channels": ["session.orders", "account.portfolio"]}}"#)
    #expect(snapshots.map(\.channel) == [nil, "session.orders", "account.portfolio"])
    for round in 0..<2 {
      let bid = h.send(
        c,
        #"{"method": "private/insert", "params": {"direction": "buy", "instrument_name": "BTC-PERPETUAL", "amount": 0.1, "client_order_id": 1001, "price": 61791, "label": "simple_quoter"}, "id": 1001}"#
      )
      #expect(bid[1].list[0].text("status") == "open", "round \(round)")
      let zero = h.send(
        c,
        #"{"method": "private/amend", "params": {"amount": 0, "price": 61795.0, "client_order_id": 1001}, "id": 1001}"#)
      #expect(zero[1].list[0].text("status") == "cancelled")
      #expect(
        h.send(c, #"{"method": "private/cancel_session", "params": {}}"#)[0].text == #"{"id":null,"result":null}"#)
    }
    h.pass(3 * second)
    #expect(h.take(c).filter { $0.channel == "lwt.BTC-PERPETUAL.1000ms" }.count >= 2)
    #expect(h.send(c, #"{"method": "private/mass_quote", "params": {"quotes": []}, "id": 7}"#)[0].errorCode == 23)
    #expect(
      h.send(
        c,
        #"{"method": "public/mark_price_historical_data", "params": {"instrument_name": "BTC-PERPETUAL"}, "id": null}"#)[
          0
        ].text == #"{"id":null,"error":{"code":31,"message":"unknown method"}}"#)
    #expect(h.send(c, #"{"method": "private/cancel_session"}"#)[0].errorCode == nil)
    #expect(h.venue.statistics.missingParams == 1)
  }

  @Test func `the perpetual quoter's first reply is its instruments, and errors carry its numeric id`() throws {
    let h = try Harness()
    let c = h.connect()
    #expect(
      h.send(c, #"{"method": "public/instruments", "params": {}, "id": 0}"#)[0].text.hasPrefix(
        #"{"id":0,"result":[{"instrument_name":"BTC-PERPETUAL","#))
    _ = h.send(c, "{\"method\": \"public/login\", \"params\": {\"token\": \"\(h.token())\"}, \"id\": 3}")
    let out = h.send(
      c, #"{"method": "private/amend", "params": {"amount": 0.2, "price": 61775, "client_order_id": 100}, "id": 100}"#)
    #expect(out.map(\.text) == [#"{"id":100,"error":{"code":1,"message":"order not found"}}"#])
  }
}
