import CSupport
import Glibc
import Testing

/// Faults on purpose. `tools/sanitize --self-test` runs each under its sanitizer and fails unless the sanitizer ends
/// the process: one that sees nothing would look like one that finds nothing.
///
/// Which one comes in `APUS_SANITIZER_FAULT`; without it none runs.
@Suite(.serialized) struct SanitizerFaults {
  private static let asked = getenv("APUS_SANITIZER_FAULT").map { String(cString: $0) }

  private static func isAsked(_ fault: String) -> ConditionTrait {
    .enabled(if: asked == fault, "a fault on purpose: only tools/sanitize --self-test asks for it")
  }

  /// Reads one byte behind a block, in C.
  @Test(isAsked("address-c")) func `a C function reads behind a block`() {
    let block = UnsafeMutableRawPointer.allocate(byteCount: 24, alignment: 8)
    block.initializeMemory(as: UInt8.self, repeating: 1, count: 24)
    let crc = apus_crc32c(0, block, 25)
    block.deallocate()
    #expect(crc != 0)
  }

  /// Reads a block that was freed, in Swift.
  @Test(isAsked("address-swift")) func `Swift reads a block that is gone`() {
    let block = UnsafeMutablePointer<Int>.allocate(capacity: 3)
    block.initialize(repeating: 1, count: 3)
    block.deallocate()
    let sum = block[0] &+ block[2]
    #expect(sum == 2)
  }

  /// Hands a C function a pointer that no object can have.
  @Test(isAsked("undefined-c")) func `a C function gets a misaligned pointer`() {
    let block = UnsafeMutableRawPointer.allocate(byteCount: 4096, alignment: 64)
    block.initializeMemory(as: UInt8.self, repeating: 0, count: 4096)
    let status = apus_journal_status(OpaquePointer(block + 4))
    block.deallocate()
    #expect(status.appended_count == 0)
  }

  /// Two threads change one number without any order between them, in Swift.
  @Test(isAsked("thread-swift")) func `two threads change a number in Swift`() {
    let tally = Tally()
    let body: @Sendable () -> Void = { for _ in 0..<10_000 { tally.value &+= 1 } }
    runTogether([body, body])
    #expect(tally.value > 0)
  }

  /// Two threads use a table of one owner, in C.
  @Test(isAsked("thread-c")) func `two threads change a table in C`() {
    var created: OpaquePointer?
    let outcome = apus_names_create(64, &created)
    #expect(outcome == 0)
    let table = Int(bitPattern: created)
    let body: @Sendable () -> Void = {
      guard let names = OpaquePointer(bitPattern: table) else { return }
      for _ in 0..<10_000 {
        _ = apus_names_add(names, "a", 1, 1)
        _ = apus_names_remove(names, "a", 1)
      }
    }
    runTogether([body, body])
    apus_names_destroy(created)
  }
}
