import CSupport

/// An HTTP/1.1 connection to a venue that is kept open: one question at a time, the answer as a text of `DeskRequest`.
///
/// It blocks for as long as it is told to, and it allocates: not for a lane's thread. One thread at a time.
struct HTTPLink: ~Copyable {
  struct Settings {
    var address: VenueAddress
    var tls: TLSContext?
    var timeout: Nanoseconds = 3_000_000_000
    /// The header fields, each with its line end, that prove whose request it is.
    var sign: @Sendable (DeskRequest) -> String
  }

  private var link: VenueLink
  private var session: HTTPSession

  init(_ settings: Settings) throws {
    link = try VenueLink(address: settings.address, tls: settings.tls, isWebSocket: false)
    session = HTTPSession(settings)
    link.isWanted = false
  }

  /// A question is under way, or its answer has not been taken.
  var isBusy: Bool { session.isBusy }

  func makeWaker() -> DriverWaker { link.makeWaker() }

  /// Takes in what has arrived and sends what is pending. Sleeps for up to `wait`.
  mutating func turn(wait: Nanoseconds) {
    link.isWanted = session.wantsConnection
    link.turn(wait: wait, &session)
    session.mind(&link, now: EngineClock.now())
    if session.wantsReset { link.drop(&session) }
  }

  /// Only while not busy.
  mutating func ask(_ request: DeskRequest) {
    session.ask(request, now: EngineClock.now())
    link.isWanted = true
    session.mind(&link, now: EngineClock.now())
  }

  mutating func takeAnswer() -> [UInt8]? { session.takeAnswer() }
}

/// One question after the other over a connection that may end between two of them.
struct HTTPSession: ~Copyable, LinkSession {
  private let settings: HTTPLink.Settings
  private var request: DeskRequest?
  private var askedAt: Nanoseconds = 0
  private var isOpen = false
  /// The question has been written to the connection that is there; how often it has been.
  private var isWritten = false
  private var tries = 0
  private var reader = HTTPAnswerReader()
  private var answer: [UInt8]?
  /// The connection cannot be used for another question.
  private(set) var wantsReset = false

  init(_ settings: HTTPLink.Settings) { self.settings = settings }

  var isBusy: Bool { request != nil || answer != nil }
  var isReady: Bool { isOpen }
  /// A connection that a server has closed meanwhile is made anew when there is a question again.
  var wantsConnection: Bool { request != nil }

  mutating func ask(_ request: DeskRequest, now: Nanoseconds) {
    self.request = request
    askedAt = now
    isWritten = false
    tries = 0
  }

  mutating func takeAnswer() -> [UInt8]? {
    defer { answer = nil }
    return answer
  }

  mutating func opened(_ link: inout VenueLink, now: Nanoseconds) {
    isOpen = true
    reader = HTTPAnswerReader()
    isWritten = false
  }

  mutating func text(_ text: UnsafeRawBufferPointer, _ link: inout VenueLink, now: Nanoseconds) -> Bool { true }

  mutating func bytes(_ bytes: UnsafeRawBufferPointer, now: Nanoseconds) -> Bool {
    reader.take(bytes)
    if reader.isBroken { return false }
    if let found = reader.answer { finish(status: found.status, found.body) }
    return true
  }

  mutating func lost(now: Nanoseconds) {
    isOpen = false
    wantsReset = false
    guard let request, isWritten else { return }
    isWritten = false
    // An answer without a length ends with the connection.
    if let found = reader.end() { return finish(status: found.status, found.body) }
    // A server may close an idle connection in the very moment in which it is used again. What only reads is asked again.
    if request.method != "GET" || tries > 1 { finish(status: 0, []) }
  }

  /// Writes the question, or gives it up.
  mutating func mind(_ link: inout VenueLink, now: Nanoseconds) {
    guard let request else { return }
    if now - askedAt > settings.timeout {
      wantsReset = isWritten
      finish(status: 0, [])
      return
    }
    guard isOpen, !isWritten, !wantsReset else { return }
    isWritten = true
    tries += 1
    reader = HTTPAnswerReader()
    var text = "\(request.method) \(request.target) HTTP/1.1\r\nHost: \(settings.address.hostField)\r\n"
    text += settings.sign(request)
    if request.method != "GET" {
      text += "Content-Type: application/json\r\nContent-Length: \(request.body.utf8.count)\r\n"
    }
    text += "\r\n\(request.body)"
    link.send(Array(text.utf8))
  }

  private mutating func finish(status: Int, _ body: [UInt8]) {
    guard let request else { return }
    answer = DeskRequest.answer(request.tag, status: status, body)
    self.request = nil
    if reader.closes { wantsReset = isOpen }
  }
}

