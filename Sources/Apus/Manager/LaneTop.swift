import CSupport

/// The best prices of others in one of a lane's instruments; fits in one ring record.
struct LaneTop: BitwiseCopyable, Equatable {
  var instrument: InstrumentIndex
  /// The book is valid and has both sides; otherwise the venue says nothing now.
  var isThere: Bool
  var bidE8: Int64 = 0
  var askE8: Int64 = 0
  /// 10⁻⁸ coins.
  var bidSizeE8: Int64 = 0
  var askSizeE8: Int64 = 0
  /// When the venue last said something about the instrument's market.
  var time: Nanoseconds = 0

  var top: FairValue.Top? {
    guard isThere else { return nil }
    return FairValue.Top(bidE8: bidE8, askE8: askE8, bidSizeE8: bidSizeE8, askSizeE8: askSizeE8, time: time)
  }

  /// The same prices and sizes, whenever they were stated.
  func says(the other: LaneTop) -> Bool {
    var other = other
    other.time = time
    return self == other
  }
}
