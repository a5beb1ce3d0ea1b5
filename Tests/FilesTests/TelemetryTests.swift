import Apus
import CSupport
import Foundation
import Testing

struct NoSuchLane: Error {}

func openLane(
  _ index: Int, name: String, now: Nanoseconds, of writer: inout TelemetryWriter
) throws -> TelemetryLane {
  guard let lane = writer.openLane(index, name: name, now: now) else { throw NoSuchLane() }
  return lane
}

@Suite struct TelemetryTests {
  @Test func `a reader sees what the writer showed`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/telemetry"
    var writer = try TelemetryWriter(path: path, name: "mm-1", mode: .testnet, bootEpoch: 42, now: 1_000)
    var lane = try openLane(1, name: "thalex", now: 1_100, of: &writer)
    let reader = try TelemetryReader(path: path)

    let first = try #require(reader.snapshot().lanes.first)
    #expect(first.index == 1 && first.name == "thalex" && first.heartbeat == 1_100)
    #expect(first.state == .connecting && first.cause == "" && first.instruments == [])

    writer.beat(now: 2_000)
    lane.beat(now: 2_100)
    lane.add(to: .framesIn)
    lane.add(4, to: .framesIn)
    lane.set(.ordersUnknown, to: 3)
    lane.set(.ordersUnknown, to: 2)
    lane.show(.frozen, cause: "gap in the private stream", since: 2_050)
    var value = InstrumentTelemetry(
      name: "BTC-PERPETUAL",
      grid: InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)))
    value.bid_ticks = PriceTicks(rawValue: 60_000)
    value.bid_lots = QtyLots(rawValue: 7)
    value.own_ask_ticks = PriceTicks(rawValue: 60_003)
    value.own_ask_lots = QtyLots(rawValue: 2)
    value.own_ask_level_count = 3
    value.position_lots = QtyLots(rawValue: -5)
    value.flags = UInt64(APUS_TELEMETRY_POSITION_KNOWN)
    value.pnl_e8 = -12
    value.fees_e8 = 4
    value.fill_count = 9
    value.quoted_ns = 3
    value.observed_ns = 5
    let shown = lane.show(&value, at: 0)
    #expect(shown)

    let snapshot = reader.snapshot()
    #expect(snapshot.name == "mm-1" && snapshot.mode == .testnet && snapshot.bootEpoch == 42 && snapshot.start == 1_000)
    #expect(snapshot.processID == Int64(getpid()) && snapshot.heartbeat == 2_000)
    #expect(snapshot.oldestHeartbeat == 2_000)
    let seen = try #require(snapshot.lanes.first)
    #expect(seen.heartbeat == 2_100 && seen.state == .frozen && seen.stateSince == 2_050)
    #expect(seen.cause == "gap in the private stream")
    #expect(seen[.framesIn] == 5 && seen[.ordersUnknown] == 2 && seen[.fills] == 0)
    let instrument = try #require(seen.instruments.first)
    #expect(instrument.name == "BTC-PERPETUAL" && instrument.tickE8 == 100_000_000 && instrument.lotE8 == 100_000)
    #expect(instrument.bid == ShownQuote(price: PriceTicks(rawValue: 60_000), quantity: QtyLots(rawValue: 7)))
    #expect(instrument.ask == nil && instrument.ownBid == nil && instrument.markE8 == nil)
    #expect(instrument.ownAsk?.price.rawValue == 60_003 && instrument.ownAskLevels == 3)
    #expect(instrument.position == QtyLots(rawValue: -5))
    #expect(instrument.pnlE8 == -12 && instrument.feesE8 == 4 && instrument.fills == 9)
    #expect(instrument.quoted == 3 && instrument.observed == 5)
  }

  @Test func `R22_ a position that is not known is not shown as zero`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/telemetry"
    var writer = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    var lane = try openLane(0, name: "l", now: 0, of: &writer)
    var value = InstrumentTelemetry()
    _ = lane.show(&value, at: 5)
    let reader = try TelemetryReader(path: path)
    let instruments = reader.snapshot().lanes[0].instruments
    // Slots that were never written are not shown either.
    #expect(instruments.map(\.index) == [5])
    #expect(instruments[0].position == nil)
  }

  @Test func `lanes and instruments beyond the table are refused, and a lane is handed out once`() throws {
    let directory = try TemporaryDirectory()
    var writer = try TelemetryWriter(path: directory.path + "/t", name: "x", bootEpoch: 1, now: 0)
    var lane = try openLane(3, name: "l", now: 0, of: &writer)
    for index in [-1, 3, 8, Int.max] {
      let other = writer.openLane(index, name: "m", now: 0)
      let isRefused = other == nil
      #expect(isRefused)
    }
    var value = InstrumentTelemetry()
    let accepted = [0, 511, 512, -1, Int.max].map { lane.show(&value, at: $0) }
    #expect(accepted == [true, true, false, false, false])
  }

  @Test func `names and causes are cut at what fits, and end`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    var writer = try TelemetryWriter(path: path, name: String(repeating: "n", count: 99), bootEpoch: 1, now: 0)
    var lane = try openLane(0, name: String(repeating: "l", count: 32), now: 0, of: &writer)
    lane.show(.stopped, cause: String(repeating: "c", count: 500), since: 0)
    var value = InstrumentTelemetry(
      name: String(repeating: "i", count: 40),
      grid: InstrumentGrid(tickE8: 1, lotE8: 1, minimumLots: QtyLots(rawValue: 1)))
    _ = lane.show(&value, at: 0)
    let snapshot = try TelemetryReader(path: path).snapshot()
    #expect(snapshot.name.count == 31)
    #expect(snapshot.lanes[0].name.count == 31)
    #expect(snapshot.lanes[0].cause.count == 119)
    #expect(snapshot.lanes[0].instruments[0].name.count == 31)
    lane.show(.quoting, cause: "", since: 1)
    let reader = try TelemetryReader(path: path)
    let after = reader.snapshot()
    #expect(after.lanes[0].cause == "")
  }

  @Test func `every counter has a name of its own and an explanation`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    var writer = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    _ = writer.openLane(0, name: "l", now: 0)
    let counters = try TelemetryReader(path: path).snapshot().lanes[0].counters
    #expect(counters.count > 20)
    #expect(Set(counters.map(\.name)).count == counters.count)
    #expect(counters.allSatisfy { $0.help?.isEmpty == false })
    #expect(counters[Int(TelemetryCounter.ordersLive.rawValue)].isLevel)
    #expect(!counters[Int(TelemetryCounter.journalLost.rawValue)].isLevel)
  }

  @Test func `a span is memory that reader and writer share`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    var writer = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    let lane = try openLane(2, name: "l", now: 0, of: &writer)
    let reader = try TelemetryReader(path: path)
    let spans = (0..<UInt32(APUS_TELEMETRY_SPANS_NAMED)).map { TelemetrySpan(rawValue: $0)! }
    for span in spans {
      let memory = lane.span(span)
      #expect(memory.count == 16384 && Int(bitPattern: memory.baseAddress) % 64 == 0)
      #expect(memory.allSatisfy { $0 == 0 })
      memory[0] = UInt8(span.rawValue) + 1
      memory[16383] = 0xFF
    }
    for span in spans {
      let seen = reader.withSpan(lane: 2, span) { [$0[0], $0[16383]] }
      #expect(seen == [UInt8(span.rawValue) + 1, 0xFF])
    }
    let absent = reader.withSpan(lane: 0, .turn) { _ in true }
    #expect(absent == nil)
  }

  @Test func `a value written by another process is never seen in part`() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    // The writer is a child process; this one reads while it writes.
    async let child: Void = writeInAnotherProcess(path)
    let deadline = Date() + 120
    var torn = 0, seen = 0, last: UInt64 = 0
    while Date() < deadline {
      guard let reader = try? TelemetryReader(path: path) else {
        try await Task.sleep(for: .milliseconds(1))
        continue
      }
      while !reader.isReplaced {
        let lanes = reader.snapshot().lanes
        if let lane = lanes.first {
          if let instrument = lane.instruments.first {
            let n = Int64(instrument.fills)
            if instrument.pnlE8 != n || instrument.feesE8 != -n || instrument.observed != n
              || instrument.position?.rawValue != n || instrument.fills < last
            {
              torn += 1
            }
            last = instrument.fills
            seen += 1
          }
          if lane.stateSince != 0, lane.cause != String(repeating: lane.stateSince % 2 == 0 ? "a" : "b", count: 119) {
            torn += 1
          }
        }
        if !reader.isWriterAlive { break }
        sched_yield()
      }
      break
    }
    await child
    #expect(torn == 0)
    #expect(seen > 0)
    // What a dead process showed last stays readable.
    let reader = try TelemetryReader(path: path)
    let isAlive = reader.isWriterAlive
    #expect(!isAlive)
    #expect(reader.snapshot().lanes.first?.instruments.first?.fills == 200_000)
  }

  private func writeInAnotherProcess(_ path: String) async {
    await #expect(processExitsWith: .success) { [path = path as String] in
      var writer = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
      guard var lane = writer.openLane(0, name: "l", now: 0) else { exit(1) }
      var value = InstrumentTelemetry()
      value.flags = UInt64(APUS_TELEMETRY_POSITION_KNOWN)
      let even = String(repeating: "a", count: 130), odd = String(repeating: "b", count: 130)
      for n in 1...200_000 as ClosedRange<Int64> {
        value.fill_count = UInt64(n)
        value.pnl_e8 = n
        value.fees_e8 = -n
        value.observed_ns = n
        value.position_lots = QtyLots(rawValue: n)
        _ = lane.show(&value, at: 0)
        if n % 16 == 0 { lane.show(.quoting, cause: n % 32 == 0 ? even : odd, since: n / 16) }
        if n % 256 == 0 { sched_yield() }
      }
    }
  }
}

