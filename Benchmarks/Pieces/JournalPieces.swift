import Apus
import CSupport
import Foundation

let journalPieces: [Piece] = [
  Piece("journal.append", .batch(2000), input: { payload }) { _ in Timed(try JournalAppend()) }
]

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
