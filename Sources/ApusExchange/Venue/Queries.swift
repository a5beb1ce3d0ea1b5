import Apus
import CSupport

/// Requests that only read, and the venue's own books.
extension SimulatedVenue {
  func withMarket(_ arguments: Arguments, _ body: (Market) -> Void) -> VenueFault? {
    guard case .value(let name) = arguments.string("instrument_name") else { return .invalidRequest }
    guard let market = marketsByName[name] else { return .unknownInstrument }
    body(market)
    return nil
  }

  func writeInstrument(_ out: TextBuffer, _ market: Market) {
    let spec = market.spec
    out.raw("{\"instrument_name\":")
    out.quoted(spec.name)
    out.raw(",\"product\":")
    out.quoted(spec.product)
    out.raw(",\"tick_size\":")
    out.e8(spec.grid.tickE8)
    out.raw(",\"volume_tick_size\":")
    out.e8(spec.grid.lotE8)
    out.raw(",\"min_order_amount\":")
    out.e8(spec.grid.lotE8 * spec.grid.minimumLots.rawValue)
    out.raw(",\"underlying\":")
    out.quoted(spec.underlying)
    out.raw(spec.kind == .perpetual ? ",\"type\":\"perpetual\"" : ",\"type\":\"future\"")
    if spec.kind == .future {
      out.raw(",\"expiry_date\":")
      out.quoted(spec.expiryDate)
      out.raw(",\"expiration_timestamp\":")
      out.integer(spec.expirySeconds)
    }
    out.raw(",\"base_currency\":\"USD\",\"create_time\":1630051200.0}")
  }

  func instruments(_ arguments: Arguments) -> VenueFault? {
    var wanted: [Market] = markets
    switch arguments.string("underlying") {
    case .absent: break
    case .value(let name):
      guard underlyings.contains(where: { $0.name == Array(name.utf8) }) else { return .unknownUnderlying }
      wanted.removeAll { $0.spec.underlying != name }
    case .wrong: return .invalidRequest
    }
    switch arguments.string("instrument_type") {
    case .absent, .value("futures"): break
    case .value("options"), .value("future_rolls"): wanted.removeAll()
    default: return .invalidRequest
    }
    switch arguments.string("expiry_date") {
    case .absent: break
    case .value(let date): wanted.removeAll { $0.spec.expiryDate != date }
    case .wrong: return .invalidRequest
    }
    reply.byte(UInt8(ascii: "["))
    for (place, market) in wanted.enumerated() {
      if place > 0 { reply.byte(UInt8(ascii: ",")) }
      writeInstrument(reply, market)
    }
    reply.byte(UInt8(ascii: "]"))
    return nil
  }

  func writeBook(_ out: TextBuffer, _ market: Market) {
    for side in [Side.buy, Side.sell] {
      out.raw(side == .buy ? "{\"bids\":[" : "],\"asks\":[")
      var isFirst = true
      market.levels(side, limit: 5) { price, lots in
        if !isFirst { out.byte(UInt8(ascii: ",")) }
        isFirst = false
        writeFullLevel(out, market, price.rawValue, lots.rawValue)
        return true
      }
    }
    out.raw("],\"last\":")
    if let last = market.lastPrice { out.e8(last.rawValue * market.spec.grid.tickE8) } else { out.raw("null") }
    out.raw(",\"time\":")
    out.seconds(wall(market.bookTime))
    out.byte(UInt8(ascii: "}"))
  }

  func index(_ arguments: Arguments) -> VenueFault? {
    guard case .value(let name) = arguments.string("underlying") else { return .invalidRequest }
    guard let underlying = underlyings.first(where: { $0.name == Array(name.utf8) }) else { return .unknownUnderlying }
    writeIndex(reply, underlying)
    return nil
  }

  /// Trades that the database shows by now, a page at a time.
  ///
  /// Newest first unless asked otherwise. A bookmark names the place in the account's list at which
  /// the next page goes on, and is null on the last page.
  func tradeHistory(_ account: Account, _ arguments: Arguments) -> VenueFault? {
    var limit = 100
    switch arguments.unsigned("limit") {
    case .absent: break
    case .value(let count) where count >= 1 && count <= 1000: limit = Int(count)
    default: return .invalidRequest
    }
    var low = Nanoseconds.min
    var high = Nanoseconds.max
    switch arguments.decimal("time_low", places: 9) {
    case .absent: break
    case .value(let time): low = time
    case .wrong: return .invalidRequest
    }
    switch arguments.decimal("time_high", places: 9) {
    case .absent: break
    case .value(let time): high = time
    case .wrong: return .invalidRequest
    }
    var isAscending = false
    switch arguments.string("sort") {
    case .absent, .value("descending"): break
    case .value("ascending"): isAscending = true
    default: return .invalidRequest
    }
    var instruments: Set<String>?
    switch arguments.string("instrument_names") {
    case .absent: break
    case .value(let names): instruments = Set(names.split(separator: ",").map(String.init))
    case .wrong: return .invalidRequest
    }
    var direction: Side?
    switch arguments.string("direction") {
    case .absent: break
    case .value("buy"): direction = .buy
    case .value("sell"): direction = .sell
    default: return .invalidRequest
    }
    var label: String?
    switch arguments.string("label") {
    case .absent: break
    case .value(let text): label = text
    case .wrong: return .invalidRequest
    }
    var numbers: Set<UInt64>?
    switch arguments.string("order_ids") {
    case .absent: break
    case .value(let text): numbers = Set(text.split(separator: ",").compactMap { UInt64($0, radix: 16) })
    case .wrong: return .invalidRequest
    }
    // Fills become visible in the order in which they were made.
    var visible = account.fills.count
    while visible > 0, account.fills[visible - 1].visibleAt > now { visible -= 1 }
    var place = isAscending ? 0 : visible - 1
    switch arguments.string("bookmark") {
    case .absent: break
    case .value(let text):
      guard let given = Int(text), given >= 0 else { return .invalidRequest }
      place = min(given, isAscending ? given : visible - 1)
    case .wrong: return .invalidRequest
    }
    func fits(_ fill: Fill) -> Bool {
      // Times are shown with microseconds; compare what is shown.
      let time = wall(fill.time) / 1000 * 1000
      return time >= low && time <= high && (direction == nil || fill.side == direction)
        && (label == nil || fill.label == label)
        && (instruments == nil || instruments!.contains(markets[fill.market].spec.name))
        && (numbers == nil || numbers!.contains(fill.orderNumber))
    }
    reply.raw("{\"trades\":[")
    var written = 0
    var bookmark: Int?
    while isAscending ? place < visible : place >= 0 {
      let fill = account.fills[place]
      if fits(fill) {
        if written == limit {
          bookmark = place
          break
        }
        if written > 0 { reply.byte(UInt8(ascii: ",")) }
        written += 1
        fill.write(reply, market: markets[fill.market], wallClockBase: configuration.wallClockBase)
      }
      place += isAscending ? 1 : -1
    }
    reply.raw("],\"bookmark\":")
    if let bookmark {
      reply.byte(UInt8(ascii: "\""))
      reply.integer(Int64(bookmark))
      reply.raw("\"}")
    } else {
      reply.raw("null}")
    }
    return nil
  }
}
