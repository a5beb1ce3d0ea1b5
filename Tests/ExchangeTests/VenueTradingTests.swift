import Apus
import ApusExchange
import CSupport
import Testing

@Suite struct VenueTradingTests {
  @Test func `an order rests, is amended, trades as maker and reports every step`() throws {
    let h = try Harness(flow: [(0, ScriptedFlow.calm), (second, [.trade(0, aggressor: .sell, 61_800, 1040)])])
    let id = h.trader()
    h.ask(id, "private/subscribe", "{\"channels\":[\"session.orders\",\"account.portfolio\",\"account.trade_history\"]}")
    let reply = h.insert(id, "buy", "0.1", "61799", client: 1001, "\"label\":\"mm\",\"post_only\":true")
    #expect(reply.object.text("status") == "open")
    let amended = h.send(id, "{\"method\":\"private/amend\",\"id\":8,\"params\":{\"client_order_id\":1001,\"price\":61800,\"amount\":0.1}}")
    #expect(amended.count == 2)
    #expect(amended[0].object.text("change_reason") == "amend")
    #expect(amended[1].channel == "session.orders")
    h.pass(second)
    let fills = h.take(id)
    #expect(fills.map(\.channel) == ["session.orders"])
    #expect(fills[0].list[0].text("status") == "partially_filled")
    #expect(fills[0].list[0].number("remaining_amount") == 0.06)
    #expect(fills[0].list[0].items("fills")[0].text("maker_taker") == "maker")
    h.pass(50 * millisecond)
    #expect(h.take(id).map(\.channel) == ["account.trade_history", "account.portfolio"])
  }
}
