public import CSupport

/// A receiver that takes some events and lets the others pass: those that it does not implement do nothing.
///
/// Not for a receiver that keeps an account: what it forgot to implement would be lost without a word.
public protocol SelectiveEventSink: VenueEventSink, ~Copyable {}

extension SelectiveEventSink where Self: ~Copyable {
  public mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) {}
  public mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {}
  public mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {}
  public mutating func bookEnd(_ instrument: InstrumentIndex) {}
  public mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {}
  public mutating func snapshotBegin(_ kind: SnapshotKind) {}
  public mutating func snapshotEnd(_ kind: SnapshotKind) {}
  public mutating func order(_ report: OrderReport) {}
  public mutating func fill(_ report: FillReport) {}
  public mutating func position(_ report: PositionReport) {}
  public mutating func instrument(_ info: InstrumentInfo, isListed: Bool) {}
  public mutating func replied(_ request: RequestKind, value: Int64) {}
  public mutating func refused(_ request: RequestKind, code: Int64) {}
  public mutating func reconnectRequested() {}
  public mutating func refusedAtEdge(_ problem: DecodeProblem) {}
}
