/// What an error reply to an insert proves (R04); the adapter has the venue's table.
public enum RefusalProof: Sendable {
  /// The request had no effect.
  case noEffect
  /// The venue does not know the order (any more): a final report is on its way, or a query must tell.
  case orderGone
  /// The venue does not say whether the request had an effect.
  case nothing
}

/// What became of a report about an order.
public enum ReportOutcome: Equatable, Sendable {
  /// Nothing new, or older than what is known (R02).
  case stale
  case changed
  /// The order is gone for good.
  case ended
  /// Not an order of this engine; left alone (R14).
  case foreign
  /// Labelled as ours and resting, but not among the orders of this life: it is to be cancelled.
  case orphan
  /// Contradicts what can be true (R05); counted, the order is of unknown state.
  case impossible
}

public enum FillOutcome: Equatable, Sendable {
  case booked
  /// Known already; its fee was new.
  case feeAdded
  case duplicate
  /// Belongs to no order of this life.
  case foreign
  /// Too large to be true (R05); counted, nothing is booked.
  case impossible
}

/// Numbers that only grow, for telemetry.
public struct TrackerCounters: Sendable {
  public var stale = 0
  public var impossible = 0
  public var foreignReports = 0
  public var foreignFills = 0
  /// Executions of orders of a run that this one continues, which nobody had booked.
  public var inheritedFills = 0
  public var orphans = 0
  public var timeouts = 0
  public var duplicateFills = 0
  /// Fills that were told only after the end of their order.
  public var lateFills = 0
  /// Orders that a query did not list and that the venue then reported live.
  public var revived = 0
  /// Answers to an amend that was not in flight any more.
  public var lateReplies = 0
}
