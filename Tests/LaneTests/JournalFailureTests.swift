import CSupport
import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// What a lane does when its journal takes no more.
@Suite struct JournalFailureTests {
  private let second: Nanoseconds = 1_000_000_000

  /// A lane whose journal has room for two segments and no helper: a disk that never comes.
  private func world(_ path: String, goesOn: Bool) throws -> LaneWorld {
    let ends = try JournalEnds(
      path: path, name: "slow", configuration: JournalConfiguration(segmentBytes: 64 << 10, bootEpoch: 1, sync: .none),
      now: 0)
    return try LaneWorld(journal: .some(ends.writer), goesOnWithoutJournal: goesOn)
  }

  @Test func `R09 a lane whose journal is full pulls its quotes, and the journal says how many records it lost`() throws
  {
    let path = NSTemporaryDirectory() + "/apus-journal-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let world = try world(path, goesOn: false)
    let hasQuoted = try world.run(limit: 20 * second, until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(hasQuoted)
    let isPulled = try world.run(limit: 120 * second, until: { $0.block == .journalFailed && $0.quoted == (0, 0) })
    #expect(isPulled, "\(world.block), \(world.quoted)")
    try world.run(for: 5 * second)
    #expect(world.quoted == (0, 0))
    var reader = try JournalReader(path: path)
    var count = 0
    while reader.next() != nil { count += 1 }
    #expect(count > 100)
  }

  @Test func `with on_failure continue it quotes on, and what was lost is counted in the journal`() throws {
    let path = NSTemporaryDirectory() + "/apus-journal-\(UUID().uuidString)"
    defer { try? FileManager.default.removeItem(atPath: path) }
    let world = try world(path, goesOn: true)
    let hasQuoted = try world.run(limit: 20 * second, until: { $0.quoted.bids >= 3 && $0.quoted.asks >= 3 })
    #expect(hasQuoted)
    try world.run(for: 60 * second)
    #expect(world.block == .none && world.quoted.bids > 0)
    #expect(world.lane.output.records.hasFailed == false)
  }
}
