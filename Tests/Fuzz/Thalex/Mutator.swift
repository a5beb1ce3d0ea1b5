import CSupport

@_silgen_name("LLVMFuzzerMutate")
private func mutateBytes(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ maxSize: Int) -> Int

/// Mutates the tree of a frame, so that the result is JSON again in most cases and reaches what lies behind the
/// scanner; and the bytes, as libFuzzer does, in the others.
@_cdecl("LLVMFuzzerCustomMutator")
public func customMutator(
  _ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ maxSize: Int, _ seed: CUnsignedInt
) -> Int {
  var mutator = Mutator(seed: seed)
  var frames = Array(UnsafeBufferPointer(start: data, count: size)).split(
    separator: separator, omittingEmptySubsequences: false
  ).map { Array($0) }
  guard mutator.chance(80), !frames.isEmpty else { return mutateBytes(data, size, maxSize) }
  mutator.mutate(&frames)
  let bytes = Array(frames.joined(separator: [separator]))
  guard bytes.count <= maxSize, !bytes.isEmpty else { return mutateBytes(data, size, maxSize) }
  UnsafeMutableBufferPointer(start: data, count: maxSize).baseAddress!.update(from: bytes, count: bytes.count)
  return bytes.count
}

private struct Mutator {
  private var state: UInt64

