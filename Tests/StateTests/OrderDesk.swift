import CSupport

@testable import Apus

/// A real account of orders with one order in a wanted state, for `OrderTableTests`.
struct OrderDesk: ~Copyable {
  static let forgotten = "-"
  private static let grace = LaneSession.absenceGrace
  private static let step: Nanoseconds = 10_000_000
  /// Large, so that a long walk does not use it up by fills of 1 and 2.
  private static let size: Int64 = 1_000_000

  var tracker: StateTracker
  var now: Nanoseconds = 1
  /// Our number of the order, which outlives its slot.
  private var clientID: UInt64 = 0
  private var venueID = VenueID()
  private var trades = 0
  private var orders = 0
  private var hasOthers = false
  private let isQuote: Bool

  init(isQuote: Bool = false) throws {
    tracker = try Say.tracker()
    tracker.open(0, at: 1)
    self.isQuote = isQuote
  }

  var order: OrderPointer? { clientID == 0 ? nil : tracker.order(clientID) }

  /// The state's name in the table, or the phase and the request in flight if the table has no such state.
  var state: String {
    guard let order else { return Self.forgotten }
    let record = order.pointee
    let named = record.venue_id.count > 0 ? "+id" : ""
    let isReplaced = record.flags & StateTracker.isReplaced != 0
    let cancel = isReplaced ? "+replaced" : "+cancel"
    switch (record.phaseValue, record.inFlightValue) {
    case (.inserting, .insert): return (isQuote ? "announced" : "inserting") + named
    case (.live, .none): return "live"
    case (.live, .amend): return "live+amend"
    case (.live, .cancel): return "live" + cancel
    case (.unknown, .none): return "unknown"
    case (.unknown, .insert): return "unknown+insert" + named
    case (.unknown, .amend): return "unknown+amend"
    case (.unknown, .cancel): return "unknown" + cancel
    case (.dead, .none):
      let isWaiting = record.worstCaseLots > .zero
      let new = isQuote && named.isEmpty ? "+new" : ""
      guard record.flags & StateTracker.endedByAbsence != 0 else { return (isWaiting ? "dead+fills" : "dead") + new }
      return (isWaiting ? "absent" : "absent+told") + new
    case (let phase, let inFlight): return "\(phase)/\(inFlight)"
    }
  }

  // MARK: - Paths

  /// Events that lead from no order to each state.
  static let paths: [String: [String]] = {
    let live = ["insert", "reply-insert"]
    return [
      "-": live + ["ended-feed", "purge"],
      "inserting": ["insert"],
      "inserting+id": ["insert", "fill"],
      "live": live,
      "live+amend": live + ["amend"],
      "live+cancel": live + ["cancel"],
      "unknown": live + ["disconnected"],
      "unknown+insert": ["insert", "time-out"],
      "unknown+insert+id": ["insert", "fill", "time-out"],
      "unknown+amend": live + ["amend", "time-out"],
      "unknown+cancel": live + ["cancel", "time-out"],
      "dead": live + ["ended-feed"],
      "dead+fills": live + ["ended-filled"],
      "absent": live + ["disconnected", "absent-late"],
      "absent+told": live + ["disconnected", "absent-late", "trades-answered"],
    ]
  }()

  static let quotePaths: [String: [String]] = {
    let live = ["announce", "feed-rests"]
    return [
      "-": live + ["feed-ended", "purge"],
      "announced": ["announce"],
      "announced+id": ["announce", "fill"],
      "live": live,
      "live+replaced": live + ["announce"],
      "live+cancel": live + ["cancel"],
      "unknown": live + ["disconnected"],
      "unknown+insert": ["announce", "disconnected"],
      "unknown+insert+id": ["announce", "fill", "disconnected"],
      "unknown+replaced": live + ["announce", "disconnected"],
      "unknown+cancel": live + ["cancel", "disconnected"],
      "dead": live + ["feed-ended"],
      "dead+new": ["announce", "level-failed"],
      "dead+fills": live + ["ended-filled"],
      "absent": live + ["disconnected", "absent-late"],
      "absent+told": live + ["disconnected", "absent-late", "trades-answered"],
      "absent+new": ["announce", "disconnected", "absent-late"],
      "absent+told+new": ["announce", "disconnected", "absent-late", "trades-answered"],
    ]
  }()

