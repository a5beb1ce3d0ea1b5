import CSupport

/// One underlying over all venues: who holds how much of it, who may hold how much, what it is worth, and what is to be
/// hedged.
///
/// Amounts in 10⁻⁸ coins; free of clocks and I/O.
struct UnderlyingBook {
  /// An instrument that is traded. Those that are not options come first: the same place among `sources` is where their
  /// prices come from.
  struct Member {
    var lane: Int
    var instrument: InstrumentIndex
    /// It holds as much of the underlying as its delta says, and leans by its own strategy.
    let isOption: Bool
    /// The last statement with a known position.
    var update: LaneUpdate?
    /// The instrument's own limit, lots.
    var limit = Int64.max
    /// Coins of a lot by which caps are reckoned, 10⁻¹², ≥ 0: follows the instrument's unit in steps.
    var capUnitE12: Int64 = 0
    /// Who is long puts is short of the underlying: their sides change places.
    var isInverted = false
    /// As last stated, whether or not the position was known.
    var isReady = false
    /// The caps that should be in force, and whether they are others than before.
    var longCoins: Int64 = 0
    var shortCoins: Int64 = 0
    var isNew = false
    /// The serial of the last message that asked for an order that takes, until the lane has dealt with it.
    var takeSerial: UInt32?
    /// When a message with a fair value was last sent.
    var fairAt: Nanoseconds?

    init(lane: Int, instrument: InstrumentIndex, isOption: Bool = false) {
      self.lane = lane
      self.instrument = instrument
      self.isOption = isOption
    }

    /// So many coins, as lots of an instrument that is no option.
    func lots(_ coinsE8: Int64) -> Int64 { Self.lots(coinsE8, unitE12: update?.unitE12 ?? 0) }

    private static func lots(_ coinsE8: Int64, unitE12: Int64) -> Int64 {
      guard unitE12 > 0 else { return 0 }
      let (lots, rest) = (Int128(coinsE8) * 10_000).quotientAndRemainder(dividingBy: Int128(unitE12))
      // Down: a cap that is negative must not come out looser.
      return Int64(clamping: rest < 0 ? lots - 1 : lots)
    }

    /// Towards zero: never beyond it.
    func lotsTowardsZero(_ coinsE8: Int64) -> Int64 { coinsE8 < 0 ? -lots(-coinsE8) : lots(coinsE8) }

    func coinsE8(_ lots: Int64) -> Int64 { Self.coins(lots, unitE12: update?.unitE12 ?? 0, up: false) }

    private static func coins(_ lots: Int64, unitE12: Int64, up: Bool) -> Int64 {
      let product = Int128(lots) * Int128(unitE12)
      return Int64(clamping: product / 10_000 + (up && product % 10_000 > 0 ? 1 : 0))
    }

    /// What may come to be held as last stated, in coins.
    var worst: (long: Int64, short: Int64) {
      guard let update else { return (0, 0) }
      let unit = Int64(clamping: update.unitE12.magnitude)
      let buys = Self.coins(update.worstLong, unitE12: unit, up: true)
      let sells = Self.coins(update.worstShort, unitE12: unit, up: true)
      return isInverted ? (sells, buys) : (buys, sells)
    }

    /// Writes the caps in force into a message, as lots.
    func cap(_ message: inout DirectiveMessage) {
      message.longCap = Self.lots(isInverted ? shortCoins : longCoins, unitE12: capUnitE12)
      message.shortCap = Self.lots(isInverted ? longCoins : shortCoins, unitE12: capUnitE12)
    }

    /// What the caps of a message are, in coins.
    func caps(_ message: DirectiveMessage) -> (long: Int64, short: Int64) {
      let buys = Self.coins(message.longCap, unitE12: capUnitE12, up: true)
      let sells = Self.coins(message.shortCap, unitE12: capUnitE12, up: true)
      return isInverted ? (sells, buys) : (buys, sells)
    }

    /// More than this is never held, by the instrument's own limit.
    var largest: Int64 {
      limit == .max || capUnitE12 == 0 ? .max : Self.coins(limit, unitE12: capUnitE12, up: true)
    }

    /// The unit has moved by so much that the caps count anew.
    var hasDrifted: Bool {
      guard let unit = update?.unitE12.magnitude else { return false }
      let other = UInt64(capUnitE12)
      return (unit > other ? unit - other : other - unit) > other / 64
    }

