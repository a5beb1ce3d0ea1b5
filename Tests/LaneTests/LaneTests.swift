import CSupport
import Testing

@testable import Apus
@testable import ApusExchange

@Suite struct LaneTests {
  private let second: Nanoseconds = 1_000_000_000

  /// The question that every scenario ends with: does the lane's account equal the venue's?
  private func expectEqualBooks(_ world: LaneWorld, _ comment: Comment = "") throws {
    let books = try #require(world.books)
    let position = try #require(books.positions.first { $0.instrument == "BTC-PERPETUAL" })
    #expect(world.position == position.lots, comment)
    #expect(world.fills == books.fills.count, comment)
    #expect(world.feesE8 == position.feesE8, comment)
    #expect(books.openOrders.isEmpty, comment)
    #expect(books.rateViolations == 0, comment)
    #expect(world.lane.core.tracker.unknownCount == 0, comment)
    let limit = world.lane.risk.limits(for: 0)?.maximumPosition.rawValue ?? 0
    #expect(position.maximumLots <= limit, comment)
    #expect(position.worstLongLots <= limit && position.worstShortLots <= limit, comment)
  }

  private func stop(_ world: LaneWorld) throws {
    world.requestStop()
    let stopped = try world.run(until: { $0.lane.isStopped })
    #expect(stopped)
    #expect(world.lane.stop.isVerified)
    #expect(world.lane.stop.left == 0)
  }

