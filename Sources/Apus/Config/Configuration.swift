/// A configuration file: YAML, read by `ConfigurationFile`.
///
/// Units are part of the keys. Amounts and prices are decimals and are never read as floating point.
/// The keys, their ranges and their meaning are listed in `ConfigurationSchema`; defaults are those of the
/// initialisers here and nowhere else.
public struct Configuration: Codable, Equatable, Sendable {
  /// Of the file's layout; 1.
  public var version: Int
  public var engine: EngineSection
  public var journal: JournalSection
  /// The first venue, and what is quoted there.
  public var venue: VenueSection
  public var instruments: [InstrumentSection]
  /// Venues beside the first; each gets a lane of its own.
  public var moreVenues: [VenueEntry]
  public var manager: ManagerSection
  /// What holds for all venues together; an underlying that is not named has no limit of its own.
  public var underlyings: [UnderlyingSection]
  public var safety: SafetySection
  public var watchdog: WatchdogSection
  /// Means something in shadow runs alone.
  public var shadow: ShadowSection

  enum CodingKeys: String, CodingKey, CaseIterable {
    case version, engine, journal, venue, instruments, venues, defaults, manager, underlyings, safety, watchdog, shadow
  }

  /// One venue of several, and what is quoted there.
  public struct VenueEntry: Codable, Equatable, Sendable {
    public var venue: VenueSection
    public var instruments: [InstrumentSection]

    private enum Keys: String, CodingKey { case instruments }

    /// As in a file: the venue's own keys, and its instruments beside them.
    public init(from decoder: any Decoder) throws {
      venue = try VenueSection(from: decoder)
      instruments = try decoder.container(keyedBy: Keys.self).decode([InstrumentSection].self, forKey: .instruments)
    }

    public func encode(to encoder: any Encoder) throws {
      try venue.encode(to: encoder)
      var container = encoder.container(keyedBy: Keys.self)
      try container.encode(instruments, forKey: .instruments)
    }

    public init(venue: VenueSection, instruments: [InstrumentSection]) {
      self.venue = venue
      self.instruments = instruments
    }
  }

  /// One configuration for each venue, of that venue alone.
  public var lanes: [Configuration] {
    ([VenueEntry(venue: venue, instruments: instruments)] + moreVenues).map {
      var lane = self
      lane.venue = $0.venue
      lane.instruments = $0.instruments
      lane.moreVenues = []
      return lane
    }
  }

  public init(
    version: Int = 1, engine: EngineSection, venue: VenueSection, instruments: [InstrumentSection],
    manager: ManagerSection = ManagerSection(), safety: SafetySection = SafetySection(),
    watchdog: WatchdogSection = WatchdogSection(), journal: JournalSection = JournalSection(),
    moreVenues: [VenueEntry] = [], underlyings: [UnderlyingSection] = [], shadow: ShadowSection = ShadowSection()
  ) {
    self.version = version
    self.engine = engine
    self.venue = venue
    self.instruments = instruments
    self.manager = manager
    self.safety = safety
    self.watchdog = watchdog
    self.journal = journal
    self.moreVenues = moreVenues
    self.underlyings = underlyings
    self.shadow = shadow
  }
}

/// How the lane waits for the next event.
public enum IdleStrategy: String, Codable, CaseIterable, Sendable {
  /// Never gives up the core: lowest latency, one core fully used.
  case spin
  /// Spins for a while after each event, then lets other threads run in between, then, if so configured, sleeps.
  case yield
  /// Sleeps in the kernel until something arrives, another thread wakes it, or a timer is due.
  case park
}

/// What the sockets go through.
public enum DriverChoice: String, Codable, CaseIterable, Sendable {
  /// For a lane that spins epoll; else io_uring, or epoll where the system does not allow it.
  case automatic = "auto"
  case ioUring = "io_uring"
  case epoll
}

/// The core that the lane's thread is pinned to.
public enum CoreChoice: Equatable, Sendable {
  /// The last allowed core, if there are at least two; else not pinned.
  case automatic
  case none
  case core(Int)

  /// A core for each of so many lanes; `nil`: not pinned.
  ///
  /// - Parameter allowed: The process's cores, ascending.
  public func cores(lanes count: Int, allowed: [Int]) -> [Int?] {
    let unpinned = [Int?](repeating: nil, count: count)
    switch self {
    case .none: return unpinned
    case .core(let core):
      // The first lane has the named core; the others take what is left from the end.
      let others = allowed.filter { $0 != core }.reversed().map { $0 as Int? }
      return Array(([core] + others + unpinned).prefix(count))
    case .automatic: return allowed.count > count ? allowed.suffix(count).reversed() : unpinned
    }
  }
}

