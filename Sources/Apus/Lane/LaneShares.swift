import CSupport

/// Instruments that another engine of the account has, as far as `share: 0` says so: a release that is rolled out takes them
/// over from the one that it replaces, and gives them back.
///
/// The venue knows one position an account. It belongs to the engine that quotes the instrument: the other one has none,
/// which is neither zero nor unknown, and takes the venue's word for it when it gets the instrument back.
extension Lane where Adapter: ~Copyable {
  /// The share has become 0, or is no longer that. Cold.
  mutating func noteHandedOver(_ instrument: InstrumentIndex, _ now: Nanoseconds) {
    if settings.instruments[Int(instrument)].isHandedOver == true {
      // At once: with the look of this turn the quotes go.
      safety.instruments[Int(instrument)].block = .handedOver
      output.records.note("an instrument is handed over", now: now)
    } else {
      session.sharesRegainedAt = now
      output.records.note("an instrument is taken over", now: now)
    }
    session.mindsShares = true
    safety.changeCount += 1
  }

  /// Leaves positions to the other engine when nothing of ours may trade any more, and takes them over from the venue when
  /// we have an instrument and no position. By the timers of a session that is ready.
  @inline(never)
  mutating func settleShares(_ now: Nanoseconds) {
    for index in 0..<core.instrumentCount {
      let instrument = InstrumentIndex(index)
      let state = core.tracker.state(instrument)
      if settings.instruments[index].isHandedOver == true {
        guard !state.pointee.isReleased || state.pointee.position != nil, state.pointee.openBuyLots == .zero,
          state.pointee.openSellLots == .zero, let mark = mark(of: instrument), state.pointee.release(mark: mark)
        else { continue }
        recordAccount(instrument, now)
      } else if state.pointee.isReleased, state.pointee.position == nil {
        takeOver(instrument, now)
      }
    }
  }

  /// A statement of before does not count: the other engine may have traded since.
  private mutating func takeOver(_ instrument: InstrumentIndex, _ now: Nanoseconds) {
    let isAsked = session.positionsAskedAt >= session.sharesRegainedAt
    guard isAsked, core.answeredAt > session.positionsAskedAt, let stated = core.statedPosition(instrument) else {
      if !isAsked || now - session.positionsAskedAt > settings.requestTimeout { askForPositions(now) }
      return
    }
    adopt(stated, instrument, now)
    core.markDirty(instrument)
  }
}
