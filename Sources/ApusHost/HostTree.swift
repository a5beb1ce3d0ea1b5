import Glibc

/// The files in which a host describes itself: `/proc` and `/sys` beneath some root, `/` for this host.
///
/// Another root is a captured tree, so that what is judged of a host can be tested without that host.
public struct HostTree: Sendable {
  /// Without a slash at the end; empty for this host.
  public let root: String

  /// More of a file is not read: nothing here is longer but lists of processors, of which the first one is enough.
  static let maximumBytes = 16384

  public init(root: String = "/") {
    self.root = root.hasSuffix("/") ? String(root.dropLast()) : root
  }

  /// What a file holds, without white space at its end; `nil` if it cannot be read.
  public func text(_ path: String) -> String? {
    let file = open(root + path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes = [UInt8](repeating: 0, count: Self.maximumBytes)
    var count = 0
    while count < bytes.count {
      let got = bytes.withUnsafeMutableBytes { buffer in
        read(file, buffer.baseAddress.map { $0 + count }, buffer.count - count)
      }
      if got < 0, errno == EINTR { continue }
      // Some files, such as numa_node of a device that is gone, open and do not read.
      guard got >= 0 else { return nil }
      if got == 0 { break }
      count += got
    }
    var text = Substring(decoding: bytes[..<count], as: UTF8.self)
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return String(text)
  }

  /// A whole number, alone in a file.
  public func number(_ path: String) -> Int? { text(path).flatMap { Int($0) } }

  public func exists(_ path: String) -> Bool { access(root + path, F_OK) == 0 }

  /// The names in a directory, sorted, numbers by their size; empty if it cannot be read.
  public func names(in directory: String) -> [String] {
    guard let stream = opendir(root + directory) else { return [] }
    defer { closedir(stream) }
    var names: [String] = []
    while let entry = readdir(stream) {
      let name = withUnsafeBytes(of: entry.pointee.d_name) {
        String(decoding: $0.prefix { $0 != 0 }, as: UTF8.self)
      }
      if name != "." && name != ".." { names.append(name) }
    }
    return names.sorted { left, right in
      if let left = Int(left), let right = Int(right) { return left < right }
      return left < right
    }
  }

  /// The value of a line `key: value` or `key  value  …`, without white space around it.
  func value(of key: String, in path: String) -> String? {
    guard let text = text(path) else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix(key) {
      let rest = line.dropFirst(key.count).drop { $0.isWhitespace || $0 == ":" }
      return String(rest)
    }
    return nil
  }
}

extension Substring {
  fileprivate init(decoding bytes: ArraySlice<UInt8>, as encoding: UTF8.Type) {
    self = String(decoding: bytes, as: encoding)[...]
  }
}

/// A kernel list of cores or nodes such as `0,2-5`.
struct CoreList: Equatable, CustomStringConvertible {
  /// Ascending.
  let cores: [Int]

  /// `nil` for text that is no such list; empty text is an empty list.
  init?(_ text: String) {
    var cores: [Int] = []
    // A kernel without isolated cores may write "(null)" for them.
    for part in text.split(separator: ",") where text != "(null)" {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
      guard let first = ends.first ?? nil, let last = ends.last ?? nil, ends.count <= 2, first >= 0, first <= last,
        last < 1 << 16
      else { return nil }
      cores += first...last
    }
    self.cores = cores.sorted()
  }

  func contains(_ core: Int) -> Bool { cores.contains(core) }

  /// As the kernel writes it.
  var description: String {
    var parts: [String] = []
    var index = 0
    while index < cores.count {
      var end = index
      while end + 1 < cores.count, cores[end + 1] == cores[end] + 1 { end += 1 }
      parts.append(end == index ? "\(cores[index])" : "\(cores[index])-\(cores[end])")
      index = end + 1
    }
    return parts.joined(separator: ",")
  }
}
