import CSupport

/// What the mass quotes of a venue are: its rules, as data.
struct MassQuoteRules: Equatable, Sendable {
  /// Levels that a side can have, at most `QuotePlan.levelCapacity`; 0: the engine sends the venue no mass quotes.
  var levels: Int
  /// Instruments and levels that one request can have.
  var instruments: Int
  var levelsInRequest: Int
  /// The most bytes that an adapter writes for an instrument, and for each of its levels.
  static let entryBytes = 256
  var levelBytes: Int
  /// All instruments of a request must belong to one protection group.
  var isOneGroup: Bool
  /// Reports and executions say which mass quote has placed the order, or has changed it last. If not, a new quote is known
  /// by its side and price until the venue's id has come.
  var isNamed: Bool
  /// Sides are taken away with a mass quote too, many instruments with one message. If not, a quote too many is cancelled by
  /// itself, for cancels have a budget of their own.
  var takesAway: Bool
  /// What a group may trade is at most its largest quote.
  var isTradeWithinQuote: Bool
  /// Both are multiples of this, 10⁻⁸, and the window is at most so long.
  var protectionStepE8: Int64
  var longestWindow: Nanoseconds

  static let none = MassQuoteRules(
    levels: 0, instruments: 0, levelsInRequest: 0, levelBytes: 0, isOneGroup: false, isNamed: false, takesAway: false,
    isTradeWithinQuote: false, protectionStepE8: 1, longestWindow: .max)

  /// Thalex protocol, section 6.5.
  static let thalex = MassQuoteRules(
    levels: 10, instruments: 100, levelsInRequest: 2000, levelBytes: 56, isOneGroup: false, isNamed: false,
    takesAway: false,
    isTradeWithinQuote: true, protectionStepE8: 1, longestWindow: .max)

  /// Deribit protocol, sections 12 and 13. One quote an instrument and side for each group, and this adapter has one group an index.
  /// Whether the limit of 100 counts instruments or sides is not said: sides.
  static let deribit = MassQuoteRules(
    levels: 1, instruments: 100, levelsInRequest: 100, levelBytes: 96, isOneGroup: true, isNamed: true, takesAway: true,
    isTradeWithinQuote: false, protectionStepE8: 10_000, longestWindow: 3_600_000_000_000)
}

/// What a venue grants of mass quotes, besides what they count as order messages.
struct MassQuoteGrant: Equatable, Sendable {
  /// Requests a second, and at once.
  var requests: Int64
  var requestBurst: Int64
  /// Sides a second, and at once.
  var sides: Int64
  var sideBurst: Int64
}

extension VenueKind {
  /// Levels that a side of a mass quote can have; 0: the engine sends this venue none.
  public var massQuoteLevels: Int { massQuotes.levels }

  var massQuotes: MassQuoteRules {
    switch self {
    case .thalex: .thalex
    case .deribit: .deribit
    case .bybit: .none
    }
  }
}
