import CSupport
import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// An engine that was killed goes on with the account in its journal, and books what nobody saw exactly once.
@Suite struct RecoveryTests {
  /// A plan with crashes at random moments, two of three in the middle of a turn. In every second one the venue does not notice, and orders trade until the engine
  /// is back. In every fifth plan the venue is killed as well.
  private func plan(seed: UInt64, crashes: Int) -> FaultPlan {
    var random = SplitMix(seed: seed)
    var plan = FaultPlan()
    plan.seed = seed
    plan.length = 6_000_000_000
    plan.usesMassQuotes = seed % 3 == 0
    plan.instruments = seed % 2 == 0 ? ["BTC-PERPETUAL"] : ["BTC-PERPETUAL", "ETH-PERPETUAL"]
    plan.feedDelay = seed % 4 == 0 ? 300_000_000...900_000_000 : 5_000_000...50_000_000
    for _ in 0..<crashes {
      let at = Nanoseconds(random.below(6_000_000)) * 1000
      if random.below(2) == 0 {
        let away = Nanoseconds(1 + random.below(4000)) * 1_000_000
        plan.faults.append(TimedFault(at: at, .abandon))
        plan.faults.append(TimedFault(at: at, lasting: away, .unreachable))
      }
      plan.faults.append(TimedFault(at: at, random.below(3) > 0 ? .crashInTurn : .crash))
    }
    if seed % 5 == 0 {
      let at = Nanoseconds(random.below(6_000_000)) * 1000
      plan.faults.append(TimedFault(at: at, .restart(keepsBook: seed % 2 == 0)))
    }
    return plan
  }

  @Test(arguments: 1...6 as ClosedRange<UInt64>)
  func `an engine that is killed at random moments ends with the venue's books`(block: UInt64) throws {
    var (inherited, fills, adjustments) = (0, 0, 0)
    for seed in block * 10..<block * 10 + 10 {
      let room = try JournalRoom()
      let verdict = try ChaosRun.run(plan(seed: seed, crashes: 1 + Int(seed % 7)), journal: room.path)
      #expect(verdict.isPassed, "seed \(seed): \(verdict.violations)")
      inherited += verdict.tracker.inheritedFills
      fills += verdict.fills
      adjustments += verdict.adjustments
    }
    // Otherwise the crashes would have been of no consequence.
    #expect(inherited > 0 && fills > 10 * inherited)
    #expect(adjustments == 0)
  }

  // MARK: - Torn and damaged journals

  /// A record of an execution, not of the fee of an earlier one.
  private static func isExecution(_ record: JournalRecord) -> Bool {
    record.kind == .fill
      && record.payload.withUnsafeBytes { $0.loadUnaligned(as: BookedFillRecord.self).fill.is_fee_only == 0 }
  }

  /// The settings of the world's engine: what is continued has to be on the same venue.
  private func settings(of plan: FaultPlan) throws -> LaneSettings { try ChaosWorld(plan).settings }

  /// A journal that ends behind its execution number `count`, as a process leaves it that was killed there.
  ///
  /// - Returns: its only segment, and where in it the record of that execution begins.
  private func journal(of plan: FaultPlan, endingBehindFill count: Int, in path: String) throws -> (
    file: String, at: Int
  ) {
    let room = try JournalRoom()
    _ = try ChaosRun.run(plan, journal: room.path)
    var reader = try JournalReader(path: room.path)
    var fills = 0
    do {
      var ends = try JournalEnds(
        path: path, name: "torn",
        configuration: JournalConfiguration(segmentBytes: 64 << 20, bootEpoch: 1, sync: .none), now: 0)
      while fills < count, let record = reader.next() {
        let kind = try #require(record.kind)
        let isWritten = record.payload.withUnsafeBytes {
          ends.writer.append(kind, connection: record.connection, time: record.time, payload: $0)
        }
        #expect(isWritten)
        if Self.isExecution(record) { fills += 1 }
      }
    }
    var copy = try JournalReader(path: path)
    var last: JournalRecord?
    while let record = copy.next() { last = record }
    let record = try #require(last)
    #expect(record.kind == .fill)
    return ("\(path)/journal-00000000000000000001.apus", Int(record.segmentOffset))
  }

