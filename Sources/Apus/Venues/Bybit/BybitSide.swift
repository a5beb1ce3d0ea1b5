import CSupport

/// Bybit beside a lane, by HTTP: what rests, and cancels one by one (protocol reference 11). As `SideLink` says.
final class BybitSide: SideLink {
  private var http: HTTPLink
  private var decoder: BybitDecoder
  private var desk = BybitDesk()
  private var sink = SideSink()
  /// What is to be asked when the connection is free.
  private var waiting: [DeskRequest] = []
  /// The instrument of each order of the last answer: a cancel has to name it.
  private var symbols: [(id: VenueID, name: String)] = []
  private var isListed = false
  private var isAsking = false

  var isWanted = true
  /// Each class of requests has 10 a second at the least (section 14); the lane's own cancels count too.
  let pace: (cancels: Int, interval: Nanoseconds) = (5, 500_000_000)

  init(_ settings: SideSettings) throws {
    var decoder = try BybitDecoder(
      instrumentCapacity: max(settings.instruments.count, 1), topicCapacity: 1, prefix: settings.labelPrefix,
      label: settings.labelPrefix)
    for name in settings.instruments { _ = try decoder.want(instrument: name) }
    http = try HTTPLink(settings.desk)
    self.decoder = decoder
  }

  var isReady: Bool { isListed }

  func makeWaker() -> DriverWaker { http.makeWaker() }

  func turn(wait: Nanoseconds) {
    if isWanted, !isListed, !isAsking { ask(.instruments) }
    if !http.isBusy, let next = waiting.first {
      waiting.removeFirst()
      http.ask(next)
    }
    http.turn(wait: wait)
    if let answer = http.takeAnswer() { read(answer) }
  }

  func askForOrders() -> Bool {
    guard isListed, !isAsking else { return false }
    sink.beginQuestion()
    ask(.openOrders)
    return true
  }

  func takeAnswer() -> [VenueID]? {
    guard sink.isAnswered else { return nil }
    sink.isAnswered = false
    symbols = (0..<sink.count).map { (sink.resting[$0], decoder.instruments[Int(sink.instruments[$0])]) }
    return symbols.map(\.id)
  }

  func cancel(_ order: VenueID) {
    guard let name = symbols.first(where: { $0.id.text == order.text })?.name else { return }
    let body = #"{"category":"linear","symbol":"\#(name)","orderId":"\#(order.text)"}"#
    if let request = DeskRequest("0 POST /v5/order/cancel\n" + body) { waiting.append(request) }
  }

  /// The venue has none on linear contracts.
  func cancelMassQuotes() {}

  private func ask(_ question: BybitQuestion, page: Bool = false) {
    isAsking = true
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: DeskRequest.capacity, alignment: 8)
    defer { memory.deallocate() }
    let cursor = page ? UnsafeBufferPointer(start: decoder.cursorBytes, count: decoder.cursorCount) : nil
    let count = desk.write(question, page: cursor, into: memory)
    // A question is older than the cancels that its answer will ask for, and they go first.
    if let request = DeskRequest(String(decoding: memory[..<count], as: UTF8.self)) { waiting.append(request) }
  }

  private func read(_ answer: [UInt8]) {
    // The decoder may look at a few bytes behind a text.
    let padded = answer + [UInt8](repeating: 0, count: 64)
    padded.withUnsafeBytes { bytes in
      guard let answer = DeskAnswer(UnsafeRawBufferPointer(rebasing: bytes[..<answer.count])),
        let (question, isContinued) = desk.take(answer.tag)
      else { return }
      isAsking = false
      guard answer.status == 200 else { return }
      switch decoder.decodeRest(question, answer.body, isContinued: isContinued, into: &sink) {
      case .answered(hasMore: true): ask(question, page: true)
      case .answered: if question == .instruments { isListed = true }
      case .refused, .unreadable: break
      }
    }
  }
}
