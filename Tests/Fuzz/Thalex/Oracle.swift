import CSupport

/// The slow decoder: the same meaning, derived from a parsed tree, one member after the other in the order of
/// the wire. Of a member that is given twice the later one counts.
struct Oracle {
  struct Listing {
    var info: InstrumentInfo
    var tickE8: Int64 { info.grid.tickE8 }
    var lotE8: Int64 { info.grid.lotE8 }
  }

  let names: [String]
  let channels: [String: (kind: ThalexChannel, instrument: InstrumentIndex)]
  let labelPrefix: String
  var listings: [Listing?]
  var confirmed: Set<String> = []
  var ignoredItems: UInt64 = 0
  var bookmark: String?
  var accountNumber: String?
  var lastReplyID = UInt64.max
  var awaitedOrdersID: UInt64?
  var awaitedTradesID: UInt64?
  /// By protection group: 10⁻⁸ contracts of one lot.
  var productLots: [Int64] = []
  let products: [String]
  let families: [(underlying: String, kind: InstrumentKind)] = [("BTCUSD", .option), ("BTCUSD", .combination)]
  var sink = Recorder()

  init(
    names: [String], products: [String], channels: [(String, ThalexChannel, InstrumentIndex)], labelPrefix: String
  ) {
    self.names = names
    self.products = products
    productLots = Array(repeating: 0, count: products.count)
    self.channels = Dictionary(uniqueKeysWithValues: channels.map { ($0.0, ($0.1, $0.2)) })
    self.labelPrefix = labelPrefix
    listings = Array(repeating: nil, count: names.count)
  }

  typealias Members = [SlowJSON.Member]
  typealias Text = [UInt8]

  // MARK: Typed members

  func number(_ value: SlowJSON, _ wrong: inout Bool) -> SlowNumber? {
    switch value {
    case .number(let spelled): return SlowNumber(spelled)
    case .null: return nil
    default:
      wrong = true
      return nil
    }
  }

  func text(_ value: SlowJSON, _ wrong: inout Bool) -> Text? {
    switch value {
    case .string(let raw): return SlowJSON.meaning(of: raw)
    case .null: return nil
    default:
      wrong = true
      return nil
    }
  }

  func flag(_ value: SlowJSON, _ wrong: inout Bool) -> Bool {
    switch value {
    case .bool(let flag): return flag
    case .null: return false
    default:
      wrong = true
      return false
    }
  }

  func name(_ member: SlowJSON.Member) -> String { String(decoding: member.name, as: UTF8.self) }
  func word(_ text: Text) -> String { String(decoding: text, as: UTF8.self) }
  func has(_ text: Text?, prefix: String) -> Bool {
    guard let text, !prefix.isEmpty else { return false }
    return text.starts(with: prefix.utf8)
  }
  func id(_ text: Text) -> VenueID? {
    guard (1...39).contains(text.count) else { return nil }
    var id = VenueID()
    withUnsafeMutableBytes(of: &id) { $0.copyBytes(from: text) }
    id.count = UInt8(text.count)
    return id
  }
  func index(_ text: Text) -> Int? { names.firstIndex { Array($0.utf8) == text } }

  func price(_ number: SlowNumber, _ listing: Listing, _ out: inout PriceTicks) -> DecodeProblem? {
    guard let (outcome, ticks) = number.steps(listing.tickE8), outcome != .overflow else { return .offGrid }
    if ticks <= 0, listing.info.kind != .combination { return .impossible }
    out = PriceTicks(rawValue: ticks)
    return nil
  }

  func signedSize(_ number: SlowNumber, _ listing: Listing, _ out: inout QtyLots) -> DecodeProblem? {
    guard let (outcome, lots) = number.steps(listing.lotE8), outcome != .overflow else { return .offGrid }
    out = QtyLots(rawValue: lots)
    return nil
  }

  func size(_ number: SlowNumber, _ listing: Listing, _ out: inout QtyLots) -> DecodeProblem? {
    signedSize(number, listing, &out) ?? (out.rawValue < 0 ? .impossible : nil)
  }

  // MARK: Frames

  /// Whether the envelope says one thing once. Of others only safety is asked.
  static func isPlain(_ frame: SlowJSON) -> Bool {
    guard case .object(let members) = frame else { return true }
    let known = ["channel_name", "notification", "snapshot", "id", "result", "error"]
    let names = members.map { String(decoding: $0.name, as: UTF8.self) }.filter(known.contains)
    guard Set(names).count == names.count else { return false }
    let isNotification = names.contains("channel_name") || names.contains("notification")
    let hasError = members.contains { $0.name.elementsEqual("error".utf8) && $0.value != .null }
    let isReply = names.contains("id") || names.contains("result") || names.contains("error")
    return !(isNotification && isReply) && !(hasError && names.contains("result"))
  }

