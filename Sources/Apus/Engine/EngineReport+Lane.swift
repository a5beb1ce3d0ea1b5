import CSupport

extension LaneRunner where Adapter: ~Copyable {
  /// The account of the run, for after its end.
  func report(name: String, seconds: Double, instrumentNames: [String]) -> EngineReport {
    let counters = lane.core.counters
    var instruments: [EngineReport.Instrument] = []
    var breaches = counters.limitBreaches
    for index in 0..<lane.core.instrumentCount {
      let state = lane.core.tracker.state(InstrumentIndex(index))
      let info = lane.core.markets[index].info
      let time = lane.quotedTime[index]
      let limit = lane.risk.limits(for: InstrumentIndex(index))?.maximumPosition.rawValue ?? 0
      if limit > 0, state.pointee.peakExposure.rawValue > limit { breaches += 1 }
      instruments.append(
        EngineReport.Instrument(
          name: instrumentNames[index], tickE8: info?.grid.tickE8 ?? 0, lotE8: info?.grid.lotE8 ?? 0,
          positionLots: state.pointee.position?.rawValue, fills: state.pointee.fills,
          boughtLots: state.pointee.boughtLots.rawValue, soldLots: state.pointee.soldLots.rawValue,
          feesE8: state.pointee.quotedFeesE8(markE8: lane.core.markets[index].lastMarkE8),
          fillsWithoutFee: state.pointee.fillsWithoutFee,
          profitE8: state.pointee.profitE8(markE8: lane.core.markets[index].lastMarkE8),
          ordersAccepted: state.pointee.ordersAccepted,
          liveOrders: state.pointee.bids.restingCount + state.pointee.asks.restingCount,
          quotedShare: time.observed > 0 ? Double(time.quoted) / Double(time.observed) : 0,
          observedSeconds: Double(time.observed) / 1e9, limitLots: limit,
          peakPositionLots: state.pointee.peakPosition.rawValue,
          peakExposureLots: state.pointee.peakExposure.rawValue,
          positionAdjustments: state.pointee.positionAdjustments))
    }
    return EngineReport(
      name: name, seconds: seconds, isStopVerified: lane.stop.isVerified,
      ordersLeft: lane.stop.isVerified ? 0 : max(lane.stop.left, lane.core.tracker.liveCount),
      unknownOrders: lane.core.tracker.unknownCount, instruments: instruments, inserts: counters.inserts,
      amends: counters.amends, cancels: counters.cancels, massQuotes: counters.massQuotes,
      messagesSent: lane.messagesSent,
      messagesPerMinute: seconds > 0 ? Double(lane.messagesSent) / seconds * 60 : 0,
      rateViolations: counters.throttled, rejects: counters.rejects, refusedLate: counters.refusedLate,
      edgeRefusals: counters.edgeRefusals, gaps: counters.gaps, reconnects: counters.reconnects, moves: counters.moves, limitBreaches: breaches,
      budgetWaits: counters.budgetWaits,
      tickToOrder: EngineReport.Latency(telemetry.tickToOrder),
      tickToFrame: EngineReport.Latency(telemetry.tickToFrame),
      failure: nil, trades: [], journalProblem: nil)
  }
}

extension EngineReport.Latency {
  init(_ histogram: borrowing LatencyHistogram) {
    self.init(
      count: Int(histogram.count), p50: histogram.percentile(50), p99: histogram.percentile(99),
      p999: histogram.percentile(99.9), max: histogram.max)
  }
}

extension EngineReport {
  /// Adds an execution, or the fee of one, as the journal has it.
  mutating func note(_ payload: [UInt8], places: inout [String: Int]) {
    guard payload.count >= MemoryLayout<FillRecord>.size else { return }
    let record = payload.withUnsafeBytes { $0.loadUnaligned(as: FillRecord.self) }
    let tradeID = record.trade_id.text
    if record.is_fee_only != 0 {
      if let place = places[tradeID] { trades[place].feeE8 = record.fee_e8 }
      return
    }
    guard Int(record.instrument_index) < instruments.count else { return }
    places[tradeID] = trades.count
    trades.append(
      Trade(
        tradeID: tradeID, orderID: record.order_id.text,
        instrument: instruments[Int(record.instrument_index)].name, isBuy: record.side == 0,
        priceTicks: record.price_ticks.rawValue, lots: record.qty_lots.rawValue,
        feeE8: record.has_fee != 0 ? record.fee_e8 : nil, isMaker: record.is_maker != 0))
  }
}
