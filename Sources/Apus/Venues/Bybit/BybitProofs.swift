/// What Bybit's refusals prove (protocol reference 13), and what keeps an order's place.
extension BybitVenue {
  /// An amend by less keeps the place in the queue by assumption (protocol reference 9.2); a repeated quote is no
  /// message at all here.
  public static let queueRules = QueueRules(keepsReduced: true, keepsEnlarged: false, keepsRepeated: true)

  /// What an error says about the order that the request was for (R04).
  public static func proof(of kind: RequestKind, code: Int64) -> RefusalProof {
    switch code {
    // The order does not exist, or it is too late: its end is told by the order stream, or by a query.
    case 110_001, 110_008, 110_010:
      switch kind {
      case .insert: return .nothing
      default: return .orderGone
      }
    // To a filled quantity or less.
    case 110_064:
      switch kind {
      case .amend: return .noEffect
      default: return .nothing
      }
    // An order with this id has arrived: perhaps this very one, in an earlier attempt.
    case 110_072: return .nothing
    // Timeouts, restarts and requests in a state that only the venue knows: they may have had an effect.
    case 10_000, 10_014, 10_016, 10_019, 40_004, 110_079, 20_006: return .nothing
    // Parameters, keys, permissions, rate limits, the session.
    case 10_001...10_007, 10_009, 10_010, 10_017, 10_024, 10_027...10_029, 10_403, 10_404, 10_429, 20_001, 20_003,
      33_004, -2_015:
      return .noEffect
    // Prices out of range, not modified.
    case 30_208, 30_209, 34_040: return .noEffect
    // Checks before the matching engine: margin, position, limits, the instrument's state.
    case 110_003, 110_004, 110_006, 110_007, 110_009, 110_012, 110_017...110_023, 110_025, 110_026, 110_040,
      110_042...110_045,
      110_051...110_053, 110_063, 110_066, 110_074, 110_085, 110_086, 110_089, 110_090, 110_092...110_100, 110_103,
      110_108, 110_109, 110_118...110_121, 110_123...110_125, 110_132:
      return .noEffect
    // A code that this version does not know, or none, proves nothing (R05).
    default: return .nothing
    }
  }

  /// The order of an amend or a cancel was executed, or ended, while the request was under way: the order stream comes on
  /// another connection than the book, so that this is common.
  public static func isOvertaken(_ kind: RequestKind, code: Int64) -> Bool {
    switch kind {
    // To a filled quantity or less: a part was executed meanwhile.
    case .amend where code == 110_064: true
    case .amend, .cancel: proof(of: kind, code: code) == .orderGone
    default: false
    }
  }

  /// The code says that too many requests came: of the account, of the address, of the session, or of everybody.
  public static func isThrottle(code: Int64) -> Bool {
    code == 10_006 || code == 10_403 || code == 20_003 || code == 10_429
  }

  /// The code says that the account has too many sessions for order entry. The same code also means a wrong key.
  public static func isConnectionLimit(code: Int64) -> Bool { code == 10_003 }

  /// The code says that nothing will be accepted on this connection any more, and that another one has to be made; what
  /// is in flight goes on.
  public static func isRestart(code: Int64) -> Bool { code == 10_019 }

  /// The code says that the account cannot be used as it is set up; trying again does not help.
  public static func isFatal(code: Int64) -> Bool {
    switch code {
    case 10_003...10_005, 10_007, 10_009, 10_010, 10_024, 10_027...10_029, 33_004, -2_015, 110_123...110_125, 110_132:
      true
    default: false
    }
  }

  /// The code says that the clock of this machine and the venue's differ too much.
  public static func isClockFault(code: Int64) -> Bool { code == 10_002 }

  /// The refusal of a request that would have changed nothing: all is as it was asked for.
  public static func isUnchanged(code: Int64) -> Bool {
    code == 110_025 || code == 110_026 || code == 110_043 || code == 34_040 || code == 20_001
      || code == BybitTextCode.alreadySubscribed
  }
}
