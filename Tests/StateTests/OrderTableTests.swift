import CSupport
import TestSupport
import Testing

@testable import Apus

/// The state machine of an order, written down in `Tests/order-table.txt`, against the account of orders itself.
@Suite struct OrderTableTests {
  // By raw value.
  private static let phases = ["free", "inserting", "live", "unknown", "dead"]
  private static let requests = ["none", "insert", "amend", "cancel"]

  private func paths(_ table: String) -> [String: [String]] {
    table == "quotes" ? OrderDesk.quotePaths : OrderDesk.paths
  }

  /// A desk with an order in `state`.
  private func desk(_ table: String, in state: String) throws -> OrderDesk {
    var desk = try OrderDesk(isQuote: table == "quotes")
    for event in try #require(paths(table)[state], "no path leads to '\(state)'") { _ = desk.apply(event) }
    let reached = desk.state
    try #require(reached == state, "the path of '\(state)' leads to '\(reached)'")
    return desk
  }

  @Test(arguments: ["orders", "quotes"])
  func `R01 R02 R05 every event does in every state what the table says, and no state or event is left out`(
    name: String
  ) throws {
    let table = try OrderTable(named: name)
    #expect(Set(paths(name).keys) == Set(table.states))
    for row in table.rows {
      for state in table.states {
        var desk = try desk(name, in: state)
        let outcome = desk.apply(row.key)
        let found = try #require(outcome, "OrderDesk does not know the event '\(row.key)'")
        let place = "table \(name), event \(row.key), \(state)"
        guard let expected = row.cells[state] else {
          Issue.record("\(place): the table has no cell; the account says '\(found)'")
          continue
        }
        #expect(found == expected, "\(place): the account says '\(found)', the table '\(expected)'")
        desk.expectConsistent(place)
      }
    }
  }

  @Test(arguments: ["orders", "quotes"])
  func `R05 what cannot be true, and a request that may not be sent, is counted in every cell that says so`(
    name: String
  ) throws {
    let table = try OrderTable(named: name)
    var alerts = 0
    for row in table.rows {
      for state in table.states {
        guard let words = row.cells[state]?.words else { continue }
        let mustAlert = words.contains("impossible") || words.contains("refused")
        #expect(!mustAlert || words.contains("!"), "table \(name), event \(row.key), \(state): not counted")
        if words.contains("!") { alerts += 1 }
      }
    }
    #expect(alerts > 50)
  }

  @Test(arguments: ["orders", "quotes"])
  func `R01 the states are the whole memory of an order: on long walks the table still tells what happens`(
    name: String
  ) throws {
    let table = try OrderTable(named: name)
    // Whether price and size are new depends on what they were. These are left out: what has traded more than its
    // size, or all of it, or has more reserved, is judged by that later; and some let other quotes of the side live on. The
    // shorter time adds up.
    let ending: Set = [
      "fill-too-much", "fill-all", "larger-report", "larger-reply", "answered-repeated", "answered-untold",
      "unanswered", "answered", "purge",
    ]
    let rows = table.rows.filter { !ending.contains($0.key) }
    var random = SplitMix(seed: 0x5EED)
    for walk in 0..<30 * table.states.count {
      var desk = try desk(name, in: table.states[walk % table.states.count])
      var steps: [String] = []
      for _ in 0..<40 {
        let state = desk.state
        let row = rows[Int(random.next() % UInt64(rows.count))]
        steps.append(row.key)
        let outcome = desk.apply(row.key)
        let found = try #require(outcome).withoutValues
        try #require(
          found == row.cells[state]?.withoutValues,
          "walk \(walk), in \(state): the account says '\(found)', the table '\(String(describing: row.cells[state]))': \(steps)"
        )
        desk.expectConsistent("walk \(walk): \(steps)")
      }
    }
  }

  @Test(arguments: ["orders", "quotes"])
  func `the table names each combination of phase and request in flight, as a state or as impossible`(name: String)
    throws
  {
    let table = try OrderTable(named: name)
    var possible: Set<String> = []
    for state in table.states where state != OrderDesk.forgotten {
      let desk = try desk(name, in: state)
      let (phase, inFlight) = (desk.order!.pointee.phaseValue, desk.order!.pointee.inFlightValue)
      possible.insert("\(Self.phases[Int(phase.rawValue)]) \(Self.requests[Int(inFlight.rawValue)])")
    }
    let impossible = Set(table.impossible.map { "\($0.phase) \($0.inFlight)" })
    #expect(possible.isDisjoint(with: impossible))
    var all: Set<String> = []
    for phase in Self.phases.dropFirst() {
      for inFlight in Self.requests { all.insert("\(phase) \(inFlight)") }
    }
    #expect(possible.union(impossible) == all)
  }
}

extension OrderDesk {
  /// The sums of the account fit its one order, or orders.
  func expectConsistent(_ place: String) {
    let (open, unknown) = tracker.with(0) { state in
      var open: Int64 = 0
      var unknown = 0
      for position in 0..<state.bids.count {
        let record = state.bids[position].pointee
        open += record.worstCaseLots.rawValue
        if record.phaseValue == .unknown { unknown += 1 }
      }
      return (open, unknown)
    }
    var ended: Int64 = 0
    if let order, order.pointee.phaseValue == .dead { ended = order.pointee.worstCaseLots.rawValue }
    let (buys, unknownCount) = (tracker.buys, tracker.unknownCount)
    #expect(isAlone ? buys == open + ended : buys >= open + ended, "\(place): exposure")
    #expect(unknown == unknownCount, "\(place): orders of unknown state")
    // Whatever is not dead counts in full.
    if let order, order.pointee.phaseValue != .dead {
      let record = order.pointee
      let left = max(record.qty_lots, record.target_lots) - record.filled_lots
      #expect(record.worstCaseLots >= left, "\(place): exposure of the order")
    }
  }
}
