/// The list of all keys. Reader, table, messages and written files are made from it, so that they cannot differ.
///
/// The order is that of a written file. Ranges are those that make sense for any venue; what only the venue
/// knows (tick, lot, granted rate) is checked once it has told.
enum ConfigurationSchema {
  /// Sections in the order of a written file, with their paths for people.
  static let sections: [Description] = [
    Description("", Configuration.self, isRequired: true, "The file."),
    Description("engine", EngineSection.self, isRequired: true, "The process: its name, its core, its files."),
    Description(
      "journal", JournalSection.self, isRequired: false,
      "How the journal is kept: when it reaches the disk, how much of it stays, what happens when it fails."),
    Description(
      "venue", VenueSection.self, isRequired: true,
      "Where to trade, and with which key. For several: venues, a list of up to \(maximumVenues), each with these keys and "
        + "instruments of its own."),
    Description(
      "instruments[]", InstrumentSection.self, isRequired: true,
      "What to quote: a list, 1 to \(maximumInstruments). What an entry does not say it takes from defaults, a section of "
        + "the same keys."),
    Description("instruments[].ladder", LadderSection.self, isRequired: true, "How the quotes of a side are laid out."),
    Description(
      "instruments[].limits", LimitsSection.self, isRequired: true,
      "What is never exceeded. No defaults: without limits nothing is traded."),
    Description(
      "instruments[].strategy", StrategyKindSection.self, isRequired: false,
      "What decides the quotes: a kind, and its parameters beside the ladder's. Without it the ladder does."),
    Description(
      "instruments[].strategy, kind: avellaneda_stoikov", AvellanedaStoikovSection.self, isRequired: false,
      "Levels, steps and sizes are the ladder's, half_spread_bps is the least."),
    Description(
      "instruments[].strategy, kind: glft", GLFTSection.self, isRequired: false,
      "Levels, steps and sizes are the ladder's, half_spread_bps is the least."),
    Description(
      "instruments[].strategy, kind: make_and_hedge", MakeAndHedgeSection.self, isRequired: false,
      "Levels, steps, sizes and skew are the ladder's; its half_spread_bps is not used."),
    Description(
      "instruments[].strategy, kind: options", OptionsSection.self, isRequired: false,
      "Levels, steps, sizes and skew are the ladder's, half_spread_bps is the least."),
    Description(
      "instruments[].order_flow", OrderFlowSection.self, isRequired: false,
      "On top of any strategy: takes the side away that the flow of orders is about to run over."),
    Description("manager", ManagerSection.self, isRequired: false, "When to step back."),
    Description(
      "underlyings[]", UnderlyingSection.self, isRequired: false,
      "What holds of an underlying at all venues together: a list."),
    Description(
      "safety", SafetySection.self, isRequired: false,
      "The kill ladder and the rules that climb it or pause quoting. 0 switches a rule off."),
    Description(
      "watchdog", WatchdogSection.self, isRequired: false,
      "Pulls the quotes through a connection of its own when the lane stalls."),
    Description(
      "shadow", ShadowSection.self, isRequired: false,
      "With engine.mode: shadow, how orders trade in the venue that stands in for the real one. Means nothing in other modes."),
  ]

  /// Bounded by what one lane keeps in memory.
  static let maximumInstruments = 512
  /// Lanes that a telemetry file shows.
  static let maximumVenues = 8

  struct Description: Sendable {
    struct Key: Sendable {
      let name, type, unit, range, meaning: String
      let presence: Presence
    }
    enum Presence: Sendable, Equatable {
      case required, optional
      case defaulted(String)
    }

    /// `instruments[].ladder`; empty for the file itself.
    let path: String
    let isRequired: Bool
    let meaning: String
    let keys: [Key]

    init<Section: DescribedSection>(_ path: String, _: Section.Type, isRequired: Bool, _ meaning: String) {
      self.path = path
      self.isRequired = isRequired
      self.meaning = meaning
      keys = Section.keys.map { key in
        let presence: Presence =
          switch key.presence {
          case .required: .required
          case .optional: .optional
          case .defaulted: .defaulted(key.text(.blank) ?? "")
          }
        return Key(
          name: key.name, type: key.type, unit: key.unit, range: key.range, meaning: key.meaning, presence: presence)
      }
    }
  }
}

