public import Apus
public import CSupport

/// The engines of a rollout.
public enum RolloutRole: String, Codable, CaseIterable, Sendable {
  case candidate, incumbent
}

/// What part of each instrument an engine has, 0 ... 1, by the instrument's name; with several venues `venue:name`.
public typealias ShareTable = [String: DecimalE8]

/// What is seen of one engine at one moment.
public struct EngineSight: Equatable, Sendable {
  public struct Lane: Equatable, Sendable {
    public var name: String
    /// The session is ready.
    public var isQuoting: Bool
    /// The highest level that only a person takes back.
    public var latched: StopLevel
    /// Of the stop word, as the lane has last read it.
    public var obeyed: StopLevel
    public var outcome: HaltOutcome
    public var ordersLeft: Int
    /// Of the halt.
    public var cause: String
    /// What it does, or why it does not quote.
    public var status: String
  }

  public struct Instrument: Equatable, Sendable {
    public var name: String
    /// Lots; `nil`: handed over, or not known.
    public var position: Int64?
    /// Position, long and as a short of this size, if everything that may still trade does.
    public var worstLong: Int64
    public var worstShort: Int64
    public var limit: Int64

    public var worst: Int64 { max(worstLong, worstShort, 0) }
    /// Nothing rests, is in flight or is held.
    public var isEmpty: Bool { worstLong == 0 && worstShort == 0 && (position ?? 0) == 0 }
  }

  /// The process lives.
  public var isRunning = false
  /// How it ended, as far as that is known.
  public var ending: String?
  /// `nil`: it runs, or its end was not seen.
  public var exitCode: Int32?
  /// Its telemetry file is there and written.
  public var isShown = false
  public var processID: Int64 = 0
  /// Names its life.
  public var bootEpoch: UInt64 = 0
  public var heartbeatAge: Nanoseconds = 0
  /// Of the stop word, if there is one: who and why.
  public var stopCause = ""
  public var lanes: [Lane] = []
  public var instruments: [Instrument] = []
  /// By which it quotes for certain; `nil`: not known.
  public var shares: ShareTable?
  /// Somebody else has started it anew, with everything.
  public var wasRestarted = false
  /// A request for other shares is under way.
  public var isApplying = false
  /// Why the last one was refused.
  public var problem: String?
  /// What somebody has changed since the rollout began, and the first hand-over would undo.
  public var changed: String?
  /// Quote currency, after fees, since the engine's start.
  public var profit = 0.0
  public var fills = 0
  public var rejectsInSecond = 0
  public var unknownOrders = 0
  public var memoryBytes = 0
  /// For how long a position has been at its limit, or within a twentieth of it: the longest.
  public var timeAtLimit: Nanoseconds = 0
  /// The most urgent alert that the plan asks for.
  public var alert: String?
  /// What the venue has said about its orders, asked from outside: how many are left; `nil`: not asked, or no answer.
  public var ordersAtVenue: Int?
  public var isSweeping = false

  public init() {}

  /// Everything that has a session quotes.
  public var isQuoting: Bool { isShown && !lanes.isEmpty && lanes.allSatisfy(\.isQuoting) }

  /// It quotes by these shares, and knows its position of each instrument that it has a part of.
  public func hasTaken(_ table: ShareTable) -> Bool {
    shares == table && isQuoting && instruments.allSatisfy { $0.position != nil || table[$0.name] == .zero }
  }

  /// Whether the kill ladder names the stop word and nothing else: `apus halt (flatten)`.
  static func isStopWordAlone(_ cause: String) -> Bool {
    cause.hasPrefix("\(HaltCause.otherProcess.text) (") && !cause.contains(",")
  }

  /// Each lane has read the stop word: it sends nothing any more that would add to a position.
  public func hasObeyed(_ level: StopLevel) -> Bool { isShown && !lanes.isEmpty && lanes.allSatisfy { $0.obeyed >= level } }

  /// Each lane has obeyed the stop word and the venue confirms that nothing rests.
  public func isHalted(at level: StopLevel) -> Bool {
    hasObeyed(level)
      && lanes.allSatisfy { lane in
        level >= .flatten ? lane.outcome == .flat : [.verified, .closing, .flat].contains(lane.outcome)
      }
  }
}

/// A look at everything that decides what comes next.
public struct RolloutSight: Sendable {
  /// CLOCK_MONOTONIC.
  public var now: Nanoseconds
  /// Nanoseconds since 1970 UTC.
  public var wall: Int64
  public var candidate: EngineSight
  public var incumbent: EngineSight
  /// What both did in the slice that has just ended; in the shadow of the two shadows.
  public var slice: (candidate: SliceFigures, incumbent: SliceFigures)?
  public var staging: StagingSight = .idle
  public var requests: [RolloutRequest] = []
  /// What `current` leads to.
  public var currentRelease: String?

  public init(now: Nanoseconds, wall: Int64, candidate: EngineSight, incumbent: EngineSight) {
    self.now = now
    self.wall = wall
    self.candidate = candidate
    self.incumbent = incumbent
  }
}

public enum StagingSight: Equatable, Sendable {
  case idle, running
  /// What was done, a line each.
  case passed([String])
  case failed([String], String)
}

/// What a person asks for.
public struct RolloutRequest: Codable, Equatable, Sendable {
  public enum Kind: String, Codable, CaseIterable, Sendable { case pause, resume, promote, abort }
  public var kind: Kind
  public var user: String
  public var why: String?
  /// What it was meant for: the rollout, and how far that was.
  public var rollout: String?
  public var stage: String?

  public init(kind: Kind, user: String, why: String? = nil) {
    self.kind = kind
    self.user = user
    self.why = why
  }
}

/// What the supervisor is to do.
public enum RolloutCommand: Equatable, Sendable {
  case stage
  /// An engine that trades, with these shares.
  case start(RolloutRole, ShareTable)
  /// The shadows of both releases; and their end.
  case startShadows, stopShadows, killShadows
  case apply(RolloutRole, ShareTable)
  case halt(RolloutRole, StopLevel, String)
  /// An engine that is gone has left positions on an account of its own: the other release's program closes them there.
  case close(RolloutRole, String)
  case rearm(RolloutRole)
  case terminate(RolloutRole)
  case kill(RolloutRole)
  /// Ask the venue what rests of an engine that is gone, and cancel it.
  case sweep(RolloutRole)
  /// Make the candidate the current release.
  case use
  case tell(AlertSeverity, String)
}
