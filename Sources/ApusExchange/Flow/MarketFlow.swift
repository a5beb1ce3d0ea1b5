public import Apus
public import CSupport

/// One thing that the rest of the market does to an instrument of the venue.
public struct FlowEvent: Equatable, Sendable {
  public enum Kind: UInt8, Sendable {
    /// `lots` at `price` shall rest on `side` in total; 0 removes the level.
    case level
    /// An aggressor on `side` takes up to `lots`, no further than `price`.
    case trade
    /// The index of the instrument's underlying is `valueE8`.
    case index
    /// The source of the market is away: until it is back nothing is published, and no order is taken.
    case away
    case back
  }

  public var kind: Kind
  public var side: Side
  /// Position in the venue's list of instruments.
  public var instrument: Int32
  /// On the venue's grid: ticks; for `index` the value in 10⁻⁸ USD.
  public var value: Int64
  public var lots: Int64

  public init(kind: Kind, instrument: Int, side: Side, value: Int64, lots: Int64) {
    self.kind = kind
    self.instrument = Int32(instrument)
    self.side = side
    self.value = value
    self.lots = lots
  }

  public static func level(_ instrument: Int, _ side: Side, _ price: Int64, _ lots: Int64) -> Self {
    Self(kind: .level, instrument: instrument, side: side, value: price, lots: lots)
  }
  public static func trade(_ instrument: Int, aggressor: Side, _ price: Int64, _ lots: Int64) -> Self {
    Self(kind: .trade, instrument: instrument, side: aggressor, value: price, lots: lots)
  }
  /// Of all instruments.
  static let away = Self(kind: .away, instrument: 0, side: .buy, value: 0, lots: 0)
  static let back = Self(kind: .back, instrument: 0, side: .buy, value: 0, lots: 0)
  public static func index(_ instrument: Int, e8: Int64) -> Self {
    Self(kind: .index, instrument: instrument, side: .buy, value: e8, lots: 0)
  }
}

/// Where the rest of the market comes from, in the order of time.
///
/// Consecutive level events of one step act together: the venue applies what takes away before
/// what adds, so that a moving market does not trade with itself.
public protocol MarketFlow: AnyObject {
  /// When the next step is due, nanoseconds on the venue's clock; `nil` when there is none left.
  /// Never earlier than the step before.
  var nextTime: Nanoseconds? { get }
  /// Appends the events of the next step. Only to be called while `nextTime` is not `nil`.
  func next(into events: inout [FlowEvent])
}

extension MarketFlow {
  public var isFinished: Bool { nextTime == nil }
}

/// Several flows as one; at equal times the earlier in the list goes first.
public final class MergedFlow: MarketFlow {
  private let flows: [any MarketFlow]

  public init(_ flows: [any MarketFlow]) { self.flows = flows }

  private func earliest() -> (any MarketFlow)? {
    var found: (any MarketFlow)?
    var foundTime = Nanoseconds.max
    for flow in flows {
      if let time = flow.nextTime, found == nil || time < foundTime {
        found = flow
        foundTime = time
      }
    }
    return found
  }

  public var nextTime: Nanoseconds? { earliest()?.nextTime }
  public func next(into events: inout [FlowEvent]) { earliest()?.next(into: &events) }
}

/// Reproducible pseudo-random numbers (SplitMix64, public domain algorithm by S. Vigna).
struct SplitMix {
  private var state: UInt64
  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return mixed ^ (mixed >> 31)
  }

  /// 0 ..< bound.
  mutating func below(_ bound: Int64) -> Int64 {
    Int64(next().multipliedFullWidth(by: UInt64(bound)).high)
  }

  /// From `range`, both ends included.
  mutating func within(_ range: ClosedRange<Int64>) -> Int64 {
    range.lowerBound + below(range.upperBound - range.lowerBound + 1)
  }

  /// About normal: mean 0, deviation 1024.
  mutating func bell() -> Int64 {
    // Twelve uniform values of variance 1/12 add up to variance 1.
    var sum: Int64 = 0
    for _ in 0..<3 {
      let bits = next()
      sum +=
        Int64(bits & 0x3FF) + Int64((bits >> 16) & 0x3FF) + Int64((bits >> 32) & 0x3FF) + Int64((bits >> 48) & 0x3FF)
    }
    return sum - 6138
  }
}
