import CSupport

extension LadderSection {
  /// The ladder's parameters on an instrument's grid.
  func parameters(on grid: InstrumentGrid) -> LadderParameters {
    LadderParameters(
      levels: levels, halfSpreadCentiBps: halfSpreadBps.hundredths, stepTicks: Int64(stepTicks),
      size: .init(rawValue: max(size.steps(of: grid.lotE8), 1)), growthPermille: growth.permille,
      skewCentiBps: skewBps.hundredths, markWeightPermille: markWeight.permille,
      isAroundFair: around == .fair ? true : nil)
  }
}