func isWord(_ character: Character) -> Bool {
  character.isASCII && (character.isLetter || character.isNumber)
}

func isIdentifier(_ character: Character) -> Bool { isWord(character) || "-_.".contains(character) }

func decimal(_ whole: Int64) -> DecimalE8 { DecimalE8(e8: whole * 100_000_000) }

extension Configuration: DescribedSection {
  static var blank: Self { Self(engine: .blank, venue: .blank, instruments: []) }

  static let keys: [ConfigurationKey<Self>] = [
    .init(CodingKeys.version, \.version, .whole(1...1), .defaulted, "Version of this layout of the file.")
  ]
}

extension EngineSection: DescribedSection {
  static var blank: Self { Self(name: "", dataDirectory: "") }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.name, \.name,
      .name(1...12, of: "a-z 0-9 _", advice: "choose another name, for example desk_1") {
        $0 == "_" || (isWord($0) && !$0.isUppercase)
      }, .required, "Tells this engine from others on the account; part of every order's label."),
    .init(
      CodingKeys.mode, \.mode, optional: .choice,
      "What is at stake: simulated venues of this machine; shadow, the live market without an order leaving this process; a "
        + "test network's play money; or, in production, real money. "
        + "Without it an address of this machine means simulated, a known test network testnet; others must say it."),
    .init(
      CodingKeys.core, \.core, .core, .defaulted,
      "Core of the lane's thread: auto takes the last allowed one if there are two or more, none does not pin."),
    .init(
      CodingKeys.idle, \.idle, .choice, .defaulted,
      "How the lane waits: spin uses a whole core, yield lets others run in between, park sleeps."),
    .init(
      CodingKeys.idleSpinUs, \.idleSpinUs, .whole(0...1_000_000), .defaulted, unit: "us",
      "With idle: yield, how long it spins after an event before it lets others run."),
    .init(
      CodingKeys.idleYieldUs, \.idleYieldUs, .whole(0...10_000_000), .defaulted, unit: "us",
      "With idle: yield, how much longer until it sleeps as park does; 0 never sleeps."),
    .init(
      CodingKeys.driver, \.driver, .choice, .defaulted,
      "What the sockets go through: auto takes epoll with idle: spin, which reads a lane's one connection soonest, else "
        + "io_uring, or epoll where the system does not allow io_uring."),
    .init(
      CodingKeys.rehearsal, \.rehearsal, .flag, .defaulted,
      "Whether the lane runs its code on a session that is only memory before it connects, so that the first tick finds "
        + "it warm; about 50 ms, and one strategy more is made and thrown away."),
    .init(
      CodingKeys.dataDirectory, \.dataDirectory,
      .path("a directory", advice: "give the path of a directory"), .required,
      "Where journal and telemetry file go; made if missing. Relative to the working directory."),
    .init(
      CodingKeys.journal, \.journal, .flag, .defaulted,
      "Whether all input and output is recorded; the report's list of trades comes from it."),
    .init(
      CodingKeys.continues, \.continues, .flag, .defaulted,
      "Whether an engine whose last run was killed goes on with the account in that run's journal: positions, profit and "
        + "fees are counted on, and executions that nobody saw are booked. Otherwise it begins with the venue's positions."
    ),
    .init(
      CodingKeys.coreDumps, \.coreDumps, .flag, .defaulted,
      "Whether the system may write core dumps of the process, and debuggers and profilers of its user may attach."),
  ]
}

