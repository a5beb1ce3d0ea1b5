import CSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// The adapters that have to pass. A new one is a case here, and nothing else in this suite.
enum VenueUnderTest: String, CaseIterable, CustomTestStringConvertible {
  case thalex, deribit, deribitLinear, bybit
  /// Quoted with mass quotes.
  case thalexQuotes, deribitQuotes, deribitLinearQuotes

  var testDescription: String { rawValue }

  /// The instrument that is quoted.
  var instrument: String {
    switch self {
    case .thalex, .thalexQuotes, .deribit, .deribitQuotes: "BTC-PERPETUAL"
    case .deribitLinear, .deribitLinearQuotes: "BTC_USDC-PERPETUAL"
    case .bybit: "BTCUSDT"
    }
  }

  /// Whether the end of a connection takes what rests with it.
  var cancelsAtDisconnect: Bool { self != .bybit }

  var usesMassQuotes: Bool { self == .thalexQuotes || self == .deribitQuotes || self == .deribitLinearQuotes }

  private var kind: VenueKind {
    switch self {
    case .thalex, .thalexQuotes: .thalex
    case .deribit, .deribitLinear, .deribitQuotes, .deribitLinearQuotes: .deribit
    case .bybit: .bybit
    }
  }

  /// Its grid and contract, as the simulated venue lists it.
  var contract: ContractValue {
    switch self {
    case .thalex, .thalexQuotes: ContractValue(.linear, VenueConfiguration().instruments[0].grid)
    case .deribit, .deribitQuotes: ContractValue(.inverse, DeribitInstrument.btcPerpetual.spec.grid)
    case .deribitLinear, .deribitLinearQuotes: ContractValue(.linear, DeribitInstrument.btcLinear.spec.grid)
    case .bybit: ContractValue(.linear, BybitInstrument.btc.spec.grid)
    }
  }

  /// One level's size: about 0.02 BTC at each venue.
  private var ladder: LadderParameters {
    let lots: Int64 =
      switch self {
      case .thalex, .thalexQuotes: 20
      case .deribit, .deribitQuotes: 170
      case .deribitLinear, .deribitLinearQuotes: 200
      case .bybit: 20
      }
    return LadderParameters(
      levels: usesMassQuotes ? min(2, kind.massQuoteLevels) : 2, halfSpreadCentiBps: 20, stepTicks: 2, size: QtyLots(rawValue: lots),
      // Beyond the half spread the other side stands at the touch, and what is posted there often has to go at once.
      skewCentiBps: self == .bybit ? 20 : 100)
  }

  /// The largest position, in lots.
  var limit: Int64 { 25 * ladder.size.rawValue }

  private var lotE8: Int64 {
    switch self {
    case .thalex, .thalexQuotes: VenueConfiguration().instruments[0].grid.lotE8
    case .deribit, .deribitQuotes: DeribitInstrument.btcPerpetual.spec.grid.lotE8
    case .deribitLinear, .deribitLinearQuotes: DeribitInstrument.btcLinear.spec.grid.lotE8
    case .bybit: BybitInstrument.btc.spec.grid.lotE8
    }
  }

  func settings(label: String = "apus-test-1") -> LaneSettings {
    var settings = LaneSettings()
    settings.venue = kind
    settings.labelPrefix = "apus-test-"
    settings.label = label
    if self == .bybit { settings.path = "/v5" }
    settings.instruments = [
      InstrumentSettings(
        name: instrument, maximumPosition: DecimalE8(e8: limit * lotE8), maximumOrder: DecimalE8(e8: limit * lotE8),
        maximumNotional: DecimalE8(e8: 100_000_000_000_000_000), collarCentiBps: 20_000, maximumOrders: 20,
        priceToleranceTicks: 1, keepSizePermille: 500, bookDepth: 10, staleAfter: 5_000_000_000)
    ]
    settings.instruments[0].usesMassQuotes = usesMassQuotes
    return settings
  }

