import Apus
import ApusExchange
import CSupport
import Synchronization

/// How the market of a flow behaves.
enum MatchScenario: String, CaseIterable, Sendable {
  /// Orders come and go within 100 ticks of a price that stands.
  case still
  /// The price walks tick by tick, orders near it, one in twenty takes.
  case normal
  /// The price swings by a quarter up and down, with what was left behind still resting.
  case swing25
  case swing40
  /// As normal, with a fall by a fifth within a few thousand messages every 200,000: sweeps through many levels, and a
  /// storm of cancels.
  case crash
}

/// One message, 24 bytes. Orders have numbers 0 ..< 16,384 that are used again when they are gone.
struct MatchMessage: BitwiseCopyable {
  static let new: UInt8 = 0, cancel: UInt8 = 1, modify: UInt8 = 2
  /// New: 1 if what cannot trade at once is not to rest.
  static let immediate: UInt8 = 1

  var kind: UInt8
  /// 0 buy, 1 sell.
  var side: UInt8
  var flags: UInt8 = 0
  var order: UInt32
  var price: Int64
  var qty: Int64
}

struct MatchTally {
  var trades: Int64 = 0
  var quantity: Int64 = 0
  var value: Int64 = 0
}

/// Two million messages of one scenario, the same in every run: half new orders, a third cancels, the rest modifies.
final class MatchFlow: Sendable {
  static let count = 2_000_000
  static let numbers = 16_384
  private static let price: Int64 = 600_000

  static let limits = MatchLimits(
    maxOrders: UInt32(numbers), maxLevels: UInt32(numbers), minPrice: PriceTicks(rawValue: 1),
    maxPrice: PriceTicks(rawValue: 1 << 30))

  let messages: [MatchMessage]

  private static let cache = Mutex<[MatchScenario: MatchFlow]>([:])

  static func of(_ scenario: MatchScenario) -> MatchFlow {
    cache.withLock { cache in
      if let flow = cache[scenario] { return flow }
      // One at a time: each takes 48 MB.
      cache = [scenario: MatchFlow(scenario)]
      return cache[scenario]!
    }
  }

  var input: [UInt8] { messages.withUnsafeBytes { Array($0) } }

  /// Feeds the messages `first ..< end` to the engine and reads all reports.
  ///
  /// - Parameter handles: of the orders by their numbers.
  func play(
    _ engine: inout MatchingEngine, _ handles: inout [UInt64], from first: Int, to end: Int, _ tally: inout MatchTally
  ) {
    messages.withUnsafeBufferPointer { messages in
      for index in first..<end {
        let message = messages[index]
        switch message.kind {
        case MatchMessage.new:
          handles[Int(message.order)] = engine.submit(Self.order(message))
        case MatchMessage.cancel:
          engine.cancel(handles[Int(message.order)])
        default:
          engine.modify(
            handles[Int(message.order)], price: PriceTicks(rawValue: message.price),
            remaining: QtyLots(rawValue: message.qty))
        }
        for index in 0..<engine.reportCount {
          let report = engine.report(index)
          if report.kindCode == UInt8(MatchReportKind.trade.rawValue) {
            tally.trades += 1
            tally.quantity &+= report.quantity.rawValue
            tally.value &+= report.price.rawValue &* report.quantity.rawValue
          }
        }
      }
    }
  }

  @inline(__always)
  private static func order(_ message: MatchMessage) -> MatchOrder {
    MatchOrder(
      tag: UInt64(message.order), side: message.side == 0 ? .buy : .sell,
      flags: message.flags == MatchMessage.immediate ? .immediateOrCancel : [],
      price: PriceTicks(rawValue: message.price), quantity: QtyLots(rawValue: message.qty))
  }

  // MARK: Making it

  /// Made with an engine at hand, so that cancels and modifies are about orders that live.
  private init(_ scenario: MatchScenario) {
    guard var engine = try? MatchingEngine(limits: Self.limits) else {
      preconditionFailure("the limits of the flow are constants that an engine accepts")
    }
    var maker = Maker(scenario: scenario)
    var messages: [MatchMessage] = []
    messages.reserveCapacity(Self.count)
    for step in 0..<Self.count { messages.append(maker.next(step, &engine)) }
    self.messages = messages
  }

  private struct Maker {
    let scenario: MatchScenario
    var random: Random
    var handles = [UInt64](repeating: 0, count: MatchFlow.numbers)
    /// Numbers of live orders, and where each stands in the list.
    var live: [UInt32] = []
    var places = [Int32](repeating: -1, count: MatchFlow.numbers)
    var free = (0..<UInt32(MatchFlow.numbers)).reversed().map { $0 }
    var prices = [Int64](repeating: 0, count: MatchFlow.numbers)
    var sides = [UInt8](repeating: 0, count: MatchFlow.numbers)
    var middle = MatchFlow.price
    /// Live orders that the flow keeps to.
    let population = 6000