  mutating func decode(_ frame: SlowJSON) {
    guard case .object(let members) = frame else { return sink.refusedAtEdge(.malformed) }
    var channel: Text?
    var id: SlowNumber?
    var hasID = false, isSnapshot = false, ignored = false
    var notification: SlowJSON?, result: SlowJSON?, error: SlowJSON?
    for member in members {
      switch name(member) {
      case "channel_name": channel = text(member.value, &ignored)
      case "id":
        hasID = true
        id = number(member.value, &ignored)
      case "snapshot": isSnapshot = flag(member.value, &ignored)
      case "notification": notification = member.value
      case "result": result = member.value
      case "error": error = member.value == .null ? nil : member.value
      default: break
      }
    }
    if let channel, let notification {
      guard let entry = channels[word(channel)] else { return sink.refusedAtEdge(.unknownName) }
      deliver(notification, entry.kind, entry.instrument, isSnapshot)
    } else if error != nil || result != nil {
      lastReplyID = id?.whole ?? .max
      let request = lastReplyID == .max ? RequestKind.unknown : RequestID.kind(of: lastReplyID)
      if let error { failure(request, error) } else if let result { success(request, result) }
    } else {
      sink.refusedAtEdge(channel != nil || hasID ? .missingMember : .malformed)
    }
  }

  mutating func deliver(
    _ value: SlowJSON, _ kind: ThalexChannel, _ instrument: InstrumentIndex, _ isSnapshot: Bool
  ) {
    let source: ReportSource = isSnapshot ? .snapshot : .feed
    switch kind {
    case .ticker: ticker(Int(instrument), value)
    case .lightTicker: lightTicker(Int(instrument), value)
    case .book: book(Int(instrument), value, isSnapshot)
    case .priceIndex: _ = priceIndex(value, 0)
    case .instruments: instruments(value, isSnapshot: isSnapshot, isWrapped: true, reply: nil)
    case .sessionOrders: orders(value, source, isSnapshot ? .sessionOrders : nil, isSession: true, reply: nil)
    case .accountOrders: orders(value, source, isSnapshot ? .accountOrders : nil, isSession: false, reply: nil)
    case .portfolio: portfolio(value, isSnapshot: isSnapshot, reply: nil)
    case .tradeHistory: trades(value, .tradeFeed, reply: nil, hasMore: false)
    case .protection: list(value, nil, reply: nil, value: 0) { $0.protection($1) }
    case .system: system(value)
    case .other: ignoredItems += 1
    case .lightFutures, .lightOptions, .lightRolls: lightTickers(value, kind)
    case .basePrice: basePrice(value)
    case .recentTrades: list(value, isSnapshot ? .recentTrades : nil, reply: nil, value: 0) { $0.recentTrade($1) }
    case .accountSummary: _ = account(value)
    case .persistentOrders: orders(value, source, isSnapshot ? .persistentOrders : nil, isSession: false, reply: nil)
    case .orderHistory: orders(value, .history, nil, isSession: false, reply: nil)
    }
  }

  // MARK: Words

  func side(_ text: Text?) -> Side? {
    guard let text else { return nil }
    return ["buy": Side.buy, "sell": .sell][word(text)]
  }
  static let statuses: [String: OrderStatus] = [
    "open": .open, "partially_filled": .partiallyFilled, "filled": .filled, "cancelled": .cancelled,
    "cancelled_partially_filled": .cancelledPartiallyFilled,
  ]
  static let changes: [String: ChangeReason] = [
    "insert": .insert, "amend": .amend, "cancel": .cancel, "fill": .fill, "existing": .existing,
  ]
  static let deletions: [String: DeleteReason] = [
    "client_cancel": .clientCancel, "filled": .filled, "immediate_cancel": .immediateCancel,
    "session_end": .sessionEnd, "client_bulk_cancel": .clientBulkCancel, "replaced": .replaced,
    "self_trade_prevention": .selfTradePrevention, "mm_protection": .protection,
    "instrument_deactivated": .instrumentDeactivated, "failover": .failover, "margin_breach": .marginBreach,
    "admin_cancel": .adminCancel,
  ]
  static let kinds: [String: InstrumentKind] = [
    "perpetual": .perpetual, "future": .future, "option": .option, "combination": .combination,
  ]
}
