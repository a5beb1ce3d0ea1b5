import CSupport
import TestSupport
import Testing

@testable import Apus

/// Asks for whatever the test says, and notes what it was shown.
private struct Scripted: Strategy {
  final class Seen {
    var views: [QuoteView] = []
    /// Told instead, and trades with the number of views that came before each.
    var held: [QuoteView] = []
    var trades: [(trade: PublicTrade, views: Int)] = []
  }
  var seen = Seen()
  var body: (QuoteView, inout Ladders) -> Void

  mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {
    seen.views.append(view)
    body(view, &ladders)
  }

  mutating func trade(_ trade: PublicTrade) { seen.trades.append((trade, seen.views.count)) }
  mutating func hold(_ view: QuoteView) { seen.held.append(view) }

  /// One quote a side, a tick away from the best of others.
  static var plain: Scripted {
    Scripted { view, ladders in
      ladders.bids.add(price: view.bestBid.price - PriceTicks(rawValue: 1), qty: QtyLots(rawValue: 5))
      ladders.asks.add(price: view.bestAsk.price + PriceTicks(rawValue: 1), qty: QtyLots(rawValue: 5))
    }
  }
}

/// A desk with a quoting service on it.
private struct Service: ~Copyable {
  var desk: Desk
  var quoting = QuotingService(instrumentCapacity: 1, ladderCapacity: 16, ordersPerSide: 64)
  var limits: RiskLimits? = Desk.limits
  var gate = QuotingBlock.none
  var now: Nanoseconds = 1000
  static let staleAfter: Nanoseconds = 500

  init(_ strategy: Scripted = .plain, position: Int64? = 0) throws {
    var desk = try Desk(position: position)
    desk.market.tickerTime = 1000
    self.desk = desk
    quoting.assign(StrategyBox(strategy), policy: ReconcilePolicy(), to: 0)
  }

  /// Looks, and returns what would be sent, in order.
  mutating func look() -> [Command] {
    let state = desk.tracker.state(0)
    let (limits, gate, now) = (limits, gate, now)
    withUnsafeMutablePointer(to: &desk.market) { market in
      quoting.look(
        0, market: market, state: state, limits: limits, staleAfter: Self.staleAfter, gate: gate, now: now)
    }
    return (0..<quoting.cancels.count).map { quoting.cancels[$0] }
      + (0..<quoting.changes.count).map { quoting.changes[$0] }
  }

  var block: QuotingBlock { quoting.block(0) }

  mutating func setBook(_ side: Side, _ price: Int64, _ qty: Int64) {
    _ = desk.market.book.set(side, PriceTicks(rawValue: price), QtyLots(rawValue: qty))
  }
}

@Suite struct QuotingServiceTests {
  /// Brings a block about, or ends its cause; nothing else is done to the service.
  private static func set(_ block: QuotingBlock, _ isOn: Bool, _ service: inout Service) {
    switch block {
    case .none: break
    // These hold back changes and pull nothing; the lane sets them, and its tests cover them.
    case .refusedByVenue, .throttled, .unanswered, .noNewOrders: break
    case .sessionNotReady, .stopping, .journalFailed, .protection, .halted, .slowVenue, .staleBook, .staleMark,
      .staleIndex, .churn, .toxicFlow, .clockOff, .referenceOnly, .handedOver:
      service.gate = isOn ? block : .none
    case .notListed:
      let info = InstrumentInfo(index: 0, kind: .perpetual, grid: Desk.grid, expirySeconds: 0)
      service.desk.market.info = isOn ? nil : info
    case .positionUnknown: service.desk.tracker.state(0).pointee.position = isOn ? nil : .zero
    case .noLimits: service.limits = isOn ? nil : Desk.limits
    case .noBook: service.desk.market.isBookValid = !isOn
    case .oneSidedBook: service.setBook(.sell, 101, isOn ? 0 : 50)
    case .crossedBook: service.setBook(.buy, 102, isOn ? 1 : 0)
    case .staleMarket:
      if isOn {
        service.now = service.desk.market.tickerTime + Service.staleAfter + 1
      } else {
        service.desk.market.tickerTime = service.now
      }
    case .noMark: service.desk.market.ticker.markE8 = isOn ? 0 : 10_000_000_000
    case .directive:
      var directive = Directive()
      directive.isQuotingAllowed = !isOn
      service.quoting.direct(directive, 0)
    case .strategyEmpty:
      let strategy = isOn ? Scripted { _, _ in } : Scripted.plain
      service.quoting.assign(StrategyBox(strategy), policy: ReconcilePolicy(), to: 0)
    }
  }