  @Test func `a lane logs in, synchronises, quotes both sides, is filled, and stops with equal books`() throws {
    let world = try LaneWorld(seed: 3)
    let isQuoting = try world.run(limit: 10 * second, until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(isQuoting)
    try world.run(for: 120 * second)
    #expect(world.fills > 20)
    let time = world.lane.quotedTime[0]
    #expect(Double(time.quoted) / Double(time.observed) > 0.95)
    try stop(world)
    try expectEqualBooks(world)
  }

  @Test(arguments: 1...8 as ClosedRange<UInt64>)
  func `R08 R23 broken connections, noticed or not, end in equal books and exposure within the limit`(seed: UInt64)
    throws
  {
    let world = try LaneWorld(seed: seed)
    for round in 0..<6 {
      _ = try world.run(limit: 20 * second, until: { $0.isReady })
      try world.run(for: second * Int64(1 + (seed + UInt64(round)) % 5))
      if round % 2 == 0 { world.drop() } else { world.dropUnnoticed() }
      #expect(world.block == .sessionNotReady || world.quoted == (0, 0))
    }
    let ready = try world.run(limit: 60 * second, until: { $0.isReady })
    #expect(ready)
    try world.run(for: 5 * second)
    try stop(world)
    try expectEqualBooks(world, "seed \(seed)")
  }

  @Test func `R10 a stop is idempotent and survives a lost connection`() throws {
    let world = try LaneWorld(seed: 5)
    _ = try world.run(until: { $0.quoted.bids >= 3 })
    world.requestStop()
    world.requestStop()
    world.drop()
    let stopped = try world.run(until: { $0.lane.isStopped })
    #expect(stopped)
    #expect(world.lane.stop.isVerified)
    try expectEqualBooks(world)
  }

  @Test func `R11 a stop is verified by a query, and repeated while the venue still lists an order`() throws {
    let world = try LaneWorld(seed: 5)
    _ = try world.run(until: { $0.quoted.bids >= 3 })
    // The venue claims to have cancelled, but the first command never reached it.
    world.recordsRequests = true
    var swallowed = false
    world.tamper = { text in
      if !swallowed, text.contains("\"change_reason\":\"cancel\"") {
        swallowed = true
        return nil
      }
      return text
    }
    world.requestStop()
    let stopped = try world.run(until: { $0.lane.isStopped })
    #expect(stopped)
    #expect(world.requests.contains { $0.contains("private/open_orders") })
    #expect(world.books?.openOrders.isEmpty == true)
  }

  @Test func `R21 without every subscription confirmed nothing is quoted`() throws {
    let world = try LaneWorld(seed: 2)
    world.tamper = {
      $0.replacing("\"account.trade_history\",", with: "").replacing(",\"account.trade_history\"", with: "")
    }
    try world.run(for: 3 * second)
    #expect(!world.isReady)
    #expect(world.quoted == (0, 0))
    #expect(world.books?.openOrders.isEmpty != false)
  }

  @Test func `R22 without a stated position nothing is quoted`() throws {
    let world = try LaneWorld(seed: 2)
    world.tamper = { $0.contains("account.portfolio\",\"notification\"") ? nil : $0 }
    try world.run(for: 3 * second)
    #expect(!world.isReady)
    #expect(world.quoted == (0, 0))
  }

  @Test func `R29 silent market data pulls the quotes by a timer, and they come back with the data`() throws {
    let world = try LaneWorld(seed: 4)
    _ = try world.run(until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    world.tamper = { $0.hasPrefix("{\"channel_name\":\"ticker") ? nil : $0 }
    let pulled = try world.run(limit: 10 * second, until: { $0.block == .staleMarket && $0.quoted == (0, 0) })
    #expect(pulled)
    world.tamper = nil
    let back = try world.run(limit: 10 * second, until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(back)
    try stop(world)
    try expectEqualBooks(world)
  }

  @Test func `R31 a crossed book never yields a quote`() throws {
    let world = try LaneWorld(seed: 4)
    _ = try world.run(until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    var crosses = true
    world.tamper = { text in
      guard crosses, text.hasPrefix("{\"channel_name\":\"book") else { return text }
      crosses = false
      return
        #"{"channel_name":"book.BTC-PERPETUAL.none.10.raw","notification":{"bid_changes":[[99000,1,1]],"time":1776715497.2}}"#
    }
    let pulled = try world.run(limit: 5 * second, until: { $0.block == .crossedBook && $0.quoted == (0, 0) })
    #expect(pulled)
  }

  @Test func `R01 R04 a lost reply and a lost report leave the order unknown until a query settles it`() throws {
    let world = try LaneWorld(seed: 6)
    _ = try world.run(until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    // From now on three seconds of replies and order reports to inserts and amends are lost.
    world.tamper = { text in
      text.contains("\"change_reason\":\"insert\"") || text.contains("\"change_reason\":\"amend\"") ? nil : text
    }
    let unknown = try world.run(limit: 10 * second, until: { $0.lane.core.tracker.unknownCount > 0 })
    #expect(unknown)
    world.tamper = nil
    let settled = try world.run(limit: 20 * second, until: { $0.lane.core.tracker.unknownCount == 0 })
    #expect(settled)
    try world.run(for: 3 * second)
    try stop(world)
    try expectEqualBooks(world)
  }

  @Test func `R06 every private frame delivered twice books every fill once`() throws {
    let world = try LaneWorld(seed: 7)
    let twice = Twice()
    world.tamper = { twice.note($0) }
    try world.run(for: 60 * second)
    #expect(world.fills > 5)
    world.tamper = nil
    try stop(world)
    try expectEqualBooks(world)
  }

  /// Remembers order reports and sends an old one instead of every tenth ticker.
  private final class Twice {
    private var old: [String] = []
    private var count = 0
    func note(_ text: String) -> String {
      if text.contains("session.orders\",\"notification") || text.contains("trade_history\",\"notification") {
        old.append(text)
      } else if text.hasPrefix("{\"channel_name\":\"ticker"), !old.isEmpty {
        count += 1
        if count % 10 == 0 { return old[count % old.count] }
      }
      return text
    }
  }

  @Test func `R14 an order of somebody else on the account is left alone`() throws {
    let world = try LaneWorld(seed: 8)
    _ = try world.run(until: { $0.quoted.bids >= 3 })
    let other = ConnectionID(9_999)
    world.venue.connect(other, now: world.now)
    let token = LaneWorld.Clock()
    token.now = world.now + 5_000_000_000
    world.venue.receive(
      other,
      text: #"{"method":"public/login","id":1,"params":{"token":"\#(token.token(base: 1_776_715_497_000_000_000))"}}"#,
      now: world.now)
    world.venue.receive(
      other,
      text:
        #"{"method":"private/insert","id":2,"params":{"direction":"buy","instrument_name":"BTC-PERPETUAL","amount":0.001,"price":30000,"label":"by-hand"}}"#,
      now: world.now)
    try world.run(for: 3 * second)
    world.requestStop()
    _ = try world.run(until: { $0.lane.isStopped })
    let left = world.books?.openOrders ?? []
    #expect(left.count == 1)
    #expect(left.first?.priceTicks == 30_000)
  }

  @Test func `R24 R25 a gap is counted, and reconnects back off`() throws {
    let world = try LaneWorld(seed: 9)
    _ = try world.run(until: { $0.isReady })
    world.drop()
    #expect(world.lane.core.counters.gaps == 1)
    world.isUnreachable = true
    let first = world.lane.session.retryAt - world.now
    #expect(first >= 50_000_000 && first <= 100_000_000)
  }

  @Test func `R50 the same seed gives the same requests, byte for byte`() throws {
    func run() throws -> [String] {
      let world = try LaneWorld(seed: 11)
      world.recordsRequests = true
      try world.run(for: 20 * second)
      return world.requests
    }
    let first = try run()
    #expect(first.count > 20)
    #expect(try run() == first)
  }

  @Test func `R54 an instrument without limits is not traded`() throws {
    var gate = RiskGate(instrumentCapacity: 1)
    var tracker = try StateTracker(
      instrumentCapacity: 1, orderCapacity: 16, ordersPerSide: 8, idBits: 32, firstGeneration: 1, tradeMemory: 16)
    _ = tracker.setPosition(0, .zero, mark: PriceTicks(rawValue: 1))
    let verdict = gate.check(
      Command(
        kind: .insert, side: .buy, instrument: 0, clientID: 0, price: PriceTicks(rawValue: 1),
        qty: QtyLots(rawValue: 1)),
      order: nil, state: tracker.state(0),
      market: RiskMarket(
        grid: InstrumentGrid(tickE8: 1, lotE8: 1, minimumLots: QtyLots(rawValue: 1)), markE8: 1, collarLowE8: 0,
        collarHighE8: 0))
    guard case .refused(.noLimits) = verdict else {
      Issue.record("an order passed without limits")
      return
    }
  }
}
