import CBench
import Synchronization

/// A second thread on another core, for the length of one measurement.
struct Partner: ~Copyable {
  private let handle: UInt64

  /// Starts `body` on a thread pinned to the other core of `cores`.
  init(_ cores: Cores, _ body: @escaping @Sendable () -> Void) throws {
    guard let core = cores.other else { throw PieceError("a second core is needed and not allowed to this process") }
    var handle: UInt64 = 0
    let context = Unmanaged.passRetained(Body(run: body))
    let result = apus_partner_start(
      Int32(core),
      { context in
        Unmanaged<Body>.fromOpaque(context!).takeRetainedValue().run()
        return nil
      }, context.toOpaque(), &handle)
    guard result == 0 else {
      context.release()
      throw PieceError("a thread on core \(core) could not be started: error \(result)")
    }
    self.handle = handle
  }

  consuming func join() { apus_partner_join(handle) }

  private final class Body: Sendable {
    let run: @Sendable () -> Void
    init(run: @escaping @Sendable () -> Void) { self.run = run }
  }
}

/// A number that one thread sets and another waits for, spinning: both are pinned to cores of their own.
final class Signal: Sendable {
  /// What the other thread sets if it found something wrong.
  static let failed = -1

  private let value = Atomic<Int>(0)

  func set(_ number: Int) { value.store(number, ordering: .releasing) }

  /// Whether `number` came, and not `failed`.
  @discardableResult
  func wait(for number: Int) -> Bool {
    while true {
      let now = value.load(ordering: .acquiring)
      if now == number { return true }
      if now == Self.failed { return false }
    }
  }
}

/// Hands a noncopyable value to a thread, once.
// Sendable: `give` happens before the thread starts, `take` on the thread.
final class Handover<Value: ~Copyable & Sendable>: @unchecked Sendable {
  private var value: Value?

  init(_ value: consuming Value) { self.value = consume value }

  func take() -> Value { value.take()! }
}
