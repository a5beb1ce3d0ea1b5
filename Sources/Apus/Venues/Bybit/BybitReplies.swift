import CSupport

/// Answers on the streams and on the order-entry socket (protocol reference 3, 4.1, 5, 9).
extension BybitDecoder {
  /// What was read of an answer on a stream.
  struct StreamReply {
    var id: UInt64?
    var operation = JSONText()
    var reason = JSONText()
    var code: Int64 = 0
    var hasOperation = false, hasReason = false, hasSuccess = false, isSuccess = false, hasCode = false
  }

  /// The answer to a login, a subscription or a ping on a stream. One answer covers all topics of a request, and does
  /// not say how many they were.
  mutating func answer<Sink: VenueEventSink & ~Copyable>(
    _ reply: inout StreamReply, isWrong: Bool, into sink: inout Sink
  ) {
    scratchCount = 0
    plain(&reply.operation)
    plain(&reply.reason)
    let operation = reply.hasOperation ? BybitOperation(reply.operation) : nil
    if operation == .pong {
      pongs += 1
      return
    }
    guard reply.hasSuccess, !isWrong else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    let request = kind(of: reply.id, operation)
    if reply.isSuccess {
      sink.replied(request, value: 0)
    } else {
      let code = reply.hasCode ? reply.code : BybitTextCode.code(of: reply.hasReason ? reply.reason : JSONText())
      sink.refused(request, code: code)
    }
  }

  /// Remembers the id and says what the request was. A login may be answered without one.
  private mutating func kind(of id: UInt64?, _ operation: BybitOperation?) -> RequestKind {
    lastReplyID = id ?? .max
    guard let id else { return operation == .login ? .session(.login) : .unknown }
    return RequestID.kind(of: id)
  }

  /// What was read of the answer to a request on the order-entry socket.
  private struct OrderAnswer {
    var id: UInt64?
    var operation: BybitOperation?
    var code: Int64 = 0
    var hasCode = false
    var hasOperation = false
    var orderID = JSONText()
    var linkID = JSONText()
    /// The items of a batch: what they are about, and what became of them.
    var list: JSONCursor?
    var outcomes: JSONCursor?
    var rate = RateLimitReport()
    var hasRate = false
  }

