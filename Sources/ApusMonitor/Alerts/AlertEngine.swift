public import Apus

/// Decides from one look after the other which alerts hold, and what is to be told.
///
/// Pure: looks and times in, changes out. An alert is one rule at one lane and subject; it fires after its rule's hold,
/// clears below another bound for another time, is told again seldom, and while nothing can be seen it stays as it was.
public struct AlertEngine: Sendable {
  public let rules: [AlertRule]
  private var states: [Key: State] = [:]
  private var history: AlertHistory
  private var engine = ""
  private var number: UInt64 = 0

  private struct Key: Hashable {
    var name: String
    var lane: String?
    var subject: String?
  }

  private struct State {
    /// Beyond the bound since.
    var beyond: Nanoseconds?
    var fired: Nanoseconds?
    /// Clear since, while it is active.
    var cleared: Nanoseconds?
    var reading: AlertReading
    var toldAt: Nanoseconds?
    var isTold = false
    var held = 0
  }

  /// Alerts at once, beyond which new ones are not kept: a bound on memory, far above what one engine can have.
  static let mostStates = 4096

  public init(rules: [AlertRule] = AlertRule.standard) {
    self.rules = rules
    history = AlertHistory(keep: rules.map(\.window).max() ?? 0)
  }

  /// - Returns: What is to be told now, the urgent first.
  public mutating func step(_ inputs: AlertInputs) -> [AlertChange] {
    if let view = inputs.view {
      history.note(view, now: inputs.now)
      engine = view.name
    }
    let measurement = AlertMeasurement(inputs: inputs, history: history)
    let unknown = measurement.unknownLanes()
    var changes: [AlertChange] = []
    for rule in rules where rule.isEnabled {
      guard let readings = measurement.readings(rule) else { continue }
      var seen: Set<Key> = []
      for reading in readings {
        let key = Key(name: rule.name, lane: reading.lane, subject: reading.subject)
        guard seen.insert(key).inserted else { continue }
        advance(key, rule, reading, inputs, &changes)
      }
      for (key, state) in states where key.name == rule.name && !seen.contains(key) {
        // Of a silent lane nothing is known; of another, what is not measured any more is not so any more.
        if let lane = key.lane, unknown?.contains(lane) ?? true { continue }
        var reading = state.reading
        reading.value = rule.firesAbove ? -.infinity : .infinity
        advance(key, rule, reading, inputs, &changes)
      }
    }
    return changes.sorted { ($0.alert.severity, $1.number) > ($1.alert.severity, $0.number) }
  }

  private mutating func advance(
    _ key: Key, _ rule: AlertRule, _ reading: AlertReading, _ inputs: AlertInputs, _ changes: inout [AlertChange]
  ) {
    let now = inputs.now
    let bound = reading.bound ?? rule.bound
    // Another bound has its clearing in proportion.
    let clear = rule.bound == 0 || bound == 0 ? min(rule.clear, bound) : rule.clear * (bound / rule.bound)
    let isBeyond = rule.firesAbove ? reading.value > bound : reading.value < bound
    let isClear = rule.firesAbove ? reading.value <= clear : reading.value >= clear
    guard var state = states[key] ?? (isBeyond && states.count < Self.mostStates ? State(reading: reading) : nil) else {
      return
    }
    if state.fired == nil {
      guard isBeyond else {
        // The time of the last telling is kept for as long as it still holds something back.
        state.beyond = nil
        let rests = state.toldAt.map { now - $0 < Self.quiet(rule) } ?? false
        states[key] = rests ? state : nil
        return
      }
      state.reading = reading
      let since = state.beyond ?? now
      state.beyond = since
      if now - since >= Self.nanoseconds(rule.hold) {
        state.fired = now
        state.isTold = false
      }
    } else if isBeyond {
      state.reading = reading
    }
    if let fired = state.fired {
      if !state.isTold, state.cleared == nil {
        if state.toldAt.map({ now - $0 >= Self.quiet(rule) }) ?? true {
          changes.append(change(.fired, key, rule, &state, inputs))
        } else if fired == now {
          state.held += 1
        }
      } else if isBeyond, let told = state.toldAt, now - told >= Self.nanoseconds(rule.repeatAfter) {
        changes.append(change(.repeated, key, rule, &state, inputs))
      }
      state.cleared = isClear ? state.cleared ?? now : nil
      if let cleared = state.cleared, now - cleared >= Self.nanoseconds(rule.clearHold) {
        if state.isTold { changes.append(change(.cleared, key, rule, &state, inputs)) }
        state.fired = nil
        state.beyond = nil
        state.cleared = nil
        state.isTold = false
      }
    }
    states[key] = state
  }

  private static func nanoseconds(_ seconds: Double) -> Nanoseconds { Nanoseconds(seconds * 1e9) }

  /// How long after a telling the same alert is not told anew, though it fires.
  private static func quiet(_ rule: AlertRule) -> Nanoseconds { nanoseconds(rule.repeatAfter / 5) }

  private mutating func change(
    _ kind: AlertChange.Kind, _ key: Key, _ rule: AlertRule, _ state: inout State, _ inputs: AlertInputs
  ) -> AlertChange {
    number += 1
    // A firing that is told late was itself held back.
    let isLate = kind == .fired && state.fired != inputs.now
    let change = AlertChange(
      kind: kind, at: inputs.wall, number: number, engine: engine, held: state.held - (isLate ? 1 : 0),
      alert: view(key, rule, state, inputs.now))
    if kind != .cleared {
      state.toldAt = inputs.now
      state.isTold = true
    }
    state.held = 0
    return change
  }

  private func view(_ key: Key, _ rule: AlertRule, _ state: State, _ now: Nanoseconds) -> AlertView {
    let bound = state.reading.bound ?? rule.bound
    return AlertView(
      name: rule.name, severity: rule.severity, lane: key.lane, subject: key.subject,
      age: Double(now - (state.fired ?? now)) / 1e9, value: state.reading.value, bound: bound, summary: rule.summary,
      found: state.reading.found, allowed: rule.allowedText(bound), advice: rule.advice, runbook: rule.runbook)
  }

  /// Those that hold, the urgent first, then by the order of the rules.
  public func active(now: Nanoseconds) -> [AlertView] {
    let order = Dictionary(uniqueKeysWithValues: rules.enumerated().map { ($1.name, $0) })
    return states.compactMap { key, state in
      state.fired == nil ? nil : rules.first { $0.name == key.name }.map { view(key, $0, state, now) }
    }.sorted {
      if $0.severity != $1.severity { return $0.severity > $1.severity }
      let places = (order[$0.name] ?? 0, order[$1.name] ?? 0)
      return places.0 != places.1 ? places.0 < places.1 : $0.place < $1.place
    }
  }
}
