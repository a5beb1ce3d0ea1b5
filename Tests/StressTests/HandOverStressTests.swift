import Apus
import CSupport
import Foundation
import Synchronization
import Testing

/// What crosses threads beside plain rings: bursts both ways, the waker, the telemetry file, the journal.
@Suite struct HandOverStressTests {
  @Test func `R33_ updates and directives cross each other in bursts, and a full ring keeps the rest for later`() throws
  {
    let updates = try Ring(capacity: 16)
    let directives = try Ring(capacity: 4)
    let (updateOut, updateIn) = (Parcel(updates.producer), Parcel(updates.consumer))
    let (directiveOut, directiveIn) = (Parcel(directives.producer), Parcel(directives.consumer))
    let mistakes = [Tally(), Tally()]
    let directiveCount = Tally()
    let end = StressTime.end()
    runTogether([
      {
        var updates = updateOut.take()
        var directives = directiveIn.take()
        var next: UInt64 = 1
        var expected: UInt64 = 1
        var dropped: UInt64 = 0
        while true {
          // As a lane: an update that does not fit is dropped. Its number is not used again.
          for _ in 0..<(next % 23) {
            if !updates.push(next) { dropped += 1 }
            next += 1
          }
          while let directive = directives.pop(as: UInt64.self) {
            if directive == .max {
              directiveCount.value = Int64(expected - 1)
              while !updates.push(UInt64.max) { sched_yield() }
              return
            }
            if directive != expected { mistakes[0].value += 1 }
            expected += 1
          }
          sched_yield()
          next += 1
        }
      },
      {
        var updates = updateIn.take()
        var directives = directiveOut.take()
        var next: UInt64 = 1
        var latest: UInt64 = 0
        var isOver = false
        while true {
          while let update = updates.pop(as: UInt64.self) {
            if update == .max {
              if !isOver { mistakes[1].value += 1 }
              return
            }
            if update <= latest { mistakes[1].value += 1 }
            latest = update
          }
          // As the manager: what does not fit waits for the next turn.
          if !isOver {
            for _ in 0..<7 where directives.push(next) { next += 1 }
            if next > 100 && StressTime.now >= end { isOver = directives.push(UInt64.max) }
          }
          sched_yield()
        }
      },
    ])
    #expect(mistakes[0].value == 0 && mistakes[1].value == 0)
    #expect(directiveCount.value >= 100)
  }

  @Test func `no wake is lost between a sleeping poll and a push`() throws {
    let driver = try SocketDriver(SocketDriverConfiguration(connections: 1))
    let waker = driver.makeWaker()
    let owner = Parcel(driver)
    let there = try Ring(capacity: 8)
    let back = try Ring(capacity: 8)
    let (toOwner, atOwner) = (Parcel(there.producer), Parcel(there.consumer))
    let (fromOwner, atWaker) = (Parcel(back.producer), Parcel(back.consumer))
    let mistakes = Tally()
    let wakes = Tally()
    let end = StressTime.end()
    let patience: Nanoseconds = 20_000_000_000
    runTogether([
      {
        var driver = owner.take()
        var records = atOwner.take()
        var answers = fromOwner.take()
        while true {
          // Sleeps until it is woken: a lost wake shows as a poll that waited in vain.
          let begun = StressTime.now
          let result = driver.poll(wait: patience)
          if result < 0 || StressTime.now - begun >= patience { mistakes.value += 1 }
          while let record = records.pop(as: UInt64.self) {
            if record == .max { return }
            while !answers.push(record) { sched_yield() }
          }
        }
      },
      {
        var records = toOwner.take()
        var answers = atWaker.take()
        var number: UInt64 = 0
        while number < 50 || StressTime.now < end {
          // Now and then two wakes close together, so that they merge, or just miss each other.
          let burst = number % 3 + 1
          for _ in 0..<burst {
            number += 1
            while !records.push(number) { sched_yield() }
            waker.wake()
          }
          var answered: UInt64 = 0
          while answered < burst {
            if answers.pop(as: UInt64.self) != nil { answered += 1 } else { sched_yield() }
          }
        }
        wakes.value = Int64(number)
        while !records.push(UInt64.max) { sched_yield() }
        waker.wake()
      },
    ])
    #expect(mistakes.value == 0)
    #expect(wakes.value >= 50)
  }

