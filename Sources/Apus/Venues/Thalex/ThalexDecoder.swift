import CSupport
import Glibc

/// What a subscribed channel carries.
public enum ThalexChannel: UInt8, Sendable {
  case ticker, lightTicker, book, priceIndex, instruments
  case sessionOrders, accountOrders, portfolio, tradeHistory, protection, system
  /// `lwt_futures.…`, `lwt_options.…` and `lwt_future_rolls.…`: light tickers of many instruments at once.
  case lightFutures, lightOptions, lightRolls
  case basePrice, recentTrades, accountSummary, persistentOrders, orderHistory
  /// Known and subscribed, but not interpreted: requests for quotes, conditional orders, banners, statistics. Its
  /// messages are checked to be JSON and counted in `ignoredItems`.
  case other
}

/// Turns Thalex frames into venue events. It knows names and grids, but nothing of sessions or of time.
///
/// Rules, beyond the shape of the messages:
/// - A frame that is not JSON delivers nothing but `.malformed`. Only a book that is written in another way than Thalex
///   writes it may have delivered levels before a defect inside its lists is met; the refusal then comes before the
///   `bookEnd`.
/// - An item with an impossible value is refused with a reason and not delivered; its neighbours are (R05, R20).
///   A snapshot or a reply with a refused item gets no `snapshotEnd` and no `replied`: nothing may be concluded
///   from what is missing in it.
/// - A member that is given twice has one of its values, as a rule the later one, or the item is refused.
/// - An unknown word is reported as `.unknownWord`. An order is still delivered if the word was its status
///   (`.other`: neither live nor dead), change or delete reason; without a known direction it is refused. A fill
///   whose role is unknown counts as a taker's.
/// - Instruments must be declared with `want`. Until one has been listed its grid is unknown, and what arrives
///   about it is refused as `.unknownName`. Items about other instruments are stepped over and counted in
///   `ignoredItems`, unless they are about orders of ours: then they are refused as `.unknownName`.
///
/// Thread: one owner. Decoding allocates for bookmarks and account numbers, and for nothing else.
// Sendable: every pointer in it is owned by it alone, and being noncopyable it has one owner.
public struct ThalexDecoder: ~Copyable, @unchecked Sendable {
  typealias Listing = VenueListing

  struct Family {
    var underlying: UnderlyingIndex
    var kind: InstrumentKind
  }

  struct ChannelEntry {
    var kind: ThalexChannel
    var instrument: InstrumentIndex
    var isConfirmed: Bool
    /// Of the index and of base prices, from the channel's name.
    var underlying = noUnderlying
    var expirySeconds: Int64 = 0
  }

  /// The last ticker of a channel, as text and as what was read of it.
  struct LearnedTicker {
    /// Made when the channel is registered for tickers.
    var text: OpaquePointer?
    var ticker = Ticker()
  }

  /// How the notifications of a channel begin, and which channel came behind it last time.
  struct ChannelGuess {
    /// Bytes of `{"channel_name":"…","notification":` in `prefixes`; 0 if the name would have to be escaped.
    var prefixCount: Int
    var next: Int
  }

  struct Shapes: ~Copyable {
    let envelope: JSONShape
    let ticker: JSONShape
    let optionTicker: JSONShape
    let lightTicker: JSONShape
    let book: JSONShape
    let order: JSONShape
    let fill: JSONShape
    let trade: JSONShape
    let position: JSONShape
    let instrument: JSONShape
    let massQuote: JSONShape
    let protection: JSONShape
    let priceIndex: JSONShape
    let basePrice: JSONShape
    let account: JSONShape
    let detail: JSONShape

