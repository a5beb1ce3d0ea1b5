/// Takes HTTP/1.1 requests out of a stream of bytes, whatever its pieces (RFC 9112): those with a length or without a body.
struct HTTPReader {
  enum Result: Equatable {
    /// More bytes are needed.
    case none
    case request(HTTPRequest)
    /// The stream makes no sense; the status tells why.
    case failed(status: Int)
  }

  private let headLimit: Int
  private let bodyLimit: Int
  private(set) var buffer: [UInt8] = []

  init(headLimit: Int = 16_384, bodyLimit: Int) {
    self.headLimit = headLimit
    self.bodyLimit = bodyLimit
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) { buffer.append(contentsOf: bytes) }

  /// Where the first head ends, its empty line included; `nil` if it has not come as a whole.
  private var headEnd: Int? {
    guard buffer.count >= 4 else { return nil }
    for place in 3..<buffer.count
    where buffer[place] == 10 && buffer[place - 1] == 13 && buffer[place - 2] == 10 && buffer[place - 3] == 13 {
      return place + 1
    }
    return nil
  }

  /// Whether the first request asks for another protocol; `nil` until its head is there, or too long.
  var isUpgrade: Bool? {
    guard let end = headEnd else { return buffer.count > headLimit ? false : nil }
    guard let head = Self.head(buffer[..<end]) else { return false }
    return head.headers["upgrade"] != nil
  }

  /// The path that the first request asks for; `nil` before its head is there.
  var path: String? {
    guard let end = headEnd, let head = Self.head(buffer[..<end]) else { return nil }
    return String(head.target.prefix { $0 != "?" })
  }

  /// The next request.
  mutating func next() -> Result {
    guard let end = headEnd else { return buffer.count > headLimit ? .failed(status: 431) : .none }
    guard var request = Self.head(buffer[..<end]) else { return .failed(status: 400) }
    if request.headers["transfer-encoding"] != nil { return .failed(status: 411) }
    var length = 0
    if let text = request.headers["content-length"] {
      guard let count = Int(text), count >= 0 else { return .failed(status: 400) }
      guard count <= bodyLimit else { return .failed(status: 413) }
      length = count
    }
    guard buffer.count >= end + length else { return .none }
    request.body = Array(buffer[end..<end + length])
    buffer.removeFirst(end + length)
    return .request(request)
  }

  private static func head(_ bytes: ArraySlice<UInt8>) -> HTTPRequest? {
    guard let text = String(validating: bytes, as: UTF8.self) else { return nil }
    var lines = text.split(separator: "\r\n", omittingEmptySubsequences: true)[...]
    guard let first = lines.popFirst() else { return nil }
    let words = first.split(separator: " ", omittingEmptySubsequences: false)
    guard words.count == 3, words[2] == "HTTP/1.1" || words[2] == "HTTP/1.0", words[1].hasPrefix("/") else {
      return nil
    }
    var headers: [String: String] = [:]
    for line in lines {
      guard let colon = line.firstIndex(of: ":"), colon > line.startIndex else { return nil }
      let name = line[..<colon].lowercased()
      guard !name.contains(" ") else { return nil }
      var value = line[line.index(after: colon)...]
      while let edge = value.first, edge == " " || edge == "\t" { value.removeFirst() }
      while let edge = value.last, edge == " " || edge == "\t" { value.removeLast() }
      if headers[name] == nil { headers[name] = String(value) }
    }
    if words[2] == "HTTP/1.0", headers["connection"] == nil { headers["connection"] = "close" }
    return HTTPRequest(method: String(words[0]), target: String(words[1]), headers: headers)
  }

  /// A response without a body of interest.
  static func refusal(status: Int) -> [UInt8] {
    let reason = [
      400: "Bad Request", 404: "Not Found", 411: "Length Required", 413: "Content Too Large", 429: "Too Many Requests",
    ][
      status]
    return Array(
      "HTTP/1.1 \(status) \(reason ?? "Request Header Fields Too Large")\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        .utf8)
  }
}