public struct EngineSection: Codable, Equatable, Sendable {
  /// Names this engine among others on the account: 1 to 12 of `a-z 0-9 _`. Part of every order's label (R14).
  public var name: String
  /// `nil`: as the venue's address says; see `Configuration.mode`.
  public var mode: EngineMode?
  /// `auto`, `none`, or a core's number.
  public var core: CoreChoice
  public var idle: IdleStrategy
  /// Whether the lane runs its whole code on a made-up session before it connects.
  public var rehearsal: Bool
  /// `yield`: spins this long after an event before it lets others run, microseconds.
  public var idleSpinUs: Int
  /// `yield`: after this much longer it sleeps as `park` does, microseconds; 0 = never.
  public var idleYieldUs: Int
  public var driver: DriverChoice
  /// Where journal and telemetry file go; made if missing.
  public var dataDirectory: String
  public var journal: Bool
  /// Whether a run whose predecessor was killed goes on with its account.
  public var continues: Bool
  /// Whether the system may write a core dump of the process, and others of its user may look into it.
  public var coreDumps: Bool

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, mode, core, idle
    case idleSpinUs = "idle_spin_us"
    case idleYieldUs = "idle_yield_us"
    case driver, rehearsal
    case dataDirectory = "data_directory"
    case journal
    case continues = "continue_after_crash"
    case coreDumps = "core_dumps"
  }

  public init(
    name: String, core: CoreChoice = .automatic, idle: IdleStrategy = .spin, idleSpinUs: Int = 50,
    idleYieldUs: Int = 0, driver: DriverChoice = .automatic, rehearsal: Bool = true, dataDirectory: String,
    journal: Bool = true, continues: Bool = true, coreDumps: Bool = false, mode: EngineMode? = nil
  ) {
    self.name = name
    self.mode = mode
    self.core = core
    self.idle = idle
    self.idleSpinUs = idleSpinUs
    self.idleYieldUs = idleYieldUs
    self.driver = driver
    self.rehearsal = rehearsal
    self.dataDirectory = dataDirectory
    self.journal = journal
    self.continues = continues
    self.coreDumps = coreDumps
  }

  /// Of a journal, which may be older than a key.
  public init(from decoder: any Decoder) throws {
    let values = try decoder.container(keyedBy: CodingKeys.self)
    name = try values.decode(String.self, forKey: .name)
    mode = try values.decodeIfPresent(EngineMode.self, forKey: .mode)
    core = try values.decode(CoreChoice.self, forKey: .core)
    idle = try values.decode(IdleStrategy.self, forKey: .idle)
    rehearsal = try values.decode(Bool.self, forKey: .rehearsal)
    idleSpinUs = try values.decode(Int.self, forKey: .idleSpinUs)
    idleYieldUs = try values.decode(Int.self, forKey: .idleYieldUs)
    driver = try values.decode(DriverChoice.self, forKey: .driver)
    dataDirectory = try values.decode(String.self, forKey: .dataDirectory)
    journal = try values.decode(Bool.self, forKey: .journal)
    continues = try values.decodeIfPresent(Bool.self, forKey: .continues) ?? true
    coreDumps = try values.decodeIfPresent(Bool.self, forKey: .coreDumps) ?? false
  }
}

public enum VenueKind: String, Codable, CaseIterable, Sendable {
  case thalex
  case deribit
  case bybit
}

/// What a venue is for.
public enum VenueRole: String, Codable, CaseIterable, Sendable {
  case quote
  /// Its prices are looked at, and nothing is ever sent that could trade.
  case reference
}

extension KeyedDecodingContainer {
  /// Journals of before there were roles do not have them; the synthesised decoding finds this.
  func decode(_ type: VenueRole.Type, forKey key: Key) throws -> VenueRole {
    try decodeIfPresent(type, forKey: key) ?? .quote
  }

  func decode(_ type: QuoteCentre.Type, forKey key: Key) throws -> QuoteCentre {
    try decodeIfPresent(type, forKey: key) ?? .mid
  }
}

