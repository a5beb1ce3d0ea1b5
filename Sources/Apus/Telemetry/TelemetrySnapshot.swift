public import CSupport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// What an engine showed of itself, copied out of its telemetry file.
///
/// Times are CLOCK_MONOTONIC unless their name says "wall"; ``monotonicNow`` is the clock to compare with.
public struct TelemetrySnapshot: Equatable, Sendable {
  public var name: String
  /// `nil`: the file does not say.
  public var mode: EngineMode?
  public var processID: Int64
  public var bootEpoch: UInt64
  /// Nanoseconds since 1970 UTC.
  public var startWallTime: Nanoseconds
  public var start: Nanoseconds
  /// The engine's own sign of life; lanes have theirs.
  public var heartbeat: Nanoseconds
  public var stop: StopRequest
  public var lanes: [LaneSnapshot]

  public init(
    name: String, mode: EngineMode? = nil, processID: Int64, bootEpoch: UInt64, startWallTime: Nanoseconds,
    start: Nanoseconds,
    heartbeat: Nanoseconds, stop: StopRequest, lanes: [LaneSnapshot]
  ) {
    self.name = name
    self.mode = mode
    self.processID = processID
    self.bootEpoch = bootEpoch
    self.startWallTime = startWallTime
    self.start = start
    self.heartbeat = heartbeat
    self.stop = stop
    self.lanes = lanes
  }

  /// The oldest sign of life of anything that should give one: the engine, and each lane not stopped.
  public var oldestHeartbeat: Nanoseconds {
    lanes.filter { $0.state != .stopped }.reduce(heartbeat) { min($0, $1.heartbeat) }
  }

  /// The clock of this file, now.
  public static var monotonicNow: Nanoseconds {
    var time = timespec()
    unsafe clock_gettime(CLOCK_MONOTONIC, &time)
    return Nanoseconds(time.tv_sec) * 1_000_000_000 + Nanoseconds(time.tv_nsec)
  }
}

/// What is asked of an engine from outside.
public struct StopRequest: Equatable, Sendable {
  public var level: StopLevel
  public var cause: String
  /// Requests ever made, taken back or not.
  public var requestCount: UInt64
  /// Nanoseconds since 1970 UTC; 0 if there was none.
  public var requestedWallTime: Nanoseconds
  public var requesterProcessID: Int64
  /// Re-armings ever made by hand.
  public var rearmCount: UInt32

  public init(
    level: StopLevel, cause: String, requestCount: UInt64, requestedWallTime: Nanoseconds, requesterProcessID: Int64,
    rearmCount: UInt32 = 0
  ) {
    self.level = level
    self.cause = cause
    self.requestCount = requestCount
    self.requestedWallTime = requestedWallTime
    self.requesterProcessID = requesterProcessID
    self.rearmCount = rearmCount
  }

  init(_ view: apus_telemetry_stop_view) {
    var view = view
    self.init(
      level: StopLevel(rawValue: min(view.level, StopLevel.disconnect.rawValue)) ?? .disconnect,
      cause: text(of: &view.cause), requestCount: view.request_count, requestedWallTime: view.requested_wall_ns,
      requesterProcessID: view.requester_process_id, rearmCount: view.rearm_count)
  }
}

public struct LaneSnapshot: Equatable, Sendable {
  /// Its place in the file, 0 ..< 8.
  public var index: Int
  public var name: String
  public var heartbeat: Nanoseconds
  /// `nil` if it could not be read whole, or is of a later writer.
  public var state: LaneState?
  public var stateSince: Nanoseconds
  public var cause: String
  public var counters: [CounterSnapshot]
  /// Those that could be read whole.
  public var instruments: [InstrumentSnapshot]
  /// What the lane says about a halt; `nil` if it has not said anything, as engines before 0.2 do not.
  public var halt: HaltSnapshot?
  public var watchdog: WatchdogSnapshot?
  /// The last ones, oldest first.
  public var events: [EventSnapshot]
  /// Events ever.
  public var eventCount: UInt64

  public init(
    index: Int, name: String, heartbeat: Nanoseconds, state: LaneState?, stateSince: Nanoseconds, cause: String,
    counters: [CounterSnapshot], instruments: [InstrumentSnapshot], halt: HaltSnapshot? = nil,
    watchdog: WatchdogSnapshot? = nil, events: [EventSnapshot] = [], eventCount: UInt64 = 0
  ) {
    self.index = index
    self.name = name
    self.heartbeat = heartbeat
    self.state = state
    self.stateSince = stateSince
    self.cause = cause
    self.counters = counters
    self.instruments = instruments
    self.halt = halt
    self.watchdog = watchdog
    self.events = events
    self.eventCount = eventCount
  }