  @Test func `where nothing may be quoted a strategy learns what is held, and otherwise is not told twice`() throws {
    let strategy = Scripted.plain
    var service = try Service(strategy, position: 7)
    _ = service.look()
    #expect(strategy.seen.views.count == 1 && strategy.seen.held.isEmpty)
    service.setBook(.sell, 101, 0)
    _ = service.look()
    #expect(strategy.seen.views.count == 1)
    #expect(strategy.seen.held.map(\.position.rawValue) == [7])
    #expect(strategy.seen.held.first?.bestBid.qty == .zero)
    service.gate = .halted
    _ = service.look()
    #expect(strategy.seen.held.count == 2)
    service.desk.tracker.state(0).pointee.position = nil
    _ = service.look()
    #expect(strategy.seen.held.count == 2)
  }

  @Test func `public trades are told in order before the quote that follows, the oldest left out`() throws {
    let strategy = Scripted.plain
    var service = try Service(strategy)
    _ = service.look()
    for time in 1...40 as ClosedRange<Int64> {
      service.desk.market.trades.add(
        PublicTrade(time: time, price: PriceTicks(rawValue: 100), qty: QtyLots(rawValue: 1), aggressor: .buy))
    }
    _ = service.look()
    _ = service.look()
    #expect(strategy.seen.trades.map(\.trade.time) == Array(9...40))
    #expect(strategy.seen.trades.allSatisfy { $0.views == 1 })
  }

  @Test(
    arguments: QuotingBlock.allCases.filter {
      ![.none, .refusedByVenue, .throttled, .unanswered, .noNewOrders].contains($0)
    })
  func `R62 a block pulls every quote, names its cause, and ends by itself with it`(block: QuotingBlock) throws {
    var service = try Service()
    #expect(service.look().map(\.kind) == [.insert, .insert])
    #expect(service.block == .none)
    service.desk.resting(.buy, 98, 5)
    service.desk.resting(.sell, 102, 5)
    #expect(service.look() == [])

    Self.set(block, true, &service)
    #expect(service.look().map(\.kind) == [.cancel, .cancel])
    #expect(service.block == block)
    #expect(!block.text.isEmpty && block.text != QuotingBlock.none.text)
    // It lasts, and says so each time.
    #expect(service.look().map(\.kind) == [.cancel, .cancel])
    #expect(service.block == block)

    Self.set(block, false, &service)
    #expect(service.look() == [])
    #expect(service.block == .none)
  }

  @Test func `every block has a text of its own`() {
    #expect(Set(QuotingBlock.allCases.map(\.text)).count == QuotingBlock.allCases.count)
  }

  @Test func `R29 market data is stale one moment after its time, not before`() throws {
    var service = try Service()
    service.now = service.desk.market.tickerTime + Service.staleAfter
    _ = service.look()
    #expect(service.block == .none)
    service.now += 1
    _ = service.look()
    #expect(service.block == .staleMarket)
  }

  @Test(arguments: [101, 102, 500] as [Int64])
  func `R31 a book that is locked or crossed yields no quote`(bid: Int64) throws {
    var service = try Service()
    service.setBook(.buy, bid, 3)
    #expect(service.look() == [])
    #expect(service.block == .crossedBook)
  }