  /// Reads one frame of the order-entry connection and delivers what it says: first what is left of the rate, then the
  /// venue's id of each order that it names, then the answer to each order request.
  ///
  /// A batch is answered order by order, as if each had been sent alone, and then as a whole, with the number of orders
  /// that were accepted; if it was refused as a whole, only as a whole. An answer without our id is attributed by the
  /// `orderLinkId` in it.
  public mutating func decodeTrade<Sink: VenueEventSink & ~Copyable>(
    _ text: UnsafeRawBufferPointer, into sink: inout Sink
  ) {
    guard var json = begin(text), apus_json_enter_object(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    var answer = OrderAnswer()
    var walk = JSONWalk()
    var wrong = false
    while true {
      let found = apus_json_next_field(&json, shapes.answer.pointer, &walk)
      guard let field = BybitAnswerField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      switch field {
      case .requestID: answer.id = Self.id(&json)
      case .code:
        var number = ScannedDecimal()
        answer.hasCode =
          json.number(&number, wrong: &wrong) && apus_decimal_to_scaled(&number, 0, &answer.code) == .exact
      case .op:
        var word = JSONText()
        answer.hasOperation = json.text(&word, wrong: &wrong)
        if answer.hasOperation { answer.operation = BybitOperation(word) }
      case .data: names(&json, &answer)
      case .extra: outcomes(&json, &answer)
      case .header: rate(&json, &answer)
      case .message, .connection: json.skip()
      }
    }
    guard apus_json_finish(&json) else {
      sink.refusedAtEdge(.malformed)
      return
    }
    if answer.operation == .pong {
      pongs += 1
      return
    }
    guard answer.hasCode, answer.hasOperation, !wrong else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    guard let operation = answer.operation else {
      sink.refusedAtEdge(.unknownWord)
      return
    }
    deliver(&answer, operation, into: &sink)
  }

  @inline(always)
  private mutating func deliver<Sink: VenueEventSink & ~Copyable>(
    _ answer: inout OrderAnswer, _ operation: BybitOperation, into sink: inout Sink
  ) {
    var request = kind(of: answer.id, operation)
    if operation == .login {
      if answer.code == 0 { sink.replied(request, value: 0) } else { sink.refused(request, code: answer.code) }
      return
    }
    var named: UInt64?
    if !operation.isBatch, case .ourOrder(let clientID) = owner(&answer.linkID) {
      named = clientID
      // Some refusals come without the id of the request.
      if answer.id == nil { request = operation.request(clientID) }
    }
    if answer.hasRate {
      answer.rate.request = request
      sink.rateLimit(answer.rate)
    }
    if answer.code == 0, let named { name(named, &answer.orderID, into: &sink) }
    guard answer.code == 0 else {
      sink.refused(request, code: answer.code)
      return
    }
    guard operation.isBatch else {
      sink.replied(request, value: 0)
      return
    }
    batch(&answer, operation, request, into: &sink)
  }

  private mutating func owner(_ linkID: inout JSONText) -> OrderTag.Owner {
    scratchCount = 0
    plain(&linkID)
    return linkID.count == 0 ? .other : tag.owner(of: linkID)
  }

  private mutating func name<Sink: VenueEventSink & ~Copyable>(
    _ clientID: UInt64, _ orderID: inout JSONText, into sink: inout Sink
  ) {
    plain(&orderID)
    var id = VenueID()
    if Self.setID(&id, orderID) { sink.orderNamed(clientID, id) }
  }

  /// The items of a batch, each beside what became of it. Both lists have been checked to be JSON.
  @inline(never)
  private mutating func batch<Sink: VenueEventSink & ~Copyable>(
    _ answer: inout OrderAnswer, _ operation: BybitOperation, _ request: RequestKind, into sink: inout Sink
  ) {
    guard var list = answer.list, var outcomes = answer.outcomes, apus_json_accept(&list, 0x5B),
      apus_json_accept(&outcomes, 0x5B)
    else {
      sink.refusedAtEdge(.missingMember)
      return
    }
    var listStarted = false, outcomesStarted = false
    var accepted: Int64 = 0
    var isComplete = true
    while true {
      let hasItem = apus_json_next_element(&list, &listStarted)
      let hasOutcome = apus_json_next_element(&outcomes, &outcomesStarted)
      guard hasItem, hasOutcome else {
        // Both end together, or something has no other half.
        if hasItem != hasOutcome { isComplete = false }
        break
      }
      var orderID = JSONText(), linkID = JSONText(), ignored: JSONCursor?
      var code: Int64 = 0
      var hasCode = false
      ack(&list, &orderID, &linkID, &ignored)
      self.outcome(&outcomes, &code, &hasCode)
      guard hasCode else {
        isComplete = false
        continue
      }
      var item = RequestKind.unknown
      if case .ourOrder(let clientID) = owner(&linkID) {
        item = operation.request(clientID)
        if code == 0 { name(clientID, &orderID, into: &sink) }
      }
      if code == 0 {
        accepted += 1
        sink.replied(item, value: 0)
      } else {
        sink.refused(item, code: code)
      }
    }
    if isComplete { sink.replied(request, value: accepted) } else { sink.refusedAtEdge(.missingMember) }
  }

  /// `data` of an answer: an order's ids, or a list of them.
  @inline(always)
  private func names(_ json: inout JSONCursor, _ answer: inout OrderAnswer) {
    ack(&json, &answer.orderID, &answer.linkID, &answer.list)
  }

  @inline(always)
  private func ack(
    _ json: inout JSONCursor, _ orderID: inout JSONText, _ linkID: inout JSONText, _ list: inout JSONCursor?
  ) {
    guard json.isNext(.object) else {
      json.skip()
      return
    }
    json.at += 1
    var walk = JSONWalk()
    var wrong = false
    while true {
      let found = apus_json_next_field(&json, shapes.ack.pointer, &walk)
      if found == BybitAckField.orderID.rawValue {
        _ = json.text(&orderID, wrong: &wrong)
      } else if found == BybitAckField.linkID.rawValue {
        _ = json.text(&linkID, wrong: &wrong)
      } else if found == BybitAckField.list.rawValue {
        list = json.checkedSlice()
      } else if found == APUS_JSON_FIELD_END {
        return
      } else {
        json.skip()
      }
    }
  }

  /// What became of one item of a batch.
  private func outcome(_ json: inout JSONCursor, _ code: inout Int64, _ hasCode: inout Bool) {
    guard json.isNext(.object) else {
      json.skip()
      return
    }
    json.at += 1
    var walk = JSONWalk()
    var wrong = false
    while true {
      let found = apus_json_next_field(&json, shapes.ack.pointer, &walk)
      if found == BybitAckField.code.rawValue {
        var number = ScannedDecimal()
        hasCode = json.number(&number, wrong: &wrong) && apus_decimal_to_scaled(&number, 0, &code) == .exact
      } else if found == APUS_JSON_FIELD_END {
        return
      } else {
        json.skip()
      }
    }
  }

  /// `retExtInfo`: empty, or the outcomes of a batch.
  @inline(always)
  private func outcomes(_ json: inout JSONCursor, _ answer: inout OrderAnswer) {
    if json.accept("{}") { return }
    var orderID = JSONText(), linkID = JSONText()
    ack(&json, &orderID, &linkID, &answer.outcomes)
  }

  /// `header`: what is granted, what is left of it, and when it is full again. Without all three nothing is known.
  @inline(always)
  private func rate(_ json: inout JSONCursor, _ answer: inout OrderAnswer) {
    guard json.isNext(.object) else {
      json.skip()
      return
    }
    json.at += 1
    var walk = JSONWalk()
    var wrong = false
    var seen = 0
    while true {
      let found = apus_json_next_field(&json, shapes.header.pointer, &walk)
      guard let field = BybitHeaderField(rawValue: found) else {
        if found == APUS_JSON_FIELD_END { break }
        json.skip()
        continue
      }
      var text = JSONText()
      var number = ScannedDecimal()
      switch field {
      case .limit, .remaining:
        var value: Int64 = 0
        guard json.text(&text, wrong: &wrong), self.number(text, &number) == .number,
          apus_decimal_to_scaled(&number, 0, &value) == .exact, value >= 0
        else { continue }
        if field == .limit {
          answer.rate.limit = value
          seen |= 1
        } else {
          answer.rate.remaining = value
          seen |= 2
        }
      case .reset:
        guard json.text(&text, wrong: &wrong) else { continue }
        answer.rate.resetTime = time(text)
        if answer.rate.resetTime > 0 { seen |= 4 }
      case .trace, .now: json.skip()
      }
    }
    answer.hasRate = seen == 7
  }
}