  /// The value of a counter that this program knows; 0 in a file that lacks it.
  public subscript(_ counter: TelemetryCounter) -> UInt64 {
    let index = Int(counter.rawValue)
    return counters.indices.contains(index) ? counters[index].value : 0
  }
}

/// Something that went wrong, or a turn of state, as people read it.
public struct EventSnapshot: Equatable, Sendable {
  /// CLOCK_MONOTONIC.
  public var at: Nanoseconds
  public var text: String
}

public struct CounterSnapshot: Equatable, Sendable {
  /// As in the file, such as `frames_in`.
  public var name: String
  /// Whether it may fall; otherwise it only rises.
  public var isLevel: Bool
  public var help: String?
  public var value: UInt64

  public init(name: String, isLevel: Bool, help: String?, value: UInt64) {
    self.name = name
    self.isLevel = isLevel
    self.help = help
    self.value = value
  }
}

/// One side of a market: a price in ticks and a quantity in lots.
public struct ShownQuote: Equatable, Sendable {
  public var price: PriceTicks
  public var quantity: QtyLots

  public init(price: PriceTicks, quantity: QtyLots) {
    self.price = price
    self.quantity = quantity
  }

  init?(_ price: PriceTicks, _ quantity: QtyLots) {
    guard quantity > .zero else { return nil }
    self.init(price: price, quantity: quantity)
  }
}

public struct InstrumentSnapshot: Equatable, Sendable {
  public var index: Int
  public var name: String
  /// In 10⁻⁸ of the quote currency.
  public var tickE8: Int64
  /// In 10⁻⁸ contracts.
  public var lotE8: Int64
  /// Best of the market without our own orders; `nil` if that side is empty.
  public var bid: ShownQuote?
  public var ask: ShownQuote?
  /// `nil` if it is not known.
  public var markE8: MoneyE8?
  public var ownBid: ShownQuote?
  public var ownAsk: ShownQuote?
  public var ownBidLevels: Int
  public var ownAskLevels: Int
  /// `nil` if it is not known, which is not zero (R22).
  public var position: QtyLots?
  /// Realised and unrealised, fees not deducted.
  public var pnlE8: MoneyE8
  public var feesE8: MoneyE8
  public var fills: UInt64
  /// Time with both sides live, out of `observed`.
  public var quoted: Nanoseconds
  public var observed: Nanoseconds
  /// What closing the position would begin with; `nil` if there is nothing to close, or too little is known.
  public var plan: FlattenSnapshot?
  /// The position, long and as a short of this size, if all that may still trade does.
  public var worstLong: QtyLots
  public var worstShort: QtyLots
  /// Of that, what is not proven: requests without an answer and orders of unknown state.
  public var unprovenBuys: QtyLots
  public var unprovenSells: QtyLots
  /// Of position and exposure; 0 before the instrument is listed.
  public var limit: QtyLots
  public var bought: QtyLots
  public var sold: QtyLots
  /// Value of all executions, 10⁻⁸ of the quote currency.
  public var tradedE8: MoneyE8
  /// Since when our best has its price, CLOCK_MONOTONIC; `nil` if there is none.
  public var ownBidSince: Nanoseconds?
  public var ownAskSince: Nanoseconds?
  /// When the last ticker came; `nil`: never.
  public var marketAt: Nanoseconds?
  /// Times that the venue's position was taken over because it differed.
  public var adjustments: UInt64
  /// Why it is not quoted; empty if it is.
  public var block: String
  /// By horizon, in the order of ``Markouts/horizons``.
  public var markouts: [MarkoutSum]

