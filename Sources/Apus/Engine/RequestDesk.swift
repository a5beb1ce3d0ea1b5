import CSupport
import Glibc
import Synchronization

/// Asks a venue by HTTP what a lane wants to know, on a thread beside the lane, one question after the other.
///
/// A question that is not answered in time, or cannot be asked, is answered with the status 0: the lane decides what comes
/// of that.
final class RequestDesk: @unchecked Sendable {
  // Sendable: the thread that runs it owns everything but `stopWord`, which is atomic.
  private var link: HTTPLink
  private var questions: RingConsumer
  private var answers: RingProducer
  private var spent: RingConsumer
  private let slots: DeskSlots
  private let waker: DriverWaker
  private let laneWaker: DriverWaker?
  private let stopWord = Atomic<Bool>(false)
  private var lane: DeskEnd?
  /// Answers that the ring had no room for.
  private var pending: [DeskNote] = []

  /// - Parameters:
  ///   - laneWaker: of a lane that may sleep.
  ///   - timeout: after which a question is given up.
  init(_ settings: HTTPLink.Settings, laneWaker: DriverWaker?) throws {
    let link = try HTTPLink(settings)
    let questions = try Ring(capacity: DeskSlots.inRing)
    let answers = try Ring(capacity: DeskSlots.inRing)
    let spent = try Ring(capacity: 4 * DeskSlots.inRing)
    slots = DeskSlots()
    waker = link.makeWaker()
    self.laneWaker = laneWaker
    self.link = link
    self.questions = questions.consumer
    self.answers = answers.producer
    self.spent = spent.consumer
    lane = .some(
      DeskEnd(
        questions: questions.producer, answers: answers.consumer, spent: spent.producer, slots: slots, waker: waker))
  }

  deinit {
    freeSpent()
    for note in pending { UnsafeMutableRawPointer(bitPattern: note.slot)?.deallocate() }
  }

  /// Once, before the lane runs.
  func takeLaneEnd() -> DeskEnd? { lane.take() }

  /// Any thread.
  func stop() {
    stopWord.store(true, ordering: .relaxed)
    waker.wake()
  }

  func run() {
    while !stopWord.load(ordering: .relaxed) {
      link.turn(wait: link.isBusy ? 50_000_000 : 1_000_000_000)
      if let answer = link.takeAnswer() { deliver(answer) }
      freeSpent()
      flush()
      while !link.isBusy, let note = questions.pop(as: DeskNote.self) {
        let text = String(decoding: slots.at(note.slot).prefix(note.count), as: UTF8.self)
        if let request = DeskRequest(text) { link.ask(request) }
      }
    }
  }

  private func deliver(_ text: [UInt8]) {
    // A decoder may look at a few bytes behind a text.
    let memory = UnsafeMutableRawPointer.allocate(byteCount: text.count + 64, alignment: 64)
    memory.copyMemory(from: text, byteCount: text.count)
    (memory + text.count).initializeMemory(as: UInt8.self, repeating: 0, count: 64)
    pending.append(DeskNote(slot: Int(bitPattern: memory), count: text.count))
    flush()
  }

  private func flush() {
    guard !pending.isEmpty else { return }
    while let note = pending.first, answers.push(note) { pending.removeFirst() }
    laneWaker?.wake()
  }

  private func freeSpent() {
    while let note = spent.pop(as: DeskNote.self) { UnsafeMutableRawPointer(bitPattern: note.slot)?.deallocate() }
  }
}