    init() throws(TableError) {
      // Locals first: a noncopyable field must not be left behind half-way by a throw.
      let envelope = try JSONShape(EnvelopeField.keys)
      let ticker = try JSONShape(TickerField.keys, wanted: TickerField.wanted)
      let optionTicker = try JSONShape(TickerField.keys, wanted: TickerField.wanted | TickerField.ofOptions)
      let lightTicker = try JSONShape(LightTickerField.keys)
      let book = try JSONShape(BookField.keys)
      let order = try JSONShape(OrderField.keys, wanted: OrderField.numbers)
      let fill = try JSONShape(TradeField.keys)
      let trade = try JSONShape(TradeField.keys)
      let position = try JSONShape(PositionField.keys)
      let instrument = try JSONShape(InstrumentField.keys)
      let massQuote = try JSONShape(MassQuoteField.keys)
      let protection = try JSONShape(ProtectionField.keys)
      let priceIndex = try JSONShape(IndexField.keys)
      let basePrice = try JSONShape(BasePriceField.keys)
      let account = try JSONShape(AccountField.keys)
      let detail = try JSONShape(DetailField.keys)
      self.envelope = envelope
      self.ticker = ticker
      self.optionTicker = optionTicker
      self.lightTicker = lightTicker
      self.book = book
      self.order = order
      self.fill = fill
      self.trade = trade
      self.position = position
      self.instrument = instrument
      self.massQuote = massQuote
      self.protection = protection
      self.priceIndex = priceIndex
      self.basePrice = basePrice
      self.account = account
      self.detail = detail
    }
  }

  /// Room for the beginning of a notification with a name of up to 63 bytes.
  static let prefixCapacity = 128
  /// Bytes for strings with escapes, reused for each item.
  static let scratchCapacity = 1024
  /// Orders of a notification that is read in one pass; a longer one is read in two.
  static let orderCapacity = 16
  /// Levels of both sides of a book message that is read in one pass; a longer one is read in two.
  static let levelCapacity = 512
  /// Protection groups that can be wanted.
  public static let productCapacity = 64
  /// Underlyings, and families of instruments, that can be wanted.
  public static let underlyingCapacity = 64
  public static let familyCapacity = 64

  let shapes: Shapes
  let index: ScanIndex
  let tickerMembers: MemberTable
  let orderTables: MemberTable
  var instrumentNames: NameTable
  var channelNames: NameTable
  var productNames: NameTable
  var underlyingNames: NameTable
  /// The families that `want(family:kind:)` declared.
  let families: UnsafeMutablePointer<Family>
  private(set) var familyCount = 0
  /// By protection group: 10⁻⁸ contracts of one lot, 0 while it is not known.
  let productLots: UnsafeMutablePointer<Int64>
  let listings: UnsafeMutablePointer<Listing>
  let channels: UnsafeMutablePointer<ChannelEntry>
  let guesses: UnsafeMutablePointer<ChannelGuess>
  /// By channel.
  let learned: UnsafeMutablePointer<LearnedTicker>
  private let channelCapacity: Int
  private let scanLevel: ScanLevel
  let prefixes: UnsafeMutablePointer<CChar>
  /// The channel of the last notification.
  var lastChannel = 0
  let scratch: UnsafeMutablePointer<CChar>
  var scratchCount = 0
  let levels: UnsafeMutablePointer<ScannedLevel>
  /// By instrument; where the listing has a grid.
  let grids: UnsafeMutablePointer<LevelGrid>
  let labelPrefix: UnsafeMutableBufferPointer<CChar>
  let ownLabel: UnsafeMutableBufferPointer<CChar>

  /// The names in the order in which they were declared; the position is the index.
  public private(set) var instruments: [String] = []
  /// The names of the protection groups; the position is the index.
  public private(set) var products: [String] = []
  /// Apart from the array, as `channelCount` is.
  private(set) var productCount = 0
  /// The underlyings whose index or base price is subscribed; the position is the index.
  public private(set) var underlyings: [String] = []
  private var channelTexts: [String] = []
  /// Apart from the array: its count would be read through a reference for every frame.
  private var channelCount = 0

