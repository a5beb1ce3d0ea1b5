import Apus
import Foundation
import WireC

/// The engine over loopback under a fixed schedule: market data may be conflated, orders and acknowledgements not.
struct SocketLoad {
  struct Outcome {
    /// Of each message that an order was made of: from when it was due to the order's receipt.
    var own = Samples([])
    /// Of all messages: to the receipt of the first order that had seen it or a later one of its instrument.
    var all = Samples([])
    /// How late the messages left the venue: what the generator itself adds.
    var lateness = Samples([])
    var unanswered = 0
    var conflatedShare = 0.0
    var largestBacklog = 0
    var orders = 0
    var unmatched = 0
  }

  static func run(rig: Rig, schedule: Schedule) throws -> Outcome {
    let count = rig.names.count
    let marks = Script.marks(instruments: count)
    let store = rig.tickers
    var messages = schedule.due.enumerated().map { index, due in
      let step = (rig.position + index) / count + 1
      let instrument = (rig.position + index) % count
      let range = Script.bidRange(step: step % marks)
      return wire_message(
        frame: store.frames[instrument * marks + step % marks], due_ns: due, instrument: UInt32(instrument),
        low: range.lowerBound, high: range.upperBound, sent_ns: 0, answered_ns: -1, own: 0, next: 0)
    }
    // Whole turns, so that the next run goes on where this one ends.
    rig.position += schedule.due.count
    var result = wire_open_loop_result()
    let code = wire_open_loop(rig.venue.venue, &messages, messages.count, 2_000_000_000, &result)
    try rig.venue.check(code, "the open-loop run")
    var outcome = Outcome()
    let answered = messages.filter { $0.answered_ns >= 0 }
    outcome.all = Samples(answered.map { $0.answered_ns - $0.due_ns })
    outcome.own = Samples(answered.filter { $0.own != 0 }.map { $0.answered_ns - $0.due_ns })
    outcome.lateness = Samples(messages.map { $0.sent_ns - $0.due_ns })
    outcome.unanswered = messages.count - answered.count
    outcome.conflatedShare = 1 - Double(outcome.own.count) / Double(max(1, messages.count))
    outcome.largestBacklog = Int(result.largest_backlog)
    outcome.orders = Int(result.orders)
    outcome.unmatched = Int(result.unmatched)
    return outcome
  }
}
