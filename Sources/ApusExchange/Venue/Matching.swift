import Apus
import CSupport

/// Orders, background and prints meet in the matching engines; the ledger follows their reports.
extension ExchangeCore {
  /// Books what one engine call reported. `taker` is the participant's order that the call was about.
  ///
  /// - Returns: The report about the order itself, if there was one.
  @discardableResult
  private func book(_ market: Market, taker: VenueOrder?) -> MatchReport? {
    var outcome: MatchReport?
    matchNumber &+= 1
    for index in 0..<market.engine.reportCount {
      let report = market.engine.report(index)
      if report.kind == .trade {
        bookTrade(market, report, taker: taker)
      } else {
        outcome = report
      }
    }
    return outcome
  }

  /// A quote has traded; its protection is looked at before the next order comes.
  private func chargeQuote(_ order: VenueOrder, _ lots: QtyLots) {
    isProtectionTouched = true
    noteQuoteTrade(order, lots)
  }

  private func evaluateProtection() {
    guard isProtectionTouched else { return }
    isProtectionTouched = false
    watchProtection()
  }

  private func bookTrade(_ market: Market, _ report: MatchReport, taker: VenueOrder?) {
    let aggressor = report.side
    let quantity = report.quantity
    let price = report.price
    statistics.trades += 1
    market.noteTrade(PublicTrade(price: price, lots: quantity, aggressor: aggressor, time: now, match: matchNumber))
    market.addResting(aggressor.opposite, price, -quantity.rawValue, now: now)
    if Tag.isBackground(report.makerTag) {
      let slot = Tag.slot(report.makerTag)
      let left = report.makerRemaining.rawValue
      market.background.set(
        aggressor.opposite, slot, handle: left == 0 ? 0 : report.makerHandle, lots: left)
      if taker != nil { market.queue?.take(aggressor.opposite, price.rawValue, quantity.rawValue) }
    } else if let maker = orders[Int(report.makerTag)] {
      fill(maker: maker, price, quantity, market.queue != nil && taker == nil ? .quote : .match)
    }
    if let taker {
      taker.remaining -= quantity
      bookFill(taker, price, quantity, isMaker: false, .match)
      // What an amend takes is not protected (reference 6.2): an amended order has its handle already.
      if taker.isQuote, taker.handle == 0 { chargeQuote(taker, quantity) }
    }
  }

  /// A resting order of a participant has traded.
  private func fill(maker: VenueOrder, _ price: PriceTicks, _ quantity: QtyLots, _ cause: FillCause) {
    if maker.side == .buy {
      maker.account.positions[maker.market.index].openBuys -= quantity.rawValue
    } else {
      maker.account.positions[maker.market.index].openSells -= quantity.rawValue
    }
    maker.remaining -= quantity
    let first = maker.fills.count
    bookFill(maker, price, quantity, isMaker: true, cause)
    if maker.isQuote { chargeQuote(maker, quantity) }
    if maker.remaining == .zero {
      finish(maker, state: .filled, deletion: .filled)
    } else {
      maker.state = .partiallyFilled
    }
    noteChange(maker, .fill, newFills: maker.fills[first...])
  }

  private func bookFill(
    _ order: VenueOrder, _ price: PriceTicks, _ lots: QtyLots, isMaker: Bool, _ cause: FillCause
  ) {
    order.filled += lots
    let market = order.market
    let priceE8 = price.rawValue * market.spec.grid.tickE8
    order.fills.append(order.account.fills.count)
    if market.legs.isEmpty {
      bookTrade(
        order, market, order.side, priceE8: priceE8, orderPriceE8: priceE8, lots, isMaker: isMaker, cause, leg: 0)
    } else {
      // The near leg trades at its mark, the far one at the distance that was agreed.
      let tick = market.legs[1].spec.grid.tickE8
      let nearE8 = Decimal.scaled(market.legs[1].markE8, 1, over: tick) * tick
      for (leg, legPriceE8) in [nearE8 + priceE8, nearE8].enumerated() {
        bookTrade(
          order, market.legs[leg], leg == 0 ? order.side : order.side.opposite, priceE8: legPriceE8,
          orderPriceE8: priceE8, lots, isMaker: isMaker, cause, leg: leg)
      }
    }
    nextFillNumber += 1
    if !tradedAccounts.contains(where: { $0 === order.account }) { tradedAccounts.append(order.account) }
  }