@Suite struct TelemetryFileTests {
  @Test func `a file of another version is refused, and the error names both`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    _ = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    var bytes = try TemporaryDirectory.bytes(of: path)
    bytes[8] = 9
    try TemporaryDirectory.write(bytes, to: path)
    let error = #expect(throws: MappedFileError.self) { _ = try TelemetryReader(path: path) }
    #expect(error?.cause == .otherVersion(found: 9, supported: UInt32(APUS_TELEMETRY_VERSION)))
    #expect(error?.description.contains("version 9") == true)
    let request = #expect(throws: MappedFileError.self) {
      try TelemetryControl.requestStop(path: path, level: .cancelAll, cause: "test")
    }
    #expect(request?.cause == .otherVersion(found: 9, supported: UInt32(APUS_TELEMETRY_VERSION)))
    #expect(try TemporaryDirectory.bytes(of: path) == bytes)
  }

  @Test func `what is not a telemetry file is refused, and left as it is`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    _ = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    let good = try TemporaryDirectory.bytes(of: path)
    var otherSize = good
    otherSize[16] ^= 8
    for bytes in [
      [], [1, 2, 3], Array(good[..<5000]), Array(good.dropLast()), otherSize, [UInt8](repeating: 0, count: 1 << 20),
    ] {
      try TemporaryDirectory.write(bytes, to: path)
      let error = #expect(throws: MappedFileError.self) { _ = try TelemetryReader(path: path) }
      #expect(error?.cause == .notThisFormat(found: "this is not an Apus telemetry file"))
      #expect(throws: MappedFileError.self) {
        try TelemetryControl.requestStop(path: path, level: .cancelAll, cause: "test")
      }
      #expect(try TemporaryDirectory.bytes(of: path) == bytes)
    }
    let missing = #expect(throws: MappedFileError.self) { _ = try TelemetryReader(path: path + "-no") }
    #expect(missing?.cause == .notFound)
  }

  @Test func `two engines cannot write one file, and a new one replaces that of a dead one`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    do {
      let first = try TelemetryWriter(path: path, name: "first", bootEpoch: 1, now: 0)
      let error = #expect(throws: MappedFileError.self) {
        _ = try TelemetryWriter(path: path, name: "second", bootEpoch: 2, now: 0)
      }
      #expect(error?.cause == .inUse)
      let level = first.requestedStop
      #expect(level == .none)
    }
    let reader = try TelemetryReader(path: path)
    let wasReplaced = reader.isReplaced
    let second = try TelemetryWriter(path: path, name: "second", bootEpoch: 2, now: 0)
    let isReplaced = reader.isReplaced
    #expect(!wasReplaced && isReplaced)
    #expect(reader.snapshot().name == "first")
    #expect(try TelemetryReader(path: path).snapshot().name == "second")
    #expect(TemporaryDirectory.names(in: directory.path) == ["t"])
    let level = second.requestedStop
    #expect(level == .none)
  }

  @Test func `R53_ another process stops the engine by a word in the file, whatever its event loop does`() async throws
  {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    var writer = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    let lane = try openLane(0, name: "l", now: 0, of: &writer)
    await #expect(processExitsWith: .success) { [path = path as String] in
      try TelemetryControl.requestStop(path: path, level: .cancelAll, cause: "operator: drill")
    }
    let levels = [writer.requestedStop, lane.requestedStop]
    #expect(levels == [.cancelAll, .cancelAll])
    let request = writer.stopRequest
    #expect(request.cause == "operator: drill" && request.requestCount == 1)
    #expect(request.requesterProcessID != Int64(getpid()) && request.requestedWallTime > 0)
  }

  @Test func `R10_ a stop request only rises until it is taken back by hand`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    let writer = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    var seen: [StopLevel] = []
    for level in [StopLevel.widen, .flatten, .noNewOrders, .cancelAll, .disconnect, .none] {
      try TelemetryControl.requestStop(path: path, level: level, cause: "\(level.rawValue)")
      seen.append(writer.requestedStop)
    }
    #expect(seen == [.widen, .flatten, .flatten, .flatten, .disconnect, .disconnect])
    try TelemetryControl.clearStop(path: path)
    let request = writer.stopRequest
    #expect(request.level == .none && request.requestCount == 7)
  }

  @Test(arguments: [true, false])
  func `R10_ a stop request outlives a restart, unless the engine is told otherwise`(keep: Bool) throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    _ = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    // Nobody is running: the request waits for whoever comes.
    try TelemetryControl.requestStop(path: path, level: .cancelAll, cause: "night")
    let writer = try TelemetryWriter(path: path, name: "x", bootEpoch: 2, now: 0, keepStop: keep)
    let request = writer.stopRequest
    #expect(request.level == (keep ? .cancelAll : .none))
    #expect(request.cause == (keep ? "night" : ""))
  }

  @Test func `R52_ taking a request back counts a re-arming, which is kept over a restart and changes the word`() throws
  {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    do {
      let writer = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
      try TelemetryControl.requestStop(path: path, level: .flatten, cause: "a")
      try TelemetryControl.clearStop(path: path)
      try TelemetryControl.clearStop(path: path)
      #expect(writer.stopRequest.rearmCount == 2 && writer.stopRequest.level == .none)
    }
    let next = try TelemetryWriter(path: path, name: "x", bootEpoch: 2, now: 0)
    try TelemetryControl.requestStop(path: path, level: .noNewOrders, cause: "b")
    #expect(next.stopRequest.rearmCount == 2 && next.stopRequest.level == .noNewOrders)
  }

  @Test func `R53_ the answers of lane and watchdog, and the plan of a flattening, are read as they were written`()
    throws
  {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    var writer = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    var lane = try openLane(0, name: "l", now: 0, of: &writer)
    let none = writer.openWatchdog(1)
    let isRefused = none == nil
    #expect(isRefused, "there is no such lane")
    guard var watchdog = writer.openWatchdog(0) else { throw NoSuchLane() }
    let reader = try TelemetryReader(path: path)
    let before = reader.snapshot()
    #expect(before.lanes[0].halt == nil && before.lanes[0].watchdog == nil)

    var answer = HaltAnswer()
    answer.level = StopLevel.flatten.rawValue
    answer.latched_level = StopLevel.cancelAll.rawValue
    answer.outcome = HaltOutcome.closing.rawValue
    answer.orders_left = 7
    answer.obeyed_level = StopLevel.cancelAll.rawValue
    answer.rearm_count = 3
    answer.answered_ns = 11
    answer.clock_offset_ns = -5
    withUnsafeMutableBytes(of: &answer.cause) { $0.copyBytes(from: "overall loss (cancel)".utf8) }
    lane.show(&answer)
    var view = WatchdogView()
    view.state = 4
    view.trip_count = 2
    view.tripped_ns = 20
    view.flat_ns = 25
    watchdog.show(&view)
    var value = InstrumentTelemetry()
    value.plan_lots = QtyLots(rawValue: -3)
    value.plan_depth_lots = QtyLots(rawValue: 9)
    value.plan_limit_ticks = PriceTicks(rawValue: 100)
    value.plan_worst_ticks = PriceTicks(rawValue: 99)
    _ = lane.show(&value, at: 0)

    let seen = reader.snapshot().lanes[0]
    let halt = try #require(seen.halt)
    #expect(halt.level == .flatten && halt.latchedLevel == .cancelAll && halt.outcome == .closing)
    #expect(halt.ordersLeft == 7 && halt.obeyedLevel == .cancelAll && halt.rearmCount == 3)
    #expect(halt.verifiedAt == nil && halt.answeredAt == 11 && halt.clockOffset == -5)
    #expect(halt.cause == "overall loss (cancel)")
    let dog = try #require(seen.watchdog)
    #expect(dog.state == .pulled && dog.trips == 2 && dog.trippedAt == 20 && dog.flatAt == 25)
    let plan = try #require(seen.instruments.first?.plan)
    #expect(plan.lots.rawValue == -3 && plan.depth.rawValue == 9)
    #expect(plan.limit.rawValue == 100 && plan.worst.rawValue == 99)
  }

  @Test func `the directory's errors are told as such`() throws {
    let directory = try TemporaryDirectory()
    let missing = #expect(throws: MappedFileError.self) {
      _ = try TelemetryWriter(path: directory.path + "/no/t", name: "x", bootEpoch: 1, now: 0)
    }
    #expect(missing?.cause == .notFound)
    try TemporaryDirectory.write([1], to: directory.path + "/file")
    let through = #expect(throws: MappedFileError.self) {
      _ = try TelemetryWriter(path: directory.path + "/file/t", name: "x", bootEpoch: 1, now: 0)
    }
    #expect(through?.cause == .notADirectory)
  }

  @Test func `the file is its owner's alone`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/t"
    _ = try TelemetryWriter(path: path, name: "x", bootEpoch: 1, now: 0)
    var facts = stat()
    #expect(stat(path, &facts) == 0)
    #expect(facts.st_mode & 0o777 == 0o600)
  }
}