  /// Items about instruments that nobody asked for, and records that are no executions.
  public internal(set) var ignoredItems: UInt64 = 0
  /// Where the next page of the trade history starts; `nil` after the last page.
  public internal(set) var tradeHistoryBookmark: String?
  /// From the last reply to a login.
  public internal(set) var accountNumber: String?
  /// The id of the last reply; `UInt64.max` if it had none of our form. Tells repeated session requests apart.
  public internal(set) var lastReplyID = UInt64.max
  /// The only ids under which answers about open orders, trades, or positions are read; `nil` takes every one. An answer to
  /// an earlier question is stepped over whole and delivered as the reply to an unknown request.
  public var awaitedOrdersID: UInt64?
  public var awaitedTradesID: UInt64?
  public var awaitedPositionsID: UInt64?

  /// - Parameters:
  ///   - instrumentCapacity: How many instruments can be wanted, 1 ... 65_535.
  ///   - channelCapacity: How many channels can be registered.
  ///   - labelPrefix: Orders whose label starts with it are ours; empty means that no label is.
  ///   - ownLabel: The whole label of this life's orders; empty means that no mass quote is.
  ///   - scanLevel: Which kernels read the text; all of them deliver the same. `nil` takes the fastest that this
  ///     processor runs, and another choice is for tests and benchmarks.
  public init(
    instrumentCapacity: Int, channelCapacity: Int, labelPrefix: String, ownLabel: String = "",
    scanLevel: ScanLevel? = nil
  ) throws(TableError) {
    guard (1..<Int(InstrumentIndex.max)).contains(instrumentCapacity) else { throw .capacity(instrumentCapacity) }
    let level = scanLevel ?? apus_scan_best()
    let shapes = try Shapes()
    let index = try ScanIndex(level)
    let tickerMembers = try MemberTable()
    let orderTables = try MemberTable(count: Self.orderCapacity)
    let instrumentNames = try NameTable(capacity: instrumentCapacity)
    let channelNames = try NameTable(capacity: channelCapacity)
    let productNames = try NameTable(capacity: Self.productCapacity)
    let underlyingNames = try NameTable(capacity: Self.underlyingCapacity)
    self.shapes = shapes
    self.index = index
    self.tickerMembers = tickerMembers
    self.orderTables = orderTables
    self.instrumentNames = instrumentNames
    self.channelNames = channelNames
    self.productNames = productNames
    self.underlyingNames = underlyingNames
    families = .allocate(capacity: Self.familyCapacity)
    productLots = .allocate(capacity: Self.productCapacity)
    productLots.initialize(repeating: 0, count: Self.productCapacity)
    listings = .allocate(capacity: instrumentCapacity)
    channels = .allocate(capacity: channelCapacity)
    guesses = .allocate(capacity: channelCapacity)
    learned = .allocate(capacity: channelCapacity)
    learned.initialize(repeating: LearnedTicker(), count: channelCapacity)
    self.channelCapacity = channelCapacity
    self.scanLevel = level
    prefixes = .allocate(capacity: channelCapacity * Self.prefixCapacity)
    scratch = .allocate(capacity: Self.scratchCapacity)
    levels = .allocate(capacity: Self.levelCapacity)
    grids = .allocate(capacity: instrumentCapacity)
    self.labelPrefix = Self.bytes(of: labelPrefix)
    self.ownLabel = Self.bytes(of: ownLabel)
  }

  deinit {
    families.deallocate()
    productLots.deallocate()
    listings.deallocate()
    channels.deallocate()
    guesses.deallocate()
    for channel in 0..<channelCapacity { apus_repeat_destroy((learned + channel).pointee.text) }
    learned.deallocate()
    prefixes.deallocate()
    scratch.deallocate()
    levels.deallocate()
    grids.deallocate()
    labelPrefix.deallocate()
    ownLabel.deallocate()
  }

  // MARK: Set-up

  /// Declares an instrument; the same name gets the same index. Its grid comes from the venue's list (R64).
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

  /// Whether the venue lists a wanted instrument now.
  public func isListed(_ index: InstrumentIndex) -> Bool {
    Int(index) < instruments.count && listings[Int(index)].isListed
  }

