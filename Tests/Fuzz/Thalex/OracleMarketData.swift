import CSupport

/// Tickers, books, trades of others, indexes.
extension Oracle {
  mutating func ticker(_ instrument: Int, _ value: SlowJSON) {
    var ticker = Ticker()
    var problem: DecodeProblem?
    var wrong = false, lastIsOffGrid = false, hasLow = false, hasHigh = false
    var bidPrice: SlowNumber?, bidQty: SlowNumber?, askPrice: SlowNumber?, askQty: SlowNumber?
    let listing = listings[instrument]
    let isOption = listing?.info.kind == .option
    func scaled(_ number: SlowNumber, _ places: Int, _ out: inout Int64) -> Bool {
      let (outcome, value) = number.scaled(places)
      if outcome == .overflow {
        problem = problem ?? .impossible
        return false
      }
      out = value
      return true
    }
    if case .object(let members) = value {
      for member in members {
        let value = member.value
        switch name(member) {
        case "mark_price":
          if let n = number(value, &wrong), scaled(n, 8, &ticker.markE8) { ticker.fields.insert(.mark) }
        case "mark_timestamp":
          if let n = number(value, &wrong), n.scaled(9).outcome != .overflow { ticker.venueTime = n.scaled(9).value }
        case "best_bid_price": bidPrice = number(value, &wrong)
        case "best_bid_amount": bidQty = number(value, &wrong)
        case "best_ask_price": askPrice = number(value, &wrong)
        case "best_ask_amount": askQty = number(value, &wrong)
        case "last_price":
          if let n = number(value, &wrong), let listing {
            if price(n, listing, &ticker.lastPrice) == nil {
              ticker.fields.insert(.last)
            } else {
              lastIsOffGrid = true
            }
          }
        case "index":
          if let n = number(value, &wrong), scaled(n, 8, &ticker.indexE8) { ticker.fields.insert(.index) }
        case "collar_low": if let n = number(value, &wrong) { hasLow = scaled(n, 8, &ticker.collarLowE8) }
        case "collar_high": if let n = number(value, &wrong) { hasHigh = scaled(n, 8, &ticker.collarHighE8) }
        case "iv" where isOption:
          if let n = number(value, &wrong), scaled(n, 8, &ticker.volatilityE8) { ticker.fields.insert(.volatility) }
        case "delta" where isOption:
          if let n = number(value, &wrong), scaled(n, 8, &ticker.deltaE8) { ticker.fields.insert(.delta) }
        case "forward" where isOption:
          if let n = number(value, &wrong), scaled(n, 8, &ticker.forwardE8) { ticker.fields.insert(.forward) }
        case "funding_rate":
          if let n = number(value, &wrong), scaled(n, 12, &ticker.fundingRateE12) { ticker.fields.insert(.funding) }
        default: break
        }
      }
    } else {
      wrong = true
    }
    if wrong || (bidPrice == nil) != (bidQty == nil) || (askPrice == nil) != (askQty == nil) {
      problem = problem ?? .missingMember
    }
    guard let listing else { return sink.refusedAtEdge(problem ?? .unknownName) }
    if hasLow, hasHigh { ticker.fields.insert(.collars) }
    if let bidPrice, let bidQty { level(bidPrice, bidQty, .bid, listing, &ticker, &problem) }
    if let askPrice, let askQty { level(askPrice, askQty, .ask, listing, &ticker, &problem) }
    if let problem { return sink.refusedAtEdge(problem) }
    if lastIsOffGrid { sink.refusedAtEdge(.offGrid) }
    sink.ticker(InstrumentIndex(instrument), ticker)
  }

  func level(
    _ priceNumber: SlowNumber, _ qtyNumber: SlowNumber, _ bit: TickerFields, _ listing: Listing,
    _ ticker: inout Ticker, _ problem: inout DecodeProblem?
  ) {
    var ticks = PriceTicks(rawValue: 0)
    var lots = QtyLots(rawValue: 0)
    if let found = price(priceNumber, listing, &ticks) ?? size(qtyNumber, listing, &lots) {
      problem = problem ?? found
      return
    }
    ticker.fields.remove(bit)
    if lots.rawValue > 0 { ticker.fields.insert(bit) }
    if bit == .bid {
      ticker.bidPrice = ticks
      ticker.bidQty = lots
    } else {
      ticker.askPrice = ticks
      ticker.askQty = lots
    }
  }

