import CSupport
import Glibc

/// The helper's work on the journal: its segments, what of the past is kept, and what happens when it cannot be written.
///
/// On the helper's thread.
final class JournalKeeper {
  private var service: JournalService
  private let section: JournalSection
  private let control: LaneControl
  private let path: String
  private let tell: (String) -> Void
  /// What an operator should know of, each said once.
  private(set) var problems: [String] = []
  private var lookAt: Nanoseconds = 0
  private var isFailing = false
  private var isShort = false
  private var hasTakenOwn = false
  private var lost: UInt64 = 0
  /// Re-armings that the lane had carried out when it was asked to halt; `nil` if it need not be.
  private var askedAt: UInt32?

  static let lookInterval: Nanoseconds = 1_000_000_000

  /// - Parameter tell: Takes a sentence for an operator at once.
  init(
    _ service: consuming JournalService, path: String, section: JournalSection, control: LaneControl,
    tell: @escaping (String) -> Void = JournalKeeper.complain
  ) {
    self.service = service
    self.path = path
    self.section = section
    self.control = control
    self.tell = tell
  }

  static func complain(_ text: String) {
    var line = "apus: \(text)\n"
    _ = line.withUTF8 { write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }

  /// Every few milliseconds.
  func turn(now: Nanoseconds) {
    do {
      try service.service(now: now)
      isFailing = false
    } catch {
      if !isFailing { note("\(error)") }
      isFailing = true
    }
    if now >= lookAt {
      lookAt = now + Self.lookInterval
      look()
    }
    // A segment that cannot be prepared is missed when the present one is full: the quotes go before that.
    let mustHalt = section.onFailure == .halt && (isShort || isFailing && !service.status.next_is_ready)
    guard mustHalt else {
      askedAt = nil
      return
    }
    // Once, and again if a person has re-armed and the cause is still there.
    let rearmings = control.rearmings
    if askedAt != rearmings {
      askedAt = rearmings
      control.requestHalt(.cancelAll, .journal)
    }
  }

  /// Once a second, and at the end.
  func look() {
    let refused = service.status.refused_count
    if refused > lost {
      if lost == 0 {
        note(
          "records of the journal could not be written: \(path) did not take them in time; "
            + (section.onFailure == .halt
              ? "quoting has stopped until a restart" : "quoting goes on without them (journal.on_failure: continue)"))
      }
      lost = refused
    }
    if section.keepHours > 0 || section.keepMib > 0 { retain() }
    guard section.minFreeMib > 0, let free = service.freeBytes else { return }
    let wasShort = isShort
    isShort = free >> 20 < Int64(section.minFreeMib)
    if isShort, !wasShort {
      note(
        "only \(free >> 20) MiB are free at \(path), less than journal.min_free_mib (\(section.minFreeMib)): "
          + (section.onFailure == .halt
            ? "the quotes are pulled; free space, then apus resume"
            : "quoting goes on (journal.on_failure: continue); free space"))
    }
  }

  private func retain() {
    let result = service.retain(JournalRetention(section), wallClock: EngineClock.now() + EngineClock.wallOffset())
    if result.error != 0 { note("old segments of the journal at \(path) cannot be removed (errno \(-result.error))") }
    if result.removed_of_run > 0, !hasTakenOwn {
      hasTakenOwn = true
      note(
        "journal.keep_mib (\(section.keepMib)) has removed the first segments of the present run: "
          + "it can no longer be repeated")
    }
  }

  /// Records that were lost; and as a sentence, `nil` if none was.
  var lostCount: Int { Int(clamping: lost) }
  var lostText: String? { lost == 0 ? nil : "\(lost) records were lost" }

  private func note(_ problem: String) {
    guard !problems.contains(problem) else { return }
    problems.append(problem)
    tell(problem)
  }
}
