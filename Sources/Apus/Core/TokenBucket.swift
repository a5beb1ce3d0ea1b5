public import CSupport

extension BucketRate {
  /// `tokens` per `period`, as the venue states it, and at most `capacity` of them at once.
  ///
  /// The time for one token is rounded up to a whole nanosecond, so the bucket never exceeds the rate.
  public init(capacity: Int, tokens: Int, per period: Nanoseconds) throws(SystemError) {
    self.init()
    let result = unsafe apus_bucket_rate_make(UInt32(clamping: capacity), UInt32(clamping: tokens), period, &self)
    guard result == 0 else {
      throw SystemError(
        "make a bucket of \(capacity) tokens at \(tokens) per \(period) ns", result: result,
        advice: result == -22
          ? "all three must be above zero"
          : "at most \((1 << 24) - 1) tokens, 1,099 s each, are possible")
    }
  }

  /// `tokensPerSecond`, and at most `capacity` of them at once.
  public init(capacity: Int, tokensPerSecond: Int) throws(SystemError) {
    try self.init(capacity: capacity, tokens: tokensPerSecond, per: 1_000_000_000)
  }
}

/// A token bucket of one thread.
///
/// In any window of T ns at most `capacity + T / interval` tokens are taken. Time is the caller's, in
/// ns within 0 … 2⁶¹; a clock that steps back makes the bucket wait, never grant more.
@safe
public struct TokenBucket: ~Copyable, Sendable {
  @usableFromInline var bucket: apus_bucket

  /// A full bucket.
  public init(_ rate: BucketRate) { bucket = apus_bucket_make(rate) }

  public var rate: BucketRate { bucket.rate }

  /// The time until it is full again, if nothing more is taken.
  @inlinable @inline(always) @_noLocks
  public func debt(now: Nanoseconds) -> Nanoseconds { max(0, bucket.full_at_ns - now) }

  /// The time that an empty bucket takes to fill.
  @inlinable @inline(always)
  public var burst: Nanoseconds { apus_bucket_burst_ns(bucket.rate) }

  /// Takes `count` tokens (≥ 1) if `kept` would remain for others, such as cancels (R40).
  ///
  /// - Returns: `.never` if `count` and `kept` exceed the capacity (R63): an error of the caller.
  @inlinable @inline(always) @_noLocks
  public mutating func tryTake(_ count: UInt32 = 1, keeping kept: UInt32 = 0, now: Nanoseconds) -> TakeResult {
    unsafe apus_bucket_try_take_keeping(&bucket, count, kept, now)
  }

  /// Whole tokens there at `now`. Divides: not for the hot path.
  public func available(now: Nanoseconds) -> Int {
    Int(apus_bucket_available_at(bucket.full_at_ns, bucket.rate, now))
  }

  /// The first time from `now` on at which `count` tokens are there and `kept` would remain; `nil` if never.
  @inlinable @_noLocks
  public func readyTime(for count: UInt32 = 1, keeping kept: UInt32 = 0, now: Nanoseconds) -> Nanoseconds? {
    let ready = apus_bucket_ready_at(bucket.full_at_ns, bucket.rate, count, kept, now)
    return ready == .max ? nil : ready
  }

  /// Makes sure that no more than `count` tokens are there at `time`: what the venue says remains
  /// (`time` is now), or a ban until `time` (`count` is 0). Never adds tokens.
  @_noLocks
  public mutating func lower(to count: UInt32, at time: Nanoseconds) {
    unsafe apus_bucket_lower(&bucket, count, time)
  }

  /// Changes the rate; tokens taken and not yet refilled stay taken.
  @_noLocks
  public mutating func reconfigure(_ rate: BucketRate, now: Nanoseconds) {
    unsafe apus_bucket_reconfigure(&bucket, rate, now)
  }
}

/// A token bucket that any number of threads take from, lock-free.
// Sendable: every access to the shared words is atomic, see apus_bucket.h.
@safe
public final class SharedTokenBucket: @unchecked Sendable {
  @usableFromInline let bucket: OpaquePointer

  /// A full bucket.
  public init(_ rate: BucketRate) throws(SystemError) {
    var created: OpaquePointer?
    let result = unsafe apus_shared_bucket_create(rate, &created)
    guard let created = unsafe created, result == 0 else {
      throw SystemError("create a shared token bucket", result: result)
    }
    unsafe bucket = unsafe created
  }

  deinit { unsafe apus_shared_bucket_destroy(bucket) }

  /// As `TokenBucket.tryTake`.
  @inlinable @inline(always) @_noLocks
  public func tryTake(_ count: UInt32 = 1, keeping kept: UInt32 = 0, now: Nanoseconds) -> TakeResult {
    unsafe apus_shared_bucket_try_take_keeping(bucket, count, kept, now)
  }

  /// Whole tokens there at `now`; beside other threads' takes it is already old.
  public func available(now: Nanoseconds) -> Int { unsafe Int(apus_shared_bucket_available(bucket, now)) }

  /// The first time from `now` on at which `count` tokens are there if nobody else takes; `nil` if never.
  public func readyTime(for count: UInt32 = 1, now: Nanoseconds) -> Nanoseconds? {
    let ready = unsafe apus_shared_bucket_ready_ns(bucket, count, now)
    return ready == .max ? nil : ready
  }

  /// As `TokenBucket.lower`. Any thread; not for the hot path.
  public func lower(to count: UInt32, at time: Nanoseconds) { unsafe apus_shared_bucket_lower(bucket, count, time) }

  /// As `TokenBucket.reconfigure`. One thread at a time; takers meanwhile hear `.notYet`.
  public func reconfigure(_ rate: BucketRate, now: Nanoseconds) {
    unsafe apus_shared_bucket_reconfigure(bucket, rate, now)
  }
}
