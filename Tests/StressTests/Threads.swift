import Glibc
import Testing

/// Runs each body on a thread of its own, all at once, and returns when every one has ended.
///
/// Bodies that spin must yield: the machine may have fewer cores than threads.
func runTogether(_ bodies: [@Sendable () -> Void]) {
  final class Box {
    let body: @Sendable () -> Void
    init(_ body: @escaping @Sendable () -> Void) { self.body = body }
  }
  var threads: [pthread_t] = []
  for body in bodies {
    var thread = pthread_t()
    let argument = unsafe Unmanaged.passRetained(Box(body)).toOpaque()
    let result = unsafe pthread_create(
      &thread, nil,
      { argument in
        unsafe Unmanaged<Box>.fromOpaque(argument!).takeRetainedValue().body()
        return nil
      }, argument)
    precondition(result == 0, "could not start a thread: \(result)")
    threads.append(thread)
  }
  for thread in threads { pthread_join(thread, nil) }
}

/// Carries a noncopyable value to the one thread that takes it.
// Sendable: filled before the thread starts, emptied by it.
final class Parcel<Value: ~Copyable & Sendable>: @unchecked Sendable {
  private var value: Value?
  init(_ value: consuming Value) { self.value = consume value }
  func take() -> Value { value.take()! }
}

/// A count that one thread leaves for another to read after the join.
final class Tally: @unchecked Sendable {
  var value: Int64 = 0
}