  init(_ raw: inout InstrumentTelemetry, index: Int) {
    self.index = index
    name = text(of: &raw.name)
    tickE8 = raw.tick_e8
    lotE8 = raw.lot_e8
    bid = ShownQuote(raw.bid_ticks, raw.bid_lots)
    ask = ShownQuote(raw.ask_ticks, raw.ask_lots)
    markE8 = raw.mark_e8 == 0 ? nil : raw.mark_e8
    ownBid = ShownQuote(raw.own_bid_ticks, raw.own_bid_lots)
    ownAsk = ShownQuote(raw.own_ask_ticks, raw.own_ask_lots)
    ownBidLevels = Int(raw.own_bid_level_count)
    ownAskLevels = Int(raw.own_ask_level_count)
    position = raw.flags & UInt64(APUS_TELEMETRY_POSITION_KNOWN) != 0 ? raw.position_lots : nil
    pnlE8 = raw.pnl_e8
    feesE8 = raw.fees_e8
    fills = raw.fill_count
    quoted = raw.quoted_ns
    observed = raw.observed_ns
    worstLong = raw.worst_long_lots
    worstShort = raw.worst_short_lots
    unprovenBuys = raw.unproven_buy_lots
    unprovenSells = raw.unproven_sell_lots
    limit = raw.limit_lots
    bought = raw.bought_lots
    sold = raw.sold_lots
    tradedE8 = raw.traded_e8
    ownBidSince = raw.own_bid_since_ns == 0 ? nil : raw.own_bid_since_ns
    ownAskSince = raw.own_ask_since_ns == 0 ? nil : raw.own_ask_since_ns
    marketAt = raw.market_ns == 0 ? nil : raw.market_ns
    adjustments = raw.adjustment_count
    block = text(of: &raw.block)
    markouts = [
      MarkoutSum(valueE8: raw.markout_e8.0, tradedE8: raw.marked_e8.0),
      MarkoutSum(valueE8: raw.markout_e8.1, tradedE8: raw.marked_e8.1),
      MarkoutSum(valueE8: raw.markout_e8.2, tradedE8: raw.marked_e8.2),
    ]
    if raw.plan_worst_ticks.rawValue != 0 {
      plan = FlattenSnapshot(
        lots: raw.plan_lots, depth: raw.plan_depth_lots, limit: raw.plan_limit_ticks, worst: raw.plan_worst_ticks)
    }
  }
}

/// What a lane answers to a halt; all of it is of one moment.
public struct HaltSnapshot: Equatable, Sendable {
  /// That rules, and the highest that only a person takes back.
  public var level: StopLevel
  public var latchedLevel: StopLevel
  public var outcome: HaltOutcome
  /// Orders of ours that may rest.
  public var ordersLeft: Int
  /// The causes with their levels, for people.
  public var cause: String
  /// Of the stop word, as the lane has last read it, and the re-armings that it has carried out.
  public var obeyedLevel: StopLevel
  public var rearmCount: UInt32
  /// CLOCK_MONOTONIC; `nil`: not since the halt.
  public var verifiedAt: Nanoseconds?
  public var answeredAt: Nanoseconds
  /// Our clock less the venue's, the shortest network delay included.
  public var clockOffset: Nanoseconds?

  init(_ raw: inout HaltAnswer) {
    level = StopLevel(rawValue: raw.level) ?? .disconnect
    latchedLevel = StopLevel(rawValue: raw.latched_level) ?? .disconnect
    outcome = HaltOutcome(rawValue: raw.outcome) ?? .working
    ordersLeft = Int(raw.orders_left)
    cause = text(of: &raw.cause)
    obeyedLevel = StopLevel(rawValue: raw.obeyed_level) ?? .disconnect
    rearmCount = raw.rearm_count
    verifiedAt = raw.verified_ns == 0 ? nil : raw.verified_ns
    answeredAt = raw.answered_ns
    clockOffset = raw.clock_offset_ns == .min ? nil : raw.clock_offset_ns
  }
}

/// What the watchdog of a lane has done.
public struct WatchdogSnapshot: Equatable, Sendable {
  public enum State: UInt32, Sendable {
    case off, connecting, watching, pulling
    /// Nothing of ours rests, by the venue's word.
    case pulled
  }
  public var state: State
  public var ordersLeft: Int
  public var trips: UInt64
  /// CLOCK_MONOTONIC, of the last time; `nil`: never, or not yet.
  public var trippedAt: Nanoseconds?
  public var flatAt: Nanoseconds?

  init(_ raw: WatchdogView) {
    state = State(rawValue: raw.state) ?? .off
    ordersLeft = Int(raw.orders_left)
    trips = raw.trip_count
    trippedAt = raw.tripped_ns == 0 ? nil : raw.tripped_ns
    flatAt = raw.flat_ns == 0 ? nil : raw.flat_ns
  }
}

/// What closing a position would begin with.
public struct FlattenSnapshot: Equatable, Sendable {
  /// Of the first order: positive buys, negative sells; 0: nothing is displayed within the worst price.
  public var lots: QtyLots
  /// Displayed within the worst price.
  public var depth: QtyLots
  public var limit: PriceTicks
  public var worst: PriceTicks
}
