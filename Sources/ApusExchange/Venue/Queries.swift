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
    out.raw(",\"type\":\"")
    switch spec.kind {
    case .perpetual: out.raw("perpetual\"")
    case .future: out.raw("future\"")
    case .option:
      out.raw(spec.optionType == .put ? "option\",\"option_type\":\"put\"" : "option\",\"option_type\":\"call\"")
    case .combination: out.raw("combination\"")
    }
    if spec.kind != .perpetual {
      out.raw(",\"expiry_date\":")
      out.quoted(spec.expiryDate)
      out.raw(",\"expiration_timestamp\":")
      out.integer(spec.expirySeconds)
    }
    if spec.kind == .option {
      out.raw(",\"strike_price\":")
      out.e8(spec.strikeE8)
    }
    out.raw(",\"base_currency\":\"USD\"")
    if !spec.legs.isEmpty {
      out.raw(",\"legs\":[")
      for (place, leg) in spec.legs.enumerated() {
        out.raw(place == 0 ? "{\"instrument_name\":" : ",{\"instrument_name\":")
        out.quoted(leg.instrument)
        out.raw(",\"quantity\":")
        out.integer(leg.quantity)
        out.byte(UInt8(ascii: "}"))
      }
      out.byte(UInt8(ascii: "]"))
    }
    out.raw(",\"create_time\":")
    out.seconds(market.listTime.map { wall($0) } ?? 1_630_051_200_000_000_000)
    if let settlement = market.settlement {
      out.raw(",\"settlement_price\":")
      out.e8(settlement.priceE8)
      out.raw(",\"settlement_index_price\":")
      out.e8(settlement.indexE8)
    }
    out.byte(UInt8(ascii: "}"))
  }

  func instrument(_ arguments: Arguments) -> VenueFault? {
    guard case .value(let name) = arguments.string("instrument_name") else { return .invalidRequest }
    guard let market = allByName[name] else { return .unknownInstrument }
    writeInstrument(reply, market)
    return nil
  }

  func instruments(_ arguments: Arguments) -> VenueFault? { write(markets.filter(\.isListed), arguments) }

  /// Expired ones too; the window of times, at most three days, is one of expiries and excludes a date.
  func allInstruments(_ arguments: Arguments) -> VenueFault? {
    var wanted = markets
    var window: (low: Int64, high: Int64)?
    switch (arguments.decimal("time_low", places: 0), arguments.decimal("time_high", places: 0)) {
    case (.absent, .absent): break
    case (.value(let low), .value(let high)): window = (low, high)
    case (.value(let low), .absent): window = (low, low &+ 259_200)
    case (.absent, .value(let high)): window = (high &- 259_200, high)
    default: return .invalidRequest
    }
    if let window {
      // Seconds since the epoch: what is far beyond them is no time.
      guard abs(window.low) < 1 << 40, abs(window.high) < 1 << 40 else { return .invalidRequest }
      guard window.high >= window.low, window.high - window.low <= 259_200, arguments.node("expiry_date") == nil else {
        return .invalidRequest
      }
      wanted.removeAll { $0.spec.expirySeconds < window.low || $0.spec.expirySeconds > window.high }
    }
    return write(wanted, arguments)
  }

  /// Those that the filters let through.
  private func write(_ list: [Market], _ arguments: Arguments) -> VenueFault? {
    var wanted = list
    switch arguments.string("underlying") {
    case .absent: break
    case .value(let name):
      guard underlyings.contains(where: { $0.name == Array(name.utf8) }) else { return .unknownUnderlying }
      wanted.removeAll { $0.spec.underlying != name }
    case .wrong: return .invalidRequest
    }
    switch arguments.string("instrument_type") {
    case .absent: break
    case .value("futures"): wanted.removeAll { $0.spec.kind != .perpetual && $0.spec.kind != .future }
    case .value("options"): wanted.removeAll { $0.spec.kind != .option }
    case .value("future_rolls"): wanted.removeAll { $0.spec.kind != .combination }
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
}
