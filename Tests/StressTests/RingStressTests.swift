import Apus
import CSupport
import Glibc
import Testing

@Suite struct RingStressTests {
  @Test(arguments: [1, 2, 4, 8, 64, 4096])
  func `R33_ between two threads nothing is lost, repeated, reordered or torn`(capacity: Int) throws {
    // At least three laps; then until the time is over, which the last record says.
    let end = StressTime.end(part: 0.5)
    let ring = try Ring(capacity: capacity)
    let producer = Parcel(ring.producer)
    let consumer = Parcel(ring.consumer)
    let mistakes = Tally()
    let refusals = Tally()
    let counted = Tally()
    runTogether([
      {
        var producer = producer.take()
        var refused: Int64 = 0
        var number: UInt64 = 0
        var isLast = false
        while !isLast {
          isLast = number >= 3 * UInt64(capacity) && number % 64 == 0 && StressTime.now >= end
          while !producer.push(RingRecord(words: (number, ~number, number, isLast ? 1 : 0, 2, number &* 5, number))) {
            refused += 1
            sched_yield()
          }
          number += 1
        }
        refusals.value = refused
        counted.value = Int64(producer.statistics.refused)
      },
      {
        var consumer = consumer.take()
        var bad: Int64 = 0
        var number: UInt64 = 0
        var isLast = false
        while !isLast {
          guard let record = consumer.pop() else {
            sched_yield()
            continue
          }
          let w = record.words
          if w.0 != number || w.1 != ~number || w.2 != number || w.5 != number &* 5 || w.6 != number { bad += 1 }
          number += 1
          isLast = w.3 == 1
          if consumer.statistics.depth > capacity { bad += 1 }
        }
        if consumer.pop() != nil as RingRecord? { bad += 1 }
        mistakes.value = bad
      },
    ])
    #expect(mistakes.value == 0)
    #expect(refusals.value == counted.value)
  }

  @Test func `records filled and read in place arrive whole`() throws {
    let count = UInt64(200_000 * StressTime.seconds)
    let ring = try Ring(capacity: 16)
    let producer = Parcel(ring.producer)
    let consumer = Parcel(ring.consumer)
    let mistakes = Tally()
    runTogether([
      {
        var producer = producer.take()
        for number in 0..<count {
          var slot = unsafe producer.claim()
          while unsafe slot == nil {
            sched_yield()
            unsafe slot = unsafe producer.claim()
          }
          for word in 0..<7 {
            unsafe slot!.storeBytes(of: number &+ UInt64(word), toByteOffset: word * 8, as: UInt64.self)
          }
          unsafe producer.publish()
        }
      },
      {
        var consumer = consumer.take()
        var bad: Int64 = 0
        for number in 0..<count {
          var slot = unsafe consumer.front()
          while unsafe slot == nil {
            sched_yield()
            unsafe slot = unsafe consumer.front()
          }
          for word in 0..<7 where unsafe slot!.load(fromByteOffset: word * 8, as: UInt64.self) != number &+ UInt64(word)
          {
            bad += 1
          }
          unsafe consumer.release()
        }
        mistakes.value = bad
      },
    ])
    #expect(mistakes.value == 0)
  }
}

extension RingRecord: @retroactive Equatable {
  public static func == (a: Self, b: Self) -> Bool { a.words.0 == b.words.0 && a.words.6 == b.words.6 }
}
