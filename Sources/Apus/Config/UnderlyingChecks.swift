/// What must hold between venues, instruments and what is said of their underlyings.
extension ConfigurationChecks {
  mutating func checkUnderlyings(_ configuration: Configuration) {
    for (index, underlying) in configuration.underlyings.enumerated() {
      let path = "underlyings[\(index)]"
      checkMembers(of: underlying, path, configuration)
      if let first = configuration.underlyings[..<index].firstIndex(where: { $0.name == underlying.name }) {
        report(
          places["\(path).name"], "\(path).name",
          "is \(ShownText.of(underlying.name)), but underlyings[\(first)] has that name: remove one of the two")
      }
      checkSizes(of: underlying, path, configuration)
      checkHedge(of: underlying, path, configuration)
      checkFair(of: underlying, path, configuration)
      checkCrossed(of: underlying, path, configuration)
    }
    checkCentres(configuration)
  }

  private func lanes(on underlying: UnderlyingSection, _ configuration: Configuration) -> [Configuration] {
    configuration.lanes.filter { $0.instruments.contains { Underlying.name(of: $0.name) == underlying.name } }
  }

  private mutating func checkMembers(
    of underlying: UnderlyingSection, _ path: String, _ configuration: Configuration
  ) {
    let members = configuration.lanes.flatMap(\.instruments).map(\.name).filter {
      Underlying.name(of: $0) == underlying.name
    }
    if places["\(path).name"] != nil, members.isEmpty {
      report(
        places["\(path).name"], "\(path).name",
        "is \(ShownText.of(underlying.name)), but no instrument's name begins so: correct it, or remove the entry")
    } else if places["\(path).name"] != nil, !lanes(on: underlying, configuration).contains(where: { $0.venue.role == .quote })
    {
      report(
        places["\(path).name"], "\(path).name",
        "is \(ShownText.of(underlying.name)), but all its instruments are at venues that are only looked at: quote one of "
          + "them, or remove the entry")
    }
    for lane in lanes(on: underlying, configuration) where lane.venue.kind != .thalex {
      guard
        let option = lane.instruments.first(where: {
          $0.isNamedAsOption && Underlying.name(of: $0.name) == underlying.name
        })
      else { continue }
      report(
        places["\(path).name"], "\(path).name",
        "is \(ShownText.of(underlying.name)), on which the option \(option.name) is quoted at \(lane.venue.name), but "
          + "options count by their delta, which is read at Thalex alone: quote it with another engine, or remove the entry")
      return
    }
  }

  /// What a single order is larger than would never be quoted. Of inverse contracts and options the size in coins is not
  /// known here.
  private mutating func checkSizes(
    of underlying: UnderlyingSection, _ path: String, _ configuration: Configuration
  ) {
    guard let place = places["\(path).max_position"] else { return }
    for lane in lanes(on: underlying, configuration) where lane.venue.role == .quote {
      for instrument in lane.instruments
      where Underlying.name(of: instrument.name) == underlying.name
        && (lane.venue.kind != .deribit || instrument.name.contains("_")) && !instrument.isNamedAsOption
        && instrument.ladder.size > underlying.maxPosition
      {
        report(
          place, "\(path).max_position",
          "is \(underlying.maxPosition), but the ladder's first level at \(lane.venue.name) is \(instrument.ladder.size): "
            + "raise it, or make the ladder of \(instrument.name) smaller")
        return
      }
    }
  }

  private mutating func checkHedge(of underlying: UnderlyingSection, _ path: String, _ configuration: Configuration) {
    let instruments = configuration.lanes.filter { $0.venue.role == .quote }.flatMap { lane in
      lane.instruments.map { "\(lane.venue.name):\($0.name)" }
    }
    if let place = places["\(path).hedge"], let hedge = underlying.hedge {
      if !instruments.contains(hedge) {
        report(
          place, "\(path).hedge",
          "is \(ShownText.of(hedge)), but must be one of the instruments that are quoted: choose one of "
            + instruments.joined(separator: ", "))
      } else if Underlying.name(of: String(hedge.drop { $0 != ":" }.dropFirst())) != underlying.name {
        report(
          place, "\(path).hedge",
          "is \(ShownText.of(hedge)), but must be an instrument on \(underlying.name): choose another one")
      } else if Underlying.isOption(hedge) {
        report(
          place, "\(path).hedge",
          "is \(ShownText.of(hedge)), but an option's delta moves: choose a future or a perpetual")
      }
    }
    for key in UnderlyingSection.keys where key.name.hasPrefix("hedge_") && given["\(path).hedge"] == nil {
      // Files that are written out have all defaults.
      guard let place = places["\(path).\(key.name)"], key.text(underlying) != key.text(.blank) else { continue }
      report(place, "\(path).\(key.name)", "is given, but there is no hedge: add hedge, or remove it")
    }
    if let place = places["\(path).hedge_band"], underlying.hedgeBand >= underlying.maxPosition,
      places["\(path).max_position"] != nil
    {
      report(
        place, "\(path).hedge_band",
        "is \(underlying.hedgeBand), but must be below max_position (\(underlying.maxPosition)), at which quoting has "
          + "stopped: lower it")
    }
  }

