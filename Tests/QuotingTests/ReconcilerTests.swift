import CSupport
import TestSupport
import Testing

@testable import Apus

/// The reconciler's rules once more, with arrays and no care for speed.
struct ReconcilerModel {
  struct Standing {
    var clientID: UInt64
    var price: Int64
    var confirmedPrice: Int64
    var remaining: Int64
    var filled: Int64
    var isBusy: Bool
    var isSetAside: Bool
  }

  var policy: ReconcilePolicy

  func commands(_ side: Side, desired: [Quote], standing: [Standing]) -> (cancels: [Command], changes: [Command]) {
    func better(_ a: Int64, _ b: Int64) -> Bool { side == .buy ? a > b : a < b }
    func command(_ kind: CommandKind, _ id: UInt64, _ price: Int64, _ qty: Int64) -> Command {
      Command(
        kind: kind, side: side, instrument: 0, clientID: id, price: PriceTicks(rawValue: price),
        qty: QtyLots(rawValue: qty))
    }
    var cancels: [Command] = []
    var changes: [Command] = []
    var orders = standing.filter { !$0.isSetAside }
    var quotes = desired
    var spareOrders: [Standing] = []
    var spareQuotes: [Quote] = []
    while let order = orders.first, let quote = quotes.first {
      if abs(order.price - quote.price.rawValue) <= policy.priceToleranceTicks {
        orders.removeFirst()
        quotes.removeFirst()
        guard !order.isBusy else { continue }
        let wanted = quote.qty.rawValue
        if order.remaining > wanted {
          cancels.append(command(.amend, order.clientID, order.confirmedPrice, order.filled + wanted))
        } else if order.remaining * 1000 < wanted * policy.keepSizePermille {
          changes.append(command(.amend, order.clientID, quote.price.rawValue, order.filled + wanted))
        }
      } else if better(order.price, quote.price.rawValue) {
        spareOrders.append(orders.removeFirst())
      } else {
        spareQuotes.append(quotes.removeFirst())
      }
    }
    spareOrders += orders
    spareQuotes += quotes
    for index in 0..<max(spareOrders.count, spareQuotes.count) {
      let order = index < spareOrders.count ? spareOrders[index] : nil
      let quote = index < spareQuotes.count ? spareQuotes[index] : nil
      if let order, order.isBusy { continue }
      switch (order, quote) {
      case (let order?, let quote?):
        changes.append(command(.amend, order.clientID, quote.price.rawValue, order.filled + quote.qty.rawValue))
      case (let order?, nil):
        cancels.append(command(.cancel, order.clientID, order.confirmedPrice, 0))
      case (nil, let quote?):
        changes.append(command(.insert, 0, quote.price.rawValue, quote.qty.rawValue))
      case (nil, nil):
        break
      }
    }
    return (cancels, changes)
  }
}

/// A side with a ladder and orders in any state, made through the state tracker.
struct Bench: ~Copyable {
  var tracker: StateTracker
  var ladder: Ladder
  let side: Side
  var policy = ReconcilePolicy()
  private var trades = 0

  init(_ side: Side) throws {
    self.side = side
    tracker = try StateTracker(
      instrumentCapacity: 1, orderCapacity: 1024, ordersPerSide: 512, idBits: 32, firstGeneration: 1,
      tradeMemory: 1024)
    _ = tracker.setPosition(0, .zero, mark: PriceTicks(rawValue: 0))
    ladder = Ladder(side: side, capacity: 512)
  }

