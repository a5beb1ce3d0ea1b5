public import CSupport

/// Limits on the whole, over all lanes. Money in 10⁻⁸ of the quote currency.
public struct ManagerSettings: Equatable, Sendable {
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
  var widenPermille: Int32
  var targetPosition: Int64
  /// A level of the kill ladder that is to be latched, and its cause; 0: none.
  var haltLevel: UInt8 = 0
  var haltCause: UInt8 = 0

  var directive: Directive {
    var directive = Directive()
    directive.isQuotingAllowed = isQuotingAllowed
    directive.widenPermille = widenPermille
    directive.targetPosition = QtyLots(rawValue: targetPosition)
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

  init(settings: ManagerSettings, instrumentsPerLane: [Int]) {
    self.settings = settings
    latest = instrumentsPerLane.map { Array(repeating: nil, count: $0) }
  }

  mutating func note(_ update: LaneUpdate, lane: Int) {
    guard lane < latest.count, Int(update.instrument) < latest[lane].count else { return }
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

  /// What each instrument of a lane is told now.
  func directives(lane: Int) -> [DirectiveMessage] {
    latest[lane].indices.map {
      DirectiveMessage(
        instrument: InstrumentIndex($0), isQuotingAllowed: level != .halted || settings.haltLevel < .cancelAll,
        widenPermille: level == .widened ? settings.widenPermille : 1000, targetPosition: 0,
        haltLevel: level == .halted ? UInt8(settings.haltLevel.rawValue) : 0, haltCause: cause.rawValue)
    }
  }
}
