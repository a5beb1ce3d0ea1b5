import CSupport
import Foundation
import TestSupport
import Testing

@testable import Apus
@testable import ApusExchange

/// Recorded runs on virtual time are repeated to the byte.
@Suite struct ReplayTests {
  /// The runs of a journal, repeated.
  private func runs(
    _ path: String, until limit: Replay.Limit? = nil, order: String? = nil, tell: (String) -> Void = { _ in }
  ) throws -> [Replay.Run] {
    var replay = try Replay(path: path)
    var runs: [Replay.Run] = []
    while let run = replay.next(until: limit, order: order, tell: tell) { runs.append(run) }
    return runs
  }

  /// Runs a plan with a journal and repeats each life of its engine.
  private func prove(_ plan: FaultPlan, _ name: String) throws {
    let room = try JournalRoom()
    let verdict = try ChaosRun.run(plan, journal: room.journal)
    let lives = try runs(room.journal)
    #expect(lives.count == verdict.lives, "\(name)")
    let losesPower = plan.faults.contains { $0.fault == .powerCut }
    var counts = ReplayCounts()
    for run in lives {
      #expect(run.difference == nil, "\(name): \(String(describing: run.difference))")
      // What a power cut has torn ends the repetition of that life.
      let isWhole = run.refusal == nil && run.gap == nil
      #expect(isWhole || losesPower, "\(name): \(run.refusal ?? "") \(run.gap ?? "")")
      counts.framesOut += run.counts.framesOut
      counts.fills += run.counts.fills
    }
    #expect(counts.framesOut > 10, "\(name)")
    if !losesPower { #expect(counts.fills >= verdict.fills, "\(name): \(counts.fills) of \(verdict.fills)") }
  }

  @Test(arguments: FaultScenario.all.map(\.name))
  func `a run with faults is repeated to the byte`(name: String) throws {
    try prove(try #require(FaultScenario.named(name)).plan, name)
  }

  @Test(arguments: 1...24 as ClosedRange<UInt64>)
  func `a run with random faults is repeated to the byte`(seed: UInt64) throws {
    try prove(FaultPlan.random(seed: seed), "seed \(seed)")
  }

  @Test(arguments: 1...4 as ClosedRange<UInt64>)
  func `a run around the manager's fair value is repeated to the byte`(seed: UInt64) throws {
    let plan = try FaultPlan(
      text: "seed=\(seed) instruments=BTC-PERPETUAL,ETH-PERPETUAL limit=400 manager=10ms fair for=10s")
    #expect(plan.isAroundFair && plan.text.contains(" fair"))
    let room = try JournalRoom()
    #expect(try ChaosRun.run(plan, journal: room.journal).fills > 0)
    var values: Set<Int64> = []
    var reader = try JournalReader(path: room.journal)
    while let record = reader.next() {
      guard record.kind == .directive else { continue }
      record.payload.withUnsafeBytes { _ = values.insert(JournalPlayer.directive($0)?.fair_value_e8 ?? 0) }
    }
    #expect(values.count > 20)
    try prove(plan, "fair value, seed \(seed)")
  }

  @Test(arguments: [(16, Int64.max), (32, 7)])
  func `directives of older journals are the beginning of today's`(bytes: Int, cap: Int64) {
    var whole = DirectiveRecord(
      instrument_index: 3, is_quoting_allowed: 1, flags: 0, widen_permille: 1500, target_lots: -2, long_cap_lots: 7,
      short_cap_lots: 7, fair_value_e8: 99, passive_lots: 9)
    withUnsafeBytes(of: &whole) { all in
      let record = JournalPlayer.directive(UnsafeRawBufferPointer(rebasing: all.prefix(bytes)))
      #expect(record?.instrument_index == 3 && record?.widen_permille == 1500 && record?.target_lots == -2)
      #expect(record?.long_cap_lots == cap && record?.short_cap_lots == cap)
      #expect(record?.fair_value_e8 == 0 && record?.passive_lots == 0)
    }
  }

  // MARK: - Journals that were changed

  /// Writes a journal anew, with a change to its records, and repeats it.
  private func replay(
    _ path: String, in room: JournalRoom, changing change: (inout JournalRecord) -> Bool
  ) throws -> Replay.Run {
    let copy = "\(room.path)/copy-\(UUID().uuidString)"
    var reader = try JournalReader(path: path)
    do {
      var ends = try JournalEnds(
        path: copy, name: "copy",
        configuration: JournalConfiguration(segmentBytes: 64 << 20, bootEpoch: 1, sync: .none), now: 0)
      while var record = reader.next() {
        guard change(&record), let kind = record.kind else { continue }
        let isWritten = record.payload.withUnsafeBytes {
          ends.writer.append(kind, connection: record.connection, time: record.time, payload: $0)
        }
        #expect(isWritten)
      }
    }
    return try #require(try runs(copy).first)
  }

  private func journal(in room: JournalRoom) throws -> String {
    _ = try ChaosRun.run(try #require(FaultScenario.named("lost-acknowledgements")).plan, journal: room.journal)
    return room.journal
  }

  @Test func `a changed byte of a frame out is named with its record, place and both texts`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    var number: UInt64 = 0
    var count = 0
    let run = try replay(path, in: room) { record in
      if record.kind == .outbound { count += 1 }
      if count == 12, number == 0 {
        number = record.recordNumber
        let last = record.payload.count - 5
        record.payload[last] ^= 1
      }
      return true
    }
    let difference = try #require(run.difference)
    #expect(difference.recordNumber == number && number > 0)
    #expect(difference.what.hasPrefix("a frame out differs in ") && difference.what.contains(" from its byte "))
    #expect(difference.stage == .decision && difference.fields.count == 1)
    #expect(difference.recorded != difference.replayed && difference.connection == 1)
  }

  @Test func `a changed price of an execution that came in is found where it is booked`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    var number: UInt64 = 0
    let run = try replay(path, in: room) { record in
      if number == 0, record.kind == .inbound || record.kind == .more,
        let fills = record.payload.firstRange(of: Array("\"fills\":[{".utf8)),
        let price = record.payload[fills.upperBound...].firstRange(of: Array("\"price\":6".utf8))
      {
        number = record.recordNumber
        record.payload[price.upperBound - 1] = UInt8(ascii: "5")
      }
      return true
    }
    #expect(number > 0)
    let difference = try #require(run.difference)
    #expect(difference.what.hasPrefix("a fill differs in price_ticks, "), "\(difference)")
    #expect(difference.stage == .booking)
    let names = difference.fields.map(\.name)
    #expect(names.prefix(1) == ["price_ticks"] && names.contains("account.cash_e8"), "\(names)")
    #expect(difference.recordNumber > number && difference.recordNumber < number + 5)
    #expect(difference.recorded.hasPrefix("trade ") && difference.replayed.hasPrefix("trade "))
  }

  /// Changes bytes of the second record of a kind, and returns what a replay finds.
  private func difference(
    of kind: JournalKind, in room: JournalRoom, changing change: (inout JournalRecord) -> Void
  ) throws -> (difference: ReplayDifference, number: UInt64) {
    var number: UInt64 = 0
    var count = 0
    let run = try replay(try journal(in: room), in: room) { record in
      guard record.kind == kind else { return true }
      count += 1
      if count == 2 {
        number = record.recordNumber
        change(&record)
      }
      return true
    }
    let difference = try #require(run.difference)
    #expect(difference.recordNumber == number)
    return (difference, number)
  }

  @Test func `a changed byte of the account in a fill is named by its field and values`() throws {
    let room = try JournalRoom()
    var bought: Int64 = 0
    let place = MemoryLayout<BookedFillRecord>.offset(of: \.account.bought_lots)!
    let (found, _) = try difference(of: .fill, in: room) { record in
      record.payload.withUnsafeMutableBytes { bytes in
        bought = bytes.loadUnaligned(fromByteOffset: place, as: Int64.self)
        bytes.storeBytes(of: bought + 1, toByteOffset: place, as: Int64.self)
      }
    }
    #expect(
      found.fields == [.init(name: "account.bought_lots", recorded: "\(bought + 1)", replayed: "\(bought)")], "\(found)"
    )
    #expect(found.what == "a fill differs in account.bought_lots" && found.stage == .booking)
  }

