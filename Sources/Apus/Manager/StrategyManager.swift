public import CSupport

/// Limits on the whole, over all lanes. Money in 10⁻⁸ of the quote currency.
public struct ManagerSettings: Equatable, Sendable {
  public var underlyings: [UnderlyingSettings] = []
  /// Loss at which quoting stops for good; 0: no limit.
  public var maximumLossE8: MoneyE8
  /// Loss from which on the quotes are widened; 0: never. They narrow again at half of it.
  public var widenAtLossE8: MoneyE8
  public var widenPermille: Int32
  /// Fall from the best profit so far at which quoting stops; 0: no limit.
  public var maximumDrawdownE8: MoneyE8
  /// What loss and drawdown do.
  public var haltLevel: StopLevel
  /// The most that the worst cases of all underlyings may be worth together; 0: no limit. Each has its own limit besides.
  public var maximumExposureE8: MoneyE8 = 0
  /// Lanes that only look.
  public var referenceLanes: Set<Int> = []
  /// A lane that has said nothing for so long is taken for dark.
  public var darkAfter: Nanoseconds = 1_000_000_000

  public init(
    maximumLossE8: MoneyE8 = 0, widenAtLossE8: MoneyE8 = 0, widenPermille: Int32 = 2000,
    maximumDrawdownE8: MoneyE8 = 0, haltLevel: StopLevel = .cancelAll
  ) {
    self.maximumLossE8 = maximumLossE8
    self.widenAtLossE8 = widenAtLossE8
    self.widenPermille = widenPermille
    self.maximumDrawdownE8 = maximumDrawdownE8
    self.haltLevel = haltLevel
  }
}

/// Decides over all lanes together: reads how they stand, answers with directives.
///
/// Free of I/O and of clocks; its thread feeds it. The same updates at the same times give the same directives.
struct StrategyManager {
  enum Level: Equatable {
    case normal, widened
    /// A limit was met. Ends when a person re-arms, and with the engine (R52).
    case halted
  }

  let settings: ManagerSettings
  /// The last update of each (lane, instrument), lane by lane.
  private var latest: [[LaneUpdate?]]
  private(set) var level = Level.normal
  private(set) var profitE8: MoneyE8 = 0
  /// Which limit was met.
  private(set) var cause = HaltCause.overallLoss
  /// Profit at the start or the last re-arming, and the best since then. The first counts as zero: with the engine
  /// profit counts from nothing.
  private var baseE8: MoneyE8 = 0
  private var peakE8: MoneyE8 = 0
  private(set) var books: [UnderlyingBook] = []
  /// What each underlying has of the limit over all of them.
  private var shares: [MoneyE8]
  /// By lane and instrument: the underlying, if it has a limit.
  private var homes: [[Home?]]
  private struct Home {
    var book: Int
    /// Where its prices are; `nil` of an option.
    var source: Int?
    /// `nil` if it is only looked at.
    var member: Int?
  }
  /// By lane and instrument: what was last asked.
  private var asked: [[DirectiveMessage]]
  /// When each lane last said something.
  private var heardAt: [Nanoseconds?]