  mutating func want(_ price: Int64, _ qty: Int64) {
    ladder.add(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty))
  }

  func acknowledgement(_ order: OrderPointer, _ status: OrderStatus = .open) -> OrderReport {
    var report = OrderReport()
    report.source = .reply
    report.status = status
    report.change = order.pointee.inFlightValue == .amend ? .amend : .insert
    if report.change == .amend { report.amendSerial = tracker.amendSerial(of: order) }
    report.side = side
    report.instrument = 0
    report.clientID = order.pointee.client_id
    report.hasPrice = true
    report.price = order.pointee.effectivePrice
    report.qty = order.pointee.isChanging ? order.pointee.target_lots : order.pointee.qty_lots
    report.filled = order.pointee.filled_lots
    return report
  }

  @discardableResult
  mutating func sent(_ price: Int64, _ qty: Int64) -> OrderPointer {
    tracker.beginInsert(0, side, price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty), now: 1)!
  }

  @discardableResult
  mutating func resting(_ price: Int64, _ qty: Int64, filled: Int64 = 0) -> OrderPointer {
    let order = sent(price, qty + filled)
    _ = tracker.apply(acknowledgement(order), now: 2)
    if filled > 0 {
      trades += 1
      var fill = FillReport()
      fill.instrument = 0
      fill.side = side
      fill.clientID = order.pointee.client_id
      let text = "trade-\(trades)"
      _ = apus_id_set(&fill.tradeID, text, text.utf8.count)
      fill.price = order.pointee.price_ticks
      fill.qty = QtyLots(rawValue: filled)
      _ = tracker.apply(fill, now: 3)
    }
    return order
  }

  mutating func reconcile() -> (cancels: [Command], changes: [Command]) {
    var cancels = CommandBuffer(capacity: 1024)
    var changes = CommandBuffer(capacity: 1024)
    let state = tracker.state(0)
    if side == .buy {
      Reconciler.reconcile(
        instrument: 0, desired: ladder, orders: state.pointee.bids, policy: policy, cancels: &cancels,
        changes: &changes)
    } else {
      Reconciler.reconcile(
        instrument: 0, desired: ladder, orders: state.pointee.asks, policy: policy, cancels: &cancels,
        changes: &changes)
    }
    return ((0..<cancels.count).map { cancels[$0] }, (0..<changes.count).map { changes[$0] })
  }

  var quotes: [Quote] { (0..<ladder.count).map { ladder[$0] } }

  var orders: [OrderPointer] {
    let state = tracker.state(0)
    if side == .buy {
      let count = state.pointee.bids.count
      return (0..<count).map { state.pointee.bids[$0] }
    }
    let count = state.pointee.asks.count
    return (0..<count).map { state.pointee.asks[$0] }
  }

  var standing: [ReconcilerModel.Standing] {
    orders.map {
      ReconcilerModel.Standing(
        clientID: $0.pointee.client_id, price: $0.pointee.effectivePrice.rawValue,
        confirmedPrice: $0.pointee.price_ticks.rawValue, remaining: $0.pointee.effectiveRemaining.rawValue,
        filled: $0.pointee.filled_lots.rawValue, isBusy: $0.pointee.inFlightValue != .none,
        isSetAside: $0.pointee.inFlightValue == .cancel || $0.pointee.phaseValue == .unknown)
    }
  }
}

@Suite struct ReconcilerTests {
  @Test func `a ladder that stands as desired needs no command`() throws {
    var bench = try Bench(.buy)
    bench.resting(100, 5)
    bench.resting(99, 5)
    bench.want(100, 5)
    bench.want(99, 5)
    let (cancels, changes) = bench.reconcile()
    #expect(cancels.isEmpty && changes.isEmpty)
  }

  @Test func `a move by one step costs one message, and the orders that still fit keep their place`() throws {
    var bench = try Bench(.buy)
    bench.resting(100, 5)
    bench.resting(99, 5)
    let worst = bench.resting(98, 5)
    for price in [101, 100, 99] as [Int64] { bench.want(price, 5) }
    let (cancels, changes) = bench.reconcile()
    #expect(cancels.isEmpty)
    #expect(changes.count == 1)
    #expect(changes.first?.kind == .amend)
    #expect(changes.first?.clientID == worst.pointee.client_id)
    #expect(changes.first?.price.rawValue == 101)
  }

  @Test func `an amend counts what has been filled into the total size`() throws {
    var bench = try Bench(.sell)
    bench.resting(100, 3, filled: 2)
    bench.want(102, 5)
    let (_, changes) = bench.reconcile()
    #expect(changes.map(\.qty.rawValue) == [7])
  }

  @Test func `a size above the desired one is reduced in place, before anything else`() throws {
    var bench = try Bench(.buy)
    bench.resting(100, 9)
    bench.want(100, 5)
    let (cancels, changes) = bench.reconcile()
    #expect(cancels.map(\.kind) == [.amend])
    #expect(cancels.map(\.qty.rawValue) == [5])
    #expect(changes.isEmpty)
  }

  @Test func `R18 an order of unknown outcome is not touched and does not freeze its side`() throws {
    var bench = try Bench(.buy)
    let lost = bench.sent(100, 5)
    bench.tracker.markUnknown(lost, now: 5)
    bench.want(100, 5)
    let (cancels, changes) = bench.reconcile()
    #expect(cancels.isEmpty)
    #expect(changes.map(\.kind) == [.insert])
  }