    /// An order that was asked for is on its way, or not yet settled.
    var isTaking: Bool {
      guard let takeSerial, let update else { return false }
      return update.serial &- takeSerial >= 1 << 31 || update.isHedging
    }
  }

  /// The sum over all venues, of one moment.
  struct Aggregate: Equatable {
    var position: Int64
    /// The most that may come to be held, everything unproven counted, and a dark venue as it last stood.
    var worstLong, worstShort: Int64
    /// Rises with each statement of a lane.
    var version: UInt64
    var time: Nanoseconds
  }

  let settings: UnderlyingSettings
  private(set) var members: [Member]
  /// Where prices come from: the members that are no options, then instruments that are only looked at.
  private let sources: [(lane: Int, instrument: InstrumentIndex)]
  /// How many members are no options.
  private let priced: Int
  private var long: ExposureBudget
  private var short: ExposureBudget
  private(set) var fair: FairValue?
  private(set) var hedging: Hedging?
  private(set) var crossed: CrossedBooks
  private var crosses: [CrossedBooks.Cross] = []
  private var version: UInt64 = 0
  private var time: Nanoseconds = 0

  /// A fair value is told when it has moved by this much, 10⁻² basis points, …
  static let fairStepCentiBps: Int64 = 5
  /// … not more often than this, and repeated after that.
  static let fairInterval: Nanoseconds = 5_000_000
  static let fairRepetition: Nanoseconds = 1_000_000_000

  /// - Parameters:
  ///   - members: options last.
  ///   - references: instruments of the same underlying that are only looked at.
  init(
    _ settings: UnderlyingSettings, members: [Member], references: [(lane: Int, instrument: InstrumentIndex)] = []
  ) {
    self.settings = settings
    self.members = members
    priced = members.prefix { !$0.isOption }.count
    sources = members.prefix(priced).map { ($0.lane, $0.instrument) } + references
    long = ExposureBudget(limit: settings.maximumE8, members: members.count)
    short = ExposureBudget(limit: settings.maximumE8, members: members.count)
    let count = sources.count
    fair = settings.fair.map { FairValue($0, count: count) }
    hedging = settings.hedge.map { Hedging($0) }
    crossed = CrossedBooks(settings.crossed, count: count)
  }

  // MARK: - What is held

  /// The sum of the positions; `nil` while one is unknown.
  var position: Int64? {
    var sum: Int64 = 0
    for member in members {
      guard let update = member.update else { return nil }
      sum += member.coinsE8(update.position)
    }
    return sum
  }

  /// `nil` while a position is unknown.
  var aggregate: Aggregate? {
    guard let position, let long = long.worst, let short = short.worst else { return nil }
    return Aggregate(position: position, worstLong: long, worstShort: short, version: version, time: time)
  }

  /// In 10⁻⁸ of the quote currency, for a limit over several underlyings: the larger side counts.
  func share(newest limitE8: Int64) -> ExposureBudget.Share {
    func money(_ coinsE8: Int64) -> Int64 {
      coinsE8 == .max ? .max : Int64(clamping: (Int128(coinsE8) * Int128(markE8) + 99_999_999) / 100_000_000)
    }
    guard markE8 > 0, let long = long.worst, let short = short.worst else {
      return ExposureBudget.Share(worst: nil, granted: .max, newest: limitE8, largest: .max)
    }
    return ExposureBudget.Share(
      worst: money(max(long, short)), granted: money(max(self.long.granted, self.short.granted, self.long.limit)),
      newest: limitE8, largest: money(settings.maximumE8))
  }

  /// The dearest mark of those that are known: what a coin counts at. An option's is not the price of a coin.
  private var markE8: Int64 { members.prefix(priced).reduce(0) { max($0, $1.update?.markE8 ?? 0) } }

  /// Leaves this underlying so much money of a limit over several of them.
  mutating func limit(moneyE8: Int64) {
    let coins = markE8 > 0 ? Int64(clamping: Int128(moneyE8) * 100_000_000 / Int128(markE8)) : 0
    long.limit = min(settings.maximumE8, coins)
    short.limit = long.limit
  }