    init(scenario: MatchScenario) {
      self.scenario = scenario
      random = Random(seed: UInt64(scenario.rawValue.utf8.reduce(7) { $0 &* 31 &+ Int($1) }))
    }

    mutating func next(_ step: Int, _ engine: inout MatchingEngine) -> MatchMessage {
      move(step)
      let message = choose(step)
      apply(message, &engine)
      return message
    }

    /// The price that orders gather round.
    private mutating func move(_ step: Int) {
      let price = MatchFlow.price
      func swing(_ part: Int64) -> Int64 {
        // A triangle of 400,000 messages.
        let phase = Int64(step % 400_000)
        let height = phase < 200_000 ? phase : 400_000 - phase
        return price + price * part / 100 * (2 * height - 200_000) / 200_000
      }
      switch scenario {
      case .still: middle = price
      case .normal: if step % 16 == 0 { middle += Int64(random.below(3)) - 1 }
      case .swing25: middle = swing(25)
      case .swing40: middle = swing(40)
      case .crash:
        let phase = step % 200_000
        if phase < 150_000 {
          if step % 16 == 0 { middle += Int64(random.below(3)) - 1 }
        } else if phase < 154_000 {
          middle -= price / 5 / 4000
        } else if phase >= 160_000 {
          middle += price / 5 / 40_000
        }
      }
    }

    private mutating func choose(_ step: Int) -> MatchMessage {
      let phase = step % 200_000
      let isCrash = scenario == .crash && (150_000..<154_000).contains(phase)
      let isStorm = scenario == .crash && (154_000..<158_000).contains(phase)
      var draw = random.below(100)
      if live.count < population / 2 { draw = draw * 60 / 100 }
      if isStorm, live.count > 1000 { draw = 70 }
      if free.isEmpty { draw = 70 }
      if draw < 50 || live.isEmpty {
        return new(isCrash: isCrash)
      }
      // Above the population the surplus is cancelled, so that new orders and ends balance.
      if draw < 50 + (live.count > population ? 45 : 30) {
        let number = live[random.below(live.count)]
        return MatchMessage(kind: MatchMessage.cancel, side: sides[Int(number)], order: number, price: 0, qty: 0)
      }
      let number = live[random.below(live.count)]
      return MatchMessage(
        kind: MatchMessage.modify, side: sides[Int(number)], order: number,
        price: passivePrice(sides[Int(number)]), qty: Int64(1 + random.below(8)))
    }

    private mutating func new(isCrash: Bool) -> MatchMessage {
      let number = free[free.count - 1]
      let side = UInt8(random.below(2))
      let qty = Int64(1 + random.below(8))
      if isCrash, random.below(3) == 0 {
        // A large sale through everything down to a hundred ticks below.
        return MatchMessage(
          kind: MatchMessage.new, side: 1, flags: MatchMessage.immediate, order: number, price: middle - 100, qty: 400)
      }
      if random.below(10) == 0 {
        // Takes: across the spread, up to ten ticks deep.
        let price = middle + (side == 0 ? 10 : -10)
        return MatchMessage(kind: MatchMessage.new, side: side, order: number, price: price, qty: 3 * qty)
      }
      return MatchMessage(kind: MatchMessage.new, side: side, order: number, price: passivePrice(side), qty: qty)
    }

    /// Behind the touch, dense near it and thin far away.
    private mutating func passivePrice(_ side: UInt8) -> Int64 {
      let depth = Int64(min(random.below(100), random.below(100)) + 1)
      return middle + (side == 0 ? -depth : depth)
    }

    private mutating func apply(_ message: MatchMessage, _ engine: inout MatchingEngine) {
      let number = Int(message.order)
      switch message.kind {
      case MatchMessage.new:
        sides[number] = message.side
        handles[number] = engine.submit(MatchFlow.order(message))
        if handles[number] != 0 {
          free.removeLast()
          places[number] = Int32(live.count)
          live.append(message.order)
        }
      case MatchMessage.cancel:
        engine.cancel(handles[number])
        remove(number)
      default:
        let rests = engine.modify(
          handles[number], price: PriceTicks(rawValue: message.price), remaining: QtyLots(rawValue: message.qty))
        if !rests { remove(number) }
      }
      for index in 0..<engine.reportCount {
        let report = engine.report(index)
        if report.kindCode == UInt8(MatchReportKind.trade.rawValue), report.makerRemaining.rawValue == 0 {
          remove(Int(report.makerTag))
        }
      }
    }

    private mutating func remove(_ number: Int) {
      let place = Int(places[number])
      guard place >= 0 else { return }
      let last = live.removeLast()
      if Int(last) != number {
        live[place] = last
        places[Int(last)] = Int32(place)
      }
      places[number] = -1
      free.append(UInt32(number))
    }
  }
}
