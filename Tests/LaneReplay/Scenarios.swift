import Apus
import CSupport

/// A kind of message and the steps that show it.
struct Scenario {
  var name: String
  /// Whether each measured message makes the lane send.
  var sends: Bool
  var levels = 3
  var lots: Int64 = 20
  var markWeightPermille: Int64 = 0
  var usesMassQuotes = false
  var record: (LaneScript) throws -> Void

  func makeScript(fault: Fault) throws -> LaneScript {
    let ladder = LadderParameters(
      levels: levels, halfSpreadCentiBps: 100, stepTicks: 2, size: QtyLots(rawValue: lots), skewCentiBps: 100,
      markWeightPermille: markWeightPermille)
    let script = try LaneScript(ladder: ladder, fault: fault, usesMassQuotes: usesMassQuotes)
    try script.begin()
    try record(script)
    return script
  }

  /// Messages of each kind.
  static let count = 100

  /// - Parameter settles: so long after each message the next may be answered with a mass quote of the same side.
  private static func moving(_ measured: LaneScript.Measured, settles: Nanoseconds = 0) -> (LaneScript) throws -> Void {
    { script in
      // A triangle of 50 ticks: each message takes the old best away and sets a new one, on both sides.
      var bid = 99_990
      for step in 0..<count {
        let next = bid + (step / 50 % 2 == 0 ? 1 : -1)
        let worst = next > bid ? bid - 9 : next - 9
        try script.receive(
          next > bid
            ? Venue.book(bids: "[\(next),1.5,1.5],[\(worst),0,0]", asks: "[\(bid + 20),0,0],[\(next + 29),1.5,1.5]")
            : Venue.book(bids: "[\(bid),0,0],[\(worst),1.5,1.5]", asks: "[\(next + 20),1.5,1.5],[\(bid + 29),0,0]"),
          measured)
        if settles > 0 { try script.settle(settles) }
        bid = next
      }
    }
  }

  private static func toggled(_ make: (Bool) -> Directive, _ on: LaneScript.Measured, _ off: LaneScript.Measured)
    -> (LaneScript) throws -> Void
  {
    let one = make(true)
    let other = make(false)
    return { script in
      for _ in 0..<count / 2 {
        try script.direct(one, on)
        try script.direct(other, off)
      }
    }
  }

  private static func pause(_ isOn: Bool) -> Directive {
    var directive = Directive()
    directive.isQuotingAllowed = !isOn
    return directive
  }

  static var all: [Scenario] {
    [
      Scenario(name: "ticker, nothing new", sends: false) { script in
        for step in 0..<count { try script.receive(Venue.ticker(mark: 100_000, last: 99_000 + step % 7), .message) }
      },
      Scenario(name: "ticker, new mark, quotes stay", sends: false) { script in
        for step in 0..<count { try script.receive(Venue.ticker(mark: 100_001 + step % 2, last: 99_000), .message) }
      },
      Scenario(name: "ticker, new mark, 3 x 2 quotes move", sends: true, markWeightPermille: 1000) { script in
        for step in 0..<count { try script.receive(Venue.ticker(mark: 100_001 + step % 2, last: 99_000), .message) }
      },
      Scenario(name: "book behind the best", sends: false) { script in
        for step in 0..<count {
          try script.receive(Venue.book(bids: "[99900,\(1 + step % 3),1]", asks: ""), .message)
        }
      },
      Scenario(name: "book, best moves, 1 x 2 quotes", sends: true, levels: 1, record: moving(.message)),
      Scenario(name: "book, best moves, 3 x 2 quotes", sends: true, levels: 3, record: moving(.message)),
      Scenario(name: "book, best moves, 10 x 2 quotes", sends: true, levels: 10, record: moving(.message)),
      Scenario(
        name: "book, best moves, mass quote of 3 x 2", sends: true, usesMassQuotes: true,
        record: moving(.message, settles: 40_000_000)),
      Scenario(
        name: "answers to a mass quote of 3 x 2", sends: false, usesMassQuotes: true,
        record: moving(.answers, settles: 40_000_000)),
      Scenario(name: "reply to an amend", sends: false, levels: 3, record: moving(.answers)),
      Scenario(name: "order update", sends: false) { script in
        let ids = script.orders.keys.sorted()
        for step in 0..<count { try script.reportOrder(ids[step % ids.count]) }
      },
      Scenario(name: "fill", sends: false, lots: 500) { script in
        // Bids and asks in turn: the position comes and goes, the quotes stay.
        let ids = script.orders.keys.sorted()
        let bids = ids.filter { script.orders[$0]?.direction == "\"buy\"" }
        let asks = ids.filter { script.orders[$0]?.direction == "\"sell\"" }
        for step in 0..<count {
          try script.fill(step % 2 == 0 ? bids[step / 2 % bids.count] : asks[step / 2 % asks.count])
        }
      },
      Scenario(name: "timers", sends: false) { script in
        for _ in 0..<count { script.tick(after: 10_000_000) }
      },
      Scenario(
        name: "directive widens, 3 x 2 quotes move", sends: true,
        record: toggled(
          { isOn in
            var directive = Directive()
            if isOn { directive.widenPermille = 3000 }
            return directive
          }, .message, .message)),
      Scenario(name: "directive pulls, 3 x 2 cancels", sends: true, record: toggled(pause, .message, .nothing)),
      Scenario(name: "reply to a cancel", sends: false, record: toggled(pause, .answers, .nothing)),
      Scenario(name: "directive resumes, 3 x 2 inserts", sends: true, record: toggled(pause, .nothing, .message)),
      Scenario(name: "reply to an insert", sends: false, record: toggled(pause, .nothing, .answers)),
    ]
  }
}
