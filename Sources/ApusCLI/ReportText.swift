import Apus
import ApusExchange

/// Figures for people.
enum Figures {
  /// A fixed-point number with its last `8 - places` decimals cut off, thousands apart.
  static func decimal(e8: Int64, places: Int, sign: Bool = false) -> String {
    let magnitude = e8.magnitude
    let whole = grouped(magnitude / 100_000_000)
    var fraction = String(magnitude % 100_000_000)
    fraction = String(repeating: "0", count: 8 - fraction.count) + fraction
    let mark = e8 < 0 ? "−" : sign && e8 > 0 ? "+" : ""
    return places > 0 ? "\(mark)\(whole).\(fraction.prefix(places))" : "\(mark)\(whole)"
  }

  static func grouped(_ value: UInt64) -> String {
    var digits = String(value)
    var parts: [String] = []
    while digits.count > 3 {
      parts.insert(String(digits.suffix(3)), at: 0)
      digits.removeLast(3)
    }
    return ([digits] + parts).joined(separator: ",")
  }

  /// Decimals that a step needs: 3 for a lot of 0.001.
  static func places(of stepE8: Int64) -> Int {
    var step = stepE8
    var places = 8
    while places > 0, step % 10 == 0, step != 0 {
      step /= 10
      places -= 1
    }
    return places
  }

  static func duration(_ nanoseconds: Int64) -> String {
    switch nanoseconds {
    case ..<1000: "\(nanoseconds) ns"
    case ..<10_000: tenths(nanoseconds, 1000) + " µs"
    case ..<1_000_000: "\(nanoseconds / 1000) µs"
    case ..<10_000_000: tenths(nanoseconds, 1_000_000) + " ms"
    default: "\(nanoseconds / 1_000_000) ms"
    }
  }

  private static func tenths(_ value: Int64, _ unit: Int64) -> String {
    "\(value / unit).\(value % unit * 10 / unit)"
  }

  static func percent(_ share: Double) -> String {
    let tenths = Int((share * 1000).rounded(.down))
    return "\(tenths / 10).\(tenths % 10) %"
  }

  static func clock(_ seconds: Double) -> String {
    let whole = Int(seconds)
    let pad: (Int) -> String = { $0 < 10 ? "0\($0)" : "\($0)" }
    return "\(pad(whole / 60)):\(pad(whole % 60))"
  }
}

extension EngineReport {
  /// The report as lines of text.
  var text: String {
    var lines: [String] = []
    lines.append("\(name)\(mode.map { ", \($0.rawValue)" } ?? ""): ran \(Figures.clock(seconds)) (\(Int(seconds)) s)")
    for instrument in instruments {
      let lot = Figures.places(of: max(instrument.lotE8, 1))
      func contracts(_ lots: Int64, sign: Bool = false) -> String {
        Figures.decimal(e8: lots &* instrument.lotE8, places: lot, sign: sign)
      }
      let isHandedOver = instrument.positionLots == nil && instrument.limitLots == 0
      let position = instrument.positionLots.map { contracts($0, sign: true) } ?? (isHandedOver ? "handed over" : "unknown")
      lines.append(
        "  \(instrument.name): position \(position), "
          + "\(instrument.fills) fills (bought \(contracts(instrument.boughtLots)), sold \(contracts(instrument.soldLots))), "
          + "PnL \(Figures.decimal(e8: instrument.profitE8, places: 2, sign: true)) USD after fees of "
          + "\(Figures.decimal(e8: instrument.feesE8, places: 2)) USD")
      lines.append(
        "    quoted both sides \(Figures.percent(instrument.quotedShare)) of \(Int(instrument.observedSeconds)) s; "
          + "largest position \(contracts(instrument.peakPositionLots)), worst case \(contracts(instrument.peakExposureLots)), "
          + (isHandedOver ? "handed over to another engine" : "limit \(contracts(instrument.limitLots))"))
      if instrument.positionAdjustments > 0 {
        lines.append("    position taken over from the venue \(instrument.positionAdjustments) times")
      }
    }
    for underlying in underlyings {
      let coins = underlying.positionE8.map { Figures.decimal(e8: $0, places: 4, sign: true) } ?? "unknown"
      lines.append("  \(underlying.name) over all venues: position \(coins)")
    }
    lines.append(
      "  messages: \(messagesSent) (\(Int(messagesPerMinute)) a minute): \(inserts) inserts, \(amends) amends, \(cancels) cancels"
        + (massQuotes > 0 ? ", \(massQuotes) mass quotes; " : "; ")
        + "held back for budget \(budgetWaits), rate violations \(rateViolations), rejects \(rejects)"
        + (refusedLate > 0 ? ", refused late \(refusedLate)" : ""))
    lines.append(
      "  tick to order: p50 \(Figures.duration(tickToOrder.p50)), p99 \(Figures.duration(tickToOrder.p99)), "
        + "p99.9 \(Figures.duration(tickToOrder.p999)), max \(Figures.duration(tickToOrder.max)) over \(tickToOrder.count) ticks that led to an order"
    )
    lines.append(
      "    of it in the engine, to the order's frame: p50 \(Figures.duration(tickToFrame.p50)), p99 \(Figures.duration(tickToFrame.p99)), "
        + "p99.9 \(Figures.duration(tickToFrame.p999)), max \(Figures.duration(tickToFrame.max)); the rest is TLS and the kernel"
    )
    if gaps + reconnects + edgeRefusals > 0 {
      lines.append("  gaps \(gaps), reconnects \(reconnects), reports refused at the edge \(edgeRefusals)")
    }
    if moves > 0 {
      lines.append(
        "  moved over to another connection \(moves) time\(moves == 1 ? "" : "s") before the venue closed the last one")
    }
    for lane in lanes {
      lines.append(
        "  \(lane.name): \(lane.messagesSent) messages, tick to order p50 \(Figures.duration(lane.tickToOrder.p50)), p99 "
          + "\(Figures.duration(lane.tickToOrder.p99)); rejects \(lane.rejects), refused late \(lane.refusedLate), "
          + "rate violations \(lane.rateViolations), "
          + "gaps \(lane.gaps), reconnects \(lane.reconnects)"
          + (lane.isStopVerified ? "; stop confirmed" : "; stop not confirmed"))
    }
    if let failure { lines.append("  ended early: \(failure)") }
    if let journalProblem { lines.append("  journal: \(journalProblem)") }
    lines.append(
      isStopVerified
        ? "  stopped: the venue confirms that no order of ours is left"
        : inserts + massQuotes == 0
          ? "  stopped before the venue could be asked: this run sent no order; one of an earlier run ends with the venue's cancel-on-disconnect"
          : "  stopped without the venue's confirmation: \(ordersLeft + unknownOrders) orders may be left; the venue's "
            + "cancel-on-disconnect ends them")
    return lines.joined(separator: "\n")
  }
}
