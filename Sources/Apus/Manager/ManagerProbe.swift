/// The strategy manager over several lanes of one instrument each, without rings and threads. For benchmarks.
public struct ManagerProbe {
  private var manager: StrategyManager

  public init(settings: ManagerSettings, lanes: Int) {
    manager = StrategyManager(settings: settings, instrumentsPerLane: Array(repeating: 1, count: lanes))
  }

  /// What a lane tells of itself; `lane` < lanes.
  public mutating func note(profitE8: MoneyE8, lane: Int) {
    manager.note(
      LaneUpdate(
        instrument: 0, isPositionKnown: true, isReady: true, position: 0, worstLong: 0, worstShort: 0, markE8: 1,
        profitE8: profitE8), lane: lane)
  }

  /// Looks at the whole. Returns true if every lane must be told anew.
  public mutating func decide() -> Bool { manager.decide() }

  /// What a lane is told now; `nil` for a lane that there is not.
  public func directive(lane: Int) -> Directive? { manager.directives(lane: lane).first?.directive }
}