extension JournalSection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.sync, \.sync, .choice, .defaulted,
      "When records are forced to the disk: none leaves it to the kernel, interval does it every sync_interval_ms, each "
        + "every 2 ms or so. A killed process loses nothing under any of them; a dead machine does."),
    .init(
      CodingKeys.syncIntervalMs, \.syncIntervalMs, .whole(1...600_000), .defaulted, unit: "ms",
      "With sync: interval, the time between."),
    .init(
      CodingKeys.segmentMib, \.segmentMib, .whole(1...2048), .defaulted, unit: "MiB",
      "Size of a segment's file; up to three exist ahead of what is written."),
    .init(
      CodingKeys.keepHours, \.keepHours, .whole(0...876_000), .defaulted, unit: "h",
      "Segments of earlier runs that were last written longer ago are removed; 0 keeps them."),
    .init(
      CodingKeys.keepMib, \.keepMib, .whole(0...1_000_000_000), .defaulted, unit: "MiB",
      "The oldest segments are removed while all take more, those of the present run last; 0 keeps them."),
    .init(
      CodingKeys.minFreeMib, \.minFreeMib, .whole(0...1_000_000_000), .defaulted, unit: "MiB",
      "With less free space than this the quotes are pulled (level cancel), until apus resume; 0 sets no floor."),
    .init(
      CodingKeys.onFailure, \.onFailure, .choice, .defaulted,
      "When records cannot be written: halt pulls the quotes, continue quotes on and counts what is lost."),
  ]
}

extension VenueSection: DescribedSection {
  static var blank: Self { Self(url: "", keyID: "") }

  static let keys: [ConfigurationKey<Self>] = [
    .init(CodingKeys.kind, \.kind, .choice, .defaulted, "The venue's protocol."),
    .init(
      CodingKeys.role, \.role, .choice, .defaulted,
      "What it is for: quote, or reference, where prices are looked at and nothing is sent that could trade."),
    .init(
      CodingKeys.givenName, \.givenName,
      optional: .name(1...16, of: "a-z 0-9 _", advice: "choose another name, for example deribit_2") {
        $0 == "_" || (isWord($0) && !$0.isUppercase)
      }, "Names the venue among several, if its kind does not."),
    .init(
      CodingKeys.url, \.url, .url, .required, "Address of the venue's WebSocket; of Bybit's without the last part."),
    .init(
      CodingKeys.restURL, \.restURL,
      optional: .text(range: "printable ASCII", allowed: "https://host[:port] (or http:// for a venue on this machine)")
      {
        VenueAddress(rest: $0) == nil ? "write it as https://api.bybit.com, without a path" : nil
      },
      "Where a venue answers by HTTP that does not answer everything by WebSocket; default: host and port of url."),
    .init(
      CodingKeys.keyID, \.keyID,
      .name(1...64, of: "A-Z a-z 0-9 - _ .", advice: "copy the id that the venue shows next to the key") {
        isIdentifier($0)
      }, .required, "Id of the API key, as the venue shows it. Not a secret."),
    .init(
      CodingKeys.privateKeyFile, \.privateKeyFile,
      optional: .path(
        "a PEM file", advice: "put the key into a file of its own with mode 0600 and give the path of that file"),
      "File with the private key in PEM, mode 0600. Either this or private_key_env."),
    .init(
      CodingKeys.privateKeyEnv, \.privateKeyEnv,
      optional: .text(range: "A-Z a-z 0-9 _", allowed: "the name of an environment variable") { text in
        let isName = text.allSatisfy { isWord($0) || $0 == "_" } && text.first.map { !$0.isNumber } ?? false
        return isName && text.utf8.count <= 64 ? nil : "give the variable's name, not what it holds"
      },
      "Environment variable that holds the private key in PEM. Either this or private_key_file."),
    .init(
      CodingKeys.account, \.account,
      optional: .name(1...64, of: "A-Z a-z 0-9 - _ .", advice: "copy the account's number from the venue") {
        isIdentifier($0)
      },
      "Account to trade on, if the key may use several."),
    .init(
      CodingKeys.caFile, \.caFile, optional: .path("a PEM file", advice: "give the path of a PEM file"),
      "Certificate authority to trust instead of the system's; wss:// only."),
    .init(
      CodingKeys.cancelOnDisconnectSeconds, \.cancelOnDisconnectSeconds, .whole(1...60), .defaulted, unit: "s",
      "After this much silence the venue cancels our orders."),
    // 49: the rate that Thalex grants with cancel-on-disconnect is 50 (protocol notes, section 1.5).
    .init(
      CodingKeys.reserveMessages, \.reserveMessages, .whole(0...49), .defaulted, unit: "messages/s",
      "Kept back from the rate that the venue grants."),
    .init(
      CodingKeys.requestTimeoutMs, \.requestTimeoutMs, .whole(100...60_000), .defaulted, unit: "ms",
      "A request without an answer for this long has an unknown outcome."),
    .init(
      CodingKeys.closureWindowMs, \.closureWindowMs, .whole(0...60_000), .defaulted, unit: "ms",
      "A second connection is tried for this long once the venue announces a closure; 0: reconnect at once."),
    .init(
      CodingKeys.protectionTrade, \.protectionTrade, .decimal(.zero...decimal(1_000_000), isAboveLower: true),
      .defaulted,
      unit: "contracts",
      "Mass quotes of a product may trade this much within protection_window_ms; then the venue cancels all of them. Coins at Deribit."
    ),
    .init(
      CodingKeys.protectionQuote, \.protectionQuote, .decimal(.zero...decimal(1_000_000), isAboveLower: true),
      .defaulted,
      unit: "contracts", "The largest mass quote; the venue charges margin for it. Coins at Deribit."),
    .init(
      CodingKeys.protectionPauseMs, \.protectionPauseMs, .whole(0...600_000), .defaulted, unit: "ms",
      "How long mass quotes rest after the venue has cancelled them."),
    .init(
      CodingKeys.protectionWindowMs, \.protectionWindowMs, .whole(100...86_400_000), .defaulted, unit: "ms",
      "The protection counts anew after this long: since it was last set, and at Deribit since the first trade."),
    .init(
      CodingKeys.takerFeeBps, \.takerFeeBps, optional: .decimal(.zero...decimal(1000), decimals: 2),
      "What taking costs there, basis points; needed where underlyings has a rule for crossed books."),
  ]
}

