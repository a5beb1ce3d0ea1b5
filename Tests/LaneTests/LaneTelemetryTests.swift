import CSupport
import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// What a lane shows of its traffic and of its journal, against what really passed.
@Suite struct LaneTelemetryTests {
  private let second: Nanoseconds = 1_000_000_000

  private final class Sent {
    var texts = 0
    var bytes = 0
  }

  /// Counters of the lane as another process reads them.
  private func shown(_ world: LaneWorld, _ room: JournalRoom) throws -> LaneSnapshot {
    let path = room.path + "/telemetry"
    var writer = try TelemetryWriter(path: path, name: "desk", bootEpoch: 1, now: world.now)
    let lane = writer.openLane(0, name: "thalex", now: world.now)
    var telemetry = LaneTelemetry(file: writer, lane: lane, instrumentNames: ["BTC-PERPETUAL"], updates: nil)
    for _ in 0..<7 { telemetry.noteTurn() }
    world.show(in: &telemetry)
    return try #require(try TelemetryReader(path: path).snapshot().lanes.first)
  }

  @Test func `frames and payload bytes are those that the venue sent and got, turns those of the loop`() throws {
    let room = try JournalRoom()
    let world = try LaneWorld(seed: 5)
    let sent = Sent()
    world.recordsRequests = true
    world.tamper = {
      sent.texts += 1
      sent.bytes += $0.utf8.count
      return $0
    }
    try world.run(for: 20 * second)
    // Nothing is under way.
    let isQuiet = try world.run(limit: second) {
      $0.lane.core.counters.framesIn == sent.texts && $0.lane.output.framesOut == $0.requests.count
    }
    #expect(isQuiet)
    let counters = try shown(world, room)
    #expect(counters[.framesIn] == UInt64(sent.texts) && counters[.bytesIn] == UInt64(sent.bytes))
    let asked = world.requests.reduce(0) { $0 + $1.utf8.count }
    #expect(counters[.framesOut] == UInt64(world.requests.count) && counters[.bytesOut] == UInt64(asked))
    #expect(counters[.bytesIn] > 10_000 && counters[.bytesOut] > 1000)
    #expect(counters[.turns] == 7)
    #expect(counters[.journalLost] == 0)
  }

  @Test(arguments: [false, true])
  func `R09 records that the journal had to refuse are shown`(goesOn: Bool) throws {
    let room = try JournalRoom()
    let ends = try JournalEnds(
      path: room.path + "/journal", name: "desk",
      configuration: JournalConfiguration(segmentBytes: 4096, bootEpoch: 1, sync: .none), now: 0)
    let world = try LaneWorld(journal: .some(ends.writer), goesOnWithoutJournal: goesOn)
    try world.run(for: 10 * second)
    let counters = try shown(world, room)
    #expect(counters[.journalLost] > 0)
    #expect(counters[.journalFailed] == (goesOn ? 0 : 1))
  }
}