  /// One trade of an account: of the order's own instrument, or of one of its legs.
  private func bookTrade(
    _ order: VenueOrder, _ market: Market, _ side: Side, priceE8: Int64, orderPriceE8: Int64, _ lots: QtyLots,
    isMaker: Bool, _ cause: FillCause, leg: Int
  ) {
    let account = order.account
    let (fee, rate) = fee(order, market, lots, priceE8: priceE8, isMaker: isMaker)
    account.positions[market.index].trade(
      side: side, quantity: lots.rawValue, valueE8: market.valueE8(lots: lots.rawValue, priceE8: priceE8))
    account.positions[market.index].feesE8 += fee
    account.positions[market.index].fundingEntryE8 += valueE8(
      lots: side.sign * lots.rawValue, priceE8: market.fundingMarkE8, grid: market.spec.grid)
    account.positions[market.index].noteExposure()
    let position = account.positions[market.index]
    account.fills.append(
      Fill(
        number: nextFillNumber, orderNumber: order.number, clientID: order.clientID, label: order.label,
        market: market.index, orderMarket: order.market.index, legIndex: leg, side: side, priceE8: priceE8,
        orderPriceE8: orderPriceE8, lots: lots, isMaker: isMaker, cause: cause, time: now, feeE8: fee,
        feeRateE6: rate, indexE8: market.indexE8, midE8: market.midE8, fundingMarkE8: market.fundingMarkE8,
        positionAfter: QtyLots(rawValue: position.lots),
        realisedAfterE8: position.sessionRealised - position.sessionFeesE8, visibleAt: .max))
    if !account.changedPositions.contains(market.index) { account.changedPositions.append(market.index) }
    noteFill(order, market)
  }

  // MARK: participants' orders

  /// Puts an order into the book of its market. It has a slot and counts as live when this returns
  /// with it resting; else it is finished.
  ///
  /// - Returns: A fault if it was refused outright and left no trace.
  func enter(_ order: VenueOrder, flags: MatchFlags, owner: UInt32) -> VenueFault? {
    let market = order.market
    register(order)
    let handle = market.engine.submit(
      MatchOrder(
        tag: UInt64(order.slot), owner: owner, side: order.side, flags: flags, price: order.price,
        quantity: order.amount))
    let last = book(market, taker: order)
    guard let outcome = last, outcome.kind != .rejected else {
      release(order)
      switch last?.reason {
      case .badPrice: return .invalidPrice
      case .full: return .tooManyOpenOrders
      default: return .invalidQuantity
      }
    }
    conclude(order, outcome, handle: handle)
    // The sides of a mass quote are looked at together.
    if !order.isQuote { evaluateProtection() }
    return nil
  }

  /// Takes an order's state from the last report about it.
  private func conclude(_ order: VenueOrder, _ outcome: MatchReport, handle: UInt64) {
    if handle != 0, outcome.kind == .accepted || outcome.kind == .amended {
      order.handle = handle
      order.price = outcome.price
      order.remaining = outcome.remaining
      order.state = order.filled == .zero ? .open : .partiallyFilled
      order.market.addResting(order.side, order.price, order.remaining.rawValue, now: now)
      addOpen(order, order.remaining.rawValue)
      if let queue = order.market.queue, outcome.kind == .accepted {
        queue.join(order, shown: order.market.shown(order.side, order.price))
      }
      return
    }
    if outcome.kind == .done {
      finish(order, state: .filled, deletion: .filled)
      return
    }
    let state: OrderState = order.filled == .zero ? .cancelled : .cancelledPartiallyFilled
    finish(order, state: state, deletion: outcome.reason == .selfTrade ? .selfTradePrevention : .immediateCancel)
  }

