/// What a row's figure is to be.
public enum Target: Sendable {
  case atMost(Double)
  case atLeast(Double)
  /// At most so many times what `name` took in the same run.
  case atMostTimes(Double, of: String)
}

/// The name under which the bare cache-line bounce stands among a row's peers.
public let bounceName = "bare cache-line bounce"

/// One line of the table, without its figures.
public struct Row: Sendable {
  public enum Statistic: Sendable {
    /// Median over the rounds of the time of one operation.
    case median
    /// Over all single runs of all rounds.
    case percentile(Double)
    /// Median over the rounds of millions of operations a second.
    case millionsPerSecond
  }

  /// What a peer took when it was measured by hand, on a machine of this kind; never part of a run.
  public struct Earlier: Sendable {
    public let name: String
    public let value: Double
  }

  /// Key of the piece that it shows.
  public let key: String
  public let title: String
  public let statistic: Statistic
  public let target: Target?
  public let earlier: [Earlier]
  /// What is timed exactly, or what has to be known to read the figure.
  public let note: String

  public var unit: String {
    switch statistic {
    case .median, .percentile: "ns"
    case .millionsPerSecond: "M/s"
    }
  }

  init(
    _ key: String, _ title: String, _ target: Target? = nil, statistic: Statistic = .median,
    earlier: KeyValuePairs<String, Double> = [:], note: String = ""
  ) {
    self.key = key
    self.title = title
    self.statistic = statistic
    self.target = target
    self.earlier = earlier.map { Earlier(name: $0.key, value: $0.value) }
    self.note = note
  }

  /// The title without a percentile: the name of the piece by itself.
  public var pieceTitle: String {
    guard case .percentile = statistic, let comma = title.lastIndex(of: ",") else { return title }
    return String(title[..<comma])
  }

  /// p50, p99 and p99.9 of one sampled piece.
  private static func percentiles(
    _ key: String, _ title: String, _ targets: [Target?] = [nil, nil, nil], note: String
  ) -> [Row] {
    zip([50, 99, 99.9], targets).map { percent, target in
      let name = percent == 99.9 ? "p99.9" : "p\(Int(percent))"
      return Row(key, "\(title), \(name)", target, statistic: .percentile(percent), note: note)
    }
  }

