/// The members that are read, by kind of object, in the order in which Thalex writes them.
///
/// Source: protocol reference 2.2, 2.3, 4.1, 5.3-5.6, 7.1, 7.2, 7.4 and the OpenAPI file of May 2026. Members
/// that are never used are listed where they are frequent, because a known key is stepped over faster.
enum EnvelopeField: Int32, FrameField {
  case channelName, notification, snapshot, id, result, error
  var key: String {
    switch self {
    case .channelName: "channel_name"
    case .notification: "notification"
    case .snapshot: "snapshot"
    case .id: "id"
    case .result: "result"
    case .error: "error"
    }
  }
}

enum TickerField: Int32, FrameField {
  case markPrice, markTimestamp, bidPrice, bidAmount, askPrice, askAmount, lastPrice, impliedVolatility, delta
  case volume, value, low, high, change, index, forward, collarLow, collarHigh, openInterest
  case fundingRate, fundingMark, realisedFunding, averageFunding
  var key: String {
    switch self {
    case .markPrice: "mark_price"
    case .markTimestamp: "mark_timestamp"
    case .bidPrice: "best_bid_price"
    case .bidAmount: "best_bid_amount"
    case .askPrice: "best_ask_price"
    case .askAmount: "best_ask_amount"
    case .lastPrice: "last_price"
    case .impliedVolatility: "iv"
    case .delta: "delta"
    case .volume: "volume_24h"
    case .value: "value_24h"
    case .low: "low_price_24h"
    case .high: "high_price_24h"
    case .change: "change_24h"
    case .index: "index"
    case .forward: "forward"
    case .collarLow: "collar_low"
    case .collarHigh: "collar_high"
    case .openInterest: "open_interest"
    case .fundingRate: "funding_rate"
    case .fundingMark: "funding_mark"
    case .realisedFunding: "realised_funding_24h"
    case .averageFunding: "average_funding_rate_24h"
    }
  }

  /// The members that are read; each is a number or null.
  @inline(always)
  static var wanted: UInt32 {
    markPrice.bit | markTimestamp.bit | bidPrice.bit | bidAmount.bit | askPrice.bit | askAmount.bit | lastPrice.bit
      | index.bit | collarLow.bit | collarHigh.bit | fundingRate.bit
  }
}

extension TickerField {
  /// What is read of options besides.
  @inline(always)
  static var ofOptions: UInt32 { impliedVolatility.bit | delta.bit | forward.bit }
}

enum LightTickerField: Int32, FrameField {
  case bid, ask, mark, last, volatility
  var key: String {
    switch self {
    case .bid: "b"
    case .ask: "a"
    case .mark: "m"
    case .last: "l"
    case .volatility: "v"
    }
  }
}

enum BookField: Int32, FrameField {
  case trades, bids, asks, totalBid, totalAsk, time
  var key: String {
    switch self {
    case .trades: "trades"
    case .bids: "bid_changes"
    case .asks: "ask_changes"
    case .totalBid: "total_bid_amount"
    case .totalAsk: "total_ask_amount"
    case .time: "time"
    }
  }
}

/// Orders, fills and trades share their names; one list serves the three kinds of object.
enum OrderField: Int32, FrameField {
  case orderID, orderType, timeInForce, instrument, direction, price, amount, filled, remaining, label, clientID
  case status, fills, change, insertReason, createTime, persistent, deletion, closeTime, reduceOnly, legs
  var key: String {
    switch self {
    case .orderID: "order_id"
    case .orderType: "order_type"
    case .timeInForce: "time_in_force"
    case .instrument: "instrument_name"
    case .direction: "direction"
    case .price: "price"
    case .amount: "amount"
    case .filled: "filled_amount"
    case .remaining: "remaining_amount"
    case .label: "label"
    case .clientID: "client_order_id"
    case .status: "status"
    case .fills: "fills"
    case .change: "change_reason"
    case .insertReason: "insert_reason"
    case .createTime: "create_time"
    case .persistent: "persistent"
    case .deletion: "delete_reason"
    case .closeTime: "close_time"
    case .reduceOnly: "reduce_only"
    case .legs: "legs"
    }
  }

  /// The members that are read, and are strings or null, or numbers or null.
  @inline(always)
  static var texts: UInt32 {
    orderID.bit | instrument.bit | direction.bit | status.bit | change.bit | deletion.bit | label.bit
  }
  @inline(always)
  static var numbers: UInt32 {
    price.bit | amount.bit | filled.bit | remaining.bit | clientID.bit | createTime.bit
  }
}