  /// - Parameter instruments: by lane, their names at the venue.
  init(settings: ManagerSettings, instruments: [[String]]) {
    self.settings = settings
    latest = instruments.map { Array(repeating: nil, count: $0.count) }
    homes = instruments.map { Array(repeating: nil, count: $0.count) }
    heardAt = Array(repeating: nil, count: instruments.count)
    shares = Array(repeating: 0, count: settings.underlyings.count)
    asked = instruments.map { names in
      names.indices.map {
        DirectiveMessage(
          instrument: InstrumentIndex($0), isQuotingAllowed: true, widenPermille: 1000, targetPosition: 0)
      }
    }
    for underlying in settings.underlyings {
      var members: [UnderlyingBook.Member] = []
      var references: [(lane: Int, instrument: InstrumentIndex)] = []
      for (lane, names) in instruments.enumerated() {
        for (index, name) in names.enumerated() where Underlying.name(of: name) == underlying.name {
          if settings.referenceLanes.contains(lane) {
            references.append((lane, InstrumentIndex(index)))
          } else {
            members.append(
              UnderlyingBook.Member(
                lane: lane, instrument: InstrumentIndex(index), isOption: Underlying.isOption(name)))
          }
        }
      }
      members = members.filter { !$0.isOption } + members.filter(\.isOption)
      let priced = members.count { !$0.isOption }
      for (place, member) in members.enumerated() {
        homes[member.lane][Int(member.instrument)] = Home(
          book: books.count, source: place < priced ? place : nil, member: place)
      }
      for (place, reference) in references.enumerated() {
        homes[reference.lane][Int(reference.instrument)] = Home(book: books.count, source: priced + place)
      }
      var book = UnderlyingBook(underlying, members: members, references: references)
      // Nothing is held before a share of the limit over all has been handed out.
      if settings.maximumExposureE8 > 0 { book.limit(moneyE8: 0) }
      books.append(book)
    }
  }

  init(settings: ManagerSettings, instrumentsPerLane: [Int]) {
    self.init(settings: settings, instruments: instrumentsPerLane.map { Array(repeating: "", count: $0) })
  }

  /// The position of an underlying over all venues, 10⁻⁸ coins, by its place in the settings; `nil` while one is unknown.
  func position(_ underlying: Int) -> Int64? { books[underlying].position }

  mutating func note(_ update: LaneUpdate, lane: Int, now: Nanoseconds = 0) {
    guard lane < latest.count, Int(update.instrument) < latest[lane].count else { return }
    heardAt[lane] = now
    if let home = homes[lane][Int(update.instrument)], let member = home.member {
      books[home.book].note(update, member, now: now)
    }
    // Without a mark nothing is known of the profit: the last one known stays. What is held where we only look is not ours.
    guard update.isPositionKnown, update.markE8 > 0, !settings.referenceLanes.contains(lane) else { return }
    latest[lane][Int(update.instrument)] = update
  }

  mutating func note(_ top: LaneTop, lane: Int) {
    guard lane < homes.count, Int(top.instrument) < homes[lane].count, let home = homes[lane][Int(top.instrument)],
      let source = home.source
    else { return }
    books[home.book].note(top, from: source)
  }

  func isDark(_ lane: Int, now: Nanoseconds) -> Bool { heardAt[lane].map { now - $0 > settings.darkAfter } ?? true }

  /// Looks at the whole. Returns true if every lane must be told anew.
  mutating func decide() -> Bool {
    profitE8 = 0
    for lane in latest {
      for case let update? in lane {
        let (sum, overflow) = profitE8.addingReportingOverflow(update.profitE8)
        profitE8 = overflow ? update.profitE8 : sum
      }
    }
    let before = level
    peakE8 = max(peakE8, profitE8)
    if level == .halted { return false }
    if settings.maximumLossE8 > 0, profitE8 <= baseE8 - settings.maximumLossE8 {
      level = .halted
      cause = .overallLoss
    } else if settings.maximumDrawdownE8 > 0, profitE8 <= peakE8 - settings.maximumDrawdownE8 {
      level = .halted
      cause = .overallDrawdown
    } else if settings.widenAtLossE8 > 0, profitE8 <= baseE8 - settings.widenAtLossE8 {
      level = .widened
    } else if level == .widened, profitE8 > baseE8 - settings.widenAtLossE8 / 2 {
      level = .normal
    }
    return level != before
  }

  /// By hand: loss and drawdown count from here. The lanes are to be told anew.
  mutating func rearm() {
    baseE8 = profitE8
    peakE8 = profitE8
    level = .normal
  }

