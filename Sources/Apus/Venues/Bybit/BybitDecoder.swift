public import CSupport
import Glibc

/// What a subscribed topic carries.
public enum BybitTopic: UInt8, Sendable {
  case book, trades, ticker, priceLimit
  case order, execution, fastExecution, position, wallet
  /// Known and subscribed, but not interpreted, such as `dcp.future`: its messages are checked to be JSON and counted
  /// in `ignoredItems`.
  case other
}

/// Limits of an instrument that its grid does not have.
public struct BybitLimits: Equatable, Sendable {
  /// The most that a limit order may ask for.
  public var largestLots = QtyLots(rawValue: 0)
  /// The least that price × size may be, 10⁻⁸ of the settle coin; 0: none stated.
  public var smallestValueE8: Int64 = 0
  /// Minutes between two funding payments; 0: none stated.
  public var fundingMinutes: Int64 = 0
}

/// Turns Bybit V5 frames and REST bodies into venue events. It knows names and grids, but nothing of sessions or of
/// time.
///
/// Rules, beyond the shape of the messages:
/// - A frame that is not JSON delivers nothing but `.malformed`.
/// - An item with an impossible value is refused with a reason and not delivered; its neighbours are (R05, R20). A list
///   with a refused item gets no `snapshotEnd` and no `replied`: nothing may be concluded from what is missing in it.
/// - Messages of a book are numbered. One that does not follow its predecessor, or in which a level is refused, is not
///   delivered, and the book is given up (`bookLost`): what comes then is counted in `ignoredItems` until the next
///   snapshot. The level-1 topic has snapshots only, and repeats them.
/// - A ticker is delivered whole: what a message leaves out stands as it was. A member that cannot be read is absent
///   until it comes again, and the rest is delivered.
/// - An acknowledgement is no state: it delivers `replied`, the venue's id of the order, and no order report.
/// - A member that is given twice has one of its values, as a rule the later one, or the item is refused.
/// - An unknown word is reported as `.unknownWord`. An order is still delivered if the word was its status (`.other`:
///   neither live nor dead) or why it ended; without a known side it is refused. Records of the execution stream that
///   are no executions, such as funding, are counted in `ignoredItems`; an unknown kind is refused.
/// - Instruments must be declared with `want`, and topics with `register`. Until an instrument has been listed its grid
///   is unknown, and what arrives about it is refused as `.unknownName`. Items about other instruments or other
///   categories are stepped over and counted in `ignoredItems`, unless they are about orders of ours: then they are
///   refused as `.unknownName`.
///
/// Thread: one owner. Decoding allocates for lists of instruments, rates and protections, and for nothing else.
// Sendable: every pointer in it is owned by it alone, and being noncopyable it has one owner.
public struct BybitDecoder: ~Copyable, @unchecked Sendable {
  typealias Listing = VenueListing

  struct TopicEntry {
    var kind: BybitTopic
    var instrument: InstrumentIndex
    /// The order in which members of its messages come.
    var envelope: OpaquePointer
    /// Of a book: the number of the last message, and whether the book is whole up to it.
    var update: UInt64 = 0
    var isLive = false
  }

  /// How the messages of a topic begin, and which topic came behind it last time.
  struct TopicGuess {
    /// Bytes of `{"topic":"…"` in `prefixes`; 0 if the name would have to be escaped.
    var prefixCount: Int
    var next: Int
  }

  /// A ticker with all that was told so far.
  struct MergedTicker {
    var ticker = Ticker()
    var hasSnapshot = false
  }

  struct Shapes: ~Copyable {
    /// One for each order of members that is usual.
    let bookEnvelope: JSONShape
    let topBookEnvelope: JSONShape
    let listEnvelope: JSONShape
    let tickerEnvelope: JSONShape
    let privateEnvelope: JSONShape
    let envelope: JSONShape
    let book: JSONShape
    let publicTrade: JSONShape
    let ticker: JSONShape
    let priceLimit: JSONShape
    let order: JSONShape
    let execution: JSONShape
    let fastExecution: JSONShape
    let position: JSONShape
    let account: JSONShape
    let instrument: JSONShape
    let answer: JSONShape
    let ack: JSONShape
    let header: JSONShape
    let rest: JSONShape
    let result: JSONShape
    let detail: JSONShape

