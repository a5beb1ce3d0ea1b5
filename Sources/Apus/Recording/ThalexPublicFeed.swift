import CSupport

/// Thalex: the whole list of instruments, then all channels. Books bring their trades with them.
struct ThalexPublicFeed: ~Copyable, PublicFeed {
  private var decoder: ThalexDecoder
  private let encoder: ThalexEncoder
  private let channels: [String]
  private var sink = PublicSink()
  private var groups = 0
  private var isSubscribing = false
  private(set) var refusal: String?
  var requests: [String] = []

  /// Follows the books, with the trades in them, and the tickers.
  init(_ instruments: [String]) throws(TableError) {
    try self.init(
      instruments, channels: instruments.flatMap { ["ticker.\($0).raw", RecordingDescription.bookChannel($0, "all")] },
      isRead: true)
  }

  /// Subscribes to `channels`.
  ///
  /// - Parameter isRead: What books and tickers say becomes events.
  init(_ instruments: [String], channels: [String], isRead: Bool = false) throws(TableError) {
    var decoder = try ThalexDecoder(
      instrumentCapacity: instruments.count, channelCapacity: 2 * instruments.count, labelPrefix: "")
    for name in instruments {
      let index = try decoder.want(instrument: name)
      guard isRead else { continue }
      try decoder.register(channel: "ticker.\(name).raw", kind: .ticker, instrument: index)
      try decoder.register(channel: RecordingDescription.bookChannel(name, "all"), kind: .book, instrument: index)
    }
    let encoder = try ThalexEncoder(instrumentCapacity: instruments.count, label: "")
    self.decoder = decoder
    self.encoder = encoder
    self.channels = channels
  }

  var isReady: Bool { isSubscribing && sink.accepted >= channels.count }

  var events: [PublicEvent] {
    get { sink.events }
    set { sink.events = newValue }
  }

  func info(of instrument: InstrumentIndex) -> InstrumentInfo? { decoder.info(of: instrument) }

  mutating func opened() {
    requests.append(encodedText { encoder.instruments(into: $0, id: RequestID.session(.instruments)) })
  }

  mutating func take(_ text: UnsafeRawBufferPointer) {
    decoder.decode(text, into: &sink)
    guard refusal == nil, !isReady else { return }
    if sink.refusal != nil {
      refusal = "the venue refuses the list of instruments or a subscription"
    } else if sink.listings > 0, !isSubscribing {
      for (place, name) in decoder.instruments.enumerated() where !decoder.isListed(InstrumentIndex(place)) {
        refusal = "the venue does not list \(name): check its name"
        return
      }
      isSubscribing = true
      subscribe()
    } else if isSubscribing, sink.replies == groups {
      refusal = "the venue accepted \(sink.accepted) of \(channels.count) channels"
    }
  }

  private mutating func subscribe() {
    let parts = ChannelGroups.of(channels)
    groups = parts.count
    for part in parts {
      requests.append(
        encodedText {
          encoder.subscribe(
            into: $0, id: RequestID.session(.subscribePublic), channels: part, isPrivate: false)
        })
    }
  }

  mutating func lost() {
    sink = PublicSink()
    requests = []
    groups = 0
    isSubscribing = false
  }
}
