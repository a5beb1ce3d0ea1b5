import CSupport

extension LaneSettings {
  /// What a configuration says about its lane, but for where the venue is.
  ///
  /// - Parameters:
  ///   - labelPrefix: of this engine's orders.
  ///   - bootEpoch: of this start; seeds what is drawn, and the first client order ids.
  public init(_ configuration: Configuration, labelPrefix: String, bootEpoch: UInt64) {
    self.init()
    self.labelPrefix = labelPrefix
    label = labelPrefix + String(bootEpoch, radix: 36)
    venue = configuration.venue.kind
    account = configuration.venue.account
    cancelOnDisconnectSeconds = configuration.venue.cancelOnDisconnectSeconds
    pingInterval = Nanoseconds(configuration.venue.cancelOnDisconnectSeconds) * 1_000_000_000 / 3
    reserveMessages = configuration.venue.reserveMessages
    closureWindow = Nanoseconds(configuration.venue.closureWindowMs) * 1_000_000
    requestTimeout = Nanoseconds(configuration.venue.requestTimeoutMs) * 1_000_000
    seed = bootEpoch | 1
    protection.trade = configuration.venue.protectionTrade
    protection.quote = configuration.venue.protectionQuote
    protection.window = Nanoseconds(configuration.venue.protectionWindowMs) * 1_000_000
    protection.pause = Nanoseconds(configuration.venue.protectionPauseMs) * 1_000_000
    safety = configuration.safety.settings
    if configuration.venue.role == .reference { isReference = true }
    instruments = configuration.instruments.map { section in
      var instrument = InstrumentSettings(section)
      let underlying = Underlying.name(of: section.name)
      // Where nothing is sent no cap is waited for.
      if configuration.venue.role == .quote, configuration.underlyings.contains(where: { $0.name == underlying }) {
        instrument.awaitsDirective = true
      }
      return instrument
    }
    orderCapacity = Self.orderCapacity(for: configuration)
    // The next life's ids begin elsewhere, at a generation drawn from the time (R17): the upper quarter of what the
    // slot's number leaves of 32 bits is for this life to grow into.
    let slotBits = orderCapacity.trailingZeroBitCount
    firstGeneration = 1 + bootEpoch / 1000 % (1 << UInt64(30 - slotBits))
  }

  /// A power of two. Ended orders keep their slots for ten seconds; a side of mass quotes takes new ones each time.
  static func orderCapacity(for configuration: Configuration) -> Int {
    let resting = configuration.instruments.reduce(0) { $0 + $1.limits.maxOrders * ($1.massQuotes ? 32 : 8) }
    var capacity = 4096
    while capacity < resting, capacity < 1 << 17 { capacity *= 2 }
    return capacity
  }
}

extension InstrumentSettings {
  /// What is said of one instrument, but for its underlying.
  init(_ section: InstrumentSection) {
    self.init(
      name: section.name, maximumPosition: section.ownMaxPosition, maximumOrder: section.limits.maxOrder,
      maximumNotional: section.limits.maxNotional, collarCentiBps: section.limits.collarBps.hundredths,
      maximumOrders: section.limits.maxOrders, priceToleranceTicks: Int64(section.ladder.keepWithinTicks),
      keepSizePermille: section.ladder.keepSize.permille, bookDepth: section.bookDepth,
      staleAfter: Nanoseconds(section.staleAfterMs) * 1_000_000)
    usesMassQuotes = section.massQuotes
    if section.isHandedOver { isHandedOver = true }
  }
}

extension Configuration {
  /// The ladder of each instrument on its grid; `grids` in the order of `instruments`.
  public func ladders(on grids: [InstrumentGrid]) -> [LadderParameters] {
    precondition(grids.count == instruments.count, "one grid for each instrument")
    return zip(instruments, grids).map { $0.ownLadder.parameters(on: $1) }
  }
}