  /// The first two numbers of an array, if both are there; `wrong` if anything in their place is something else.
  func pair(_ value: SlowJSON, _ wrong: inout Bool) -> (SlowNumber, SlowNumber)? {
    guard case .array(let items) = value else {
      if value != .null { wrong = true }
      return nil
    }
    var found: [SlowNumber] = []
    for item in items where found.count < 2 {
      if case .number(let spelled) = item { found.append(SlowNumber(spelled)) } else { wrong = true }
    }
    if found.count == 1 { wrong = true }
    return found.count == 2 ? (found[0], found[1]) : nil
  }

  mutating func lightTicker(_ instrument: Int, _ value: SlowJSON) {
    var ticker = Ticker()
    var problem: DecodeProblem?
    var wrong = false, lastIsOffGrid = false
    let listing = listings[instrument]
    if case .object(let members) = value {
      for member in members {
        switch name(member) {
        case "m", "v":
          if let n = number(member.value, &wrong) {
            let (outcome, value) = n.scaled(8)
            if outcome == .overflow {
              problem = problem ?? .impossible
            } else if name(member) == "m" {
              ticker.markE8 = value
              ticker.fields.insert(.mark)
            } else {
              ticker.volatilityE8 = value
              ticker.fields.insert(.volatility)
            }
          }
        case "b", "a":
          if let (price, qty) = pair(member.value, &wrong), let listing {
            level(price, qty, name(member) == "b" ? .bid : .ask, listing, &ticker, &problem)
          }
        case "l":
          if let n = number(member.value, &wrong), let listing {
            if price(n, listing, &ticker.lastPrice) == nil {
              ticker.fields.insert(.last)
            } else {
              lastIsOffGrid = true
            }
          }
        default: break
        }
      }
    } else {
      wrong = true
    }
    if wrong { problem = problem ?? .missingMember }
    if listing == nil { problem = problem ?? .unknownName }
    if let problem { return sink.refusedAtEdge(problem) }
    if lastIsOffGrid { sink.refusedAtEdge(.offGrid) }
    sink.ticker(InstrumentIndex(instrument), ticker)
  }

  mutating func book(_ instrument: Int, _ value: SlowJSON, _ isSnapshot: Bool) {
    guard let listing = listings[instrument] else { return sink.refusedAtEdge(.unknownName) }
    guard case .object(let members) = value else { return sink.refusedAtEdge(.missingMember) }
    let index = InstrumentIndex(instrument)
    sink.bookBegin(index, isSnapshot: isSnapshot)
    for member in members {
      switch name(member) {
      case "bid_changes": levels(index, member.value, .buy, listing)
      case "ask_changes": levels(index, member.value, .sell, listing)
      case "trades": if !isSnapshot { publicTrades(index, member.value, listing) }
      default: break
      }
    }
    sink.bookEnd(index)
  }

  mutating func levels(_ index: InstrumentIndex, _ value: SlowJSON, _ side: Side, _ listing: Listing) {
    guard case .array(let items) = value else {
      if value != .null { sink.refusedAtEdge(.missingMember) }
      return
    }
    for item in items {
      var wrong = false
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots(rawValue: 0)
      guard let (priceNumber, qty) = pair(item, &wrong), !wrong else {
        sink.refusedAtEdge(.missingMember)
        continue
      }
      if let problem = price(priceNumber, listing, &ticks) ?? size(qty, listing, &lots) {
        sink.refusedAtEdge(problem)
      } else {
        sink.bookLevel(index, side, ticks, lots)
      }
    }
  }

