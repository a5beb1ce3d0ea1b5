public import Apus
import CSupport

/// What must hold in every run, whatever goes wrong in it.
public enum Invariant: String, CaseIterable, Sendable {
  // Looked at after each step.
  /// At the venue, position and open orders of a side together never pass the limit.
  case exposure = "exposure within limits"
  /// What we count as our worst case is never less than what the venue could do to us at this moment.
  case coverage = "our worst case covers the venue's"
  /// No execution is booked that the venue has not made, none twice, and in the end none is missing.
  case booking = "every fill booked once"
  /// Order messages leave at the rate that the venue grants, less the reserve, and no faster.
  case rate = "order rate kept"
  /// While a halt is verified nothing of ours rests.
  case halt = "a verified halt leaves nothing"
  /// Nothing of ours rests far from the market.
  case prices = "prices near the market"

  // Looked at when nothing is under way, and at the end.
  /// In the end no order rests that we do not know, and of none that we know the state is unknown.
  case orders = "no order unknown"
  /// Orders, one by one, and positions are the same on both sides.
  case books = "books equal"
  /// Cash, fees and profit are the same on both sides, to 10⁻⁸.
  case money = "money conserved"
  /// Positions, cash and fees at the venue are the sums of its own executions, and its books are sound.
  case venue = "the venue's books add up"
  /// Quotes stand again a minute after the last fault.
  case recovery = "quotes return"
  /// A stop ends, and the venue confirms it.
  case stop = "the stop is verified"
  /// The engine logs in, and is not refused what can be known before it is sent.
  case session = "requests are sound"
}

/// An invariant that did not hold, and how both sides saw things at that moment.
public struct Violation: Sendable {
  public var invariant: Invariant
  public var at: Nanoseconds
  /// One sentence.
  public var text: String
  public var engineView: [String] = []
  public var venueView: [String] = []
}

/// What the invariants that are looked at after each step remember of the steps before.
struct InvariantMemory {
  /// Executions of the venue's ledger that have been counted, and those of lives that the lane knows of, by instrument.
  var seenFills = 0
  var fills: [Int]
  var bought: [Int64]
  var sold: [Int64]
  /// The venue's bucket, filled at the moment of sending: what bunches up under way is not the engine's doing.
  var gate: RateGate
  var sentBefore = 0

  init(instruments: Int, gate: RateGate) {
    fills = Array(repeating: 0, count: instruments)
    bought = Array(repeating: 0, count: instruments)
    sold = Array(repeating: 0, count: instruments)
    self.gate = gate
  }
}

extension ChaosWorld {
  /// Notes the first time that an invariant does not hold.
  func violate(_ invariant: Invariant, instrument: Int? = nil, _ text: @autoclosure () -> String) {
    guard !violations.contains(where: { $0.invariant == invariant }) else { return }
    let shown = instrument.map { [$0] } ?? Array(plan.instruments.indices)
    let violation = Violation(
      invariant: invariant, at: now, text: text(), engineView: shown.flatMap { engineView($0) },
      venueView: shown.flatMap { venueView($0) })
    violations.append(violation)
    trace?(now, "VIOLATION of \"\(invariant.rawValue)\": \(violation.text)")
  }

  /// After each step.
  func checkInvariants() {
    checkRate()
    guard let ledger else { return }
    if memory.seenFills < ledger.fills.count { countFills(ledger) }
    for index in plan.instruments.indices {
      let long = ledger.positions[index].worstLong
      let short = ledger.positions[index].worstShort
      if long > plan.limitLots || short > plan.limitLots {
        violate(
          .exposure, instrument: index,
          "\(plan.instruments[index]) passed its limit of \(plan.limitLots): worst long \(long), worst short \(short)")
      }
      checkRisk(index, ledger)
    }
    if lane.isHalted { checkHalt(ledger) }
  }

  private func checkRate() {
    let sent = lane.ordersSent
    while memory.sentBefore < sent {
      memory.sentBefore += 1
      if !memory.gate.pass(now: now, penalty: 0) {
        violate(.rate, "an order message left although the \(memory.gate.rate) that a second allows were used up")
      }
    }
  }

  private func countFills(_ ledger: Account) {
    for fill in ledger.fills[memory.seenFills...] where isKnownToLane(fill.label) {
      memory.fills[fill.market] += 1
      if fill.side == .buy {
        memory.bought[fill.market] += fill.lots.rawValue
      } else {
        memory.sold[fill.market] += fill.lots.rawValue
      }
    }
    memory.seenFills = ledger.fills.count
  }

