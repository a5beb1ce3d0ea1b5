import CSupport

extension LossLevel {
  var level: StopLevel {
    switch self {
    case .noNew: .noNewOrders
    case .cancel: .cancelAll
    case .flatten: .flatten
    case .disconnect: .disconnect
    }
  }
}

extension SafetySection {
  /// The rules in the units of a lane.
  var settings: SafetySettings {
    func nanoseconds(_ milliseconds: Int) -> Nanoseconds { Nanoseconds(milliseconds) * 1_000_000 }
    var settings = SafetySettings()
    settings.widenPermille = Int32(clamping: widenFactor.permille)
    settings.flattenWorstCentiBps = flattenWorstBps.hundredths
    settings.flattenInterval = nanoseconds(flattenIntervalMs)
    settings.maximumLossE8 = laneMaxLoss.e8
    settings.maximumDrawdownE8 = laneMaxDrawdown.e8
    settings.lossLevel = lossLevel.level
    settings.messagesPerMinute = maxMessagesPerMinute
    settings.messagesPerFill = maxMessagesPerFill
    settings.churnPause = nanoseconds(churnPauseMs)
    settings.rejectCount = rejectCount
    settings.rejectPause = nanoseconds(rejectPauseMs)
    settings.longestRejectPause = nanoseconds(rejectLongestPauseMs)
    settings.bookStaleAfter = nanoseconds(bookStaleMs)
    settings.markStaleAfter = nanoseconds(markStaleMs)
    settings.indexStaleAfter = nanoseconds(indexStaleMs)
    settings.clockOffsetLimit = nanoseconds(clockOffsetMs)
    settings.slowAckWiden = nanoseconds(slowAckWidenMs)
    settings.slowAckStop = nanoseconds(slowAckStopMs)
    settings.slowAckPause = nanoseconds(slowAckPauseMs)
    settings.toxicFills = toxicFills
    settings.toxicWindow = nanoseconds(toxicWindowMs)
    settings.toxicMoveCentiBps = toxicMoveBps.hundredths
    settings.toxicMoveWindow = nanoseconds(toxicMoveMs)
    settings.toxicPause = nanoseconds(toxicPauseMs)
    return settings
  }
}