    init() throws(TableError) {
      // Locals first: a noncopyable field must not be left behind half-way by a throw.
      let bookEnvelope = try JSONShape(BybitEnvelopeField.keys)
      let topBookEnvelope = try JSONShape(BybitEnvelopeField.keys)
      let listEnvelope = try JSONShape(BybitEnvelopeField.keys)
      let tickerEnvelope = try JSONShape(BybitEnvelopeField.keys)
      let privateEnvelope = try JSONShape(BybitEnvelopeField.keys)
      let envelope = try JSONShape(BybitEnvelopeField.keys)
      let book = try JSONShape(BybitBookField.keys)
      let publicTrade = try JSONShape(BybitPublicTradeField.keys, wanted: BybitPublicTradeField.time.bit)
      let ticker = try JSONShape(BybitTickerField.keys)
      let priceLimit = try JSONShape(BybitPriceLimitField.keys)
      let order = try JSONShape(BybitOrderField.keys)
      let execution = try JSONShape(BybitExecutionField.keys)
      let fastExecution = try JSONShape(BybitExecutionField.keys)
      let position = try JSONShape(BybitPositionField.keys, wanted: BybitPositionField.positionIdx.bit)
      let account = try JSONShape(BybitAccountField.keys)
      let instrument = try JSONShape(BybitInstrumentField.keys, wanted: BybitInstrumentField.fundingInterval.bit)
      let answer = try JSONShape(BybitAnswerField.keys)
      let ack = try JSONShape(BybitAckField.keys, wanted: BybitAckField.code.bit)
      let header = try JSONShape(BybitHeaderField.keys)
      let rest = try JSONShape(BybitRestField.keys)
      let result = try JSONShape(BybitResultField.keys)
      let detail = try JSONShape(BybitDetailField.keys)
      self.bookEnvelope = bookEnvelope
      self.topBookEnvelope = topBookEnvelope
      self.listEnvelope = listEnvelope
      self.tickerEnvelope = tickerEnvelope
      self.privateEnvelope = privateEnvelope
      self.envelope = envelope
      self.book = book
      self.publicTrade = publicTrade
      self.ticker = ticker
      self.priceLimit = priceLimit
      self.order = order
      self.execution = execution
      self.fastExecution = fastExecution
      self.position = position
      self.account = account
      self.instrument = instrument
      self.answer = answer
      self.ack = ack
      self.header = header
      self.rest = rest
      self.result = result
      self.detail = detail
    }
  }

  /// What became of an item of a list.
  enum ItemOutcome {
    case delivered, ignored, refused
  }

  /// Room for the beginning of a message with a topic of up to 63 bytes.
  static let prefixCapacity = 96
  /// Bytes for strings with escapes, reused for each item.
  static let scratchCapacity = 1024
  /// Items of a list that is read in one pass; those behind them are read twice.
  static let itemCapacity = 16
  /// Levels of both sides of a book message: twice the deepest book, which may be exchanged as a whole.
  static let levelCapacity = 4096

  let shapes: Shapes
  let index: ScanIndex
  let items: MemberTable
  var instrumentNames: NameTable
  var topicNames: NameTable
  let listings: UnsafeMutablePointer<Listing>
  let limits: UnsafeMutablePointer<BybitLimits>
  /// By instrument; where the listing has a grid.
  let grids: UnsafeMutablePointer<LevelGrid>
  let tickers: UnsafeMutablePointer<MergedTicker>
  let topics: UnsafeMutablePointer<TopicEntry>
  let guesses: UnsafeMutablePointer<TopicGuess>
  private let prefixes: UnsafeMutablePointer<CChar>
  /// The topic of the last message that began with it.
  private var lastTopic = 0
  let scratch: UnsafeMutablePointer<CChar>
  var scratchCount = 0
  let levels: UnsafeMutablePointer<ScannedLevel>
  /// Behind the frame that is being read.
  var frameEnd: UnsafePointer<CChar>
  let tag: OrderTag
  let settleCoin: UnsafeMutableBufferPointer<CChar>

  /// The names in the order in which they were declared; the position is the index.
  public private(set) var instruments: [String] = []
  private var topicTexts: [String] = []
  /// Apart from the array: its count would be read through a reference for every frame.
  private(set) var topicCount = 0

