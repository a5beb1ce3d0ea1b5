import CSupport

/// What leaves a lane: frames into the WebSocket's output buffer, each noted in the journal first.
struct LaneOutput: ~Copyable {
  var endpoint: WebSocketEndpoint
  /// The session's other connections.
  var companions: LaneCompanions
  var records: LaneRecords
  var now: Nanoseconds = 0
  private(set) var framesOut = 0
  /// Payload of these frames, and of questions to the desk.
  var bytesOut = 0

  init(records: consuming LaneRecords, companions count: Int = 0) throws(WebSocketSetupError) {
    let endpoint = try WebSocketEndpoint(client: .init())
    let companions = try LaneCompanions(count: count)
    self.endpoint = endpoint
    self.companions = companions
    self.records = records
  }

  /// The largest request that an adapter writes, mass quotes apart.
  static let frameCapacity = 8192

  /// Writes one frame. Cold requests only; orders use `begin` and `commit`.
  mutating func write(_ encode: (UnsafeMutableRawBufferPointer) -> Int) -> Bool {
    guard let buffer = begin() else { return false }
    let count = encode(buffer)
    guard count > 0 else {
      endpoint.dropText()
      return false
    }
    return commit(buffer, count)
  }

  /// Space for the payload of one frame, or `nil` if the output buffer is full or the WebSocket not open.
  /// To be ended by `commit` or `drop`.
  @inline(__always)
  mutating func begin(maximum: Int = Self.frameCapacity) -> UnsafeMutableRawBufferPointer? {
    if records.isReplay, records.hadNoRoom() {
      records.noRoom(now: now)
      return nil
    }
    guard let start = endpoint.beginText(maximum: maximum) else {
      records.noRoom(now: now)
      return nil
    }
    return UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(start), count: maximum)
  }

  mutating func drop() { endpoint.dropText() }

  /// Notes a frame that holds a credential, before it is committed as a secret one: these are its bytes with something
  /// else in the credential's place (R57).
  mutating func noteRedacted(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int) {
    records.outbound(UnsafeRawBufferPointer(start: buffer.baseAddress, count: count), now: now)
  }

  /// The journal knows the frame before its bytes can leave (R09). False: the connection is closing, and
  /// nothing was sent.
  ///
  /// - Parameter isSecret: the frame holds a credential, and was noted by `noteRedacted`.
  mutating func commit(_ buffer: UnsafeMutableRawBufferPointer, _ count: Int, isSecret: Bool = false) -> Bool {
    if !isSecret {
      records.outbound(UnsafeRawBufferPointer(start: buffer.baseAddress, count: count), now: now)
    }
    // Before the call, which need not keep the number then: a connection that is closing counts for nothing.
    bytesOut &+= count
    guard endpoint.commitText(count) else { return false }
    framesOut += 1
    return true
  }
}