  mutating func publicTrades(_ index: InstrumentIndex, _ value: SlowJSON, _ listing: Listing) {
    guard case .array(let items) = value else {
      if value != .null { sink.refusedAtEdge(.missingMember) }
      return
    }
    for item in items {
      var ignored = false
      var ticks = PriceTicks(rawValue: 0)
      var lots = QtyLots(rawValue: 0)
      guard case .array(let parts) = item, parts.count >= 4, let priceNumber = number(parts[0], &ignored),
        let qty = number(parts[1], &ignored), let aggressor = text(parts[2], &ignored),
        let time = number(parts[3], &ignored)
      else {
        sink.refusedAtEdge(.missingMember)
        continue
      }
      let (outcome, stamp) = time.scaled(9)
      if let problem = price(priceNumber, listing, &ticks) ?? size(qty, listing, &lots) {
        sink.refusedAtEdge(problem)
      } else if let side = side(aggressor) {
        sink.publicTrade(index, aggressor: side, price: ticks, qty: lots, time: outcome == .overflow ? 0 : stamp)
      } else {
        sink.refusedAtEdge(.unknownWord)
      }
    }
  }

  mutating func priceIndex(_ value: SlowJSON, _ underlying: UnderlyingIndex?) -> Bool {
    var report = IndexReport()
    var named: Text?
    var wrong = false, isTooLarge = false, hasPrice = false
    func e8(_ value: SlowJSON) -> Int64? {
      guard let number = number(value, &wrong) else { return nil }
      let (outcome, value) = number.scaled(8)
      if outcome == .overflow { isTooLarge = true }
      return outcome == .overflow ? nil : value
    }
    if case .object(let members) = value {
      for member in members {
        switch name(member) {
        case "index_name": named = text(member.value, &wrong)
        case "price":
          if case .number = member.value { hasPrice = true }
          report.priceE8 = e8(member.value) ?? 0
        case "timestamp":
          if let n = number(member.value, &wrong), n.scaled(9).outcome != .overflow {
            report.venueTime = n.scaled(9).value
          }
        case "previous_settlement_price": report.previousSettlementE8 = e8(member.value)
        case "expiration_print_average": report.expirationAverageE8 = e8(member.value)
        case "expiration_progress": report.expirationProgressE8 = e8(member.value)
        case "expected_expiration_price": report.expectedExpirationE8 = e8(member.value)
        default: break
        }
      }
    }
    guard hasPrice, !wrong else { return refuse(.missingMember) == .delivered }
    guard !isTooLarge, report.priceE8 > 0 else { return refuse(.impossible) == .delivered }
    if let underlying {
      sink.index(underlying, report)
    } else if let named, word(named) == "BTCUSD" {
      sink.index(0, report)
    } else {
      ignoredItems += 1
    }
    return true
  }

  mutating func lightTickers(_ value: SlowJSON, _ kind: ThalexChannel) {
    guard case .object(let tickers)? = last("tickers", of: value) else { return sink.refusedAtEdge(.missingMember) }
    for member in tickers {
      if let index = names.firstIndex(of: name(member)) {
        lightTicker(index, member.value, kind)
      } else {
        ignoredItems += 1
      }
    }
  }

  mutating func lightTicker(_ instrument: Int, _ value: SlowJSON, _ kind: ThalexChannel) {
    guard case .array(let items) = value else { return sink.refusedAtEdge(.missingMember) }
    let futures = ["time", "mark", "index", "bid", "ask", "last", "accrued", "funding"]
    let options = ["time", "mark", "index", "forward", "iv", "bid", "ask", "last"]
    var ticker = Ticker()
    var problem: DecodeProblem?
    var wrong = false, lastIsOffGrid = false
    let listing = listings[instrument]
    for (what, item) in zip(kind == .lightOptions ? options : futures, items) {
      if what == "bid" || what == "ask" {
        if let (price, qty) = pair(item, &wrong), let listing {
          level(price, qty, what == "bid" ? .bid : .ask, listing, &ticker, &problem)
        }
        continue
      }
      guard let n = number(item, &wrong) else { continue }
      if what == "time" {
        if n.scaled(9).outcome != .overflow { ticker.venueTime = n.scaled(9).value }
      } else if what == "last" {
        guard let listing else { continue }
        if price(n, listing, &ticker.lastPrice) == nil { ticker.fields.insert(.last) } else { lastIsOffGrid = true }
      } else {
        let (outcome, value) = n.scaled(what == "funding" ? 12 : 8)
        if outcome == .overflow {
          problem = problem ?? .impossible
          continue
        }
        switch what {
        case "mark":
          ticker.markE8 = value
          ticker.fields.insert(.mark)
        case "index":
          ticker.indexE8 = value
          ticker.fields.insert(.index)
        case "forward":
          ticker.forwardE8 = value
          ticker.fields.insert(.forward)
        case "iv":
          ticker.volatilityE8 = value
          ticker.fields.insert(.volatility)
        case "accrued":
          ticker.fundingMarkE8 = value
          ticker.fields.insert(.fundingMark)
        default:
          ticker.fundingRateE12 = value
          ticker.fields.insert(.funding)
        }
      }
    }
    let lengths: [Int] = kind == .lightOptions ? [8] : kind == .lightRolls ? [6] : [6, 8]
    if wrong || !lengths.contains(items.count) { problem = problem ?? .missingMember }
    if listing == nil { problem = problem ?? .unknownName }
    if let problem { return sink.refusedAtEdge(problem) }
    if lastIsOffGrid { sink.refusedAtEdge(.offGrid) }
    sink.ticker(InstrumentIndex(instrument), ticker)
  }