  @Test func `R38_ a reader of the telemetry file sees whole instruments, states and requests only`() throws {
    let path = NSTemporaryDirectory() + "/apus-stress-\(getpid()).telemetry"
    defer { unlink(path) }
    var created: OpaquePointer?
    let descriptor = unsafe apus_telemetry_create(path, "stress", 0, 1, 0, false, &created)
    let opened = try #require(unsafe created, "telemetry file: \(descriptor)")
    // Sendable by what is tested: one writer, any readers, one mapping, so that the sanitizer sees both.
    struct Shared: @unchecked Sendable { let file: OpaquePointer }
    let shared = unsafe Shared(file: opened)
    defer { unsafe apus_telemetry_close(shared.file, descriptor) }
    let isOver = SharedFlag()
    let mistakes = Tally()
    let seen = Tally()
    let end = StressTime.end()
    runTogether([
      {
        let lane = unsafe apus_telemetry_open_lane(shared.file, 0, "lane", 0)!
        var number: Int64 = 0
        var requested: UInt32 = 0
        while number < 1000 || StressTime.now < end {
          number += 1
          var value = InstrumentTelemetry()
          value.tick_e8 = number
          value.mark_e8 = number
          value.pnl_e8 = number
          value.quoted_ns = number
          value.flags = UInt64(number)
          _ = unsafe apus_telemetry_show_instrument(lane, UInt32(number % 3), &value)
          unsafe apus_telemetry_show_state(
            lane, number % 2 == 0 ? .quoting : .frozen, number % 2 == 0 ? "e" : "o", 1, number)
          unsafe apus_telemetry_add(lane, .turns, 1)
          if number % 64 == 0 {
            var version: UInt32 = 0
            requested += 1
            let text = String(repeating: requested % 2 == 0 ? "a" : "b", count: 119)
            _ = unsafe apus_telemetry_request_stop(path, .widen, text, &version)
          }
          if number % 16 == 0 { sched_yield() }
        }
        isOver.value.store(true, ordering: .releasing)
      },
      {
        var latest: [Int64] = [0, 0, 0]
        var turns: UInt64 = 0
        var bad: Int64 = 0
        while !isOver.value.load(ordering: .acquiring) {
          guard let lane = unsafe apus_telemetry_lane_at(shared.file, 0) else {
            sched_yield()
            continue
          }
          for index in 0..<3 {
            var value = InstrumentTelemetry()
            guard unsafe apus_telemetry_read_instrument(lane, UInt32(index), &value) else { continue }
            let number = value.tick_e8
            if value.mark_e8 != number || value.pnl_e8 != number || value.quoted_ns != number
              || value.flags != UInt64(number) || number % 3 != Int64(index) || number < latest[index]
            {
              bad += 1
            }
            latest[index] = number
            seen.value += 1
          }
          var state = apus_telemetry_state_view()
          if unsafe apus_telemetry_read_state(lane, &state), state.since_ns > 0 {
            let isEven = state.since_ns % 2 == 0
            if state.state != (isEven ? LaneState.quoting : .frozen).rawValue
              || UInt8(bitPattern: state.cause.0) != UInt8(ascii: isEven ? "e" : "o")
            {
              bad += 1
            }
          }
          let stop = unsafe apus_telemetry_read_stop(shared.file)
          if stop.cause.0 != stop.cause.118 { bad += 1 }
          let now = unsafe apus_telemetry_count(lane, UInt32(TelemetryCounter.turns.rawValue))
          if now < turns { bad += 1 }
          turns = now
          sched_yield()
        }
        mistakes.value = bad
      },
    ])
    #expect(mistakes.value == 0)
    #expect(seen.value > 0)
  }

  @Test func `a journal written beside its helper loses nothing and calls nothing synced too early`() throws {
    let end = StressTime.end()
    var rounds = 0
    var segments: UInt64 = 0
    repeat {
      rounds += 1
      let path = NSTemporaryDirectory() + "/apus-stress-journal-\(getpid())"
      try? FileManager.default.removeItem(atPath: path)
      defer { try? FileManager.default.removeItem(atPath: path) }
      let count: Int64 = 5000
      let mistakes = [Tally(), Tally()]
      do {
        let ends = try JournalEnds(
          path: path, name: "stress",
          configuration: JournalConfiguration(segmentBytes: 16384, windowBytes: 8192, bootEpoch: 1, sync: .each), now: 0
        )
        let (writer, service) = (Parcel(ends.writer), Parcel(ends.service))
        let isOver = SharedFlag()
        runTogether([
          {
            var writer = writer.take()
            var payload = [Int64](repeating: 0, count: 12)
            for number in 1...count {
              for index in payload.indices { payload[index] = number &* Int64(index + 1) }
              let bytes = Int(number % 12 + 1) * 8
              while !writer.hasRoom(forPayload: bytes) { sched_yield() }
              let isIn = payload.withUnsafeBytes { words in
                unsafe writer.append(
                  .note, connection: UInt32(number % 7), time: number,
                  payload: UnsafeRawBufferPointer(rebasing: words[..<bytes]))
              }
              if !isIn { mistakes[0].value += 1 }
            }
            isOver.value.store(true, ordering: .releasing)
          },
          {
            var service = service.take()
            var synced: UInt64 = 0
            while !isOver.value.load(ordering: .acquiring) {
              do { try service.service(now: StressTime.now) } catch { mistakes[1].value += 1 }
              let status = service.status
              if status.synced_number < synced { mistakes[1].value += 1 }
              synced = status.synced_number
              sched_yield()
            }
            try? service.service(now: StressTime.now)
            if service.status.synced_number > UInt64(count) { mistakes[1].value += 1 }
          },
        ])
      }
      #expect(mistakes[0].value == 0 && mistakes[1].value == 0)
      var reader = try JournalReader(path: path)
      var number: Int64 = 0
      while let record = reader.next() {
        number += 1
        let words = record.payload.count / 8
        #expect(record.time == number && record.recordNumber == UInt64(number) && words == Int(number % 12 + 1))
        segments = record.segmentNumber
        for index in 0..<words {
          let word = record.payload.withUnsafeBytes {
            unsafe $0.loadUnaligned(fromByteOffset: index * 8, as: Int64.self)
          }
          #expect(word == number &* Int64(index + 1))
        }
      }
      #expect(number == count)
    } while StressTime.now < end
    #expect(rounds >= 1 && segments > 10)
  }
}

/// A flag that one thread raises for others.
private final class SharedFlag: Sendable { let value = Atomic<Bool>(false) }
