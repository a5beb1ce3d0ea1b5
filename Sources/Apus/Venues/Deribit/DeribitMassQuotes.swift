import CSupport

/// Answers to mass quotes, and the protection of their groups (protocol, sections 12 and 13).
extension DeribitDecoder {
  /// What a mass quote did on each side, as orders and executions, and why sides failed. An answer with an item that cannot be
  /// read gets no `massQuoted`; the items that can be read are delivered.
  mutating func massQuoteReply<Sink: VenueEventSink & ~Copyable>(
    _ serial: UInt64, _ value: JSONCursor, into sink: inout Sink
  ) {
    var json = value
    var parts = Parts()
    guard read(&parts, &json), var orders = parts.orders, var errors = parts.errors else {
      sink.refusedAtEdge(json.failed ? .malformed : .missingMember)
      return
    }
    var isComplete = true
    if var trades = parts.trades { isComplete = self.trades(&trades, source: .reply, into: &sink) }
    var succeeded = orders
    if !self.orders(&orders, source: .reply, into: &sink) { isComplete = false }
    guard apus_json_accept(&errors, 0x5B) else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    var failed: Int64 = 0
    var started = false
    while apus_json_next_element(&errors, &started) {
      failed += 1
      if !quoteError(serial, &errors, into: &sink) { isComplete = false }
    }
    if isComplete, !errors.failed { sink.massQuoted(serial, succeeded: count(&succeeded), failed: failed) }
  }

  /// Items of a list that has been read.
  private func count(_ list: inout JSONCursor) -> Int64 {
    guard apus_json_accept(&list, 0x5B) else { return 0 }
    var count: Int64 = 0
    var started = false
    while apus_json_next_element(&list, &started) {
      list.skip()
      count += 1
    }
    return count
  }

  /// `{instrument_name, side, error: {code, message}}`; false if it was refused.
  private mutating func quoteError<Sink: VenueEventSink & ~Copyable>(
    _ serial: UInt64, _ json: inout JSONCursor, into sink: inout Sink
  ) -> Bool {
    scratchCount = 0
    var name = JSONText(), word = JSONText()
    var number = ScannedDecimal()
    var error: JSONCursor?
    var hasName = false, hasSide = false, hasCode = false, wrong = false
    if json.isNext(.object) {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let found = apus_json_next_field(&json, shapes.detail.pointer, &walk)
        if found == APUS_JSON_FIELD_END { break }
        // By number: of so many cases the enum's initialiser asks for its metadata.
        switch found {
        case DeribitDetailField.instrument.rawValue: hasName = json.text(&name, wrong: &wrong)
        case DeribitDetailField.side.rawValue: hasSide = json.text(&word, wrong: &wrong)
        case DeribitDetailField.error.rawValue: error = json.checkedSlice()
        default: json.skip()
        }
      }
    } else {
      json.skip()
    }
    plain(&name)
    plain(&word)
    var code: Int64 = 0
    if var error { hasCode = member(.code, of: &error) { $0.number(&number, wrong: &wrong) } }
    guard hasName, hasSide, hasCode, !wrong, apus_decimal_to_scaled(&number, 0, &code) == .exact else {
      sink.refusedAtEdge(.missingMember)
      return false
    }
    guard let instrument = instrument(name) else {
      sink.refusedAtEdge(.unknownName)
      return false
    }
    guard word.equals("bid") || word.equals("ask") else {
      sink.refusedAtEdge(.unknownWord)
      return false
    }
    sink.massQuoteFailed(
      serial, code: code, side: word.equals("bid") ? .buy : .sell, priceE8: nil, instrument: instrument)
    return true
  }

  /// `user.mmp_trigger.*`: the venue has cancelled the quotes of a group, and takes none until it is reset. Other groups of the
  /// account are others' affairs.
  mutating func protectionTriggered<Sink: VenueEventSink & ~Copyable>(
    _ product: ProductIndex, _ json: inout JSONCursor, isOpen: Bool, into sink: inout Sink
  ) {
    var name = JSONText()
    var wrong = false
    let hasName = member(.group, of: &json) { $0.text(&name, wrong: &wrong) }
    guard ends(&json, isOpen: isOpen) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    plain(&name)
    guard hasName, !wrong, let bytes = name.bytes, groupName.find(bytes, name.count) != nil else {
      ignoredItems += 1
      return
    }
    sink.protection(product, remaining: .zero, reason: .executions)
  }
}