  /// All rows, in the order of the table. The targets and the earlier figures are those of the project's
  /// specification of its hot path; they stand here and nowhere else.
  public static let all: [Row] = [
    percentiles(
      "tick.book.one", "tick to order, book update, one order", [.atMost(350), .atMost(800), .atMost(3000)],
      note: "one side of the market moves a tick, one of two quotes is amended"),
    percentiles(
      "tick.ticker.one", "tick to order, ticker, one order", [.atMost(350), .atMost(800), .atMost(3000)],
      note: "the mark moves half a tick, one of two quotes is amended"),
    percentiles("tick.book.2", "tick to order, book update, 2 orders", note: "both sides move, 1 x 2 quotes amended"),
    percentiles("tick.book.6", "tick to order, book update, 6 orders", note: "both sides move, 3 x 2 quotes amended"),
    percentiles(
      "tick.book.20", "tick to order, book update, 20 orders", note: "both sides move, 10 x 2 quotes amended"),
    percentiles(
      "tick.unchanged.ticker", "unchanged tick, ticker with nothing new", [.atMost(150), nil, nil],
      note: "early exit: mark and index stay, last price, time, collars, volumes and funding differ; 3 x 2 quotes stand"
    ),
    percentiles(
      "tick.unchanged.book", "unchanged tick, book update behind the best", [.atMost(150), nil, nil],
      note: "early exit: the best prices stand; 3 x 2 quotes stand"),
    percentiles(
      "tick.unchanged.look", "tick with a new mark that moves no quote",
      note: "no early exit: strategy, reconciler and risk run; 3 x 2 quotes stand"),
    percentiles(
      "tick.shown", "tick to order, shown in the telemetry file",
      note: "ticker, one order; span and counter are written"),
    percentiles(
      "tick.shown.100", "tick to order, shown, read 100 times a second",
      note: "the same; another core reads the whole file with a pause of 10 ms after each time"),
    percentiles(
      "tick.shown.always", "tick to order, shown, read without a pause",
      note: "the same; another core does nothing but read the file"),
    percentiles(
      "tick.venue.thalex", "tick to order, Thalex's frames", [.atMost(400), nil, nil],
      note: "a book update of the simulated venue moves one side a tick, one of two quotes is amended"),
    percentiles(
      "tick.venue.deribit", "tick to order, Deribit's frames", [.atMost(400), nil, nil], note: "likewise"),
    percentiles(
      "tick.venue.bybit", "tick to order, Bybit's frames", [.atMost(400), nil, nil], note: "likewise"),
    [
      Row(
        "decode.ticker", "decode ticker, ≈ 690 B", .atMost(135),
        earlier: ["simdjson on-demand": 185, "yyjson": 365, "rapidjson": 1330],
        note: "16 in a series: mark, time, index, volumes, funding change, some of them in length; peers: the first"),
      Row(
        "decode.book", "decode book update, 20 x 2 levels, ≈ 1 KB", .atMost(350),
        earlier: ["simdjson on-demand": 780, "yyjson": 1100]),
      Row("decode.orders", "decode 10 order updates, ≈ 4 KB", .atMost(1000), earlier: ["simdjson on-demand": 1600]),
      Row(
        "encode.insert", "encode insert", .atMost(15),
        earlier: ["to_chars + memcpy": 32, "yyjson": 124, "snprintf": 160]),
      Row(
        "encode.massquote", "encode mass_quote of 20 sides", .atMost(120),
        earlier: ["to_chars + memcpy": 356, "yyjson": 1125, "snprintf": 2090],
        note: "ten options, one level a side"),
      Row(
        "ws.parse", "WebSocket: parse header of a 700 B frame", .atMost(3), earlier: ["uWebSockets": 7.9, "wslay": 19],
        note: "wslay copies the payload as well: it has no other way"),
      Row(
        "ws.build", "WebSocket: build and mask 300 B", .atMost(6), earlier: ["uWebSockets": 63, "wslay": 117],
        note: "header, new key, masked copy"),
      Row(
        "ring.same", "ring: push and pop, one thread", .atMost(5.0),
        earlier: ["folly": 5.0, "rigtorp": 5.4, "drogalis": 5.1], note: "56 bytes"),
      Row(
        "ring.trip", "ring: round trip between two cores", .atMostTimes(1.10, of: bounceName),
        earlier: ["folly": 166, "rigtorp": 162, "drogalis": 167, "Aeron C": 134], note: "through two rings"),
      Row(
        "ring.stream", "ring: one message between two cores, streaming", .atMost(4),
        earlier: ["folly": 9.1, "rigtorp": 6.4, "drogalis": 6.3], note: "capacity 1,024"),
      Row(
        "bucket.single", "token bucket: one writer", .atMost(2), earlier: ["folly": 13, "governor": 6.4],
        note: "granted"),
      Row(
        "bucket.shared", "token bucket: lock-free, uncontended", .atMost(6.5),
        earlier: ["folly": 13, "governor": 6.4], note: "granted"),
      Row(
        "bucket.contended", "token bucket: lock-free, two threads, each", .atMost(30), earlier: ["governor": 28],
        note: "granted; time of one take on one of the threads"),
      Row(
        "slab.find", "order slab: find by client id", .atMost(1.5),
        earlier: ["unordered_dense": 7.0, "khashl": 6.5, "absl flat_hash_map": 8.3], note: "10,000 live, random"),
      Row(
        "slab.churn.fifo", "order slab: insert + find + erase, the oldest", .atMost(4),
        earlier: ["unordered_dense": 37, "khashl": 37, "absl flat_hash_map": 52], note: "10,000 live"),
      Row(
        "slab.churn", "order slab: insert + find + erase, a random one", .atMost(4),
        note: "10,000 live; 2 MB of records are read and written at random"),
      Row(
        "slab.venue", "order slab: by venue id, insert + find + erase", .atMost(30),
        earlier: ["unordered_dense": 37, "khashl": 37, "absl flat_hash_map": 52],
        note: "10,000 live, a random one ends; ids of 16 characters"),
      Row(
        "book.50", "book: update + top, 50 levels a side", .atMost(6), earlier: ["std::map": 26, "sorted vector": 17]),
      Row("book.10", "book: update + top, 10 levels a side", .atMost(6)),
      Row("book.1000", "book: update + top, 1,000 levels a side", .atMost(6)),
      Row("book.10000", "book: update + top, 10,000 levels a side", .atMost(6)),
      Row(
        "histogram.record", "histogram: record", .atMost(1.2),
        earlier: ["HdrHistogram_c": 3.2, "HdrHistogram_c, atomic": 11.9]),
      Row(
        "clock.read", "clock: read", .atMostTimes(1.1, of: "bare rdtsc"),
        earlier: ["bare rdtsc": 9.9, "clock_gettime": 24.6]),
      Row("reconcile.10.standing", "reconcile 2 x 10 levels, nothing to do", .atMost(40)),
      Row("reconcile.10.moved", "reconcile 2 x 10 levels, all moved", .atMost(250)),
      Row("reconcile.100.moved", "reconcile 2 x 100 levels, all moved", note: "for the growth"),
      Row("reconcile.500.moved", "reconcile 2 x 500 levels, all moved", .atMost(10_000)),
      Row("reconcile.1000.moved", "reconcile 2 x 1,000 levels, all moved", note: "for the growth"),
      match("still", "static book", earlier: [:]),
      match("normal", "normal flow", earlier: ["CppTrader": 12.9]),
      match("swing25", "swings of 25 %", earlier: [:]),
      match("swing40", "swings of 40 %", earlier: [:]),
      match("crash", "flash crash", earlier: [:]),
      Row(
        worstMatchKey, "matching engine, worst of the five flows", .atLeast(25), statistic: .millionsPerSecond,
        earlier: ["CppTrader": 11.2]),
      Row("journal.append", "journal: append 300 B", .atMost(40)),
    ],
    journal("none", .atMost(3000)), journal("interval", .atMost(3000)), journal("each"),
    [
      Row(
        "replay.frames", "replay: inbound frames, mostly ticks", .atLeast(1), statistic: .millionsPerSecond,
        note: "frames of the simulated Thalex, every record that the lane makes compared; without the lane's start"),
      Row(
        "simulate.microseconds", "simulation: microseconds of a world of one lane", .atLeast(1000),
        statistic: .millionsPerSecond,
        note: "simulated seconds a second of the processor; random faults of eight seeds, every invariant looked at"
      ),
      Row("encode.amend", "encode amend"),
      Row(
        "bybit.decode.book", "Bybit: decode book delta, 50 levels, ≈ 1.1 KB",
        .atMostTimes(0.55, of: "simdjson on-demand"),
        note: "numbers stand in quotes; the number of each message is checked against the last"),
      Row(
        "bybit.decode.order", "Bybit: decode order record, ≈ 1.2 KB",
        note: "52 members, 14 of them read; the others are checked as well, which simdjson on-demand does not do"),
      Row(
        "bybit.decode.execution", "Bybit: decode execution record, ≈ 0.8 KB", note: "33 members, 13 of them read"),
      Row(
        "bybit.encode.create", "Bybit: encode order.create, ≈ 330 B", .atMost(25), note: "id, time, tag, size, price"),
      Row(
        "deribit.decode.snapshot", "Deribit: decode book snapshot, 50 x 2 levels, ≈ 2.7 KB",
        .atMostTimes(0.75, of: "simdjson on-demand"), note: "a word and two numbers a level"),
      Row(
        "deribit.decode.change", "Deribit: decode book change, 4 levels, ≈ 350 B",
        .atMostTimes(0.75, of: "simdjson on-demand"), note: "each change is checked against the last"),
      Row(
        "deribit.decode.ticker", "Deribit: decode ticker, ≈ 720 B", .atMostTimes(0.75, of: "simdjson on-demand"),
        note: "16 in a series: mark, time, index, volume, funding change; peers: the first"),
      Row(
        "deribit.decode.fill", "Deribit: decode user.changes with a fill, ≈ 1.9 KB",
        .atMostTimes(0.75, of: "simdjson on-demand"),
        note: "an execution, its order and the position; what is not read is checked as well, which simdjson on-demand "
          + "does not do"),
      Row(
        "deribit.decode.reply", "Deribit: decode the reply to private/buy, ≈ 800 B",
        .atMostTimes(0.75, of: "simdjson on-demand"), note: "the same"),
      Row(
        "deribit.encode.buy", "Deribit: encode private/buy, ≈ 210 B", .atMost(25), note: "id, size, price, label"),
      Row("deribit.encode.edit", "Deribit: encode private/edit"),
      Row("deribit.encode.cancel", "Deribit: encode private/cancel"),
      Row("bybit.decode.book.small", "Bybit: decode book delta, 4 levels"),
      Row("bybit.decode.ticker", "Bybit: decode ticker delta"),
      Row("bybit.decode.answer", "Bybit: decode the answer to order.create"),
      Row("bybit.encode.amend", "Bybit: encode order.amend"),
      Row("bybit.encode.batch", "Bybit: encode order.create-batch of 20"),
      Row(
        "decode.ticker.mixed", "decode ticker, of another form than the last",
        note: "a best bid comes and goes with each ticker"),
      Row("decode.book10", "decode book update, 10 x 2 levels"),
      Row("decode.order", "decode one order update, ≈ 450 B"),
      Row("ws.receive", "WebSocket: endpoint, receive 700 B of text", note: "with the check for valid UTF-8"),
      Row("ws.send", "WebSocket: endpoint, send 300 B", note: "framed and masked in place"),
      Row("tls.300", "TLS 1.3: 300 B written, and read at the other end"),
      Row("ring.idle", "ring: a look that finds nothing"),
      Row("slot.same", "slot under a sequence lock: write and read, one thread", note: "56 bytes, the latest alone"),
      Row("slot.idle", "slot under a sequence lock: a look that finds nothing"),
      Row("slot.trip", "slot under a sequence lock: round trip between two cores", note: "through two slots"),
      Row("ring.burst", "ring: push and pop, one thread, 50 at a time", note: "56 bytes"),
      Row("bucket.refused", "token bucket: one writer, refused"),
      Row("slab.venue.find", "order slab: find by venue id", note: "10,000 live, random"),
      Row("histogram.percentile", "histogram: p99.9"),
      Row("decimal.parse", "decimal: 76288.41 to 10⁻⁸"),
      Row("decimal.write", "decimal: ticks of 0.5 to text"),
    ],
  ].flatMap { $0 }

  /// Not a piece: the least of the five flows.
  public static let worstMatchKey = "match.worst"

  /// p50 and p99.9 of an append under a sync policy.
  ///
  /// - Parameter rarest: Target of the p99.9: above it, appends have waited for page faults. Under `each` they wait for the
  ///   disk.
  private static func journal(_ sync: String, _ rarest: Target? = nil) -> [Row] {
    [50, 99.9].map { percent in
      Row(
        "journal.sync.\(sync)", "journal: append 300 B, sync \(sync), \(percent == 50 ? "p50" : "p99.9")",
        percent == 50 ? nil : rarest, statistic: .percentile(percent),
        note: "20,000 a second, the helper's thread beside it")
    }
  }

  private static func match(_ scenario: String, _ title: String, earlier: KeyValuePairs<String, Double>) -> Row {
    Row(
      "match.\(scenario)", "matching engine, \(title)", .atLeast(25), statistic: .millionsPerSecond, earlier: earlier,
      note: "2 M messages, reports read")
  }
}