  @Test func `a busy order holds its quote back, so that no more orders rest than are desired`() throws {
    var bench = try Bench(.buy)
    bench.sent(100, 5)
    bench.want(105, 5)
    let (cancels, changes) = bench.reconcile()
    #expect(cancels.isEmpty && changes.isEmpty)
  }

  @Test func `nothing desired cancels everything that is not busy`() throws {
    var bench = try Bench(.sell)
    bench.resting(100, 5)
    bench.resting(101, 5)
    bench.sent(102, 5)
    let (cancels, changes) = bench.reconcile()
    #expect(cancels.map(\.kind) == [.cancel, .cancel])
    #expect(changes.isEmpty)
  }

  @Test(arguments: 1...300 as ClosedRange<UInt64>)
  func `random ladders and pending states give exactly the commands of the slow model`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    for _ in 0..<30 {
      var bench = try Bench(random.chance(500) ? .buy : .sell)
      bench.policy = ReconcilePolicy(
        priceToleranceTicks: .random(in: 0...3, using: &random), keepSizePermille: .random(in: 0...1000, using: &random)
      )
      let span = Int64.random(in: 1...30, using: &random)
      for _ in 0..<Int.random(in: 0...12, using: &random) {
        bench.want(100 + .random(in: 0...span, using: &random), .random(in: 1...9, using: &random))
      }
      for _ in 0..<Int.random(in: 0...12, using: &random) {
        let price = 100 + Int64.random(in: 0...span, using: &random)
        let qty = Int64.random(in: 1...9, using: &random)
        switch Int.random(in: 0..<6, using: &random) {
        case 0: bench.sent(price, qty)
        case 1:
          let order = bench.resting(price, qty)
          bench.tracker.beginAmend(
            order, price: PriceTicks(rawValue: 100 + .random(in: 0...span, using: &random)),
            qty: QtyLots(rawValue: .random(in: 1...9, using: &random)), now: 4)
        case 2:
          let order = bench.resting(price, qty)
          bench.tracker.beginCancel(order, now: 4)
        case 3:
          let order = bench.resting(price, qty)
          bench.tracker.markUnknown(order, now: 4)
        default:
          bench.resting(price, qty, filled: .random(in: 0...3, using: &random))
        }
      }
      let expected = ReconcilerModel(policy: bench.policy)
        .commands(bench.side, desired: bench.quotes, standing: bench.standing)
      let (cancels, changes) = bench.reconcile()
      try #require(cancels == expected.cancels, "seed \(seed)")
      try #require(changes == expected.changes, "seed \(seed)")
    }
  }

  /// A property that does not lean on the model: when every command is carried out and confirmed,
  /// exactly the desired ladder rests, and asking again yields nothing.
  @Test(arguments: 1...200 as ClosedRange<UInt64>)
  func `carried out, the commands make the desired ladder and then there is nothing to do`(seed: UInt64) throws {
    var random = SplitMix(seed: seed)
    var bench = try Bench(random.chance(500) ? .buy : .sell)
    for _ in 0..<Int.random(in: 0...10, using: &random) {
      bench.want(.random(in: 100...120, using: &random), .random(in: 1...9, using: &random))
    }
    for _ in 0..<Int.random(in: 0...10, using: &random) {
      bench.resting(.random(in: 100...120, using: &random), .random(in: 1...9, using: &random))
    }
    let before = bench.orders.count
    let (cancels, changes) = bench.reconcile()
    // Minimal: one message for each quote or order that has no exact counterpart, not two.
    #expect(cancels.count + changes.count <= max(before, bench.quotes.count))
    for command in cancels + changes {
      switch command.kind {
      case .insert:
        bench.resting(command.price.rawValue, command.qty.rawValue)
      case .amend:
        let order = bench.tracker.order(command.clientID)!
        bench.tracker.beginAmend(order, price: command.price, qty: command.qty, now: 5)
        _ = bench.tracker.apply(bench.acknowledgement(order), now: 6)
      case .cancel:
        let order = bench.tracker.order(command.clientID)!
        bench.tracker.beginCancel(order, now: 5)
        _ = bench.tracker.apply(bench.acknowledgement(order, .cancelled), now: 6)
      }
    }
    let rests = bench.orders.map { Quote(price: $0.pointee.price_ticks, qty: $0.pointee.effectiveRemaining) }
    #expect(rests == bench.quotes, "seed \(seed)")
    let again = bench.reconcile()
    #expect(again.cancels.isEmpty && again.changes.isEmpty, "seed \(seed)")
  }
}
