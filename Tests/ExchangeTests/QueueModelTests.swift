import CSupport
import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// A venue whose market is a list, and whose orders wait in queues.
private final class QueueDesk {
  let harness: Harness
  let recorder: BacktestRecorder
  let trader: ConnectionID

  init(
    _ model: QueueModel, rules: QueueRules = QueueRules(), tradeLag: Nanoseconds = 20 * millisecond,
    _ flow: [(Nanoseconds, [FlowEvent])]
  ) throws {
    harness = try Harness(flow: flow) {
      $0.fillModel = FillModel(queue: model, rules: rules, tradeLag: tradeLag)
    }
    recorder = BacktestRecorder([.btcPerpetual, .ethPerpetual])
    trader = harness.trader()
    look()
  }

  var venue: SimulatedVenue { harness.venue }
  var account: Account { venue.accountList[0] }
  var queue: QueueBook { venue.markets[0].queue! }
  var fills: [Fill] { account.fills }

  private func look() { recorder.observe(venue, account, now: harness.now) }

  /// Lets time pass until then, millisecond by millisecond.
  func go(to time: Nanoseconds) {
    // As a client does, so that the venue does not take silence for the end of the connection.
    while harness.now < time {
      harness.pass(min(millisecond, time - harness.now))
      if harness.now % second == 0 { venue.pinged(trader, now: harness.now) }
      look()
    }
  }

  @discardableResult
  func insert(
    _ direction: String, _ amount: String, _ price: String,
    _ more: String = "\"post_only\":true,\"reject_post_only\":true"
  )
    -> Received
  {
    defer { look() }
    return harness.insert(trader, direction, amount, price, more)
  }

  func amend(_ id: String, _ amount: String, _ price: String) {
    let reply = harness.ask(
      trader, "private/amend", "{\"order_id\":\"\(id)\",\"amount\":\(amount),\"price\":\(price)}")
    #expect(reply.errorCode == nil)
    look()
  }

  func ahead(_ order: Int = 0) -> Double? { queue.ahead(of: account.orders[order]) }
}

/// BTC: 10 lots at 61,800, 20 at 61,799; 8 at 61,801, 20 at 61,802. A lot is 0.001 BTC.
private let opening: [FlowEvent] = [
  .index(0, e8: 61_800_00000000),
  .level(0, .buy, 61_800, 10), .level(0, .buy, 61_799, 20), .level(0, .sell, 61_801, 8), .level(0, .sell, 61_802, 20),
]

@Suite struct QueueModelTests {
  /// The feed that the next test calculates by hand. We buy 5 lots at 61,800, and the order arrives at 0.1 s.
  private let feed: [(Nanoseconds, [FlowEvent])] = [
    (0, opening),
    (200 * millisecond, [.level(0, .buy, 61_800, 22)]),
    (300 * millisecond, [.trade(0, aggressor: .sell, 61_800, 4)]),
    (310 * millisecond, [.level(0, .buy, 61_800, 18)]),
    (400 * millisecond, [.level(0, .buy, 61_800, 9)]),
    (500 * millisecond, [.trade(0, aggressor: .sell, 61_800, 7)]),
    (510 * millisecond, [.level(0, .buy, 61_800, 2)]),
    (600 * millisecond, [.trade(0, aggressor: .buy, 61_801, 3)]),
    (700 * millisecond, [.trade(0, aggressor: .sell, 61_799, 10)]),
    (1600 * millisecond, [.level(0, .buy, 61_800, 0), .level(0, .sell, 61_800, 5)]),
    (10_500 * millisecond, [.level(0, .sell, 61_800, 0), .level(0, .buy, 61_803, 5), .level(0, .sell, 61_804, 5)]),
    (11_000 * millisecond, [.level(0, .buy, 61_799, 21)]),
  ]

