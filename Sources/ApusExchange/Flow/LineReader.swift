import Glibc

/// Why a recording could not be read.
public enum RecordingError: Error, Equatable, CustomStringConvertible {
  case cannotOpen(String, code: Int32)
  case cannotStart(String, code: Int32)

  public var description: String {
    switch self {
    case .cannotOpen(let path, let code): "could not open \(path): \(String(cString: strerror(code)))"
    case .cannotStart(let path, let code): "could not start gzip to read \(path): \(String(cString: strerror(code)))"
    }
  }
}

/// Reads a file line by line; names that end in `.gz` through `gzip -dc`. Memory is bounded by the
/// longest line.
final class LineReader {
  private let descriptor: Int32
  /// The gzip that writes into `descriptor`; 0 if there is none.
  private let child: pid_t
  private var buffer: UnsafeMutablePointer<UInt8>
  private var capacity = 1 << 18
  private var start = 0
  private var end = 0
  private var isAtEnd = false

  init(path: String) throws(RecordingError) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .cannotOpen(path, code: errno) }
    if path.hasSuffix(".gz") {
      defer { close(file) }
      (descriptor, child) = try Self.unpack(path, file)
    } else {
      descriptor = file
      child = 0
    }
    buffer = .allocate(capacity: capacity)
  }

  deinit {
    close(descriptor)
    if child != 0 {
      // It may still be writing; what it writes is of no use any more.
      kill(child, SIGKILL)
      var status: Int32 = 0
      while waitpid(child, &status, 0) < 0, errno == EINTR {}
    }
    buffer.deallocate()
  }

  /// Starts `gzip -dc` on an open file and returns the end of the pipe from which to read.
  private static func unpack(_ path: String, _ file: Int32) throws(RecordingError) -> (Int32, pid_t) {
    var ends: [Int32] = [-1, -1]
    guard pipe(&ends) == 0 else { throw .cannotStart(path, code: errno) }
    for end in ends { _ = fcntl(end, F_SETFD, FD_CLOEXEC) }
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_adddup2(&actions, file, 0)
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1)
    var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("gzip"), strdup("-dc"), nil]
    defer { for argument in arguments { free(argument) } }
    var environment: [UnsafeMutablePointer<CChar>?] = [nil]
    var child: pid_t = 0
    let code = posix_spawnp(&child, "gzip", &actions, nil, &arguments, &environment)
    close(ends[1])
    guard code == 0 else {
      close(ends[0])
      throw .cannotStart(path, code: code)
    }
    return (ends[0], child)
  }

  /// The next line without its end; valid until the next call. `nil` at the end of the file.
  func next() -> UnsafeRawBufferPointer? {
    var searched = start
    while true {
      if let found = memchr(buffer + searched, 10, end - searched) {
        let stop = buffer.distance(to: found.assumingMemoryBound(to: UInt8.self))
        let line = UnsafeRawBufferPointer(start: buffer + start, count: stop - start)
        start = stop + 1
        return line
      }
      searched = end
      if isAtEnd {
        guard end > start else { return nil }
        let line = UnsafeRawBufferPointer(start: buffer + start, count: end - start)
        start = end
        return line
      }
      if start > 0 {
        buffer.update(from: buffer + start, count: end - start)
        searched -= start
        end -= start
        start = 0
      }
      if end == capacity {
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity * 2)
        larger.update(from: buffer, count: end)
        buffer.deallocate()
        buffer = larger
        capacity *= 2
      }
      let count = read(descriptor, buffer + end, capacity - end)
      if count > 0 {
        end += count
      } else if count == 0 || errno != EINTR {
        isAtEnd = true
      }
    }
  }
}
