import CSupport
import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// Tables of journals, against the lane's own account and the records themselves.
@Suite struct ExportTests {
  /// Rows in memory.
  private final class Tables: ExportWriter {
    struct Full: Error {}
    var rows: [ExportTable: [[String: ExportValue]]] = [:]
    var limit = Int.max

    func write(_ row: [ExportValue], to table: ExportTable) throws {
      #expect(row.count == table.columns.count)
      for (column, value) in zip(table.columns, row) {
        switch (column.type, value) {
        case (_, .null), (.integer, .integer), (.time, .integer), (.text, .text), (.decimal, .decimal): continue
        default: Issue.record("\(table.name).\(column.name) is \(column.type), not \(value)")
        }
      }
      guard rows.values.reduce(0, { $0 + $1.count }) < limit else { throw Full() }
      rows[table, default: []].append(Dictionary(uniqueKeysWithValues: zip(table.columns.map(\.name), row)))
    }

    func rows(_ table: ExportTable) -> [[String: ExportValue]] { rows[table] ?? [] }
  }

  private func export(
    _ path: String
  ) throws -> (tables: Tables, runs: [JournalExport.Run], unreadable: [String]) {
    let tables = Tables()
    var export = try JournalExport(path: path)
    var runs: [JournalExport.Run] = []
    while let run = try export.next(into: tables) { runs.append(run) }
    return (tables, runs, export.unreadable)
  }

  private func number(_ row: [String: ExportValue], _ column: String) -> Int64? {
    if case .integer(let value)? = row[column] { return value }
    return nil
  }

  private func text(_ row: [String: ExportValue], _ column: String) -> String? {
    if case .text(let value)? = row[column] { return value }
    return nil
  }

  private func sum(_ rows: [[String: ExportValue]], _ column: String) -> Int64 {
    rows.reduce(0) { $0 + (number($1, column) ?? 0) }
  }

