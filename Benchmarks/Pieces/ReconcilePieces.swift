import Apus

/// Both sides of an instrument compared with the ladders that are wanted.
///
/// Input: levels a side (64 bits), and 1 if every quote has moved, else 0. The orders of both sides are two ticks
/// apart, bids from 99,990 down, asks from 100,010 up, size 10; moved quotes are one tick above and below in turn.
/// Check: the number of commands.
let reconcilePieces: [Piece] = [
  piece("reconcile.10.standing", levels: 10, moved: false, batch: 1000),
  piece("reconcile.10.moved", levels: 10, moved: true, batch: 400),
  piece("reconcile.100.moved", levels: 100, moved: true, batch: 40),
  piece("reconcile.500.moved", levels: 500, moved: true, batch: 8),
  piece("reconcile.1000.moved", levels: 1000, moved: true, batch: 4),
]

private func piece(_ key: String, levels: Int, moved: Bool, batch: Int) -> Piece {
  Piece(
    key, .batch(batch),
    input: {
      var bytes: [UInt8] = []
      bytes.append(raw: Int64(levels))
      bytes.append(raw: Int64(moved ? 1 : 0))
      return bytes
    }
  ) { _ in Timed(try Reconcile(levels: levels, moved: moved)) }
}

private struct Reconcile: Operation, ~Copyable {
  private var probe: ReconcilerProbe
  private let levels: Int
  private let moved: Bool

  init(levels: Int, moved: Bool) throws {
    self.levels = levels
    self.moved = moved
    probe = try ReconcilerProbe(levels: levels)
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var commands = 0
    let start = EngineClock.now()
    for index in 0..<count {
      commands &+= probe.reconcile(!moved ? .standing : index & 1 == 0 ? .up : .down)
    }
    let time = EngineClock.now() - start
    guard commands == (moved ? 2 * levels * count : 0) else {
      throw PieceError("\(commands) commands of \(count) comparisons")
    }
    return time
  }

  mutating func check() throws -> [Int64] { [Int64(probe.reconcile(moved ? .up : .standing))] }
}
