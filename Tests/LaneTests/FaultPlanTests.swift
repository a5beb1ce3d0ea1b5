import CSupport
import Testing

@testable import Apus
@testable import ApusExchange

@Suite struct FaultPlanTests {
  private let ms: Nanoseconds = 1_000_000

  @Test func `a plan is read back from its line`() throws {
    for seed in 1...300 as ClosedRange<UInt64> {
      let plan = FaultPlan.random(seed: seed)
      let line = plan.text
      #expect(!line.contains("\n"))
      let back = try FaultPlan(text: line)
      #expect(back == plan, "\(line)")
    }
    for scenario in FaultScenario.all {
      let back = try FaultPlan(text: scenario.plan.text)
      #expect(back == scenario.plan, "\(scenario.name)")
    }
  }

  @Test(arguments: [
    "seed=x", "seed=1 | 2s", "seed=1 | 2s reset | 3s+1s", "seed=1 | 2s drop orders", "seed=1 | 2s+1s drop apples",
    "seed=1 | 2s+1s reset", "seed=1 | 2s+1s delay orders 5ms..1ms", "levels=0", "seed=1 | 1s+1s drop orders 2000/1000",
  ])
  func `a line that cannot be read names its piece`(line: String) {
    let error = #expect(throws: PlanError.self) { _ = try FaultPlan(text: line) }
    let piece = error?.piece ?? ""
    #expect(!piece.isEmpty && line.contains(piece))
  }