  /// Everything that must hold between the tables of a run that is whole.
  private func expectTruth(_ path: String, _ name: String) throws {
    let (tables, runs, _) = try export(path)
    #expect(runs.count == 1 && runs[0].problems.isEmpty && runs[0].refusal == nil && !runs[0].isDamaged, "\(name)")
    let run = try #require(tables.rows(.runs).first)
    #expect(number(run, "is_whole") == 1 && number(run, "is_replayed") == 1, "\(name): \(run)")
    // Frames and records, counted by the reader alone.
    var reader = try JournalReader(path: path)
    var kinds: [JournalKind: Int64] = [:]
    while let record = reader.next() { if let kind = record.kind { kinds[kind, default: 0] += 1 } }
    #expect(number(run, "frames_out") == kinds[.outbound] ?? 0, "\(name)")
    #expect(number(run, "frames_in") == (kinds[.inbound] ?? 0) + (kinds[.more] ?? 0), "\(name)")
    #expect(number(run, "fill_records") == kinds[.fill] ?? 0, "\(name)")

    for instrument in tables.rows(.instruments) {
      let name = "\(name), \(text(instrument, "instrument") ?? "?")"
      let fills = tables.rows(.fills).filter { $0["instrument"] == instrument["instrument"] }
      let account = { (column: String) in number(instrument, column) }
      #expect(sum(fills.filter { text($0, "side") == "buy" }, "size_lots") == account("bought_lots"), "\(name)")
      #expect(sum(fills.filter { text($0, "side") == "sell" }, "size_lots") == account("sold_lots"), "\(name)")
      #expect(Int64(fills.count) == account("fills"), "\(name)")
      #expect(sum(fills, "fee_e8") == account("fees_e8"), "\(name)")
      #expect(Set(fills.map { "\(text($0, "trade_id") ?? "")\(text($0, "venue_id") ?? "")" }).count == fills.count)
      for fill in fills {
        guard let tick = account("tick_e8"), let lot = account("lot_e8") else { continue }
        if name.contains("tick-size-changed") {
          // The price is on the grid of its time.
          if case .decimal(let price)? = fill["price"] { #expect(price.e8 > 50_000 * 100_000_000) }
          continue
        }
        #expect(fill["price"] == .decimal(DecimalE8(e8: (number(fill, "price_ticks") ?? 0) * tick)))
        #expect(fill["size"] == .decimal(DecimalE8(e8: (number(fill, "size_lots") ?? 0) * lot)))
      }
    }
    // An order's fills are those of its id; and requests are as many as frames about orders.
    for order in tables.rows(.orders) {
      guard let id = text(order, "venue_id") else { continue }
      let fills = tables.rows(.fills).filter { text($0, "venue_id") == id }
      #expect(sum(fills, "size_lots") == number(order, "filled_lots"), "\(name): \(order)")
      if text(order, "state") == "filled", text(order, "origin") == "order" {
        #expect((number(order, "filled_lots") ?? 0) <= (number(order, "size_lots") ?? 0), "\(name): \(order)")
      }
      if let ended = number(order, "ended_ns"), let sent = number(order, "sent_ns") { #expect(ended >= sent) }
    }
    let requests = tables.rows(.orderEvents).filter { text($0, "source") == "request" }
    let amends = requests.filter { text($0, "event") == "amend" }.count
    #expect(sum(tables.rows(.orders), "amends") == Int64(amends), "\(name)")
    for span in tables.rows(.spans) {
      let duration = try #require(number(span, "duration_ns"))
      #expect(duration >= 0, "\(name): \(span)")
      #expect(try #require(number(span, "from_record")) < #require(number(span, "record")))
    }
    // A row of quotes differs from the one before of its instrument.
    var last: [String: [ExportValue?]] = [:]
    for quote in tables.rows(.quotes) {
      let key = text(quote, "instrument") ?? ""
      let shown = [
        "our_bid_ticks", "our_bid_lots", "our_ask_ticks", "our_ask_lots", "bid_ticks", "bid_lots", "ask_ticks",
        "ask_lots",
      ].map { quote[$0] }
      #expect(last[key] != shown, "\(name)")
      last[key] = shown
    }
  }

  @Test(arguments: FaultScenario.all.filter { !$0.plan.hasCrash }.map(\.name))
  func `tables of a run with faults agree with its lane`(name: String) throws {
    let room = try JournalRoom()
    _ = try ChaosRun.run(try #require(FaultScenario.named(name)).plan, journal: room.journal)
    try expectTruth(room.journal, name)
  }

  @Test(arguments: (1...40 as ClosedRange<UInt64>).filter { !FaultPlan.random(seed: $0).hasCrash }.prefix(12))
  func `tables of a run with random faults agree with its lane`(seed: UInt64) throws {
    let room = try JournalRoom()
    _ = try ChaosRun.run(FaultPlan.random(seed: seed), journal: room.journal)
    try expectTruth(room.journal, "seed \(seed)")
  }

  @Test func `the executions of a killed run and of the one that continues it are the account of the latter`() throws {
    let room = try JournalRoom()
    _ = try ChaosRun.run(try #require(FaultScenario.named("engine-killed")).plan, journal: room.journal)
    let (tables, runs, _) = try export(room.journal)
    let last = try #require(runs.last)
    #expect(runs.count == 2)
    for instrument in tables.rows(.instruments) where number(instrument, "run") == Int64(last.bootEpoch) {
      let fills = tables.rows(.fills).filter { $0["instrument"] == instrument["instrument"] }
      #expect(
        Set(fills.map { number($0, "run") }).count == 2 && Set(fills.map { text($0, "trade_id") }).count == fills.count)
      #expect(sum(fills.filter { text($0, "side") == "buy" }, "size_lots") == number(instrument, "bought_lots"))
      #expect(sum(fills.filter { text($0, "side") == "sell" }, "size_lots") == number(instrument, "sold_lots"))
      #expect(sum(fills, "fee_e8") == number(instrument, "fees_e8"))
    }
  }

  // MARK: - Journals that are not whole

  private func journal(in room: JournalRoom) throws -> String {
    _ = try ChaosRun.run(try #require(FaultScenario.named("lost-acknowledgements")).plan, journal: room.journal)
    return room.journal
  }

  /// Writes a journal anew, in small segments, once for each boot epoch, with a change to its records.
  private func copy(
    _ path: String, to copy: String, epochs: [UInt64] = [1],
    changing change: (inout JournalRecord) -> Bool = { _ in true }
  ) throws {
    for epoch in epochs {
      var reader = try JournalReader(path: path)
      var ends = try JournalEnds(
        path: copy, name: "copy",
        configuration: JournalConfiguration(segmentBytes: 64 << 10, bootEpoch: epoch, sync: .none), now: 0)
      while var record = reader.next() {
        guard change(&record), let kind = record.kind else { continue }
        try ends.service.service(now: 0)
        let isWritten = record.payload.withUnsafeBytes {
          ends.writer.append(kind, connection: record.connection, time: record.time, payload: $0)
        }
        #expect(isWritten)
      }
    }
  }

  private func segments(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted().map { "\(path)/\($0)" }
  }

  @Test func `a flipped bit costs a segment, and is told`() throws {
    let room = try JournalRoom()
    let whole = "\(room.path)/whole"
    try copy(try journal(in: room), to: whole)
    let all = try export(whole)
    #expect(all.runs.first?.problems == [])
    let files = try segments(whole)
    try #require(files.count > 4)
    var bytes = try Data(contentsOf: URL(fileURLWithPath: files[2]))
    bytes[1000] ^= 1
    try bytes.write(to: URL(fileURLWithPath: files[2]))
    let part = try export(whole)
    #expect(part.runs.count == 1)
    let run = try #require(part.runs.first)
    #expect(run.isDamaged && run.problems.count == 1, "\(run.problems)")
    #expect(run.problems.first?.contains("segment 3, offset ") == true, "\(run.problems)")
    let row = try #require(part.tables.rows(.runs).first)
    #expect(number(row, "is_whole") == 0 && number(row, "is_replayed") == 0)
    // What lies behind is there: only the segment's rest is missing.
    let fills = Set(part.tables.rows(.fills).compactMap { text($0, "trade_id") })
    let allFills = all.tables.rows(.fills).compactMap { text($0, "trade_id") }
    #expect(fills.isSubset(of: allFills))
    #expect(allFills.last.map(fills.contains) == true && !fills.isEmpty)
    #expect(part.tables.rows(.instruments).first?["bought_lots"] == .null)
  }

  @Test func `a missing segment is told, and the rest exported`() throws {
    let room = try JournalRoom()
    let whole = "\(room.path)/whole"
    try copy(try journal(in: room), to: whole)
    let files = try segments(whole)
    try FileManager.default.removeItem(atPath: files[1])
    let run = try #require(try export(whole).runs.first)
    #expect(run.isDamaged && run.problems == ["segment 2 is missing; restore it, or skip what it held"])
  }

  @Test func `a torn tail is exported up to there, and is no damage`() throws {
    let room = try JournalRoom()
    let whole = "\(room.path)/whole"
    try copy(try journal(in: room), to: whole)
    let last = try #require(try segments(whole).last)
    var reader = try JournalReader(path: whole)
    var offset: UInt64 = 0
    while let record = reader.next() { offset = record.segmentOffset }
    try Data(contentsOf: URL(fileURLWithPath: last)).prefix(Int(offset) + 20).write(to: URL(fileURLWithPath: last))
    let run = try #require(try export(whole).runs.first)
    #expect(!run.isDamaged && run.problems.count == 1)
    #expect(run.problems.first?.contains("begun and not finished") == true, "\(run.problems)")
  }

  /// What a replay says of each run, and of what lies between them.
  private func replay(_ path: String) throws -> (runs: [Replay.Run], unreadable: [String]) {
    var replay = try Replay(path: path)
    var runs: [Replay.Run] = []
    while let run = replay.next() { runs.append(run) }
    return (runs, replay.unreadable)
  }

  private func expectDamage(_ path: String, _ text: String) throws {
    let repeated = try #require(try replay(path).runs.first)
    #expect(repeated.isDamaged && repeated.difference == nil && repeated.counts.records > 0)
    #expect(repeated.gap?.contains(text) == true, "\(repeated.gap ?? "no gap")")
    let exported = try #require(try export(path).runs.first)
    #expect(exported.isDamaged && exported.problems.contains { $0.contains(text) }, "\(exported.problems)")
  }

  @Test func `a timer whose length has become zero is damage, for the replay and for the tables`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    var reader = try JournalReader(path: path)
    var place: JournalRecord?
    var count = 0
    while let record = reader.next() {
      count += 1
      if count > 100, record.kind == .timer, place == nil { place = record }
    }
    let victim = try #require(place)
    #expect(victim.payload.isEmpty)
    let file = try segments(path)[0]
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    // One bit of the length 32.
    bytes[Int(victim.segmentOffset)] ^= 32
    try bytes.write(to: URL(fileURLWithPath: file))
    try expectDamage(path, "offset \(victim.segmentOffset): a record was begun and not finished")
  }

  @Test func `a segment in the middle that has lost its end is damage, for the replay and for the tables`() throws {
    let room = try JournalRoom()
    let whole = "\(room.path)/whole"
    try copy(try journal(in: room), to: whole)
    let file = try segments(whole)[1]
    let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    try bytes.prefix(bytes.count / 2).write(to: URL(fileURLWithPath: file))
    try expectDamage(whole, "segment 2, offset ")
  }

  @Test func `a flipped bit in the seal of a segment is damage, for the replay and for the tables`() throws {
    let room = try JournalRoom()
    let whole = "\(room.path)/whole"
    try copy(try journal(in: room), to: whole)
    var reader = try JournalReader(path: whole)
    var seal = 0
    while let record = reader.next(), record.segmentNumber == 1 {
      seal = (Int(record.segmentOffset) + 32 + record.payload.count + 7) & ~7
    }
    let file = try segments(whole)[0]
    var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    bytes[seal + 9] ^= 1
    try bytes.write(to: URL(fileURLWithPath: file))
    try expectDamage(whole, "segment 1, offset \(seal): ")
  }

  @Test func `of many damaged segments in a row each is named, and every run behind them is found`() throws {
    let room = try JournalRoom()
    let all = "\(room.path)/all"
    try copy(try journal(in: room), to: all, epochs: [5, 6, 7, 8])
    func damage(_ file: String) throws {
      var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
      bytes[50] ^= 1
      try bytes.write(to: URL(fileURLWithPath: file))
    }
    var reader = try JournalReader(path: all)
    var numbers: [UInt64: Set<UInt64>] = [:]
    while let record = reader.next() { numbers[record.bootEpoch, default: []].insert(record.segmentNumber) }
    let files = try segments(all)
    let bad = (numbers[6] ?? []).union(numbers[7] ?? []).sorted()
    try #require(bad.count > 4 && numbers.count == 4)
    for number in bad { try damage(files[Int(number) - 1]) }
    let sentences = bad.map { "segment \($0) is damaged or is not a journal segment; restore it, or skip it" }
    let middle = try replay(all)
    #expect(middle.runs.map(\.bootEpoch) == [5, 8])
    #expect(middle.runs.allSatisfy { $0.refusal == nil && $0.difference == nil && $0.gap == nil && !$0.isDamaged })
    #expect(middle.unreadable == sentences)
    let exported = try export(all)
    #expect(exported.runs.map(\.bootEpoch) == [5, 8] && exported.runs.allSatisfy { $0.problems.isEmpty })
    #expect(exported.unreadable == sentences)

    // At the beginning: what is left of the first run is named as such.
    for number in 1...2 { try damage(files[number - 1]) }
    let front = try replay(all)
    #expect(front.runs.map(\.bootEpoch) == [5, 8])
    #expect(front.runs[0].refusal?.contains("no longer there") == true)
    #expect(front.unreadable.count == 2 + bad.count)
  }

  @Test func `behind two damaged segments of one run its tables go on`() throws {
    let room = try JournalRoom()
    let whole = "\(room.path)/whole"
    try copy(try journal(in: room), to: whole)
    let files = try segments(whole)
    try #require(files.count > 4)
    for file in files[1...2] {
      var bytes = try Data(contentsOf: URL(fileURLWithPath: file))
      bytes[50] ^= 1
      try bytes.write(to: URL(fileURLWithPath: file))
    }
    let (tables, runs, unreadable) = try export(whole)
    #expect(runs.count == 1 && unreadable.isEmpty)
    #expect(runs[0].problems.count == 2 && runs[0].isDamaged, "\(runs[0].problems)")
    var reader = try JournalReader(path: whole)
    while reader.next() != nil {}
    for _ in 1...3 { _ = reader.skipSegment() }
    var last: UInt64 = 0
    while let record = reader.next() { last = record.recordNumber }
    #expect(tables.rows(.orderEvents).contains { (number($0, "record") ?? 0) + 100 > last })
    let repeated = try replay(whole)
    #expect(repeated.runs.count == 1 && repeated.runs[0].isDamaged)
    #expect(repeated.unreadable == ["segment 3 is damaged or is not a journal segment; restore it, or skip it"])
  }

  @Test(arguments: [false, true])
  func `records that were refused at the end of a run are damage, also when another run follows`(
    isFollowed: Bool
  ) throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    let lost = "\(room.path)/lost"
    do {
      var reader = try JournalReader(path: path)
      var ends = try JournalEnds(
        path: lost, name: "lost",
        configuration: JournalConfiguration(segmentBytes: 64 << 10, bootEpoch: 1, sync: .none),
        now: 0)
      var count = 0
      while let record = reader.next() {
        count += 1
        // The disk is full from here on.
        if count < 200 { try ends.service.service(now: 0) }
        _ = record.payload.withUnsafeBytes {
          ends.writer.append(record.kind!, connection: record.connection, time: record.time, payload: $0)
        }
      }
      let refused = ends.writer.status.refused_count
      #expect(refused > 100)
    }
    if isFollowed { try copy(path, to: lost, epochs: [2]) }
    try expectDamage(lost, "could not be written")
    #expect(try replay(lost).runs.count == (isFollowed ? 2 : 1))
  }

  @Test func `a run whose first segments were removed is named, and the next one goes on`() throws {
    let room = try JournalRoom()
    let both = "\(room.path)/both"
    try copy(try journal(in: room), to: both, epochs: [5, 6])
    for file in try segments(both).prefix(2) { try FileManager.default.removeItem(atPath: file) }
    let (tables, runs, _) = try export(both)
    #expect(runs.map(\.bootEpoch) == [5, 6])
    #expect(
      runs.first?.refusal?.hasPrefix("its beginning is no longer there: the first record that is left is ") == true)
    #expect(runs.last?.refusal == nil && runs.last?.problems == [])
    #expect(tables.rows(.fills).allSatisfy { number($0, "run") == 6 } && !tables.rows(.fills).isEmpty)
    let row = try #require(tables.rows(.runs).first)
    #expect(number(row, "run") == 5 && text(row, "problem")?.contains("no longer there") == true)
    var replay = try Replay(path: both)
    let first = replay.next()
    #expect(first?.refusal?.contains("no longer there") == true)
    let second = replay.next()
    #expect(second?.refusal == nil && second?.difference == nil && second?.bootEpoch == 6)
  }

  @Test func `records that could not be written are counted, and what follows is exported`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    let gap = "\(room.path)/gap"
    var reader = try JournalReader(path: path)
    do {
      var ends = try JournalEnds(
        path: gap, name: "gap", configuration: JournalConfiguration(segmentBytes: 64 << 10, bootEpoch: 1, sync: .none),
        now: 0)
      var count = 0
      while let record = reader.next() {
        count += 1
        // The helper comes late once.
        if count < 200 || count > 500 { try ends.service.service(now: 0) }
        _ = record.payload.withUnsafeBytes {
          ends.writer.append(record.kind!, connection: record.connection, time: record.time, payload: $0)
        }
      }
    }
    let run = try #require(try export(gap).runs.first)
    #expect(run.isDamaged)
    #expect(run.problems.contains { $0.contains(" records before record ") && $0.hasSuffix("could not be written") })
    #expect((run.rows[.orderEvents] ?? 0) > 0)
  }

