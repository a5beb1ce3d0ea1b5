public import CSupport
import Glibc

/// What a channel that was asked for carries.
public enum DeribitChannel: UInt8, Sendable {
  case ticker, book, userChanges, protection
  /// Trades of anyone.
  case trades
  case other
}

/// Turns Deribit frames into venue events. It knows names, grids and the chains of the books, but nothing of sessions or
/// of time.
///
/// Its rules are those of `ThalexDecoder`: what is no JSON delivers nothing but `.malformed`, an item with an impossible
/// value is refused with a reason and its neighbours are delivered, and a list with a refused item is not confirmed.
/// Besides:
/// - Numbers are read as the decimals that they are, exponents included, and whole numbers beyond 2⁵³ keep every digit.
/// - A book's changes form a chain (protocol, section 7.1). One that does not fit the last voids the book, and changes are
///   stepped over until the next snapshot.
/// - Executions are delivered before the order's own report, wherever they stand in the frame.
///
/// Thread: one owner. Decoding allocates nothing.
// Sendable: every pointer in it is owned by it alone, and being noncopyable it has one owner.
public struct DeribitDecoder: ~Copyable, @unchecked Sendable {
  struct Shapes: ~Copyable {
    let envelope: JSONShape
    let detail: JSONShape
    let ticker: JSONShape
    let book: JSONShape
    let order: JSONShape
    let trade: JSONShape
    let position: JSONShape
    let instrument: JSONShape

    init() throws(TableError) {
      // Locals first: a noncopyable field must not be left behind half-way by a throw.
      let envelope = try JSONShape(DeribitEnvelopeField.keys)
      let detail = try JSONShape(DeribitDetailField.keys)
      let ticker = try JSONShape(DeribitTickerField.keys, wanted: DeribitTickerField.numbers)
      let book = try JSONShape(DeribitBookField.keys)
      let order = try JSONShape(DeribitOrderField.keys, wanted: DeribitOrderField.numbers)
      let trade = try JSONShape(DeribitTradeField.keys, wanted: DeribitTradeField.numbers)
      let position = try JSONShape(DeribitPositionField.keys, wanted: DeribitPositionField.numbers)
      let instrument = try JSONShape(DeribitInstrumentField.keys, wanted: DeribitInstrumentField.numbers)
      self.envelope = envelope
      self.detail = detail
      self.ticker = ticker
      self.book = book
      self.order = order
      self.trade = trade
      self.position = position
      self.instrument = instrument
    }
  }

  /// The chain of one book.
  struct BookChain {
    var last: UInt64 = 0
    /// Between a snapshot and the first change that does not fit.
    var isWhole = false
  }

  struct ChannelEntry {
    var kind: DeribitChannel
    var instrument: InstrumentIndex
    var product: ProductIndex
    /// Bytes of the frame's beginning in `prefixes`; 0 if the name would have to be escaped.
    var prefixCount: Int
    /// Which channel came behind this one last time.
    var next: Int
  }

  static let prefixCapacity = 160
  static let scratchCapacity = 1024
  /// Objects of one message that can be read before the first is delivered.
  static let tableCount = 8
  /// More than fit into what `ScanIndex` lists of a frame; longer books are read level by level.
  static let levelCapacity = 1024

  let shapes: Shapes
  let index: ScanIndex
  private let tables: MemberTable
  /// The members of the object that is being read or delivered.
  var table: OpaquePointer
  var instrumentNames: NameTable
  var channelNames: NameTable
  /// Indexes whose mass quotes are protected.
  private(set) var productNames: NameTable
  let listings: UnsafeMutablePointer<VenueListing>
  let chains: UnsafeMutablePointer<BookChain>
  /// The grids of the listings, as the kernels want them.
  let grids: UnsafeMutablePointer<LevelGrid>
  /// The levels of the message that is being read.
  let levels: UnsafeMutablePointer<ScannedLevel>
  private let channels: UnsafeMutablePointer<ChannelEntry>
  private let prefixes: UnsafeMutablePointer<CChar>
  private var channelCount = 0
  private var lastChannel = 0
  let scratch: UnsafeMutablePointer<CChar>
  var scratchCount = 0
  let tag: OrderTag

