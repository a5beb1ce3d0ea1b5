public import CSupport

/// Why a level of the kill ladder is in force. Each cause has a level of its own, and the highest of all rules.
///
/// The raw value is the cause's place in the words of the telemetry file: new ones go to the end.
public enum HaltCause: UInt8, CaseIterable, Sendable {
  /// `apus halt`, through the stop word of the telemetry file.
  case otherProcess
  /// SIGUSR1 or SIGUSR2.
  case signal
  /// ``Engine/halt(_:)``.
  case program
  /// The lane had stalled, and the watchdog has pulled the quotes.
  case watchdog
  case laneLoss, laneDrawdown
  /// Of all lanes together; judged by the strategy manager.
  case overallLoss, overallDrawdown
  /// The venue answers slowly. Passes by itself.
  case slowVenue
  /// Our clock and the venue's have drifted apart. Passes by itself.
  case clockDrift
  /// The journal cannot be written, or soon not any more.
  case journal

  /// For people.
  public var text: String {
    switch self {
    case .otherProcess: "apus halt"
    case .signal: "a signal"
    case .program: "the program"
    case .watchdog: "the watchdog"
    case .laneLoss: "loss of the lane"
    case .laneDrawdown: "drawdown of the lane"
    case .overallLoss: "overall loss"
    case .overallDrawdown: "overall drawdown"
    case .slowVenue: "slow acknowledgements"
    case .clockDrift: "clock drift"
    case .journal: "the journal"
    }
  }
}

extension StopLevel {
  /// As in the configuration and on the command line.
  public var word: String {
    switch self {
    case .none: "none"
    case .widen: "widen"
    case .noNewOrders: "no-new"
    case .cancelAll: "cancel"
    case .flatten: "flatten"
    case .disconnect: "disconnect"
    }
  }

  /// For people: what the lane does.
  public var text: String {
    switch self {
    case .none: "quoting"
    case .widen: "quotes are widened"
    case .noNewOrders: "no new orders"
    case .cancelAll: "all orders cancelled"
    case .flatten: "all orders cancelled, the position is closed"
    case .disconnect: "disconnected"
    }
  }
}

/// The kill ladder of one lane: widen, no new orders, cancel all, flatten, disconnect (R52).
///
/// A latched cause stays until a person re-arms; a passing one is set and taken back by the rule that it belongs to.
/// One thread. Values only: nothing allocates.
public struct KillLadder: Equatable, Sendable {
  /// Four bits a cause, its level.
  public private(set) var latched: UInt64 = 0
  public private(set) var passing: UInt64 = 0
  /// The highest of all causes: what rules.
  public private(set) var level = StopLevel.none
  /// The highest of the latched ones.
  public private(set) var latchedLevel = StopLevel.none
  /// Times that a latch was set or raised.
  public private(set) var latchCount = 0

  public init() {}

  public func level(of cause: HaltCause) -> StopLevel {
    max(Self.get(latched, cause), Self.get(passing, cause))
  }

  /// Sets or raises the latch of a cause; never lowers it.
  ///
  /// - Returns: whether it changed.
  @discardableResult
  public mutating func latch(_ cause: HaltCause, at level: StopLevel) -> Bool {
    guard level > Self.get(latched, cause) else { return false }
    latched = Self.set(latched, cause, level)
    latchCount += 1
    settle()
    return true
  }

  /// Sets a passing cause to exactly this level.
  ///
  /// - Returns: whether it changed.
  @discardableResult
  public mutating func pass(_ cause: HaltCause, at level: StopLevel) -> Bool {
    guard level != Self.get(passing, cause) else { return false }
    passing = Self.set(passing, cause, level)
    settle()
    return true
  }

  /// Lets go of all latches; passing causes go on.
  public mutating func rearm() {
    latched = 0
    settle()
  }

  /// The causes in force with their levels, the highest first, for people. Allocates.
  public var causeText: String { Self.text(latched: latched, passing: passing) }

  /// As `causeText`, of words that were read from a telemetry file.
  public static func text(latched: UInt64, passing: UInt64) -> String {
    HaltCause.allCases.map { ($0, max(get(latched, $0), get(passing, $0))) }.filter { $0.1 > .none }
      .sorted { $0.1 > $1.1 }.map { "\($0.0.text) (\($0.1.word))" }.joined(separator: ", ")
  }

  private mutating func settle() {
    latchedLevel = Self.highest(latched)
    level = max(latchedLevel, Self.highest(passing))
  }

  private static func highest(_ word: UInt64) -> StopLevel {
    var rest = word
    var highest: UInt64 = 0
    while rest != 0 {
      highest = max(highest, rest & 15)
      rest >>= 4
    }
    return StopLevel(rawValue: UInt32(truncatingIfNeeded: highest)) ?? .disconnect
  }

  private static func get(_ word: UInt64, _ cause: HaltCause) -> StopLevel {
    StopLevel(rawValue: UInt32(truncatingIfNeeded: word >> (4 * UInt64(cause.rawValue)) & 15)) ?? .disconnect
  }

  private static func set(_ word: UInt64, _ cause: HaltCause, _ level: StopLevel) -> UInt64 {
    let shift = 4 * UInt64(cause.rawValue)
    return word & ~(15 << shift) | UInt64(level.rawValue) << shift
  }
}

extension StopLevel: @retroactive Comparable {
  @inlinable public static func < (left: Self, right: Self) -> Bool { left.rawValue < right.rawValue }
}