  @Test(arguments: [
    (#"{"channel_name":"session.orders","notification":[]}"#, FrameKinds.orders),
    (#"{"channel_name":"session.orders","notification":[],"snapshot":true}"#, .snapshots),
    (#"{"channel_name":"account.trade_history","notification":[]}"#, .trades),
    (#"{"channel_name":"account.portfolio","notification":[]}"#, .positions),
    (#"{"channel_name":"ticker.BTC-PERPETUAL.raw","notification":{}}"#, .tickers),
    (#"{"channel_name":"book.BTC-PERPETUAL.none.10.raw","notification":{}}"#, .books),
    (#"{"channel_name":"instruments","notification":[]}"#, .instruments),
    (#"{"id":41001,"result":{"order_id":"1"}}"#, .replies),
    (#"{"id":41002,"error":{"code":6,"message":"no"}}"#, .refusals),
    (#"{"id":10,"result":{"account_number":"A1"}}"#, .setupAnswers),
    ("{\"id\":\(RequestID.session(.openOrders, serial: 7)),\"result\":[]}", .orderAnswers),
    ("{\"id\":\(RequestID.session(.tradeHistory, serial: 8)),\"result\":{}}", .tradeAnswers),
    ("{\"id\":\(RequestID.session(.portfolio)),\"result\":[]}", .positionAnswers),
  ])
  func `a frame of the venue is known for what it is`(text: String, kind: FrameKinds) {
    var text = text
    let found = text.withUTF8 { FrameFacts(UnsafeRawBufferPointer($0), .toEngine).kind }
    #expect(found == kind, "\(found.text)")
  }

  private func pass(
    _ injector: FaultInjector, _ text: String, _ direction: FrameDirection = .toEngine, at now: Nanoseconds
  ) -> [String]? {
    var text = text
    return text.withUTF8 {
      switch injector.pass(UnsafeRawBufferPointer($0), direction, now: now) {
      case .unchanged: nil
      case .instead(let frames): frames.map { String(decoding: $0, as: UTF8.self) }
      case .answered(let reply): ["answer " + String(decoding: reply, as: UTF8.self)]
      }
    }
  }

  private let order = #"{"channel_name":"session.orders","notification":[{"status":"open"}]}"#
  private let reply = #"{"id":41001,"result":{"order_id":"1","status":"open"}}"#

  @Test func `a fault strikes its kinds, in its time, as often as it says`() {
    let injector = FaultInjector([TimedFault(at: 10 * ms, lasting: 10 * ms, .drop(.orders), count: 2)], seed: 1)
    #expect(pass(injector, order, at: 9 * ms) == nil)
    #expect(pass(injector, reply, at: 12 * ms) == nil)
    #expect(pass(injector, order, at: 12 * ms) == [])
    #expect(pass(injector, order, at: 13 * ms) == [])
    #expect(pass(injector, order, at: 14 * ms) == nil)
    #expect(pass(injector, order, at: 20 * ms) == nil)
    #expect(injector.struck == 2)
  }

  @Test func `a delayed frame comes at its time, once, and not over another connection`() {
    let fault = TimedFault(at: 0, lasting: 10 * ms, .delay(.orders, 5 * ms...5 * ms))
    let injector = FaultInjector([fault], seed: 1)
    #expect(pass(injector, order, at: ms) == [])
    #expect(injector.nextTime(after: ms) == 6 * ms)
    #expect(injector.release(.toEngine, now: 5 * ms).isEmpty)
    #expect(injector.release(.toVenue, now: 6 * ms).isEmpty)
    #expect(injector.release(.toEngine, now: 6 * ms).map { String(decoding: $0, as: UTF8.self) } == [order])
    #expect(injector.release(.toEngine, now: 7 * ms).isEmpty)
    #expect(pass(injector, order, at: 7 * ms) == [])
    injector.connectionLost()
    #expect(injector.release(.toEngine, now: 100 * ms).isEmpty)
  }

  @Test func `of two connections each gets what was held back on it, and what is lost on one is not lost on the other`()
  {
    let fault = TimedFault(at: 0, lasting: 10 * ms, .delay(.orders, 5 * ms...5 * ms))
    let injector = FaultInjector([fault], seed: 1)
    var text = order
    for link in 1...3 as ClosedRange<UInt64> {
      text.withUTF8 { _ = injector.pass(UnsafeRawBufferPointer($0), .toEngine, now: ms, link: link) }
    }
    injector.connectionLost(link: 2)
    let released = (1...3 as ClosedRange<UInt64>).map { injector.release(.toEngine, now: 6 * ms, link: $0).count }
    #expect(released == [1, 0, 1])
    #expect(injector.nextTime(after: 20 * ms) == .max)
  }

  @Test func `a reordered frame changes places with the next, or comes by itself after a while`() {
    let injector = FaultInjector([TimedFault(at: 0, lasting: ms, .reorder(.orders))], seed: 1)
    #expect(pass(injector, order, at: 0) == [])
    #expect(pass(injector, reply, at: 2 * ms) == [reply, order])
    let alone = FaultInjector([TimedFault(at: 0, lasting: ms, .reorder(.orders))], seed: 1)
    #expect(pass(alone, order, at: 0) == [])
    #expect(alone.release(.toEngine, now: 100 * ms).count == 1)
  }

  @Test func `a repeated frame passes at once and comes again`() {
    let fault = TimedFault(at: 0, lasting: ms, .duplicate(.orders, 3 * ms...3 * ms))
    let injector = FaultInjector([fault], seed: 1)
    #expect(pass(injector, order, at: 0) == [order])
    #expect(injector.release(.toEngine, now: 3 * ms).count == 1)
  }

  @Test func `damage can be seen by a reader`() {
    let injector = FaultInjector([TimedFault(at: 0, lasting: 1000 * ms, .corrupt(.orders))], seed: 3)
    for time in 0..<200 as Range<Nanoseconds> {
      let damaged = pass(injector, order, at: time)?.first ?? ""
      #expect(damaged != order)
      let document = JSONDocument()
      var text = damaged
      let isReadable = text.withUTF8 { document.parse(UnsafeRawBufferPointer($0)) }
      #expect(!isReadable || damaged.contains("\"zzzz\""), "\(damaged)")
    }
  }

  @Test func `requests are refused in the venue's place; amends are known by their order`() {
    let insert =
      #"{"method":"private/insert","id":41001,"params":{"client_order_id":4100,"instrument_name":"BTC-PERPETUAL"}}"#
    let amend = #"{"method":"private/amend","id":41002,"params":{"client_order_id":4100,"price":1,"amount":1}}"#
    let cancel = #"{"method":"private/cancel","id":41003,"params":{"client_order_id":4100}}"#
    let injector = FaultInjector([TimedFault(at: 5 * ms, lasting: 5 * ms, .halt("BTC-PERPETUAL"))], seed: 1)
    #expect(pass(injector, insert, .toVenue, at: 0) == nil)
    #expect(pass(injector, amend, .toVenue, at: 6 * ms)?.first?.contains("\"id\":41002,\"error\":{\"code\":37") == true)
    #expect(pass(injector, cancel, .toVenue, at: 6 * ms) == nil)
    #expect(pass(injector, amend, .toVenue, at: 10 * ms) == nil)
    let ticker = #"{"channel_name":"ticker.BTC-PERPETUAL.raw","notification":{}}"#
    #expect(pass(injector, ticker, at: 6 * ms) == [])
    #expect(pass(injector, ticker.replacing("BTC", with: "ETH"), at: 6 * ms) == nil)
  }

  @Test func `a throttle counts what came in the last second`() {
    let amend = #"{"method":"private/amend","id":41002,"params":{"client_order_id":4100,"price":1,"amount":1}}"#
    let injector = FaultInjector([TimedFault(at: 0, lasting: 5000 * ms, .throttle(rate: 2))], seed: 1)
    #expect(pass(injector, amend, .toVenue, at: 0) == nil)
    #expect(pass(injector, amend, .toVenue, at: 100 * ms) == nil)
    #expect(pass(injector, amend, .toVenue, at: 200 * ms)?.first?.contains("\"code\":4,") == true)
    #expect(pass(injector, amend, .toVenue, at: 1500 * ms) == nil)
  }

  @Test func `what has expired is cut out of the lists`() {
    let injector = FaultInjector([TimedFault(at: 0, .expire("BTC-25DEC26"))], seed: 1)
    _ = injector.begin(now: 0)
    let list =
      #"{"id":30,"result":[{"instrument_name":"BTC-PERPETUAL","tick_size":1},{"instrument_name":"BTC-25DEC26","tick_size":1}]}"#
    #expect(
      pass(injector, list, at: ms) == [#"{"id":30,"result":[{"instrument_name":"BTC-PERPETUAL","tick_size":1}]}"#])
    let channels = #"{"id":40,"result":["ticker.BTC-25DEC26.raw","book.BTC-25DEC26.none.10.raw","system"]}"#
    #expect(pass(injector, channels, at: ms) == [#"{"id":40,"result":["system"]}"#])
  }

  // MARK: - The final question

  private func stopped() throws -> ChaosWorld {
    var plan = FaultPlan()
    plan.length = 1_000_000_000
    let world = try ChaosWorld(plan)
    let isQuoting = try world.run(limit: 10_000_000_000, until: { $0.isQuoting })
    #expect(isQuoting)
    try world.run(for: 20_000_000_000)
    world.requestStop()
    _ = try world.run(limit: 30_000_000_000, until: { $0.isStopped })
    return world
  }

  @Test func `a world goes away with its venue, so that thousands fit one process`() throws {
    weak var venue: SimulatedVenue?
    weak var market: Market?
    do {
      let world = try stopped()
      venue = world.venue
      market = world.venue.markets[0]
      #expect(venue != nil && market != nil)
    }
    let isGone = venue == nil && market == nil
    #expect(isGone)
  }

  @Test func `the final question sees a lot, a cent, an order and a limit that differ`() throws {
    let world = try stopped()
    let good = ChaosVerdict(world)
    #expect(good.isPassed, "\(good.account)")
    #expect(good.fills > 0 && good.worstLots > 0)
    let ledger = try #require(world.ledger)

    ledger.positions[0].lots += 1
    let position = ChaosVerdict(world)
    #expect(!position.isPassed && position.account.contains("BTC-PERPETUAL position: engine"))
    ledger.positions[0].lots -= 1

    ledger.fills[0].feeE8 += 1
    #expect(ChaosVerdict(world).differences.map(\.name) == ["BTC-PERPETUAL fees, 10⁻⁸ USD"])
    ledger.fills[0].feeE8 -= 1

    let side = ledger.fills[0].side
    ledger.fills[0].side = side.opposite
    #expect(
      ChaosVerdict(world).differences.map(\.name) == [
        "BTC-PERPETUAL bought", "BTC-PERPETUAL sold", "BTC-PERPETUAL cash, 10⁻⁸ USD",
      ])
    ledger.fills[0].side = side

    ledger.violations = 1
    #expect(!ChaosVerdict(world).isPassed)
    ledger.violations = 0

    ledger.positions[0].worstLong = 101
    _ = try world.run(limit: 100_000_000, until: { !$0.violations.isEmpty })
    let breached = ChaosVerdict(world)
    #expect(!breached.isPassed && breached.account.contains("worst long 101"))
  }
}
