import CSupport

extension DirectiveRecord {
  /// What is asked for is one order that takes, and no lasting directive.
  var isHedge: Bool { UInt32(flags) & APUS_DIRECTIVE_HEDGE != 0 }

  /// The lasting directive that was recorded.
  var directive: Directive {
    var directive = Directive()
    directive.isQuotingAllowed = is_quoting_allowed == 1
    directive.widenPermille = widen_permille
    directive.targetPosition = QtyLots(rawValue: target_lots)
    directive.longCap = QtyLots(rawValue: long_cap_lots)
    directive.shortCap = QtyLots(rawValue: short_cap_lots)
    directive.fairValueE8 = fair_value_e8
    directive.pullsBids = UInt32(flags) & APUS_DIRECTIVE_NO_BIDS != 0
    directive.pullsAsks = UInt32(flags) & APUS_DIRECTIVE_NO_ASKS != 0
    directive.passiveHedge = QtyLots(rawValue: passive_lots)
    return directive
  }
}
