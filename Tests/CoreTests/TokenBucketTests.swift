import CSupport
import Testing

@testable import Apus

/// The classical bucket, exact: a level counted in 1/interval of a token that rises by one each ns.
private struct SlowBucket {
  var interval: Int64
  var capacity: Int64
  var level: Int64
  var time: Int64 = 0

  init(_ rate: BucketRate) {
    interval = rate.interval_ns
    capacity = Int64(rate.capacity)
    level = interval * capacity
  }

  mutating func advance(to now: Int64) {
    level = min(interval * capacity, level + now - time)
    time = now
  }

  mutating func take(_ n: Int64, keeping kept: Int64, now: Int64) -> TakeResult {
    advance(to: now)
    if n + kept > capacity { return .never }
    if level < (n + kept) * interval { return .notYet }
    level -= n * interval
    return .taken
  }

  var available: Int64 { level < 0 ? 0 : level / interval }

  func readyTime(_ n: Int64) -> Int64? {
    n > capacity ? nil : time + max(0, n * interval - level)
  }
}

/// One call for both forms, so that they are tested alike.
private enum AnyBucket: ~Copyable {
  case single(TokenBucket)
  case shared(SharedTokenBucket)

  mutating func take(_ n: UInt32, keeping kept: UInt32 = 0, now: Int64) -> TakeResult {
    switch consume self {
    case .single(var bucket):
      let result = bucket.tryTake(n, keeping: kept, now: now)
      self = .single(bucket)
      return result
    case .shared(let bucket):
      self = .shared(bucket)
      return bucket.tryTake(n, keeping: kept, now: now)
    }
  }

  func available(_ now: Int64) -> Int {
    switch self {
    case .single(let bucket): bucket.available(now: now)
    case .shared(let bucket): bucket.available(now: now)
    }
  }

  func readyTime(_ n: UInt32, _ now: Int64) -> Int64? {
    switch self {
    case .single(let bucket): bucket.readyTime(for: n, now: now)
    case .shared(let bucket): bucket.readyTime(for: n, now: now)
    }
  }

  mutating func lower(to count: UInt32, at time: Int64) {
    switch consume self {
    case .single(var bucket):
      bucket.lower(to: count, at: time)
      self = .single(bucket)
    case .shared(let bucket):
      bucket.lower(to: count, at: time)
      self = .shared(bucket)
    }
  }

  mutating func reconfigure(_ rate: BucketRate, now: Int64) {
    switch consume self {
    case .single(var bucket):
      bucket.reconfigure(rate, now: now)
      self = .single(bucket)
    case .shared(let bucket):
      bucket.reconfigure(rate, now: now)
      self = .shared(bucket)
    }
  }
}

private enum Form: CaseIterable {
  case single, shared

  func make(_ rate: BucketRate) throws -> AnyBucket {
    switch self {
    case .single: .single(TokenBucket(rate))
    case .shared: .shared(try SharedTokenBucket(rate))
    }
  }
}

private let second: Int64 = 1_000_000_000

@Suite struct TokenBucketTests {
  @Test(arguments: Form.allCases)
  private func `a full bucket grants its capacity at once, then one token per interval`(form: Form) throws {
    var bucket = try form.make(BucketRate(capacity: 5, tokensPerSecond: 10))
    let start = 1000 * second
    for _ in 0..<5 {
      let result = bucket.take(1, now: start)
      #expect(result == .taken)
    }
    let sixth = bucket.take(1, now: start)
    let early = bucket.take(1, now: start + 99_999_999)
    let due = bucket.take(1, now: start + 100_000_000)
    let next = bucket.take(1, now: start + 100_000_000)
    #expect(sixth == .notYet && early == .notYet && due == .taken && next == .notYet)
  }

  @Test(arguments: Form.allCases)
  private func `R63_ asking for more than the bucket can ever hold is an error at once`(form: Form) throws {
    var bucket = try form.make(BucketRate(capacity: 5, tokensPerSecond: 10))
    let tooMany = bucket.take(6, now: 0)
    let tooManyWithReserve = bucket.take(4, keeping: 2, now: 0)
    let most = bucket.take(.max, keeping: .max, now: 0)
    let ready = bucket.readyTime(6, 0)
    #expect(tooMany == .never && tooManyWithReserve == .never && most == .never && ready == nil)
    let all = bucket.take(5, now: 0)
    #expect(all == .taken)
    // Also while empty: it is not a matter of waiting.
    let still = bucket.take(6, now: 0)
    #expect(still == .never)
  }