  init(seed: CUnsignedInt) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 ^ 0xD1B5_4A32_D192_ED03 }

  private mutating func word() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return z ^ z >> 31
  }
  private mutating func below(_ limit: Int) -> Int { Int(word() % UInt64(max(limit, 1))) }
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
  private mutating func pick<T>(_ items: [T]) -> T { items[below(items.count)] }

  // MARK: What is put in

  private static let numbers = [
    "0", "-0", "0.0", "1", "-1", "0.001", "0.1", "76280", "76280.0", "76280.5", "1e0", "7628E1", "7.628e+4", "1e-3",
    "100e-5", "0.0000000001", "0.000000005", "9223372036854775807", "9223372036854775808", "92233720368.54775807",
    "92233720368.54775808", "-92233720368.54775807", "18446744073709551615", "18446744073709551616", "1e18", "1e19",
    "1e400", "1e-400", "12345678901234567890123", "0.00000000000000000001", "1776715498.201377", "1e99999999999",
    "0.12345678901234567890", "100000000", "99999999.99999999", "4503599627370495", "2", "10", "76280.00000000",
    "0.00000007", "123.45678901", "0.500", "000", "01", "1.", "-",
  ]
  private static let words = [
    "buy", "sell", "open", "partially_filled", "filled", "cancelled", "cancelled_partially_filled", "insert", "amend",
    "cancel", "fill", "existing", "client_cancel", "session_end", "mm_protection", "maker", "taker", "normal",
    "daily_mark", "combo", "perpetual", "future", "option", "combination", "reconnect", "bid", "ask",
    "call", "put", "BTCUSD", "amend", "delete", "refill", "executions", "failover", "FBTCUSD", "OBTCUSD", "FETHUSD",
    "mm", "mm-1", "m", "other", "",
    "BTC-PERPETUAL", "BTC-24APR26", "BTC-26JUN26", "BTC-21APR26-75000-P", "BTC-21APR26-PERPETUAL", "BTC-21APR26",
    "ODD-GRID", "ETH-PERPETUAL", "001F3C2600000019", "008000000000000D18425435FE7D3001",
    "123456789012345678901234567890123456789", "1234567890123456789012345678901234567890",
  ]
  private static let keys = [
    "channel_name", "notification", "snapshot", "id", "result", "error", "mark_price", "mark_timestamp",
    "best_bid_price", "best_bid_amount", "best_ask_price", "best_ask_amount", "last_price", "index", "collar_low",
    "collar_high", "funding_rate", "iv", "delta", "b", "a", "m", "l", "v", "trades", "bid_changes", "ask_changes",
    "total_bid_amount", "time", "order_id", "instrument_name", "direction", "price", "amount", "filled_amount",
    "remaining_amount", "label", "client_order_id", "status", "fills", "change_reason", "delete_reason", "create_time",
    "persistent", "legs", "trade_id", "trade_type", "fee", "maker_taker", "leg_index", "position", "average_price",
    "tick_size", "volume_tick_size", "min_order_amount", "type", "expiration_timestamp", "code", "message_rate",
    "tickers", "cash", "margin", "required_margin", "remaining_margin", "cash_collateral", "unrealised_pnl",
    "session_realised_pnl", "base_name", "index_delta", "index_name", "previous_settlement_price", "strike_price",
    "option_type", "underlying", "forward", "n_success", "n_fail", "errors", "side", "product", "reason",
    "account_number", "bookmark", "event", "added",
    "removed", "unknown", "", "average_funding_rate_24h",
  ]
  /// Frames of each kind, compact as the venue writes them; mutation does the rest.
  private static let frames: [String] = [
    #"{"channel_name":"ticker.BTC-PERPETUAL.100ms","notification":{"mark_price":76288.41,"mark_timestamp":1776715497.7,"best_bid_price":76280,"best_bid_amount":0.4,"best_ask_price":76300,"best_ask_amount":1,"last_price":76290,"iv":null,"delta":1,"volume_24h":1.5,"index":76283.25,"collar_low":75000,"collar_high":77000,"funding_rate":0.0001}}"#,
    #"{"channel_name":"lwt.BTC-21APR26-PERPETUAL.raw","notification":{"b":[-3,0.4,0.4],"a":[0,1,1],"m":-1.25,"l":2},"snapshot":false}"#,
    #"{"channel_name":"book.BTC-PERPETUAL.none.10.100ms","notification":{"trades":[[76290,0.1,"buy",1776715497.7,false]],"bid_changes":[[76280,0.4,0.4],[76279,0]],"ask_changes":[[76300,1,1]],"time":1776715497.7},"snapshot":true}"#,
    #"{"channel_name":"session.orders","notification":[{"order_id":"001F","instrument_name":"BTC-PERPETUAL","direction":"buy","price":76280,"amount":0.1,"filled_amount":0.04,"remaining_amount":0.06,"label":"mm","client_order_id":7,"status":"partially_filled","fills":[{"trade_id":"T1","price":76280,"amount":0.04,"time":1776715497.7,"maker_taker":"maker","leg_index":0}],"change_reason":"fill","create_time":1776715497.7,"persistent":false}],"snapshot":false}"#,
    #"{"channel_name":"account.trade_history","notification":[{"trade_type":"normal","trade_id":"T2","order_id":"001F","instrument_name":"BTC-PERPETUAL","direction":"sell","price":76280,"amount":0.04,"label":"mm","time":1776715497.7,"fee":0.1,"client_order_id":7,"maker_taker":"taker","leg_index":1}]}"#,
    #"{"channel_name":"account.portfolio","notification":[{"instrument_name":"BTC-PERPETUAL","position":-0.14,"mark_price":76288.41,"average_price":76150.25}],"snapshot":true}"#,
    #"{"channel_name":"instruments","notification":[{"added":{"instrument_name":"BTC-21APR26","tick_size":0.25,"volume_tick_size":0.01,"min_order_amount":0.02,"type":"future"}},{"removed":{"instrument_name":"ODD-GRID","tick_size":1,"volume_tick_size":1,"min_order_amount":1,"type":"option"}}],"snapshot":false}"#,
    #"{"channel_name":"price_index.BTCUSD","notification":{"index_name":"BTCUSD","price":76283.25916666667,"timestamp":1776715497.7}}"#,
    #"{"channel_name":"system","notification":{"event":"reconnect"}}"#,
    #"{"id":71,"result":{"order_id":"001F","instrument_name":"BTC-PERPETUAL","direction":"buy","price":76280,"amount":0.1,"filled_amount":0,"remaining_amount":0.1,"status":"open","fills":[],"change_reason":"insert"}}"#,
    #"{"id":90,"result":{"trades":[{"trade_id":"T3","order_id":"0","instrument_name":"BTC-24APR26","direction":"buy","price":1,"amount":1}],"bookmark":"next"}}"#,
    #"{"id":70,"result":[]}"#, #"{"id":80,"result":[{"instrument_name":"BTC-24APR26","position":1}]}"#,
    #"{"id":20,"result":{"message_rate":50}}"#, #"{"id":100,"result":42}"#,
    #"{"id":10,"result":{"account_number":"A1"}}"#,
    #"{"id":40,"result":["session.orders","system","other"]}"#, #"{"id":60,"result":["system"]}"#,
    #"{"id":73,"error":{"code":5,"message":"order not found"}}"#, #"{"id":110,"result":null}"#,
    #"{"id":120,"result":{}}"#,
    #"{"id":74,"result":{"n_success":4,"n_fail":1,"errors":[{"code":15,"message":"no tick","side":"ask","price":250.5},{"code":44,"message":""}]}}"#,
    #"{"id":130,"result":{"instrument_name":"BTC-21APR26-80000-C","product":"OBTCUSD","tick_size":5,"volume_tick_size":0.01,"min_order_amount":0.01,"underlying":"BTCUSD","type":"option","option_type":"call","expiration_timestamp":1776758400,"strike_price":80000}}"#,
    #"{"id":140,"result":{"index_name":"BTCUSD","price":76283.25,"timestamp":1776715497.7,"previous_settlement_price":74945.7}}"#,
    #"{"channel_name":"lwt_futures.BTCUSD.1000ms","notification":{"tickers":{"BTC-24APR26":[1776715497.7,76352.9,76283.26,[76340,1],[],null],"BTC-PERPETUAL":[1776715497.7,76288.41,76283.26,[76280,0.4],[76300,1],76290,-1.27,1e-05]}}}"#,
    #"{"channel_name":"lwt_options.BTCUSD.all.1000ms","notification":{"tickers":{"BTC-21APR26-75000-P":[1776715497.7,53.2,76283.26,76352.9,0.4116,[40,0.26],[75,0.25],345]}}}"#,
    #"{"channel_name":"base_price.BTCUSD.2026-04-24","notification":{"base_name":"BTC-24APR26","price":76352.9,"index":76283.25,"index_delta":1}}"#,
    #"{"id":15,"result":null}"#, #"{"id":74,"error":{"code":23,"message":"protection not set"}}"#,
    #"{"id":10995116277766,"result":null}"#,
    #"{"channel_name":"session.mm_protection","notification":[{"product":"FBTCUSD","remaining_amount":-0.0504,"reason":"executions"},{"product":"OBTCUSD","remaining_amount":1.0,"reason":"refill"}]}"#,
    "\u{01}0", "\u{01}5", "\u{01}6", "\u{01}\u{1}",
  ]

  private mutating func scalar() -> SlowJSON {
    switch below(10) {
    case 0...4: .number(Array(pick(Self.numbers).utf8))
    case 5...7: .string(Array(pick(chance(20) ? channels.map(\.0) : Self.words).utf8))
    case 8: pick([.null, .bool(true), .bool(false)])
    default: pick([.array([]), .object([]), .array([.number([0x31])])])
    }
  }

  /// An id of each kind of request, small and large.
  private mutating func requestID() -> SlowJSON {
    let operand = pick([1, 2, 7, 1001, 10_010_003, Int(RequestID.operandLimit), Int(RequestID.operandLimit) + 1])
    let id = chance(60) ? (1 + below(13) | below(3) << 8) * 10 : operand * 10 + below(8)
    return .number(Array(String(id).utf8))
  }

  // MARK: Frames

  mutating func mutate(_ frames: inout [[UInt8]]) {
    switch below(12) {
    case 0: frames.insert(Array(pick(Self.frames).utf8), at: below(frames.count + 1))
    case 1: frames.insert(pick(frames), at: below(frames.count + 1))
    case 2 where frames.count > 1: frames.remove(at: below(frames.count))
    case 3 where frames.count > 1: frames.swapAt(below(frames.count), below(frames.count))
    default: break
    }
    let place = below(frames.count)
    guard var tree = SlowJSON.parse(frames[place][...]) else {
      if chance(50) { frames[place] = Array(pick(Self.frames).utf8) }
      return
    }
    for _ in 0...below(4) { mutate(&tree) }
    frames[place] = []
    write(tree, style: chance(70) ? 0 : 1 + below(3), to: &frames[place])
    if chance(8) { frames[place].removeLast(below(frames[place].count)) }
    if chance(4) { frames[place].append(pick([0x20, 0x0A, 0x2C, 0x7D, 0x00])) }
  }

  // MARK: Trees

  private func count(_ tree: SlowJSON) -> Int {
    switch tree {
    case .array(let items): 1 + items.reduce(0) { $0 + count($1) }
    case .object(let members): 1 + members.reduce(0) { $0 + count($1.value) }
    default: 1
    }
  }

  private func node(_ tree: SlowJSON, _ place: inout Int) -> SlowJSON? {
    if place == 0 { return tree }
    place -= 1
    switch tree {
    case .array(let items):
      for item in items { if let found = node(item, &place) { return found } }
    case .object(let members):
      for member in members { if let found = node(member.value, &place) { return found } }
    default: break
    }
    return nil
  }

  /// Replaces the node at a place, counted from the root in the order of the text.
  private mutating func replace(
    _ tree: inout SlowJSON, _ place: inout Int, _ change: (inout Mutator, inout SlowJSON) -> Void
  ) {
    defer { place -= 1 }
    if place == 0 { return change(&self, &tree) }
    if place < 0 { return }
    switch tree {
    case .array(var items):
      for index in items.indices where place > 0 {
        var inner = place - 1
        replace(&items[index], &inner, change)
        place = inner + 1
      }
      tree = .array(items)
    case .object(var members):
      for index in members.indices where place > 0 {
        var inner = place - 1
        replace(&members[index].value, &inner, change)
        place = inner + 1
      }
      tree = .object(members)
    default: break
    }
  }

  private mutating func mutate(_ tree: inout SlowJSON) {
    let total = count(tree)
    var place = below(total)
    var other = below(total)
    let donor = node(tree, &other) ?? .null
    if chance(10), case .object(var members) = tree,
      let index = members.firstIndex(where: { $0.key.elementsEqual("id".utf8) })
    {
      members[index].value = requestID()
      tree = .object(members)
      return
    }
    if chance(6), case .object(var members) = tree,
      let index = members.firstIndex(where: { $0.key.elementsEqual("channel_name".utf8) })
    {
      members[index].value = .string(Array(pick(channels.map(\.0)).utf8))
      tree = .object(members)
      return
    }
    replace(&tree, &place) { mutator, node in mutator.change(&node, donor) }
  }

  private mutating func change(_ node: inout SlowJSON, _ donor: SlowJSON) {
    if chance(6) {
      node = donor
      return
    }
    switch node {
    case .number(let spelled):
      node = chance(50) ? .number(respelled(spelled)) : scalar()
    case .string(let raw):
      node = chance(50) ? .string(escaped(raw)) : scalar()
    case .null, .bool: node = scalar()
    case .array(var items):
      switch below(6) {
      case 0: items.shuffle(using: &generator)
      case 1: if !items.isEmpty { items.remove(at: below(items.count)) }
      case 2: if !items.isEmpty { items += Array(repeating: pick(items), count: 1 + below(30)) }
      case 3: items.insert(scalar(), at: below(items.count + 1))
      case 4: items.insert(donor, at: below(items.count + 1))
      default: if !items.isEmpty { items.swapAt(below(items.count), below(items.count)) }
      }
      node = .array(items)
    case .object(var members):
      switch below(9) {
      case 0: members.shuffle(using: &generator)
      case 1: if !members.isEmpty { members.remove(at: below(members.count)) }
      case 2:
        // The same member twice, with another value.
        if !members.isEmpty {
          var copy = pick(members)
          if chance(70) { copy.value = scalar() }
          members.insert(copy, at: below(members.count + 1))
        }
      case 3: members.insert(.init(key: Array(pick(Self.keys).utf8), value: scalar()), at: below(members.count + 1))
      case 4: members.insert(.init(key: Array(pick(Self.keys).utf8), value: donor), at: below(members.count + 1))
      case 5: if !members.isEmpty { members[below(members.count)].value = scalar() }
      case 6:
        if !members.isEmpty {
          let index = below(members.count)
          members[index].key = escaped(members[index].key)
        }
      case 7: if !members.isEmpty { members[below(members.count)].key = Array(pick(Self.keys).utf8) }
      default: if !members.isEmpty { members.swapAt(below(members.count), below(members.count)) }
      }
      node = .object(members)
    }
  }

  private var generator: Generator {
    get { Generator(state: state) }
    set { state = newValue.state &+ 1 }
  }
  private struct Generator: RandomNumberGenerator {
    var state: UInt64
    mutating func next() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state ^ state >> 33
    }
  }

  /// The same or nearly the same number in other words.
  private mutating func respelled(_ spelled: [UInt8]) -> [UInt8] {
    let text = String(decoding: spelled, as: UTF8.self)
    let hasExponent = text.contains("e") || text.contains("E")
    switch below(7) {
    case 0 where !hasExponent: return Array((text + pick(["e0", "E0", "e+0", "e-0", "E+00"])).utf8)
    case 1 where text.contains(".") && !hasExponent:
      // 12.34 is 1234e-2.
      let parts = text.split(separator: ".", omittingEmptySubsequences: false)
      let digits = (parts[0] + parts[1]).drop { $0 == "0" }
      return Array("\(digits.isEmpty ? "0" : digits)e-\(parts[1].count)".utf8)
    case 2 where !hasExponent: return Array((text + (text.contains(".") ? "000" : ".0")).utf8)
    case 3 where !hasExponent: return Array((text + (text.contains(".") ? "1" : ".00000001")).utf8)
    case 4: return Array((text.hasPrefix("-") ? String(text.dropFirst()) : "-" + text).utf8)
    case 5:
      var digits = spelled
      let places = digits.indices.filter { (0x30...0x39).contains(digits[$0]) }
      if let place = places.randomElement(using: &generator) { digits[place] = 0x30 + UInt8(below(10)) }
      return digits
    default:
      var digits = spelled
      let place = below(digits.count + 1)
      digits.insert(contentsOf: Array(repeating: 0x30 + UInt8(below(10)), count: 1 + below(9)), at: place)
      return digits
    }
  }

  /// The same text with one character spelled as an escape, or with one put in.
  private mutating func escaped(_ raw: [UInt8]) -> [UInt8] {
    var out = raw
    let place = below(raw.count + 1)
    if chance(60), place < raw.count, raw[place] < 0x80, raw[place] != 0x5C, place == 0 || raw[place - 1] != 0x5C {
      let hex = String(UInt32(raw[place]), radix: 16)
      let digits = String(repeating: "0", count: 4 - hex.count) + (chance(50) ? hex : hex.uppercased())
      out.replaceSubrange(place...place, with: Array("\\u\(digits)".utf8))
    } else {
      out.insert(
        contentsOf: Array(pick([#"\""#, #"\\"#, #"\/"#, #"\n"#, #"\u00e4"#, #"\uD83D\uDE00"#, #"\uDC00"#, "é"]).utf8),
        at: place)
    }
    return out
  }

  private mutating func space(_ style: Int, to out: inout [UInt8]) {
    if style == 0 || style == 1 && !chance(5) { return }
    for _ in 0..<below(style == 3 ? 24 : 3) { out.append(pick([0x20, 0x20, 0x0A, 0x09, 0x0D])) }
  }

  /// Style 0 is compact, as the venue writes; 1 to 3 have more and more white space.
  private mutating func write(_ tree: SlowJSON, style: Int, to out: inout [UInt8]) {
    space(style, to: &out)
    switch tree {
    case .null: out += "null".utf8
    case .bool(let value): out += (value ? "true" : "false").utf8
    case .number(let spelled): out += spelled
    case .string(let raw): out += [0x22] + raw + [0x22]
    case .array(let items):
      out.append(0x5B)
      for (place, item) in items.enumerated() {
        if place > 0 { out.append(0x2C) }
        write(item, style: style, to: &out)
      }
      space(style, to: &out)
      out.append(0x5D)
    case .object(let members):
      out.append(0x7B)
      for (place, member) in members.enumerated() {
        if place > 0 { out.append(0x2C) }
        space(style, to: &out)
        out += [0x22] + member.key + [0x22]
        space(style, to: &out)
        out.append(0x3A)
        write(member.value, style: style, to: &out)
      }
      space(style, to: &out)
      out.append(0x7D)
    }
    space(style, to: &out)
  }
}
