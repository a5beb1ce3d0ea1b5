import CSupport

/// The closed sets of words of the order and execution objects (protocol reference 8.1, 8.2, 12). `nil` is a word of a
/// later version.
enum BybitOrderWord {
  case new, partiallyFilled, filled, cancelled, partiallyFilledCancelled, rejected, deactivated
  /// A conditional order that waits for its price, or is just leaving that state: it is neither in the book nor gone.
  case untriggered, triggered

  init?(_ word: JSONText) {
    if word.equals("New") {
      self = .new
    } else if word.equals("PartiallyFilled") {
      self = .partiallyFilled
    } else if word.equals("Filled") {
      self = .filled
    } else if word.equals("Cancelled") {
      self = .cancelled
    } else if word.equals("Rejected") {
      self = .rejected
    } else if word.equals("PartiallyFilledCanceled") {
      self = .partiallyFilledCancelled
    } else if word.equals("Deactivated") {
      self = .deactivated
    } else if word.equals("Untriggered") {
      self = .untriggered
    } else if word.equals("Triggered") {
      self = .triggered
    } else {
      return nil
    }
  }

  /// A cancelled order may have been executed in part: only its quantities tell.
  func status(hasFills: Bool) -> OrderStatus {
    switch self {
    case .new: .open
    case .partiallyFilled: .partiallyFilled
    case .filled: .filled
    case .cancelled, .partiallyFilledCancelled, .rejected, .deactivated:
      hasFills ? .cancelledPartiallyFilled : .cancelled
    case .untriggered, .triggered: .other
    }
  }
}

/// Why an order ended, by its `cancelType`.
enum BybitCancelWord {
  /// The cause is none of the listed ones: the `rejectReason` may have it.
  case unstated
  case cause(DeleteReason)

  init?(_ word: JSONText) {
    if word.equals("UNKNOWN") || word.count == 0 {
      self = .unstated
    } else if word.equals("CancelByUser") {
      self = .cause(.clientCancel)
    } else if word.equals("CancelBySmp") {
      self = .cause(.selfTradePrevention)
    } else if word.equals("CancelByDCP") {
      self = .cause(.sessionEnd)
    } else if word.equals("CancelByPrepareLiq") || word.equals("CancelAllBeforeLiq")
      || word.equals("CancelByPrepareAdl") || word.equals("CancelAllBeforeAdl")
    {
      self = .cause(.marginBreach)
    } else if word.equals("CancelByAdmin") {
      self = .cause(.adminCancel)
    } else if word.equals("CancelBySettle") {
      self = .cause(.instrumentDeactivated)
    } else if word.equals("CancelByReduceOnly") || word.equals("CancelByTpSlTsClear")
      || word.equals("CancelByRebalance")
      || word.equals("CancelByOCOTpCanceledBySlTriggered") || word.equals("CancelByOCOSlCanceledByTpTriggered")
    {
      self = .cause(.other)
    } else {
      return nil
    }
  }
}

extension DeleteReason {
  /// By the `rejectReason`, which is an open set: a new word is no fault, and means `other`.
  init(bybitReason word: JSONText) {
    if word.equals("EC_NoError") || word.count == 0 {
      self = .none
    } else if word.equals("EC_PerCancelRequest") {
      self = .clientCancel
    } else if word.equals("EC_PostOnlyWillTakeLiquidity") || word.equals("EC_NoImmediateQtyToFill")
      || word.equals("EC_NoEnoughQtyToFill") || word.equals("EC_CancelForNoFullFill")
    {
      self = .immediateCancel
    } else if word.equals("EC_BySelfMatch") || word.equals("EC_StopBySelfMatch") {
      self = .selfTradePrevention
    } else if word.equals("EC_CancelReplaceOrder") {
      self = .replaced
    } else if word.equals("EC_CancelByMMP") {
      self = .protection
    } else if word.equals("EC_InvalidSymbolStatus") || word.equals("EC_InCallAuctionStatus")
      || word.equals("EC_SecurityStatusFail")
    {
      self = .instrumentDeactivated
    } else {
      self = .other
    }
  }
}

/// What a record of the execution stream means for a position.
enum BybitExecutionMeaning {
  /// An execution.
  case execution
  /// A posting without an execution: its quantity is that of the position. Position reports show what it does.
  case bookkeeping

  init?(_ word: JSONText) {
    if word.equals("Trade") || word.equals("AdlTrade") || word.equals("BustTrade") || word.equals("BlockTrade")
      || word.equals("FutureSpread")
    {
      self = .execution
    } else if word.equals("Funding") || word.equals("Delivery") || word.equals("Settle") || word.equals("MovePosition")
      || word.equals("CorporateAction")
    {
      self = .bookkeeping
    } else {
      return nil
    }
  }
}

extension Side {
  init?(bybit word: JSONText) {
    if word.equals("Buy") {
      self = .buy
    } else if word.equals("Sell") {
      self = .sell
    } else {
      return nil
    }
  }
}

/// What a message of a stream does to what was told before.
enum BybitMessageWord {
  case snapshot, delta

  init?(_ word: JSONText) {
    if word.equals("delta") {
      self = .delta
    } else if word.equals("snapshot") {
      self = .snapshot
    } else {
      return nil
    }
  }
}

/// What a request over the order-entry socket does (protocol reference 9).
enum BybitOperation {
  case create, amend, cancel
  case createBatch, amendBatch, cancelBatch
  case login, pong

  init?(_ word: JSONText) {
    if word.equals("order.create") {
      self = .create
    } else if word.equals("order.amend") {
      self = .amend
    } else if word.equals("order.cancel") {
      self = .cancel
    } else if word.equals("order.create-batch") {
      self = .createBatch
    } else if word.equals("order.amend-batch") {
      self = .amendBatch
    } else if word.equals("order.cancel-batch") {
      self = .cancelBatch
    } else if word.equals("auth") {
      self = .login
    } else if word.equals("pong") || word.equals("ping") {
      self = .pong
    } else {
      return nil
    }
  }

  var isBatch: Bool { self == .createBatch || self == .amendBatch || self == .cancelBatch }

  /// The request about one order that it makes of it.
  func request(_ clientID: UInt64) -> RequestKind {
    switch self {
    case .create, .createBatch: .insert(clientID)
    case .amend, .amendBatch: .amend(clientID)
    case .cancel, .cancelBatch: .cancel(clientID)
    case .login, .pong: .unknown
    }
  }
}

/// What the text of a refusal says where the venue sends no code: answers about subscriptions (protocol reference 5).
/// The codes are this engine's own, below 0, where Bybit has none of them.
public enum BybitTextCode {
  /// A text that this version does not know.
  public static let other: Int64 = -1
  /// No such topic. The whole request has failed.
  public static let unknownTopic: Int64 = -2
  /// The topic was subscribed before, and goes on. Harmless.
  public static let alreadySubscribed: Int64 = -3
  public static let unknownOperation: Int64 = -4
  /// The venue could not read the frame.
  public static let unreadable: Int64 = -5

  static func code(of text: JSONText) -> Int64 {
    if text.begins("error:handler not found") { return unknownTopic }
    if text.begins("error:already subscribed") { return alreadySubscribed }
    if text.begins("error:invalid op") { return unknownOperation }
    if text.begins("Failed to decode incoming data") { return unreadable }
    return other
  }
}

extension JSONText {
  func begins(_ word: StaticString) -> Bool {
    guard let bytes, count >= word.utf8CodeUnitCount else { return false }
    return apus_json_same(
      bytes, UnsafeRawPointer(word.utf8Start).assumingMemoryBound(to: CChar.self), word.utf8CodeUnitCount)
  }
}
