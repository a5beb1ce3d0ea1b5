import Glibc

/// A thread of the engine: named, pinned if asked to, joined by its owner.
final class EngineThread {
  private var handle = pthread_t()
  private final class Start {
    let name: String
    let core: Int?
    let body: @Sendable () -> Void
    init(name: String, core: Int?, body: @escaping @Sendable () -> Void) {
      self.name = name
      self.core = core
      self.body = body
    }
  }

  /// Starts `body` on a thread of its own.
  ///
  /// - Parameter core: the core to pin it to; a failure to pin is not fatal, the start-up check has told of it.
  init(name: String, core: Int? = nil, body: @escaping @Sendable () -> Void) throws(SystemError) {
    let start = Unmanaged.passRetained(Start(name: name, core: core, body: body))
    let code = pthread_create(
      &handle, nil,
      { argument in
        let start = Unmanaged<Start>.fromOpaque(argument!).takeRetainedValue()
        try? CPU.nameCurrentThread(start.name)
        if let core = start.core { try? CPU.pinCurrentThread(to: core) }
        start.body()
        return nil
      }, start.toOpaque())
    guard code == 0 else {
      start.release()
      throw SystemError("could not start the thread \(name)", result: -code)
    }
  }

  func join() { pthread_join(handle, nil) }
}
