import Apus

/// Bytes under way in one direction of a virtual network, in the order in which they left.
struct ParcelQueue {
  private var parcels: [(at: Nanoseconds, end: Int)] = []
  /// Those before have arrived.
  private var first = 0
  /// The bytes of all parcels, one behind the other; those before `start` have arrived.
  private var bytes: [UInt8] = []
  private var start = 0
  /// When the last parcel ever appended arrives: later ones do not overtake it.
  private(set) var lastTime: Nanoseconds = .min

  /// When the next one arrives; `nil` if nothing is under way.
  var nextTime: Nanoseconds? { first < parcels.count ? parcels[first].at : nil }

  /// A parcel that would overtake the one before arrives together with it, as one.
  mutating func append(_ piece: UnsafeRawBufferPointer, at: Nanoseconds) {
    bytes.append(contentsOf: piece)
    if at < lastTime, first < parcels.count {
      parcels[parcels.count - 1].end = bytes.count
    } else {
      lastTime = max(lastTime, at)
      parcels.append((lastTime, bytes.count))
    }
  }

  /// Hands over the next parcel that has arrived by `now`, if there is one.
  ///
  /// - Parameter merges: With it everything that has arrived, in one piece.
  /// - Returns: whether there was one.
  mutating func take(by now: Nanoseconds, merges: Bool = false, _ body: (UnsafeRawBufferPointer) -> Void) -> Bool {
    guard let time = nextTime, time <= now else { return false }
    first += 1
    while merges, let time = nextTime, time <= now { first += 1 }
    let end = parcels[first - 1].end
    bytes.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[start..<end])) }
    start = end
    if first == parcels.count {
      parcels.removeAll(keepingCapacity: true)
      bytes.removeAll(keepingCapacity: true)
      first = 0
      start = 0
    }
    return true
  }

  /// Takes the next parcel that has arrived by `now`.
  mutating func take(by now: Nanoseconds) -> [UInt8]? {
    var parcel: [UInt8]?
    _ = take(by: now) { parcel = Array($0) }
    return parcel
  }
}
