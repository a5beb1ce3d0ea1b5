import Apus
import CSupport
import Foundation
import Synchronization

let journalPieces: [Piece] =
  [Piece("journal.append", .batch(2000), input: { payload }) { _ in Timed(try JournalAppend()) }]
  + [("none", JournalSync.none), ("interval", .interval), ("each", .each)].map { name, sync in
    Piece("journal.sync.\(name)", .samples) { _ in Sampled(try JournalUnderSync(sync)) }
  }

private let payload = [UInt8](repeating: 0x42, count: 300)

/// A record of 300 bytes with its checksum into a mapped segment whose pages are there; segments are prepared outside
/// of the time. Input: the payload.
private struct JournalAppend: Operation, ~Copyable {
  private var ends: JournalEnds
  private let path: String
  private var now: Nanoseconds = 0

  init() throws {
    let path = NSTemporaryDirectory() + "/apus-benchmark-\(UInt64.random(in: 0 ... .max))"
    var ends = try JournalEnds(
      path: path, name: "benchmark", configuration: JournalConfiguration(segmentBytes: 4 << 20, bootEpoch: 1), now: 0)
    try ends.service.service(now: 0)
    self.path = path
    self.ends = ends
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var elapsed: Nanoseconds = 0
    var written = 0
    var left = count
    while left > 0 {
      let batch = min(left, 1000)
      try ends.service.service(now: now)
      payload.withUnsafeBytes { payload in
        let start = EngineClock.now()
        for _ in 0..<batch {
          now += 1
          if ends.writer.append(.inbound, connection: 0, time: now, payload: payload) { written += 1 }
        }
        elapsed += EngineClock.now() - start
      }
      left -= batch
    }
    guard written == count else { throw PieceError("the journal took \(written) of \(count) records") }
    return elapsed
  }
}

/// Appends of 300 bytes as a lane does them, in bursts of 20 and 20,000 a second, while the helper's thread prepares and
/// syncs segments of 64 MiB by a policy, every 2 ms as in the engine. Each append is timed alone, two readings of the clock
/// included. Not pinned: the helper takes what core there is.
private struct JournalUnderSync: SampledOperation, ~Copyable {
  private var writer: JournalWriter
  private let helper: SyncHelper
  private let path: String
  private var now: Nanoseconds = 0

  init(_ sync: JournalSync) throws {
    let path = NSTemporaryDirectory() + "/apus-benchmark-\(UInt64.random(in: 0 ... .max))"
    let ends = try JournalEnds(
      path: path, name: "benchmark", configuration: JournalConfiguration(bootEpoch: 1, sync: sync), now: 0)
    self.path = path
    writer = ends.writer
    helper = SyncHelper(ends.service)
    let helper = helper
    Thread.detachNewThread { helper.run() }
  }

  deinit {
    helper.stop()
    try? FileManager.default.removeItem(atPath: path)
  }

  mutating func run(into samples: inout [Nanoseconds]) throws {
    var written = 0
    for _ in 0..<100 {
      payload.withUnsafeBytes { payload in
        for _ in 0..<20 {
          now += 1
          let start = EngineClock.now()
          if writer.append(.inbound, connection: 0, time: now, payload: payload) { written += 1 }
          samples.append(EngineClock.now() - start)
        }
      }
      usleep(1000)
    }
    guard written == 2000 else { throw PieceError("the journal took \(written) of 2000 records") }
  }
}

private final class SyncHelper: @unchecked Sendable {
  // Sendable: the service is the thread's alone from the start to `ended`.
  private var service: JournalService
  private let stopWord = Atomic<Bool>(false)
  private let ended = DispatchSemaphore(value: 0)

  init(_ service: consuming JournalService) { self.service = service }

  func run() {
    while !stopWord.load(ordering: .relaxed) {
      try? service.service(now: EngineClock.now())
      usleep(2000)
    }
    ended.signal()
  }

  func stop() {
    stopWord.store(true, ordering: .relaxed)
    ended.wait()
  }
}
