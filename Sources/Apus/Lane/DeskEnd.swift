import CSupport
import Glibc

/// The lane's end of its desk: the thread that asks by HTTP what a venue answers in no other way.
///
/// Questions are copied into memory of the desk, answers come in memory of the desk and are given back to it: the lane
/// allocates and waits for nothing. One thread.
struct DeskEnd: ~Copyable {
  struct Answer {
    fileprivate let memory: UnsafeMutableRawPointer
    let text: UnsafeRawBufferPointer
  }

  private var questions: RingProducer
  private var answers: RingConsumer
  private var spent: RingProducer
  private let slots: DeskSlots
  private var next = 0
  private let waker: DriverWaker

  init(
    questions: consuming RingProducer, answers: consuming RingConsumer, spent: consuming RingProducer, slots: DeskSlots,
    waker: DriverWaker
  ) {
    self.questions = questions
    self.answers = answers
    self.spent = spent
    self.slots = slots
    self.waker = waker
  }

  /// False if too many questions are under way.
  @inline(never)
  mutating func push(_ question: UnsafeRawBufferPointer) -> Bool {
    let slot = slots.at(next)
    guard question.count <= slot.count else { return true }
    if let base = question.baseAddress { slot.baseAddress?.copyMemory(from: base, byteCount: question.count) }
    guard questions.push(DeskNote(slot: next, count: question.count)) else { return false }
    next = (next + 1) % DeskSlots.count
    apus_realtime_allow_begin()
    waker.wake()
    apus_realtime_allow_end()
    return true
  }

  mutating func takeAnswer() -> Answer? {
    guard let note = answers.pop(as: DeskNote.self), let memory = UnsafeMutableRawPointer(bitPattern: note.slot) else {
      return nil
    }
    return Answer(memory: memory, text: UnsafeRawBufferPointer(start: memory, count: note.count))
  }

  mutating func giveBack(_ answer: Answer) {
    // There is room: the desk has no more answers under way than this ring takes.
    _ = spent.push(DeskNote(slot: Int(bitPattern: answer.memory), count: 0))
  }
}

/// A question by its slot, or an answer by its address.
struct DeskNote: BitwiseCopyable {
  var slot: Int
  var count: Int
}

/// Where questions lie: more places than the ring takes, so that one that is being read is not overwritten.
final class DeskSlots: @unchecked Sendable {
  // Sendable: a place is written by the lane before the ring publishes it, and read after that.
  static let count = 16
  static let inRing = 8
  private let memory = UnsafeMutableRawBufferPointer.allocate(
    byteCount: DeskSlots.count * DeskRequest.capacity, alignment: 64)

  deinit { memory.deallocate() }

  func at(_ place: Int) -> UnsafeMutableRawBufferPointer {
    UnsafeMutableRawBufferPointer(
      rebasing: memory[(place * DeskRequest.capacity)..<((place + 1) * DeskRequest.capacity)])
  }
}
