import Apus
import CSupport

let bucketPieces: [Piece] = [
  Piece("bucket.single", .batch(20_000)) { _ in Timed(try SingleBucket()) },
  Piece("bucket.shared", .batch(20_000)) { _ in Timed(try SharedBucket()) },
  Piece("bucket.contended", .crossCore(5000)) { cores in Timed(ContendedBucket(cores: cores)) },
  Piece("bucket.refused", .batch(20_000)) { _ in Timed(try RefusedBucket()) },
]

/// One token a ns, one taken each ns: always granted. Check: granted of 5,000 takes at 0, 0, 1, 1, 2, 2 … ns from a
/// full bucket of 1,000 tokens, one a ns.
private struct SingleBucket: Operation, ~Copyable {
  private var bucket: TokenBucket
  private var now: Nanoseconds = 0
  private let rate: BucketRate

  init() throws {
    rate = try BucketRate(capacity: 1000, tokensPerSecond: 1_000_000_000)
    bucket = TokenBucket(rate)
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var granted = 0
    let first = now
    let start = EngineClock.now()
    for time in first..<first + Int64(count) where bucket.tryTake(now: time) == .taken { granted += 1 }
    let elapsed = EngineClock.now() - start
    now += Int64(count)
    guard granted == count else { throw PieceError("\(granted) of \(count) tokens granted") }
    return elapsed
  }

  mutating func check() throws -> [Int64] {
    var bucket = TokenBucket(rate)
    var granted: Int64 = 0
    for take in 0..<5000 as Range<Int64> where bucket.tryTake(now: take / 2) == .taken { granted += 1 }
    return [granted]
  }
}

private struct SharedBucket: Operation, ~Copyable {
  private let bucket: SharedTokenBucket
  private var now: Nanoseconds = 0

  init() throws { bucket = try SharedTokenBucket(BucketRate(capacity: 1000, tokensPerSecond: 1_000_000_000)) }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var granted = 0
    let first = now
    let start = EngineClock.now()
    for time in first..<first + Int64(count) where bucket.tryTake(now: time) == .taken { granted += 1 }
    let elapsed = EngineClock.now() - start
    now += Int64(count)
    guard granted == count else { throw PieceError("\(granted) of \(count) tokens granted") }
    return elapsed
  }

  mutating func check() throws -> [Int64] {
    let bucket = try SharedTokenBucket(BucketRate(capacity: 1000, tokensPerSecond: 1_000_000_000))
    var granted: Int64 = 0
    for take in 0..<5000 as Range<Int64> where bucket.tryTake(now: take / 2) == .taken { granted += 1 }
    return [granted]
  }
}

/// Two threads take from one bucket at once, all granted; the time of one take on one thread.
///
/// The bucket holds 16 million tokens, so that no thread is refused for being behind the other.
private struct ContendedBucket: Operation {
  let cores: Cores

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let bucket = try SharedTokenBucket(BucketRate(capacity: 16_000_000, tokensPerSecond: 1_000_000_000))
    let there = Signal()
    let go = Signal()
    let done = Signal()
    let partner = try Partner(cores) {
      there.set(1)
      go.wait(for: 1)
      done.set(Self.take(count, from: bucket) == count ? 1 : Signal.failed)
    }
    there.wait(for: 1)
    go.set(1)
    let start = EngineClock.orderedNow()
    let granted = Self.take(count, from: bucket)
    let elapsed = EngineClock.orderedNow() - start
    partner.join()
    guard granted == count, done.wait(for: 1) else {
      throw PieceError("a token was refused beside another thread")
    }
    return elapsed
  }

  @inline(__always)
  private static func take(_ count: Int, from bucket: SharedTokenBucket) -> Int {
    var granted = 0
    for step in 0..<Int64(count) where bucket.tryTake(now: 4 * step) == .taken { granted += 1 }
    return granted
  }
}

private struct RefusedBucket: Operation, ~Copyable {
  private var bucket: TokenBucket

  init() throws {
    bucket = TokenBucket(try BucketRate(capacity: 10, tokensPerSecond: 1))
    _ = bucket.tryTake(10, now: 0)
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var granted = 0
    let start = EngineClock.now()
    for time in 0..<Int64(count) where bucket.tryTake(now: time) == .taken { granted += 1 }
    let elapsed = EngineClock.now() - start
    guard granted == 0 else { throw PieceError("an empty bucket granted \(granted) tokens") }
    return elapsed
  }
}
