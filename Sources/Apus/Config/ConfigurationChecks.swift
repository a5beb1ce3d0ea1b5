/// What must hold between several keys. Each check is made only if the values that it needs are good.
struct ConfigurationChecks {
  /// Of one venue.
  private var configuration: Configuration
  /// The path of that venue's section, and the beginning of its instruments' paths.
  private var venuePath = "venue"
  private var prefix = ""
  let places: [String: ConfigurationPlace]
  let given: [String: ConfigurationPlace]
  private(set) var problems: [ConfigurationProblem] = []

  /// `configuration` is what `reader` has read.
  init(_ configuration: Configuration, _ reader: ConfigurationReader) {
    self.configuration = configuration
    places = reader.places
    given = reader.given
    checkManager()
    let isList = places.keys.contains { $0.hasPrefix(ConfigurationReader.venues) }
    for (lane, configuration) in configuration.lanes.enumerated() {
      self.configuration = configuration
      if isList {
        venuePath = "\(ConfigurationReader.venues)[\(lane)]"
        prefix = venuePath + "."
      }
      checkVenue()
      checkNames()
      checkShadow()
      for index in configuration.instruments.indices where configuration.venue.role == .quote {
        check(configuration.instruments[index], "\(prefix)instruments[\(index)]")
      }
      checkChains()
    }
    checkMode(
      configuration,
      venuePaths: isList ? configuration.lanes.indices.map { "\(ConfigurationReader.venues)[\($0)]" } : ["venue"])
    checkVenueNames(configuration.lanes.map(\.venue.name))
    checkAccounts(configuration.lanes.map(\.venue))
    checkUnderlyings(configuration)
  }

  /// Two lanes on one account would take each other's orders for their own (R14).
  private mutating func checkAccounts(_ venues: [VenueSection]) {
    guard configuration.engine.mode != .shadow else { return }
    for (index, venue) in venues.enumerated() {
      guard
        let first = venues[..<index].firstIndex(where: {
          $0.kind == venue.kind && $0.keyID == venue.keyID && !venue.keyID.isEmpty
        })
      else { continue }
      let path = "\(ConfigurationReader.venues)[\(index)]"
      report(
        places["\(path).key_id"] ?? given[path], "\(path).key_id",
        "is \(ShownText.of(venue.keyID)), but venues[\(first)] logs in with that key: give each a key of another account, or "
          + "put the instruments into one entry")
    }
  }

  /// Journals and telemetry are told apart by the venue's name.
  private mutating func checkVenueNames(_ names: [String]) {
    for (index, name) in names.enumerated() {
      guard let first = names[..<index].firstIndex(of: name) else { continue }
      let path = "\(ConfigurationReader.venues)[\(index)]"
      report(
        places["\(path).name"] ?? given[path], "\(path).name",
        "is \(ShownText.of(name)), but venues[\(first)] has that name: give each venue a name of its own")
    }
  }

  mutating func report(_ place: ConfigurationPlace?, _ key: String, _ sentence: String) {
    problems.append(ConfigurationProblem(place: place, key: key, sentence: "\(key) \(sentence)"))
  }

  private mutating func checkVenue() {
    guard let place = given[venuePath] else { return }
    switch (given["\(venuePath).private_key_file"], given["\(venuePath).private_key_env"]) {
    // Nothing logs in at the real venue.
    case (nil, nil) where configuration.engine.mode == .shadow: break
    case (nil, nil):
      report(
        place, venuePath,
        "has neither private_key_file nor private_key_env, but must have one of them: "
          + "add private_key_file with the path of a PEM file of mode 0600")
    case (let file?, let variable?):
      report(
        max(file, variable), venuePath,
        "has both private_key_file and private_key_env, but must have one of them: "
          + "keep one of this and line \(min(file, variable).line)")
    default: break
    }
    checkProtection()
    // What is not given has its default, which is as good a limit.
    let quotePath = "\(venuePath).protection_quote"
    if let trade = places["\(venuePath).protection_trade"], places[quotePath] != nil || given[quotePath] == nil,
      configuration.venue.kind.massQuotes.isTradeWithinQuote,
      configuration.venue.protectionTrade > configuration.venue.protectionQuote
    {
      report(
        trade, "\(venuePath).protection_trade",
        "is \(configuration.venue.protectionTrade), but must be at most protection_quote "
          + "(\(configuration.venue.protectionQuote)): lower it, or raise protection_quote")
    }
    if configuration.venue.kind == .bybit, configuration.venue.restURL == nil, let place = places["\(venuePath).url"],
      let address = VenueAddress(configuration.venue.url), address.isEncrypted
    {
      report(
        place, "\(venuePath).rest_url",
        "is not given, but Bybit answers questions about orders and trades by HTTP from another host: give "
          + "https://api.bybit.com, or that of your region or of the test network")
    }
    if let file = places["\(venuePath).ca_file"], let address = VenueAddress(configuration.venue.url),
      !address.isEncrypted
    {
      report(
        file, "\(venuePath).ca_file", "is given, but the url is ws:// and uses no certificates: remove it or use wss://"
      )
    }
  }

