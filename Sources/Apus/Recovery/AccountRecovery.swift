import CSupport
import Glibc

/// Reads from a journal how the account of its last run stood when that run was killed.
///
/// Any beginning of what a run wrote is enough: each record of an account is absolute, and each execution is one record
/// with the account behind it. What a torn or damaged journal has lost is what the venue is asked for. It is read
/// backwards, segment by segment, and no further than it must.
struct AccountRecovery: ~Copyable {
  /// What was found.
  enum Outcome: Equatable, Sendable {
    /// There is no run, or the last one had settled everything and ended, or had not learned its account.
    case nothing
    case account(CarriedAccount)
    /// The last run was killed and cannot be continued: why, for people.
    case lost(String)
  }

  /// Executions are asked for again from one minute before the newest one, and the clocks of engine and venue differ by
  /// less than ten: what was written longer than this before it was executed earlier.
  private static let slack: Nanoseconds = 660_000_000_000

  private let reader: OpaquePointer
  private var raw = apus_journal_record()
  private let numbers: [UInt64]
  /// The run that was killed, and its first segment that can be read.
  private var epoch: UInt64 = 0
  private var first = 0
  private var accounts: [UInt16: AccountRecord] = [:]
  /// By segment, the newest first.
  private var trades: [[CarriedAccount.Trade]] = []
  private var tradeCount = 0
  private var newestTrade: Nanoseconds = 0
  private var isStopVerified = false

  /// - Parameters:
  ///   - path: of the journal's directory.
  ///   - settings: of the run that is to begin: only a run on the same venue and account is continued.
  static func read(_ path: String, for settings: LaneSettings) -> Outcome {
    var opened: OpaquePointer?
    let code = apus_journal_reader_open(path, &opened)
    if code == -ENOENT { return .nothing }
    guard code == 0, let opened else {
      return .lost("\(MappedFileError(path: path, action: "read the journal", code: code))")
    }
    var recovery = AccountRecovery(opened)
    return recovery.outcome(for: settings)
  }

  private init(_ reader: OpaquePointer) {
    self.reader = reader
    numbers = (0..<apus_journal_reader_segment_count(reader)).map { apus_journal_reader_segment_number(reader, $0) }
  }

  deinit { apus_journal_reader_close(reader) }

  private mutating func outcome(for settings: LaneSettings) -> Outcome {
    guard let last = numbers.indices.last(where: { hasRecord($0) }) else { return .nothing }
    epoch = raw.boot_epoch
    let beginning = findBeginning(of: last)
    let instruments = beginning?.settings.instruments.count ?? 0
    var index = last
    while index >= 0, read(index) || index > first && accounts.count < instruments { index -= 1 }
    if isStopVerified { return .nothing }
    guard let beginning else {
      return .lost("the journal no longer has its beginning, or an older version of this program wrote it")
    }
    return continued(beginning, settings)
  }

  // MARK: - Finding

  /// Reads the first record of a segment.
  private mutating func hasRecord(_ index: Int) -> Bool {
    apus_journal_reader_seek(reader, numbers[index]) && apus_journal_reader_next(reader, &raw) == .record
      && raw.segment_number == numbers[index]
  }

  /// The description of the run whose last segment this is. Segments of it that are missing or cannot be read are passed.
  private mutating func findBeginning(of last: Int) -> RunDescription? {
    first = last
    for index in stride(from: last - 1, through: 0, by: -1) where hasRecord(index) {
      guard raw.boot_epoch == epoch else { break }
      first = index
    }
    guard hasRecord(first), UInt32(raw.kind) == JournalKind.run.rawValue, raw.record_number == 1 else { return nil }
    return try? RunDescription(text: UnsafeRawBufferPointer(start: raw.payload, count: Int(raw.payload_bytes)))
  }

  // MARK: - Reading

  private struct Segment {
    var accounts: [UInt16: AccountRecord] = [:]
    var trades: [CarriedAccount.Trade] = []
    var newestTrade: Nanoseconds = 0
    /// When its first record was written.
    var began: Nanoseconds?
  }