  /// In the order in which they were declared; the position is the index.
  private(set) var instruments: [String] = []
  /// Likewise.
  private(set) var products: [String] = []
  /// The one group of this engine's mass quotes, within each index.
  let groupName: NameTable
  /// Items about instruments that nobody asked for.
  var ignoredItems: UInt64 = 0
  /// Of the last reply; `UInt64.max` if it had none of our form.
  var lastReplyID = UInt64.max
  /// The only ids under which answers about open orders, trades, or positions are read; `nil` takes every one.
  var awaitedOrdersID: UInt64?
  var awaitedTradesID: UInt64?
  var awaitedPositionsID: UInt64?
  /// The venue's clock as the last reply that stated it has it, microseconds since the Unix epoch; 0 before the first.
  var replyTime: Int64 = 0
  /// Order messages that the account may send: a second, and at once. 0 before the venue has said so.
  var grantedRate: Int64 = 0
  var grantedBurst: Int64 = 0
  /// Mass quotes that the account may send: requests a second and at once, sides a second and at once; `nil` before the
  /// venue has said so.
  var grantedMassQuotes: (requests: Int64, requestBurst: Int64, sides: Int64, sideBurst: Int64)?
  /// The venue's time of the newest execution in the last page of trades, milliseconds since the Unix epoch.
  var newestTradeInPage: Int64 = 0
  /// More pages of the same question follow the last one.
  var hasMoreTrades = false
  /// More questions follow this one, so that its last page is not the end.
  var tradesGoOn = false

  /// - Parameters:
  ///   - instrumentCapacity: How many instruments can be wanted, 1 ... 65_535.
  ///   - labelPrefix: Orders whose label starts with it are ours.
  ///   - label: The label of this life's orders.
  ///   - scanLevel: Which kernels read the text; `nil` takes the fastest that this processor runs.
  public init(instrumentCapacity: Int, labelPrefix: String, label: String, scanLevel: ScanLevel? = nil)
    throws(TableError)
  {
    guard (1..<Int(InstrumentIndex.max)).contains(instrumentCapacity) else { throw .capacity(instrumentCapacity) }
    let channelCapacity = 4 * instrumentCapacity + 8
    let shapes = try Shapes()
    let index = try ScanIndex(scanLevel ?? apus_scan_best())
    let tables = try MemberTable(count: Self.tableCount)
    let instrumentNames = try NameTable(capacity: instrumentCapacity)
    let channelNames = try NameTable(capacity: channelCapacity)
    let productNames = try NameTable(capacity: instrumentCapacity)
    var groupName = try NameTable(capacity: 1)
    try groupName.add(DeribitWords.group(of: labelPrefix), value: 0)
    let tag = try OrderTag(prefix: labelPrefix, label: label, limit: DeribitEncoder.labelLimit)
    self.shapes = shapes
    self.index = index
    table = tables.pointer
    self.tables = tables
    self.instrumentNames = instrumentNames
    self.channelNames = channelNames
    self.productNames = productNames
    self.groupName = groupName
    self.tag = tag
    listings = .allocate(capacity: instrumentCapacity)
    chains = .allocate(capacity: instrumentCapacity)
    chains.initialize(repeating: BookChain(), count: instrumentCapacity)
    grids = .allocate(capacity: instrumentCapacity)
    grids.initialize(repeating: LevelGrid(), count: instrumentCapacity)
    levels = .allocate(capacity: Self.levelCapacity)
    levels.initialize(repeating: ScannedLevel(), count: Self.levelCapacity)
    channels = .allocate(capacity: channelCapacity)
    prefixes = .allocate(capacity: channelCapacity * Self.prefixCapacity)
    scratch = .allocate(capacity: Self.scratchCapacity)
  }

