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

  /// The name of the engine's group of mass quotes: what its labels begin with. One for all its lives, for the venue keeps
  /// 16 an index.
  static func group(of labelPrefix: String) -> String {
    let trimmed = labelPrefix.reversed().drop { $0 == "-" }.reversed()
    return trimmed.isEmpty ? labelPrefix : String(trimmed)
  }

  /// The index of an instrument's underlying by its name: `btc_usd` of `BTC-25DEC26`, `btc_usdc` of `BTC_USDC-PERPETUAL`
  /// (section 8).
  static func index(of name: String) -> String {
    let pair = name.prefix { $0 != "-" }.lowercased()
    return pair.contains("_") ? pair : pair + "_usd"
  }

  static func side(_ word: JSONText) -> Side? {
    if word.equals("buy") { return .buy }
    return word.equals("sell") ? .sell : nil
  }
}
