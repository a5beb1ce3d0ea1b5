/// What is known of Bybit V5 linear as data: what it limits, what its quantities mean, what its refusals prove.
///
/// Source: protocol reference 9, 10, 13, 14. What is marked unknown there is assumed to be the worse.
public enum BybitVenue {
  /// Sizes are amounts of the base coin, prices are in the settle coin, and so are fees.
  public static let contract = ContractKind.linear
  public static let settleCoin = "USDT"

  /// What proves that an order is gone for good: a terminal record of the order stream or of a query. An
  /// acknowledgement proves nothing about it, and neither does an execution that leaves nothing.
  public static let provesEnd: Set<OrderStatus> = [.filled, .cancelled, .cancelledPartiallyFilled]
  public static let isAcknowledgementState = false

  /// Of an `orderLinkId` and of a `reqId`, in bytes.
  public static let tagLimit = 36
  /// Orders in one batch request.
  public static let batchLimit = 20
  /// Open orders on one instrument.
  public static let openOrderLimit = 500
  /// All topic names of one public connection together, in bytes.
  public static let topicBytesLimit = 21_000
  /// Requests of one class a second for an account without privileges. What is granted stands in each answer.
  public static let requestsPerSecond: Int64 = 10
  /// Each connection wants a ping this often, and is cut after 10 minutes without anything.
  public static let pingNanoseconds: Nanoseconds = 20_000_000_000
  /// How old a request may be when the venue reads it; ahead of the venue's clock it may be 1 s.
  public static let requestWindowMilliseconds: Int64 = 5_000
  /// Rows of one page, at most.
  public static let orderPage = 50
  public static let executionPage = 100
  public static let positionPage = 200
  public static let instrumentPage = 1_000
  /// Orders that one cancel-all takes.
  public static let cancelAllLimit = 500
  /// Seconds of protection on disconnect that the venue takes. It begins some 10 s after it is set, and watches the
  /// private stream, not the connection that orders are sent on.
  public static let deadManSeconds: ClosedRange<Int> = 3...300
}
