import CSupport

/// How well quoting at one venue goes, from what its lane shows: the one place in which these ratios are made, for `apus top`,
/// Prometheus and whoever embeds the engine.
///
/// What has no denominator yet is `nil`. All since the engine's start.
public struct VenuePerformance: Codable, Equatable, Sendable {
  public struct Markout: Codable, Equatable, Sendable {
    /// Seconds after the execution.
    public var horizon: Int
    /// Of what was traded; below 0 the market went against us.
    public var basisPoints: Double?
    /// In the quote currency, and what was traded.
    public var value: Double
    public var traded: Double
  }

  /// Requests about orders: inserts, amends, cancels and mass quotes.
  public var requests: UInt64 = 0
  /// Of these, the share that the venue rejected, 0 ... 1.
  public var rejectRatio: Double?
  /// Of the orders that the venue accepted, the share of which something was executed, 0 ... 1.
  public var fillRatio: Double?
  /// What an execution costs in requests.
  public var requestsPerFill: Double?
  /// The same by value: requests for a million of the quote currency traded.
  public var requestsPerMillion: Double?
  /// Of what was traded; negative: the venue paid us.
  public var feeBps: Double?
  /// Share of the time with both sides quoted, over all instruments, 0 ... 1.
  public var quotedShare: Double?
  /// Orders that took, as the manager asked.
  public var hedges: UInt64 = 0
  public var markouts: [Markout] = []

  /// Of a lane that has done nothing.
  public init() {}

  public init(_ lane: LaneSnapshot) {
    func ratio(_ part: Double, _ whole: Double) -> Double? { whole > 0 ? part / whole : nil }
    func money(_ sum: Int128) -> Double { Double(sum) / 1e8 }
    requests = [.inserts, .amends, .cancels, .massQuotes].reduce(0) { $0 &+ lane[$1 as TelemetryCounter] }
    rejectRatio = ratio(Double(lane[.rejects]), Double(requests))
    fillRatio = ratio(Double(lane[.ordersFilled]), Double(lane[.ordersAccepted]))
    requestsPerFill = ratio(Double(requests), Double(lane[.fills]))
    let traded = money(lane.instruments.reduce(0) { $0 + Int128($1.tradedE8) })
    requestsPerMillion = ratio(Double(requests) * 1e6, traded)
    feeBps = ratio(money(lane.instruments.reduce(0) { $0 + Int128($1.feesE8) }) * 1e4, traded)
    quotedShare = ratio(
      lane.instruments.reduce(0) { $0 + Double($1.quoted) }, lane.instruments.reduce(0) { $0 + Double($1.observed) })
    hedges = lane[.hedges]
    markouts = Markouts.horizons.enumerated().map { place, horizon in
      let sums = lane.instruments.compactMap { $0.markouts.indices.contains(place) ? $0.markouts[place] : nil }
      let (value, traded) = (
        sums.reduce(Int128(0)) { $0 + Int128($1.valueE8) }, sums.reduce(Int128(0)) { $0 + Int128($1.tradedE8) }
      )
      return Markout(
        horizon: Int(horizon / 1_000_000_000), basisPoints: ratio(money(value) * 1e4, money(traded)), value: money(value),
        traded: money(traded))
    }
  }
}