  /// Prices every underlying anew, and says which instruments are to be told of it: the rest of what they are told stays.
  /// `now` never falls.
  mutating func prices(now: Nanoseconds) -> [(lane: Int, message: DirectiveMessage)] {
    var messages: [(lane: Int, message: DirectiveMessage)] = []
    for index in books.indices where books[index].settings.fair != nil {
      books[index].price(now: now)
      for member in books[index].members.indices {
        let (lane, instrument) = (books[index].members[member].lane, Int(books[index].members[member].instrument))
        // Caps come first: a lane that has none yet has nothing to quote.
        guard asked[lane][instrument].serial > 0,
          let value = books[index].newFairE8(member, asked[lane][instrument], now: now)
        else { continue }
        var message = asked[lane][instrument]
        message.fairValueE8 = value
        // A halt that was taken back by hand must not be repeated by a price.
        message.haltLevel = 0
        messages.append((lane, send(message, to: member, of: index, lane: lane, now: now)))
      }
    }
    return messages
  }

  /// What the lanes are to be told now: what is new, or with `isAll` everything.
  mutating func messages(isAll: Bool, now: Nanoseconds = 0) -> [(lane: Int, message: DirectiveMessage)] {
    var messages: [(lane: Int, message: DirectiveMessage)] = []
    shareLimit()
    let isDark = { [heardAt, settings] lane in heardAt[lane].map { now - $0 > settings.darkAfter } ?? true }
    for index in books.indices { books[index].plan(now: now, isDark: isDark) }
    for lane in asked.indices where !settings.referenceLanes.contains(lane) {
      for instrument in asked[lane].indices {
        var message = message(InstrumentIndex(instrument))
        guard let home = homes[lane][instrument], let member = home.member else {
          guard isAll else { continue }
          message.serial = asked[lane][instrument].serial &+ 1
          asked[lane][instrument] = message
          messages.append((lane, message))
          continue
        }
        let isNew = books[home.book].fill(
          &message, member, asked[lane][instrument], widenPermille: settings.widenPermille, now: now)
        guard isNew || isAll else { continue }
        messages.append((lane, send(message, to: member, of: home.book, lane: lane, now: now)))
      }
    }
    guard level != .halted else { return messages }
    for index in books.indices {
      for (member, order) in books[index].takes(now: now, isDark: isDark) {
        let lane = books[index].members[member].lane
        var message = order
        message.serial = asked[lane][Int(message.instrument)].serial &+ 1
        asked[lane][Int(message.instrument)].serial = message.serial
        books[index].took(message, member)
        messages.append((lane, message))
      }
    }
    return messages
  }

  private mutating func send(
    _ message: DirectiveMessage, to member: Int, of book: Int, lane: Int, now: Nanoseconds
  ) -> DirectiveMessage {
    var message = message
    let instrument = Int(message.instrument)
    message.serial = asked[lane][instrument].serial &+ 1
    asked[lane][instrument] = message
    books[book].sent(message, member, now: now)
    return message
  }

  /// Hands the limit over all underlyings out to them, as each underlying's is handed out to its lanes.
  private mutating func shareLimit() {
    guard settings.maximumExposureE8 > 0 else { return }
    shares = ExposureBudget.shares(
      of: settings.maximumExposureE8, books.indices.map { books[$0].share(newest: shares[$0]) })
    for index in books.indices { books[index].limit(moneyE8: shares[index]) }
  }

  /// What every instrument is told because of loss and drawdown.
  private func message(_ instrument: InstrumentIndex) -> DirectiveMessage {
    DirectiveMessage(
      instrument: instrument, isQuotingAllowed: level != .halted || settings.haltLevel < .cancelAll,
      haltLevel: level == .halted ? UInt8(settings.haltLevel.rawValue) : 0, haltCause: cause.rawValue,
      widenPermille: level == .widened ? settings.widenPermille : 1000, targetPosition: 0)
  }

  /// The same for each instrument of a lane.
  func directives(lane: Int) -> [DirectiveMessage] { latest[lane].indices.map { message(InstrumentIndex($0)) } }
}
