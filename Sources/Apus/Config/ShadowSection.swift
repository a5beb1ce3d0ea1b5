/// How orders trade in a shadow run (`EngineMode.shadow`): against the live market, by the fill model of a backtest.
public struct ShadowSection: Codable, Equatable, Sendable {
  /// How quotes move up in the queues of their prices.
  public var queueModel: QueueModel
  /// One way through the network for orders and their answers, milliseconds, at most 3 decimals.
  public var orderLatencyMs: DecimalE8
  /// The venue's fees, basis points, at most 2 decimals; below 0 a rebate.
  public var makerFeeBps: DecimalE8
  public var takerFeeBps: DecimalE8

  enum CodingKeys: String, CodingKey, CaseIterable {
    case queueModel = "queue_model"
    case orderLatencyMs = "order_latency_ms"
    case makerFeeBps = "maker_fee_bps"
    case takerFeeBps = "taker_fee_bps"
  }

  /// The defaults are those of `apus backtest`.
  public init(
    queueModel: QueueModel = .riskAverse, orderLatencyMs: DecimalE8 = DecimalE8(e8: 50_000_000),
    makerFeeBps: DecimalE8 = .one, takerFeeBps: DecimalE8 = DecimalE8(e8: 500_000_000)
  ) {
    self.queueModel = queueModel
    self.orderLatencyMs = orderLatencyMs
    self.makerFeeBps = makerFeeBps
    self.takerFeeBps = takerFeeBps
  }

  /// One way, nanoseconds.
  public var orderLatency: Nanoseconds { orderLatencyMs.e8 / 100 }
  /// In units of 10⁻⁶ of a trade's value.
  public var makerFeeE6: Int64 { makerFeeBps.e8 / 1_000_000 }
  public var takerFeeE6: Int64 { takerFeeBps.e8 / 1_000_000 }
}

extension ShadowSection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.queueModel, \.queueModel, .queueModel, .defaulted,
      "How quotes move up in their queues: risk-averse by trades alone, log and power:N also with a chance for what is "
        + "cancelled; see apus backtest."),
    .init(
      CodingKeys.orderLatencyMs, \.orderLatencyMs, .decimal(.zero...decimal(1000), decimals: 3), .defaulted, unit: "ms",
      "One way through the network for orders and their answers. Market data has had its own way already."),
    .init(
      CodingKeys.makerFeeBps, \.makerFeeBps, .decimal(decimal(-100)...decimal(100), decimals: 2), .defaulted, unit: "bps",
      "The venue's fee for makers; below 0 a rebate."),
    .init(
      CodingKeys.takerFeeBps, \.takerFeeBps, .decimal(decimal(-100)...decimal(100), decimals: 2), .defaulted, unit: "bps",
      "The venue's fee for takers."),
  ]
}

extension ConfigurationRule where Value == QueueModel {
  static var queueModel: Self {
    Self(
      type: "word", range: "risk-averse, log, power:N", allowed: "risk-averse, log, or power:N with N above 0, at most 10",
      parse: { text in
        if let model = QueueModel(text: text) { return .success(model) }
        let words = ["risk-averse", "log", "power:2"]
        if let word = Spelling.closest(to: text, among: words) { return .failure(.init("did you mean \(word)?")) }
        return .failure(.init("write risk-averse if in doubt"))
      },
      write: { $0.text })
  }
}
