import CSupport

/// What a decoder knows of an instrument that was asked for.
struct VenueListing {
  var info: InstrumentInfo
  var tick: DecimalStep
  var lot: DecimalStep
  var hasGrid: Bool
  /// In the last whole list, or added since, and not removed since.
  var isListed = false

  /// Asked for, and not yet listed.
  init(wanted index: InstrumentIndex) {
    let noGrid = InstrumentGrid(tickE8: 0, lotE8: 0, minimumLots: QtyLots(rawValue: 0))
    info = InstrumentInfo(index: index, kind: .other, grid: noGrid, expirySeconds: 0)
    tick = apus_step_make(0)
    lot = apus_step_make(0)
    hasGrid = false
  }

  init(_ info: InstrumentInfo, isListed: Bool) {
    self.info = info
    tick = apus_step_make(info.grid.tickE8)
    lot = apus_step_make(info.grid.lotE8)
    hasGrid = true
    self.isListed = isListed
  }

  /// A price on the grid; positive, except for combinations, which may cost nothing or less.
  @inline(always)
  func price(_ number: UnsafePointer<ScannedDecimal>, _ out: inout PriceTicks) -> DecodeProblem? {
    var tick = tick
    var ticks: Int64 = 0
    let outcome = apus_decimal_to_steps(number, &tick, &ticks)
    if outcome == .offGrid || outcome == .overflow { return .offGrid }
    if ticks <= 0, info.kind != .combination { return .impossible }
    out = PriceTicks(rawValue: ticks)
    return nil
  }

  /// A size on the grid, 0 or more.
  @inline(always)
  func size(_ number: UnsafePointer<ScannedDecimal>, _ out: inout QtyLots) -> DecodeProblem? {
    let problem = signedSize(number, &out)
    return problem ?? (out < QtyLots.zero ? .impossible : nil)
  }

  @inline(always)
  func signedSize(_ number: UnsafePointer<ScannedDecimal>, _ out: inout QtyLots) -> DecodeProblem? {
    var lot = lot
    var lots: Int64 = 0
    let outcome = apus_decimal_to_steps(number, &lot, &lots)
    if outcome == .offGrid || outcome == .overflow { return .offGrid }
    out = QtyLots(rawValue: lots)
    return nil
  }
}
