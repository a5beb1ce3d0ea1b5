public import Apus
public import CSupport
import Glibc

/// How an order may trade; without `market` and `immediateOrCancel` it is good till cancelled.
@frozen public struct MatchFlags: OptionSet, Hashable, Sendable {
  public let rawValue: UInt8
  @inlinable public init(rawValue: UInt8) { self.rawValue = rawValue }

  /// No price limit; implies immediate-or-cancel.
  public static var market: Self { Self(rawValue: UInt8(APUS_MATCH_MARKET)) }
  public static var immediateOrCancel: Self { Self(rawValue: UInt8(APUS_MATCH_IOC)) }
  /// A crossing price is moved to one tick behind the opposite best.
  public static var postOnly: Self { Self(rawValue: UInt8(APUS_MATCH_POST_ONLY)) }
  /// With `postOnly`: cancelled instead of moved.
  public static var postOnlyReject: Self { Self(rawValue: UInt8(APUS_MATCH_POST_ONLY_REJECT)) }
  /// The size is cut to the order's `reducible`; refused if that is not positive.
  public static var reduceOnly: Self { Self(rawValue: UInt8(APUS_MATCH_REDUCE_ONLY)) }
  /// Does not trade at all if it would meet an order of its owner before it is done.
  public static var selfTradeNoFill: Self { Self(rawValue: UInt8(APUS_MATCH_STP_NO_FILL)) }
}

extension MatchOrder {
  /// - Parameters:
  ///   - tag: The caller's own number, echoed in every report.
  ///   - owner: Self-trade group; 0 is anonymous and trades with everybody.
  ///   - price: Ignored for a market order.
  ///   - quantity: 1 ... 2⁵³ lots.
  ///   - reducible: What a reduce-only order may execute at most; ignored for others.
  @inlinable public init(
    tag: UInt64, owner: UInt32 = 0, side: Side, flags: MatchFlags = [], price: PriceTicks, quantity: QtyLots,
    reducible: QtyLots = .zero
  ) {
    self.init(
      tag: tag, owner: owner, sideCode: UInt8(truncatingIfNeeded: side.rawValue), flagBits: flags.rawValue,
      price: price, quantity: quantity, reducible: reducible)
  }
}

extension MatchReport {
  // The engine writes no other codes; were one to appear, it would be a broken build.
  @inlinable public var kind: MatchReportKind { MatchReportKind(rawValue: UInt32(kindCode))! }
  @inlinable public var reason: MatchReason { MatchReason(rawValue: UInt32(reasonCode))! }
  /// Side of the order that the call was about; meaningless where `reason` is `badFlags`.
  @inlinable public var side: Side { sideCode == 0 ? .buy : .sell }
}

extension MatchResting {
  @inlinable public var side: Side { sideCode == 0 ? .buy : .sell }
}

/// A price-time matching engine for one instrument; the rules and corners stand in `apus_match.h`.
///
/// A call leaves its reports in ``reports``, to be read before the next call. Borrowing the span
/// keeps the engine from being called meanwhile, so nothing can re-enter a half-done match:
///
/// ```swift
/// let handle = engine.submit(order)
/// let reports = engine.reports
/// for index in reports.indices { route(reports[index]) }
/// ```
///
/// Everything is allocated by `init`. Prices lie within ±2⁴⁰ ticks and the limits given, sizes
/// within 1 ... 2⁵³ lots; what does not fit is reported as `rejected` and changes nothing.
// Sendable: it shares nothing, and being noncopyable it has one owner, who may move it to another thread.
@safe
public struct MatchingEngine: ~Copyable, @unchecked Sendable {
  @usableFromInline let match: OpaquePointer

  /// Fails with `invalidLimits` if a limit is out of its range (`apus_match_limits`), or with `outOfMemory`.
  public init(limits: MatchLimits) throws(MatchingEngineError) {
    var limits = limits
    var created: OpaquePointer?
    let status = unsafe apus_match_create(&limits, &created)
    guard let match = unsafe created else { throw status == -EINVAL ? .invalidLimits(limits) : .outOfMemory(limits) }
    unsafe self.match = match
  }

  deinit { unsafe apus_match_destroy(match) }

  /// Enters an order. Its handle if it rests afterwards, else 0.
  ///
  /// The last of the reports says what became of it: `accepted`, `done`, `cancelled` or `rejected`.
  @inlinable @inline(always) @_noLocks
  public mutating func submit(_ order: MatchOrder) -> UInt64 {
    var order = order
    return unsafe apus_match_new(match, &order)
  }

  /// Cancels what rests under `handle`; `false`, with a `rejected` report, if nothing does.
  @inlinable @inline(always) @_noLocks @discardableResult
  public mutating func cancel(_ handle: UInt64, reason: MatchReason = .client) -> Bool {
    unsafe apus_match_cancel(match, handle, reason)
  }