  /// What the models make of that feed.
  struct Expected: Sendable {
    var model: QueueModel
    /// Lots before us behind the cancels at 0.4 s.
    var aheadAfterCancels: Double
    /// Lots filled by the trade of 7 at 0.5 s, and by the one through our price at 0.7 s.
    var first: Int64
    var second: Int64
    /// 10⁻⁸ USD.
    var markoutAfterSecond: Int64
  }

  // By hand, at 61,800:
  //   0.1 s  We arrive behind 10 lots.                                             ahead 10
  //   0.2 s  12 lots join behind us: 22 rest.                                      ahead 10
  //   0.3 s  4 lots trade.                                                         ahead  6
  //   0.31 s The book says so too: 18 rest. The trade explains all of it.          ahead  6, behind 12
  //   0.4 s  9 lots are cancelled: 9 rest.
  //          risk-averse: all of them stood behind us, min(6, 9).                  ahead  6
  //          power 1: p = 12/(12+6) = 2/3;     6 − 1/3 · 9                         ahead  3
  //          power 2: p = 144/(144+36) = 0.8;  6 − 0.2 · 9                         ahead  4.2
  //          log:     p = ln 13/(ln 13 + ln 7) = 2.5649494/4.5108595 = 0.5686165;
  //                   6 − 0.4313835 · 9                                            ahead  2.117549
  //   0.5 s  7 lots trade. What is left behind those before us is ours, in whole lots:
  //          risk-averse 7 − 6 = 1;  power 1: 7 − 3 = 4;  power 2: 7 − 4.2 = 2.8, so 2;  log: 7 − 2.12 = 4.88, so 4.
  //   0.51 s 2 rest; the trade explains it.
  //   0.6 s  Somebody buys at 61,801: nothing to do with us.
  //   0.7 s  10 lots trade at 61,799, through our price: the rest of our 5 is filled, at our price.
  // Position 5 lots = 0.005 BTC. Cash −0.005 · 61,800 = −309 USD.
  // Fees: 1 bp of lots · 61.80 USD (at the index), each fill rounded to cents:
  //   risk-averse 0.00618 → 0.01 and 0.02472 → 0.02; power 1 and log 0.02472 → 0.02 and 0.00618 → 0.01;
  //   power 2 0.01236 → 0.01 and 0.01854 → 0.02. 0.03 USD each.
  // The mid is 61,800.5 at both fills: spread captured 5 · 0.5 · 0.001 = 0.0025 USD.
  // After 1 s: at 1.5 s the mid is still 61,800.5, at 1.7 s it is 61,799.5. So the first fill is worth +0.0005 a lot, the
  //   second −0.0005 a lot: risk-averse 1 − 4 = −3 → −0.0015 USD; power 1 and log 4 − 1 = 3 → +0.0015;
  //   power 2 2 − 3 = −1 → −0.0005.
  // After 10 s: at 10.5 s, when the book moves at that very moment, and at 10.7 s the mid is 61,803.5:
  //   5 · 3.5 · 0.001 = +0.0175 USD.
  // After 60 s: the feed has ended.
  // At the end: profit before fees 0.005 · (61,803.5 − 61,800) = 0.0175, of it inventory 0.0175 − 0.0025 = 0.015.
  static let expected: [Expected] = [
    Expected(model: .riskAverse, aheadAfterCancels: 6, first: 1, second: 4, markoutAfterSecond: -150_000),
    Expected(model: .power(1), aheadAfterCancels: 3, first: 4, second: 1, markoutAfterSecond: 150_000),
    Expected(model: .power(2), aheadAfterCancels: 4.2, first: 2, second: 3, markoutAfterSecond: -50_000),
    Expected(model: .log, aheadAfterCancels: 2.117549, first: 4, second: 1, markoutAfterSecond: 150_000),
  ]