  private func addOpen(_ order: VenueOrder, _ lots: Int64) {
    if order.side == .buy {
      order.account.positions[order.market.index].openBuys += lots
    } else {
      order.account.positions[order.market.index].openSells += lots
    }
    order.account.positions[order.market.index].noteExposure()
  }

  /// New price and total size of a live order. Its new fills are the ones added to `order.fills`.
  func change(_ order: VenueOrder, price: PriceTicks, amount: QtyLots) {
    let market = order.market
    let wanted = amount - order.filled
    if wanted <= .zero {
      withdraw(order, deletion: .clientCancel)
      order.amount = max(amount, order.filled)
      order.price = price
      return
    }
    let old = order.remaining
    let oldPrice = order.price
    market.addResting(order.side, oldPrice, -old.rawValue, now: now)
    addOpen(order, -old.rawValue)
    order.remaining = wanted
    order.amount = amount
    order.price = price
    let rests = market.engine.modify(order.handle, price: price, remaining: wanted)
    let last = book(market, taker: order)
    guard let outcome = last, outcome.kind != .rejected else {
      // Refused for want of room: the order stays as it was, if it is still there.
      order.remaining = old
      order.price = oldPrice
      order.amount = order.filled + old
      if rests {
        market.addResting(order.side, oldPrice, old.rawValue, now: now)
        addOpen(order, old.rawValue)
      } else {
        finish(order, state: order.filled == .zero ? .cancelled : .cancelledPartiallyFilled, deletion: .adminCancel)
      }
      return
    }
    conclude(order, outcome, handle: rests ? order.handle : 0)
    if rests {
      market.queue?.amend(order, oldPrice: oldPrice, oldLots: old, shown: market.shown(order.side, order.price))
    }
    evaluateProtection()
  }

  /// Takes a live order out of the book.
  func withdraw(_ order: VenueOrder, deletion: OrderDeletion) {
    let market = order.market
    if market.engine.cancel(order.handle) {
      market.addResting(order.side, order.price, -order.remaining.rawValue, now: now)
    }
    addOpen(order, -order.remaining.rawValue)
    order.remaining = .zero
    finish(order, state: order.filled == .zero ? .cancelled : .cancelledPartiallyFilled, deletion: deletion)
  }

  /// Withdraws several orders and notes each for the feeds.
  func cancelAll(_ list: [VenueOrder], deletion: OrderDeletion) {
    for order in list {
      withdraw(order, deletion: deletion)
      noteChange(order, .cancel, newFills: [])
    }
  }

  private func register(_ order: VenueOrder) {
    if let slot = freeSlots.popLast() {
      order.slot = slot
      orders[slot] = order
    } else {
      order.slot = orders.count
      orders.append(order)
    }
    ordersByNumber[order.number] = order
    order.account.orders.append(order)
    if order.isQuote {
      order.account.quoteCount += 1
      order.session?.quotes[Session.quoteKey(order.market, order.side), default: []].append(order)
    }
    order.session?.orders.append(order)
    if let clientID = order.clientID { order.session?.byClientID[clientID] = order }
  }

  private func release(_ order: VenueOrder) {
    orders[order.slot] = nil
    freeSlots.append(order.slot)
    ordersByNumber[order.number] = nil
    Self.remove(order, from: &order.account.orders)
    if order.isQuote { order.account.quoteCount -= 1 }
    if let session = order.session {
      Self.remove(order, from: &session.orders)
      if order.isQuote {
        Self.remove(order, from: &session.quotes[Session.quoteKey(order.market, order.side), default: []])
      }
      if let clientID = order.clientID { session.byClientID[clientID] = nil }
    }
    order.handle = 0
  }

  private static func remove(_ order: VenueOrder, from list: inout [VenueOrder]) {
    if let place = list.firstIndex(where: { $0 === order }) { list.remove(at: place) }
  }

  private func finish(_ order: VenueOrder, state: OrderState, deletion: OrderDeletion) {
    order.state = state
    order.deletion = deletion
    order.closeTime = now
    order.market.queue?.leave(order)
    release(order)
    noteEnd(order)
  }