  // MARK: - Events

  /// No other order has been made for the sake of an event.
  var isAlone: Bool { orders < 2 && !hasOthers }

  /// One event, and what came of it in the words of the table; `nil` if the table's event has no code here.
  mutating func apply(_ event: String) -> OrderTable.Cell? {
    now += Self.step
    prepare(event)
    let before = (record: order?.pointee, impossible: tracker.counters.impossible)
    guard let outcome = isQuote ? quoteOutcome(of: event) ?? outcome(of: event) : outcome(of: event) else { return nil }
    var words = [outcome]
    if let before = before.record, let after = order?.pointee,
      before.price_ticks != after.price_ticks || before.qty_lots != after.qty_lots
    {
      words.append("values")
    }
    if tracker.counters.impossible > before.impossible { words.append("!") }
    return OrderTable.Cell(next: state, words: words)
  }

  /// What has to be so before an event, and is no part of it.
  private mutating func prepare(_ event: String) {
    switch event {
    case "feed-behind", "reply-amend-behind", "query-behind", "snapshot-behind", "ended-behind":
      if let order, order.pointee.filled_lots == .zero { book(2) }
    case "fill-again", "fill-fee": book(2)
    default: return
    }
  }

  private mutating func outcome(of event: String) -> String? {
    switch event {
    case "insert": return beginInsert()
    case "amend": return beginAmend()
    case "cancel":
      guard let order else { return "ignored" }
      return tracker.beginCancel(order, now: now) ? "sent" : "refused"
    case "take-back":
      guard let order else { return "ignored" }
      return tracker.takeBack(order, now: now) ? "taken" : "refused"

    case "reply-insert": return word(report(.reply, .open, .insert))
    case "reply-amend": return word(amendReply(.target))
    case "reply-amend-moved": return word(amendReply(.other))
    case "reply-amend-behind": return word(amendReply(.target, filled: 0))
    case "reply-earlier-amend": return word(amendReply(.confirmed, isLast: false))
    case "reply-earlier-amend-target": return word(amendReply(.target, isLast: false))
    case "reply-earlier-amend-moved": return word(amendReply(.other, isLast: false))
    case "feed-rests": return word(report(.feed, .open, .insert))
    case "feed-moved": return word(report(.feed, .open, .amend, values: .other))
    case "feed-target": return word(report(.feed, .open, .amend, values: .target))
    case "feed-behind": return word(report(.feed, .open, .insert, filled: 0))
    case "snapshot-rests": return word(report(.snapshot, .open, .existing))
    case "snapshot-behind": return word(report(.snapshot, .open, .existing, filled: 0))
    case "query-before": return query(sentAfter: 0, .confirmed)
    case "query-target": return query(sentAfter: 1, .target)
    case "query-old-values": return query(sentAfter: 1, .confirmed)
    case "query-moved": return query(sentAfter: 1, .other)
    case "query-old-values-late": return query(sentAfter: Self.grace, .confirmed)
    case "query-moved-late": return query(sentAfter: Self.grace, .other)
    case "query-behind": return query(sentAfter: Self.grace, .other, filled: 0)
    case "query-others": return queryOfOthers()

    case "ended-reply": return word(report(.reply, .cancelled, .cancel))
    case "ended-feed": return word(report(.feed, .cancelled, .cancel))
    case "ended-snapshot": return word(report(.snapshot, .cancelled, .cancel))
    case "ended-history": return word(report(.history, .cancelled, .cancel))
    case "ended-behind": return word(report(.feed, .cancelled, .cancel, filled: 0))
    case "ended-filled":
      var ended = report(.feed, .filled, .fill, values: .confirmed)
      ended.filled = ended.qty
      return word(ended)
    case "ended-larger": return word(larger(.feed, .cancelled))

    case "refused-insert-no-effect": return refuse(.insert(clientID), .noEffect)
    case "refused-insert-gone": return refuse(.insert(clientID), .orderGone)
    case "refused-insert-nothing": return refuse(.insert(clientID), .nothing)
    case "refused-amend-no-effect": return refuse(amend(), .noEffect)
    case "refused-amend-gone": return refuse(amend(), .orderGone)
    case "refused-amend-nothing": return refuse(amend(), .nothing)
    case "refused-earlier-amend": return refuse(amend(isLast: false), .noEffect)
    case "refused-some-amend": return refuse(.amend(clientID), .noEffect)
    case "refused-cancel-no-effect": return refuse(.cancel(clientID), .noEffect)
    case "refused-cancel-gone": return refuse(.cancel(clientID), .orderGone)
    case "refused-cancel-nothing": return refuse(.cancel(clientID), .nothing)

    case "time-out": return changing { _ = $0.tracker.expire(sentBefore: .max, now: $0.now) }
    case "disconnected":
      let before = state
      tracker.connectionLost(now: now)
      return before == state ? "stale" : "changed"
    case "absent-young": return absence(Self.grace / 2)
    case "absent-late": return absence(Self.grace)

    case "overfilled-report":
      var more = report(.feed, .partiallyFilled, .fill)
      more.filled = more.qty + QtyLots(rawValue: 1)
      return word(more)
    case "larger-report": return word(larger(.feed, .open))
    case "larger-reply":
      var larger = larger(.reply, .open)
      larger.amendSerial = amend().amendSerial
      return word(larger)
    case "larger-query":
      ask(sentAfter: 1)
      let word = word(larger(.query, .open))
      _ = tracker.endQuery(grace: Self.grace, now: now)
      return word
    case "huge-report":
      var huge = report(.feed, .open, .amend)
      huge.qty = StateTracker.largestLots + QtyLots(rawValue: 1)
      return word(huge)
    case "strange-status": return word(report(.feed, .other, .other))

    case "fill": return book(1)
    case "fill-again": return repeatFill(fee: nil)
    case "fill-fee": return repeatFill(fee: 5)
    case "fill-all":
      // Of a dead order: all that was reported.
      return book(max(order.map { left(of: $0.pointee) } ?? 1, 1))
    case "fill-too-much":
      // More than is left: it traded, whatever we believed.
      return book((order.map { max($0.pointee.qty_lots, $0.pointee.target_lots).rawValue } ?? 0) + 1)
    case "fill-huge": return book(StateTracker.largestLots.rawValue + 1)

    case "trades-answered":
      guard let order else { return "stale" }
      let before = order.pointee.worstCaseLots
      now = max(now, order.pointee.sent_ns + Self.grace)
      tracker.tradesAnswered(askedAt: now, lag: Self.grace)
      return order.pointee.worstCaseLots == before ? "stale" : "changed"
    case "position-taken-over":
      guard let order else { return "stale" }
      let before = order.pointee.worstCaseLots
      tracker.forgiveMissing(0)
      return order.pointee.worstCaseLots == before ? "stale" : "changed"
    case "purge": return purge(StateTracker.remembrance)
    case "purge-late": return purge(StateTracker.absentRemembrance)
    default: return nil
    }
  }

