import CSupport

/// The trade ids seen so far, so that an execution counts once however often it is told (R06).
///
/// Fixed memory: two tables of `capacity` ids each. When the younger is full the older is forgotten
/// and takes its place, so that at least the last `capacity` ids are always known.
public struct TradeSet: ~Copyable {
  struct Entry {
    var first: UInt64 = 0
    var second: UInt64 = 0
    /// The table's epoch when the entry was written; any other value means "empty".
    var epoch: UInt32 = 0
    var hasFee = false
  }

  public enum Sighting: Equatable, Sendable {
    case new
    case known(hasFee: Bool)
  }

  private let entries: UnsafeMutablePointer<Entry>
  private let mask: Int
  private let capacity: Int
  private var count = 0
  /// Table `young` is written; its entries carry `epoch`, those of the other one `epoch - 1`.
  private var young = 0
  private var epoch: UInt32 = 2

  /// - Parameter capacity: how many of the latest ids are certainly known, a power of two.
  public init(capacity: Int) {
    precondition(capacity > 0 && capacity & (capacity - 1) == 0)
    self.capacity = capacity
    mask = capacity * 2 - 1
    entries = .allocate(capacity: capacity * 4)
    entries.initialize(repeating: Entry(), count: capacity * 4)
  }

  deinit { entries.deallocate() }

  private func slot(_ table: Int, _ first: UInt64, _ second: UInt64, _ epoch: UInt32) -> (Int, found: Bool) {
    let base = table * (mask + 1)
    var index = Int(truncatingIfNeeded: first) & mask
    while entries[base + index].epoch == epoch {
      if entries[base + index].first == first, entries[base + index].second == second {
        return (base + index, true)
      }
      index = (index + 1) & mask
    }
    return (base + index, false)
  }

  /// Notes a sighting of `id` and says what was known before. A known id keeps, or gains, its fee.
  public mutating func note(_ id: VenueID, hasFee: Bool) -> Sighting {
    var id = id
    let first = apus_id_hash(&id, 0)
    let second = apus_id_hash(&id, 0x5EED)
    let (place, found) = slot(young, first, second, epoch)
    if found {
      let had = entries[place].hasFee
      entries[place].hasFee = had || hasFee
      return .known(hasFee: had)
    }
    let (older, foundOlder) = slot(1 - young, first, second, epoch - 1)
    if foundOlder {
      let had = entries[older].hasFee
      entries[older].hasFee = had || hasFee
      return .known(hasFee: had)
    }
    entries[place] = Entry(first: first, second: second, epoch: epoch, hasFee: hasFee)
    count += 1
    if count == capacity {
      // The older table's entries become invalid by the change of epoch alone.
      young = 1 - young
      epoch += 1
      count = 0
    }
    return .new
  }

  /// Whether `id` has been noted, without noting it.
  public func contains(_ id: VenueID) -> Bool {
    var id = id
    let first = apus_id_hash(&id, 0)
    let second = apus_id_hash(&id, 0x5EED)
    return slot(young, first, second, epoch).found || slot(1 - young, first, second, epoch - 1).found
  }
}