public struct VenueSection: Codable, Equatable, Sendable {
  public var kind: VenueKind
  public var role: VenueRole
  /// Names it among several, if its kind does not.
  public var givenName: String?
  /// `ws://host:port/path` or `wss://host[:port]/path`; taken apart by `VenueAddress`.
  public var url: String
  /// Where the venue answers by HTTP, `https://host[:port]`; `nil` for the host and port of `url`.
  public var restURL: String?
  public var keyID: String
  /// PEM file with the private key, mode 0600. Exactly one of this and `privateKeyEnv`.
  public var privateKeyFile: String?
  /// Name of an environment variable that holds the PEM text.
  public var privateKeyEnv: String?
  public var account: String?
  /// PEM file with the certificate authority to trust instead of the system's.
  public var caFile: String?
  /// The venue cancels our orders after this much silence.
  public var cancelOnDisconnectSeconds: Int
  /// Messages a second kept back from the rate that the venue grants.
  public var reserveMessages: Int
  public var requestTimeoutMs: Int
  /// How long a second connection is tried after the venue has announced that it will close the first one; 0: not at all.
  public var closureWindowMs: Int
  /// What the mass quotes of a product may trade before the venue cancels all of them, contracts.
  public var protectionTrade: DecimalE8
  /// The largest mass quote of a product, contracts.
  public var protectionQuote: DecimalE8
  /// How long quoting with mass quotes rests after that.
  public var protectionPauseMs: Int
  /// What the venue has counted is forgotten after this long.
  public var protectionWindowMs: Int
  /// What taking costs, basis points, at most 2 decimals; for rules about crossed books.
  public var takerFeeBps: DecimalE8?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case kind, role, url
    case givenName = "name"
    case restURL = "rest_url"
    case keyID = "key_id"
    case privateKeyFile = "private_key_file"
    case privateKeyEnv = "private_key_env"
    case account
    case caFile = "ca_file"
    case cancelOnDisconnectSeconds = "cancel_on_disconnect_seconds"
    case reserveMessages = "reserve_messages"
    case requestTimeoutMs = "request_timeout_ms"
    case closureWindowMs = "closure_window_ms"
    case protectionTrade = "protection_trade"
    case protectionQuote = "protection_quote"
    case protectionPauseMs = "protection_pause_ms"
    case protectionWindowMs = "protection_window_ms"
    case takerFeeBps = "taker_fee_bps"
  }

  /// Tells it from the other venues: in telemetry, and in the names of its files.
  public var name: String { givenName ?? kind.rawValue }

  public init(
    kind: VenueKind = .thalex, role: VenueRole = .quote, name: String? = nil, url: String, restURL: String? = nil,
    keyID: String, privateKeyFile: String? = nil,
    privateKeyEnv: String? = nil, account: String? = nil, caFile: String? = nil,
    cancelOnDisconnectSeconds: Int = 6, reserveMessages: Int = 5, requestTimeoutMs: Int = 3000,
    closureWindowMs: Int = 8000,
    protectionTrade: DecimalE8 = DecimalE8(e8: 100_000_000), protectionQuote: DecimalE8 = DecimalE8(e8: 100_000_000),
    protectionPauseMs: Int = 2000, protectionWindowMs: Int = 10_000, takerFeeBps: DecimalE8? = nil
  ) {
    self.kind = kind
    self.role = role
    givenName = name
    self.url = url
    self.restURL = restURL
    self.keyID = keyID
    self.privateKeyFile = privateKeyFile
    self.privateKeyEnv = privateKeyEnv
    self.account = account
    self.caFile = caFile
    self.cancelOnDisconnectSeconds = cancelOnDisconnectSeconds
    self.reserveMessages = reserveMessages
    self.requestTimeoutMs = requestTimeoutMs
    self.closureWindowMs = closureWindowMs
    self.protectionTrade = protectionTrade
    self.protectionQuote = protectionQuote
    self.protectionPauseMs = protectionPauseMs
    self.protectionWindowMs = protectionWindowMs
    self.takerFeeBps = takerFeeBps
  }
}

public struct InstrumentSection: Codable, Equatable, Sendable {
  public var name: String
  public var strategy: StrategySection
  public var ladder: LadderSection
  public var limits: LimitsSection
  /// On top of any strategy.
  public var orderFlow: OrderFlowSection?
  /// Levels a side of the public book to follow, 1 ... 100.
  public var bookDepth: Int
  /// Quotes are pulled when the ticker has been silent for this long.
  public var staleAfterMs: Int
  /// Replace whole sides by mass quotes instead of order by order.
  public var massQuotes: Bool
  /// The part of the ladder's size and of `max_position` that this engine has of the instrument, 0 ... 1; `nil`: all. With
  /// 0 another engine on the account has it: nothing is quoted, and the position is not ours.
  public var share: DecimalE8?

  enum CodingKeys: String, CodingKey, CaseIterable {
    case name, share, strategy, ladder, limits
    case orderFlow = "order_flow"
    case bookDepth = "book_depth"
    case staleAfterMs = "stale_after_ms"
    case massQuotes = "mass_quotes"
  }

  public init(
    name: String, ladder: LadderSection, limits: LimitsSection, bookDepth: Int = 10, staleAfterMs: Int = 5000,
    massQuotes: Bool = false, strategy: StrategySection = .ladder, share: DecimalE8? = nil
  ) {
    self.name = name
    self.share = share
    self.strategy = strategy
    self.ladder = ladder
    self.limits = limits
    self.bookDepth = bookDepth
    self.staleAfterMs = staleAfterMs
    self.massQuotes = massQuotes
  }
}

