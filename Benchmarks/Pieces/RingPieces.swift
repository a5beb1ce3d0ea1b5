import Apus
import CSupport

let ringPieces: [Piece] = [
  Piece("ring.same", .batch(20_000)) { _ in Timed(try RingSameThread(burst: 1)) },
  Piece("ring.trip", .crossCore(500)) { cores in Timed(RingTrip(cores: cores)) },
  Piece("ring.stream", .crossCore(20_000)) { cores in Timed(RingStream(cores: cores)) },
  Piece("ring.burst", .batch(20_000)) { _ in Timed(try RingSameThread(burst: 50)) },
]

private func record(_ number: UInt64) -> RingRecord { RingRecord(words: (number, 1, 2, 3, 4, 5, number)) }

/// Push and pop of 56 bytes by one thread.
private struct RingSameThread: Operation, ~Copyable {
  private var ring: Ring
  private let burst: Int

  init(burst: Int) throws {
    self.burst = burst
    ring = try Ring(capacity: 1024)
  }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum: UInt64 = 0
    let start: Nanoseconds
    let end: Nanoseconds
    if burst == 1 {
      start = EngineClock.now()
      for number in 0..<UInt64(count) {
        _ = ring.producer.push(record(number))
        if let record = ring.consumer.pop() { sum &+= record.words.0 &+ record.words.6 }
      }
      end = EngineClock.now()
    } else {
      start = EngineClock.now()
      for first in stride(from: 0, to: UInt64(count), by: burst) {
        for number in first..<first + UInt64(burst) { _ = ring.producer.push(record(number)) }
        while let record = ring.consumer.pop() { sum &+= record.words.0 &+ record.words.6 }
      }
      end = EngineClock.now()
    }
    guard sum == UInt64(count) * UInt64(count - 1) else { throw PieceError("the ring lost records") }
    return end - start
  }
}

/// A record through one ring to another core and back through a second ring: one trip at a time.
private struct RingTrip: Operation {
  private static let warmTrips = 200
  let cores: Cores

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let forth = try Ring(capacity: 64)
    let back = try Ring(capacity: 64)
    var producer = forth.producer
    var consumer = back.consumer
    let ends = Handover(EchoEnds(consumer: forth.consumer, producer: back.producer))
    let trips = Self.warmTrips + count
    let partner = try Partner(cores) {
      var ends = ends.take()
      for _ in 0..<trips { ends.echo() }
    }
    for number in 0..<UInt64(Self.warmTrips) { Self.trip(&producer, &consumer, number) }
    let start = EngineClock.orderedNow()
    for number in 0..<UInt64(count) { Self.trip(&producer, &consumer, number) }
    let time = EngineClock.orderedNow() - start
    partner.join()
    return time
  }

  @inline(__always)
  private static func trip(_ producer: inout RingProducer, _ consumer: inout RingConsumer, _ number: UInt64) {
    _ = producer.push(record(number))
    while consumer.pop() == nil {}
  }

  private struct EchoEnds: ~Copyable, Sendable {
    var consumer: RingConsumer
    var producer: RingProducer

    @inline(__always)
    mutating func echo() {
      while true {
        guard let record = consumer.pop() else { continue }
        _ = producer.push(record)
        return
      }
    }
  }
}

/// Records to another core as fast as they go, until the last one has arrived; capacity 1,024.
private struct RingStream: Operation {
  private static let warmRecords = 2048
  let cores: Cores

  mutating func run(_ count: Int) throws -> Nanoseconds {
    let ring = try Ring(capacity: 1024)
    var producer = ring.producer
    let consumer = Handover(ring.consumer)
    let arrived = Signal()
    let partner = try Partner(cores) {
      var consumer = consumer.take()
      for (phase, batch) in [Self.warmRecords, count].enumerated() {
        var sum: UInt64 = 0
        var left = batch
        while left > 0 {
          guard let record = consumer.pop() else { continue }
          sum &+= record.words.0 &+ record.words.6
          left -= 1
        }
        arrived.set(sum == UInt64(batch) * UInt64(batch - 1) ? phase + 1 : Signal.failed)
      }
    }
    Self.push(Self.warmRecords, &producer)
    arrived.wait(for: 1)
    let start = EngineClock.orderedNow()
    Self.push(count, &producer)
    let isWhole = arrived.wait(for: 2)
    let time = EngineClock.orderedNow() - start
    partner.join()
    guard isWhole else { throw PieceError("the ring lost records between two cores") }
    return time
  }

  @inline(__always)
  private static func push(_ count: Int, _ producer: inout RingProducer) {
    for number in 0..<UInt64(count) {
      while !producer.push(record(number)) {}
    }
  }
}