  /// Shrinks or ends reduce-only orders that would no longer reduce (reference 6.1, best effort).
  func watchReduceOnly() {
    guard !tradedAccounts.isEmpty else { return }
    for account in tradedAccounts {
      for order in account.orders where order.isReduceOnly {
        let reducible = max(0, -order.side.sign * account.positions[order.market.index].lots)
        guard order.remaining.rawValue > reducible else { continue }
        if reducible == 0 {
          withdraw(order, deletion: .adminCancel)
          noteChange(order, .cancel, newFills: [])
        } else {
          change(order, price: order.price, amount: order.filled + QtyLots(rawValue: reducible))
          noteChange(order, .amend, newFills: [])
        }
      }
    }
  }

  // MARK: market flow

  /// Applies one step of the flow.
  func apply(_ events: [FlowEvent]) {
    var position = 0
    while position < events.count {
      let event = events[position]
      guard Int(event.instrument) < markets.count else {
        position += 1
        continue
      }
      let market = markets[Int(event.instrument)]
      switch event.kind {
      case .level where market.isHalted:
        market.missed[MissedLevel(side: event.side, value: event.value)] = event.lots
        position += 1
      case .level where !market.isListed, .trade where !market.isListed || market.isHalted: position += 1
      case .level:
        var end = position + 1
        while end < events.count, events[end].kind == .level, events[end].instrument == event.instrument { end += 1 }
        applyLevels(market, events, position..<end)
        position = end
      case .trade:
        printTrade(market, event)
        position += 1
      case .index:
        if event.value > 0, market.isListed {
          let isFirst = market.underlying.time == 0
          market.underlying.latestE8 = event.value
          if isFirst { takeIndex(market.underlying) }
        }
        position += 1
      case .away:
        fallSilent()
        position += 1
      case .back:
        speakAgain()
        position += 1
      }
    }
  }

  /// The first value of the flow counts at once; later ones with the mark.
  private func takeIndex(_ underlying: Underlying) {
    underlying.indexE8 = underlying.latestE8
    underlying.time = max(1, now)
    updateMarks(of: underlying)
    quoteDerived()
  }

  func printTrade(_ market: Market, _ event: FlowEvent, isFlow: Bool = true) {
    guard event.lots > 0, event.value > 0 || market.spec.kind == .combination else { return }
    let price = PriceTicks(rawValue: isFlow ? market.ticks(ofFlow: event.value, event.side) : event.value)
    if let queue = market.queue { return printTrade(market, queue, event, price) }
    _ = market.engine.submit(
      MatchOrder(
        tag: Tag.tape, side: event.side, flags: .immediateOrCancel, price: price,
        quantity: QtyLots(rawValue: event.lots)))
    book(market, taker: nil)
    evaluateProtection()
  }

  /// A recorded trade: it fills what the queue model says, and leaves the recorded levels to the recording.
  private func printTrade(_ market: Market, _ queue: QueueBook, _ event: FlowEvent, _ price: PriceTicks) {
    var found: [QueueBook.Execution] = []
    queue.trade(aggressor: event.side, price: price, lots: event.lots, now: now, into: &found)
    statistics.trades += 1
    matchNumber &+= 1
    market.isBookChanged = true
    func note(_ lots: Int64) {
      market.noteTrade(
        PublicTrade(price: price, lots: QtyLots(rawValue: lots), aggressor: event.side, time: now, match: matchNumber))
    }
    // Where executions are named after public trades, each of them needs one of its own; the last has what is left.
    let isSplit = namesFillsByTrades && found.count > 1
    var left = event.lots
    if !isSplit { note(left) }
    for (place, execution) in found.enumerated() {
      if isSplit {
        let lots = place == found.count - 1 ? left : execution.lots
        left -= lots
        note(lots)
      }
      let order = execution.order
      let left = order.remaining.rawValue - execution.lots
      if left == 0 {
        market.engine.cancel(order.handle)
      } else {
        market.engine.modify(order.handle, price: order.price, remaining: QtyLots(rawValue: left))
      }
      market.addResting(order.side, order.price, -execution.lots, now: now)
      fill(maker: order, order.price, QtyLots(rawValue: execution.lots), execution.cause)
    }
    evaluateProtection()
  }

