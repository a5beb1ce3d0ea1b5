import CSupport

/// What the manager asks of one lane's instrument; fits in one ring record.
struct DirectiveMessage: BitwiseCopyable {
  var instrument: InstrumentIndex
  var isQuotingAllowed: Bool
  /// A level of the kill ladder that is to be latched, and its cause; 0: none.
  var haltLevel: UInt8 = 0
  var haltCause: UInt8 = 0
  /// What is asked for is one order that takes, and no lasting directive.
  var isHedge = false
  var pullsBids = false
  var pullsAsks = false
  var widenPermille: Int32
  /// Rises by one with every message to an instrument; the lane says which one it has obeyed.
  var serial: UInt32 = 0
  /// Lots; of a hedge what is to be bought, or sold if negative.
  var targetPosition: Int64
  /// Lots; `.max` for none. Of a hedge the first is how far from the best price it may trade, 10⁻² basis points.
  var longCap: Int64 = .max
  var shortCap: Int64 = .max
  var fairValueE8: Int64 = 0
  /// Lots to be bought by an order that waits, or sold if negative.
  var passiveLots: Int64 = 0

  var directive: Directive {
    var directive = Directive()
    directive.isQuotingAllowed = isQuotingAllowed
    directive.widenPermille = widenPermille
    directive.targetPosition = QtyLots(rawValue: targetPosition)
    directive.longCap = QtyLots(rawValue: longCap)
    directive.shortCap = QtyLots(rawValue: shortCap)
    directive.fairValueE8 = fairValueE8
    directive.pullsBids = pullsBids
    directive.pullsAsks = pullsAsks
    directive.passiveHedge = QtyLots(rawValue: passiveLots)
    return directive
  }

  /// An order that takes so many lots, or gives them if negative.
  static func hedge(_ instrument: InstrumentIndex, lots: Int64, slippageCentiBps: Int64) -> Self {
    Self(
      instrument: instrument, isQuotingAllowed: true, isHedge: true, widenPermille: 1000, targetPosition: lots,
      longCap: slippageCentiBps, shortCap: 0)
  }
}
