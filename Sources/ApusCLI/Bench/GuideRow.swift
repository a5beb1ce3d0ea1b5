/// A row of the guide's table: what the guide states, what the Python original did, and what is timed here.
struct GuideRow {
  enum Key: CaseIterable {
    case request, bucket, place, reconcile, reconcileLarge, strategy, enter, submit, orders, order, manager
    case singleVenue, multiVenue, multiVenueSockets, reconciliations, updates
  }

  let key: Key
  let title: String
  /// A throughput: figures are per second, and more is better. Else figures are nanoseconds.
  var isRate = false
  /// In the guide's own numbers, for the table: milliseconds, or per second.
  var guideText = "–"
  var before: Double?
  var after: Double?
  /// The Python original, as it was measured earlier on this kind of machine.
  var python: Double?
  /// Where that figure comes from if it is not one of its own.
  var pythonNote: String?
  /// What exactly is timed, one sentence.
  let timed: String

  /// How far ours is to be ahead of the Python original.
  static let wantedRatio = 100.0

  /// Nanoseconds or per second; `nil` where the Python original was not measured.
  var target: Double? { python.map { isRate ? $0 * Self.wantedRatio : $0 / Self.wantedRatio } }

  /// How many times ours is ahead of another figure of the row.
  func ratio(_ ours: Double, to other: Double?) -> Double? {
    other.map { isRate ? ours / $0 : $0 / ours }
  }

  private static func time(
    _ key: Key, _ title: String, milliseconds: (Double, Double)?, pythonMicroseconds: Double?, _ timed: String
  ) -> GuideRow {
    GuideRow(
      key: key, title: title, guideText: milliseconds.map { "\(number($0.0)) → \(number($0.1)) ms" } ?? "–",
      before: milliseconds.map { $0.0 * 1e6 }, after: milliseconds.map { $0.1 * 1e6 },
      python: pythonMicroseconds.map { $0 * 1e3 },
      timed: timed)
  }

  private static func rate(
    _ key: Key, _ title: String, perSecond: (Double, Double), python: Double? = nil, note: String? = nil,
    _ timed: String
  ) -> GuideRow {
    GuideRow(
      key: key, title: title, isRate: true, guideText: "\(number(perSecond.0)) → \(number(perSecond.1)) /s",
      before: perSecond.0, after: perSecond.1, python: python, pythonNote: note, timed: timed)
  }

  /// As the guide writes it: 0.15, 2.5, 1,000.
  private static func number(_ value: Double) -> String {
    value == value.rounded() ? Figures.grouped(UInt64(value)) : "\(value)"
  }

  static let all: [GuideRow] = [
    time(
      .request, "RPC request", milliseconds: (0.15, 0.09), pythonMicroseconds: 23,
      "an amend encoded, framed and masked; the venue's reply of about 400 bytes unframed, decoded, and matched with its "
        + "request and its order"),
    time(
      .bucket, "token bucket", milliseconds: (0.008, 0.003), pythonMicroseconds: 0.24,
      "TokenBucket.tryTake of one token, granted"),
    time(
      .place, "place order", milliseconds: (2.5, 1.5), pythonMicroseconds: 26.5,
      "in a whole lane, from the look to the masked frames of 6 new orders: strategy, reconciler, risk gate, budget, slab, "
        + "account of orders, encoder; a sixth of it"),
    time(
      .reconcile, "reconcile, 2 × 10 levels", milliseconds: (15.2, 8.7), pythonMicroseconds: 95,
      "both sides of ten orders compared with ladders in which every quote has moved: 20 amends"),
    time(
      .reconcileLarge, "reconcile, 2 × 1,000 levels", milliseconds: nil, pythonMicroseconds: 9450,
      "the same with a thousand orders a side: 2,000 amends"),
    time(
      .strategy, "strategy run", milliseconds: (8.3, 4.1), pythonMicroseconds: 115,
      "a whole look of a lane in which every quote moves: strategy, safety cuts, reconciler, and 6 amends through risk and "
        + "encoder to masked frames"),
    time(
      .enter, "submit order", milliseconds: (0.12, 0.08), pythonMicroseconds: 1.5,
      "a new order takes its slot in the slab and enters the account of orders, sorted by price, with its exposure; ten a "
        + "side one after the other, one of them; no request is written"),
    time(
      .submit, "submit order, with its frame", milliseconds: (0.12, 0.08), pythonMicroseconds: nil,
      "the same, and the request encoded, framed and masked; the original's figure is without a frame (its placing takes "
        + "26.5 µs), so it stands in the row above only"),
    time(
      .orders, "get orders, all 20 open", milliseconds: (0.08, 0.05), pythonMicroseconds: 0.96,
      "a walk over the 20 open orders of an instrument, reading price and open size of each; for how many orders the "
        + "original's figure stands is not known"),
    time(
      .order, "get order, by client id", milliseconds: (0.08, 0.05), pythonMicroseconds: 0.96,
      "one of 20 open orders found by its client id, its price read"),
    time(
      .manager, "manager run, three venues", milliseconds: (25.6, 12.4), pythonMicroseconds: 370,
      "three lanes report, the manager decides over all of them and directs each, and each lane moves all of its 6 quotes, "
        + "masked frames included"),
    rate(
      .singleVenue, "orders, one venue", perSecond: (200, 350),
      "sustained in a whole lane: every order is decided, checked, sent, acknowledged by a reply frame, cancelled, and "
        + "that acknowledged too"),
    rate(
      .multiVenue, "orders, three venues", perSecond: (120, 280),
      "the same with three lanes in turn on one core, the orders of all three"),
    rate(
      .multiVenueSockets, "orders, three venues, over sockets", perSecond: (120, 280),
      "apus demo on all of Thalex, Bybit and Deribit, each a process of its own on this machine: orders and amends of one "
        + "engine that the venues have answered; as many as the venues' books, told at their own pace, give cause for, on "
        + "one instrument each: not what the engine can do, which is the row above"),
    rate(
      .reconciliations, "reconciliations", perSecond: (60, 120), python: 1e9 / 95_000,
      note: "the inverse of its reconcile figure", "sustained: 2 × 10 levels, every quote has moved"),
    rate(
      .updates, "state updates", perSecond: (1000, 1500),
      "sustained in a whole lane: reply frames that confirm or end an order, unframed, decoded, applied to the account of "
        + "orders, and the look that follows"),
  ]
}