  mutating func note(_ update: LaneUpdate, _ member: Int, now: Nanoseconds) {
    if let limit = update.limit {
      members[member].limit = limit
      return
    }
    version += 1
    time = now
    members[member].isReady = update.isReady
    // Options without a delta, and anything without a mark, have no size in coins yet; nothing is nothing even so.
    let isNothing = update.position == 0 && update.worstLong <= 0 && update.worstShort <= 0
    guard update.isPositionKnown, update.unitE12 != 0 || isNothing else { return }
    members[member].update = update
    if update.unitE12 != 0 {
      members[member].isInverted = update.unitE12 < 0
      if members[member].hasDrifted { reckonAnew(member) }
    }
    let worst = members[member].worst
    long.note(member, worst: worst.long, obeyed: update.serial)
    short.note(member, worst: worst.short, obeyed: update.serial)
  }

  /// A lot has come to be more or fewer coins, by a move of the mark or of a delta: so have the caps that were handed out.
  private mutating func reckonAnew(_ index: Int) {
    guard let unit = members[index].update?.unitE12.magnitude else { return }
    let (from, to) = (members[index].capUnitE12, Int64(clamping: unit))
    members[index].capUnitE12 = to
    guard from > 0 else { return }
    func anew(_ coinsE8: Int64) -> Int64 {
      let product = Int128(coinsE8) * Int128(to)
      return Int64(clamping: product / Int128(from) + (product % Int128(from) > 0 ? 1 : 0))
    }
    long.revalue(index, anew)
    short.revalue(index, anew)
    members[index].longCoins = anew(members[index].longCoins)
    members[index].shortCoins = anew(members[index].shortCoins)
  }

  // MARK: - What it is worth

  mutating func note(_ top: LaneTop, from source: Int) { fair?.note(top.top, from: source) }

  mutating func price(now: Nanoseconds) {
    guard fair != nil else { return }
    fair!.turn(now: now)
    guard settings.crossed.rule != .ignore else { return }
    crosses = crossed.find(fair!, lanes: sources.map(\.lane), now: now)
    crossed.note(crosses, now: now)
  }

  /// The fair value to be told to a member, if it is other enough than the last one.
  func newFairE8(_ member: Int, _ last: DirectiveMessage, now: Nanoseconds) -> Int64? {
    guard member < priced, let value = fair?.valuesE8[member] else { return nil }
    guard let at = members[member].fairAt else { return value == 0 ? nil : value }
    guard now - at >= Self.fairInterval else { return nil }
    if (value == 0) != (last.fairValueE8 == 0) { return value }
    guard value != 0 else { return nil }
    if now - at >= Self.fairRepetition { return value }
    let step = FairValue.share(value, Self.fairStepCentiBps)
    return abs(value - last.fairValueE8) > step ? value : nil
  }

  // MARK: - What is told

  /// - Parameter isDark: whether a lane says nothing.
  mutating func plan(now: Nanoseconds, isDark: (Int) -> Bool) {
    let largest = members.map(\.largest)
    let (longs, shorts) = (long.caps(largest), short.caps(largest))
    for index in members.indices {
      members[index].isNew = longs[index] != members[index].longCoins || shorts[index] != members[index].shortCoins
      members[index].longCoins = longs[index]
      members[index].shortCoins = shorts[index]
    }
    guard let hedge = settings.hedge else { return }
    let isThere = hedger.map { members[$0].isReady && !isDark(hedge.lane) } ?? false
    let position = position
    hedging?.turn(position: position, isThere: isThere, now: now)
  }

  /// The member at which is hedged.
  private var hedger: Int? {
    guard let hedge = settings.hedge else { return nil }
    return members.firstIndex { $0.lane == hedge.lane && $0.instrument == hedge.instrument }
  }

