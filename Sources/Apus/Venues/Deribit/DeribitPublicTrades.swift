import CSupport

extension DeribitDecoder {
  /// `trades.*`: trades of anyone (protocol, section 7). Cold: lanes do not subscribe to it.
  @inline(never)
  mutating func publicTrades<Sink: VenueEventSink & ~Copyable>(
    _ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    var list = json.checkedSlice()
    guard ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    guard apus_json_accept(&list, 0x5B) else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    var started = false
    while apus_json_next_element(&list, &started) {
      if scan(&list, shapes.trade.pointer) {
        publicTrade(into: &sink)
      } else {
        sink.refusedAtEdge(list.failed ? .malformed : .missingMember)
      }
    }
  }

  /// The trade in `table`.
  private mutating func publicTrade<Sink: VenueEventSink & ~Copyable>(into sink: inout Sink) {
    typealias Field = DeribitTradeField
    scratchCount = 0
    let numbers = apus_members_numbers(table), texts = apus_members_texts(table)
    let neededTexts = Field.instrument.bit | Field.direction.bit
    let neededNumbers = Field.price.bit | Field.amount.bit
    guard texts & neededTexts == neededTexts, numbers & neededNumbers == neededNumbers else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    guard let instrument = instrument(text(Field.instrument)) else {
      ignoredItems += 1
      return
    }
    guard let listing = listing(instrument) else {
      sink.refusedAtEdge(.unknownName)
      return
    }
    guard let side = DeribitWords.side(text(Field.direction)) else {
      sink.refusedAtEdge(.unknownWord)
      return
    }
    var price = PriceTicks(rawValue: 0)
    var qty = QtyLots(rawValue: 0)
    if let problem = listing.pointee.price(decimal(Field.price), &price)
      ?? listing.pointee.size(decimal(Field.amount), &qty) ?? (qty > .zero ? nil : .impossible)
    {
      sink.refusedAtEdge(problem)
      return
    }
    let time = numbers & Field.time.bit != 0 ? time(Field.time) : 0
    sink.publicTrade(instrument, aggressor: side, price: price, qty: qty, time: time)
  }
}