  /// What the venue takes for the protection of its mass quotes.
  private mutating func checkProtection() {
    let venue = configuration.venue
    let rules = venue.kind.massQuotes
    let step = DecimalE8(e8: rules.protectionStepE8)
    for (key, value) in [("protection_trade", venue.protectionTrade), ("protection_quote", venue.protectionQuote)] {
      guard let place = places["\(venuePath).\(key)"], value.e8 % step.e8 != 0 else { continue }
      report(
        place, "\(venuePath).\(key)",
        "is \(value), but \(venue.kind.rawValue) takes multiples of \(step): round it")
    }
    let longest = rules.longestWindow / 1_000_000
    if let place = places["\(venuePath).protection_window_ms"], venue.protectionWindowMs > longest {
      report(
        place, "\(venuePath).protection_window_ms",
        "is \(venue.protectionWindowMs), but \(venue.kind.rawValue) counts for at most \(longest) ms: lower it")
    }
  }

  private mutating func checkManager() {
    let manager = configuration.manager
    checkWholeLimit(configuration)
    guard let place = places["manager.widen_at_loss"], places["manager.max_loss"] != nil,
      manager.maxLoss > .zero, manager.widenAtLoss >= manager.maxLoss
    else { return }
    report(
      place, "manager.widen_at_loss",
      "is \(manager.widenAtLoss), but must be below max_loss (\(manager.maxLoss)), at which quoting has stopped: "
        + "lower it, or set it to 0 to never widen")
  }

  private mutating func checkNames() {
    var seen: [String: Int] = [:]
    for (index, instrument) in configuration.instruments.enumerated() {
      let key = "\(prefix)instruments[\(index)].name"
      guard let place = places[key] else { continue }
      guard let first = seen[instrument.name] else {
        seen[instrument.name] = index
        continue
      }
      let line = places["\(prefix)instruments[\(first)].name"].map { " on line \($0.line)" } ?? ""
      report(
        place, key,
        "is \(ShownText.of(instrument.name)), but instruments[\(first)]\(line) has that name: remove one of the two")
    }
  }

  /// What the venue that stands in cannot follow.
  private mutating func checkShadow() {
    guard configuration.engine.mode == .shadow else { return }
    for (index, instrument) in configuration.instruments.enumerated() where instrument.isNamedAsOption {
      let key = "\(prefix)instruments[\(index)].name"
      report(
        places[key], key,
        "is \(ShownText.of(instrument.name)), but a shadow run knows no options, whose marks would not be the venue's: leave "
          + "it out, or try it on a test network")
    }
  }

  private mutating func check(_ instrument: InstrumentSection, _ path: String) {
    let ladder = instrument.ladder
    let limits = instrument.limits
    func has(_ keys: [String]) -> Bool { keys.allSatisfy { places["\(path).\($0)"] != nil } }
    func place(_ key: String) -> ConfigurationPlace? { places["\(path).\(key)"] }
    let hasSizes = has(["ladder.levels", "ladder.size"]) && (ladder.growth == .zero || has(["ladder.growth"]))

    if hasSizes, has(["limits.max_order"]), limits.maxOrder < ladder.largestSize {
      report(
        place("limits.max_order"), "\(path).limits.max_order",
        "is \(limits.maxOrder), but the ladder's largest level is \(ladder.largestSize): "
          + "raise it to \(ladder.largestSize) or more, or make the ladder smaller")
    }
    if hasSizes, has(["limits.max_position"]), limits.maxPosition < ladder.sideSize {
      report(
        place("limits.max_position"), "\(path).limits.max_position",
        "is \(limits.maxPosition), but a side of the ladder adds up to \(ladder.sideSize): "
          + "raise it to \(ladder.sideSize) or more, or make the ladder smaller")
    }
    checkMassQuotes(instrument, path)
    checkStrategy(instrument, path)
    if has(["ladder.levels", "limits.max_orders"]), limits.maxOrders < 2 * ladder.levels {
      report(
        place("limits.max_orders"), "\(path).limits.max_orders",
        "is \(limits.maxOrders), but \(ladder.levels) levels on both sides are \(2 * ladder.levels) orders: "
          + "raise it to \(2 * ladder.levels) or more, or use fewer levels")
    }
  }