  /// Items about instruments that nobody asked for, records that are no executions, book messages behind a gap,
  /// messages of topics that are not interpreted.
  public internal(set) var ignoredItems: UInt64 = 0
  /// Answers to pings.
  public internal(set) var pongs: UInt64 = 0
  /// The id of the last answer; `UInt64.max` if it had none of our form.
  public internal(set) var lastReplyID = UInt64.max
  /// Where the next page of the last REST list starts, as it has to be sent back; empty after the last page.
  let cursorBytes: UnsafeMutablePointer<CChar>
  var cursorCount = 0
  static let cursorCapacity = 1024
  /// The same as text; `nil` after the last page. Cold.
  public var cursor: String? {
    guard cursorCount > 0 else { return nil }
    let bytes = UnsafeBufferPointer(start: cursorBytes, count: cursorCount)
    return String(decoding: bytes.lazy.map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }
  /// The venue's clock in the last answer to a question for it, nanoseconds since the Unix epoch; 0 before.
  public internal(set) var venueTime: Nanoseconds = 0
  /// Seconds of protection on disconnect for derivatives in the last answer about it; 0: it is off, or not enabled.
  public internal(set) var deadManSeconds: Int64 = 0
  /// Bit i: an item of the list that is being read for the i-th question was refused, on this page or one before.
  var incompleteLists: UInt32 = 0

  /// - Parameters:
  ///   - instrumentCapacity: How many instruments can be wanted, 1 ... 65_535.
  ///   - topicCapacity: How many topics can be registered.
  ///   - prefix: Orders whose `orderLinkId` starts with it are this engine's (R14).
  ///   - label: How the `orderLinkId` of this life's orders begins; starts with `prefix`, at most 26 bytes.
  ///   - settleCoin: In which fees are paid and instruments are settled.
  ///   - scanLevel: Which kernels read the text; all of them deliver the same. `nil` takes the fastest that this
  ///     processor runs, and another choice is for tests and benchmarks.
  public init(
    instrumentCapacity: Int, topicCapacity: Int, prefix: String, label: String,
    settleCoin: String = BybitVenue.settleCoin, scanLevel: ScanLevel? = nil
  ) throws(TableError) {
    guard (1..<Int(InstrumentIndex.max)).contains(instrumentCapacity) else { throw .capacity(instrumentCapacity) }
    let shapes = try Shapes()
    let index = try ScanIndex(scanLevel ?? apus_scan_best())
    let items = try MemberTable(count: Self.itemCapacity)
    let instrumentNames = try NameTable(capacity: instrumentCapacity)
    let topicNames = try NameTable(capacity: topicCapacity)
    let tag = try OrderTag(prefix: prefix, label: label, limit: BybitVenue.tagLimit)
    self.shapes = shapes
    self.index = index
    self.items = items
    self.instrumentNames = instrumentNames
    self.topicNames = topicNames
    self.tag = tag
    listings = .allocate(capacity: instrumentCapacity)
    limits = .allocate(capacity: instrumentCapacity)
    limits.initialize(repeating: BybitLimits(), count: instrumentCapacity)
    grids = .allocate(capacity: instrumentCapacity)
    tickers = .allocate(capacity: instrumentCapacity)
    tickers.initialize(repeating: MergedTicker(), count: instrumentCapacity)
    topics = .allocate(capacity: topicCapacity)
    guesses = .allocate(capacity: topicCapacity)
    prefixes = .allocate(capacity: topicCapacity * Self.prefixCapacity)
    scratch = .allocate(capacity: Self.scratchCapacity)
    cursorBytes = .allocate(capacity: Self.cursorCapacity)
    frameEnd = UnsafePointer(scratch)
    levels = .allocate(capacity: Self.levelCapacity)
    self.settleCoin = .allocate(capacity: settleCoin.utf8.count)
    _ = self.settleCoin.initialize(from: settleCoin.utf8.lazy.map { CChar(bitPattern: $0) })
  }

  deinit {
    listings.deallocate()
    limits.deallocate()
    grids.deallocate()
    tickers.deallocate()
    topics.deallocate()
    guesses.deallocate()
    prefixes.deallocate()
    scratch.deallocate()
    cursorBytes.deallocate()
    levels.deallocate()
    settleCoin.deallocate()
  }

  // MARK: Set-up

  /// Declares an instrument by its symbol; the same symbol gets the same index. Its grid comes from the venue's list
  /// (R64).
  public mutating func want(instrument name: String) throws(TableError) -> InstrumentIndex {
    if let known = instrumentNames.value(of: name) { return InstrumentIndex(known) }
    let index = InstrumentIndex(instruments.count)
    try instrumentNames.add(name, value: UInt32(index))
    (listings + Int(index)).initialize(to: Listing(wanted: index))
    instruments.append(name)
    return index
  }

  /// The last listing of an instrument; `nil` before the first.
  public func info(of index: InstrumentIndex) -> InstrumentInfo? {
    guard Int(index) < instruments.count, listings[Int(index)].hasGrid else { return nil }
    return listings[Int(index)].info
  }

  /// What the last listing said besides; `nil` before the first.
  public func limits(of index: InstrumentIndex) -> BybitLimits? {
    guard Int(index) < instruments.count, listings[Int(index)].hasGrid else { return nil }
    return limits[Int(index)]
  }

  /// Whether the venue lists a wanted instrument now, for trading.
  public func isListed(_ index: InstrumentIndex) -> Bool {
    Int(index) < instruments.count && listings[Int(index)].isListed
  }

  /// Declares a topic by its exact name, which says what it carries. The instrument of a public topic must be wanted.
  /// Registering a name again forgets what its messages have said. One book topic an instrument: two would take turns
  /// in one book.
  public mutating func register(topic name: String) throws(TableError) {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false)
    var kind = BybitTopic.other
    var instrument = InstrumentIndex.max
    var envelope = shapes.listEnvelope.pointer
    func wanted(_ symbol: Substring) throws(TableError) -> InstrumentIndex {
      guard let known = instrumentNames.value(of: String(symbol)) else { throw .unusableName(name) }
      return InstrumentIndex(known)
    }
    switch (parts[0], parts.count) {
    case ("orderbook", 3):
      if let depth = Int(parts[1]), depth > 0 {
        kind = .book
        instrument = try wanted(parts[2])
        envelope = depth == 1 ? shapes.topBookEnvelope.pointer : shapes.bookEnvelope.pointer
      }
    case ("publicTrade", 2):
      kind = .trades
      instrument = try wanted(parts[1])
    case ("tickers", 2):
      kind = .ticker
      instrument = try wanted(parts[1])
      envelope = shapes.tickerEnvelope.pointer
    case ("priceLimit", 2):
      kind = .priceLimit
      instrument = try wanted(parts[1])
      envelope = shapes.envelope.pointer
    default:
      switch name {
      case "order", "order.linear": kind = .order
      case "execution", "execution.linear": kind = .execution
      case "execution.fast", "execution.fast.linear": kind = .fastExecution
      case "position", "position.linear": kind = .position
      case "wallet": kind = .wallet
      default: break
      }
      envelope = shapes.privateEnvelope.pointer
    }
    let entry = TopicEntry(kind: kind, instrument: instrument, envelope: envelope)
    if let known = topicNames.value(of: name) {
      topics[Int(known)] = entry
      return
    }
    let index = topicCount
    try topicNames.add(name, value: UInt32(index))
    (topics + index).initialize(to: entry)
    let prefix = "{\"topic\":\"\(name)\"".utf8
    let isPlain = name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C } && prefix.count <= Self.prefixCapacity
    (guesses + index).initialize(to: TopicGuess(prefixCount: isPlain ? prefix.count : 0, next: index))
    if isPlain {
      for (i, byte) in prefix.enumerated() { prefixes[index * Self.prefixCapacity + i] = CChar(bitPattern: byte) }
    }
    topicTexts.append(name)
    topicCount = topicTexts.count
  }

  /// The topics that were registered, in their order.
  public var registeredTopics: [String] { topicTexts }

  /// For a new public connection: what was told on the one before holds no longer. Books and tickers begin with their
  /// next snapshot.
  public mutating func forgetStreams() {
    for topic in 0..<topicCount { (topics + topic).pointee.isLive = false }
    for instrument in 0..<instruments.count { tickers[instrument] = MergedTicker() }
  }

  // MARK: Frames

  /// Reads one frame of the connection for market data and delivers what it says.
  public mutating func decodePublic<Sink: VenueEventSink & ~Copyable>(
    _ text: UnsafeRawBufferPointer, into sink: inout Sink
  ) {
    guard var json = begin(text) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    // Topics tend to follow one another as they did: one comparison instead of a search for the name.
    if topicCount > 0 {
      let guess = guesses[lastTopic].next
      let count = guesses[guess].prefixCount
      if count > 0, text.count >= count, apus_json_same(json.at, prefixes + guess * Self.prefixCapacity, count) {
        json.at += count
        lastTopic = guess
        message(guess, json, Self.behindTopic, into: &sink)
        return
      }
    }
    let start = json
    if json.accept("{\"topic\":\"") {
      var name = JSONText()
      if apus_json_string_rest(&json, &name), !name.has_escapes, let bytes = name.bytes,
        let found = topicNames.find(bytes, name.count)
      {
        guesses[lastTopic].next = Int(found)
        lastTopic = Int(found)
        message(Int(found), json, Self.behindTopic, into: &sink)
        return
      }
    }
    general(start, into: &sink)
  }

  /// Reads one frame of the private stream and delivers what it says.
  public mutating func decodePrivate<Sink: VenueEventSink & ~Copyable>(
    _ text: UnsafeRawBufferPointer, into sink: inout Sink
  ) {
    guard var json = begin(text) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    let start = json
    var name = JSONText()
    // The id of the message stands first, or the topic does.
    var isTopic = json.accept("{\"topic\":\"")
    if !isTopic, json.accept("{\"id\":\""), apus_json_string_rest(&json, &name) {
      isTopic = json.accept(",\"topic\":\"")
    }
    if isTopic, apus_json_string_rest(&json, &name), !name.has_escapes, let bytes = name.bytes,
      let found = topicNames.find(bytes, name.count)
    {
      message(Int(found), json, Self.behindTopic, into: &sink)
      return
    }
    general(start, into: &sink)
  }

  mutating func begin(_ text: UnsafeRawBufferPointer) -> JSONCursor? {
    scratchCount = 0
    apus_index_clear(index.pointer)
    guard let base = text.baseAddress else { return nil }
    let json = apus_json_begin(base.assumingMemoryBound(to: CChar.self), text.count)
    frameEnd = json.end
    return json
  }

  @inline(always)
  static var behindTopic: JSONWalk { JSONWalk(last: UInt32(BybitEnvelopeField.topic.rawValue) + 1, started: true) }

  /// A message of a topic, from the member behind `walk` on.
  @inline(always)
  private mutating func message<Sink: VenueEventSink & ~Copyable>(
    _ topic: Int, _ json: JSONCursor, _ walk: JSONWalk, into sink: inout Sink
  ) {
    let kind = topics[topic].kind
    switch kind {
    case .book: book(topic, json, walk, into: &sink)
    case .ticker: ticker(topic, json, walk, into: &sink)
    default: list(topic, kind, json, walk, into: &sink)
    }
  }

  /// Any order of members, any white space; and what is no message of a topic.
  @inline(never)
  private mutating func general<Sink: VenueEventSink & ~Copyable>(_ frame: JSONCursor, into sink: inout Sink) {
    var json = frame
    var walk = JSONWalk()
    var name = JSONText()
    var hasName = false, hasData = false, wrong = false
    var reply = StreamReply()
    guard apus_json_enter_object(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    let inside = json
    while true {
      let found = apus_json_next_field(&json, shapes.envelope.pointer, &walk)
      guard let field = BybitEnvelopeField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .topic: hasName = json.text(&name, wrong: &wrong)
      case .data:
        hasData = true
        json.skip()
      case .success:
        reply.hasSuccess = json.isNext(.bool)
        reply.isSuccess = json.flag(wrong: &wrong)
      case .reason, .message: reply.hasReason = json.text(&reply.reason, wrong: &wrong) || reply.hasReason
      case .op: reply.hasOperation = json.text(&reply.operation, wrong: &wrong)
      case .requestID, .requestID2: reply.id = Self.id(&json) ?? reply.id
      case .code:
        var number = ScannedDecimal()
        reply.hasCode =
          json.number(&number, wrong: &wrong) && apus_decimal_to_scaled(&number, 0, &reply.code) == .exact
      default: json.skip()
      }
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    if hasName, hasData {
      plain(&name)
      if let bytes = name.bytes, let found = topicNames.find(bytes, name.count) {
        message(Int(found), inside, JSONWalk(), into: &sink)
      } else {
        sink.refusedAtEdge(.unknownName)
      }
    } else if reply.hasOperation || reply.hasSuccess {
      answer(&reply, isWrong: wrong, into: &sink)
    } else {
      sink.refusedAtEdge(hasName ? .missingMember : .malformed)
    }
  }

  // MARK: Lists of items

  /// What was read of a list.
  struct ItemList {
    var isArray = false
    var count = 0
    /// Bit i: item i is an object.
    var objects: UInt32 = 0
    /// The items for which there was no room: from the first of them to before the `]`.
    var rest: JSONCursor?
  }

  /// Reads an array of objects to its end, as many as fit into the tables; the others are only checked. The cursor
  /// fails if it is no JSON.
  mutating func readList(_ json: inout JSONCursor, _ shape: OpaquePointer) -> ItemList {
    var list = ItemList()
    guard json.isNext(.array) else {
      json.skip()
      return list
    }
    apus_index_build(index.pointer, json.at, json.end - json.at)
    json.at += 1
    list.isArray = true
    var started = false
    while apus_json_next_element(&json, &started) {
      if list.count == Self.itemCapacity {
        let start = json.at
        var end = start
        repeat {
          json.skip()
          end = json.at
        } while apus_json_next_element(&json, &started)
        if !json.failed { list.rest = apus_json_begin(start, end - start) }
        return list
      }
      if readItem(&json, shape, into: items[list.count]) { list.objects |= 1 << UInt32(list.count) }
      list.count += 1
    }
    return list
  }

  /// Whether an object was read; another value is stepped over.
  @inline(always)
  private mutating func readItem(_ json: inout JSONCursor, _ shape: OpaquePointer, into table: OpaquePointer) -> Bool {
    guard json.isNext(.object) else {
      json.skip()
      return false
    }
    json.at += 1
    return apus_members_scan(&json, shape, table, index.pointer)
  }

  /// Delivers what was read of a list, which has been checked whole. Whether no item of it was refused.
  mutating func deliver<Sink: VenueEventSink & ~Copyable>(
    _ list: ItemList, _ context: ItemContext, into sink: inout Sink
  ) -> Bool {
    var isComplete = true
    for position in 0..<list.count {
      let members = list.objects >> UInt32(position) & 1 == 1 ? items[position] : nil
      if item(members, context, into: &sink) == .refused { isComplete = false }
    }
    guard var rest = list.rest else { return isComplete }
    repeat {
      let members = readItem(&rest, context.shape, into: items[0]) ? items[0] : nil
      if item(members, context, into: &sink) == .refused { isComplete = false }
    } while apus_json_accept(&rest, 0x2C)
    return isComplete
  }

  struct ItemContext {
    var kind: BybitTopic
    var instrument = InstrumentIndex.max
    var source = ReportSource.feed
    var shape: OpaquePointer
  }

  @inline(always)
  private mutating func item<Sink: VenueEventSink & ~Copyable>(
    _ members: OpaquePointer?, _ context: ItemContext, into sink: inout Sink
  ) -> ItemOutcome {
    guard let members else {
      sink.refusedAtEdge(.missingMember)
      return .refused
    }
    scratchCount = 0
    switch context.kind {
    case .trades: return publicTrade(members, context.instrument, into: &sink)
    case .order: return order(members, source: context.source, into: &sink)
    case .execution, .fastExecution: return execution(members, context, into: &sink)
    case .position: return position(members, into: &sink)
    case .wallet: return account(members, into: &sink)
    case .book, .ticker, .priceLimit, .other: return .ignored
    }
  }

  /// A message whose data is a list, or is not interpreted.
  private mutating func list<Sink: VenueEventSink & ~Copyable>(
    _ topic: Int, _ kind: BybitTopic, _ frame: JSONCursor, _ start: JSONWalk, into sink: inout Sink
  ) {
    if kind == .priceLimit {
      priceLimit(topic, frame, start, into: &sink)
      return
    }
    var json = frame
    var walk = start
    let entry = topics[topic]
    let context = ItemContext(
      kind: kind, instrument: entry.instrument, source: kind == .execution ? .tradeFeed : .feed, shape: shape(of: kind))
    var list = ItemList()
    var hasData = false
    while true {
      let found = apus_json_next_field(&json, entry.envelope, &walk)
      if found == BybitEnvelopeField.data.rawValue, kind != .other {
        list = readList(&json, context.shape)
        hasData = true
      } else if found == APUS_JSON_FIELD_END {
        break
      } else {
        json.skip()
      }
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    if kind == .other {
      ignoredItems += 1
    } else if hasData, list.isArray {
      _ = deliver(list, context, into: &sink)
    } else {
      sink.refusedAtEdge(.missingMember)
    }
  }

  func shape(of kind: BybitTopic) -> OpaquePointer {
    switch kind {
    case .trades: shapes.publicTrade.pointer
    case .order: shapes.order.pointer
    case .execution: shapes.execution.pointer
    case .fastExecution: shapes.fastExecution.pointer
    case .position: shapes.position.pointer
    case .wallet: shapes.account.pointer
    case .ticker: shapes.ticker.pointer
    case .priceLimit: shapes.priceLimit.pointer
    case .book, .other: shapes.book.pointer
    }
  }

  // MARK: Text and numbers

  /// Replaces raw text with escapes by what it means. Text that does not fit becomes empty, which nothing equals.
  mutating func plain(_ text: inout JSONText) {
    guard text.has_escapes, let bytes = text.bytes else { return }
    let start = scratch + scratchCount
    let count = apus_json_unescape(bytes, text.count, start, Self.scratchCapacity - scratchCount)
    text = JSONText(bytes: UnsafePointer(start), count: max(0, Int(count)), has_escapes: false)
    scratchCount += text.count
  }

  /// A member that is a string, its escapes resolved; empty if it is not there.
  @inline(always)
  mutating func text(_ members: OpaquePointer, _ field: some FrameField) -> JSONText {
    var text = apus_members_text(members, field.rawValue)
    plain(&text)
    return text
  }

  /// What a string that should be a number holds.
  enum NumberText {
    /// The empty string: there is no value.
    case absent
    case number
    case unreadable
  }

  /// A number in quotes. The text is a part of the frame as it stands: a number has no escapes.
  @inline(always)
  func number(_ text: JSONText, _ out: inout ScannedDecimal) -> NumberText {
    guard let bytes = text.bytes, text.count > 0 else { return .absent }
    // To the end of the frame: whole words can be read then, and a number ends before its quote.
    return apus_decimal_scan(bytes, frameEnd, &out) == bytes + text.count ? .number : .unreadable
  }

  @inline(always)
  func number(_ members: OpaquePointer, _ field: some FrameField, _ out: inout ScannedDecimal) -> NumberText {
    number(apus_members_text(members, field.rawValue), &out)
  }

  /// Milliseconds in quotes to nanoseconds; 0 if there are none.
  @inline(always)
  func time(_ text: JSONText) -> Nanoseconds {
    var value = ScannedDecimal()
    return number(text, &value) == .number ? Self.time(&value) : 0
  }

  /// Milliseconds to nanoseconds; 0 if they are none.
  @inline(always)
  static func time(_ value: UnsafePointer<ScannedDecimal>) -> Nanoseconds {
    var time: Nanoseconds = 0
    // Overflow leaves it as it is.
    _ = apus_decimal_to_scaled(value, 6, &time)
    return max(0, time)
  }

  /// An id as our requests have it, `<RequestID>-<serial>`, as a string; a bare number is taken too. `nil` for any
  /// other value, which is stepped over.
  @inline(always)
  static func id(_ json: inout JSONCursor) -> UInt64? {
    var wrong = false
    if json.isNext(.number) {
      var number = ScannedDecimal()
      var value: UInt64 = 0
      return json.number(&number, wrong: &wrong) && apus_decimal_to_u64(&number, &value) ? value : nil
    }
    var text = JSONText()
    guard json.text(&text, wrong: &wrong), let bytes = text.bytes else { return nil }
    var value: UInt64 = 0
    var count = 0
    while count < text.count, count < 18 {
      let digit = UInt8(bitPattern: bytes[count]) &- 0x30
      guard digit < 10 else { break }
      value = value * 10 + UInt64(digit)
      count += 1
    }
    return count > 0 && (count == text.count || bytes[count] == 0x2D) ? value : nil
  }

  /// The index of a wanted instrument.
  @inline(always)
  func instrument(_ name: JSONText) -> InstrumentIndex? {
    guard let bytes = name.bytes, let index = instrumentNames.find(bytes, name.count) else { return nil }
    return InstrumentIndex(index)
  }

  /// The listing of an instrument that was asked for and whose grid is known.
  @inline(always)
  func listing(_ index: InstrumentIndex) -> UnsafePointer<Listing>? {
    let listing = UnsafePointer(listings + Int(index))
    return listing.pointee.hasGrid ? listing : nil
  }

  /// Whether the id is neither empty nor too long.
  @inline(always)
  static func setID(_ id: inout VenueID, _ text: JSONText) -> Bool {
    guard let bytes = text.bytes else { return false }
    return apus_id_set(&id, bytes, text.count)
  }
}
