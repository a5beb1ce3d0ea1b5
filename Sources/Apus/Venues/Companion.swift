/// What a session needs beside its main connection, at venues that spread it over several. By place, from 0.
enum CompanionKind: Equatable, Sendable {
  /// A WebSocket at the same host; its path is the configured one and this.
  case socket(path: String)
  /// Questions that only HTTP answers, asked by a thread beside the lane: see `DeskRequest`.
  case desk
}

/// A question to the desk, and its answer, as they stand in the journal.
///
/// A question is `<tag> <method> <target>` and, after a line break, its body; an answer `<tag> <HTTP status>` and, after a
/// line break, its body. A question that came to nothing is answered with the status 0 and no body. The tag is the
/// adapter's own: by it an answer is told from one to an earlier question.
struct DeskRequest: Equatable, Sendable {
  var tag: UInt64
  var method: Substring
  /// Path, and query with its `?`.
  var target: Substring
  var body: Substring

  /// Longest question, bytes.
  static let capacity = 2048

  init?(_ text: String) {
    let lines = text.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
    let words = lines[0].split(separator: " ")
    guard words.count == 3, let tag = UInt64(words[0]) else { return nil }
    self.tag = tag
    method = words[1]
    target = words[2]
    body = lines.count > 1 ? lines[1] : ""
  }

  /// The part of the target that a signature covers: the query of a GET without `?`, the body of a POST.
  var payload: Substring {
    guard method == "GET" else { return body }
    return target.firstIndex(of: "?").map { target[target.index(after: $0)...] } ?? ""
  }

  static func answer(_ tag: UInt64, status: Int, _ body: some Collection<UInt8>) -> [UInt8] {
    Array("\(tag) \(status)\n".utf8) + body
  }
}

/// An answer of the desk, taken apart without a copy.
struct DeskAnswer {
  var tag: UInt64 = 0
  var status = 0
  var body = UnsafeRawBufferPointer(start: nil, count: 0)

  /// `nil` if the text is no answer.
  init?(_ text: UnsafeRawBufferPointer) {
    var at = 0
    func number() -> UInt64? {
      var value: UInt64 = 0
      let start = at
      while at < text.count, at - start < 18, text[at] &- 0x30 < 10 {
        value = value * 10 + UInt64(text[at] - 0x30)
        at += 1
      }
      return at > start ? value : nil
    }
    func take(_ byte: UInt8) -> Bool {
      guard at < text.count, text[at] == byte else { return false }
      at += 1
      return true
    }
    guard let tag = number(), take(0x20), let status = number(), status < 1000, take(0x0A) else { return nil }
    self.tag = tag
    self.status = Int(status)
    body = UnsafeRawBufferPointer(rebasing: text[at...])
  }
}