  /// Writes what the underlying asks of a member into its next message; whether that differs enough from the last one to
  /// be sent.
  ///
  /// - Parameter widenPermille: of quotes whose hedging venue is away.
  func fill(
    _ message: inout DirectiveMessage, _ member: Int, _ last: DirectiveMessage, widenPermille: Int32, now: Nanoseconds
  ) -> Bool {
    let own = members[member]
    own.cap(&message)
    if own.isOption {
      stopIfLost(&message, widenPermille)
      return own.isNew || message.isQuotingAllowed != last.isQuotingAllowed
        || message.widenPermille != last.widenPermille
    }
    let total = position
    if settings.skews, let total, let update = own.update {
      // The ladder leans against the distance from its target: that is to be the position of all.
      message.targetPosition = update.position - own.lots(total)
    }
    let newFair = newFairE8(member, last, now: now)
    message.fairValueE8 = newFair ?? last.fairValueE8
    stopIfLost(&message, widenPermille)
    if member == hedger, let hedging, let total {
      message.passiveLots = own.lotsTowardsZero(hedging.passive(position: total))
    }
    message.pullsBids = now < crossed.noBidsUntil[member]
    message.pullsAsks = now < crossed.noAsksUntil[member]
    let tolerance = max(1, own.lots(settings.maximumE8 / 50))
    return own.isNew || newFair != nil || message.isQuotingAllowed != last.isQuotingAllowed
      || message.widenPermille != last.widenPermille || message.pullsBids != last.pullsBids
      || message.pullsAsks != last.pullsAsks || (message.passiveLots == 0) != (last.passiveLots == 0)
      || abs(message.passiveLots - last.passiveLots) >= tolerance
      || abs(message.targetPosition - last.targetPosition) >= tolerance
  }

  /// What quoting does while the venue that hedges is away.
  private func stopIfLost(_ message: inout DirectiveMessage, _ widenPermille: Int32) {
    guard let hedging, hedging.isLost else { return }
    switch hedging.settings.whenLost {
    case .quote: break
    case .widen: message.widenPermille = max(message.widenPermille, widenPermille)
    case .stop: message.isQuotingAllowed = false
    }
  }

  mutating func sent(_ message: DirectiveMessage, _ member: Int, now: Nanoseconds) {
    let caps = members[member].caps(message)
    long.sent(caps.long, to: member, serial: message.serial)
    short.sent(caps.short, to: member, serial: message.serial)
    if fair != nil { members[member].fairAt = now }
  }

  // MARK: - Orders that take

  /// Orders to be sent now: one that takes the position of all back to nothing, if it has left its band; or two that take
  /// crossed prices. None while one is under way there. The serials are the caller's.
  mutating func takes(now: Nanoseconds, isDark: (Int) -> Bool) -> [(member: Int, message: DirectiveMessage)] {
    if let order = hedge(now: now, isDark: isDark) { return [order] }
    return takeCrossed(now: now, isDark: isDark)
  }

  private func canTake(_ member: Int, isDark: (Int) -> Bool) -> Bool {
    let member = members[member]
    guard let update = member.update else { return false }
    return member.isReady && !member.isTaking && update.markE8 > 0 && !isDark(member.lane)
  }

  private mutating func hedge(now: Nanoseconds, isDark: (Int) -> Bool) -> (member: Int, message: DirectiveMessage)? {
    guard let hedger, let total = position, let hedge = settings.hedge, canTake(hedger, isDark: isDark) else {
      return nil
    }
    let coins = hedging!.taking(position: total, now: now)
    let lots = members[hedger].lotsTowardsZero(coins)
    guard lots != 0 else { return nil }
    hedging!.asked(members[hedger].coinsE8(lots), now: now)
    return (hedger, .hedge(hedge.instrument, lots: lots, slippageCentiBps: hedge.slippageCentiBps))
  }

  private mutating func takeCrossed(now: Nanoseconds, isDark: (Int) -> Bool) -> [(
    member: Int, message: DirectiveMessage
  )] {
    guard let largest = settings.fair?.outlierCentiBps else { return [] }
    for cross in crosses {
      guard cross.dear < priced, cross.cheap < priced, canTake(cross.dear, isDark: isDark),
        canTake(cross.cheap, isDark: isDark)
      else { continue }
      let coins = crossed.taking(cross, largestEdge: largest, now: now)
      let (sold, bought) = (members[cross.dear].lots(coins), members[cross.cheap].lots(coins))
      guard sold > 0, bought > 0 else { continue }
      crossed.took(coins, now: now)
      let slippage = crossed.slippageCentiBps(cross)
      return [
        (cross.cheap, .hedge(members[cross.cheap].instrument, lots: bought, slippageCentiBps: slippage)),
        (cross.dear, .hedge(members[cross.dear].instrument, lots: -sold, slippageCentiBps: slippage)),
      ]
    }
    return []
  }

  mutating func took(_ message: DirectiveMessage, _ member: Int) { members[member].takeSerial = message.serial }
}