  @Test(arguments: [Side.buy, .sell])
  func `R31 a book with an empty side, or with nobody but ourselves on it, yields no quote`(side: Side) throws {
    var service = try Service()
    let price: Int64 = side == .buy ? 99 : 101
    service.setBook(side, price, 0)
    #expect(service.look() == [])
    #expect(service.block == .oneSidedBook)
    service.desk.resting(side, price, 5)
    service.setBook(side, price, 5)
    #expect(service.look().map(\.kind) == [.cancel])
    #expect(service.block == .oneSidedBook)
  }

  // MARK: - What the strategy is shown

  @Test func `our own orders are not the market: the best of others is what is left without them`() throws {
    let strategy = Scripted.plain
    let seen = Scripted.Seen()
    var service = try Service(Scripted(seen: seen, body: strategy.body))
    // Alone at 100: not there. Among others at 99: their part only.
    service.desk.resting(.buy, 100, 5)
    service.setBook(.buy, 100, 5)
    service.desk.resting(.buy, 99, 20)
    _ = service.look()
    #expect(seen.views.last?.bestBid == Quote(price: PriceTicks(rawValue: 99), qty: QtyLots(rawValue: 30)))
    #expect(seen.views.last?.bestAsk == Quote(price: PriceTicks(rawValue: 101), qty: QtyLots(rawValue: 50)))
  }

  @Test func `an order of ours counts as what rests of it, and one not confirmed is not in the book yet`() throws {
    let seen = Scripted.Seen()
    var service = try Service(Scripted(seen: seen, body: Scripted.plain.body))
    let order = service.desk.resting(.buy, 99, 20)
    service.desk.fill(order, 15)
    _ = service.desk.sent(.buy, 99, 40)
    _ = service.look()
    #expect(seen.views.last?.bestBid.qty.rawValue == 45)
  }

  @Test func `the strategy sees position, limit, grid, mark and directive as they are`() throws {
    let seen = Scripted.Seen()
    var service = try Service(Scripted(seen: seen, body: Scripted.plain.body), position: -7)
    var directive = Directive()
    directive.widenPermille = 1500
    directive.targetPosition = QtyLots(rawValue: 3)
    service.quoting.direct(directive, 0)
    _ = service.look()
    let view = try #require(seen.views.last)
    #expect(view.position.rawValue == -7)
    #expect(view.maximumPosition == Desk.limits.maximumPosition)
    #expect(view.grid == Desk.grid)
    #expect(view.markE8 == 10_000_000_000)
    #expect(view.directive == directive)
    #expect(view.now == service.now)
  }

  // MARK: - Cuts

