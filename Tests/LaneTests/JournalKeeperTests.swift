import CSupport
import Foundation
import Testing

@testable import Apus

/// The helper's part of a journal that fails: what is told, and when the quotes are pulled.
@Suite struct JournalKeeperTests {
  private final class Stage {
    let path = NSTemporaryDirectory() + "/apus-keeper-\(UUID().uuidString)"
    let control = LaneControl()
    var writer: JournalWriter?
    var keeper: JournalKeeper?
    var told: [String] = []
    var now: Nanoseconds = 0

    init(_ section: JournalSection, segmentBytes: Int = 4096) throws {
      let ends = try JournalEnds(
        path: path, name: "x",
        configuration: JournalConfiguration(segmentBytes: segmentBytes, windowBytes: 0, bootEpoch: 1, sync: .none),
        now: 0)
      writer = .some(ends.writer)
      keeper = JournalKeeper(ends.service, path: path, section: section, control: control) { [unowned self] in
        told.append($0)
      }
    }

    deinit {
      writer = nil
      keeper = nil
      try? FileManager.default.removeItem(atPath: path)
    }

    @discardableResult
    func append(_ bytes: Int = 900) -> Bool {
      let payload = [UInt8](repeating: 1, count: bytes)
      return payload.withUnsafeBytes { writer!.append(.note, connection: 0, time: now, payload: $0) }
    }

    /// A turn of the helper, a second later.
    func turn() {
      now += 2_000_000_000
      keeper?.turn(now: now)
    }

    var askedLevel: StopLevel {
      StopLevel(rawValue: UInt32(control.word >> LaneControl.shift(.journal) & 15)) ?? .disconnect
    }
  }

  @Test func `a helper that is in time tells nothing and asks for nothing`() throws {
    let stage = try Stage(JournalSection(minFreeMib: 0))
    for _ in 0..<50 {
      let isWritten = stage.append()
      #expect(isWritten)
      stage.turn()
    }
    #expect(stage.told.isEmpty && stage.askedLevel == .none && stage.keeper?.lostText == nil)
  }

  @Test(arguments: [JournalFailureChoice.halt, .continue])
  func `a slow disk: records that had no place are counted and told once`(choice: JournalFailureChoice) throws {
    let stage = try Stage(JournalSection(minFreeMib: 0, onFailure: choice))
    // The helper does not come: two segments of four records each.
    let written = (0..<12).map { _ in stage.append() }
    #expect(written.filter { $0 }.count == 8)
    stage.turn()
    stage.turn()
    #expect(stage.told.count == 1 && stage.keeper?.problems == stage.told)
    #expect(stage.told.first?.hasPrefix("records of the journal could not be written: \(stage.path)") == true)
    #expect(stage.told.first?.contains(choice == .halt ? "quoting has stopped" : "quoting goes on") == true)
    #expect(stage.keeper?.lostText == "4 records were lost" && stage.keeper?.lostCount == 4)
    let isWritten = stage.append()
    #expect(isWritten)
  }

  @Test(arguments: [JournalFailureChoice.halt, .continue])
  func `below the floor the quotes are asked to go once, and again after a re-arming`(choice: JournalFailureChoice)
    throws
  {
    let stage = try Stage(JournalSection(minFreeMib: 1_000_000_000, onFailure: choice))
    stage.turn()
    #expect(stage.told.count == 1 && stage.told.first?.contains("journal.min_free_mib (1000000000)") == true)
    #expect(stage.askedLevel == (choice == .halt ? .cancelAll : .none))
    guard choice == .halt else { return }
    // The lane has taken it up; a person re-arms, the space is still missing.
    let word = stage.control.word
    _ = stage.control.clearLevels(of: word)
    stage.turn()
    #expect(stage.askedLevel == .none)
    stage.control.noteHalt(obeyed: .none, latched: .none, rearmCount: 1, rearmings: 1)
    stage.turn()
    #expect(stage.askedLevel == .cancelAll && stage.told.count == 1)
  }

  @Test func `a size limit that takes the present run's segments is told`() throws {
    let stage = try Stage(JournalSection(keepMib: 1, minFreeMib: 0), segmentBytes: 256 << 10)
    for _ in 0..<40 {
      for _ in 0..<4 { stage.append(50_000) }
      stage.turn()
    }
    #expect(stage.told.count == 1)
    #expect(stage.told.first?.contains("has removed the first segments of the present run") == true, "\(stage.told)")
    let names = try FileManager.default.contentsOfDirectory(atPath: stage.path)
    #expect(names.count <= 5)
    var reader = try JournalReader(path: stage.path)
    let first = reader.next()
    #expect(first.map { $0.recordNumber > 1 } == true)
    while reader.next() != nil {}
    let finding = reader.stop.finding
    #expect(finding == .end)
  }

  /// A limit of the file size in place of a full disk: it needs no privilege.
  @Test func `when no segment can be prepared the quotes go before the present one is full`() async throws {
    await #expect(processExitsWith: .success) {
      signal(SIGXFSZ, SIG_IGN)
      let stage = try Stage(JournalSection(minFreeMib: 0))
      func limit(_ bytes: UInt?) {
        var limit = rlimit(rlim_cur: bytes.map { rlim_t($0) } ?? rlim_t.max, rlim_max: rlim_t.max)
        precondition(setrlimit(__rlimit_resource_t(1), &limit) == 0)  // RLIMIT_FSIZE
      }
      limit(1024)
      stage.turn()
      // The next one is still there: nothing is asked for.
      guard stage.told.isEmpty, stage.askedLevel == .none else { exit(1) }
      for _ in 0..<5 { guard stage.append() else { exit(2) } }
      stage.turn()
      guard stage.told.count == 1, stage.told[0].contains("file of that size"), stage.askedLevel == .cancelAll else {
        exit(3)
      }
      // There is room for what the lane does about it.
      guard stage.append() else { exit(4) }
      stage.turn()
      guard stage.told.count == 1 else { exit(5) }
      limit(nil)
      stage.turn()
      guard stage.append(), stage.keeper?.lostText == nil else { exit(6) }
      exit(0)
    }
  }
}
