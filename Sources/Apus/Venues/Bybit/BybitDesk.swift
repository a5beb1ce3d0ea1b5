import CSupport

/// What is asked of Bybit by HTTP (protocol reference 11), and which answers are still waited for.
///
/// A tag is the question, whether it is for a further page, and a serial: an answer to an earlier question than the last one
/// of its kind is not read (R02).
struct BybitDesk: ~Copyable, @unchecked Sendable {
  // Sendable: the memory is owned by it alone.
  /// By question: the serial of the last one, or 0 if it is answered. Fixed memory, as a lane's is.
  private let awaited: UnsafeMutableBufferPointer<UInt64>
  private let heads: [FramePiece]
  private var serial: UInt64 = 0

  init() {
    awaited = .allocate(capacity: BybitQuestion.allCases.count)
    awaited.initialize(repeating: 0)
    heads = BybitQuestion.allCases.map { question in
      let request: BybitRestRequest? =
        switch question {
        case .instruments: .instruments()
        case .openOrders: .openOrders()
        case .executions: .executions()
        case .positions: .positions()
        case .wallet: .wallet
        case .deadMan: .deadMan
        case .setDeadMan: .setDeadMan(seconds: Self.deadManSeconds)
        case .setPriceLimitAction: .setPriceLimitAction(isMoved: false)
        case .order, .cancelAll, .feeRate, .time, .priceLimit: nil
        }
      return request.map { FramePiece(Self.text($0)) } ?? FramePiece()
    }
  }

  deinit {
    awaited.deallocate()
    for head in heads { head.free() }
  }

  /// Of the venue's own choice: shorter, it would cancel while a lost connection is made anew.
  static let deadManSeconds = 10

  /// A question behind its tag.
  static func text(_ request: BybitRestRequest) -> String {
    let body = request.method == .post ? "\n" + request.payload : ""
    return " \(request.method.rawValue) \(request.target)" + body
  }

  /// Writes a question, to be sent; `since` in milliseconds for executions, 0 for the venue's own beginning.
  mutating func write(
    _ question: BybitQuestion, since: Int64 = 0, page cursor: UnsafeBufferPointer<CChar>? = nil,
    into memory: UnsafeMutableRawBufferPointer
  ) -> Int {
    let place = Int(question.rawValue)
    guard heads[place].count > 0 else { return 0 }
    var text = RequestText(memory)
    serial += 1
    text.number(Self.tag(question, isContinued: cursor != nil, serial: serial))
    heads[place].copy(into: &text)
    if since > 0 {
      text.append("&startTime=")
      text.number(UInt64(since))
    }
    if let cursor, let bytes = cursor.baseAddress {
      text.append("&cursor=")
      text.append(bytes, cursor.count)
    }
    if text.count > 0 { awaited[place] = serial }
    return text.count
  }

  /// Which question an answer is to; `nil` if it is no longer waited for.
  mutating func take(_ tag: UInt64) -> (question: BybitQuestion, isContinued: Bool)? {
    guard let question = BybitQuestion(rawValue: UInt8(truncatingIfNeeded: tag)),
      awaited[Int(question.rawValue)] == tag >> 9, tag >> 9 > 0
    else { return nil }
    awaited[Int(question.rawValue)] = 0
    return (question, tag >> 8 & 1 == 1)
  }

  /// A question that another life has asked. Cold.
  mutating func expect(_ tag: UInt64) {
    if let question = BybitQuestion(rawValue: UInt8(truncatingIfNeeded: tag)) {
      awaited[Int(question.rawValue)] = tag >> 9
    }
  }

  mutating func forget() { awaited.update(repeating: 0) }

  private static func tag(_ question: BybitQuestion, isContinued: Bool, serial: UInt64) -> UInt64 {
    UInt64(question.rawValue) | (isContinued ? 1 << 8 : 0) | serial << 9
  }

  /// A question whose answer never came, or was no answer of the venue's: like its own "internal error" (section 13).
  static func code(status: Int) -> Int64 { status == 401 ? 10_003 : 10_016 }
}
