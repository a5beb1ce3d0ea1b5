import CSupport
import Foundation
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
    #expect(difference.what.hasPrefix("a frame out differs from its byte"))
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
    #expect(difference.what.hasPrefix("a fill differs"), "\(difference)")
    #expect(difference.recordNumber > number && difference.recordNumber < number + 5)
    #expect(difference.recorded.hasPrefix("trade ") && difference.replayed.hasPrefix("trade "))
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
    if count >= 2 { #expect(run.difference != nil, "\(kind)") }
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

    // A torn tail: the file ends within a record.
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
