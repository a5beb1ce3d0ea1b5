import CSupport

/// A lane of any adapter on connections that are only memory: no sockets, no threads, no clock.
///
/// For benchmarks against simulated venues. The caller is the network: it opens the connections that are wanted, carries
/// bytes both ways, answers the questions that go by HTTP, and passes the time. The main connection is 0, the others follow
/// in the order of `paths`. One thread. Deterministic: the same settings and calls give the same bytes.
public final class VenueProbe {
  /// What a connection is for: the end of its path, behind that of the settings.
  public let paths: [String]

  private let connectBody: (Int, Nanoseconds) throws -> Void
  private let receiveBody: (UnsafeRawBufferPointer, Int, Nanoseconds) -> Void
  private let answerBody: (UnsafeRawBufferPointer, Nanoseconds) -> Void
  private let tickBody: (Nanoseconds) -> Void
  private let outputBody: (Int, (UnsafeRawBufferPointer) -> Void) -> Void
  private let questionBody: () -> String?
  private let readyBody: () -> Bool
  private let statusBody: () -> String

  /// - Parameters:
  ///   - settings: `venue` says which adapter.
  ///   - makeToken: A login, in the form of the venue's credentials.
  ///   - wallClock: The Unix time at the lane's time 0, ns.
  /// - Throws: if memory or the settings do not do.
  public convenience init(
    settings: LaneSettings, ladder: LadderParameters, makeToken: @escaping () -> String, wallClock: Nanoseconds
  ) throws {
    func strategies(_: InstrumentIndex, _: String, _: InstrumentInfo) -> AnyStrategy {
      StrategyBox(LadderStrategy(ladder))
    }
    // The closures are written out for each venue: what is generic is compiled once for all, and slowly.
    switch settings.venue {
    case .thalex:
      let box = try LaneBox<ThalexAdapter>(settings, strategies, makeToken, wallClock)
      self.init(box) { box.lane.receive($0, now: $2) }
    case .deribit:
      let box = try LaneBox<DeribitAdapter>(settings, strategies, makeToken, wallClock)
      self.init(box) { box.lane.receive($0, now: $2) }
    case .bybit:
      let box = try LaneBox<BybitAdapter>(settings, strategies, makeToken, wallClock)
      self.init(box) { bytes, connection, now in
        if connection == 0 {
          box.lane.receive(bytes, now: now)
        } else {
          box.lane.receive(bytes, companion: box.places[connection - 1], now: now)
        }
      }
    }
  }

  private init<Adapter: ~Copyable>(
    _ box: LaneBox<Adapter>, receive: @escaping (UnsafeRawBufferPointer, Int, Nanoseconds) -> Void
  ) {
    paths = box.paths
    receiveBody = receive
    connectBody = { connection, now in
      if connection == 0 {
        try box.lane.connected(key: Array(1...16), maskSeed: 1, now: now)
      } else {
        try box.lane.companionConnected(box.places[connection - 1], key: Array(1...16), maskSeed: 1, now: now)
      }
    }
    answerBody = { box.lane.answered($0, companion: Adapter.companionCount - 1, now: $1) }
    tickBody = { box.lane.tick(now: $0) }
    outputBody = { connection, take in
      if connection == 0 {
        take(box.lane.output.endpoint.output)
        box.lane.output.endpoint.consumeOutput(box.lane.output.endpoint.output.count)
      } else {
        let companion = box.lane.output.companions.at(box.places[connection - 1])
        take(companion.pointee.endpoint.output)
        companion.pointee.endpoint.consumeOutput(companion.pointee.endpoint.output.count)
      }
    }
    questionBody = {
      var text: String?
      _ = box.lane.output.companions.takeQuestion {
        text = String(decoding: $0, as: UTF8.self)
        return true
      }
      return text
    }
    readyBody = { box.lane.adapter.phase == .ready }
    statusBody = { box.lane.adapter.statusText }
  }

  /// The connection is up: the lane asks for its WebSocket upgrade.
  public func connect(_ connection: Int, now: Nanoseconds) throws { try connectBody(connection, now) }

  /// Bytes of a connection's stream.
  @inline(__always)
  public func receive(_ bytes: UnsafeRawBufferPointer, connection: Int, now: Nanoseconds) {
    receiveBody(bytes, connection, now)
  }

  /// The answer to a question, as `answer(_:status:body:)` makes it.
  public func receiveAnswer(_ text: [UInt8], now: Nanoseconds) {
    // A decoder may look at a few bytes behind a text.
    (text + [UInt8](repeating: 0, count: 64)).withUnsafeBytes {
      answerBody(UnsafeRawBufferPointer(rebasing: $0.prefix(text.count)), now)
    }
  }

  /// Runs the timers that are due.
  public func tick(now: Nanoseconds) { tickBody(now) }

  /// Takes what the lane has written on a connection.
  public func takeOutput(_ connection: Int, _ body: (UnsafeRawBufferPointer) -> Void) { outputBody(connection, body) }

  /// A question that the lane asks by HTTP.
  public struct Question {
    public let tag: UInt64
    public let method: String
    /// Path, and query with its `?`.
    public let target: String
    public let body: String
    /// What its signature covers.
    public let payload: String
  }

  public func takeQuestion() -> Question? {
    guard let text = questionBody(), let request = DeskRequest(text) else { return nil }
    return Question(
      tag: request.tag, method: String(request.method), target: String(request.target), body: String(request.body),
      payload: String(request.payload))
  }

  public static func answer(_ question: Question, status: Int, body: [UInt8]) -> [UInt8] {
    DeskRequest.answer(question.tag, status: status, body)
  }

  public var isReady: Bool { readyBody() }
  public var statusText: String { statusBody() }
}

/// A lane that closures can share.
private final class LaneBox<Adapter: ExchangeAdapter & ~Copyable> {
  var lane: Lane<Adapter>
  let paths: [String]
  /// Of connection 1 and on.
  let places: [Int]

  init(
    _ settings: LaneSettings, _ makeStrategy: @escaping (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy,
    _ makeToken: @escaping () -> String, _ wallClock: Nanoseconds
  ) throws {
    let output = try LaneOutput(records: LaneRecords(journal: nil), companions: Adapter.companionCount)
    var lane = try Lane(
      settings: settings, adapter: try Adapter(settings), output: output, makeToken: makeToken,
      strategies: StrategyMaking(makeStrategy))
    lane.noteWallClock(wallClock, now: 0)
    self.lane = lane
    var paths = [Adapter.mainPath]
    var places: [Int] = []
    for place in 0..<Adapter.companionCount {
      guard case .socket(let path) = Adapter.companion(place) else { continue }
      paths.append(path)
      places.append(place)
    }
    self.paths = paths
    self.places = places
  }
}
