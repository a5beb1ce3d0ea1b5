import Apus
import ApusExchange
import CSupport

/// From the bytes of a market-data frame to the masked bytes of an order, in memory, on each venue: a lane of its adapter
/// quotes at the simulated venue on virtual time, whose market walks in half ticks; what it received is recorded, and is then
/// fed to a lane that is made alike. Timed are the frames of the market that lead to one order, each alone, between two
/// readings of the clock.
let venueTickPieces: [Piece] = [
  piece("tick.venue.thalex") { try TickWorld.thalex() },
  piece("tick.venue.deribit") { try TickWorld.deribit() },
  piece("tick.venue.bybit") { try TickWorld.bybit() },
]

private func piece(_ key: String, _ make: @escaping @Sendable () throws -> TickWorld) -> Piece {
  Piece(key, .samples) { _ in Sampled(VenueTickOperation(script: try make().record())) }
}

private struct VenueTickOperation: SampledOperation, ~Copyable {
  let script: VenueTickScript

  mutating func run(into samples: inout [Nanoseconds]) throws {
    let probe = try script.makeProbe()
    samples.reserveCapacity(samples.count + script.timedSteps)
    var written = 0
    for step in script.steps {
      switch step.event {
      case .connect(let connection): try probe.connect(connection, now: step.now)
      case .tick: probe.tick(now: step.now)
      case .answer(let text): probe.receiveAnswer(text, now: step.now)
      case .frame(let bytes, let connection, let isTimed):
        bytes.withUnsafeBytes { bytes in
          let start = EngineClock.now()
          probe.receive(bytes, connection: connection, now: step.now)
          let end = EngineClock.now()
          if isTimed { samples.append(end - start) }
        }
      }
      for connection in probe.paths.indices { probe.takeOutput(connection) { written += $0.count } }
      while probe.takeQuestion() != nil {}
      guard written == step.written else {
        throw PieceError("the lane has written \(written) bytes where it had written \(step.written) when recorded")
      }
    }
  }
}

/// A market whose best bid and best ask move in turn, one tick each: the middle walks in half ticks, up and down.
private final class WalkingFlow: MarketFlow {
  private static let pause: Nanoseconds = 60_000_000
  private static let depth: Int64 = 10
  private let instrument: Int
  private let lots: Int64
  private let tickE8: Int64
  private var bid: Int64
  private var ask: Int64
  private var steps: Int64 = 0
  private(set) var nextTime: Nanoseconds? = 0

  init(_ spec: InstrumentSpec, index instrument: Int, lots: Int64) {
    self.instrument = instrument
    self.lots = lots
    tickE8 = spec.grid.tickE8
    let middle = spec.initialIndexE8 / tickE8
    bid = middle - 10
    ask = middle + 10
  }

  func next(into events: inout [FlowEvent]) {
    if steps == 0 {
      events.append(.index(instrument, e8: (bid + 10) * tickE8))
      for level in 0..<Self.depth {
        events += [.level(instrument, .buy, bid - level, lots), .level(instrument, .sell, ask + level, lots)]
      }
    } else {
      let isRising = (steps - 1) / 16 % 2 == 0
      // Rising, the bid goes first; falling, the ask.
      let side: Side = (steps % 2 == 1) == isRising ? .buy : .sell
      let old = side == .buy ? bid : ask
      let new = isRising ? old + 1 : old - 1
      let worst = side == .buy ? -(Self.depth - 1) : Self.depth - 1
      let isBetter = (side == .buy) == isRising
      events += [
        .level(instrument, side, isBetter ? new : old, isBetter ? lots : 0),
        .level(instrument, side, isBetter ? old + worst : new + worst, isBetter ? 0 : lots),
      ]
      if side == .buy { bid = new } else { ask = new }
    }
    steps += 1
    nextTime = steps * Self.pause
  }
}

/// What a lane received, and how much it had written after each of it.
private struct VenueTickScript {
  enum Event {
    case connect(Int)
    case tick
    case answer([UInt8])
    case frame([UInt8], connection: Int, isTimed: Bool)
  }
  struct Step {
    var event: Event
    var now: Nanoseconds
    var written: Int
  }

  var steps: [Step] = []
  var timedSteps = 0
  let makeProbe: () throws -> VenueProbe
}

/// A lane and a simulated venue, to record what is between them.
private final class TickWorld {
  private final class Link {
    let id: ConnectionID
    var server: WebSocketEndpoint

    init(_ id: ConnectionID, path: String) throws {
      self.id = id
      server = try WebSocketEndpoint(server: path)
    }
  }
  private enum Parcel {
    case toVenue([UInt8], Int)
    case toLane([UInt8], Int, isMarket: Bool)
    case answer([UInt8])
  }

  private static let latency: Nanoseconds = 200_000
  private static let warmSamples = 500
  private static let samples = 2500

