import CSupport

@testable import Apus

/// Statements of a venue, as short as a test wants them.
enum Say {
  static func id(_ text: String) -> VenueID {
    var id = VenueID()
    _ = apus_id_set(&id, text, text.utf8.count)
    return id
  }

  static func report(
    _ order: OrderPointer, _ status: OrderStatus = .open, change: ChangeReason = .insert,
    source: ReportSource = .feed, venueID: String = "", price: Int64? = nil, qty: Int64? = nil, filled: Int64 = 0
  ) -> OrderReport {
    let record = order.pointee
    var report = OrderReport()
    report.source = source
    report.status = status
    report.change = change
    report.side = record.sideValue
    report.instrument = record.instrument_index
    report.isLabelledOurs = true
    report.clientID = record.client_id
    report.venueID = venueID.isEmpty ? id("V\(record.client_id)") : id(venueID)
    report.hasPrice = true
    report.price = price.map { PriceTicks(rawValue: $0) } ?? record.effectivePrice
    report.qty = qty.map { QtyLots(rawValue: $0) } ?? (record.isChanging ? record.target_lots : record.qty_lots)
    report.filled = QtyLots(rawValue: filled)
    report.remaining = report.qty - report.filled
    return report
  }

  static func fill(
    _ order: OrderPointer, _ trade: String, qty: Int64, price: Int64? = nil, source: ReportSource = .feed,
    fee: Int64? = nil
  ) -> FillReport {
    let record = order.pointee
    var fill = FillReport()
    fill.source = source
    fill.side = record.sideValue
    fill.isMaker = true
    fill.instrument = record.instrument_index
    fill.tradeID = id(trade)
    fill.clientID = record.client_id
    fill.venueID = id("V\(record.client_id)")
    fill.price = price.map { PriceTicks(rawValue: $0) } ?? record.price_ticks
    fill.qty = QtyLots(rawValue: qty)
    if let fee {
      fill.hasFee = true
      fill.feeE8 = fee
    }
    return fill
  }

  /// One instrument with a tick of 1 USD and a lot of 0.001, flat.
  static func tracker(orders: Int = 256, perSide: Int = 64, repliesAreState: Bool = true) throws -> StateTracker {
    var tracker = try StateTracker(
      instrumentCapacity: 1, orderCapacity: orders, ordersPerSide: perSide, idBits: 32, firstGeneration: 1,
      tradeMemory: 1024, repliesAreState: repliesAreState)
    tracker.list(
      InstrumentInfo(
        index: 0, kind: .perpetual,
        grid: InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)),
        expirySeconds: 0))
    _ = tracker.setPosition(0, .zero, mark: PriceTicks(rawValue: 0))
    return tracker
  }
}

extension StateTracker {
  mutating func insert(_ side: Side, _ price: Int64, _ qty: Int64, now: Nanoseconds = 0) -> OrderPointer {
    beginInsert(0, side, price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: qty), now: now)!
  }

  /// An order that the venue has accepted.
  mutating func rest(_ side: Side, _ price: Int64, _ qty: Int64, now: Nanoseconds = 0) -> OrderPointer {
    let order = insert(side, price, qty, now: now)
    _ = apply(Say.report(order), now: now)
    return order
  }

  /// The reply to the last amend of an order, as `Say.report`.
  func amendReply(
    _ order: OrderPointer, price: Int64? = nil, qty: Int64? = nil, filled: Int64 = 0, serial: UInt16? = nil
  ) -> OrderReport {
    var report = Say.report(order, change: .amend, source: .reply, price: price, qty: qty, filled: filled)
    report.amendSerial = serial ?? amendSerial(of: order)
    return report
  }

  /// The last amend of an order, as a refusal names it.
  func lastAmend(of order: OrderPointer) -> RequestKind {
    .amend(order.pointee.client_id, serial: amendSerial(of: order))
  }

  var buys: Int64 { with(0) { $0.openBuyLots.rawValue } }
  var sells: Int64 { with(0) { $0.openSellLots.rawValue } }
  var position: Int64? { with(0) { $0.position?.rawValue } }
}