  /// Events that only quotes know, and those that name a quote in another way.
  private mutating func quoteOutcome(of event: String) -> String? {
    switch event {
    case "announce":
      let isNew = order == nil
      let before = state
      tracker.beginReplacement(0, .buy, now: now)
      let quote = tracker.beginQuote(
        0, .buy, Quote(price: PriceTicks(rawValue: 1000 + Int64(orders)), qty: QtyLots(rawValue: Self.size)), now: now)!
      orders += 1
      if isNew { adopt(quote) }
      return before == state ? "stale" : "sent"
    case "no-effect":
      return changing { $0.tracker.quotesHadNoEffect(0, .buy, now: $0.now) }
    case "level-failed":
      guard let order else { return "ignored" }
      return tracker.quoteFailed(0, .buy, price: order.pointee.target_ticks, now: now) ? "taken" : "ignored"
    case "answered":
      return changing { $0.tracker.quotesAnswered(0, .buy, processedBy: $0.now, now: $0.now) }
    case "answered-repeated":
      addOther()
      // Something else that the mass quote did has been told.
      tracker.state(0).pointee.noteReplacementTold(.buy)
      return changing { $0.tracker.quotesAnswered(0, .buy, processedBy: $0.now, now: $0.now) }
    case "answered-untold":
      addOther()
      return changing { $0.tracker.quotesAnswered(0, .buy, processedBy: $0.now, now: $0.now) }
    case "unanswered":
      addOther()
      return changing { $0.tracker.quotesAnswered(0, .buy, processedBy: nil, now: $0.now) }
    case "feed-rests": return word(report(.feed, .open, .insert, values: .target))
    case "feed-elsewhere":
      var elsewhere = report(.feed, .open, .insert, values: .other)
      elsewhere.venueID = Say.id("ELSEWHERE")
      return word(elsewhere)
    case "feed-ended": return word(report(.feed, .cancelled, .cancel, values: .target))
    case "query-listed": return query(sentAfter: 1, .target)
    case "query-listed-late": return query(sentAfter: Self.grace, .target)
    case "absent-answered":
      // The mass quote was answered before the query left, so that an absence proves at once.
      guard order?.pointee.phaseValue == .unknown else { return "stale" }
      order?.pointee.sent_ns = now - Self.grace
      return absence(Self.grace)
    default: return nil
    }
  }