  @Test func `a record torn at any of its bytes leaves the account before it`() throws {
    var plan = FaultPlan()
    plan.seed = 11
    let room = try JournalRoom()
    let (file, begin) = try journal(of: plan, endingBehindFill: 6, in: room.path)
    let settings = try settings(of: plan)
    let whole = try #require(CarriedAccount.read(journal: room.path, for: settings))
    let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    let recordBytes = 32 + MemoryLayout<BookedFillRecord>.size
    func cut(at end: Int, padded: Bool) throws -> CarriedAccount {
      var torn = Data(bytes.prefix(end))
      if padded { torn.append(Data(count: recordBytes * 2)) }
      try torn.write(to: URL(fileURLWithPath: file))
      return try #require(CarriedAccount.read(journal: room.path, for: settings), "cut at \(end - begin)")
    }
    let before = try cut(at: begin, padded: false)
    let account = try #require(before.instruments.first)
    #expect(before.trades.count == 5 && whole.trades.count == 6)
    #expect(account.fills == 5 && whole.instruments.first?.fills == 6 && account != whole.instruments.first)
    for byte in 0..<recordBytes {
      #expect(try cut(at: begin + byte, padded: false) == before, "cut at byte \(byte)")
      // Zeros in the place of zeros are no damage.
      let isDamaged = bytes[(begin + byte)..<(begin + recordBytes)].contains { $0 != 0 }
      #expect(try cut(at: begin + byte, padded: true) == (isDamaged ? before : whole), "zeros from byte \(byte)")
    }
    #expect(try cut(at: begin + recordBytes, padded: true) == whole)
  }

  @Test func `a changed byte voids what comes behind it and nothing before`() throws {
    var plan = FaultPlan()
    plan.seed = 12
    let room = try JournalRoom()
    let (file, _) = try journal(of: plan, endingBehindFill: 6, in: room.path)
    let settings = try settings(of: plan)
    let bytes = try Data(contentsOf: URL(fileURLWithPath: file))
    // Where each execution's record begins.
    var places: [Int] = []
    var reader = try JournalReader(path: room.path)
    while let record = reader.next() { if Self.isExecution(record) { places.append(Int(record.segmentOffset)) } }
    for (index, place) in places.enumerated() {
      var changed = bytes
      changed[place + 60] ^= 4
      try changed.write(to: URL(fileURLWithPath: file))
      let account = try #require(CarriedAccount.read(journal: room.path, for: settings))
      #expect(account.trades.count == index && account.instruments.first?.fills == index)
    }
  }

  @Test func `only a run that was not ended, on the same venue and account, is continued`() throws {
    var plan = FaultPlan()
    plan.seed = 13
    let room = try JournalRoom()
    _ = try ChaosRun.run(plan, journal: room.path + "/ended")
    let settings = try settings(of: plan)
    #expect(AccountRecovery.read(room.path + "/ended", for: settings) == .nothing)
    #expect(AccountRecovery.read(room.path + "/never", for: settings) == .nothing)
    _ = try journal(of: plan, endingBehindFill: 3, in: room.path + "/killed")
    for change in [\LaneSettings.host, \LaneSettings.path, \LaneSettings.labelPrefix] {
      var other = settings
      other[keyPath: change] += "x"
      guard case .lost(let why) = AccountRecovery.read(room.path + "/killed", for: other) else {
        Issue.record("continued with another \(change)")
        continue
      }
      #expect(why.contains("another venue"))
    }
    guard case .account(let account) = AccountRecovery.read(room.path + "/killed", for: settings) else {
      Issue.record("not continued")
      return
    }
    #expect(account.runs == [1] && account.trades.count == 3 && account.instruments.count == 1)
  }