/// Reads one HTTP/1.1 answer from bytes in pieces of any size (RFC 9112, sections 4 to 7).
struct HTTPAnswerReader {
  private enum Step { case head, counted(Int), chunkSize, chunk(Int), trailer, untilEnd, done }

  private var step = Step.head
  private var buffer: [UInt8] = []
  private var body: [UInt8] = []
  private var status = 0
  private(set) var isBroken = false
  /// The server closes the connection behind this answer.
  private(set) var closes = false

  private static let headLimit = 64 * 1024
  private static let bodyLimit = 16 * 1024 * 1024

  /// Status and body, once all of it is there.
  var answer: (status: Int, body: [UInt8])? {
    if case .done = step { (status, body) } else { nil }
  }

  /// The connection has ended; the answer, if that was its end.
  mutating func end() -> (status: Int, body: [UInt8])? {
    if case .untilEnd = step { return (status, body) }
    return nil
  }

  mutating func take(_ bytes: UnsafeRawBufferPointer) {
    buffer += bytes
    while advance() {}
    if body.count > Self.bodyLimit { isBroken = true }
  }

  /// One step; false if more bytes are needed, or none.
  private mutating func advance() -> Bool {
    guard !isBroken else { return false }
    switch step {
    case .head: return head()
    case .counted(let left):
      let count = min(left, buffer.count)
      move(count)
      step = left == count ? .done : .counted(left - count)
      return left > 0 && left == count
    case .chunkSize:
      guard let line = line() else { return false }
      guard let size = Int(line.prefix { $0 != ";" }, radix: 16), size >= 0, size <= Self.bodyLimit else {
        isBroken = true
        return false
      }
      step = size == 0 ? .trailer : .chunk(size)
      return true
    case .chunk(let left):
      let count = min(left, buffer.count)
      move(count)
      if left > count {
        step = .chunk(left - count)
        return false
      }
      guard line() != nil else {
        step = .chunk(0)
        return false
      }
      step = .chunkSize
      return true
    case .trailer:
      guard let line = line() else { return false }
      if line.isEmpty { step = .done }
      return true
    case .untilEnd:
      move(buffer.count)
      return false
    case .done: return false
    }
  }

  private mutating func move(_ count: Int) {
    body += buffer[..<count]
    buffer.removeFirst(count)
  }

  private mutating func line() -> String? {
    guard let end = buffer.firstIndex(of: 0x0A) else {
      if buffer.count > Self.headLimit { isBroken = true }
      return nil
    }
    let text = String(decoding: buffer[..<end], as: UTF8.self)
    buffer.removeFirst(end + 1)
    // A line end is one character in Swift with its carriage return: that was part of the bytes, not of this text.
    return text.hasSuffix("\r") ? String(text.dropLast()) : text
  }

  private mutating func head() -> Bool {
    guard let end = Self.endOfHead(buffer) else {
      if buffer.count > Self.headLimit { isBroken = true }
      return false
    }
    let text = String(decoding: buffer[..<end], as: UTF8.self)
    buffer.removeFirst(end)
    let lines = text.split(separator: "\r\n")
    let words = lines.first?.split(separator: " ") ?? []
    guard words.count >= 2, words[0].hasPrefix("HTTP/1."), let status = Int(words[1]) else {
      isBroken = true
      return false
    }
    // An interim answer: the real one follows.
    guard status >= 200 else { return true }
    self.status = status
    var length: Int?
    var isChunked = false
    for field in lines.dropFirst() {
      guard let colon = field.firstIndex(of: ":") else { continue }
      let value = field[field.index(after: colon)...].trimmingSpaces().lowercased()
      switch field[..<colon].lowercased() {
      case "content-length": length = Int(value)
      case "transfer-encoding": isChunked = value.hasSuffix("chunked")
      case "connection": closes = value == "close"
      default: break
      }
    }
    if isChunked {
      step = .chunkSize
    } else if status == 204 || status == 304 || length == 0 {
      step = .done
    } else if let length {
      guard (0...Self.bodyLimit).contains(length) else {
        isBroken = true
        return false
      }
      step = .counted(length)
    } else {
      closes = true
      step = .untilEnd
    }
    return true
  }

  private static func endOfHead(_ bytes: [UInt8]) -> Int? {
    guard bytes.count >= 4 else { return nil }
    for place in 3..<bytes.count
    where bytes[place] == 0x0A && bytes[place - 1] == 0x0D && bytes[place - 2] == 0x0A && bytes[place - 3] == 0x0D {
      return place + 1
    }
    return nil
  }
}

extension Substring {
  fileprivate func trimmingSpaces() -> Substring {
    var text = self
    while text.first == " " || text.first == "\t" { text.removeFirst() }
    while text.last == " " || text.last == "\t" { text.removeLast() }
    return text
  }
}