  private mutating func checkStrategy(_ instrument: InstrumentSection, _ path: String) {
    if let place = places["\(path).strategy.kind"], case .options = instrument.strategy, !instrument.isNamedAsOption {
      report(
        place, "\(path).strategy.kind",
        "is options, but \(ShownText.of(instrument.name)) is not the name of an option, which ends in -C or -P: choose "
          + "another strategy for it")
    }
    if let place = places["\(path).order_flow.pull_at_best_sizes"], let flow = instrument.orderFlow,
      flow.pullAt <= flow.widenAt
    {
      report(
        place, "\(path).order_flow.pull_at_best_sizes",
        "is \(flow.pullAt), but must be above widen_at_best_sizes (\(flow.widenAt)): raise it, or lower that")
    }
  }

  /// One chain is modelled in one way.
  private mutating func checkChains() {
    var firsts: [String: (index: Int, section: OptionsSection)] = [:]
    for (index, instrument) in configuration.instruments.enumerated() {
      guard case .options(let own) = instrument.strategy else { continue }
      let underlying = Underlying.name(of: instrument.name)
      guard let (first, other) = firsts[underlying] else {
        firsts[underlying] = (index, own)
        continue
      }
      let path = "\(prefix)instruments[\(index)].strategy"
      for (key, mine, theirs) in [
        ("refit_ms", own.refitMs, other.refitMs), ("mark_life_ms", own.markLifeMs, other.markLifeMs),
        ("last_quote_s", own.lastQuoteSeconds, other.lastQuoteSeconds),
      ] where mine != theirs {
        report(
          places["\(path).\(key)"] ?? places["\(path).kind"], "\(path).\(key)",
          "is \(mine), but \(prefix)instruments[\(first)] has \(theirs) for the same chain: give all options of "
            + "\(underlying) one, best under defaults")
      }
    }
  }

  private mutating func checkMassQuotes(_ instrument: InstrumentSection, _ path: String) {
    guard instrument.massQuotes else { return }
    let ladder = instrument.ladder
    let venue = configuration.venue.kind
    let levels = venue.massQuotes.levels
    guard levels > 0 else {
      report(
        places["\(path).mass_quotes"], "\(path).mass_quotes",
        "is true, but the engine sends no mass quotes to \(venue.rawValue): set it to false")
      return
    }
    if let place = places["\(path).ladder.levels"], ladder.levels > levels {
      report(
        place, "\(path).ladder.levels",
        "is \(ladder.levels), but a mass quote has at most \(levels) level\(levels == 1 ? "" : "s") a side at "
          + "\(venue.rawValue): use fewer levels, or set mass_quotes to false")
    }
    if let place = places["\(path).limits.max_orders"], instrument.limits.maxOrders < 4 * ladder.levels {
      report(
        place, "\(path).limits.max_orders",
        "is \(instrument.limits.maxOrders), but while mass quotes replace both sides \(4 * ladder.levels) orders count: "
          + "raise it to \(4 * ladder.levels) or more, or use fewer levels")
    }
    // Where sizes are an amount of the quote currency they cannot be compared with coins.
    if let place = places["\(venuePath).protection_quote"], !instrument.isNamedAsInverse(at: venue),
      configuration.venue.protectionQuote < ladder.largestSize
    {
      report(
        place, "\(venuePath).protection_quote",
        "is \(configuration.venue.protectionQuote), but \(path).ladder quotes up to \(ladder.largestSize): "
          + "raise it, or make the ladder smaller")
    }
  }
}

extension LadderSection {
  /// Size of each level, contracts; the best first. The ladder itself rounds these down to lots.
  var sizes: [DecimalE8] {
    var sizes: [DecimalE8] = []
    var size = size.e8
    for _ in 0..<max(0, levels) {
      sizes.append(DecimalE8(e8: size))
      // More than fits is more than any limit.
      let grown = Int128(size) + Int128(size) * Int128(growth.permille) / 1000
      size = Int64(clamping: grown)
    }
    return sizes
  }

  var largestSize: DecimalE8 { sizes.max() ?? .zero }

  var sideSize: DecimalE8 {
    DecimalE8(e8: Int64(clamping: sizes.reduce(Int128(0)) { sum, size in sum + Int128(size.e8) }))
  }
}