  /// For a quote that was announced: a standing one of its price and size, which the same message replaces.
  /// For one that is replaced: an announced one of its price and open size.
  private mutating func addOther() {
    hasOthers = true
    guard let order else { return }
    let record = order.pointee
    if state == "announced" {
      let other = tracker.rest(.buy, record.target_ticks.rawValue, record.target_lots.rawValue, now: now)
      tracker.change(other) {
        $0.pointee.inFlightValue = .cancel
        $0.pointee.flags |= StateTracker.isReplaced
      }
    } else {
      let quote = Quote(price: record.price_ticks, qty: record.qty_lots - record.filled_lots)
      _ = tracker.beginQuote(0, .buy, quote, now: now)
    }
  }

  private mutating func changing(_ body: (inout OrderDesk) -> Void) -> String {
    let before = state
    body(&self)
    return before == state ? "stale" : "changed"
  }

  // MARK: - Requests

  private mutating func adopt(_ order: OrderPointer) {
    clientID = order.pointee.client_id
    venueID = Say.id("V\(clientID)")
  }

  private mutating func beginInsert() -> String {
    let isNew = order == nil
    let order = tracker.insert(.buy, 1000, Self.size, now: now)
    if isNew {
      adopt(order)
    } else {
      // Another order: ours stays as it is. It goes, so that many may come.
      _ = tracker.refuse(.insert(order.pointee.client_id), proof: .noEffect, now: now)
    }
    return "sent"
  }

  private mutating func beginAmend() -> String {
    guard let order else { return "ignored" }
    let record = order.pointee
    let isTaken = tracker.beginAmend(
      order, price: record.price_ticks + PriceTicks(rawValue: 1), qty: record.qty_lots + QtyLots(rawValue: 1), now: now)
    return isTaken ? "sent" : "refused"
  }

  private mutating func refuse(_ kind: RequestKind, _ proof: RefusalProof) -> String {
    tracker.refuse(kind, proof: proof, now: now) == nil ? "ignored" : "taken"
  }

  // MARK: - Reports

  private enum Values { case confirmed, target, other }

  private func report(
    _ source: ReportSource, _ status: OrderStatus, _ change: ChangeReason, values: Values = .confirmed,
    filled: Int64? = nil
  ) -> OrderReport {
    var report = OrderReport()
    report.source = source
    report.status = status
    report.change = change
    report.side = .buy
    report.instrument = 0
    report.isLabelledOurs = true
    report.isOurQuote = isQuote
    report.clientID = isQuote ? 0 : clientID
    report.venueID = venueID
    report.hasPrice = true
    report.price = PriceTicks(rawValue: 1000)
    report.qty = QtyLots(rawValue: Self.size)
    if let record = order?.pointee {
      let isConfirmed = record.qty_lots > .zero && values != .target
      report.price = isConfirmed ? record.price_ticks : record.target_ticks
      report.qty = isConfirmed ? record.qty_lots : record.target_lots
      report.filled = filled.map { QtyLots(rawValue: $0) } ?? record.filled_lots
      if values == .other { report.price = max(record.price_ticks, record.target_ticks) + PriceTicks(rawValue: 7) }
    }
    report.remaining = report.qty - report.filled
    return report
  }