  deinit {
    listings.deallocate()
    chains.deallocate()
    grids.deallocate()
    levels.deallocate()
    channels.deallocate()
    prefixes.deallocate()
    scratch.deallocate()
  }

  // MARK: - Set-up

  /// Declares an instrument; the same name gets the same index. Its grid comes from the venue (R64).
  public mutating func want(instrument name: String) throws(TableError) -> InstrumentIndex {
    if let known = instrumentNames.value(of: name) { return InstrumentIndex(known) }
    let index = InstrumentIndex(instruments.count)
    try instrumentNames.add(name, value: UInt32(index))
    (listings + Int(index)).initialize(to: VenueListing(wanted: index))
    instruments.append(name)
    return index
  }

  /// Declares an index whose mass quotes are protected, such as `btc_usd`; the same name gets the same number.
  mutating func want(product name: String) throws(TableError) -> ProductIndex {
    if let known = productNames.value(of: name) { return ProductIndex(known) }
    guard products.count < Int(noProduct) else { throw .full(capacity: Int(noProduct)) }
    try productNames.add(name, value: UInt32(products.count))
    products.append(name)
    return ProductIndex(products.count - 1)
  }

  /// The number of an index; `noProduct` if it was not asked for.
  func product(_ name: JSONText) -> ProductIndex {
    guard let bytes = name.bytes, let found = productNames.find(bytes, name.count) else { return noProduct }
    return ProductIndex(found)
  }

  /// The last listing of an instrument; `nil` before the first.
  func info(of index: InstrumentIndex) -> InstrumentInfo? {
    guard Int(index) < instruments.count, listings[Int(index)].hasGrid else { return nil }
    return listings[Int(index)].info
  }

  func isListed(_ index: InstrumentIndex) -> Bool {
    Int(index) < instruments.count && listings[Int(index)].isListed
  }

  /// The venue does not know an instrument any more.
  mutating func delist(_ index: InstrumentIndex) { listings[Int(index)].isListed = false }