  private let venue: any VenueSimulation
  private let path: String
  private let isMarket: (String) -> Bool
  private let rest: ((VenueProbe.Question, Nanoseconds) -> (status: Int, body: [UInt8]))?
  private var script: VenueTickScript
  private let probe: VenueProbe
  private var links: [Link?]
  private var parcels: [(at: Nanoseconds, parcel: Parcel)] = []
  private var now: Nanoseconds = 0
  private var written = 0
  /// What the lane's last step wrote on the main connection.
  private var requests: [UInt8] = []

  private init(
    _ settings: LaneSettings, _ ladder: LadderParameters, venue: any VenueSimulation, wallClock: Nanoseconds,
    makeToken: @escaping () -> String,
    rest: ((VenueProbe.Question, Nanoseconds) -> (status: Int, body: [UInt8]))? = nil,
    isMarket: @escaping (String) -> Bool
  ) throws {
    self.venue = venue
    path = settings.path
    self.isMarket = isMarket
    self.rest = rest
    script = VenueTickScript {
      try VenueProbe(settings: settings, ladder: ladder, makeToken: makeToken, wallClock: wallClock)
    }
    probe = try script.makeProbe()
    links = Array(repeating: nil, count: probe.paths.count)
  }

  func record() throws -> VenueTickScript {
    let end: Nanoseconds = 1_200_000_000_000
    while script.timedSteps < Self.samples {
      now = min(max(venue.nextWake, now + 1), min(parcels.first?.at ?? end, now + 1_000_000))
      guard now < end else { throw PieceError("too few ticks led to one order: \(probe.statusText)") }
      for connection in links.indices where links[connection] == nil { try connect(connection) }
      venue.advance(to: now)
      drainVenue()
      while let next = parcels.first, next.at <= now {
        parcels.removeFirst()
        deliver(next.parcel)
      }
      note(.tick) { probe.tick(now: now) }
    }
    return script
  }

  /// One step of the lane, and what it has written.
  private func note(_ event: VenueTickScript.Event, _ body: () throws -> Void) rethrows {
    try body()
    requests.removeAll()
    for connection in links.indices {
      probe.takeOutput(connection) { bytes in
        guard bytes.count > 0 else { return }
        written += bytes.count
        if connection == 0 { requests = Array(bytes) }
        parcels.append((now + Self.latency, .toVenue(Array(bytes), connection)))
      }
    }
    script.steps.append(.init(event: event, now: now, written: written))
    while let question = probe.takeQuestion() {
      guard let answer = rest?(question, now) else { continue }
      let text = VenueProbe.answer(question, status: answer.status, body: answer.body)
      parcels.append((now + 2 * Self.latency, .answer(text)))
    }
    parcels.sort { $0.at < $1.at }
  }

  private func connect(_ connection: Int) throws {
    let target = path + probe.paths[connection]
    let link = try Link(ConnectionID(UInt64(connection + 1)), path: target)
    links[connection] = link
    venue.connect(link.id, target: target, now: now)
    try note(.connect(connection)) { try probe.connect(connection, now: now) }
  }

  private func deliver(_ parcel: Parcel) {
    switch parcel {
    case .answer(let text): note(.answer(text)) { probe.receiveAnswer(text, now: now) }
    case .toLane(let bytes, let connection, let isMarket):
      note(.frame(bytes, connection: connection, isTimed: false)) {
        bytes.withUnsafeBytes { probe.receive($0, connection: connection, now: now) }
      }
      guard isMarket, orders == 1 else { return }
      script.timedSteps += 1
      if script.timedSteps > Self.warmSamples {
        script.steps[script.steps.count - 1].event = .frame(bytes, connection: connection, isTimed: true)
      }
    case .toVenue(let bytes, let connection):
      guard let link = links[connection] else { return }
      bytes.withUnsafeBytes { link.server.receive($0) }
      reading: while true {
        switch link.server.next() {
        case .text(let text): venue.receive(link.id, text: text, now: now)
        case .ping, .pong: venue.pinged(link.id, now: now)
        case .none, .closed, .failed: break reading
        default: continue
        }
      }
      flush(connection, isMarket: false)
    }
  }

  /// Frames in `requests`, by their headers (RFC 6455, 5.2).
  private var orders: Int {
    var at = 0, count = 0
    while at + 4 <= requests.count {
      let length = Int(requests[at + 1] & 0x7F)
      at += length == 126 ? 8 + Int(requests[at + 2]) << 8 + Int(requests[at + 3]) : 6 + length
      count += 1
    }
    return count
  }

  private func drainVenue() {
    venue.drain { id, outgoing in
      guard let connection = links.firstIndex(where: { $0?.id == id }), case .text(let text) = outgoing else { return }
      _ = links[connection]?.server.sendText(text)
      flush(connection, isMarket: isMarket(String(decoding: text, as: UTF8.self)))
    }
  }

  private func flush(_ connection: Int, isMarket: Bool) {
    guard let link = links[connection], link.server.output.count > 0 else { return }
    parcels.append((now + Self.latency, .toLane(Array(link.server.output), connection, isMarket: isMarket)))
    link.server.consumeOutput(link.server.output.count)
  }

