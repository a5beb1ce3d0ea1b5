import Apus
import CSupport
import Foundation
import WireC

/// Frames recorded against one probe, to be fed to others that are made alike: a lane is deterministic, so the
/// answers fit.
///
/// Each tick moves the mark of one instrument, in turn, and leads to two amended orders, whose acknowledgements follow.
// Sendable: written by `init` only.
final class LaneScript: @unchecked Sendable {
  struct Message {
    var offset: Int
    var count: Int
    var now: Nanoseconds
    var isTick: Bool
  }

  let instruments: Int
  private(set) var bytes: [UInt8] = []
  /// Up to here all quotes are brought into the market.
  private(set) var setUp: [Message] = []
  /// A tick, then its two acknowledgements, and so on.
  private(set) var messages: [Message] = []

  init(instruments: Int, ticks: Int) throws {
    self.instruments = instruments
    let names = Script.names(instruments)
    let probe = ProbeBox(try Self.makeProbe(instruments))
    var now = probe.probe.startTime
    for name in names {
      try record(Script.movingTicker(name, step: 0), to: &setUp, probe, &now)
      try record(Script.wideBook(name), to: &setUp, probe, &now)
    }
    let marks = Script.marks(instruments: instruments)
    messages.reserveCapacity(3 * ticks)
    for tick in 0..<ticks {
      let before = messages.count
      try record(
        Script.movingTicker(names[tick % instruments], step: (tick / instruments + 1) % marks), to: &messages, probe,
        &now)
      guard messages.count == before + 3 else {
        throw WireError("a tick in memory led to \(messages.count - before - 1) orders instead of 2")
      }
    }
  }

  /// Of the last one, its frame's header included.
  var tickBytes: Int { messages.last { $0.isTick }?.count ?? 0 }

  static func makeProbe(_ instruments: Int) throws -> LaneProbe {
    var settings = LaneSettings()
    let ladder = Script.ladder(followsMark: true)
    settings.instruments = Script.names(instruments).map { name in
      InstrumentSettings(
        name: name, maximumPosition: DecimalE8(e8: 100_000_000), maximumOrder: DecimalE8(e8: 100_000_000),
        maximumNotional: DecimalE8(e8: 1_000_000_000_000_000), collarCentiBps: 20_000, maximumOrders: 12,
        priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: Script.depth, staleAfter: .max / 4)
    }
    settings.silenceLimit = .max / 4
    settings.orderCapacity = max(4096, 8 * instruments)
    return try LaneProbe(
      settings: settings,
      strategy: LadderStrategy(
        LadderParameters(
          levels: ladder.levels, halfSpreadCentiBps: 50, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 100,
          markWeightPermille: 1000)))
  }

  /// Feeds one text to the recording probe, then its answers until it is silent.
  private func record(_ text: String, to list: inout [Message], _ box: ProbeBox, _ now: inout Nanoseconds) throws {
    var texts = [text]
    var isTick = true
    // 25 µs apart: the probe's venue grants 50,000 messages a second.
    now += 50_000
    while !texts.isEmpty {
      for text in texts {
        now += 1000
        let offset = bytes.count
        box.probe.appendFrame(text, to: &bytes)
        let message = Message(offset: offset, count: bytes.count - offset, now: now, isTick: isTick)
        feed(message, to: box)
        list.append(message)
        isTick = false
      }
      var requests: [String] = []
      box.probe.takeRequests(into: &requests)
      texts = requests.compactMap { box.probe.acknowledgement(of: $0) }
    }
  }

  private func feed(_ message: Message, to box: ProbeBox) {
    bytes.withUnsafeBytes {
      box.probe.receive(
        UnsafeRawBufferPointer(rebasing: $0[message.offset..<message.offset + message.count]), now: message.now)
    }
  }

  /// A lane with all quotes in the market.
  func makeLane() throws -> ProbeBox {
    let box = ProbeBox(try Self.makeProbe(instruments))
    for message in setUp {
      feed(message, to: box)
      box.probe.discardOutput()
    }
    return box
  }
}