  /// Reads one segment; false if no execution in one before it can be asked for again.
  private mutating func read(_ index: Int) -> Bool {
    let number = numbers[index]
    var segment = Segment()
    var finding = JournalFinding.badHeader
    var isWhole = true
    if apus_journal_reader_seek(reader, number) {
      finding = apus_journal_reader_next(reader, &raw)
      while finding == .record, raw.segment_number == number {
        if raw.refused_before > 0 { isWhole = false }
        if !isWhole { break }
        note(&segment)
        finding = apus_journal_reader_next(reader, &raw)
      }
    }
    if finding != .record, finding != .end {
      // The reader may have gone on to the next segment, and found that damaged.
      isWhole = apus_journal_reader_position(reader).segment_number != number
    }
    let isGap = index + 1 < numbers.count && numbers[index + 1] != number + 1
    // Records are refused between two segments: when the next one is not ready.
    let isRefused = finding == .record && raw.segment_number != number && raw.refused_before > 0
    if !isWhole || isGap || isRefused, index >= first {
      // What the segments behind this place say does not follow from what comes before it. A beginning is enough.
      accounts = [:]
      trades = []
      tradeCount = 0
      newestTrade = 0
    }
    accounts.merge(segment.accounts) { later, _ in later }
    trades.append(segment.trades)
    tradeCount += segment.trades.count
    newestTrade = max(newestTrade, segment.newestTrade)
    return (segment.began ?? .max) > newestTrade - Self.slack && tradeCount < CarriedAccount.tradeCapacity
  }

  private mutating func note(_ segment: inout Segment) {
    if segment.began == nil { segment.began = raw.wall_ns }
    let payload = UnsafeRawBufferPointer(start: raw.payload, count: Int(raw.payload_bytes))
    switch UInt32(raw.kind) {
    case JournalKind.fill.rawValue where payload.count == MemoryLayout<BookedFillRecord>.size:
      let record = payload.loadUnaligned(as: BookedFillRecord.self)
      segment.trades.append(.init(id: record.fill.trade_id.text, hasFee: record.fill.has_fee == 1))
      note(record.account, &segment)
    case JournalKind.account.rawValue where payload.count == MemoryLayout<AccountRecord>.size:
      note(payload.loadUnaligned(as: AccountRecord.self), &segment)
    case JournalKind.control.rawValue where payload.count == MemoryLayout<ControlRecord>.size:
      let record = payload.loadUnaligned(as: ControlRecord.self)
      if raw.boot_epoch == epoch, record.control == ControlKind.stopped.rawValue { isStopVerified = record.first == 1 }
    default: break
    }
  }

  private func note(_ account: AccountRecord, _ segment: inout Segment) {
    guard raw.boot_epoch == epoch else { return }
    segment.accounts[account.instrument_index] = account
    segment.newestTrade = max(segment.newestTrade, account.venue_time_ns)
  }

  // MARK: - What comes of it

  private func continued(_ beginning: RunDescription, _ settings: LaneSettings) -> Outcome {
    let before = beginning.settings
    let same = RunDescription.withoutQuery(settings)
    guard before.host == same.host, before.path == same.path, before.account == same.account,
      before.labelPrefix == same.labelPrefix
    else {
      return .lost("it was on another venue, account or under another name: \(before.host), \(before.labelPrefix)")
    }
    var account = before.carried ?? CarriedAccount()
    account.runs = account.runs.suffix(999) + [epoch]
    account.newestTrade = max(account.newestTrade, newestTrade)
    account.add(trades.reversed().joined())
    for (index, record) in accounts.sorted(by: { $0.key < $1.key }) where Int(index) < before.instruments.count {
      let name = before.instruments[Int(index)].name
      account.instruments.removeAll { $0.name == name }
      if let instrument = CarriedAccount.Instrument(record, name: name) { account.instruments.append(instrument) }
    }
    return account.instruments.isEmpty ? .nothing : .account(account)
  }
}

extension CarriedAccount {
  /// What the journal of an engine tells of its account if its last run was killed; `nil` if there is nothing to
  /// continue. An `Engine` asks by itself.
  public static func read(journal path: String, for settings: LaneSettings) -> CarriedAccount? {
    if case .account(let account) = AccountRecovery.read(path, for: settings) { account } else { nil }
  }
}