  /// Gives an order a new price and a new remaining size, and returns whether it rests afterwards.
  ///
  /// The same price and no larger a size keep its priority. The last of the reports is `amended`,
  /// `done`, `cancelled` (self-trade) or `rejected` (nothing changed).
  @inlinable @inline(always) @_noLocks @discardableResult
  public mutating func modify(_ handle: UInt64, price: PriceTicks, remaining: QtyLots) -> Bool {
    unsafe apus_match_modify(match, handle, price, remaining)
  }

  /// What the last `submit`, `cancel` or `modify` caused, in the order in which it happened.
  @inlinable public var reports: Span<MatchReport> {
    @inline(always) @_lifetime(borrow self) borrowing get {
      var count: UInt32 = 0
      let items = unsafe apus_match_reports(match, &count)
      let span = unsafe Span(_unsafeStart: items, count: Int(count))
      return unsafe _overrideLifetime(span, borrowing: self)
    }
  }

  /// How many reports the last call left.
  @inlinable public var reportCount: Int {
    @_noLocks get {
      var count: UInt32 = 0
      _ = unsafe apus_match_reports(match, &count)
      return Int(count)
    }
  }

  /// One of ``reports``, copied: for callers that cannot hold a borrow, such as a class that owns the engine.
  @inlinable @inline(always) @_noLocks
  public func report(_ index: Int) -> MatchReport {
    var count: UInt32 = 0
    let items = unsafe apus_match_reports(match, &count)
    precondition(index >= 0 && index < Int(count), "the last call left fewer reports")
    return unsafe items[index]
  }

  /// The best price of a side and its total size.
  @inlinable @_noLocks
  public func best(_ side: Side) -> (price: PriceTicks, quantity: QtyLots)? {
    var price = PriceTicks(rawValue: 0)
    var quantity = QtyLots(rawValue: 0)
    return unsafe apus_match_best(match, side, &price, &quantity) ? (price, quantity) : nil
  }

  /// Total resting size at a price, 0 if none.
  @inlinable @_noLocks
  public func depth(_ side: Side, at price: PriceTicks) -> QtyLots {
    unsafe apus_match_depth(match, side, price)
  }

  /// Fills both spans from the front with the side's levels, best first; returns how many.
  public func levels(_ side: Side, prices: inout MutableSpan<PriceTicks>, sizes: inout MutableSpan<QtyLots>) -> Int {
    let maximum = UInt32(clamping: min(prices.count, sizes.count))
    return unsafe prices.withUnsafeMutableBufferPointer { priceBuffer in
      unsafe sizes.withUnsafeMutableBufferPointer { sizeBuffer in
        guard let prices = priceBuffer.baseAddress, let sizes = sizeBuffer.baseAddress else { return 0 }
        return unsafe Int(apus_match_levels(match, side, prices, sizes, maximum))
      }
    }
  }

  /// Fills the span from the front with the handles of the orders at a price, oldest first; returns how many.
  public func queue(_ side: Side, at price: PriceTicks, handles: inout MutableSpan<UInt64>) -> Int {
    let maximum = UInt32(clamping: handles.count)
    return unsafe handles.withUnsafeMutableBufferPointer { buffer in
      guard let handles = buffer.baseAddress else { return 0 }
      return unsafe Int(apus_match_queue(match, side, price, handles, maximum))
    }
  }

  /// What rests under `handle`.
  @inlinable
  public func order(_ handle: UInt64) -> MatchResting? {
    var resting = MatchResting()
    return unsafe apus_match_find(match, handle, &resting) ? resting : nil
  }

  /// Orders resting now.
  @inlinable public var count: Int { @_noLocks get { unsafe Int(apus_match_count(match)) } }

  /// What is broken in the data structure, which takes a walk through all of it; `nil` if all is well.
  public func brokenInvariant() -> String? {
    unsafe apus_match_check(match).map { unsafe String(cString: $0) }
  }
}

/// Why a matching engine could not be made.
public enum MatchingEngineError: Error, CustomStringConvertible {
  case invalidLimits(MatchLimits)
  case outOfMemory(MatchLimits)

  public var description: String {
    switch self {
    case .invalidLimits(let limits):
      "could not create a matching engine of \(limits.maxOrders) orders and \(limits.maxLevels) levels, prices "
        + "\(limits.minPrice.rawValue) to \(limits.maxPrice.rawValue): orders must be 1 to "
        + "\(APUS_MATCH_MAX_ORDERS), levels at least 1, prices in order and within ±2^40 ticks"
    case .outOfMemory(let limits):
      "could not create a matching engine of \(limits.maxOrders) orders and \(limits.maxLevels) levels: "
        + "out of memory"
    }
  }
}