/// A place for a probe, which cannot be in an array.
final class ProbeBox {
  var probe: LaneProbe
  init(_ probe: consuming LaneProbe) { self.probe = probe }
}

/// Lanes in memory under a fixed schedule, in real time, without kernel or network.
struct MemoryLoad {
  struct Outcome {
    /// Of each tick: from when it was due to its last order's bytes.
    var latency = Samples([])
    /// The part of it in which the lane worked on it.
    var service = Samples([])
    /// Ticks and acknowledgements that had to wait more than a microsecond for their turn.
    var lateShare = 0.0
  }

  /// One thread with its lanes; owned by it while it runs.
  private final class Worker: @unchecked Sendable {
    let core: Int
    let lanes: [ProbeBox]
    /// By how much each lane's schedule begins later: lanes are not due all at once.
    let offsets: [Nanoseconds]
    var latency: [Int64] = []
    var service: [Int64] = []
    var late = 0
    init(core: Int, lanes: [ProbeBox], offsets: [Nanoseconds]) {
      self.core = core
      self.lanes = lanes
      self.offsets = offsets
    }
  }

  /// - Parameters:
  ///   - lanes: shared out over `cores`; lanes on one core take turns, a message each.
  ///   - schedule: of each lane.
  static func run(script: LaneScript, lanes: Int, cores: [Int], schedule: Schedule) throws -> Outcome {
    let used = Array(cores.suffix(min(lanes, cores.count)))
    let interval = schedule.due.count > 1 ? schedule.due[1] - schedule.due[0] : 0
    let workers = try used.indices.map { place in
      let own = (0..<lanes).filter { $0 % used.count == place }
      return Worker(
        core: used[place], lanes: try own.map { _ in try script.makeLane() },
        offsets: own.map { interval * Nanoseconds($0) / Nanoseconds(lanes) })
    }
    let ticks = min(schedule.due.count, script.messages.count / 3)
    // The acknowledgements are due half-way to the next tick, at most 5 µs later.
    var due: [Nanoseconds] = []
    due.reserveCapacity(3 * ticks)
    for tick in 0..<ticks {
      let gap = tick + 1 < ticks ? schedule.due[tick + 1] - schedule.due[tick] : 10_000
      let later = schedule.due[tick] + min(5000, gap / 2)
      due += [schedule.due[tick], later, later]
    }
    let start = EngineClock.now() + 20_000_000
    let group = DispatchGroup()
    let fixed = due
    for worker in workers {
      worker.latency.reserveCapacity(ticks * worker.lanes.count)
      worker.service.reserveCapacity(ticks * worker.lanes.count)
      group.enter()
      Thread.detachNewThread {
        try? CPU.pinCurrentThread(to: worker.core)
        work(worker, script, fixed, start)
        group.leave()
      }
    }
    group.wait()
    var outcome = Outcome()
    outcome.latency = Samples(workers.flatMap(\.latency))
    outcome.service = Samples(workers.flatMap(\.service))
    outcome.lateShare =
      Double(workers.reduce(0) { $0 + $1.late }) / Double(max(1, workers.reduce(0) { $0 + $1.lanes.count } * due.count))
    return outcome
  }

  private static func work(_ worker: Worker, _ script: LaneScript, _ due: [Nanoseconds], _ start: Nanoseconds) {
    var next = Array(repeating: 0, count: worker.lanes.count)
    var left = worker.lanes.count * due.count
    script.bytes.withUnsafeBytes { bytes in
      while left > 0 {
        for (lane, box) in worker.lanes.enumerated() where next[lane] < due.count {
          let index = next[lane]
          let when = start + worker.offsets[lane] + due[index]
          let begin = EngineClock.now()
          guard begin >= when else { continue }
          let message = script.messages[index]
          box.probe.receive(
            UnsafeRawBufferPointer(rebasing: bytes[message.offset..<message.offset + message.count]), now: message.now)
          let end = EngineClock.now()
          box.probe.discardOutput()
          if message.isTick {
            worker.latency.append(end - when)
            worker.service.append(end - begin)
          }
          if begin - when > 1000 { worker.late += 1 }
          next[lane] = index + 1
          left -= 1
        }
      }
    }
  }
}