  /// Writes a run anew in segments of 32 KiB, up to its execution number `count`; where the journal is to refuse records, an
  /// execution is lost.
  private func copy(
    _ plan: FaultPlan, to path: String, epoch: UInt64 = 1, endingBehindFill count: Int, refusingFill refused: Int = 0
  ) throws {
    let room = try JournalRoom()
    _ = try ChaosRun.run(plan, journal: room.path)
    var reader = try JournalReader(path: room.path)
    var ends = try JournalEnds(
      path: path, name: "copy",
      configuration: JournalConfiguration(segmentBytes: 32 << 10, bootEpoch: epoch, sync: .none), now: 0)
    var fills = 0
    func append(_ kind: JournalKind, _ record: JournalRecord, _ payload: [UInt8]) -> Bool {
      payload.withUnsafeBytes {
        ends.writer.append(kind, connection: record.connection, time: record.time, payload: $0)
      }
    }
    while fills < count, let record = reader.next() {
      let kind = try #require(record.kind)
      if Self.isExecution(record) { fills += 1 }
      if Self.isExecution(record), fills == refused {
        while append(.note, record, Array(repeating: 32, count: 200)) {}
        #expect(!append(kind, record, record.payload))
        try ends.service.service(now: 0)
        continue
      }
      #expect(append(kind, record, record.payload))
      try ends.service.service(now: 0)
    }
  }

  private func segments(_ path: String) throws -> [String] {
    try FileManager.default.contentsOfDirectory(atPath: path).sorted().map { "\(path)/\($0)" }
  }

  private func plan(_ seed: UInt64) -> FaultPlan {
    var plan = FaultPlan()
    plan.seed = seed
    return plan
  }

  @Test func `an execution that the journal refused voids what was written after it`() throws {
    let room = try JournalRoom()
    try copy(plan(21), to: room.journal, endingBehindFill: 9, refusingFill: 6)
    let account = try #require(CarriedAccount.read(journal: room.journal, for: try settings(of: plan(21))))
    #expect(account.trades.count == 5 && account.instruments.first?.fills == 5)
  }

  @Test(arguments: [true, false])
  func `a segment that is missing or unreadable leaves what was written before it`(isMissing: Bool) throws {
    let room = try JournalRoom()
    try copy(plan(22), to: room.journal, endingBehindFill: 40)
    let settings = try settings(of: plan(22))
    #expect(try #require(CarriedAccount.read(journal: room.journal, for: settings)).trades.count == 40)
    let files = try segments(room.journal)
    try #require(files.count > 6)
    let victim = files[files.count / 2]
    if isMissing {
      try FileManager.default.removeItem(atPath: victim)
    } else {
      var bytes = try Data(contentsOf: URL(fileURLWithPath: victim))
      bytes[40] ^= 1
      try bytes.write(to: URL(fileURLWithPath: victim))
    }
    let account = try #require(CarriedAccount.read(journal: room.journal, for: settings))
    let fills = try #require(account.instruments.first?.fills)
    #expect(fills > 0 && fills < 40 && account.trades.count == fills)
  }

  @Test func `damage in an earlier run takes nothing from the last one`() throws {
    let room = try JournalRoom()
    let settings = try settings(of: plan(23))
    try copy(plan(23), to: room.journal, endingBehindFill: 5)
    let before = try segments(room.journal)
    try copy(plan(24), to: room.journal, epoch: 2, endingBehindFill: 7)
    let whole = try #require(CarriedAccount.read(journal: room.journal, for: settings))
    #expect(whole.runs == [2] && whole.trades.count >= 7 && whole.instruments.first?.fills == 7)
    let victim = before[before.count - 2]
    var bytes = try Data(contentsOf: URL(fileURLWithPath: victim))
    bytes[40] ^= 1
    try bytes.write(to: URL(fileURLWithPath: victim))
    let account = try #require(CarriedAccount.read(journal: room.journal, for: settings))
    #expect(account.runs == [2] && account.instruments == whole.instruments && account.trades.count >= 7)
  }

  @Test(arguments: [
    ("apus-x-1z", 71 as UInt64), ("apus-x-mh2k0x34", 1_761_171_477_376), ("apus-x-", 0), ("apus-x-1-2", 0),
    ("apus-x-A", 0), ("apus-x-zzzzzzzzzzzzzz", 0), ("apus-", 0),
  ])
  func `R56 the label of an execution names the run that it is of, or none`(label: String, run: UInt64) throws {
    let decoder = try ThalexDecoder(instrumentCapacity: 1, channelCapacity: 1, labelPrefix: "apus-x-")
    let bytes = label.utf8.map { CChar(bitPattern: $0) }
    let found = bytes.withUnsafeBufferPointer {
      decoder.run(of: JSONText(bytes: $0.baseAddress, count: $0.count, has_escapes: false))
    }
    #expect(found == run)
  }
}