  @Test func `R46 a quote that would cross the market is dropped, one that joins it stays`() throws {
    var service = try Service(
      Scripted { _, ladders in
        for price in [98, 99, 100, 101, 102] as [Int64] {
          ladders.bids.add(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: 5))
          ladders.asks.add(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: 5))
        }
      })
    let commands = service.look()
    #expect(commands.filter { $0.side == .buy }.map(\.price.rawValue) == [100, 99, 98])
    #expect(commands.filter { $0.side == .sell }.map(\.price.rawValue) == [100, 101, 102])
  }

  @Test func `R07 the quotes of a side are cut to the room that the position leaves, the worst prices first`() throws {
    var service = try Service(
      Scripted { _, ladders in
        for step in 0..<3 as Range<Int64> {
          ladders.bids.add(price: PriceTicks(rawValue: 98 - step), qty: QtyLots(rawValue: 30))
          ladders.asks.add(price: PriceTicks(rawValue: 102 + step), qty: QtyLots(rawValue: 30))
        }
      }, position: 60)
    let commands = service.look()
    #expect(commands.filter { $0.side == .buy }.map(\.qty.rawValue) == [30, 10])
    #expect(commands.filter { $0.side == .sell }.map(\.qty.rawValue) == [30, 30, 30])
  }

  @Test func `at the limit the loading side is empty and the unloading side stands`() throws {
    var service = try Service(position: 100)
    #expect(service.look().map(\.side) == [.sell])
    #expect(service.block == .none)
    var beyond = try Service(position: -130)
    #expect(beyond.look().map(\.side) == [.buy])
  }

  @Test func `a quote that the cut leaves below the venue's least size is not sent`() throws {
    var service = try Service(position: 99)
    #expect(service.look().map(\.side) == [.sell])
    var roomier = try Service(position: 98)
    #expect(roomier.look().map(\.qty.rawValue).sorted() == [2, 5])
  }

  @Test(arguments: 1...200 as ClosedRange<UInt64>)
  func `R31 R46 whatever a strategy asks for, nothing crosses the market or passes the limit`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var wishes: [(Side, Int64, Int64)] = []
    for _ in 0..<Int.random(in: 0...20, using: &random) {
      wishes.append(
        (
          random.chance(500) ? .buy : .sell, .random(in: 80...120, using: &random),
          .random(in: -3...(random.chance(50) ? 1 << 40 : 60), using: &random)
        ))
    }
    let position = Int64.random(in: -140...140, using: &random)
    let wanted = wishes
    var service = try Service(
      Scripted { _, ladders in
        for (side, price, qty) in wanted {
          if side == .buy {
            ladders.bids.add(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty))
          } else {
            ladders.asks.add(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty))
          }
        }
      }, position: position)
    let bid = Int64.random(in: 90...105, using: &random)
    let ask = bid + .random(in: 1...6, using: &random)
    service.setBook(.buy, 99, 0)
    service.setBook(.sell, 101, 0)
    service.setBook(.buy, bid, 50)
    service.setBook(.sell, ask, 50)
    let commands = service.look()
    var sums: [Side: Int64] = [.buy: 0, .sell: 0]
    for command in commands {
      #expect(command.kind == .insert)
      #expect(command.qty >= Desk.grid.minimumLots, "seed \(seed)")
      #expect(command.side == .buy ? command.price.rawValue < ask : command.price.rawValue > bid, "seed \(seed)")
      sums[command.side, default: 0] += command.qty.rawValue
    }
    #expect(sums[.buy, default: 0] <= max(0, 100 - position), "seed \(seed)")
    #expect(sums[.sell, default: 0] <= max(0, 100 + position), "seed \(seed)")
    #expect((service.block == .none) == !commands.isEmpty, "seed \(seed)")
  }

  @Test func `R64 no bid at a price of 0 or less is asked for`() throws {
    var service = try Service(
      Scripted { view, ladders in
        for price: Int64 in [2, 1, 0, -1] {
          ladders.bids.add(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: 5))
        }
      })
    #expect(service.look().map(\.price.rawValue) == [2, 1])
  }

  // MARK: - Order of commands

  @Test func `when the quotes move up the asks leave first, when they move down the bids`() throws {
    var service = try Service(
      Scripted { view, ladders in
        ladders.bids.add(price: view.bestBid.price, qty: QtyLots(rawValue: 5))
        ladders.asks.add(price: view.bestAsk.price, qty: QtyLots(rawValue: 5))
      })
    service.desk.resting(.buy, 99, 5)
    service.desk.resting(.sell, 101, 5)
    service.setBook(.sell, 101, 0)
    service.setBook(.sell, 104, 50)
    service.setBook(.buy, 102, 50)
    #expect(service.look().map(\.side) == [.sell, .buy])
    service.setBook(.buy, 102, 0)
    service.setBook(.buy, 99, 0)
    service.setBook(.buy, 95, 50)
    service.setBook(.sell, 97, 50)
    #expect(service.look().map(\.side) == [.buy, .sell])
  }

  @Test func `cancels and reductions are kept apart from what adds or moves`() throws {
    var service = try Service()
    service.desk.resting(.buy, 98, 9)
    service.desk.resting(.buy, 97, 5)
    let commands = service.look()
    #expect(service.quoting.cancels.count == 2)
    #expect(commands.map(\.kind) == [.amend, .cancel, .insert])
    #expect(commands.map(\.side) == [.buy, .buy, .sell])
  }
}