  private func checkRisk(_ index: Int, _ ledger: Account) {
    let ours = lane.risk(InstrumentIndex(index))
    if ours.fills > memory.fills[index] || ours.bought > memory.bought[index] || ours.sold > memory.sold[index] {
      violate(
        .booking, instrument: index,
        "\(plan.instruments[index]): booked are \(ours.fills) executions, \(ours.bought) lots bought and \(ours.sold) sold, "
          + "the venue has made \(memory.fills[index]), \(memory.bought[index]) and \(memory.sold[index])")
    }
    // What an earlier life left, and what was taken over, is known with the venue's delays only.
    guard life == 1, ours.adjustments == 0, ours.isPositionKnown else { return }
    let lots = ledger.positions[index].lots
    let long = lots + ledger.positions[index].openBuys
    let short = ledger.positions[index].openSells - lots
    if ours.worstLong < long || ours.worstShort < short {
      violate(
        .coverage, instrument: index,
        "\(plan.instruments[index]): at the venue \(long) lots long or \(short) short are possible, and we count with "
          + "\(ours.worstLong) and \(ours.worstShort)")
    }
  }

  private func checkHalt(_ ledger: Account) {
    guard lane.isHaltVerified, let order = ledger.orders.first(where: { isKnownToLane($0.label) }) else { return }
    violate(
      .halt, "#\(order.clientID.map { "\($0)" } ?? "?") rests although the halt is verified")
  }

  /// When nothing is under way: the orders of both sides, one by one.
  func compareOrders() {
    guard let ledger else { return }
    for index in plan.instruments.indices {
      func line(_ side: Side, _ price: Int64, _ lots: Int64) -> String {
        "\(side == .buy ? "buy" : "sell") \(lots) at \(price)"
      }
      let theirs = ledger.orders.filter { $0.market.index == index }
        .map { line($0.side, $0.price.rawValue, $0.remaining.rawValue) }.sorted()
      let ours = lane.orders(InstrumentIndex(index)).map { line($0.side, $0.priceTicks, $0.lots) }.sorted()
      // That an order of ours has ended may have been lost; that it rests must not be.
      guard plan.losesReports ? !Self.holds(ours, theirs) : theirs != ours else { continue }
      violate(
        .books, instrument: index,
        "\(plan.instruments[index]): nothing is under way, the engine has [\(ours.joined(separator: ", "))], the venue "
          + "[\(theirs.joined(separator: ", "))]")
    }
  }

  /// Whether each line of `part` is one of `whole`; both are sorted.
  private static func holds(_ whole: [String], _ part: [String]) -> Bool {
    var rest = whole[...]
    for line in part {
      guard let place = rest.firstIndex(of: line) else { return false }
      rest = rest[(place + 1)...]
    }
    return true
  }

  /// What is wrong with the venue's own account of ours; `nil` if it adds up.
  func brokenLedger() -> String? {
    if let broken = venue.brokenInvariant() { return broken }
    for account in venue.accountList {
      for market in venue.markets {
        var (lots, fees): (Int64, MoneyE8) = (0, 0)
        var cash = Int128(0)
        for fill in account.fills where fill.market == market.index {
          lots += fill.side.sign * fill.lots.rawValue
          fees += fill.feeE8
          cash -=
            Int128(fill.side.sign * fill.lots.rawValue) * Int128(fill.priceE8) * Int128(market.spec.grid.lotE8)
            / 100_000_000
        }
        let position = account.positions[market.index]
        if position.lots != lots || position.feesE8 != fees || Int128(position.cash) != cash {
          return
            "\(market.spec.name): the position is \(position.lots) lots, \(position.cash) cash, \(position.feesE8) fees, "
            + "its executions add up to \(lots), \(cash) and \(fees)"
        }
        // Open and realised profit together are cash and value of the position, whatever was traded in which order.
        let value = valueE8(lots: lots, priceE8: market.markE8, grid: market.spec.grid)
        let parts = position.realised + (value - position.cost)
        if parts != position.cash + value {
          return "\(market.spec.name): realised and open profit add up to \(parts) instead of \(position.cash + value)"
        }
      }
    }
    return nil
  }
}
