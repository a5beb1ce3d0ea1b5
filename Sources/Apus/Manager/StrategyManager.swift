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

/// What the manager asks of one lane's instrument; fits in one ring record.
struct DirectiveMessage: BitwiseCopyable {
  var instrument: InstrumentIndex
  var isQuotingAllowed: Bool
  /// A level of the kill ladder that is to be latched, and its cause; 0: none.
  var haltLevel: UInt8 = 0
  var haltCause: UInt8 = 0
  /// What is asked for is one order that takes, and no lasting directive.
  var isHedge = false
  var widenPermille: Int32
  /// Rises by one with every message to an instrument; the lane says which one it has obeyed.
  var serial: UInt32 = 0
  /// Lots; of a hedge what is to be bought, or sold if negative.
  var targetPosition: Int64
  /// Lots; `.max` for none.
  var longCap: Int64 = .max
  var shortCap: Int64 = .max
  /// Of a hedge: how far from the best price it may trade, 10⁻² basis points.
  var slippageCentiBps: Int64 = 0

  var directive: Directive {
    var directive = Directive()
    directive.isQuotingAllowed = isQuotingAllowed
    directive.widenPermille = widenPermille
    directive.targetPosition = QtyLots(rawValue: targetPosition)
    directive.longCap = QtyLots(rawValue: longCap)
    directive.shortCap = QtyLots(rawValue: shortCap)
    return directive
  }
}

/// Decides over all lanes together: reads how they stand, answers with directives.
///
/// Free of I/O and of clocks; its thread feeds it. The same updates give the same directives.
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
  private var books: [UnderlyingBook] = []
  /// By lane and instrument: the underlying, if it has a limit.
  private var homes: [[Home?]]
  private struct Home {
    var book: Int
    var member: Int
  }
  /// By lane and instrument: what was last asked.
  private var asked: [[DirectiveMessage]]

  /// - Parameter instruments: by lane, their names at the venue.
  init(settings: ManagerSettings, instruments: [[String]]) {
    self.settings = settings
    latest = instruments.map { Array(repeating: nil, count: $0.count) }
    homes = instruments.map { Array(repeating: nil, count: $0.count) }
    asked = instruments.map { names in
      names.indices.map {
        DirectiveMessage(
          instrument: InstrumentIndex($0), isQuotingAllowed: true, widenPermille: 1000, targetPosition: 0)
      }
    }
    for underlying in settings.underlyings {
      var members: [UnderlyingBook.Member] = []
      for (lane, names) in instruments.enumerated() {
        for (index, name) in names.enumerated() where Underlying.name(of: name) == underlying.name {
          homes[lane][index] = Home(book: books.count, member: members.count)
          members.append(UnderlyingBook.Member(lane: lane, instrument: InstrumentIndex(index)))
        }
      }
      books.append(UnderlyingBook(underlying, members: members))
    }
  }

  init(settings: ManagerSettings, instrumentsPerLane: [Int]) {
    self.init(settings: settings, instruments: instrumentsPerLane.map { Array(repeating: "", count: $0) })
  }

  /// The position of an underlying over all venues, 10⁻⁸ coins, by its place in the settings; `nil` while one is unknown.
  func position(_ underlying: Int) -> Int64? { books[underlying].position }

  mutating func note(_ update: LaneUpdate, lane: Int) {
    guard lane < latest.count, Int(update.instrument) < latest[lane].count else { return }
    if let home = homes[lane][Int(update.instrument)] { books[home.book].note(update, home.member) }
    // Without a mark nothing is known of the profit: the last one known stays.
    guard update.isPositionKnown, update.markE8 > 0 else { return }
    latest[lane][Int(update.instrument)] = update
  }

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

  /// What the lanes are to be told now: what is new, or with `isAll` everything.
  mutating func messages(isAll: Bool) -> [(lane: Int, message: DirectiveMessage)] {
    var messages: [(lane: Int, message: DirectiveMessage)] = []
    for index in books.indices { books[index].plan() }
    for lane in asked.indices {
      for instrument in asked[lane].indices {
        var message = message(InstrumentIndex(instrument))
        var isNew = isAll
        if let home = homes[lane][instrument] {
          isNew = books[home.book].fill(&message, home.member, asked[lane][instrument]) || isNew
        }
        guard isNew else { continue }
        message.serial = asked[lane][instrument].serial &+ 1
        asked[lane][instrument] = message
        if let home = homes[lane][instrument] { books[home.book].sent(message, home.member) }
        messages.append((lane, message))
      }
    }
    guard level != .halted else { return messages }
    for index in books.indices {
      guard let (lane, request) = books[index].hedge() else { continue }
      var message = request
      message.serial = asked[lane][Int(message.instrument)].serial &+ 1
      asked[lane][Int(message.instrument)].serial = message.serial
      books[index].hedged(message)
      messages.append((lane, message))
    }
    return messages
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
