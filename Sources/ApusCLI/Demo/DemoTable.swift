import Apus
import CSupport
import Foundation

/// The live table: one picture of the engine, drawn from its telemetry file once a second.
struct DemoTable {
  private let isTerminal = isatty(STDOUT_FILENO) == 1
  private var drawnLines = 0
  private var lastMessages: [UInt64] = []
  private var lastTime = Date()

  /// Draws anew over what was drawn before; one line a second where there is no terminal.
  mutating func draw(
    _ snapshot: TelemetrySnapshot, latencies: [(p50: Nanoseconds, p99: Nanoseconds)?], elapsed: Double,
    limitsE8: [Int64]
  ) {
    let lanes = snapshot.lanes.prefix(limitsE8.count)
    guard lanes.count == limitsE8.count, !lanes.isEmpty else { return }
    let messages = lanes.map { $0[.messagesUsed] }
    let interval = max(Date().timeIntervalSince(lastTime), 0.001)
    let before = lastMessages.isEmpty ? messages : lastMessages
    lastMessages = messages
    lastTime = Date()
    var lines: [String] = []
    for (index, lane) in lanes.enumerated() {
      let rate = Double(messages[index] &- before[index]) / interval
      let name = lanes.count > 1 ? lane.name : "apus demo"
      lines +=
        isTerminal
        ? picture(lane, latencies[index], elapsed, rate, limitsE8[index], name)
        : [(lanes.count > 1 ? "\(lane.name): " : "") + oneLine(lane, latencies[index], elapsed, rate)]
    }
    var text = ""
    if isTerminal, drawnLines > 0 { text += "\u{1B}[\(drawnLines)A" }
    for line in lines { text += isTerminal ? "\(line)\u{1B}[K\n" : "\(line)\n" }
    drawnLines = lines.count
    FileHandle.standardOutput.write(Data(text.utf8))
  }

  private func state(_ lane: LaneSnapshot) -> String {
    switch lane.state {
    case .quoting: "quoting"
    case .some(let state): "\(Self.name(state)): \(lane.cause)"
    case nil: "starting"
    }
  }

  private static func name(_ state: LaneState) -> String {
    switch state {
    case .connecting: "connecting"
    case .syncing: "synchronising"
    case .quoting: "quoting"
    case .frozen: "not quoting"
    case .stopping: "stopping"
    case .stopped: "stopped"
    }
  }

  private func picture(
    _ lane: LaneSnapshot, _ latency: (p50: Nanoseconds, p99: Nanoseconds)?, _ elapsed: Double, _ rate: Double,
    _ limitE8: Int64, _ name: String
  ) -> [String] {
    var lines = ["", "  \(name)   \(Figures.clock(elapsed))   \(state(lane))", ""]
    for instrument in lane.instruments {
      let price = Figures.places(of: instrument.tickE8)
      let size = Figures.places(of: instrument.lotE8)
      func quote(_ quote: ShownQuote?) -> String {
        guard let quote else { return Self.pad("–", 24) }
        return Self.pad(
          "\(Figures.decimal(e8: quote.price.rawValue &* instrument.tickE8, places: price)) × "
            + Figures.decimal(e8: quote.quantity.rawValue &* instrument.lotE8, places: size), 24)
      }
      let mark = instrument.markE8.map { Figures.decimal(e8: $0, places: 2) } ?? "–"
      lines.append("  \(Self.pad(instrument.name, 16))\(Self.pad("bid", 24))\(Self.pad("ask", 24))mark \(mark)")
      lines.append("  \(Self.pad("market", 16))\(quote(instrument.bid))\(quote(instrument.ask))")
      lines.append(
        "  \(Self.pad("ours", 16))\(quote(instrument.ownBid))\(quote(instrument.ownAsk))\(instrument.ownBidLevels) + \(instrument.ownAskLevels) levels"
      )
      lines.append("")
      let position =
        instrument.position.map { Figures.decimal(e8: $0.rawValue &* instrument.lotE8, places: size, sign: true) }
        ?? "unknown"
      lines.append(
        "  \(Self.pad("position", 16))\(Self.pad("\(position) of \(Figures.decimal(e8: limitE8, places: size))", 24))"
          + "\(Self.pad("fills \(instrument.fills)", 24))quoted both sides "
          + (instrument.observed > 0 ? Figures.percent(Double(instrument.quoted) / Double(instrument.observed)) : "–"))
      lines.append(
        "  \(Self.pad("PnL", 16))\(Self.pad("\(Figures.decimal(e8: instrument.pnlE8 - instrument.feesE8, places: 2, sign: true)) USD", 24))"
          + "fees \(Figures.decimal(e8: instrument.feesE8, places: 2)) USD")
    }
    lines.append(
      "  \(Self.pad("messages", 16))\(Self.pad("\(Int(rate.rounded())) of \(lane[.messageBudget]) a second", 24))\(Self.pad("\(lane[.messagesUsed]) in all", 24))"
        + "rate violations \(lane[.rateViolations])")
    let tick = latency.map { "p50 \(Figures.duration($0.p50))  p99 \(Figures.duration($0.p99))" } ?? "–"
    lines.append(
      "  \(Self.pad("tick to order", 16))\(Self.pad(tick, 24))\(Self.pad("orders live \(lane[.ordersLive])", 24))unknown \(lane[.ordersUnknown])"
    )
    lines.append("  Ctrl-C ends with the report")
    return lines
  }

  private func oneLine(
    _ lane: LaneSnapshot, _ latency: (p50: Nanoseconds, p99: Nanoseconds)?, _ elapsed: Double, _ rate: Double
  ) -> String {
    var parts = [Figures.clock(elapsed), state(lane)]
    if let instrument = lane.instruments.first {
      let price = Figures.places(of: instrument.tickE8)
      let size = Figures.places(of: instrument.lotE8)
      func at(_ quote: ShownQuote?) -> String {
        quote.map { Figures.decimal(e8: $0.price.rawValue &* instrument.tickE8, places: price) } ?? "–"
      }
      parts.append("market \(at(instrument.bid))/\(at(instrument.ask))")
      parts.append("ours \(at(instrument.ownBid))/\(at(instrument.ownAsk))")
      parts.append(
        "position \(instrument.position.map { Figures.decimal(e8: $0.rawValue &* instrument.lotE8, places: size, sign: true) } ?? "unknown")"
      )
      parts.append("PnL \(Figures.decimal(e8: instrument.pnlE8 - instrument.feesE8, places: 2, sign: true))")
      parts.append("fills \(instrument.fills)")
    }
    parts.append("\(Int(rate.rounded())) of \(lane[.messageBudget]) msg/s")
    if let latency {
      parts.append("tick to order p50 \(Figures.duration(latency.p50)) p99 \(Figures.duration(latency.p99))")
    }
    return parts.joined(separator: " | ")
  }

  private static func pad(_ text: String, _ width: Int) -> String {
    text.count >= width ? text + " " : text + String(repeating: " ", count: width - text.count)
  }
}
