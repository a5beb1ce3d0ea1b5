public import Apus

/// The engine's account of a run held against the venue's own books, item by item.
public struct BooksComparison: Sendable, Equatable {
  /// One thing that both sides state.
  public struct Item: Sendable, Equatable, Codable {
    public var name: String
    public var engine: String
    public var venue: String
    public var isEqual: Bool

    public init(_ name: String, _ engine: String, _ venue: String) {
      self.name = name
      self.engine = engine
      self.venue = venue
      isEqual = engine == venue
    }
  }

  public var items: [Item] = []
  public var isEqual: Bool { items.allSatisfy(\.isEqual) }

  /// - Parameters:
  ///   - engine: with the trades of its journal.
  ///   - venue: `nil` if the account never logged in: then everything must be zero.
  public init(engine: EngineReport, venue: AccountBooks?, inverse: Set<String> = []) {
    items.append(
      Item("orders left", "\(engine.ordersLeft + engine.unknownOrders)", "\(venue?.openOrders.count ?? 0)"))
    for instrument in engine.instruments {
      let position = venue?.positions.first { $0.instrument == instrument.name }
      let lots = position?.lots ?? 0
      items.append(
        Item("\(instrument.name) position, lots", instrument.positionLots.map { "\($0)" } ?? "unknown", "\(lots)"))
      let fills = venue?.fills.filter { $0.instrument == instrument.name } ?? []
      items.append(Item("\(instrument.name) fills", "\(instrument.fills)", "\(fills.count)"))
      let bought = fills.filter(\.isBuy).reduce(0) { $0 + $1.lots }
      let sold = fills.filter { !$0.isBuy }.reduce(0) { $0 + $1.lots }
      items.append(Item("\(instrument.name) bought, lots", "\(instrument.boughtLots)", "\(bought)"))
      items.append(Item("\(instrument.name) sold, lots", "\(instrument.soldLots)", "\(sold)"))
      guard !inverse.contains(instrument.name) else { continue }
      items.append(
        Item("\(instrument.name) fees, 10⁻⁸ USD", "\(instrument.feesE8)", "\(position?.feesE8 ?? 0)"))
    }
    compareTrades(engine, venue)
  }

  /// The same of each of an engine's venues, in the order of its lanes, and of what it keeps of an underlying over all.
  ///
  /// - Parameters:
  ///   - lost: Names of venues that are not compared.
  ///   - inverse: Instruments whose fees the venue counts in coins, and the engine in dollars: their sums are not held
  ///     against each other, as each execution's fee is.
  public init(
    engine: EngineReport, venues: [AccountBooks?], lost: [String] = [], inverse: Set<String> = []
  ) {
    let lanes = engine.lanes.isEmpty ? [engine] : engine.lanes.map(\.withoutVenueNames)
    if lanes.count != venues.count {
      items.append(Item("venues", "\(lanes.count)", "\(venues.count)"))
    }
    for (lane, venue) in zip(lanes, venues) where !lost.contains(lane.name) {
      items += Self(engine: lane, venue: venue, inverse: inverse).items.map { item in
        var item = item
        if lanes.count > 1 { item.name = "\(lane.name): \(item.name)" }
        return item
      }
    }
    for underlying in engine.underlyings where lost.isEmpty && !inverse.contains(where: { $0.hasPrefix(underlying.name) }) {
      var coinsE8: Int64 = 0
      for (lane, venue) in zip(lanes, venues) {
        for instrument in lane.instruments where instrument.name.hasPrefix(underlying.name) {
          let lots = venue?.positions.first { $0.instrument == instrument.name }?.lots ?? 0
          coinsE8 += lots * instrument.lotE8
        }
      }
      items.append(
        Item(
          "\(underlying.name) over all venues, 10⁻⁸", underlying.positionE8.map { "\($0)" } ?? "unknown", "\(coinsE8)"))
    }
  }

  /// Every execution by its id and instrument (the legs of a roll share an id): side, price, size, fee, role and order.
  private mutating func compareTrades(_ engine: EngineReport, _ venue: AccountBooks?) {
    let ours = Dictionary(
      engine.trades.map {
        (
          "\($0.tradeID) \($0.instrument)",
          "\($0.instrument) \($0.isBuy) \($0.priceTicks) \($0.lots) \($0.feeE8 ?? -1) \($0.isMaker) \($0.orderID)"
        )
      },
      uniquingKeysWith: { first, second in "\(first) twice \(second)" })
    let names = Set(engine.instruments.map(\.name))
    let theirs = Dictionary(
      (venue?.fills ?? []).filter { names.contains($0.instrument) }
        .map {
          (
            "\($0.tradeID) \($0.instrument)",
            "\($0.instrument) \($0.isBuy) \($0.priceTicks) \($0.lots) \($0.feeE8) \($0.isMaker) \($0.orderID)"
          )
        },
      uniquingKeysWith: { first, second in "\(first) twice \(second)" })
    let different = ours.filter { theirs[$0.key] != $0.value }.count + theirs.filter { ours[$0.key] == nil }.count
    items.append(Item("executions that differ in any field", "\(different)", "0"))
  }
}

extension EngineReport {
  /// Of one venue of several, with the instruments' own names.
  public var withoutVenueNames: EngineReport {
    var report = self
    func own(_ name: String) -> String { String(name.drop { $0 != ":" }.dropFirst()) }
    for index in report.instruments.indices { report.instruments[index].name = own(report.instruments[index].name) }
    for index in report.trades.indices { report.trades[index].instrument = own(report.trades[index].instrument) }
    return report
  }
}