  @Test func `a changed time is named as such, and nothing else is`() throws {
    let room = try JournalRoom()
    var time: Nanoseconds = 0
    let (found, _) = try difference(of: .fill, in: room) { record in
      record.time += 1
      time = record.time
    }
    #expect(found.fields == [.init(name: "time_ns", recorded: "\(time)", replayed: "\(time - 1)")], "\(found)")
    #expect(found.what == "a fill differs in time_ns")
    let (other, _) = try difference(of: .outbound, in: try JournalRoom()) { $0.connection += 1 }
    #expect(other.fields == [.init(name: "connection", recorded: "2", replayed: "1")], "\(other)")
    #expect(other.what == "a frame out differs in connection")
  }

  @Test func `a byte of a record that has no name is told by its place`() throws {
    let room = try JournalRoom()
    let place = MemoryLayout<BookedFillRecord>.offset(of: \.account.reserved)!
    let (found, _) = try difference(of: .fill, in: room) { $0.payload[place] = 1 }
    #expect(found.fields.isEmpty && found.what == "a fill differs from its byte \(place) on", "\(found)")
  }

  @Test func `a record that the replay does not make is named with what it makes`() throws {
    let room = try JournalRoom()
    var count = 0
    let run = try replay(try journal(in: room), in: room) { record in
      if record.kind == .fill { count += 1 }
      return !(record.kind == .fill && count == 2)
    }
    let found = try #require(run.difference)
    #expect(found.fields.map(\.name) == ["kind"] && found.fields[0].replayed == "a fill", "\(found)")
  }