extension InstrumentSection: DescribedSection {
  static var blank: Self { Self(name: "", ladder: .blank, limits: .blank) }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.name, \.name,
      .name(1...64, of: "A-Z a-z 0-9 - _ . : /", advice: "copy the name from the venue, for example BTC-PERPETUAL") {
        isIdentifier($0) || $0 == ":" || $0 == "/"
      }, .required, "The venue's name of the instrument."),
    .init(
      CodingKeys.share, \.share, optional: .decimal(.zero...decimal(1), decimals: 4),
      "The part of the ladder's size and of max_position that this engine has; all of it by default. With 0 another engine of the account has the instrument: nothing is quoted, and its position is not this engine's. apus rollout sets it."
    ),
    .init(
      CodingKeys.bookDepth, \.bookDepth, .whole(1...100), .defaulted, unit: "levels",
      "Levels a side of the public book to follow."),
    .init(
      CodingKeys.staleAfterMs, \.staleAfterMs, .whole(100...600_000), .defaulted, unit: "ms",
      "Quotes are pulled when the ticker has been silent for this long."),
    .init(
      CodingKeys.massQuotes, \.massQuotes, .flag, .defaulted,
      "Whether whole sides are replaced by mass quotes, many instruments with one message; at Deribit one level a side."
    ),
  ]
}

extension LadderSection: DescribedSection {
  static var blank: Self { Self(levels: 0, halfSpreadBps: .zero, stepTicks: 0, size: .zero, skewBps: .zero) }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.around, \.around, .choice, .defaulted,
      "What the quotes lie around: mid, the middle of the others' quotes and the mark as far as mark_weight says; or fair, the "
        + "fair value by the prices of all venues, without which nothing is quoted."),
    .init(CodingKeys.levels, \.levels, .whole(1...32), .required, unit: "quotes", "Quotes a side."),
    .init(
      CodingKeys.halfSpreadBps, \.halfSpreadBps, .decimal(.zero...decimal(1000), decimals: 2), .required, unit: "bps",
      "From the fair price to the best quote."),
    .init(
      CodingKeys.stepTicks, \.stepTicks, .whole(1...1_000_000), .required, unit: "ticks",
      "From one level to the next."),
    .init(
      CodingKeys.size, \.size, .decimal(.zero...decimal(1_000_000), isAboveLower: true), .required,
      unit: "contracts", "Size of the best level; rounded down to whole lots."),
    .init(
      CodingKeys.growth, \.growth, .decimal(.zero...decimal(10), decimals: 3), .defaulted, unit: "share",
      "Each level is this much larger than the one before: 0.5 makes it one and a half times as large."),
    .init(
      CodingKeys.skewBps, \.skewBps, .decimal(.zero...decimal(1000), decimals: 2), .required, unit: "bps",
      "How far a full position moves the fair price against itself."),
    .init(
      CodingKeys.markWeight, \.markWeight, .decimal(.zero...(.one), decimals: 3), .defaulted, unit: "share",
      "Weight of the venue's mark in the fair price; the rest is the mid of the others' quotes."),
    .init(
      CodingKeys.keepWithinTicks, \.keepWithinTicks, .whole(0...1_000_000), .defaulted, unit: "ticks",
      "A standing quote this close to the desired price is left alone."),
    .init(
      CodingKeys.keepSize, \.keepSize, .decimal(.zero...(.one), decimals: 3), .defaulted, unit: "share",
      "A standing size of at least this share of the desired one is left alone."),
  ]
}

