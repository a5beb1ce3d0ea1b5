import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// Why a recording could not be read.
public enum RecordingError: Error, Equatable, CustomStringConvertible {
  case cannotOpen(String, code: Int32)
  case cannotStart(String)

  public var description: String {
    switch self {
    case .cannotOpen(let path, let code): "could not open \(path): \(String(cString: strerror(code)))"
    case .cannotStart(let path): "could not start gzip to read \(path)"
    }
  }
}

/// Reads a file line by line; names that end in `.gz` through `gzip -dc`. Memory is bounded by the
/// longest line.
final class LineReader {
  private var descriptor: Int32
  private var process: Process?
  private var pipe: Pipe?
  private var buffer: UnsafeMutablePointer<UInt8>
  private var capacity = 1 << 18
  private var start = 0
  private var end = 0
  private var isAtEnd = false

  init(path: String) throws(RecordingError) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .cannotOpen(path, code: errno) }
    if path.hasSuffix(".gz") {
      close(file)
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
      process.arguments = ["gzip", "-dc", "--", path]
      let pipe = Pipe()
      process.standardOutput = pipe
      do { try process.run() } catch { throw .cannotStart(path) }
      self.process = process
      self.pipe = pipe
      descriptor = pipe.fileHandleForReading.fileDescriptor
    } else {
      descriptor = file
    }
    buffer = .allocate(capacity: capacity)
  }

  deinit {
    if let process {
      if process.isRunning { process.terminate() }
      process.waitUntilExit()
    } else {
      close(descriptor)
    }
    buffer.deallocate()
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