  /// The last amend of the order, or the one before; an order that was never amended has had its first.
  private func amend(isLast: Bool = true) -> RequestKind {
    let last = max(order.map { tracker.amendSerial(of: $0) } ?? 1, 1)
    return .amend(clientID, serial: isLast ? last : last > 1 ? last - 1 : StateTracker.lastAmendSerial)
  }

  private func amendReply(_ values: Values, filled: Int64? = nil, isLast: Bool = true) -> OrderReport {
    var reply = report(.reply, .open, .amend, values: values, filled: filled)
    reply.amendSerial = amend(isLast: isLast).amendSerial
    return reply
  }

  private func larger(_ source: ReportSource, _ status: OrderStatus) -> OrderReport {
    var report = report(source, status, .amend)
    if let record = order?.pointee {
      report.qty = max(record.qty_lots, record.target_lots) + QtyLots(rawValue: 10)
    }
    return report
  }

  private mutating func word(_ report: OrderReport) -> String { "\(tracker.apply(report, now: now))" }

  private mutating func ask(sentAfter delay: Nanoseconds) {
    let sentAt = (order?.pointee.sent_ns ?? now) + delay
    now = max(now, sentAt) + 1
    tracker.beginQuery(sentAt: sentAt)
  }

  private mutating func query(sentAfter delay: Nanoseconds, _ values: Values, filled: Int64? = nil) -> String {
    ask(sentAfter: delay)
    let word = word(report(.query, .open, .existing, values: values, filled: filled))
    _ = tracker.endQuery(grace: Self.grace, now: now)
    return word
  }

  /// An order of somebody else, who uses our number. Ours is not listed, too early to prove anything.
  private mutating func queryOfOthers() -> String {
    ask(sentAfter: 1)
    var other = report(.query, .open, .existing)
    other.isLabelledOurs = false
    other.isOurQuote = false
    other.venueID = Say.id("THEIRS")
    let word = word(other)
    _ = tracker.endQuery(grace: Self.grace, now: now)
    return word
  }

  private mutating func absence(_ delay: Nanoseconds) -> String {
    let before = state
    ask(sentAfter: delay)
    _ = tracker.endQuery(grace: Self.grace, now: now)
    return before == state ? "stale" : "ended"
  }

  // MARK: - Fills and time

  private func fill(_ trade: String, _ qty: Int64, fee: Int64?) -> FillReport {
    var fill = FillReport()
    fill.side = .buy
    fill.isMaker = true
    fill.isLabelledOurs = true
    fill.isOurQuote = isQuote
    fill.instrument = 0
    fill.tradeID = Say.id(trade)
    fill.clientID = isQuote ? 0 : clientID
    fill.venueID = venueID
    fill.price = order.map { $0.pointee.effectivePrice } ?? PriceTicks(rawValue: 1000)
    fill.qty = QtyLots(rawValue: qty)
    if let fee {
      fill.hasFee = true
      fill.feeE8 = fee
    }
    return fill
  }

  @discardableResult
  private mutating func book(_ qty: Int64) -> String {
    trades += 1
    let fill = fill("T\(trades)", qty, fee: nil)
    return "\(tracker.apply(fill, now: now))"
  }

  private func left(of record: OrderRecord) -> Int64 {
    (record.phaseValue == .dead ? record.reported_lots - record.filled_lots : record.worstCaseLots).rawValue
  }

  private mutating func repeatFill(fee: Int64?) -> String {
    let fill = fill("T\(trades)", 2, fee: fee)
    return "\(tracker.apply(fill, now: now))"
  }

  private mutating func purge(_ age: Nanoseconds) -> String {
    let before = state
    now += age
    tracker.purge(now: now)
    return before == state ? "stale" : "changed"
  }
}