  @Test(arguments: Form.allCases)
  private func `R40_ tokens that are kept are there for those who may take them`(form: Form) throws {
    var bucket = try form.make(BucketRate(capacity: 10, tokensPerSecond: 1))
    var inserts = 0
    while bucket.take(1, keeping: 3, now: 0) == .taken { inserts += 1 }
    var cancels = 0
    while bucket.take(1, now: 0) == .taken { cancels += 1 }
    #expect(inserts == 7 && cancels == 3)
  }

  @Test(arguments: Form.allCases)
  private func `R39_ a ban holds until it expires, then the bucket fills from empty`(form: Form) throws {
    var bucket = try form.make(BucketRate(capacity: 10, tokensPerSecond: 10))
    bucket.lower(to: 0, at: 60 * second)
    let during = bucket.take(1, now: 60 * second)
    let early = bucket.take(1, now: 60 * second + second / 10 - 1)
    #expect(during == .notYet && early == .notYet)
    #expect(bucket.readyTime(1, 0) == 60 * second + second / 10)
    #expect(bucket.available(60 * second + second / 2) == 5)
    #expect(bucket.available(62 * second) == 10)
  }

  @Test(arguments: Form.allCases)
  private func `the venue's word on what remains only ever lowers the bucket`(form: Form) throws {
    var bucket = try form.make(BucketRate(capacity: 10, tokensPerSecond: 10))
    bucket.lower(to: 12, at: 0)
    #expect(bucket.available(0) == 10)
    bucket.lower(to: 4, at: 0)
    #expect(bucket.available(0) == 4)
    bucket.lower(to: 8, at: 0)
    #expect(bucket.available(0) == 4)
  }

  @Test(arguments: Form.allCases)
  private func `a clock that steps back makes the bucket wait`(form: Form) throws {
    var bucket = try form.make(BucketRate(capacity: 2, tokensPerSecond: 1))
    let both = bucket.take(2, now: 10 * second)
    let back = bucket.take(1, now: 5 * second)
    let due = bucket.take(1, now: 11 * second)
    #expect(both == .taken && back == .notYet && due == .taken)
    #expect(bucket.available(0) == 0)
  }

  @Test func `a rate that is no whole number of nanoseconds is rounded to the slower side`() throws {
    #expect(try BucketRate(capacity: 1, tokensPerSecond: 3).interval_ns == 333_333_334)
    #expect(try BucketRate(capacity: 1, tokensPerSecond: 1000).interval_ns == 1_000_000)
    #expect(try BucketRate(capacity: 1, tokens: 250, per: 5 * second).interval_ns == 20_000_000)
    #expect(try BucketRate(capacity: 1, tokens: 600_000_000, per: second).interval_ns == 2)
    #expect(try BucketRate(capacity: 1, tokens: 2_000_000_000, per: second).interval_ns == 1)
  }