extension InstrumentSection {
  /// As far as this engine has it.
  var ownLadder: LadderSection {
    guard let share else { return ladder }
    var own = ladder
    own.size = ladder.size.part(share)
    return own
  }

  var ownMaxPosition: DecimalE8 { share.map(limits.maxPosition.part) ?? limits.maxPosition }

  var isHandedOver: Bool { share == .zero }
}

/// What a ladder lies around.
public enum QuoteCentre: String, Codable, CaseIterable, Sendable {
  /// The mid of the others' quotes at this venue, and its mark as far as `mark_weight` says.
  case mid
  /// The fair value by the tops of all venues; nothing is quoted without one.
  case fair
}

public struct LadderSection: Codable, Equatable, Sendable {
  public var around: QuoteCentre
  /// Quotes a side, 1 ... 32.
  public var levels: Int
  /// From the fair price to the best quote, basis points of the price, at most 2 decimals: 0.35 = 35 hundredths
  /// of a basis point, which is what the ladder calculates in.
  public var halfSpreadBps: DecimalE8
  /// From one level to the next, ticks.
  public var stepTicks: Int
  /// Contracts of the best level.
  public var size: DecimalE8
  /// Each level is this much larger than the one before: 0.5 = one and a half times.
  public var growth: DecimalE8
  /// How far a full position moves the fair price against itself, basis points, at most 2 decimals.
  public var skewBps: DecimalE8
  /// Weight of the venue's mark in the fair price, 0 ... 1; the rest is the mid of the others' quotes.
  public var markWeight: DecimalE8
  /// A standing quote this many ticks from the desired price is left alone.
  public var keepWithinTicks: Int
  /// A standing size of at least this share of the desired one is left alone, 0 ... 1.
  public var keepSize: DecimalE8

  enum CodingKeys: String, CodingKey, CaseIterable {
    case around, levels
    case halfSpreadBps = "half_spread_bps"
    case stepTicks = "step_ticks"
    case size, growth
    case skewBps = "skew_bps"
    case markWeight = "mark_weight"
    case keepWithinTicks = "keep_within_ticks"
    case keepSize = "keep_size"
  }

  public init(
    levels: Int, halfSpreadBps: DecimalE8, stepTicks: Int, size: DecimalE8, growth: DecimalE8 = .zero,
    skewBps: DecimalE8, markWeight: DecimalE8 = .zero, keepWithinTicks: Int = 0, keepSize: DecimalE8 = .one,
    around: QuoteCentre = .mid
  ) {
    self.around = around
    self.levels = levels
    self.halfSpreadBps = halfSpreadBps
    self.stepTicks = stepTicks
    self.size = size
    self.growth = growth
    self.skewBps = skewBps
    self.markWeight = markWeight
    self.keepWithinTicks = keepWithinTicks
    self.keepSize = keepSize
  }
}

/// Without limits nothing is traded: every key is required (R54).
public struct LimitsSection: Codable, Equatable, Sendable {
  /// Contracts, long or short, everything counted that may still trade.
  public var maxPosition: DecimalE8
  /// Contracts of a single order.
  public var maxOrder: DecimalE8
  /// Price × size of a single order, quote currency.
  public var maxNotional: DecimalE8
  /// From the mark to the most aggressive price, basis points, at most 2 decimals.
  public var collarBps: DecimalE8
  /// Orders at once.
  public var maxOrders: Int

  enum CodingKeys: String, CodingKey, CaseIterable {
    case maxPosition = "max_position"
    case maxOrder = "max_order"
    case maxNotional = "max_notional"
    case collarBps = "collar_bps"
    case maxOrders = "max_orders"
  }

  public init(
    maxPosition: DecimalE8, maxOrder: DecimalE8, maxNotional: DecimalE8, collarBps: DecimalE8, maxOrders: Int
  ) {
    self.maxPosition = maxPosition
    self.maxOrder = maxOrder
    self.maxNotional = maxNotional
    self.collarBps = collarBps
    self.maxOrders = maxOrders
  }
}

extension CoreChoice: LosslessStringConvertible {
  public init?(_ text: String) {
    switch text {
    case "auto": self = .automatic
    case "none": self = .none
    default:
      guard !text.isEmpty, text.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }), let core = Int(text) else { return nil }
      self = .core(core)
    }
  }

  public var description: String {
    switch self {
    case .automatic: "auto"
    case .none: "none"
    case .core(let core): String(core)
    }
  }
}

extension CoreChoice: Codable {
  public init(from decoder: any Decoder) throws {
    let container = try decoder.singleValueContainer()
    guard let choice = Self(try container.decode(String.self)) else {
      throw DecodingError.dataCorruptedError(
        in: container, debugDescription: "auto, none, or the number of a core, such as 1")
    }
    self = choice
  }

  public func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    try container.encode(description)
  }
}
