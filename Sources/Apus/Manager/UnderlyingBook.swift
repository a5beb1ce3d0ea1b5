import CSupport

/// One underlying over all venues: who holds how much of it, who may hold how much, and what is to be hedged.
///
/// Amounts in 10⁻⁸ coins; free of clocks and I/O.
struct UnderlyingBook {
  struct Member {
    var lane: Int
    var instrument: InstrumentIndex
    /// The last statement with a known position.
    var update: LaneUpdate?
    /// The caps that should be in force, and whether they are others than before.
    var longCoins: Int64 = 0
    var shortCoins: Int64 = 0
    var isNew = false
    /// The next message's caps, lots.
    var longCap: Int64 = 0
    var shortCap: Int64 = 0

    init(lane: Int, instrument: InstrumentIndex) {
      self.lane = lane
      self.instrument = instrument
    }

    /// So many coins, as lots.
    func lots(_ coinsE8: Int64) -> Int64 {
      guard let unit = update?.unitE12, unit > 0 else { return 0 }
      let (lots, rest) = (Int128(coinsE8) * 10_000).quotientAndRemainder(dividingBy: Int128(unit))
      // Down: a cap that is negative must not come out looser.
      return Int64(clamping: rest < 0 ? lots - 1 : lots)
    }

    func coinsE8(_ lots: Int64, up: Bool = false) -> Int64 {
      guard let unit = update?.unitE12 else { return 0 }
      let product = Int128(lots) * Int128(unit)
      return Int64(clamping: product / 10_000 + (up && product % 10_000 > 0 ? 1 : 0))
    }
  }

  let settings: UnderlyingSettings
  private var members: [Member]
  private var long: ExposureBudget
  private var short: ExposureBudget
  /// A hedge was asked for; the serial of its message until the lane has dealt with it.
  private var hedgeSerial: UInt32?
  /// Turns since a hedge was asked for.
  private var turnsSinceHedge = UnderlyingBook.hedgePause
  /// A hedge that came to nothing, for whatever reason, is not asked for again in each turn.
  static let hedgePause = 10

  init(_ settings: UnderlyingSettings, members: [Member]) {
    self.settings = settings
    self.members = members
    long = ExposureBudget(limit: settings.maximumE8, members: members.count)
    short = ExposureBudget(limit: settings.maximumE8, members: members.count)
  }

  /// The sum of the positions; `nil` while one is unknown.
  var position: Int64? {
    var sum: Int64 = 0
    for member in members {
      guard let update = member.update else { return nil }
      sum += member.coinsE8(update.position)
    }
    return sum
  }

  /// The most that may come to be held, long or short: everything unproven counted, and a dark venue as it last stood.
  var worst: (long: Int64, short: Int64)? {
    guard let long = long.worst, let short = short.worst else { return nil }
    return (long, short)
  }

  mutating func note(_ update: LaneUpdate, _ member: Int) {
    // Options without a delta, and anything without a mark, have no size in coins yet.
    guard update.isPositionKnown, update.unitE12 > 0 else { return }
    members[member].update = update
    long.note(member, worst: members[member].coinsE8(update.worstLong, up: true), obeyed: update.serial)
    short.note(member, worst: members[member].coinsE8(update.worstShort, up: true), obeyed: update.serial)
  }

  mutating func plan() {
    turnsSinceHedge = min(turnsSinceHedge + 1, Self.hedgePause)
    let (longs, shorts) = (long.caps(), short.caps())
    for index in members.indices {
      members[index].isNew = longs[index] != members[index].longCoins || shorts[index] != members[index].shortCoins
      members[index].longCoins = longs[index]
      members[index].shortCoins = shorts[index]
      members[index].longCap = members[index].lots(longs[index])
      members[index].shortCap = members[index].lots(shorts[index])
    }
  }

  /// Writes caps and target into a member's next message; whether they differ enough from the last one to be sent.
  func fill(_ message: inout DirectiveMessage, _ member: Int, _ last: DirectiveMessage) -> Bool {
    let own = members[member]
    message.longCap = own.longCap
    message.shortCap = own.shortCap
    if settings.skews, let total = position, let update = own.update {
      // The ladder leans against the distance from its target: that is to be the position of all.
      message.targetPosition = update.position - own.lots(total)
    }
    let tolerance = max(1, own.lots(settings.maximumE8 / 50))
    return own.isNew
      || abs(message.targetPosition - last.targetPosition) >= tolerance
  }

  mutating func sent(_ message: DirectiveMessage, _ member: Int) {
    long.sent(members[member].coinsE8(message.longCap, up: true), to: member, serial: message.serial)
    short.sent(members[member].coinsE8(message.shortCap, up: true), to: member, serial: message.serial)
  }

  /// An order that takes the position of all back to nothing, if it has left its band and none is under way.
  func hedge() -> (lane: Int, message: DirectiveMessage)? {
    guard turnsSinceHedge == Self.hedgePause, let hedge = settings.hedge, let total = position,
      abs(total) > hedge.bandE8,
      let member = members.first(where: { $0.lane == hedge.lane && $0.instrument == hedge.instrument }),
      let update = member.update, update.isReady, update.markE8 > 0
    else { return nil }
    if let hedgeSerial, update.serial &- hedgeSerial >= 1 << 31 || update.isHedging { return nil }
    // Towards zero: never beyond it.
    let lots = total < 0 ? -member.lots(-total) : member.lots(total)
    guard lots != 0 else { return nil }
    return (
      hedge.lane,
      DirectiveMessage(
        instrument: hedge.instrument, isQuotingAllowed: true, isHedge: true, widenPermille: 1000,
        targetPosition: -lots, slippageCentiBps: hedge.slippageCentiBps)
    )
  }

  mutating func hedged(_ message: DirectiveMessage) {
    hedgeSerial = message.serial
    turnsSinceHedge = 0
  }
}