  func world(seed: UInt64 = 1, settings: LaneSettings? = nil) throws -> ConformanceWorld {
    let settings = settings ?? self.settings()
    switch self {
    case .thalex, .thalexQuotes:
      let clock = World<ThalexAdapter>.Clock()
      var configuration = VenueConfiguration()
      configuration.seed = seed
      let base = configuration.wallClockBase
      let tokens = Tokens()
      return try World<ThalexAdapter>(
        settings: settings, venue: try SimulatedVenue(configuration, flow: SyntheticFlow(seed: seed)),
        seed: seed, clock: clock, wallClockBase: base, makeToken: { tokens.next(base + clock.now) }, ladder: ladder
      ) { text in
        if text.contains("\"channel_name\":\"session.") || text.contains("\"channel_name\":\"account.") {
          return .privateFeed
        }
        if text.contains("\"channel_name\":\"book.") { return .book }
        return text.contains("\"channel_name\":\"ticker.") ? .ticker : .other
      }
    case .deribit, .deribitLinear, .deribitQuotes, .deribitLinearQuotes:
      let clock = World<DeribitAdapter>.Clock()
      var configuration = DeribitConfiguration()
      configuration.seed = seed
      configuration.numbers = .varied
      configuration.messageOrder = .random
      configuration.matchingRate = 30
      configuration.matchingBurst = 100
      configuration.clients = [DeribitClient(id: "client", secret: "secret", account: "client")]
      let base = configuration.wallClockBase
      let index = configuration.instruments.firstIndex { $0.spec.name == instrument } ?? 0
      let spec = configuration.instruments[index].spec
      let flow = SyntheticFlow(
        seed: seed,
        streams: [
          SyntheticFlow.Stream(
            instrument: FlowInstrument(index: index, grid: spec.grid), startE8: spec.initialIndexE8,
            levelLots: spec.premiumLots.rawValue / 2)
        ])
      var nonce = 0
      return try World<DeribitAdapter>(
        settings: settings, venue: try DeribitVenue(configuration, flow: flow), seed: seed,
        clock: clock, wallClockBase: base,
        makeToken: {
          nonce += 1
          return Array("secret".utf8).withUnsafeBytes {
            (try? DeribitCredentials.members(
              clientID: "client", secret: $0, milliseconds: (base + clock.now) / 1_000_000, nonce: "n\(nonce)")) ?? ""
          }
        }, ladder: ladder
      ) { text in
        if text.contains("\"channel\":\"user.") { return .privateFeed }
        if text.contains("\"channel\":\"book.") { return .book }
        return text.contains("\"channel\":\"ticker.") ? .ticker : .other
      }
    case .bybit: return try bybit(seed: seed, settings: settings)
    }
  }

  private func bybit(seed: UInt64, settings: LaneSettings) throws -> ConformanceWorld {
    let clock = World<BybitAdapter>.Clock()
    var configuration = BybitConfiguration()
    configuration.instruments = [.btc]
    configuration.seed = seed
    configuration.messageOrder = .random
    configuration.orderRate = 50
    configuration.clients = [BybitClient(key: "key", secret: "secret", account: "client")]
    let base = configuration.wallClockBase
    let venue = try SimulatedBybit(configuration, flow: configuration.syntheticFlow(seed: seed))
    let key = try BybitKey()
    return try World<BybitAdapter>(
      settings: settings, venue: venue, seed: seed, clock: clock, wallClockBase: base,
      makeToken: { BybitLogin.token(key.credentials, milliseconds: (base + clock.now) / 1_000_000) }, ladder: ladder,
      rest: { request, now in
        let lines = key.credentials.headers(of: request, milliseconds: (base + now) / 1_000_000)
        var headers: [String: String] = [:]
        for line in lines.split(separator: "\r\n") {
          let parts = line.split(separator: ": ", maxSplits: 1)
          headers[parts[0].lowercased()] = String(parts[1])
        }
        let target = request.target.split(separator: "?", maxSplits: 1)
        let answer = venue.rest(
          method: String(request.method), path: String(target[0]), query: target.count > 1 ? String(target[1]) : "",
          headers: headers, body: Array(request.body.utf8), now: now)
        let role: ConformanceWorld.Role =
          switch target[0] {
          case "/v5/order/realtime": .ordersReply
          case "/v5/execution/list": .tradesReply
          case "/v5/position/list": .positionsReply
          default: .sessionReply
          }
        return (role, answer.status, answer.body)
      }
    ) { text in
      if text.contains("\"topic\":\"orderbook.") { return .book }
      if text.contains("\"topic\":\"tickers.") { return .ticker }
      let isPrivate = ["order", "execution", "position"].contains { text.contains("\"topic\":\"\($0)") }
      return isPrivate && !text.contains("\"topic\":\"orderbook.") ? .privateFeed : .other
    }
  }

  private final class BybitKey {
    let credentials: BybitCredentials
    init() throws {
      guard let made = BybitCredentials(key: "key", secret: Array("secret".utf8)) else { throw BybitKeyError() }
      credentials = made
    }
  }
  private struct BybitKeyError: Error {}

  /// Unsigned tokens with a rising time; the venue here checks no signature.
  private final class Tokens {
    private var last: Nanoseconds = 0
    func next(_ time: Nanoseconds) -> String {
      last = max(last + 1_000_000, time)
      let header = Base64URL.encode(Array(#"{"alg":"RS512","kid":"K1","typ":"JWT"}"#.utf8))
      let payload = Base64URL.encode(Array("{\"iat\":\(Double(last) / 1e9)}".utf8))
      return "\(header).\(payload).\(Base64URL.encode([1, 2, 3]))"
    }
  }
}
