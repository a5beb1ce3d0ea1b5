import CSupport

/// Answers to mass quotes and the state of protection groups (protocol reference 6.5, 7.6, 8.5).
extension ThalexDecoder {
  /// The counts of a mass quote, and why parts of it failed. An answer without its counts, or with an item that cannot
  /// be read, is refused at the edge and gets no `massQuoted`; the items that can be read are delivered.
  mutating func massQuoteReply<Sink: VenueEventSink & ~Copyable>(
    _ serial: UInt64, _ json: inout JSONCursor, into sink: inout Sink
  ) {
    var succeeded = ScannedDecimal(), failed = ScannedDecimal()
    var errors: JSONCursor?
    var hasSucceeded = false, hasFailed = false, wrong = false
    if json.isNext(.object) {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let index = apus_json_next_field(&json, shapes.massQuote.pointer, &walk)
        guard let field = MassQuoteField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .succeeded: hasSucceeded = json.number(&succeeded, wrong: &wrong)
        case .failed: hasFailed = json.number(&failed, wrong: &wrong)
        case .errors: errors = json.isNext(.null) ? (json.skip(), nil).1 : json.checkedSlice()
        case .code, .message, .side, .price: json.skip()
        }
      }
    }
    guard hasSucceeded, hasFailed, !wrong else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    var isComplete = true
    if var errors {
      guard isArray(&errors, into: &sink) else { return }
      var started = false
      while apus_json_next_element(&errors, &started) {
        scratchCount = 0
        if !massQuoteError(serial, &errors, into: &sink) { isComplete = false }
      }
    }
    var counts: (Int64, Int64) = (0, 0)
    guard apus_decimal_to_scaled(&succeeded, 0, &counts.0) == .exact, counts.0 >= 0,
      apus_decimal_to_scaled(&failed, 0, &counts.1) == .exact, counts.1 >= 0
    else {
      sink.refusedAtEdge(.impossible)
      return
    }
    if isComplete { sink.massQuoted(serial, succeeded: counts.0, failed: counts.1) }
  }

  /// Side and price are optional; a word for the side that is not known counts as absent.
  private mutating func massQuoteError<Sink: VenueEventSink & ~Copyable>(
    _ serial: UInt64, _ json: inout JSONCursor, into sink: inout Sink
  ) -> Bool {
    var code = ScannedDecimal(), price = ScannedDecimal()
    var word = JSONText()
    var hasCode = false, hasPrice = false, hasSide = false, wrong = false
    if json.isNext(.object) {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let index = apus_json_next_field(&json, shapes.massQuote.pointer, &walk)
        guard let field = MassQuoteField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .code: hasCode = json.number(&code, wrong: &wrong)
        case .side: hasSide = json.text(&word, wrong: &wrong)
        case .price: hasPrice = json.number(&price, wrong: &wrong)
        case .succeeded, .failed, .errors, .message: json.skip()
        }
      }
    } else {
      json.skip()
    }
    plain(&word)
    var value: Int64 = 0, priceE8: Int64 = 0
    guard hasCode, !wrong, apus_decimal_to_scaled(&code, 0, &value) == .exact else {
      sink.refusedAtEdge(.missingMember)
      return false
    }
    if hasPrice, apus_decimal_to_e8(&price, &priceE8) == .overflow {
      sink.refusedAtEdge(.impossible)
      return false
    }
    let side = hasSide ? Side(quoted: word) : nil
    if hasSide, side == nil { sink.refusedAtEdge(.unknownWord) }
    sink.massQuoteFailed(serial, code: value, side: side, priceE8: hasPrice ? priceE8 : nil, instrument: nil)
    return true
  }

  /// What protection groups of this session may still trade.
  mutating func protections<Sink: VenueEventSink & ~Copyable>(_ json: inout JSONCursor, into sink: inout Sink) {
    guard isArray(&json, into: &sink) else { return }
    var started = false
    while apus_json_next_element(&json, &started) {
      scratchCount = 0
      protection(&json, into: &sink)
    }
    if !apus_json_finish(&json) { sink.refusedAtEdge(.malformed) }
  }

  private mutating func protection<Sink: VenueEventSink & ~Copyable>(_ json: inout JSONCursor, into sink: inout Sink) {
    var name = JSONText(), word = JSONText()
    var amount = ScannedDecimal()
    var hasName = false, hasAmount = false, hasReason = false, wrong = false
    if json.isNext(.object) {
      json.at += 1
      var walk = JSONWalk()
      while true {
        let index = apus_json_next_field(&json, shapes.protection.pointer, &walk)
        guard let field = ProtectionField(rawValue: index) else {
          if index == APUS_JSON_FIELD_END { break }
          json.skip()
          continue
        }
        switch field {
        case .product: hasName = json.text(&name, wrong: &wrong)
        case .remaining: hasAmount = json.number(&amount, wrong: &wrong)
        case .reason: hasReason = json.text(&word, wrong: &wrong)
        }
      }
    } else {
      json.skip()
    }
    if json.failed { return }
    plain(&name)
    plain(&word)
    guard hasName, hasAmount, hasReason, !wrong, let bytes = name.bytes else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    guard let found = productNames.find(bytes, name.count) else {
      ignoredItems += 1
      return
    }
    let lotE8 = productLots[Int(found)]
    guard lotE8 > 0 else {
      sink.refusedAtEdge(.unknownName)
      return
    }
    var amountE8: Int64 = 0
    if apus_decimal_to_e8(&amount, &amountE8) == .overflow {
      sink.refusedAtEdge(.impossible)
      return
    }
    let reason = ProtectionReason(word)
    if reason == nil { sink.refusedAtEdge(.unknownWord) }
    let (lots, rest) = amountE8.quotientAndRemainder(dividingBy: lotE8)
    sink.protection(
      ProductIndex(found), remaining: QtyLots(rawValue: rest < 0 ? lots - 1 : lots), reason: reason ?? .other)
  }
}

extension Side {
  /// The side in an error of a mass quote. The venue's spelling is not documented (protocol reference 6.5).
  init?(quoted word: JSONText) {
    if word.equals("bid") || word.equals("buy") {
      self = .buy
    } else if word.equals("ask") || word.equals("sell") {
      self = .sell
    } else {
      return nil
    }
  }
}
