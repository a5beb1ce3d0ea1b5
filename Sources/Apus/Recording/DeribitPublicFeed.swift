import CSupport

/// Deribit: signs of life, each instrument by itself, then all channels. Without a login the shortest interval is 100 ms
/// (protocol, section 6).
struct DeribitPublicFeed: ~Copyable, PublicFeed {
  private var decoder: DeribitDecoder
  private let encoder: DeribitEncoder
  private let channels: [String]
  private var sink = PublicSink()
  private var groups = 0
  private var isSubscribing = false
  private var serial: UInt64 = 0
  private(set) var refusal: String?
  var requests: [String] = []

  private static let heartbeatSeconds: Int64 = 10

  init(_ instruments: [String]) throws(TableError) {
    var decoder = try DeribitDecoder(instrumentCapacity: instruments.count, labelPrefix: "-", label: "-")
    let encoder = try DeribitEncoder(instrumentCapacity: instruments.count, labelPrefix: "-", label: "-")
    for name in instruments {
      let index = try decoder.want(instrument: name)
      try decoder.register(channel: "ticker.\(name).100ms", kind: .ticker, instrument: index)
      try decoder.register(channel: Self.book(name), kind: .book, instrument: index)
      try decoder.register(channel: "trades.\(name).100ms", kind: .trades, instrument: index)
    }
    self.decoder = decoder
    self.encoder = encoder
    channels = instruments.flatMap { ["ticker.\($0).100ms", Self.book($0), "trades.\($0).100ms"] }
  }

  private static func book(_ name: String) -> String { "book.\(name).100ms" }

  var isReady: Bool { isSubscribing && sink.accepted >= channels.count }

  var events: [PublicEvent] {
    get { sink.events }
    set { sink.events = newValue }
  }

  func info(of instrument: InstrumentIndex) -> InstrumentInfo? { decoder.info(of: instrument) }

  mutating func opened() {
    decoder.forgetConnection()
    requests.append(encodedText { encoder.setHeartbeat(into: $0, seconds: Self.heartbeatSeconds) })
    for (place, name) in decoder.instruments.enumerated() {
      requests.append(encodedText { encoder.instrument(into: $0, name: name, serial: UInt64(place)) })
    }
  }

  mutating func take(_ text: UnsafeRawBufferPointer) {
    decoder.decode(text, into: &sink)
    if sink.wantsHeartbeat {
      sink.wantsHeartbeat = false
      serial += 1
      requests.append(encodedText { encoder.test(into: $0, serial: serial) })
    }
    // An active channel that is subscribed again sends no snapshot.
    for instrument in sink.lostBooks {
      let channel = Self.book(decoder.instruments[Int(instrument)])
      requests.append(
        encodedText { encoder.unsubscribe(into: $0, id: RequestID.session(.unsubscribe), channel: channel) })
      requests.append(subscription([channel], serial: 1 << 16))
    }
    sink.lostBooks.removeAll()
    guard refusal == nil, !isReady else { return }
    if let (request, code) = sink.refusal {
      let place = Int(RequestID.serial(of: decoder.lastReplyID))
      refusal =
        if request == .session(.instrument), decoder.instruments.indices.contains(place) {
          "the venue does not list \(decoder.instruments[place]): check its name (error \(code))"
        } else {
          "the venue refuses an instrument or a subscription (error \(code))"
        }
    } else if sink.listings >= decoder.instruments.count, !isSubscribing {
      isSubscribing = true
      let parts = ChannelGroups.of(channels)
      groups = parts.count
      for part in parts { requests.append(subscription(part, serial: 0)) }
    } else if isSubscribing, sink.replies == groups {
      refusal = "the venue accepted \(sink.accepted) of \(channels.count) channels"
    }
  }

  private func subscription(_ channels: [String], serial: UInt64) -> String {
    encodedText {
      encoder.subscribe(
        into: $0, id: RequestID.session(.subscribePublic, serial: serial), channels: channels, isPrivate: false)
    }
  }

  mutating func lost() {
    sink = PublicSink()
    requests = []
    groups = 0
    isSubscribing = false
  }
}
