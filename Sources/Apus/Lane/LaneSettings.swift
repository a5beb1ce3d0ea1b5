import CSupport

/// How one instrument is to be traded, before its grid is known.
public struct InstrumentSettings: Codable, Sendable {
  public var name: String
  public var maximumPosition: DecimalE8
  public var maximumOrder: DecimalE8
  public var maximumNotional: DecimalE8
  public var collarCentiBps: Int64
  public var maximumOrders: Int
  public var priceToleranceTicks: Int64
  public var keepSizePermille: Int64
  /// Levels that the book channel is asked for.
  public var bookDepth: Int
  /// Quotes are pulled when the ticker has been silent for this long.
  public var staleAfter: Nanoseconds
  /// Whole sides are replaced by mass quotes, many instruments with one message, instead of order by order.
  public var usesMassQuotes = false
  /// The manager shares a limit among several instruments: nothing is held of this one until it has said how much.
  public var awaitsDirective: Bool?
  /// Another engine of the account has it: nothing is quoted, and the position is not ours. `nil`: ours.
  public var isHandedOver: Bool?

  public init(
    name: String, maximumPosition: DecimalE8, maximumOrder: DecimalE8, maximumNotional: DecimalE8,
    collarCentiBps: Int64, maximumOrders: Int, priceToleranceTicks: Int64, keepSizePermille: Int64,
    bookDepth: Int, staleAfter: Nanoseconds
  ) {
    self.name = name
    self.maximumPosition = maximumPosition
    self.maximumOrder = maximumOrder
    self.maximumNotional = maximumNotional
    self.collarCentiBps = collarCentiBps
    self.maximumOrders = maximumOrders
    self.priceToleranceTicks = priceToleranceTicks
    self.keepSizePermille = keepSizePermille
    self.bookDepth = bookDepth
    self.staleAfter = staleAfter
  }

  /// The limits on the instrument's grid.
  func limits(on grid: InstrumentGrid) -> RiskLimits {
    RiskLimits(
      maximumPosition: QtyLots(rawValue: maximumPosition.steps(of: grid.lotE8)),
      maximumOrder: QtyLots(rawValue: maximumOrder.steps(of: grid.lotE8)),
      maximumNotionalE8: maximumNotional.e8, collarCentiBps: collarCentiBps, maximumOrders: maximumOrders)
  }
}

/// How the venue's protection of mass quotes is to be set, for each group of instruments.
public struct ProtectionSettings: Codable, Equatable, Sendable {
  /// What the quotes of a group may trade within `window` before the venue cancels all of them, contracts; at most `quote`.
  public var trade = DecimalE8(e8: 100_000_000)
  /// The largest quote, contracts: the venue charges margin for it.
  public var quote = DecimalE8(e8: 100_000_000)
  /// How long quoting rests after the venue has cancelled the quotes of a group.
  public var pause: Nanoseconds = 2_000_000_000
  /// A group that has traded is refilled this long after it was last set.
  public var window: Nanoseconds = 10_000_000_000

  public init() {}
}

extension KeyedDecodingContainer {
  /// Journals of before there was a second venue do not name it; the synthesised decoding finds this.
  func decode(_ type: VenueKind.Type, forKey key: Key) throws -> VenueKind {
    try decodeIfPresent(type, forKey: key) ?? .thalex
  }
}

/// Everything that a lane needs to know before it starts. Durations in nanoseconds.
public struct LaneSettings: Codable, Sendable {
  /// The venue's protocol.
  public var venue = VenueKind.thalex
  /// Value of the HTTP `Host` header and path of the WebSocket.
  public var host = "127.0.0.1"
  public var path = "/ws/api/v2"
  /// Orders whose label begins so are this engine's, of this life or an earlier one (R14).
  public var labelPrefix = "apus-"
  /// The label of this life's orders: prefix and boot epoch (R17).
  public var label = "apus-0"
  /// First generation of client order ids, drawn from the boot epoch.
  public var firstGeneration: UInt64 = 1
  public var instruments: [InstrumentSettings] = []
  public var account: String?
  public var protection = ProtectionSettings()
  /// The dead-man timer: the venue cancels our orders after this much silence, whole seconds (R15).
  public var cancelOnDisconnectSeconds = 6
  /// Tokens kept back from the granted message rate.
  public var reserveMessages = 5
  public var requestTimeout: Nanoseconds = 3_000_000_000
  public var pingInterval: Nanoseconds = 2_000_000_000
  public var silenceLimit: Nanoseconds = 7_000_000_000
  /// Time without an answer after which the start-up of a session is given up.
  public var setupTimeout: Nanoseconds = 10_000_000_000
  /// After the venue has announced that it will close the connection, a second one is tried for this long while the first
  /// one quotes on; 0: the first one is closed at once and made anew. The venue announces at least 10 s ahead.
  public var closureWindow: Nanoseconds = 8_000_000_000
  public var firstBackoff: Nanoseconds = 100_000_000
  public var longestBackoff: Nanoseconds = 10_000_000_000
  /// A stop that could not be verified within this time ends with a report of what is left.
  public var stopTimeout: Nanoseconds = 15_000_000_000
  public var orderCapacity = 4096
  public var ladderCapacity = 32
  /// How order messages are spent.
  public var spending = MessageSpending.byValue
  /// Only looks: no limits are loaded, so that the risk gate lets nothing pass that could trade. `nil`: journals of before.
  public var isReference: Bool?
  /// The account of the run that was killed before, if this one continues it.
  public var carried: CarriedAccount?
  /// The kill ladder and the safety rules.
  public var safety = SafetySettings()
  /// Seeds the jitter of reconnects and the masks of frames.
  public var seed: UInt64 = 1

  public init() {}
}