  @Test(arguments: expected)
  func `a small feed gives what is calculated by hand`(_ expected: Expected) throws {
    let desk = try QueueDesk(expected.model, feed)
    desk.go(to: 100 * millisecond)
    desk.insert("buy", "0.005", "61800")
    #expect(desk.ahead() == 10)
    desk.go(to: 250 * millisecond)
    #expect(desk.ahead() == 10)
    desk.go(to: 305 * millisecond)
    #expect(desk.ahead() == 6)
    desk.go(to: 350 * millisecond)
    #expect(desk.ahead() == 6)
    desk.go(to: 450 * millisecond)
    #expect(abs((desk.ahead() ?? -1) - expected.aheadAfterCancels) < 1e-6)
    #expect(desk.fills.isEmpty)
    desk.go(to: 650 * millisecond)
    #expect(desk.fills.map(\.lots.rawValue) == [expected.first])
    #expect(desk.fills[0].time == 500 * millisecond)
    #expect(desk.ahead() == 0)
    desk.go(to: 11_000 * millisecond)
    #expect(desk.fills.map(\.lots.rawValue) == [expected.first, expected.second])
    #expect(desk.fills[1].time == 700 * millisecond)
    #expect(desk.fills.allSatisfy { $0.isMaker && $0.priceE8 == 61_800_00000000 && $0.midE8 == 61_800_50000000 })
    #expect(desk.fills.map(\.cause) == [.queue, .through])
    let position = desk.account.positions[0]
    #expect(position.lots == 5)
    #expect(position.cash == -309_00000000)
    #expect(position.feesE8 == 3_000_000)
    #expect(desk.venue.brokenInvariant() == nil)

    let report = desk.recorder.tally.report()
    let instrument = report.instruments[0]
    #expect(instrument.positionLots == 5)
    #expect(instrument.boughtLots == 5)
    #expect(instrument.marketLots == 24)
    #expect(instrument.figures.makerFills == 2)
    #expect(instrument.figures.queueFills == 1)
    #expect(instrument.figures.throughFills == 1)
    #expect(instrument.figures.quoteFills == 0)
    #expect(instrument.figures.spreadE8 == 250_000)
    #expect(instrument.figures.inventoryE8 == 1_500_000)
    #expect(instrument.figures.feesE8 == 3_000_000)
    #expect(instrument.figures.fundingE8 == 0)
    #expect(instrument.figures.profitE8 == 1_750_000 - 3_000_000)
    #expect(instrument.figures.tradedE8 == 309_00000000)
    #expect(instrument.figures.markouts.map(\.fills) == [2, 2, 0])
    #expect(instrument.figures.markouts.map(\.valueE8) == [expected.markoutAfterSecond, 1_750_000, 0])
    #expect(
      instrument.fills.map(\.midsAfter) == [
        [61_800_50000000, 61_803_50000000, nil], [61_799_50000000, 61_803_50000000, nil],
      ])
    #expect(report.total.profitE8 == instrument.figures.profitE8)
  }

  @Test func `the chance that a cancel was behind us follows the formulas`() {
    #expect(QueueModel.riskAverse.behind(front: 5, back: 1) == 1)
    #expect(QueueModel.power(1).behind(front: 6, back: 12) == 12.0 / 18)
    #expect(QueueModel.power(3).behind(front: 1, back: 2) == 8.0 / 9)
    #expect(abs(QueueModel.log.behind(front: 6, back: 12) - 0.568617) < 1e-6)
    // Nobody behind us: all of it was before us. Nobody before us: none.
    #expect(QueueModel.log.behind(front: 6, back: 0) == 0)
    #expect(QueueModel.power(2).behind(front: 0, back: 3) == 1)
    #expect(QueueModel.power(2).behind(front: 0, back: 0) == 1)
    // More cancelled than stood behind us: p = 2/3, so 4 of 6 behind us, where 3 stand; the fourth leaves before us too.
    #expect(QueueModel.power(1).front(1.5, old: 4.5, cancelled: 3) == 0.5)
    #expect(QueueModel.power(1).front(4, old: 12, cancelled: 12) == 0)
    #expect(QueueModel.riskAverse.front(6, old: 8, cancelled: 5) == 3)
  }

  @Test func `models are read and written alike`() {
    for text in ["risk-averse", "log", "power:1", "power:2.5"] { #expect(QueueModel(text: text)?.text == text) }
    for text in ["", "power", "power:", "power:0", "power:-1", "power:11", "power:x", "linear"] {
      #expect(QueueModel(text: text) == nil)
    }
  }

  // MARK: - Own volume

  @Test func `one recorded trade fills our orders only once`() throws {
    // Two of ours at 61,800 with 10 lots of others before both, and one at 61,799 behind 20.
    let desk = try QueueDesk(
      .riskAverse,
      [
        (0, opening), (200 * millisecond, [.trade(0, aggressor: .sell, 61_800, 16)]),
        (300 * millisecond, [.trade(0, aggressor: .sell, 61_799, 5)]),
      ])
    desk.insert("buy", "0.004", "61800")
    desk.insert("buy", "0.004", "61800")
    desk.insert("buy", "0.030", "61799")
    #expect(desk.ahead(0) == 10)
    #expect(desk.ahead(1) == 10)
    #expect(desk.ahead(2) == 20)
    desk.go(to: 250 * millisecond)
    // 10 of the 16 are the others', 4 fill the first order, 2 the second.
    #expect(desk.fills.map(\.lots.rawValue) == [4, 2])
    desk.go(to: 350 * millisecond)
    // 5 trade at 61,799: through the price of the second order, which takes 2; 3 are left for the queue at 61,799.
    #expect(desk.fills.map(\.lots.rawValue) == [4, 2, 2])
    #expect(desk.ahead(0) == 17)
    #expect(desk.account.positions[0].lots == 8)
    #expect(desk.venue.brokenInvariant() == nil)
  }

  @Test(arguments: [QueueModel.riskAverse, .power(2), .log], [UInt64](1...3))
  func `fills never exceed what others traded or offered`(_ model: QueueModel, _ seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var flow: [(Nanoseconds, [FlowEvent])] = [(0, opening)]
    // Lots that could fill a bid of ours at or above each price: sold there, or newly offered there.
    var available: Int64 = 0
    var asks: [Int64: Int64] = [61_801: 8, 61_802: 20]
    for step in 1...400 {
      let time = Nanoseconds(step) * 5 * millisecond
      switch random.below(3) {
      case 0:
        let lots = random.within(1...6)
        available += lots
        flow.append((time, [.trade(0, aggressor: .sell, random.within(61_797...61_800), lots)]))
      case 1:
        flow.append((time, [.level(0, .buy, random.within(61_797...61_800), random.within(0...30))]))
      default:
        let price = random.within(61_799...61_803)
        let lots = random.within(0...12)
        if price <= 61_800 { available += max(0, lots - (asks[price] ?? 0)) }
        asks[price] = lots
        flow.append((time, [.level(0, .sell, price, lots)]))
      }
    }
    let desk = try QueueDesk(model, flow)
    for step in 1...100 {
      desk.go(to: Nanoseconds(step) * 20 * millisecond)
      if desk.account.orders.count < 6 {
        desk.insert("buy", "0.003", "\(random.within(61_797...61_800))")
      }
      #expect(desk.venue.brokenInvariant() == nil)
    }
    let bought = desk.fills.filter(\.isMaker).reduce(0) { $0 + $1.lots.rawValue }
    #expect(bought > 0)
    #expect(bought <= available)
  }

  @Test func `quotes of others through our price fill us, each lot once`() throws {
    let desk = try QueueDesk(
      .riskAverse,
      [
        (0, opening), (200 * millisecond, [.level(0, .sell, 61_800, 3)]),
        (300 * millisecond, [.level(0, .sell, 61_800, 3)]),
        (400 * millisecond, [.level(0, .sell, 61_800, 4)]), (500 * millisecond, [.level(0, .sell, 61_800, 2)]),
        (600 * millisecond, [.level(0, .sell, 61_800, 5)]),
      ])
    desk.insert("buy", "0.010", "61800")
    desk.go(to: 350 * millisecond)
    // The bids of others at 61,800 are stale once somebody offers there; we take the 3, and said again they are the same 3.
    #expect(desk.fills.map(\.lots.rawValue) == [3])
    #expect(desk.fills[0].isMaker && desk.fills[0].cause == .quote)
    desk.go(to: 450 * millisecond)
    #expect(desk.fills.map(\.lots.rawValue) == [3, 1])
    // 2 left of 4, all of them used; then 5: three more than that.
    desk.go(to: 650 * millisecond)
    #expect(desk.fills.map(\.lots.rawValue) == [3, 1, 3])
    #expect(desk.venue.brokenInvariant() == nil)
  }

  @Test func `what we take as takers is not there a second time`() throws {
    let desk = try QueueDesk(
      .riskAverse,
      [
        (0, opening), (200 * millisecond, [.level(0, .sell, 61_801, 9)]),
        (300 * millisecond, [.level(0, .sell, 61_801, 0)]),
        (400 * millisecond, [.level(0, .sell, 61_801, 7)]),
      ])
    desk.insert("buy", "0.006", "61801", "\"time_in_force\":\"immediate_or_cancel\"")
    #expect(desk.fills.map(\.lots.rawValue) == [6])
    #expect(desk.venue.markets[0].best(.sell)?.lots.rawValue == 2)
    desk.go(to: 250 * millisecond)
    // One more than the 8 of the recording: 3 of 9 are left.
    #expect(desk.venue.markets[0].best(.sell)?.lots.rawValue == 3)
    desk.go(to: 450 * millisecond)
    #expect(desk.venue.markets[0].best(.sell)?.lots.rawValue == 7)
  }

  // MARK: - Places

  @Test func `an order joins behind what is shown when it arrives, not when it was sent`() throws {
    let desk = try QueueDesk(
      .riskAverse,
      [
        (0, opening), (200 * millisecond, [.level(0, .buy, 61_800, 50)]),
        (201 * millisecond, [.trade(0, aggressor: .sell, 61_800, 40)]),
      ])
    desk.go(to: 200 * millisecond)
    desk.insert("buy", "0.005", "61800")
    #expect(desk.ahead() == 50)
    desk.go(to: 300 * millisecond)
    #expect(desk.fills.isEmpty)
    #expect(desk.ahead() == 10)
  }

  @Test func `a post-only order is judged against the book at its arrival`() throws {
    let desk = try QueueDesk(
      .riskAverse, [(0, opening), (200 * millisecond, [.level(0, .sell, 61_801, 0), .level(0, .buy, 61_801, 4)])])
    desk.go(to: 199 * millisecond)
    #expect(desk.insert("sell", "0.005", "61802").object.text("status") == "open")
    desk.go(to: 200 * millisecond)
    #expect(desk.insert("sell", "0.005", "61801").object.text("status") == "cancelled")
    #expect(desk.fills.isEmpty)
    #expect(desk.account.orders.count == 1)
  }

  @Test(arguments: [
    (QueueRules(keepsReduced: true, keepsEnlarged: false), 6.0, 14.0),
    (QueueRules(keepsReduced: false, keepsEnlarged: true), 14.0, 14.0),
    (QueueRules(keepsReduced: true, keepsEnlarged: true), 6.0, 6.0),
  ])
  func `what an amend does to the place is the venue's rule`(
    _ rules: QueueRules, afterReduction: Double, afterEnlargement: Double
  ) throws {
    let desk = try QueueDesk(
      .riskAverse, rules: rules,
      [
        (0, opening), (100 * millisecond, [.trade(0, aggressor: .sell, 61_800, 4)]),
        (101 * millisecond, [.level(0, .buy, 61_800, 14)]),
      ])
    let id = desk.insert("buy", "0.005", "61800").object.text("order_id")
    desk.go(to: 150 * millisecond)
    #expect(desk.ahead() == 6)
    desk.amend(id, "0.004", "61800")
    #expect(desk.ahead() == afterReduction)
    desk.amend(id, "0.006", "61800")
    #expect(desk.ahead() == afterEnlargement)
    // The same again keeps it under every rule; another price never does.
    desk.amend(id, "0.006", "61800")
    #expect(desk.ahead() == afterEnlargement)
    desk.amend(id, "0.006", "61799")
    #expect(desk.ahead() == 20)
    desk.amend(id, "0.006", "61800")
    #expect(desk.ahead() == 14)
  }

  @Test func `a level that shrinks before its trade is reported moves us once`() throws {
    func fills(after lag: Nanoseconds) throws -> [Int64] {
      // 10 before us, 5 behind. 12 trade: the 10, and 2 of ours; the book says so first.
      let desk = try QueueDesk(
        .riskAverse,
        [
          (0, opening), (150 * millisecond, [.level(0, .buy, 61_800, 15)]),
          (200 * millisecond, [.level(0, .buy, 61_800, 3)]),
          (200 * millisecond + lag, [.trade(0, aggressor: .sell, 61_800, 12)]),
          (400 * millisecond, [.level(0, .buy, 61_800, 3)]),
        ])
      desk.go(to: 100 * millisecond)
      desk.insert("buy", "0.009", "61800")
      desk.go(to: 500 * millisecond)
      return desk.fills.map(\.lots.rawValue)
    }
    #expect(try fills(after: 2 * millisecond) == [2])
    // Later than the lag it is another trade: the 12 that left were cancelled, and 3 stand before us.
    #expect(try fills(after: 50 * millisecond) == [9])
  }

  @Test func `our own order in the way of an immediate one of ours stops it`() throws {
    let desk = try QueueDesk(.riskAverse, [(0, opening)])
    desk.insert("buy", "0.005", "61800")
    let reply = desk.insert("sell", "0.020", "61800", "\"time_in_force\":\"immediate_or_cancel\"")
    // 10 lots of others were there first, then comes our own order.
    #expect(reply.object.text("delete_reason") == "self_trade_prevention")
    #expect(desk.fills.map(\.lots.rawValue) == [10])
    #expect(desk.account.orders.map(\.remaining.rawValue) == [5])
    #expect(desk.ahead() == 0)
  }

  @Test func `funding of a held position is in the report, as the venue books it`() throws {
    // The book stands 1 % above the index, deep enough for a premium: longs pay.
    let high: [FlowEvent] = [
      .index(0, e8: 61_800_00000000), .level(0, .buy, 62_418, 5000), .level(0, .sell, 62_420, 5000),
    ]
    let desk = try QueueDesk(
      .riskAverse, [(0, high), (100 * millisecond, [.trade(0, aggressor: .sell, 62_418, 5100)])])
    desk.insert("buy", "0.100", "62418", "\"collar\":\"ignore\"")
    desk.go(to: 60 * second)
    #expect(desk.account.positions[0].lots == 100)
    let figures = desk.recorder.tally.report().instruments[0].figures
    // 0.1 BTC at (about 1 % − 0.025 %) in 8 hours: 6,180 · 0.00975 · 60 s / 28,800 s ≈ 0.126 USD a minute, less while the
    // premium builds up.
    #expect(figures.fundingE8 < -5_000_000 && figures.fundingE8 > -13_000_000)
    #expect(figures.fundingE8 == desk.account.positions[0].fundingE8(desk.venue.markets[0]))
    #expect(figures.profitE8 == figures.spreadE8 + figures.inventoryE8 - figures.feesE8 + figures.fundingE8)
  }

  @Test func `without a fill model the venue matches as before`() throws {
    let harness = try Harness(flow: [(0, opening), (200 * millisecond, [.trade(0, aggressor: .sell, 61_800, 12)])])
    let id = harness.trader()
    harness.insert(id, "buy", "0.005", "61800")
    #expect(harness.venue.markets[0].queue == nil)
    harness.pass(300 * millisecond)
    #expect(harness.venue.accountList[0].fills.map(\.lots.rawValue) == [2])
  }
}