  @Test func `directives and control records are compared value by value`() {
    func differences(_ kind: JournalKind, _ first: some BitwiseCopyable, _ second: some BitwiseCopyable)
      -> [ReplayDifference.Field]
    {
      withUnsafeBytes(of: first) { first in
        withUnsafeBytes(of: second) { RecordFields.differences(kind, first, $0, at: 0) }
      }
    }
    var directive = DirectiveRecord()
    directive.long_cap_lots = 7
    var other = directive
    other.long_cap_lots = 8
    other.passive_lots = -3
    #expect(
      differences(.directive, directive, other) == [
        .init(name: "long_cap_lots", recorded: "7", replayed: "8"),
        .init(name: "passive_lots", recorded: "0", replayed: "-3"),
      ])
    var control = ControlRecord()
    control.control = ControlKind.halt.rawValue
    var rearm = control
    rearm.control = ControlKind.rearm.rawValue
    rearm.second = 9
    #expect(
      differences(.control, control, rearm) == [
        .init(name: "control", recorded: "halt", replayed: "re-armed"),
        .init(name: "second", recorded: "0", replayed: "9"),
      ])
  }

  @Test(arguments: [
    (#"{"id":7,"params":{"price":61800}}"#, #"{"id":7,"params":{"price":61801}}"#, "params.price", "61800", "61801"),
    (#"{"id":7,"price":6180}"#, #"{"id":7,"price":61801}"#, "price", "6180", "61801"),
    (#"{"a":[{"p":"1,\"2"},{"p":"3"}]}"#, #"{"a":[{"p":"1,\"2"},{"p":"4"}]}"#, "a[1].p", "\"3\"", "\"4\""),
    (#"{"a":{"b":1},"c":2}"#, #"{"a":{"b":1},"d":2}"#, "the frame", "member \"c\"", "member \"d\""),
    (#"{"x":{"b":1,"c":2}}"#, #"{"x":{"b":1,"e":2}}"#, "x", "member \"c\"", "member \"e\""),
    (#"{"a":{"b":1},"c":2}"#, #"{"a":{"b":1}}"#, "what follows a", ",\"c\":2}", "}"),
    (#"{"a":[1,2]}"#, #"{"a":[1,2,3]}"#, "what follows a[1]", "]}", ",3]}"),
    (#"{"a":true}"#, #"{"a":"true"}"#, "a", "true", "\"true\""),
    ("q POST /orders\n{\"price\":\"1\"}", "q POST /orders\n{\"price\":\"2\"}", "price", "\"1\"", "\"2\""),
  ])
  func `the place of a byte in a JSON text has a name`(
    first: String, second: String, name: String, recorded: String, replayed: String
  ) {
    let (left, right) = (Array(first.utf8), Array(second.utf8))
    let place =
      zip(left, right).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(left.count, right.count)
    let found = left.withUnsafeBytes { left in
      right.withUnsafeBytes { RecordFields.differences(.outbound, left, $0, at: place) }
    }
    #expect(found == [.init(name: name, recorded: recorded, replayed: replayed)])
  }

  @Test(arguments: [("plain text", "plain test"), ("q GET /a", "q GET /b")])
  func `a text without JSON before the byte has no names`(first: String, second: String) {
    let found = Array(first.utf8).withUnsafeBytes { left in
      Array(second.utf8).withUnsafeBytes { RecordFields.differences(.note, left, $0, at: 7) }
    }
    #expect(found.isEmpty)
  }

  @Test func `any place of any text, whole or cut, has a name or none`() {
    let seed = UInt64.random(in: 0...UInt64.max)
    var random = TestSupport.SplitMix(seed: seed)
    let letters = Array(#"{}[]":,\a1"#.utf8)
    for _ in 0..<3000 {
      let text = (0..<Int.random(in: 0...30, using: &random)).map { _ in letters.randomElement(using: &random)! }
      let place = Int.random(in: 0...text.count, using: &random)
      text.withUnsafeBytes { bytes in
        guard let found = JSONPlace(bytes, at: place) else { return }
        #expect(found.start <= place, "seed \(seed)")
        #expect(JSONPlace.value(bytes, from: found.start).utf8.count <= 240, "seed \(seed)")
      }
    }
  }

  @Test func `fills are counted once, with or without a fee that comes later`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    var reader = try JournalReader(path: path)
    var fills = 0
    var fees = 0
    while let record = reader.next() {
      guard record.kind == .fill else { continue }
      let isFeeOnly = record.payload.withUnsafeBytes { $0.loadUnaligned(as: FillRecord.self).is_fee_only == 1 }
      if isFeeOnly { fees += 1 } else { fills += 1 }
    }
    #expect(fees > 0 && fills > 0)
    #expect(try runs(path).map(\.counts.fills) == [fills])
  }

  @Test(arguments: [JournalKind.outbound, .timer, .fill, .directive, .control])
  func `a record that is missing is found`(kind: JournalKind) throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    var count = 0
    let run = try replay(path, in: room) { record in
      if record.kind == kind { count += 1 }
      return !(record.kind == kind && count == 2)
    }
    if count >= 2 { #expect(run.difference?.fields.isEmpty == false, "\(kind)") }
  }

  @Test func `what was damaged is repeated as far as it is whole`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    let all = try #require(try runs(path).first).counts.records
    let segment = "\(path)/" + (try FileManager.default.contentsOfDirectory(atPath: path).sorted()[0])
    var bytes = try Data(contentsOf: URL(fileURLWithPath: segment))
    var reader = try JournalReader(path: path)
    for _ in 0..<all / 2 { _ = reader.next() }
    let next = reader.next()
    let victim = try #require(next)
    #expect(victim.segmentNumber == 1)
    bytes[Int(victim.segmentOffset) + 20] ^= 1
    try bytes.write(to: URL(fileURLWithPath: segment))
    let left = try runs(path)
    let run = try #require(left.first)
    #expect(left.count == 1)
    #expect(run.difference == nil && run.isDamaged)
    #expect(run.gap?.contains("not those that were written") == true)
    #expect(run.counts.records == all / 2)

    // A torn tail: the file ends within a record, and there is no later one.
    for later in try FileManager.default.contentsOfDirectory(atPath: path).sorted().dropFirst() {
      try FileManager.default.removeItem(atPath: "\(path)/\(later)")
    }
    try bytes.prefix(Int(victim.segmentOffset) + 30).write(to: URL(fileURLWithPath: segment))
    let part = try #require(try runs(path).first)
    #expect(part.difference == nil && part.gap != nil && !part.isDamaged)
    #expect(part.counts.records == all / 2)
  }

  @Test func `a run can be followed up to a record, and an order through its life`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    let part = try #require(try runs(path, until: .record(200)).first)
    #expect(part.difference == nil && part.counts.records >= 200 && part.counts.records < 260)
    #expect(part.state.count == 1 && part.state[0].hasPrefix("BTC-PERPETUAL: position"))

    // The first order that was sent.
    var reader = try JournalReader(path: path)
    var id = ""
    while id.isEmpty, let record = reader.next() {
      let text = String(decoding: record.payload, as: UTF8.self)
      guard record.kind == .outbound, text.contains("private/insert"),
        let start = text.range(of: "\"client_order_id\":")
      else { continue }
      id = String(text[start.upperBound...].prefix { $0.isNumber })
    }
    #expect(!id.isEmpty)
    var lines: [String] = []
    let run = try #require(try runs(path, order: id) { lines.append($0) }.first)
    #expect(run.difference == nil)
    #expect(lines.contains { $0.hasPrefix("  {\"method\":\"private/insert\"") && $0.contains(id) })
    #expect(lines.contains("  before: not known"))
    #expect(lines.contains { $0.hasPrefix("  after:  #\(id) ") && $0.contains("live") })
    #expect(lines.contains { $0.hasPrefix("  bid ") && $0.contains(", ask ") })
  }

  @Test func `a journal without a description is refused, an empty one has no run`() throws {
    let room = try JournalRoom()
    let path = try journal(in: room)
    let run = try replay(path, in: room) { $0.kind != .run }
    #expect(run.refusal?.contains("description") == true)
    let empty = "\(room.path)/empty"
    try FileManager.default.createDirectory(atPath: empty, withIntermediateDirectories: true)
    #expect(try runs(empty).isEmpty)
  }
}