  mutating func recentTrade(_ value: SlowJSON) -> Outcome {
    var ignored = false
    guard case .array(let items) = value, items.count >= 5, let price = number(items[0], &ignored),
      let qty = number(items[1], &ignored), let direction = text(items[2], &ignored),
      let time = number(items[3], &ignored), let name = text(items[4], &ignored)
    else { return refuse(.missingMember) }
    guard let index = index(name) else {
      ignoredItems += 1
      return .ignored
    }
    guard let listing = listings[index] else { return refuse(.unknownName) }
    var ticks = PriceTicks(rawValue: 0)
    var lots = QtyLots(rawValue: 0)
    if let problem = self.price(price, listing, &ticks) ?? size(qty, listing, &lots) { return refuse(problem) }
    guard let side = side(direction) else { return refuse(.unknownWord) }
    let stamp = time.scaled(9).outcome == .overflow ? 0 : time.scaled(9).value
    sink.publicTrade(InstrumentIndex(index), aggressor: side, price: ticks, qty: lots, time: stamp)
    return .delivered
  }

  mutating func basePrice(_ value: SlowJSON) {
    let item = read(value, texts: ["base_name"], numbers: ["price", "index", "index_delta"], isOrder: false)
    guard let price = item.numbers["price"]?.scaled(8), let index = item.numbers["index"]?.scaled(8),
      let delta = item.numbers["index_delta"]?.scaled(8), !item.wrong
    else { return sink.refusedAtEdge(.missingMember) }
    let isTooLarge = [price.outcome, index.outcome, delta.outcome].contains(.overflow)
    guard !isTooLarge, price.value > 0, index.value > 0 else { return sink.refusedAtEdge(.impossible) }
    var report = BasePrice()
    report.priceE8 = price.value
    report.indexE8 = index.value
    report.indexDeltaE8 = delta.value
    if let name = item.texts["base_name"], let found = self.index(name) { report.instrument = InstrumentIndex(found) }
    sink.basePrice(0, expirySeconds: 1_777_017_600, report)
  }

  mutating func account(_ value: SlowJSON) -> Bool {
    let names = [
      "margin", "required_margin", "remaining_margin", "cash_collateral", "unrealised_pnl", "session_realised_pnl",
    ]
    let item = read(value, texts: [], numbers: Set(names), isOrder: false)
    let numbers = names.compactMap { item.numbers[$0]?.scaled(8) }
    guard numbers.count == names.count, !item.wrong else { return refuse(.missingMember) == .delivered }
    guard !numbers.contains(where: { $0.outcome == .overflow }) else { return refuse(.impossible) == .delivered }
    var summary = AccountSummary()
    summary.marginE8 = numbers[0].value
    summary.requiredMarginE8 = numbers[1].value
    summary.remainingMarginE8 = numbers[2].value
    summary.cashCollateralE8 = numbers[3].value
    summary.unrealisedE8 = numbers[4].value
    summary.sessionRealisedE8 = numbers[5].value
    sink.account(summary)
    return true
  }

  mutating func system(_ value: SlowJSON) {
    var ignored = false
    guard case .object(let members) = value,
      let last = members.last(where: { name($0) == "event" }), let event = text(last.value, &ignored)
    else { return sink.refusedAtEdge(.missingMember) }
    if word(event) == "reconnect" { sink.reconnectRequested() } else { sink.refusedAtEdge(.unknownWord) }
  }
}
