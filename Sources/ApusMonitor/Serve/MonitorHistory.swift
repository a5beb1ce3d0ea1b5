import Foundation

/// The last minutes of the figures that are drawn over time: one row a second, columns by name, in bounded memory.
struct MonitorHistory {
  /// Fifteen minutes of seconds.
  static let rowLimit = 900
  static let columnLimit = 1024

  private var columns: [String] = []
  private var places: [String: Int] = [:]
  /// Rows are as long as there were columns at their time; NaN is a value that was not there.
  private var rows: [(at: Double, values: [Double])] = []

  var count: Int { rows.count }

  /// - Parameter at: Seconds since 1970 UTC.
  mutating func append(_ sample: [String: Double], at: Double) {
    if columns.count + sample.count > Self.columnLimit { forgetEmptyColumns() }
    for name in sample.keys.sorted() where places[name] == nil && columns.count < Self.columnLimit {
      places[name] = columns.count
      columns.append(name)
    }
    var values = [Double](repeating: .nan, count: columns.count)
    for (name, value) in sample { if let place = places[name] { values[place] = value } }
    if rows.count >= Self.rowLimit { rows.removeFirst(rows.count - Self.rowLimit + 1) }
    rows.append((at, values))
  }

  /// Instruments and lanes come and go.
  private mutating func forgetEmptyColumns() {
    let kept = columns.indices.filter { column in
      rows.contains { column < $0.values.count && !$0.values[column].isNaN }
    }
    columns = kept.map { columns[$0] }
    places = Dictionary(uniqueKeysWithValues: columns.enumerated().map { ($1, $0) })
    for place in rows.indices {
      let old = rows[place].values
      rows[place].values = kept.map { $0 < old.count ? old[$0] : .nan }
    }
  }

  /// `{"at":[…],"columns":{"name":[…],…}}`; null where there was no value.
  func json() -> Data {
    var text = "{\"at\":[" + rows.map { Self.number($0.at) }.joined(separator: ",") + "],\"columns\":{"
    for (place, name) in columns.enumerated() {
      if place > 0 { text += "," }
      text += Self.quoted(name) + ":["
      text += rows.map { place < $0.values.count ? Self.number($0.values[place]) : "null" }.joined(separator: ",")
      text += "]"
    }
    return Data((text + "}}").utf8)
  }

  private static func number(_ value: Double) -> String {
    guard value.isFinite else { return "null" }
    return value == value.rounded() && abs(value) < 1e15 ? "\(Int64(value))" : "\(value)"
  }

  private static func quoted(_ text: String) -> String {
    (try? JSONEncoder().encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
  }

  // MARK: - What is kept

  /// The figures of one look that are worth a line over time. Pages get the same with every look, so the names are
  /// made here alone: `LANE/span/p99`, `LANE/frames_in`, `LANE/instrument/bid`, `process/NAME/cpu`.
  static func sample(_ view: EngineView, _ process: ProcessUse?) -> [String: Double] {
    var sample: [String: Double] = [:]
    for lane in view.lanes {
      let prefix = lane.name + "/"
      for span in lane.spans where span.count > 0 {
        // A span in which nothing happened for ten seconds has no latency now.
        guard span.recentCount > 0 else { continue }
        sample[prefix + span.name + "/p50"] = Double(span.p50)
        sample[prefix + span.name + "/p99"] = Double(span.p99)
        sample[prefix + span.name + "/p999"] = Double(span.p999)
        sample[prefix + span.name + "/max"] = Double(span.max)
      }
      func rate(_ names: String...) -> Double? {
        let known = names.compactMap { lane.rates[$0] }
        return known.isEmpty ? nil : rounded(known.reduce(0, +))
      }
      for name in [
        "frames_in", "frames_out", "bytes_in", "bytes_out", "ticks", "inserts", "amends", "cancels", "mass_quotes",
        "messages_used",
      ] {
        sample[prefix + name] = rate(name)
      }
      sample[prefix + "order_messages"] = rate("inserts", "amends", "cancels", "mass_quotes")
      sample[prefix + "rejects"] = rate("rejects")
      sample[prefix + "refusals"] = rate("risk_refusals", "edge_refusals")
      sample[prefix + "errors"] = rate(
        "gaps", "reconnects", "limit_breaches", "rate_violations", "journal_lost", "ring_full")
      for name in ["orders_live", "orders_unknown", "budget_left", "message_budget", "cancels_left"] {
        // Not Double.init by itself: that can mean the bit pattern.
        if let value = lane.counters[name] { sample[prefix + name] = Double(value) }
      }
      sample[prefix + "pnl"] = lane.pnl
      sample[prefix + "traded"] = lane.instruments.reduce(0) { $0 + $1.traded }
      sample[prefix + "fills"] = Double(lane.fills)
      // More than these are in the table, and in /metrics.
      for instrument in lane.instruments.prefix(32) {
        let prefix = prefix + instrument.name + "/"
        sample[prefix + "bid"] = instrument.bid
        sample[prefix + "ask"] = instrument.ask
        sample[prefix + "own_bid"] = instrument.ownBid?.price
        sample[prefix + "own_ask"] = instrument.ownAsk?.price
        sample[prefix + "position"] = instrument.position
        sample[prefix + "pnl"] = instrument.pnl
        sample[prefix + "fills"] = Double(instrument.fills)
      }
    }
    if let process {
      sample["process/resident"] = Double(process.residentBytes)
      for thread in process.threads { sample["process/\(thread.name)/cpu"] = thread.cpuShare.map(rounded) }
    }
    return sample
  }

  private static func rounded(_ value: Double) -> Double { (value * 1000).rounded() / 1000 }
}