enum TradeField: Int32, FrameField {
  case orderID, tradeID, instrument, direction, price, amount, label, time, positionAfter, type, sessionRealised
  case fee, index, feeRate, feeBasis, fundingMark, clientID, makerTaker, legIndex
  var key: String {
    switch self {
    case .orderID: "order_id"
    case .tradeID: "trade_id"
    case .instrument: "instrument_name"
    case .direction: "direction"
    case .price: "price"
    case .amount: "amount"
    case .label: "label"
    case .time: "time"
    case .positionAfter: "position_after"
    case .type: "trade_type"
    case .sessionRealised: "session_realised_after"
    case .fee: "fee"
    case .index: "index"
    case .feeRate: "fee_rate"
    case .feeBasis: "fee_basis"
    case .fundingMark: "funding_mark"
    case .clientID: "client_order_id"
    case .makerTaker: "maker_taker"
    case .legIndex: "leg_index"
    }
  }
}

enum PositionField: Int32, FrameField {
  case instrument, position, mark, averagePrice
  var key: String {
    switch self {
    case .instrument: "instrument_name"
    case .position: "position"
    case .mark: "mark_price"
    case .averagePrice: "average_price"
    }
  }
}

enum InstrumentField: Int32, FrameField {
  case name, product, tick, lot, minimum, underlying, type, optionType, expiryDate, expiry, strike, currency, createTime
  var key: String {
    switch self {
    case .name: "instrument_name"
    case .product: "product"
    case .tick: "tick_size"
    case .lot: "volume_tick_size"
    case .minimum: "min_order_amount"
    case .type: "type"
    case .expiry: "expiration_timestamp"
    case .underlying: "underlying"
    case .optionType: "option_type"
    case .expiryDate: "expiry_date"
    case .strike: "strike_price"
    case .currency: "base_currency"
    case .createTime: "create_time"
    }
  }
}

enum IndexField: Int32, FrameField {
  case name, price, timestamp, expirationAverage, expirationProgress, expectedExpiration, previousSettlement
  var key: String {
    switch self {
    case .name: "index_name"
    case .price: "price"
    case .timestamp: "timestamp"
    case .expirationAverage: "expiration_print_average"
    case .expirationProgress: "expiration_progress"
    case .expectedExpiration: "expected_expiration_price"
    case .previousSettlement: "previous_settlement_price"
    }
  }
}

enum BasePriceField: Int32, FrameField {
  case name, price, index, delta
  var key: String {
    switch self {
    case .name: "base_name"
    case .price: "price"
    case .index: "index"
    case .delta: "index_delta"
    }
  }
}

enum AccountField: Int32, FrameField {
  case cash, unrealised, cashCollateral, margin, requiredMargin, remainingMargin, sessionRealised
  var key: String {
    switch self {
    case .cash: "cash"
    case .unrealised: "unrealised_pnl"
    case .cashCollateral: "cash_collateral"
    case .margin: "margin"
    case .requiredMargin: "required_margin"
    case .remainingMargin: "remaining_margin"
    case .sessionRealised: "session_realised_pnl"
    }
  }
}

/// The answer to a mass quote, and the items of its `errors`.
enum MassQuoteField: Int32, FrameField {
  case succeeded, failed, errors, code, message, side, price
  var key: String {
    switch self {
    case .succeeded: "n_success"
    case .failed: "n_fail"
    case .errors: "errors"
    case .code: "code"
    case .message: "message"
    case .side: "side"
    case .price: "price"
    }
  }
}

enum ProtectionField: Int32, FrameField {
  case product, remaining, reason
  var key: String {
    switch self {
    case .product: "product"
    case .remaining: "remaining_amount"
    case .reason: "reason"
    }
  }
}

/// Small objects that are read now and then: results, errors, the index, events, wrapped instruments.
enum DetailField: Int32, FrameField {
  case code, messageRate, accountNumber, trades, bookmark, event, added, removed, tickers
  var key: String {
    switch self {
    case .code: "code"
    case .messageRate: "message_rate"
    case .accountNumber: "account_number"
    case .trades: "trades"
    case .bookmark: "bookmark"
    case .event: "event"
    case .added: "added"
    case .removed: "removed"
    case .tickers: "tickers"
    }
  }
}
