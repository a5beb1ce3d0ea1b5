/// What a run amounted to, for people, for comparison with the venue's books, and as JSON.
public struct EngineReport: Codable, Sendable, Equatable {
  /// Latency in nanoseconds.
  public struct Latency: Codable, Sendable, Equatable {
    public var count: Int
    public var p50: Int64
    public var p99: Int64
    public var p999: Int64
    public var max: Int64
  }

  public struct Instrument: Codable, Sendable, Equatable {
    public var name: String
    /// Size of a tick and of a lot, 10⁻⁸ of the quote currency and of a contract.
    public var tickE8: Int64
    public var lotE8: Int64
    /// `nil`: the venue never stated it.
    public var positionLots: Int64?
    public var fills: Int
    public var boughtLots: Int64
    public var soldLots: Int64
    public var feesE8: MoneyE8
    public var fillsWithoutFee: Int
    public var profitE8: MoneyE8
    public var ordersAccepted: Int
    public var liveOrders: Int
    /// The share of the time since the first two-sided quote in which both sides rested, 0 ... 1.
    public var quotedShare: Double
    public var observedSeconds: Double
    public var limitLots: Int64
    public var peakPositionLots: Int64
    public var peakExposureLots: Int64
    public var positionAdjustments: Int
  }

  /// What the manager counts of an underlying over all venues.
  public struct Underlying: Codable, Sendable, Equatable {
    public var name: String
    /// 10⁻⁸ coins; `nil` while a venue has not stated its part.
    public var positionE8: Int64?
  }

  /// One execution as the journal has it.
  public struct Trade: Codable, Sendable, Equatable {
    public var tradeID: String
    public var orderID: String
    public var instrument: String
    public var isBuy: Bool
    public var priceTicks: Int64
    public var lots: Int64
    public var feeE8: MoneyE8?
    public var isMaker: Bool

    // Spelled so that a change to snake case and back returns to them.
    enum CodingKeys: String, CodingKey {
      case tradeID = "tradeId"
      case orderID = "orderId"
      case instrument, isBuy, priceTicks, lots, feeE8, isMaker
    }
  }

  /// One thing that both the engine and the books of the venue that stands in state.
  public struct BooksItem: Codable, Sendable, Equatable {
    public var name: String
    public var engine: String
    public var venue: String

    public init(name: String, engine: String, venue: String) {
      self.name = name
      self.engine = engine
      self.venue = venue
    }
  }

  public var name: String
  /// `nil` in reports of before there were modes.
  public var mode: EngineMode?
  /// As in `run.json`: of the configuration with all defaults written out.
  public var configurationSha256: String?
  /// Of the program's file; by `apus run`, which knows that the program is Apus itself.
  public var programSha256: String?
  public var seconds: Double
  /// The venue has confirmed that none of our orders is left.
  public var isStopVerified: Bool
  public var ordersLeft: Int
  public var unknownOrders: Int
  public var instruments: [Instrument]
  public var inserts: Int
  public var amends: Int
  public var cancels: Int
  /// Each of them of whatever many instruments.
  public var massQuotes: Int
  public var messagesSent: Int
  public var messagesPerMinute: Double
  /// Requests that the venue refused because the rate was exceeded.
  public var rateViolations: Int
  public var rejects: Int
  /// Requests refused because their order had been executed or had ended meanwhile; not in `rejects`.
  public var refusedLate: Int
  public var edgeRefusals: Int
  public var gaps: Int
  public var reconnects: Int
  /// Moves to a connection that was made before the venue closed the last one, as it had announced.
  public var moves: Int
  /// Times that the position or the worst case passed its limit.
  public var limitBreaches: Int
  public var budgetWaits: Int
  /// From a received tick to its order handed to the kernel.
  public var tickToOrder: Latency
  /// The engine's own part of it: to the order's frame, before TLS and the kernel.
  public var tickToFrame: Latency
  /// Why the run ended early, if it did.
  public var failure: String?
  /// Boot epochs of the runs whose account this is, oldest first: those that were killed and continued, and this one.
  public var runs: [UInt64] = []
  /// Executions by the journal, of all these runs; empty without one.
  public var trades: [Trade]
  /// What was wrong with the journal, if anything.
  public var journalProblem: String?
  /// Records that could not be written.
  public var journalRecordsLost = 0
  /// With several venues: the run of each, under its name. Instruments are then called `venue:instrument`, counts above
  /// are sums over the venues, and latencies those of the venue with the worst 99th percentile.
  public var lanes: [EngineReport] = []
  /// Those that the configuration has under `underlyings`.
  public var underlyings: [Underlying] = []
  /// Of a shadow run: whether the account of the engine and the books of the venue that stood in are equal, and what in
  /// them is not.
  public var booksEqual: Bool?
  public var booksDiffer: [BooksItem]?
}

extension EngineReport {
  /// The whole of the runs of all lanes; of one lane, that lane's own.
  ///
  /// - Parameter names: of the venues.
  init(_ name: String, _ lanes: [EngineReport], names: [String]) {
    guard lanes.count > 1 else {
      self = lanes[0]
      return
    }
    func sum(_ path: KeyPath<EngineReport, Int>) -> Int { lanes.reduce(0) { $0 + $1[keyPath: path] } }
    func worst(_ path: KeyPath<EngineReport, Latency>) -> Latency {
      lanes.map { $0[keyPath: path] }.max { $0.p99 < $1.p99 } ?? lanes[0][keyPath: path]
    }
    let seconds = lanes[0].seconds
    let messages = sum(\.messagesSent)
    self.init(
      name: name, seconds: seconds, isStopVerified: lanes.allSatisfy(\.isStopVerified), ordersLeft: sum(\.ordersLeft),
      unknownOrders: sum(\.unknownOrders), instruments: lanes.flatMap(\.instruments), inserts: sum(\.inserts),
      amends: sum(\.amends), cancels: sum(\.cancels), massQuotes: sum(\.massQuotes), messagesSent: messages,
      messagesPerMinute: seconds > 0 ? Double(messages) / seconds * 60 : 0, rateViolations: sum(\.rateViolations),
      rejects: sum(\.rejects), refusedLate: sum(\.refusedLate), edgeRefusals: sum(\.edgeRefusals), gaps: sum(\.gaps), reconnects: sum(\.reconnects),
      moves: sum(\.moves), limitBreaches: sum(\.limitBreaches), budgetWaits: sum(\.budgetWaits),
      tickToOrder: worst(\.tickToOrder), tickToFrame: worst(\.tickToFrame),
      failure: lanes.compactMap(\.failure).first, trades: lanes.flatMap(\.trades),
      journalProblem: lanes.compactMap(\.journalProblem).first)
    journalRecordsLost = sum(\.journalRecordsLost)
    runs = lanes[0].runs
    self.lanes = lanes.enumerated().map { index, lane in
      var lane = lane
      lane.name = names[index]
      return lane
    }
  }
}