  /// - Parameter isFlow: The prices are on the flow's grid, not on today's.
  func applyLevels(_ market: Market, _ events: [FlowEvent], _ range: Range<Int>, isFlow: Bool = true) {
    func ticks(_ event: FlowEvent) -> Int64 { isFlow ? market.ticks(ofFlow: event.value, event.side) : event.value }
    let allowsNegative = market.spec.kind == .combination
    if !market.background.isPlaced, let first = firstPrice(market, range.lazy.map { ticks(events[$0]) }) {
      _ = market.background.slot(PriceTicks(rawValue: first))
    }
    for position in range {
      let event = events[position]
      let price = PriceTicks(rawValue: ticks(event))
      guard price.rawValue > 0 || allowsNegative, let slot = market.background.slot(price) else {
        statistics.droppedLevels += 1
        continue
      }
      let current = market.background.lots(event.side, slot)
      let lots = market.queue?.shown(event.side, price.rawValue, recorded: event.lots) ?? event.lots
      if lots < current { setBackground(market, event.side, slot, price, lots: max(0, lots)) }
    }
    for position in range {
      let event = events[position]
      let price = PriceTicks(rawValue: ticks(event))
      guard price.rawValue > 0 || allowsNegative, let slot = market.background.slot(price) else { continue }
      let lots = market.queue?.shown(event.side, price.rawValue, recorded: event.lots) ?? event.lots
      if lots > market.background.lots(event.side, slot) {
        // What stands in the way on the flow's own other side is stale.
        if event.side == .buy {
          while market.background.bestAsk <= slot {
            let stale = market.background.bestAsk
            setBackground(market, .sell, stale, market.background.price(stale), lots: 0)
          }
        } else {
          while market.background.bestBid >= slot {
            let stale = market.background.bestBid
            setBackground(market, .buy, stale, market.background.price(stale), lots: 0)
          }
        }
        setBackground(market, event.side, slot, price, lots: lots)
      }
    }
  }

  /// Makes `lots` rest at a slot; what crosses a participant's order trades with it first.
  func setBackground(_ market: Market, _ side: Side, _ slot: Int, _ price: PriceTicks, lots: Int64) {
    let handle = market.background.handle(side, slot)
    let current = market.background.lots(side, slot)
    market.queue?.change(side, price.rawValue, old: current, new: lots, now: now)
    if handle != 0 {
      if lots == 0 {
        market.engine.cancel(handle)
        market.background.set(side, slot, handle: 0, lots: 0)
      } else {
        guard market.engine.modify(handle, price: price, remaining: QtyLots(rawValue: lots)) else {
          market.background.set(side, slot, handle: 0, lots: 0)
          market.addResting(side, price, -current, now: now)
          statistics.droppedLevels += 1
          return
        }
        market.background.set(side, slot, handle: handle, lots: lots)
      }
      market.addResting(side, price, lots - current, now: now)
      return
    }
    guard lots > 0 else { return }
    let rested = market.engine.submit(
      MatchOrder(
        tag: Tag.background(side, slot), side: side, price: price, quantity: QtyLots(rawValue: lots)))
    let outcome = book(market, taker: nil)
    if rested != 0, let outcome, outcome.kind == .accepted {
      market.background.set(side, slot, handle: rested, lots: outcome.remaining.rawValue)
      market.addResting(side, price, outcome.remaining.rawValue, now: now)
      market.queue?.take(side, price.rawValue, lots - outcome.remaining.rawValue)
    } else if let queue = market.queue, let outcome, outcome.kind == .done {
      queue.take(side, price.rawValue, lots)
    } else if let outcome, outcome.kind == .rejected || outcome.kind == .cancelled {
      statistics.droppedLevels += 1
    }
    evaluateProtection()
  }
}
