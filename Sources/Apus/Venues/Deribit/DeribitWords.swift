import CSupport

/// The words of Deribit's objects. They are open sets: an unknown one concludes nothing (R05).
enum DeribitWords {
  /// `order_state`; there is no word for an order that is partly filled (protocol, section 11.1).
  static func status(_ word: JSONText, hasFills: Bool) -> OrderStatus {
    if word.equals("open") { return hasFills ? .partiallyFilled : .open }
    if word.equals("filled") { return .filled }
    if word.equals("cancelled") || word.equals("rejected") {
      return hasFills ? .cancelledPartiallyFilled : .cancelled
    }
    return .other
  }

  /// `cancel_reason`.
  static func deletion(_ word: JSONText) -> DeleteReason {
    if word.equals("user_request") { return .clientCancel }
    if word.equals("cancel_on_disconnect") { return .sessionEnd }
    if word.equals("mmp_trigger") || word.equals("mmp_config_curtailment") { return .protection }
    if word.equals("order_overlap") || word.equals("order_overlap_another_sub") { return .selfTradePrevention }
    if word.equals("edit_post_only_reject") { return .immediateCancel }
    if word.equals("settlement") { return .instrumentDeactivated }
    if word.equals("autoliquidation") || word.equals("risk_mitigation") || word.equals("pme_risk_reduction") {
      return .marginBreach
    }
    return .other
  }

  static func side(_ word: JSONText) -> Side? {
    if word.equals("buy") { return .buy }
    return word.equals("sell") ? .sell : nil
  }
}