  // MARK: - Venues

  private static func settings(_ venue: VenueKind, _ instrument: String, lotE8: Int64) -> LaneSettings {
    var settings = LaneSettings()
    settings.venue = venue
    settings.instruments = [
      InstrumentSettings(
        name: instrument, maximumPosition: DecimalE8(e8: 100_000 * lotE8), maximumOrder: DecimalE8(e8: 1000 * lotE8),
        maximumNotional: DecimalE8(e8: 100_000_000_000_000_000), collarCentiBps: 20_000, maximumOrders: 20,
        priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: 10, staleAfter: 5_000_000_000)
    ]
    return settings
  }

  /// One quote a side, ten basis points from the middle: it follows the market and does not trade.
  private static func ladder(_ lots: Int64) -> LadderParameters {
    LadderParameters(
      levels: 1, halfSpreadCentiBps: 1000, stepTicks: 2, size: QtyLots(rawValue: lots), skewCentiBps: 0)
  }

  static func thalex() throws -> TickWorld {
    let configuration = VenueConfiguration()
    let lotE8 = configuration.instruments[0].grid.lotE8
    let header = Base64URL.encode(Array(#"{"alg":"RS512","kid":"K1","typ":"JWT"}"#.utf8))
    let payload = Base64URL.encode(Array("{\"iat\":\(configuration.wallClockBase / 1_000_000_000)}".utf8))
    return try TickWorld(
      settings(.thalex, configuration.instruments[0].name, lotE8: lotE8), ladder(20),
      venue: try SimulatedVenue(
        configuration, flow: WalkingFlow(configuration.instruments[0], index: 0, lots: 1500)),
      wallClock: configuration.wallClockBase,
      makeToken: { "\(header).\(payload).\(Base64URL.encode([1, 2, 3]))" }
    ) { $0.contains("\"channel_name\":\"book.") || $0.contains("\"channel_name\":\"ticker.") }
  }

  static func deribit() throws -> TickWorld {
    var configuration = DeribitConfiguration()
    configuration.clients = [DeribitClient(id: "client", secret: "secret", account: "client")]
    configuration.matchingRate = 100
    configuration.matchingBurst = 500
    let spec = configuration.instruments[0].spec
    let time = configuration.wallClockBase / 1_000_000
    return try TickWorld(
      settings(.deribit, spec.name, lotE8: spec.grid.lotE8), ladder(100),
      venue: try DeribitVenue(configuration, flow: WalkingFlow(spec, index: 0, lots: 1500)),
      wallClock: configuration.wallClockBase,
      makeToken: {
        Array("secret".utf8).withUnsafeBytes {
          (try? DeribitCredentials.members(clientID: "client", secret: $0, milliseconds: time, nonce: "n")) ?? ""
        }
      }
    ) { $0.contains("\"channel\":\"book.") || $0.contains("\"channel\":\"ticker.") }
  }

  static func bybit() throws -> TickWorld {
    var configuration = BybitConfiguration()
    configuration.instruments = [.btc]
    configuration.clients = [BybitClient(key: "key", secret: "secret", account: "client")]
    configuration.orderRate = 200
    let spec = BybitInstrument.btc.spec
    var settings = settings(.bybit, spec.name, lotE8: spec.grid.lotE8)
    settings.path = "/v5"
    guard let credentials = BybitCredentials(key: "key", secret: Array("secret".utf8)) else {
      throw PieceError("no credentials")
    }
    let key = Key(credentials)
    let venue = try SimulatedBybit(configuration, flow: WalkingFlow(spec, index: 0, lots: 1500))
    let wallClock = configuration.wallClockBase
    let expires = wallClock / 1_000_000 + 10_000
    return try TickWorld(
      settings, ladder(20), venue: venue, wallClock: wallClock,
      makeToken: { "\(expires) \(key.credentials.loginSignature(expires: expires) ?? "") key" },
      rest: { question, now in
        let time = (wallClock + now) / 1_000_000
        let signature = key.credentials.requestSignature(milliseconds: time, window: 5000, payload: question.payload)
        let target = question.target.split(separator: "?", maxSplits: 1)
        let answer = venue.rest(
          method: question.method, path: String(target[0]), query: target.count > 1 ? String(target[1]) : "",
          headers: [
            "x-bapi-api-key": "key", "x-bapi-timestamp": "\(time)", "x-bapi-recv-window": "5000",
            "x-bapi-sign": signature ?? "",
          ], body: Array(question.body.utf8), now: now)
        return (answer.status, answer.body)
      }
    ) { $0.contains("\"topic\":\"orderbook.") || $0.contains("\"topic\":\"tickers.") }
  }

  private final class Key {
    let credentials: BybitCredentials
    init(_ credentials: consuming BybitCredentials) { self.credentials = credentials }
  }
}
