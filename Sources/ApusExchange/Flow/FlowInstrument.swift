public import Apus

/// Which of the venue's instruments a flow feeds, and on which grid.
public struct FlowInstrument: Sendable, Equatable {
  /// Position in the venue's list of instruments.
  public var index: Int
  public var grid: InstrumentGrid

  public init(index: Int, grid: InstrumentGrid) {
    self.index = index
    self.grid = grid
  }
}
