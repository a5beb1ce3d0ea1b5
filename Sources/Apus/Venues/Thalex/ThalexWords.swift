import CSupport

/// The closed sets of words of the order object (protocol reference 7.1). `nil` is a word of a later API version.
extension OrderStatus {
  init?(_ word: JSONText) {
    if word.equals("open") {
      self = .open
    } else if word.equals("partially_filled") {
      self = .partiallyFilled
    } else if word.equals("filled") {
      self = .filled
    } else if word.equals("cancelled") {
      self = .cancelled
    } else if word.equals("cancelled_partially_filled") {
      self = .cancelledPartiallyFilled
    } else {
      return nil
    }
  }
}

extension ChangeReason {
  init?(_ word: JSONText) {
    if word.equals("insert") {
      self = .insert
    } else if word.equals("amend") {
      self = .amend
    } else if word.equals("cancel") {
      self = .cancel
    } else if word.equals("fill") {
      self = .fill
    } else if word.equals("existing") {
      self = .existing
    } else {
      return nil
    }
  }
}

extension DeleteReason {
  init?(_ word: JSONText) {
    if word.equals("client_cancel") {
      self = .clientCancel
    } else if word.equals("filled") {
      self = .filled
    } else if word.equals("immediate_cancel") {
      self = .immediateCancel
    } else if word.equals("session_end") {
      self = .sessionEnd
    } else if word.equals("client_bulk_cancel") {
      self = .clientBulkCancel
    } else if word.equals("replaced") {
      self = .replaced
    } else if word.equals("self_trade_prevention") {
      self = .selfTradePrevention
    } else if word.equals("mm_protection") {
      self = .protection
    } else if word.equals("instrument_deactivated") {
      self = .instrumentDeactivated
    } else if word.equals("failover") {
      self = .failover
    } else if word.equals("margin_breach") {
      self = .marginBreach
    } else if word.equals("admin_cancel") {
      self = .adminCancel
    } else {
      return nil
    }
  }
}

extension Side {
  init?(_ word: JSONText) {
    if word.equals("buy") {
      self = .buy
    } else if word.equals("sell") {
      self = .sell
    } else {
      return nil
    }
  }
}

extension InstrumentKind {
  init?(_ word: JSONText) {
    if word.equals("perpetual") {
      self = .perpetual
    } else if word.equals("future") {
      self = .future
    } else if word.equals("option") {
      self = .option
    } else if word.equals("combination") {
      self = .combination
    } else {
      return nil
    }
  }
}

extension ProtectionReason {
  init?(_ word: JSONText) {
    if word.equals("executions") {
      self = .executions
    } else if word.equals("refill") {
      self = .refill
    } else if word.equals("client_cancel") {
      self = .clientCancel
    } else if word.equals("session_end") {
      self = .sessionEnd
    } else if word.equals("failover") {
      self = .failover
    } else {
      return nil
    }
  }
}

/// What a record of a trade feed means for a position (the `trade_type` of the OpenAPI file, May 2026).
enum TradeMeaning {
  /// An execution.
  case execution
  /// A movement without an execution: settlement, transfer, a correction by the venue. Position reports show it.
  case bookkeeping

  init?(_ word: JSONText) {
    if word.equals("normal") || word.equals("block") || word.equals("combo") || word.equals("rfq")
      || word.equals("liquidation")
    {
      self = .execution
    } else if word.equals("daily_mark") || word.equals("expiration") || word.equals("internal_transfer")
      || word.equals("amend") || word.equals("delete")
    {
      self = .bookkeeping
    } else {
      return nil
    }
  }
}