  @Test(arguments: [(0, 1, second), (1, 0, second), (1, 1, 0), (-1, 1, 1), (1, 1, -5)])
  func `a rate of nothing is refused`(capacity: Int, tokens: Int, period: Int64) {
    let error = #expect(throws: SystemError.self) {
      _ = try BucketRate(capacity: capacity, tokens: tokens, per: period)
    }
    #expect(error?.description.contains("all three must be above zero") == true)
  }

  @Test(arguments: [(1 << 24, 1, second), (1, 1, 1100 * second), ((1 << 24) - 1, 1, 1000 * second)])
  func `a rate beyond the buckets' range is refused`(capacity: Int, tokens: Int, period: Int64) {
    #expect(throws: SystemError.self) { _ = try BucketRate(capacity: capacity, tokens: tokens, per: period) }
  }

  @Test(arguments: Form.allCases)
  private func `at the ends of the range nothing overflows`(form: Form) throws {
    let rate = try BucketRate(capacity: 2_000_000, tokens: 1, per: 1099 * second)
    var bucket = try form.make(rate)
    let end = Int64(1) << 61
    let all = bucket.take(2_000_000, now: end)
    let more = bucket.take(1, now: end)
    #expect(all == .taken && more == .notYet)
    #expect(bucket.readyTime(1, end) == end + 1099 * second)
    let back = bucket.take(1, now: 0)
    #expect(back == .notYet)
    #expect(bucket.available(0) == 0)
    bucket.lower(to: 0, at: end)
    #expect(bucket.available(end) == 0)
  }

  @Test(arguments: Form.allCases)
  private func `R41_ a change of rate keeps what was taken, up to the new capacity`(form: Form) throws {
    var bucket = try form.make(BucketRate(capacity: 10, tokensPerSecond: 10))
    _ = bucket.take(6, now: 0)
    bucket.reconfigure(try BucketRate(capacity: 100, tokensPerSecond: 1), now: 0)
    #expect(bucket.available(0) == 94)
    #expect(bucket.available(6 * second) == 100)
    bucket.reconfigure(try BucketRate(capacity: 3, tokensPerSecond: 1), now: 0)
    #expect(bucket.available(0) == 0)
    #expect(bucket.available(3 * second) == 3)
    bucket.reconfigure(try BucketRate(capacity: 7, tokensPerSecond: 1), now: 100 * second)
    #expect(bucket.available(100 * second) == 7)
  }

  @Test(arguments: Form.allCases, [11, 12, 13, 14] as [UInt64])
  private func `both forms agree with an exact bucket on random schedules`(form: Form, seed: UInt64) throws {
    var random = SplitMix64(seed: seed)
    var mistakes = 0
    for _ in 0..<20 {
      let capacity = Int.random(in: 1...40, using: &random)
      let tokens = Int.random(in: 1...5000, using: &random)
      let rate = try BucketRate(
        capacity: capacity, tokens: tokens, per: Int64.random(in: 1...(5 * second), using: &random))
      var bucket = try form.make(rate)
      var model = SlowBucket(rate)
      var now = Int64.random(in: 0...(second * 1_000_000), using: &random)
      for _ in 0..<2000 {
        now += Int64.random(in: 0...(2 * rate.interval_ns), using: &random)
        let n = UInt32.random(in: 1...(random.next() % 8 == 0 ? UInt32(capacity) + 2 : 2), using: &random)
        let kept = random.next() % 3 == 0 ? UInt32.random(in: 0...4, using: &random) : 0
        let result = bucket.take(n, keeping: kept, now: now)
        if result != model.take(Int64(n), keeping: Int64(kept), now: now) { mistakes += 1 }
        if bucket.available(now) != model.available { mistakes += 1 }
        let wanted = UInt32.random(in: 1...(UInt32(capacity) + 1), using: &random)
        if bucket.readyTime(wanted, now) != model.readyTime(Int64(wanted)) { mistakes += 1 }
      }
    }
    #expect(mistakes == 0, "seed \(seed)")
  }

  @Test(arguments: Form.allCases, [21, 22, 23] as [UInt64])
  private func `no window of time ever holds more than the capacity and the venue's rate allow`(
    form: Form, seed: UInt64
  ) throws {
    var random = SplitMix64(seed: seed)
    var excess = 0
    var starved = 0
    for _ in 0..<12 {
      let capacity = Int.random(in: 1...20, using: &random)
      let tokens = Int64.random(in: 1...2000, using: &random)
      let period = Int64.random(in: 1000...second, using: &random)
      let rate = try BucketRate(capacity: capacity, tokens: Int(tokens), per: period)
      var bucket = try form.make(rate)
      var grants: [(time: Int64, count: Int64)] = []
      var now = Int64.random(in: 0...second, using: &random)
      for _ in 0..<400 {
        now += random.next() % 4 == 0 ? Int64.random(in: 0...(3 * rate.interval_ns), using: &random) : 0
        let n = UInt32.random(in: 1...UInt32(min(3, capacity)), using: &random)
        if bucket.take(n, now: now) == .taken { grants.append((now, Int64(n))) }
      }
      for first in grants.indices {
        var sum: Int64 = 0
        for last in first..<grants.count {
          sum += grants[last].count
          // sum ≤ capacity + T · tokens / period, in whole numbers.
          let elapsed = grants[last].time - grants[first].time
          if (sum - Int64(capacity)) * period > elapsed * tokens { excess += 1 }
        }
      }
      // And it is not stingy: a bucket left alone for its burst is full.
      if bucket.available(now + rate.interval_ns * Int64(capacity)) != capacity { starved += 1 }
    }
    #expect(excess == 0 && starved == 0, "seed \(seed)")
  }
}
