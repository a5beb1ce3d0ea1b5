import Apus

/// Bytes under way in one direction of a virtual network, in the order in which they left.
struct ParcelQueue {
  private var parcels: [(at: Nanoseconds, bytes: [UInt8])] = []
  /// Those before have arrived.
  private var first = 0

  /// When the next one arrives; `nil` if nothing is under way.
  var nextTime: Nanoseconds? { first < parcels.count ? parcels[first].at : nil }

  /// `at` must not be earlier than that of the parcel before.
  mutating func append(_ bytes: UnsafeRawBufferPointer, at: Nanoseconds) { parcels.append((at, Array(bytes))) }

  /// Takes the next parcel that has arrived by `now`.
  mutating func take(by now: Nanoseconds) -> [UInt8]? {
    guard let time = nextTime, time <= now else { return nil }
    defer {
      first += 1
      if first == parcels.count {
        parcels.removeAll(keepingCapacity: true)
        first = 0
      }
    }
    return parcels[first].bytes
  }
}
