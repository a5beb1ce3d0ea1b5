import CSupport

/// The account of a run that was killed, as far as its journal tells it, for the run that continues it.
///
/// It is a beginning, not the truth: the lane asks the venue for the executions since, books those whose ids it does not
/// have, and compares positions before it quotes.
public struct CarriedAccount: Codable, Equatable, Sendable {
  public struct Instrument: Codable, Equatable, Sendable {
    public var name: String
    /// Of a lot that quantities here are counted in, 10⁻⁸ contracts.
    public var lotE8: Int64
    public var positionLots: Int64
    /// Proceeds of sells less costs of buys, fees not taken off.
    public var cashE8: MoneyE8
    public var feesE8: MoneyE8
    public var boughtLots: Int64
    public var soldLots: Int64
    /// Value of all executions, 10⁻⁸ of the quote currency.
    public var tradedE8: MoneyE8
    public var fills: Int
    public var fillsWithoutFee: Int
    /// When the account began, by the venue's clock: what was executed before belongs to nobody here. 0: not known.
    public var openedAt: Nanoseconds
    /// Executions until then, by the venue's clock, are part of the position, valued at `includedMarkTicks`.
    public var includedUntil: Nanoseconds
    public var includedMarkTicks: Int64
    /// Times that the venue's position was taken over because it differed.
    public var adjustments: Int
  }

  /// An execution that is booked already.
  public struct Trade: Codable, Equatable, Sendable {
    public var id: String
    public var hasFee: Bool
  }

  /// Boot epochs of the runs that are continued, oldest first.
  public var runs: [UInt64] = []
  public var instruments: [Instrument] = []
  /// The latest executions, in the order in which they were booked.
  public var trades: [Trade] = []
  /// Time of the newest of them by the venue's clock.
  public var newestTrade: Nanoseconds = 0

  /// Ids that a run begins with: more than a venue executes for us in the time that is asked for again, and few enough that
  /// the record which holds them fits in the smallest segment that can be configured, 1 MiB.
  static let tradeCapacity = 8192

  /// Adds executions behind those that are there; a later record of the same one brings its fee.
  mutating func add(_ later: some Sequence<Trade>) {
    var places: [String: Int] = [:]
    for (place, trade) in trades.enumerated() { places[trade.id] = place }
    for trade in later {
      if let place = places[trade.id] {
        trades[place].hasFee = trades[place].hasFee || trade.hasFee
      } else {
        places[trade.id] = trades.count
        trades.append(trade)
      }
    }
    trades.removeFirst(max(0, trades.count - Self.tradeCapacity))
  }
}

extension CarriedAccount.Instrument {
  /// `nil` for one whose position was not known.
  init?(_ record: AccountRecord, name: String) {
    guard record.is_position_known != 0 else { return nil }
    self.init(
      name: name, lotE8: record.lot_e8, positionLots: record.position_lots.rawValue, cashE8: record.cash_e8,
      feesE8: record.fees_e8, boughtLots: record.bought_lots.rawValue, soldLots: record.sold_lots.rawValue,
      tradedE8: record.traded_e8, fills: Int(record.fill_count), fillsWithoutFee: Int(record.fills_without_fee),
      openedAt: record.opened_ns, includedUntil: record.included_until_ns,
      includedMarkTicks: record.included_mark_ticks.rawValue,
      adjustments: Int(record.adjustment_count))
  }
}

extension StateTracker {
  /// Begins with the account of a killed run. Cold, before anything else.
  ///
  /// - Parameter names: of the instruments, by index.
  mutating func carry(_ account: CarriedAccount, names: [String]) {
    carriesAccount = true
    firstRun = account.runs.min() ?? 0
    for carried in account.instruments {
      guard let index = names.firstIndex(of: carried.name) else { continue }
      state(InstrumentIndex(index)).pointee.carry(carried)
    }
    for trade in account.trades {
      guard let id = VenueID(trade.id) else { continue }
      _ = trades.note(id, hasFee: trade.hasFee)
    }
  }

  /// How the account of one instrument stands; `newestTrade`: time of the newest execution booked, venue's clock.
  func account(_ instrument: InstrumentIndex, newestTrade: Nanoseconds) -> AccountRecord {
    var record = AccountRecord()
    state(instrument).pointee.write(to: &record)
    record.instrument_index = instrument
    record.venue_time_ns = newestTrade
    return record
  }
}

extension InstrumentState {
  fileprivate mutating func carry(_ account: CarriedAccount.Instrument) {
    position = QtyLots(rawValue: account.positionLots)
    lotE8 = account.lotE8
    cashE8 = account.cashE8
    feesE8 = account.feesE8
    boughtLots = QtyLots(rawValue: account.boughtLots)
    soldLots = QtyLots(rawValue: account.soldLots)
    tradedE8 = account.tradedE8
    fills = account.fills
    fillsWithoutFee = account.fillsWithoutFee
    openedAt = account.openedAt
    includedUntil = account.includedUntil
    includedMark = PriceTicks(rawValue: account.includedMarkTicks)
    positionAdjustments = account.adjustments
    notePeaks()
  }

  fileprivate func write(to record: inout AccountRecord) {
    record.position_lots = position ?? .zero
    record.is_position_known = isAccountKnown ? 1 : 0
    record.lot_e8 = lotE8
    record.cash_e8 = cashE8
    record.fees_e8 = feesE8
    record.bought_lots = boughtLots
    record.sold_lots = soldLots
    record.traded_e8 = tradedE8
    record.opened_ns = openedAt
    record.included_until_ns = includedUntil
    record.included_mark_ticks = includedMark
    record.adjustment_count = UInt32(clamping: positionAdjustments)
    record.fill_count = UInt32(clamping: fills)
    record.fills_without_fee = UInt32(clamping: fillsWithoutFee)
  }
}

extension VenueID {
  /// The identifier as text.
  var text: String {
    withUnsafeBytes(of: self) { String(decoding: $0.prefix(Int(count)), as: UTF8.self) }
  }

  /// `nil` if the text is empty or too long for an id.
  init?(_ text: String) {
    self.init()
    let bytes = text.utf8.map { CChar(bitPattern: $0) }
    guard apus_id_set(&self, bytes, bytes.count) else { return nil }
  }
}
