import CSupport

/// Bybit: the list of instruments by HTTP, page by page, then all topics of the public WebSocket. The books are those of
/// 50 levels, which speak most often (protocol reference 6.1).
struct BybitPublicFeed: ~Copyable, PublicFeed {
  static let path = "/public/linear"

  private var decoder: BybitDecoder
  private var encoder: BybitEncoder
  private let topics: [String]
  private var sink = PublicSink()
  private var groups = 0
  private var isSubscribing = false
  private var isListed = false
  private var cursor: String?
  private var pingedAt: Nanoseconds = 0
  private(set) var refusal: String?
  var requests: [String] = []

  init(_ instruments: [String]) throws(TableError) {
    var decoder = try BybitDecoder(
      instrumentCapacity: instruments.count, topicCapacity: 3 * instruments.count, prefix: "-", label: "-")
    let encoder = try BybitEncoder(instrumentCapacity: instruments.count, label: "-")
    let topics = instruments.flatMap { [Self.book($0), "tickers.\($0)", "publicTrade.\($0)"] }
    for name in instruments { _ = try decoder.want(instrument: name) }
    for topic in topics { try decoder.register(topic: topic) }
    self.topics = topics
    self.decoder = decoder
    self.encoder = encoder
  }

  private static func book(_ name: String) -> String { "orderbook.50.\(name)" }

  var isReady: Bool { isSubscribing && sink.replies >= groups }

  var events: [PublicEvent] {
    get { sink.events }
    set { sink.events = newValue }
  }

  func info(of instrument: InstrumentIndex) -> InstrumentInfo? { decoder.info(of: instrument) }

  var question: DeskRequest? {
    isListed ? nil : DeskRequest("1" + BybitDesk.text(.instruments(cursor: cursor)))
  }

  mutating func answered(_ text: UnsafeRawBufferPointer) {
    guard let answer = DeskAnswer(text), answer.status == 200 else { return }
    switch decoder.decodeRest(.instruments, answer.body, isContinued: cursor != nil, into: &sink) {
    case .answered(hasMore: true): cursor = decoder.cursor
    case .answered(hasMore: false):
      isListed = true
      for (place, name) in decoder.instruments.enumerated() where !decoder.isListed(InstrumentIndex(place)) {
        refusal = "the venue does not list \(name) as a linear perpetual in \(BybitVenue.settleCoin): check its name"
      }
    case .refused, .unreadable: cursor = nil
    }
    sink.refusal = nil
  }

  mutating func opened() {
    decoder.forgetStreams()
    isSubscribing = true
    let parts = ChannelGroups.of(topics)
    groups = parts.count
    for part in parts { requests.append(subscription(part)) }
  }

  private mutating func subscription(_ topics: [String]) -> String {
    encodedText { encoder.subscribe(into: $0, id: RequestID.session(.subscribePublic), topics: topics) }
  }

  mutating func take(_ text: UnsafeRawBufferPointer) {
    decoder.decodePublic(text, into: &sink)
    // The venue sends a snapshot to a new subscription only.
    for instrument in sink.lostBooks {
      let topic = [Self.book(decoder.instruments[Int(instrument)])]
      requests.append(
        encodedText { encoder.unsubscribe(into: $0, id: RequestID.session(.unsubscribe), topics: topic) })
      requests.append(subscription(topic))
    }
    sink.lostBooks.removeAll()
    if !isReady, let (_, code) = sink.refusal { refusal = "the venue refuses a topic (error \(code))" }
  }

  mutating func stayAlive(now: Nanoseconds) {
    guard now - pingedAt >= BybitVenue.pingNanoseconds * 3 / 4 else { return }
    pingedAt = now
    requests.append(encodedText { encoder.ping(into: $0) })
  }

  mutating func lost() {
    sink = PublicSink()
    requests = []
    groups = 0
    isSubscribing = false
  }
}