  /// Declares a protection group by its name, such as `FBTCUSD`; the same name gets the same index. At most
  /// `productCapacity`. To be called before the instruments are listed: each learns then which group is its own.
  public mutating func want(product name: String) throws(TableError) -> ProductIndex {
    if let known = productNames.value(of: name) { return ProductIndex(known) }
    try productNames.add(name, value: UInt32(products.count))
    products.append(name)
    productCount = products.count
    return ProductIndex(products.count - 1)
  }

  /// The lot in which amounts of a protection group are counted, 10⁻⁸ contracts: the smallest lot that a wanted
  /// instrument of the group was listed with; `nil` before the first.
  public func lotE8(ofProduct product: ProductIndex) -> Int64? {
    guard Int(product) < products.count, productLots[Int(product)] > 0 else { return nil }
    return productLots[Int(product)]
  }

  /// Declares an underlying by its name, such as `BTCUSD`; the same name gets the same index. Channels of the index and
  /// of base prices declare theirs by themselves.
  public mutating func want(underlying name: String) throws(TableError) -> UnderlyingIndex {
    if let known = underlyingNames.value(of: name) { return UnderlyingIndex(known) }
    try underlyingNames.add(name, value: UInt32(underlyings.count))
    underlyings.append(name)
    return UnderlyingIndex(underlyings.count - 1)
  }

  /// Watches all instruments of one kind on one underlying, such as options on `BTCUSD`: each that the venue lists or
  /// takes away comes as a `listing`.
  ///
  /// - Returns: the family's number in `InstrumentListing`.
  @discardableResult
  public mutating func want(family underlying: String, kind: InstrumentKind) throws(TableError) -> Int {
    guard familyCount < Self.familyCapacity else { throw .full(capacity: Self.familyCapacity) }
    (families + familyCount).initialize(to: Family(underlying: try want(underlying: underlying), kind: kind))
    familyCount += 1
    return familyCount - 1
  }

