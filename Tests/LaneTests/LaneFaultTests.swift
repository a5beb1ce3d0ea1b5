import CSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// Named faults: each broke the lane once, or would have.
@Suite struct LaneFaultTests {
  private let second: Nanoseconds = 1_000_000_000

  private func quoting(seed: UInt64, _ configuration: VenueConfiguration? = nil) throws -> LaneWorld {
    let world = try LaneWorld(seed: seed, venue: configuration)
    let isQuoting = try world.run(until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    try #require(isQuoting)
    return world
  }

  private func stopWithEqualBooks(_ world: LaneWorld) throws {
    world.requestStop()
    let stopped = try world.run(until: { $0.lane.isStopped })
    #expect(stopped)
    #expect(world.lane.stop.isVerified)
    let books = try #require(world.books)
    let position = try #require(books.positions.first { $0.instrument == "BTC-PERPETUAL" })
    #expect(books.openOrders.isEmpty)
    #expect(world.position == position.lots)
    #expect(world.fills == books.fills.count)
    #expect(world.feesE8 == position.feesE8)
    #expect(position.worstLongLots <= 500 && position.worstShortLots <= 500)
  }

  @Test func `R44 R62 a venue that refuses every order is not flooded, and quoting comes back by itself`() throws {
    let world = try LaneWorld(seed: 3)
    world.recordsRequests = true
    world.fate = { $0.contains("private/insert") ? .refuse(24) : .pass }
    let ready = try world.run(until: { $0.isReady })
    #expect(ready)
    try world.run(for: 30 * second)
    let inserts = world.requests.count { $0.contains("private/insert") }
    #expect(inserts >= 6 && inserts < 150, "\(inserts) inserts in 30 s")
    #expect(world.block == .refusedByVenue)
    world.fate = nil
    let back = try world.run(limit: 10 * second, until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(back)
    try stopWithEqualBooks(world)
  }

  @Test func `R39 after the first word of too many messages there are no new orders for a second`() throws {
    let world = try quoting(seed: 3)
    var hasRefused = false
    world.recordsRequests = true
    world.fate = { text in
      guard !hasRefused, text.contains("private/amend") || text.contains("private/insert") else { return .pass }
      hasRefused = true
      return .refuse(4)
    }
    let throttled = try world.run(until: { $0.lane.core.counters.throttled > 0 })
    #expect(throttled)
    let before = world.requests.count { $0.contains("private/insert") || $0.contains("private/amend") }
    try world.run(for: second * 9 / 10)
    let after = world.requests.count { $0.contains("private/insert") || $0.contains("private/amend") }
    #expect(after - before <= 6)  // what was under way already
    try world.run(for: 3 * second)
    #expect(world.quoted.bids >= 1 && world.quoted.asks >= 1)
  }

  @Test func `R12 cancels that the venue refuses escalate to the end of the session, without a flood`() throws {
    let world = try quoting(seed: 4)
    world.recordsRequests = true
    let reconnects = world.lane.core.counters.reconnects
    world.fate = { $0.contains("private/cancel") ? .refuse(6) : .pass }
    world.tamper = { $0.hasPrefix("{\"channel_name\":\"ticker") ? nil : $0 }
    let dropped = try world.run(limit: 20 * second, until: { $0.lane.core.counters.reconnects > reconnects })
    #expect(dropped)
    #expect(world.requests.contains { $0.contains("private/cancel_session") })
    #expect(world.requests.count { $0.contains("private/cancel\"") } < 100)
    #expect(world.books?.openOrders.isEmpty == true)
  }

  @Test func `R25 a book that is broken again after each reconnect does not make a storm of reconnects`() throws {
    let world = try quoting(seed: 5)
    world.tamper = { text in
      text.hasPrefix("{\"channel_name\":\"book") && !text.contains("\"snapshot\":true")
        ? #"{"channel_name":"book.BTC-PERPETUAL.none.10.raw","notification":{"bid_changes":[[0.5,1,1]],"time":1776715497.2}}"#
        : text
    }
    let before = world.lane.core.counters.reconnects
    try world.run(for: 60 * second)
    let storm = world.lane.core.counters.reconnects - before
    #expect(storm >= 2 && storm <= 15, "\(storm) reconnects in a minute")
    world.tamper = nil
    let back = try world.run(limit: 20 * second, until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(back)
    try stopWithEqualBooks(world)
  }

  @Test func `R62 a book that stays crossed is fetched anew`() throws {
    let world = try quoting(seed: 4)
    var crosses = true
    world.tamper = { text in
      guard crosses, text.hasPrefix("{\"channel_name\":\"book") else { return text }
      crosses = false
      return
        #"{"channel_name":"book.BTC-PERPETUAL.none.10.raw","notification":{"bid_changes":[[99000,1,1]],"time":1776715497.2}}"#
    }
    let pulled = try world.run(limit: 5 * second, until: { $0.block == .crossedBook })
    #expect(pulled)
    let back = try world.run(limit: 15 * second, until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(back)
  }

  @Test func `R62 an answer that is lost while synchronising is asked for again`() throws {
    let world = try quoting(seed: 6)
    world.drop()
    var lost = 0
    world.fate = { text in
      guard lost < 1, text.contains("private/open_orders") else { return .pass }
      lost += 1
      return .swallow
    }
    let ready = try world.run(limit: 8 * second, until: { $0.isReady })
    #expect(ready)
    #expect(lost == 1)
    try stopWithEqualBooks(world)
  }

  @Test func `R62 a row of the trade history that cannot be read does not keep the lane from quoting`() throws {
    let world = try quoting(seed: 6)
    let filled = try world.run(limit: 60 * second, until: { $0.fills > 0 })
    #expect(filled)
    world.tamper = { text in
      text.contains("\"trades\":[{")
        ? text.replacing("\"trade_type\":\"normal\"", with: "\"trade_type\":\"new_kind\"") : text
    }
    world.drop()
    let ready = try world.run(limit: 20 * second, until: { $0.isReady })
    #expect(ready)
    world.tamper = nil
    try world.run(for: 2 * second)
    try stopWithEqualBooks(world)
  }

  @Test func `R23 before the first execution the trades asked for begin with the session, not with the account`() throws
  {
    let world = try quoting(seed: 6)
    world.recordsRequests = true
    world.drop()
    let ready = try world.run(until: { $0.isReady })
    #expect(ready)
    let queries = world.requests.filter { $0.contains("private/trade_history") }
    #expect(!queries.isEmpty)
    #expect(queries.allSatisfy { $0.contains("\"time_low\":17767") })
  }

  @Test func `R02 a late answer to an earlier query does not end an order sent since`() throws {
    let world = try LaneWorld(seed: 7)
    let ready = try world.run(until: { $0.quoted.bids >= 3 })
    #expect(ready)
    // One insert's answers are lost, so that a query is sent; its answer comes after the next ones.
    var queries = 0
    world.schedule = { text in
      if text.contains("\"change_reason\":\"amend\"") { return [6 * 1_000_000_000] }
      guard text.hasPrefix("{\"id\":"), text.contains("\"change_reason\":\"existing\"") else { return [0] }
      queries += 1
      return queries == 1 ? [4 * 1_000_000_000] : [0]
    }
    try world.run(for: 12 * second)
    world.schedule = nil
    #expect(queries >= 1)
    try world.run(for: 10 * second)
    #expect(world.lane.core.tracker.counters.revived == 0)
    let open = world.books?.openOrders.filter { $0.instrument == "BTC-PERPETUAL" } ?? []
    for order in open {
      let id = try #require(order.clientOrderID)
      #expect(world.lane.core.tracker.order(id)?.pointee.phaseValue != .dead)
    }
    try stopWithEqualBooks(world)
  }

  @Test func `R14 R18 an order of an earlier life that shows up while quoting is cancelled at once`() throws {
    let world = try quoting(seed: 8)
    let other = world.loginElsewhere()
    world.venue.receive(
      other,
      text:
        #"{"method":"private/insert","id":2,"params":{"direction":"buy","instrument_name":"BTC-PERPETUAL","amount":0.001,"price":60000,"label":"apus-test-0"}}"#,
      now: world.now)
    let stray = try #require(world.books?.openOrders.first { $0.clientOrderID == nil })
    world.inject(
      #"{"channel_name":"session.orders","notification":[{"order_id":"\#(stray.orderID)","instrument_name":"BTC-PERPETUAL","direction":"buy","price":60000,"amount":0.001,"filled_amount":0,"remaining_amount":0.001,"label":"apus-test-0","status":"open","fills":[],"change_reason":"insert","insert_reason":"client_request","create_time":1776715497.2,"persistent":true,"order_type":"limit","time_in_force":"good_till_cancelled"}]}"#
    )
    let gone = try world.run(
      limit: second, until: { $0.books?.openOrders.contains { $0.orderID == stray.orderID } == false })
    #expect(gone)
  }

  @Test func `R06 R56 an execution that no feed has told is found, booked and not taken for a new balance`() throws {
    let world = try quoting(seed: 9)
    var lost = 0
    world.tamper = { text in
      // The first fill, with everything that the order feed and the trade feed say about it.
      if lost < 2,
        text.contains("\"change_reason\":\"fill\"") || text.hasPrefix("{\"channel_name\":\"account.trade_history")
      {
        lost += 1
        return nil
      }
      return text
    }
    let hasLost = try world.run(limit: 120 * second, until: { _ in lost == 2 })
    #expect(hasLost)
    try world.run(for: 8 * second)
    #expect(world.adjustments == 0)
    let books = try #require(world.books)
    #expect(world.fills == books.fills.count)
    world.tamper = nil
    try stopWithEqualBooks(world)
  }

  @Test func `R07 R56 a trade by hand on the account is taken over, and the limit holds`() throws {
    let world = try quoting(seed: 10)
    let other = world.loginElsewhere()
    world.venue.receive(
      other,
      text:
        #"{"method":"private/insert","id":2,"params":{"direction":"buy","instrument_name":"BTC-PERPETUAL","amount":0.45,"order_type":"market","stp_level":"disabled"}}"#,
      now: world.now)
    try world.run(for: 20 * second)
    let books = try #require(world.books)
    let position = try #require(books.positions.first { $0.instrument == "BTC-PERPETUAL" })
    #expect(position.maximumLots > 400)
    #expect(world.position == position.lots)
    // What rested already may still trade; nothing is added to it.
    #expect(position.maximumLots <= 500 + 60)
    #expect(world.adjustments == 1)
  }

  @Test func `R56 an opening position is valued at its mark, though no ticker has come yet`() throws {
    let world = try LaneWorld(seed: 11)
    world.tamper = { text in
      if text.hasPrefix("{\"channel_name\":\"ticker") { return nil }
      guard text.hasPrefix("{\"channel_name\":\"account.portfolio") else { return text }
      return
        #"{"channel_name":"account.portfolio","notification":[{"instrument_name":"BTC-PERPETUAL","position":-0.1,"mark_price":61800,"index":61800,"start_price":61800,"average_price":61800,"unrealised_pnl":0,"realised_pnl":0,"entry_value":0}],"snapshot":true}"#
    }
    let known = try world.run(until: { $0.position == -100 })
    #expect(known)
    #expect(world.lane.core.tracker.with(0) { $0.profitE8(markE8: 61_800_00000000) } == 0)
  }

  @Test func `R52 R62 a lost connection is no loss: the manager does not halt for want of a mark`() {
    var manager = StrategyManager(settings: ManagerSettings(maximumLossE8: 100), instrumentsPerLane: [1])
    var update = LaneUpdate(
      instrument: 0, isPositionKnown: true, isReady: true, position: 5, worstLong: 5, worstShort: 0, markE8: 100,
      profitE8: 7)
    manager.note(update, lane: 0)
    _ = manager.decide()
    update.markE8 = 0
    update.profitE8 = -50_000
    manager.note(update, lane: 0)
    let changed = manager.decide()
    #expect(!changed)
    #expect(manager.level == .normal)
    #expect(manager.profitE8 == 7)
  }

  @Test func `R05 numbers that cannot be true do not stop the lane`() throws {
    let world = try quoting(seed: 12)
    let huge = "9223372036854775000"
    world.inject(
      #"{"channel_name":"ticker.BTC-PERPETUAL.raw","notification":{"mark_price":90000000000.5,"index":90000000000}}"#)
    world.inject(
      #"{"channel_name":"account.portfolio","notification":[{"instrument_name":"BTC-PERPETUAL","position":9000000000000000.001,"mark_price":61800}]}"#
    )
    world.inject(
      #"{"channel_name":"session.orders","notification":[{"order_id":"X1","instrument_name":"BTC-PERPETUAL","direction":"buy","price":\#(huge),"amount":9000000000000,"filled_amount":9000000000000,"remaining_amount":0,"status":"filled","fills":[{"trade_id":"H","price":\#(huge),"amount":9000000000000}],"change_reason":"fill","insert_reason":"client_request","create_time":1,"persistent":false}]}"#
    )
    try world.run(for: second)
    world.inject(
      #"{"channel_name":"book.BTC-PERPETUAL.none.10.raw","notification":{"bid_changes":[[1,9000000000000,1]],"ask_changes":[[4611686018427387904,1,1]],"time":1776715497.2}}"#
    )
    try world.run(for: 10 * second)
    let back = try world.run(limit: 10 * second, until: { $0.quoted.bids >= 1 && $0.quoted.asks >= 1 })
    #expect(back)
    try stopWithEqualBooks(world)
  }

  @Test func `R62 a refusal on the way back to a session is tried again; a wrong login at the start is not`() throws {
    let world = try quoting(seed: 13)
    world.drop()
    world.fate = { $0.contains("set_cancel_on_disconnect") ? .refuse(28) : .pass }
    var sawRefusal = false
    _ = try world.run(limit: 2 * second, until: { _ in false })
    sawRefusal = world.lane.adapter.failureCode == 28
    #expect(sawRefusal)
    let isFinal = world.lane.isRefusalFinal
    #expect(!isFinal)
    world.fate = nil
    let back = try world.run(limit: 20 * second, until: { $0.quoted.bids >= 3 })
    #expect(back)
  }
}
