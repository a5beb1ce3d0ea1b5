public import Apus

/// One operation, prepared: `run` repeats it in a loop of its own, so that nothing but the operation is timed.
protocol Operation: ~Copyable {
  /// Runs `count` operations and returns the nanoseconds that they took.
  mutating func run(_ count: Int) throws -> Nanoseconds
  /// The result that a peer must come to as well; empty if there is nothing to compare.
  mutating func check() throws -> [Int64]
}

extension Operation where Self: ~Copyable {
  mutating func check() throws -> [Int64] { [] }
}

/// An operation whose single runs are timed one by one, for percentiles.
protocol SampledOperation: ~Copyable {
  /// Runs a whole script and appends the nanoseconds of each of its timed steps.
  mutating func run(into samples: inout [Nanoseconds]) throws
}

/// A prepared operation of any kind. One thread.
open class Runner {
  /// Runs `count` operations and returns the nanoseconds that they took.
  public func run(_ count: Int) throws -> Nanoseconds { 0 }
  /// Runs a script once and appends the nanoseconds of each timed step.
  public func run(into samples: inout [Nanoseconds]) throws {}
  public func check() throws -> [Int64] { [] }
}

final class Timed<Body: Operation & ~Copyable>: Runner {
  private var body: Body
  init(_ body: consuming Body) { self.body = body }
  override func run(_ count: Int) throws -> Nanoseconds { try body.run(count) }
  override func check() throws -> [Int64] { try body.check() }
}

final class Sampled<Body: SampledOperation & ~Copyable>: Runner {
  private var body: Body
  init(_ body: consuming Body) { self.body = body }
  override func run(into samples: inout [Nanoseconds]) throws { try body.run(into: &samples) }
}

/// The cores of the measurement. The measuring thread is pinned to `main` by the program.
public struct Cores: Sendable {
  public var main: Int
  /// For the second thread of cross-core pieces; `nil` if the process may use one core only.
  public var other: Int?

  public init(main: Int, other: Int?) {
    self.main = main
    self.other = other
  }
}

/// What one row of the table runs.
public struct Piece: Sendable {
  public enum Measure: Sendable {
    /// So many operations are timed together.
    case batch(Int)
    /// The same, with a second thread on another core.
    case crossCore(Int)
    /// So many operations are timed together, and a run goes on where the one before ended, up to a total; then it
    /// begins again.
    case flow(total: Int, step: Int)
    /// Each step of a script is timed alone.
    case samples
  }

  /// The row's key.
  public let key: String
  public let measure: Measure
  /// What peers get; empty if they need nothing.
  public let input: @Sendable () throws -> [UInt8]
  public let make: @Sendable (Cores) throws -> Runner
  /// What needs no peer's library and is measured beside it in any case.
  public let alternatives: [Alternative]

  public struct Alternative: Sendable {
    public let name: String
    public let make: @Sendable (Cores) throws -> Runner

    init(_ name: String, make: @escaping @Sendable (Cores) throws -> Runner) {
      self.name = name
      self.make = make
    }
  }

  init(
    _ key: String, _ measure: Measure, input: @escaping @Sendable () throws -> [UInt8] = { [] },
    alternatives: [Alternative] = [], make: @escaping @Sendable (Cores) throws -> Runner
  ) {
    self.key = key
    self.measure = measure
    self.input = input
    self.alternatives = alternatives
    self.make = make
  }

  /// All pieces, in the order of the table.
  public static let all: [Piece] =
    tickPieces + venueTickPieces + thalexPieces + bybitPieces + deribitPieces + webSocketPieces + ringPieces
    + slotPieces
    + bucketPieces + slabPieces
    + bookPieces + meterPieces + reconcilePieces + matchPieces + journalPieces + replayPieces
    + decimalPieces
}

/// A piece did something else than its row says: its figures would mean nothing.
public struct PieceError: Error, CustomStringConvertible {
  public let description: String
  init(_ description: String) { self.description = description }
}

// Written only, so that the optimiser cannot drop what was computed. One thread measures at a time.
nonisolated(unsafe) private var sink: Int64 = 0

@inline(never)
func keep(_ value: Int64) { sink = sink &* 31 &+ value }

/// SplitMix64: the same numbers in every run.
struct Random {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// 0 ..< bound.
  mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }
}

extension [UInt8] {
  /// Appends the value as it lies in memory.
  mutating func append<Value: BitwiseCopyable>(raw value: Value) {
    Swift.withUnsafeBytes(of: value) { append(contentsOf: $0) }
  }
}

/// FNV-1a, for comparing texts.
func hash(of bytes: some Sequence<UInt8>) -> Int64 {
  var hash: UInt64 = 0xCBF2_9CE4_8422_2325
  for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x0000_0100_0000_01B3 }
  return Int64(bitPattern: hash)
}