  /// Declares a channel by its exact name. Registering a name again changes what it means and takes its
  /// confirmation away.
  ///
  /// - Parameter instrument: For tickers and books; `want` made it.
  public mutating func register(
    channel name: String, kind: ThalexChannel, instrument: InstrumentIndex = .max
  ) throws(TableError) {
    var entry = ChannelEntry(kind: kind, instrument: instrument, isConfirmed: false)
    switch kind {
    case .ticker, .lightTicker, .book:
      guard Int(instrument) < instruments.count else { throw .unusableName(name) }
    case .priceIndex, .basePrice:
      let parts = name.split(separator: ".", omittingEmptySubsequences: false)
      guard parts.count == (kind == .priceIndex ? 2 : 3), !parts[1].isEmpty else { throw .unusableName(name) }
      entry.underlying = try want(underlying: String(parts[1]))
      if kind == .basePrice {
        guard let seconds = Self.expiry(ofDate: parts[2]) else { throw .unusableName(name) }
        entry.expirySeconds = seconds
      }
    default: break
    }
    if let known = channelNames.value(of: name) {
      channels[Int(known)] = entry
      try prepareToLearn(Int(known), kind)
      return
    }
    try channelNames.add(name, value: UInt32(channelTexts.count))
    let index = channelTexts.count
    try prepareToLearn(index, kind)
    (channels + index).initialize(to: entry)
    let prefix = "{\"channel_name\":\"\(name)\",\"notification\":".utf8
    let isPlain = name.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x22 && $0 != 0x5C } && prefix.count <= Self.prefixCapacity
    (guesses + index).initialize(to: ChannelGuess(prefixCount: isPlain ? prefix.count : 0, next: index))
    if isPlain {
      for (i, byte) in prefix.enumerated() { prefixes[index * Self.prefixCapacity + i] = CChar(bitPattern: byte) }
    }
    channelTexts.append(name)
    channelCount = channelTexts.count
  }

  private func prepareToLearn(_ channel: Int, _ kind: ThalexChannel) throws(TableError) {
    if let text = learned[channel].text {
      apus_repeat_forget(text)
    } else if kind == .ticker, apus_repeat_create(scanLevel, &(learned + channel).pointee.text) != 0 {
      throw .outOfMemory
    }
  }

  /// To be called when the grid or the kind of an instrument may have changed. Cold.
  func forgetTickers(of instrument: InstrumentIndex) {
    for channel in 0..<channelCount where channels[channel].instrument == instrument {
      if let text = learned[channel].text { apus_repeat_forget(text) }
    }
  }

  // MARK: Confirmed subscriptions (R21)

  /// Whether a reply to a subscribe named every registered channel.
  public var isEveryChannelConfirmed: Bool {
    for index in 0..<channelTexts.count where !channels[index].isConfirmed { return false }
    return true
  }

  /// Whether the last reply about this channel accepted it.
  public func isConfirmed(channel name: String) -> Bool {
    guard let index = channelNames.value(of: name) else { return false }
    return channels[Int(index)].isConfirmed
  }

  /// Names of the registered channels that are, or are not, confirmed. Cold.
  public var confirmedChannels: [String] { channelTexts(confirmed: true) }
  public var unconfirmedChannels: [String] { channelTexts(confirmed: false) }

  private func channelTexts(confirmed: Bool) -> [String] {
    var texts: [String] = []
    for index in 0..<channelTexts.count where channels[index].isConfirmed == confirmed {
      texts.append(channelTexts[index])
    }
    return texts
  }

  /// For a new connection.
  public mutating func forgetConfirmations() {
    for index in 0..<channelTexts.count { channels[index].isConfirmed = false }
  }

  // MARK: Frames

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
      let guess = guesses[lastChannel].next
      let count = guesses[guess].prefixCount
      if count > 0, text.count >= count, apus_json_same(json.at, prefixes + guess * Self.prefixCapacity, count) {
        json.at += count
        lastChannel = guess
        notification(guess, &json, into: &sink)
        return
      }
    }
    // What Thalex writes starts with one of these (protocol reference 2.2); all else takes the general way.
    if json.accept("{\"channel_name\":\"") {
      var name = JSONText()
      if apus_json_string_rest(&json, &name), !name.has_escapes, json.accept(",\"notification\":") {
        guard let bytes = name.bytes, let found = channelNames.find(bytes, name.count) else {
          json.skip()
          sink.refusedAtEdge(closeEnvelope(&json) == nil ? .malformed : .unknownName)
          return
        }
        guesses[lastChannel].next = Int(found)
        lastChannel = Int(found)
        notification(Int(found), &json, into: &sink)
        return
      }
    } else if json.accept("{\"id\":") {
      var number = ScannedDecimal()
      if json.isNext(.number), apus_json_number(&json, &number), json.accept(",\"result\":") {
        let request = kind(of: number)
        switch request {
        case .insert, .amend, .cancel:
          apus_index_build(index.pointer, json.at, json.end - json.at)
          orderReply(request, &json, isOpen: true, into: &sink)
          return
        default: break
        }
      }
    }
    general(apus_json_begin(base.assumingMemoryBound(to: CChar.self), text.count), into: &sink)
  }

  /// Remembers the id and says what the request was.
  mutating func kind(of number: ScannedDecimal) -> RequestKind {
    var number = number
    lastReplyID = .max
    var id: UInt64 = 0
    guard apus_decimal_to_u64(&number, &id) else { return .unknown }
    lastReplyID = id
    return RequestID.kind(of: id)
  }

  /// A notification whose value is next, inside an envelope that is still open.
  private mutating func notification<Sink: VenueEventSink & ~Copyable>(
    _ channel: Int, _ json: inout JSONCursor, into sink: inout Sink
  ) {
    let entry = channels[channel]
    switch entry.kind {
    case .ticker:
      if learnedTicker(channel, entry.instrument, &json, into: &sink) { return }
      apus_index_build(index.pointer, json.at, json.end - json.at)
      ticker(entry.instrument, &json, isOpen: true, channel: channel, into: &sink)
      return
    case .lightTicker:
      lightTicker(entry.instrument, &json, isOpen: true, into: &sink)
      return
    case .book:
      apus_index_build(index.pointer, json.at, json.end - json.at)
      if plainBook(entry.instrument, json, into: &sink) { return }
    case .sessionOrders, .accountOrders:
      apus_index_build(index.pointer, json.at, json.end - json.at)
      let isSession = entry.kind == .sessionOrders
      if plainOrders(json, snapshot: isSession ? .sessionOrders : .accountOrders, isSession: isSession, into: &sink) {
        return
      }
    default: break
    }
    // The snapshot flag stands behind the value: look at it first. Only a book may deliver before all is checked.
    apus_json_space(&json)
    let start = json.at
    _ = entry.kind == .book ? apus_json_leap(&json) : apus_json_skip(&json)
    let value = apus_json_begin(start, json.failed ? 0 : json.at - start)
    guard let isSnapshot = closeEnvelope(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    notification(entry, value, isSnapshot: isSnapshot, into: &sink)
  }

  /// A notification whose value stands alone.
  private mutating func notification<Sink: VenueEventSink & ~Copyable>(
    _ entry: ChannelEntry, _ value: JSONCursor, isSnapshot: Bool, into sink: inout Sink
  ) {
    var json = value
    switch entry.kind {
    case .ticker: ticker(entry.instrument, &json, isOpen: false, into: &sink)
    case .lightTicker: lightTicker(entry.instrument, &json, isOpen: false, into: &sink)
    case .book: book(entry.instrument, &json, isSnapshot: isSnapshot, into: &sink)
    case .priceIndex: _ = priceIndex(&json, entry.underlying, into: &sink)
    case .basePrice: basePrice(&json, entry, into: &sink)
    case .lightFutures, .lightOptions, .lightRolls: lightTickers(&json, entry.kind, into: &sink)
    case .recentTrades: recentTrades(&json, isSnapshot: isSnapshot, into: &sink)
    case .accountSummary: _ = account(&json, into: &sink)
    case .persistentOrders:
      orders(
        &json, source: isSnapshot ? .snapshot : .feed, snapshot: isSnapshot ? .persistentOrders : nil, isSession: false,
        reply: nil, into: &sink)
    case .orderHistory: orders(&json, source: .history, snapshot: nil, isSession: false, reply: nil, into: &sink)
    case .instruments: instruments(&json, snapshot: isSnapshot, isWrapped: true, reply: nil, into: &sink)
    case .sessionOrders:
      orders(
        &json, source: isSnapshot ? .snapshot : .feed, snapshot: isSnapshot ? .sessionOrders : nil, isSession: true,
        reply: nil, into: &sink)
    case .accountOrders:
      orders(
        &json, source: isSnapshot ? .snapshot : .feed, snapshot: isSnapshot ? .accountOrders : nil, isSession: false,
        reply: nil, into: &sink)
    case .portfolio: portfolio(&json, snapshot: isSnapshot, reply: nil, into: &sink)
    case .tradeHistory: trades(&json, source: .tradeFeed, reply: nil, into: &sink)
    case .protection: protections(&json, into: &sink)
    case .system: system(&json, into: &sink)
    case .other:
      json.skip()
      if apus_json_finish(&json) { ignoredItems += 1 } else { sink.refusedAtEdge(.malformed) }
    }
  }

  /// Reads what is left of an open envelope to the end of the frame; the snapshot flag, or `nil` if this is no JSON.
  ///
  /// Mutating, like all that is called for every frame: a borrow of this noncopyable value would copy it.
  @inline(always)
  mutating func closeEnvelope(_ json: inout JSONCursor) -> Bool? {
    if json.end - json.at == 1, json.at.pointee == 0x7D { return false }
    return Self.closeEnvelope(&json, shapes.envelope.pointer)
  }

  @inline(never)
  private static func closeEnvelope(_ json: inout JSONCursor, _ shape: OpaquePointer) -> Bool? {
    var walk = JSONWalk(last: UInt32(EnvelopeField.notification.rawValue) + 1, started: true)
    var isSnapshot = false
    while true {
      let field = apus_json_next_field(&json, shape, &walk)
      if field == APUS_JSON_FIELD_END { break }
      if field == EnvelopeField.snapshot.rawValue, json.isNext(.bool) {
        _ = apus_json_bool(&json, &isSnapshot)
      } else {
        json.skip()
      }
    }
    return apus_json_finish(&json) ? isSnapshot : nil
  }

  /// Whether the frame ends well behind a value that has been read.
  @inline(always)
  mutating func ends(_ json: inout JSONCursor, isOpen: Bool) -> Bool {
    isOpen ? closeEnvelope(&json) != nil : apus_json_finish(&json)
  }

  /// Any order of members, any white space.
  private mutating func general<Sink: VenueEventSink & ~Copyable>(_ frame: JSONCursor, into sink: inout Sink) {
    var json = frame
    var walk = JSONWalk()
    var name = JSONText()
    var id = ScannedDecimal()
    var hasName = false, hasID = false, isNumber = false, isSnapshot = false, wrong = false
    var notificationValue: JSONCursor?
    var result: JSONCursor?
    var error: JSONCursor?
    guard apus_json_enter_object(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    while true {
      let index = apus_json_next_field(&json, shapes.envelope.pointer, &walk)
      guard let field = EnvelopeField(rawValue: index) else {
        if index == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .channelName: hasName = json.text(&name, wrong: &wrong)
      case .id:
        hasID = true
        var isOther = false
        isNumber = json.number(&id, wrong: &isOther)
      case .snapshot: isSnapshot = json.flag(wrong: &wrong)
      case .notification: notificationValue = json.checkedSlice()
      case .result: result = json.checkedSlice()
      case .error: error = json.isNext(.null) ? (json.skip(), nil).1 : json.checkedSlice()
      }
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    if hasName, let value = notificationValue {
      plain(&name)
      if let bytes = name.bytes, let channel = channelNames.find(bytes, name.count) {
        notification(channels[Int(channel)], value, isSnapshot: isSnapshot, into: &sink)
      } else {
        sink.refusedAtEdge(.unknownName)
      }
    } else if let error {
      failure(isNumber ? kind(of: id) : noID(), error, into: &sink)
    } else if let result {
      success(isNumber ? kind(of: id) : noID(), result, into: &sink)
    } else {
      sink.refusedAtEdge(hasName || hasID ? .missingMember : .malformed)
    }
  }

  private mutating func noID() -> RequestKind {
    lastReplyID = .max
    return .unknown
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

  /// The listing of an instrument that was asked for and whose grid is known.
  @inline(always)
  func listing(_ index: InstrumentIndex) -> UnsafePointer<Listing>? {
    let listing = UnsafePointer(listings + Int(index))
    return listing.pointee.hasGrid ? listing : nil
  }

  private static func bytes(of text: String) -> UnsafeMutableBufferPointer<CChar> {
    let bytes = UnsafeMutableBufferPointer<CChar>.allocate(capacity: text.utf8.count)
    _ = bytes.initialize(from: text.utf8.lazy.map { CChar(bitPattern: $0) })
    return bytes
  }

  /// The label is the one of this life's orders.
  func isOfThisLife(_ label: JSONText) -> Bool {
    guard let bytes = label.bytes, let own = ownLabel.baseAddress, !ownLabel.isEmpty else { return false }
    return label.count == ownLabel.count && memcmp(bytes, own, ownLabel.count) == 0
  }

  /// The run that a label of ours names by its boot epoch, in base 36; 0 if there is no such number.
  func run(of label: JSONText) -> UInt64 {
    guard let bytes = label.bytes, label.count > labelPrefix.count else { return 0 }
    return OrderTag.run(bytes + labelPrefix.count, label.count - labelPrefix.count)
  }

  /// The label says that the order is this engine's (R14).
  mutating func isOurs(_ label: JSONText) -> Bool {
    guard let bytes = label.bytes, let prefix = labelPrefix.baseAddress, !labelPrefix.isEmpty else { return false }
    return label.count >= labelPrefix.count && memcmp(bytes, prefix, labelPrefix.count) == 0
  }
}