extension LimitsSection: DescribedSection {
  static var blank: Self {
    Self(maxPosition: .zero, maxOrder: .zero, maxNotional: .zero, collarBps: .zero, maxOrders: 0)
  }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.maxPosition, \.maxPosition, .decimal(.zero...decimal(100_000_000), isAboveLower: true), .required,
      unit: "contracts", "Largest position, long or short, with everything counted that may still trade."),
    .init(
      CodingKeys.maxOrder, \.maxOrder, .decimal(.zero...decimal(100_000_000), isAboveLower: true), .required,
      unit: "contracts", "Largest single order."),
    .init(
      CodingKeys.maxNotional, \.maxNotional, .decimal(.zero...decimal(10_000_000_000), isAboveLower: true), .required,
      unit: "quote currency", "Largest price × size of a single order."),
    .init(
      CodingKeys.collarBps, \.collarBps, .decimal(.zero...decimal(10_000), isAboveLower: true, decimals: 2), .required,
      unit: "bps", "From the mark to the most aggressive price."),
    .init(
      CodingKeys.maxOrders, \.maxOrders, .whole(1...1000), .required, unit: "orders",
      "Orders at once, both sides."),
  ]
}

extension SafetySection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(
      CodingKeys.widenFactor, \.widenFactor, .decimal(.one...decimal(10), decimals: 3), .defaulted, unit: "times",
      "Level widen: the half-spread is multiplied by this. Ends with apus resume, or with the rule that "
        + "asked for it."),
    .init(
      CodingKeys.flattenWorstBps, \.flattenWorstBps, .decimal(.zero...decimal(1000), decimals: 2), .defaulted,
      unit: "bps",
      "Level flatten: no price farther than this from the mark; what is displayed within is taken, the rest "
        + "is waited for."),
    .init(
      CodingKeys.flattenIntervalMs, \.flattenIntervalMs, .whole(50...60_000), .defaulted, unit: "ms",
      "Level flatten: pause between two orders of an instrument."),
    .init(
      CodingKeys.laneMaxLoss, \.laneMaxLoss, .decimal(.zero...decimal(10_000_000_000)), .defaulted,
      unit: "quote currency",
      "Loss of the lane since the start or the last apus resume: latches loss_level."),
    .init(
      CodingKeys.laneMaxDrawdown, \.laneMaxDrawdown, .decimal(.zero...decimal(10_000_000_000)), .defaulted,
      unit: "quote currency",
      "Fall of the lane's profit from its best since then: latches loss_level."),
    .init(
      CodingKeys.lossLevel, \.lossLevel, .choice, .defaulted,
      "What every loss and drawdown limit latches, the manager's too. Ends with apus resume."),
    .init(
      CodingKeys.maxMessagesPerMinute, \.maxMessagesPerMinute, .whole(0...1_000_000), .defaulted, unit: "messages/min",
      "Inserts and amends of one instrument: no more until the minute has room again; cancels go on."),
    .init(
      CodingKeys.maxMessagesPerFill, \.maxMessagesPerFill, .whole(0...100_000_000), .defaulted, unit: "messages",
      "Inserts and amends of one instrument since its last fill: quotes are pulled for churn_pause_ms, and "
        + "it counts anew."),
    .init(
      CodingKeys.churnPauseMs, \.churnPauseMs, .whole(100...3_600_000), .defaulted, unit: "ms",
      "How long that takes."),
    .init(
      CodingKeys.rejectCount, \.rejectCount, .whole(1...100), .defaulted, unit: "refusals",
      "So many equal refusals in a row open the instrument's breaker: no inserts and amends, then one "
        + "attempt."),
    .init(
      CodingKeys.rejectPauseMs, \.rejectPauseMs, .whole(10...60_000), .defaulted, unit: "ms",
      "First pause of the breaker; each further refusal doubles it. The first acceptance closes it."),
    .init(
      CodingKeys.rejectLongestPauseMs, \.rejectLongestPauseMs, .whole(10...3_600_000), .defaulted, unit: "ms",
      "Longest pause of the breaker."),
    .init(
      CodingKeys.bookStaleMs, \.bookStaleMs, .whole(0...3_600_000), .defaulted, unit: "ms",
      "Silence of the book: the instrument's quotes are pulled until it speaks."),
    .init(
      CodingKeys.markStaleMs, \.markStaleMs, .whole(0...3_600_000), .defaulted, unit: "ms",
      "The mark's own time has not advanced for this long: the quotes are pulled until it does."),
    .init(
      CodingKeys.indexStaleMs, \.indexStaleMs, .whole(0...3_600_000), .defaulted, unit: "ms",
      "The index has not changed for this long: the quotes are pulled until it does."),
    .init(
      CodingKeys.clockOffsetMs, \.clockOffsetMs, .whole(0...60_000), .defaulted, unit: "ms",
      "Difference to the venue's clock, least of a minute: above it the start is refused; later the quotes "
        + "are widened until it is below."),
    .init(
      CodingKeys.slowAckWidenMs, \.slowAckWidenMs, .whole(0...60_000), .defaulted, unit: "ms",
      "Smoothed time to an answer, or age of the oldest request: widens until it is below half of it."),
    .init(
      CodingKeys.slowAckStopMs, \.slowAckStopMs, .whole(0...60_000), .defaulted, unit: "ms",
      "The same: pulls the quotes for slow_ack_pause_ms, then tries again."),
    .init(
      CodingKeys.slowAckPauseMs, \.slowAckPauseMs, .whole(100...600_000), .defaulted, unit: "ms",
      "How long that takes."),
    .init(
      CodingKeys.toxicFills, \.toxicFills, .whole(0...256), .defaulted, unit: "fills",
      "So many fills on one side of an instrument within toxic_window_ms: its quotes are pulled for "
        + "toxic_pause_ms."),
    .init(
      CodingKeys.toxicWindowMs, \.toxicWindowMs, .whole(1...600_000), .defaulted, unit: "ms",
      "Window of toxic_fills."),
    .init(
      CodingKeys.toxicMoveBps, \.toxicMoveBps, .decimal(.zero...decimal(1000), decimals: 2), .defaulted, unit: "bps",
      "The mark moves so far against a fill within toxic_move_ms: the quotes are pulled for toxic_pause_ms."),
    .init(
      CodingKeys.toxicMoveMs, \.toxicMoveMs, .whole(1...600_000), .defaulted, unit: "ms",
      "Window of toxic_move_bps."),
    .init(
      CodingKeys.toxicPauseMs, \.toxicPauseMs, .whole(100...3_600_000), .defaulted, unit: "ms",
      "The cool-down after toxic flow."),
  ]
}

extension WatchdogSection: DescribedSection {
  static var blank: Self { Self() }

  static let keys: [ConfigurationKey<Self>] = [
    .init(CodingKeys.enabled, \.enabled, .flag, .defaulted, "Whether it watches; it costs a connection and a login."),
    .init(
      CodingKeys.stallMs, \.stallMs, .whole(50...60_000), .defaulted, unit: "ms",
      "Without a sign of life of the lane for this long: orders with our label are cancelled, level cancel is latched."),
    .init(
      CodingKeys.cancelMassQuotes, \.cancelMassQuotes, .flag, .defaulted,
      "Whether it may cancel all mass quotes of the account, those of other engines included, if ours stay."),
  ]
}