  /// Declares a channel by its exact name.
  public mutating func register(
    channel name: String, kind: DeribitChannel, instrument: InstrumentIndex = .max, product: ProductIndex = noProduct
  ) throws(TableError) {
    let prefix = "{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{\"channel\":\"\(name)\",\"data\":".utf8
    let isPlain = name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C } && prefix.count <= Self.prefixCapacity
    guard isPlain else { throw .unusableName(name) }
    try channelNames.add(name, value: UInt32(channelCount))
    (channels + channelCount).initialize(
      to: ChannelEntry(
        kind: kind, instrument: instrument, product: product, prefixCount: prefix.count, next: channelCount))
    for (place, byte) in prefix.enumerated() {
      prefixes[channelCount * Self.prefixCapacity + place] = CChar(bitPattern: byte)
    }
    channelCount += 1
  }

  /// For a new connection: books begin with snapshots, and answers to old questions no longer come.
  public mutating func forgetConnection() {
    for index in instruments.indices { chains[index] = BookChain() }
    awaitedOrdersID = nil
    awaitedTradesID = nil
    awaitedPositionsID = nil
    tradesGoOn = false
  }

  // MARK: - Frames

  /// Reads one frame and delivers what it says.
  public mutating func decode<Sink: VenueEventSink & ~Copyable>(_ text: UnsafeRawBufferPointer, into sink: inout Sink) {
    guard let base = text.baseAddress else {
      sink.refusedAtEdge(.malformed)
      return
    }
    scratchCount = 0
    apus_index_clear(index.pointer)
    var json = apus_json_begin(base.assumingMemoryBound(to: CChar.self), text.count)
    // Channels tend to follow one another as they did: one comparison instead of a search for the name.
    if channelCount > 0 {
      let guess = channels[lastChannel].next
      let count = channels[guess].prefixCount
      if text.count >= count, apus_json_same(json.at, prefixes + guess * Self.prefixCapacity, count) {
        json.at += count
        lastChannel = guess
        notification(guess, &json, into: &sink)
        return
      }
    }
    if json.accept("{\"jsonrpc\":\"2.0\",\"method\":\"subscription\",\"params\":{\"channel\":\"") {
      var name = JSONText()
      if apus_json_string_rest(&json, &name), !name.has_escapes, json.accept(",\"data\":"), let bytes = name.bytes,
        let found = channelNames.find(bytes, name.count)
      {
        channels[lastChannel].next = Int(found)
        lastChannel = Int(found)
        notification(Int(found), &json, into: &sink)
        return
      }
    }
    json = apus_json_begin(base.assumingMemoryBound(to: CChar.self), text.count)
    if json.accept("{\"jsonrpc\":\"2.0\",\"id\":"), plainReply(json, into: &sink) { return }
    general(apus_json_begin(base.assumingMemoryBound(to: CChar.self), text.count), into: &sink)
  }

  /// The object of a message that is to be read into, or delivered from, `table` next; the first for `place` 0.
  @inline(always)
  mutating func useTable(_ place: Int) { table = tables[place] }

  /// The reply to an insert or an amend as Deribit writes it, if nothing was executed at once; the id is next. Read in one
  /// pass, and delivered when all of it has been seen. False if it is another reply or is written in another way; nothing
  /// has been delivered then.
  private mutating func plainReply<Sink: VenueEventSink & ~Copyable>(
    _ frame: JSONCursor, into sink: inout Sink
  ) -> Bool {
    var json = frame
    var id = ScannedDecimal(), timeOut = ScannedDecimal()
    guard apus_json_number(&json, &id), json.accept(",\"result\":{\"order\":{") else { return false }
    let request = kind(of: id)
    switch request {
    case .insert, .amend: break
    default: return false
    }
    apus_index_build(index.pointer, json.at, json.end - json.at)
    useTable(0)
    guard apus_members_scan(&json, shapes.order.pointer, table, index.pointer), json.accept(",\"trades\":[]}") else {
      return false
    }
    var walk = JSONWalk(last: UInt32(DeribitEnvelopeField.result.rawValue) + 1, started: true)
    var hasTime = false, wrong = false
    while true {
      let found = apus_json_next_field(&json, shapes.envelope.pointer, &walk)
      guard let field = DeribitEnvelopeField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .timeOut: hasTime = json.number(&timeOut, wrong: &wrong)
      case .timeIn, .timeDifference, .testnet: json.skip()
      case .version, .id, .method, .parameters, .result, .error: return false
      }
    }
    guard apus_json_finish(&json) else { return false }
    if hasTime { _ = apus_decimal_to_scaled(&timeOut, 0, &replyTime) }
    if deliverOrder(source: .reply, amendSerial: request.amendSerial, into: &sink) == .delivered {
      sink.replied(request, value: 0)
    }
    return true
  }

  /// The data of a notification is next, inside two objects that are still open.
  private mutating func notification<Sink: VenueEventSink & ~Copyable>(
    _ channel: Int, _ json: inout JSONCursor, into sink: inout Sink
  ) {
    let entry = channels[channel]
    apus_index_build(index.pointer, json.at, json.end - json.at)
    switch entry.kind {
    case .ticker: ticker(entry.instrument, &json, isOpen: true, into: &sink)
    case .book: book(entry.instrument, json, isOpen: true, into: &sink)
    case .userChanges: changes(&json, isOpen: true, into: &sink)
    case .protection: protectionTriggered(entry.product, &json, isOpen: true, into: &sink)
    case .trades: publicTrades(&json, isOpen: true, into: &sink)
    case .other:
      json.skip()
      if ends(&json, isOpen: true) { ignoredItems += 1 } else { sink.refusedAtEdge(.malformed) }
    }
  }

  /// Whether the frame ends well behind a value that has been read.
  @inline(always)
  mutating func ends(_ json: inout JSONCursor, isOpen: Bool) -> Bool {
    guard isOpen, !json.failed else { return apus_json_finish(&json) }
    if json.end - json.at == 2, json.at[0] == 0x7D, json.at[1] == 0x7D { return true }
    return Self.closes(&json, shapes.detail.pointer, shapes.envelope.pointer)
  }

  /// What stands behind the data: nothing that is wanted, in `params` and in the envelope.
  @inline(never)
  private static func closes(_ json: inout JSONCursor, _ parameters: OpaquePointer, _ envelope: OpaquePointer) -> Bool {
    var walk = JSONWalk(last: 0, started: true)
    while apus_json_next_field(&json, parameters, &walk) != APUS_JSON_FIELD_END { json.skip() }
    walk = JSONWalk(last: 0, started: true)
    while apus_json_next_field(&json, envelope, &walk) != APUS_JSON_FIELD_END { json.skip() }
    return apus_json_finish(&json)
  }

  /// Any order of members, any white space; all replies.
  private mutating func general<Sink: VenueEventSink & ~Copyable>(_ frame: JSONCursor, into sink: inout Sink) {
    var json = frame
    var walk = JSONWalk()
    var id = ScannedDecimal(), timeOut = ScannedDecimal()
    var method = JSONText()
    var hasID = false, isNumber = false, hasTime = false, wrong = false
    var parameters: JSONCursor?
    var result: JSONCursor?
    var error: JSONCursor?
    guard apus_json_enter_object(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    while true {
      let found = apus_json_next_field(&json, shapes.envelope.pointer, &walk)
      guard let field = DeribitEnvelopeField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .id:
        hasID = true
        var isOther = false
        isNumber = json.number(&id, wrong: &isOther)
      case .method: _ = json.text(&method, wrong: &wrong)
      case .parameters: parameters = json.checkedSlice()
      case .result: result = json.checkedSlice()
      case .error: error = json.isNext(.null) ? (json.skip(), nil).1 : json.checkedSlice()
      case .timeOut: hasTime = json.number(&timeOut, wrong: &wrong)
      case .version, .timeIn, .timeDifference, .testnet: json.skip()
      }
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    if hasTime { _ = apus_decimal_to_scaled(&timeOut, 0, &replyTime) }
    if method.count > 0 {
      notified(method, parameters, into: &sink)
    } else if let error {
      failure(isNumber ? kind(of: id) : noID(), error, into: &sink)
    } else if let result {
      success(isNumber ? kind(of: id) : noID(), result, into: &sink)
    } else {
      sink.refusedAtEdge(hasID ? .missingMember : .malformed)
    }
  }

  /// A notification that is written in another way than usual, or is no subscription's.
  private mutating func notified<Sink: VenueEventSink & ~Copyable>(
    _ method: JSONText, _ parameters: JSONCursor?, into sink: inout Sink
  ) {
    guard var parameters else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    if method.equals("heartbeat") {
      var word = JSONText()
      var wrong = false
      guard member(.type, of: &parameters, { $0.text(&word, wrong: &wrong) }) else {
        sink.refusedAtEdge(.missingMember)
        return
      }
      if word.equals("test_request") { sink.heartbeatRequested() }
      return
    }
    guard method.equals("subscription") else {
      ignoredItems += 1
      return
    }
    var name = JSONText()
    var data: JSONCursor?
    var wrong = false
    guard apus_json_enter_object(&parameters) else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    var walk = JSONWalk()
    while true {
      let field = apus_json_next_field(&parameters, shapes.detail.pointer, &walk)
      if field == APUS_JSON_FIELD_END { break }
      if field == DeribitDetailField.channel.rawValue {
        _ = parameters.text(&name, wrong: &wrong)
      } else if field == DeribitDetailField.data.rawValue {
        data = parameters.checkedSlice()
      } else {
        parameters.skip()
      }
    }
    plain(&name)
    guard let bytes = name.bytes, var data else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    guard let found = channelNames.find(bytes, name.count) else {
      sink.refusedAtEdge(.unknownName)
      return
    }
    let entry = channels[Int(found)]
    switch entry.kind {
    case .ticker: ticker(entry.instrument, &data, isOpen: false, into: &sink)
    case .book: book(entry.instrument, data, isOpen: false, into: &sink)
    case .userChanges: changes(&data, isOpen: false, into: &sink)
    case .protection: protectionTriggered(entry.product, &data, isOpen: false, into: &sink)
    case .trades: publicTrades(&data, isOpen: false, into: &sink)
    case .other: ignoredItems += 1
    }
  }

  /// Remembers the id and says what the request was.
  private mutating func kind(of number: ScannedDecimal) -> RequestKind {
    var number = number
    lastReplyID = .max
    var id: UInt64 = 0
    guard apus_decimal_to_u64(&number, &id) else { return .unknown }
    lastReplyID = id
    return RequestID.kind(of: id)
  }

  private mutating func noID() -> RequestKind {
    lastReplyID = .max
    return .unknown
  }

  // MARK: - Text and numbers

  /// Replaces raw text with escapes by what it means. Text that does not fit becomes empty, which nothing equals.
  mutating func plain(_ text: inout JSONText) {
    guard text.has_escapes, let bytes = text.bytes else { return }
    let start = scratch + scratchCount
    let count = apus_json_unescape(bytes, text.count, start, Self.scratchCapacity - scratchCount)
    text = JSONText(bytes: UnsafePointer(start), count: max(0, Int(count)), has_escapes: false)
    scratchCount += text.count
  }

  /// The listing of an instrument that was asked for and whose grid is known.
  @inline(always)
  func listing(_ index: InstrumentIndex) -> UnsafePointer<VenueListing>? {
    let listing = UnsafePointer(listings + Int(index))
    return listing.pointee.hasGrid ? listing : nil
  }

  /// The index of a wanted instrument.
  @inline(always)
  mutating func instrument(_ name: JSONText) -> InstrumentIndex? {
    guard let bytes = name.bytes, let index = instrumentNames.find(bytes, name.count) else { return nil }
    return InstrumentIndex(index)
  }

  /// Steps over an object and reads one of its members; whether it was there and readable. Another value than an
  /// object is stepped over.
  func member(_ wanted: DeribitDetailField, of json: inout JSONCursor, _ read: (inout JSONCursor) -> Bool) -> Bool {
    guard json.isNext(.object) else {
      json.skip()
      return false
    }
    json.at += 1
    var found = false
    var walk = JSONWalk()
    while true {
      let field = apus_json_next_field(&json, shapes.detail.pointer, &walk)
      if field == APUS_JSON_FIELD_END { return found }
      if field == wanted.rawValue { found = read(&json) } else { json.skip() }
    }
  }

  /// Reads an object into `members`; false if another value stood here. The cursor fails if it is no JSON.
  @inline(always)
  mutating func scan(_ json: inout JSONCursor, _ shape: OpaquePointer) -> Bool {
    guard json.isNext(.object) else {
      json.skip()
      return false
    }
    json.at += 1
    return apus_members_scan(&json, shape, table, index.pointer)
  }

  /// A member that is a string, its escapes resolved; empty if it is not there.
  @inline(always)
  mutating func text<Field: FrameField>(_ field: Field) -> JSONText {
    var text = apus_members_text(table, field.rawValue)
    if text.has_escapes { plain(&text) }
    return text
  }

  /// A member that is a number.
  @inline(always)
  func decimal<Field: FrameField>(_ field: Field) -> UnsafePointer<ScannedDecimal> {
    apus_members_decimal(table, field.rawValue)
  }

  /// Milliseconds to nanoseconds; 0 if it is too large to be a time.
  @inline(always)
  func time<Field: FrameField>(_ field: Field) -> Nanoseconds {
    var time: Nanoseconds = 0
    return apus_decimal_to_scaled(decimal(field), 6, &time) == .overflow ? 0 : time
  }
}