  @Test func `a run of a program's own strategy is exported from its records`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    let all = try export(path)
    let own = "\(room.path)/own"
    try copy(path, to: own) { record in
      if record.kind == .run {
        let text = String(decoding: record.payload, as: UTF8.self)
        record.payload = Array(
          text.replacingOccurrences(of: "\"strategy\":\"ladders\"", with: "\"strategy\":\"own\"").utf8)
      }
      return true
    }
    let (tables, runs, _) = try export(own)
    #expect(runs.first?.problems.first?.contains("strategy of the program's own") == true, "\(runs)")
    for table in [ExportTable.fills, .orderEvents, .spans] {
      #expect(tables.rows(table).count == all.tables.rows(table).count, "\(table)")
    }
    #expect(tables.rows(.quotes).isEmpty && tables.rows(.instruments).first?["fills"] == .null)
  }

  @Test func `a decision that this engine does not repeat ends the lane's tables, not the others`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    let all = try export(path)
    let changed = "\(room.path)/changed"
    var count = 0
    try copy(path, to: changed) { record in
      if record.kind == .outbound { count += 1 }
      if record.kind == .outbound, count == 40 { record.payload[record.payload.count - 3] ^= 1 }
      return true
    }
    let (tables, runs, _) = try export(changed)
    let problem = try #require(runs.first?.problems.first)
    #expect(problem.contains("this engine decides otherwise from record "), "\(problem)")
    #expect(tables.rows(.fills).count == all.tables.rows(.fills).count)
    #expect(tables.rows(.quotes).count < all.tables.rows(.quotes).count)
  }

  @Test func `what the writer throws ends the export`() throws {
    let room = try JournalRoom()
    let tables = Tables()
    tables.limit = 10
    var export = try JournalExport(path: try journal(in: room))
    #expect(throws: Tables.Full.self) { _ = try export.next(into: tables) }
  }
}
