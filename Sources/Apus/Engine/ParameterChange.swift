import FoundationEssentials

/// Other parameters for the instruments of one lane, which takes them over between two looks while it runs.
final class ParameterChange: Sendable {
  /// 1, 2, … within one run.
  let version: UInt32
  /// One for each instrument of the lane, in their order.
  let sections: [InstrumentSection]
  /// The record in the journal: with it a replay makes the same change.
  let text: [UInt8]

  private struct Record: Codable {
    var version: UInt32
    var instruments: [InstrumentSection]
  }

  init(version: UInt32, sections: [InstrumentSection]) throws {
    self.version = version
    self.sections = sections
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    text = Array(try encoder.encode(Record(version: version, instruments: sections)))
  }

  /// As recorded.
  init(text: UnsafeRawBufferPointer) throws {
    let record = try JSONDecoder().decode(Record.self, from: Data(text))
    version = record.version
    sections = record.instruments
    self.text = Array(text)
  }
}

/// Why a running engine does not take over a configuration; sentences for an operator.
public struct ParameterRefusal: Error, Equatable, Sendable, CustomStringConvertible {
  /// What can only be changed by a restart.
  public var fixed: [ConfigurationDifference] = []
  public let description: String
}

extension Configuration {
  /// This configuration with everything of `new` that an engine can take over while it runs: of each instrument the
  /// ladder, the limits, the share, the strategy's parameters, the order flow's, and when its market is stale.
  ///
  /// - Throws: if `new` differs in anything else, which needs a restart.
  func adopting(_ new: Configuration) throws(ParameterRefusal) -> Configuration {
    var adopted = self
    Self.adopt(&adopted.instruments, new.instruments)
    for (index, entry) in new.moreVenues.enumerated() where index < moreVenues.count {
      Self.adopt(&adopted.moreVenues[index].instruments, entry.instruments)
    }
    let fixed = adopted.differences(to: new)
    guard fixed.isEmpty, adopted == new else {
      throw ParameterRefusal(
        fixed: fixed,
        description: "these keys can only be changed by a restart: "
          + fixed.map(\.description).joined(separator: "; ") + ": restart with the new file, or leave them as they are")
    }
    for (lane, other) in zip(lanes, new.lanes)
    where LaneSettings.orderCapacity(for: lane) < LaneSettings.orderCapacity(for: other) {
      throw ParameterRefusal(
        description: "the sum of limits.max_orders at \(lane.venue.name) needs more memory for orders than there was made at "
          + "the start: restart with the new file, or lower max_orders")
    }
    return adopted
  }

  private static func adopt(_ sections: inout [InstrumentSection], _ new: [InstrumentSection]) {
    for (index, other) in new.enumerated() where index < sections.count && sections[index].name == other.name {
      sections[index].ladder = other.ladder
      sections[index].limits = other.limits
      sections[index].share = other.share
      sections[index].staleAfterMs = other.staleAfterMs
      if sections[index].strategy.canBecome(other.strategy) { sections[index].strategy = other.strategy }
      let (flow, otherFlow) = (sections[index].orderFlow, other.orderFlow)
      if let flow, let otherFlow, flow.enabled == otherFlow.enabled { sections[index].orderFlow = otherFlow }
    }
  }
}

extension StrategySection {
  /// The same kind; the options of a chain share what they know, and how that is kept is decided at the start.
  fileprivate func canBecome(_ other: StrategySection) -> Bool {
    guard case .options(let mine) = self, case .options(let theirs) = other else { return kind == other.kind }
    return mine.chain == theirs.chain
  }
}
