/// The members that are read, by kind of object, in the order in which Deribit writes them.
///
/// Source: Deribit protocol, sections 2, 7, 8, 9, 11 and 16. Members that are never used are listed where they are
/// frequent, because a known key is stepped over faster; a key has at most 28 bytes.
enum DeribitEnvelopeField: Int32, FrameField {
  case version, id, method, parameters, result, error, timeIn, timeOut, timeDifference, testnet
  var key: String {
    switch self {
    case .version: "jsonrpc"
    case .id: "id"
    case .method: "method"
    case .parameters: "params"
    case .result: "result"
    case .error: "error"
    case .timeIn: "usIn"
    case .timeOut: "usOut"
    case .timeDifference: "usDiff"
    case .testnet: "testnet"
    }
  }
}

/// Of `params`, and of small objects of which a member or two are wanted.
enum DeribitDetailField: Int32, FrameField {
  case channel, data, type, code, order, trades, hasMore, orders, positions, instrument
  case limits, matching, trading, total, rate, burst, quotes, massQuotes
  case errors, side, error, group
  var key: String {
    switch self {
    case .channel: "channel"
    case .data: "data"
    case .type: "type"
    case .code: "code"
    case .order: "order"
    case .trades: "trades"
    case .hasMore: "has_more"
    case .orders: "orders"
    case .positions: "positions"
    case .instrument: "instrument_name"
    case .limits: "limits"
    case .matching: "matching_engine"
    case .trading: "trading"
    case .total: "total"
    case .rate: "rate"
    case .burst: "burst"
    case .quotes: "maximum_quotes"
    case .massQuotes: "maximum_mass_quotes"
    case .errors: "errors"
    case .side: "side"
    case .error: "error"
    case .group: "mmp_group"
    }
  }
}

enum DeribitTickerField: Int32, FrameField {
  case time, state, stats, settlement, openInterest, low, high, mark, last, interest, instrument, index, funding8h
  case delivery, funding, bidPrice, bidAmount, askPrice, askAmount, volatility, forward, greeks
  var key: String {
    switch self {
    case .time: "timestamp"
    case .state: "state"
    case .stats: "stats"
    case .settlement: "settlement_price"
    case .openInterest: "open_interest"
    case .low: "min_price"
    case .high: "max_price"
    case .mark: "mark_price"
    case .last: "last_price"
    case .interest: "interest_value"
    case .instrument: "instrument_name"
    case .index: "index_price"
    case .funding8h: "funding_8h"
    case .delivery: "estimated_delivery_price"
    case .funding: "current_funding"
    case .bidPrice: "best_bid_price"
    case .bidAmount: "best_bid_amount"
    case .askPrice: "best_ask_price"
    case .askAmount: "best_ask_amount"
    case .volatility: "mark_iv"
    case .forward: "underlying_price"
    case .greeks: "greeks"
    }
  }

  /// The members that are read and are numbers or null.
  @inline(always)
  static var numbers: UInt32 {
    time.bit | low.bit | high.bit | mark.bit | last.bit | index.bit | funding.bit | bidPrice.bit | bidAmount.bit
      | askPrice.bit | askAmount.bit | volatility.bit | forward.bit
  }
}

enum DeribitBookField: Int32, FrameField {
  case type, time, previous, instrument, change, bids, asks
  var key: String {
    switch self {
    case .type: "type"
    case .time: "timestamp"
    case .previous: "prev_change_id"
    case .instrument: "instrument_name"
    case .change: "change_id"
    case .bids: "bids"
    case .asks: "asks"
    }
  }
}