  private mutating func checkFair(of underlying: UnderlyingSection, _ path: String, _ configuration: Configuration) {
    guard underlying.fair != .none, let place = places["\(path).fair"] else { return }
    let count = configuration.lanes.flatMap(\.instruments).count {
      Underlying.name(of: $0.name) == underlying.name && !$0.isNamedAsOption
    }
    if count == 0 {
      report(
        place, "\(path).fair",
        "is \(underlying.fair.rawValue), but only options are on \(underlying.name), whose prices are not the price of a coin: "
          + "add a future or a perpetual, or set it to none")
    } else if count > FairValue.largestCount {
      report(
        place, "\(path).fair",
        "is \(underlying.fair.rawValue), but \(count) instruments are on \(underlying.name), and a fair value is made of at "
          + "most \(FairValue.largestCount): quote fewer with this engine, or set it to none")
    }
    if let stale = places["\(path).fair_stale_ms"], underlying.fairStaleMs < underlying.fairHalfLifeMs {
      report(
        stale, "\(path).fair_stale_ms",
        "is \(underlying.fairStaleMs), but must be at least fair_half_life_ms (\(underlying.fairHalfLifeMs)): raise it")
    }
  }

  private mutating func checkCrossed(of underlying: UnderlyingSection, _ path: String, _ configuration: Configuration) {
    guard underlying.crossed != .ignore, let place = places["\(path).crossed"] else { return }
    let word = underlying.crossed.rawValue
    if underlying.fair == .none {
      report(
        place, "\(path).crossed",
        "is \(word), but books are compared by the basis of the fair value: set fair to mid or micro, or crossed to ignore")
    }
    let lanes = lanes(on: underlying, configuration)
    if lanes.count < 2 {
      report(
        place, "\(path).crossed", "is \(word), but \(underlying.name) is at one venue only: set it to ignore")
    }
    if let free = lanes.first(where: { $0.venue.takerFeeBps == nil }) {
      report(
        place, "\(path).crossed",
        "is \(word), but the venue \(free.venue.name) does not say what taking costs: give it taker_fee_bps")
    }
    guard underlying.crossed == .take else { return }
    if lanes.filter({ $0.venue.role == .quote }).count < 2 {
      report(
        place, "\(path).crossed",
        "is take, but only one venue of \(underlying.name) may be traded at: set it to avoid or ignore")
    }
    for (key, value) in [("crossed_size", underlying.crossedSize), ("crossed_per_minute", underlying.crossedPerMinute)]
    where value == .zero {
      report(
        places["\(path).\(key)"] ?? place, "\(path).\(key)",
        "is 0, but crossed is take: give it a number of coins, or set crossed to avoid")
    }
    if let place = places["\(path).crossed_size"], underlying.crossedSize > underlying.maxPosition {
      report(
        place, "\(path).crossed_size",
        "is \(underlying.crossedSize), but must be at most max_position (\(underlying.maxPosition)): lower it")
    }
    if let place = places["\(path).crossed_per_minute"], underlying.crossedPerMinute < underlying.crossedSize {
      report(
        place, "\(path).crossed_per_minute",
        "is \(underlying.crossedPerMinute), but must be at least crossed_size (\(underlying.crossedSize)): raise it, or lower "
          + "crossed_size")
    }
  }

  /// A ladder around a value that nobody makes would never quote.
  private mutating func checkCentres(_ configuration: Configuration) {
    let priced = configuration.underlyings.filter { $0.fair != .none }.map(\.name)
    let isList = places.keys.contains { $0.hasPrefix(ConfigurationReader.venues) }
    for (lane, plan) in configuration.lanes.enumerated() where plan.venue.role == .quote {
      for (index, instrument) in plan.instruments.enumerated() where instrument.ladder.around == .fair {
        let path = (isList ? "\(ConfigurationReader.venues)[\(lane)]." : "") + "instruments[\(index)].ladder.around"
        let underlying = Underlying.name(of: instrument.name)
        guard let place = places[path] else { continue }
        if instrument.isNamedAsOption {
          report(
            place, path,
            "is fair, but the fair value is the price of a coin, and \(instrument.name) is an option: set it to mid")
        }
        guard !priced.contains(underlying) else { continue }
        report(
          place, path,
          "is fair, but no fair value is made of \(underlying): give it an entry of underlyings with fair, or set it to mid")
      }
    }
    if configuration.lanes.allSatisfy({ $0.venue.role == .reference }) {
      let path = isList ? "\(ConfigurationReader.venues)[0].role" : "venue.role"
      guard let place = places[path] else { return }
      report(place, path, "is reference, but no other venue is quoted at: set the role of one of them to quote")
    }
  }

  /// A limit over everything must count everything.
  mutating func checkWholeLimit(_ configuration: Configuration) {
    guard configuration.manager.maxExposure > .zero, let place = places["manager.max_exposure"] else { return }
    let named = Set(configuration.underlyings.map(\.name))
    for lane in configuration.lanes where lane.venue.role == .quote {
      guard let other = lane.instruments.first(where: { !named.contains(Underlying.name(of: $0.name)) }) else { continue }
      report(
        place, "manager.max_exposure",
        "is \(configuration.manager.maxExposure), but \(other.name) is on none of underlyings and would not be counted: add an "
          + "entry named \(Underlying.name(of: other.name)), or set max_exposure to 0")
      return
    }
    for underlying in configuration.underlyings {
      let own = lanes(on: underlying, configuration).filter { $0.venue.role == .quote }.flatMap(\.instruments).filter {
        Underlying.name(of: $0.name) == underlying.name
      }
      guard !own.isEmpty, own.allSatisfy(\.isNamedAsOption) else { continue }
      report(
        place, "manager.max_exposure",
        "is \(configuration.manager.maxExposure), but only options are quoted on \(underlying.name), so that nothing says what "
          + "a coin of it is worth: add a future or a perpetual on it, or set max_exposure to 0")
    }
  }
}
