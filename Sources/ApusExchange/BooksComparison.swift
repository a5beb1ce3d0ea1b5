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
  public init(engine: EngineReport, venue: AccountBooks?) {
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
      items.append(
        Item("\(instrument.name) fees, 10⁻⁸ USD", "\(instrument.feesE8)", "\(position?.feesE8 ?? 0)"))
    }
    compareTrades(engine, venue)
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