enum DeribitOrderField: Int32, FrameField {
  case label, price, user, direction, timeInForce, instrument, web, api, amount, orderID, created, filled, average, mmp
  case postOnly, rejectPostOnly, replaced, reduceOnly, starbaseID, updated, contracts, state, type
  case liquidation, riskReducing, reason, isProtected, isQuote, group, quote, quoteSet
  var key: String {
    switch self {
    case .label: "label"
    case .price: "price"
    case .user: "user_id"
    case .direction: "direction"
    case .timeInForce: "time_in_force"
    case .instrument: "instrument_name"
    case .web: "web"
    case .api: "api"
    case .amount: "amount"
    case .orderID: "order_id"
    case .created: "creation_timestamp"
    case .filled: "filled_amount"
    case .average: "average_price"
    case .mmp: "mmp"
    case .postOnly: "post_only"
    case .rejectPostOnly: "reject_post_only"
    case .replaced: "replaced"
    case .reduceOnly: "reduce_only"
    case .starbaseID: "starbase_order_id"
    case .updated: "last_update_timestamp"
    case .contracts: "contracts"
    case .state: "order_state"
    case .type: "order_type"
    case .liquidation: "is_liquidation"
    case .riskReducing: "risk_reducing"
    case .reason: "cancel_reason"
    case .isProtected: "mmp_cancelled"
    case .isQuote: "quote"
    case .group: "mmp_group"
    case .quote: "quote_id"
    case .quoteSet: "quote_set_id"
    }
  }

  @inline(always)
  static var texts: UInt32 {
    label.bit | direction.bit | instrument.bit | orderID.bit | state.bit | reason.bit | quoteSet.bit
  }
  /// The price of a conditional market order is a word.
  @inline(always)
  static var numbers: UInt32 { price.bit | amount.bit | created.bit | filled.bit }
}

enum DeribitTradeField: Int32, FrameField {
  case label, time, state, price, user, direction, index, instrument, sequence, api, amount, mark, orderID, matching
  case tick, profit, mmp, postOnly, reduceOnly, starbaseID, starbaseMatch, tradeID, isSelf, contracts, feeCurrency
  case starbaseTime, fee, type, riskReducing, liquidity, quote, quoteSet
  var key: String {
    switch self {
    case .label: "label"
    case .time: "timestamp"
    case .state: "state"
    case .price: "price"
    case .user: "user_id"
    case .direction: "direction"
    case .index: "index_price"
    case .instrument: "instrument_name"
    case .sequence: "trade_seq"
    case .api: "api"
    case .amount: "amount"
    case .mark: "mark_price"
    case .orderID: "order_id"
    case .matching: "matching_id"
    case .tick: "tick_direction"
    case .profit: "profit_loss"
    case .mmp: "mmp"
    case .postOnly: "post_only"
    case .reduceOnly: "reduce_only"
    case .starbaseID: "starbase_order_id"
    case .starbaseMatch: "starbase_match_id"
    case .tradeID: "trade_id"
    case .isSelf: "self_trade"
    case .contracts: "contracts"
    case .feeCurrency: "fee_currency"
    case .starbaseTime: "starbase_timestamp"
    case .fee: "fee"
    case .type: "order_type"
    case .riskReducing: "risk_reducing"
    case .liquidity: "liquidity"
    case .quote: "quote_id"
    case .quoteSet: "quote_set_id"
    }
  }

  @inline(always)
  static var texts: UInt32 {
    label.bit | direction.bit | instrument.bit | orderID.bit | tradeID.bit | liquidity.bit | quoteSet.bit
  }
  @inline(always)
  static var numbers: UInt32 { time.bit | price.bit | amount.bit | fee.bit }
}

enum DeribitPositionField: Int32, FrameField {
  case instrument, size, coins, mark, average, direction, kind
  var key: String {
    switch self {
    case .instrument: "instrument_name"
    case .size: "size"
    case .coins: "size_currency"
    case .mark: "mark_price"
    case .average: "average_price"
    case .direction: "direction"
    case .kind: "kind"
    }
  }

  static var numbers: UInt32 { size.bit | coins.bit | mark.bit | average.bit }
}

enum DeribitInstrumentField: Int32, FrameField {
  case index, kind, name, type, expiry, state, contractSize, tick, minimum, period, steps
  var key: String {
    switch self {
    case .index: "price_index"
    case .kind: "kind"
    case .name: "instrument_name"
    case .type: "instrument_type"
    case .expiry: "expiration_timestamp"
    case .state: "state"
    case .contractSize: "contract_size"
    case .tick: "tick_size"
    case .minimum: "min_trade_amount"
    case .period: "settlement_period"
    case .steps: "tick_size_steps"
    }
  }

  static var numbers: UInt32 { expiry.bit | contractSize.bit | tick.bit | minimum.bit }
}
