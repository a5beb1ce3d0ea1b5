/// The id of a request to a venue: what it is about and what it does, so that a reply explains itself.
///
/// `id = operand × 10 + operation`: in decimal the operand's digits and one more, so that a frame with both is
/// written with one conversion, and a person sees which order a request was about. The operand of an order request is
/// the client order id, 1 ... 2⁴⁹ − 1; that of a mass quote a serial of the same range; that of a session request is
/// `SessionRequest.rawValue | serial << 8`, and that of a request about a protection group its index plus 1, in the same
/// way. The operand of an amend is `clientID × 10,000 + serial`, because an order is amended again and again and a reply
/// may be late: which amend it answers is told by the id alone. Ids stay below 2⁵³, so no JSON library that reads numbers
/// as floating point can change one.
public enum RequestID {
  /// Largest operand.
  public static let operandLimit: UInt64 = (1 << 49) - 1

  static let sessionOperation: UInt64 = 0
  static let insertOperation: UInt64 = 1
  /// An amend without a serial: of a journal that an earlier version wrote, or by the venue's id.
  static let unnumberedAmendOperation: UInt64 = 2
  static let cancelOperation: UInt64 = 3
  static let massQuoteOperation: UInt64 = 4
  static let protectionOperation: UInt64 = 5
  static let cancelMassQuoteOperation: UInt64 = 6
  static let amendOperation: UInt64 = 7

  /// Serials of amends are 1 ... 9,999 and then 1 again: four digits behind the client id.
  static let amendSerials: UInt64 = 10_000
  /// Largest client order id that can be amended.
  public static let amendedLimit = operandLimit / amendSerials - 1

  /// - Parameter serial: Tells repetitions apart; its lowest 32 bits are used.
  @inlinable @inline(always)
  public static func session(_ request: SessionRequest, serial: UInt64 = 0) -> UInt64 {
    (UInt64(request.rawValue) | (serial & 0xFFFF_FFFF) << 8) * 10
  }

  /// - Parameter clientID: 1 ... `operandLimit`.
  @inlinable @inline(always)
  public static func insert(_ clientID: UInt64) -> UInt64 { clientID * 10 + 1 }
  /// - Parameters:
  ///   - clientID: 1 ... `amendedLimit`; without a serial 1 ... `operandLimit`.
  ///   - serial: Which amend of the order it is, 1 ... 9,999; 0 if that does not matter.
  @inlinable @inline(always)
  public static func amend(_ clientID: UInt64, serial: UInt16 = 0) -> UInt64 {
    serial == 0 ? clientID * 10 + 2 : (clientID * 10_000 + UInt64(serial)) * 10 + 7
  }
  @inlinable @inline(always)
  public static func cancel(_ clientID: UInt64) -> UInt64 { clientID * 10 + 3 }

  /// - Parameter serial: 1 ... `operandLimit`.
  @inlinable @inline(always)
  public static func massQuote(_ serial: UInt64) -> UInt64 { serial * 10 + 4 }
  /// - Parameter serial: Tells repetitions apart; its lowest 32 bits are used.
  @inlinable @inline(always)
  public static func protection(_ product: ProductIndex, serial: UInt64 = 0) -> UInt64 {
    (UInt64(product) + 1 | (serial & 0xFFFF_FFFF) << 8) * 10 + 5
  }
  /// - Parameter product: `noProduct` stands for all.
  @inlinable @inline(always)
  public static func cancelMassQuote(_ product: ProductIndex, serial: UInt64 = 0) -> UInt64 {
    (UInt64(product &+ 1) | (serial & 0xFFFF_FFFF) << 8 | 1 << 40) * 10 + 6
  }

  /// What the request with this id was; `.unknown` for an id that none of the functions above makes.
  public static func kind(of id: UInt64) -> RequestKind {
    let (operand, operation) = id.quotientAndRemainder(dividingBy: 10)
    guard operand != 0, operand <= operandLimit else { return .unknown }
    switch operation {
    case sessionOperation:
      guard operand >> 40 == 0, let request = SessionRequest(rawValue: UInt8(operand & 0xFF)) else { return .unknown }
      return .session(request)
    case insertOperation: return .insert(operand)
    case amendOperation:
      let (clientID, serial) = operand.quotientAndRemainder(dividingBy: amendSerials)
      guard clientID != 0, serial != 0 else { return .unknown }
      return .amend(clientID, serial: UInt16(truncatingIfNeeded: serial))
    case unnumberedAmendOperation: return .amend(operand)
    case cancelOperation: return .cancel(operand)
    case massQuoteOperation: return .massQuote(operand)
    case protectionOperation:
      guard operand >> 40 == 0, operand & 0xFF != 0 else { return .unknown }
      return .protection(ProductIndex(operand & 0xFF) - 1)
    case cancelMassQuoteOperation:
      guard operand >> 40 == 1 else { return .unknown }
      return .cancelMassQuote(ProductIndex(operand & 0xFF) &- 1)
    default: return .unknown
    }
  }

  /// The serial of the id of a session request or of one about a protection group.
  public static func serial(of id: UInt64) -> UInt64 { (id / 10) >> 8 & 0xFFFF_FFFF }
}
