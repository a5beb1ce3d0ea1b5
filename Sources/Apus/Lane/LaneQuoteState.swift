import CSupport

/// What a lane keeps for quoting with mass quotes: the sides under way and the batch that is being filled.
struct LaneQuotes: ~Copyable {
  /// The mass quote that a side was last announced in, until what became of it is known.
  struct Announcement {
    /// 0: none is under way.
    var serial: UInt64 = 0
    var sentAt: Nanoseconds = 0
    /// When the venue's answer came; 0 before it has.
    var answeredAt: Nanoseconds = 0
    /// The venue has refused it, or a part of it.
    var hasFailed = false
  }

  /// How long after the answer to a mass quote the order feed may still tell what became of it. Reply and feed
  /// leave the venue together, in either order (Thalex protocol 8.1); a query settles what is open after that.
  static let feedTime: Nanoseconds = 20_000_000

  var bids: QuotePlan
  var asks: QuotePlan
  var batch: QuoteBatch
  let rules: MassQuoteRules
  /// What the venue grants of requests and of sides, where it counts them.
  private var requestBudget: TokenBucket
  private var sideBudget: TokenBucket
  private var grant: MassQuoteGrant?
  /// Instruments with sides to be replaced, until a message with them has left.
  var waiting: WaitingChanges
  private let announcements: UnsafeMutablePointer<Announcement>
  private let capacity: Int
  /// Sides with an announcement under way.
  private(set) var openSides = 0
  private(set) var serial: UInt64 = 0
  /// Of the last 64 mass quotes, by serial: the order feed has told something that it did on a side that is closed.
  private var told: UInt64 = 0

  init(instrumentCapacity: Int, rules: MassQuoteRules) throws {
    let least = try BucketRate(capacity: 1, tokensPerSecond: 1)
    self.rules = rules
    bids = QuotePlan(levelLimit: rules.levels)
    asks = QuotePlan(levelLimit: rules.levels)
    batch = QuoteBatch(rules: rules)
    requestBudget = TokenBucket(least)
    sideBudget = TokenBucket(least)
    capacity = 2 * instrumentCapacity
    waiting = WaitingChanges(instrumentCapacity: instrumentCapacity)
    announcements = .allocate(capacity: capacity)
    announcements.initialize(repeating: Announcement(), count: capacity)
  }

  deinit { announcements.deallocate() }

  /// What the venue grants, as it has stated it. What an earlier session has spent of it is spent.
  mutating func setGrant(_ grant: MassQuoteGrant?, now: Nanoseconds) {
    guard let grant, let requests = Self.rate(grant.requests, grant.requestBurst),
      let sides = Self.rate(grant.sides, grant.sideBurst)
    else { return }
    if self.grant == nil {
      requestBudget = TokenBucket(requests)
      sideBudget = TokenBucket(sides)
    } else {
      requestBudget.reconfigure(requests, now: now)
      sideBudget.reconfigure(sides, now: now)
    }
    self.grant = grant
  }

  /// Nine tenths of the rate and four fifths of the burst: what leaves evenly arrives in crowds, and the venue ends sessions
  /// that exceed what it grants.
  private static func rate(_ rate: Int64, _ burst: Int64) -> BucketRate? {
    guard (1...1 << 20).contains(rate), (1...1 << 20).contains(burst) else { return nil }
    return try? BucketRate(capacity: max(1, Int(burst) * 4 / 5), tokens: Int(rate) * 9, per: 10_000_000_000)
  }

  /// What a change has to be worth, as far as the venue counts mass quotes apart.
  func price(now: Nanoseconds) -> Int64 { grant == nil ? 1 : requestBudget.price(now: now) }

  /// When a change of this value can be paid, likewise.
  func time(toPay value: Int64, now: Nanoseconds) -> Nanoseconds {
    grant == nil ? now : requestBudget.time(toPay: value, now: now)
  }

  /// When the batch may be sent, as far as the venue counts mass quotes apart.
  func readyAt(now: Nanoseconds) -> Nanoseconds {
    guard grant != nil else { return now }
    return max(requestBudget.readyTime(now: now) ?? .max, sideBudget.readyTime(for: sides, now: now) ?? .max)
  }

  /// The batch is about to be sent.
  mutating func spend(now: Nanoseconds) {
    guard grant != nil else { return }
    _ = requestBudget.tryTake(now: now)
    _ = sideBudget.tryTake(sides, now: now)
  }

  /// Sides in the batch, or as many as are ever granted at once.
  private var sides: UInt32 { min(UInt32(max(1, batch.sideCount)), sideBudget.rate.capacity) }

  private func place(_ instrument: InstrumentIndex, _ side: Side) -> Int {
    precondition(Int(instrument) < capacity / 2)
    return 2 * Int(instrument) + (side == .buy ? 0 : 1)
  }

  func isOpen(_ instrument: InstrumentIndex, _ side: Side) -> Bool {
    announcements[place(instrument, side)].serial != 0
  }

  func announcement(_ instrument: InstrumentIndex, _ side: Side) -> Announcement {
    announcements[place(instrument, side)]
  }

  mutating func nextSerial() -> UInt64 {
    serial = serial % RequestID.operandLimit + 1
    told &= ~(1 << (serial % 64))
    return serial
  }

  mutating func isTold(_ serial: UInt64) -> Bool { told >> (serial % 64) & 1 != 0 }
  mutating func noteTold(_ serial: UInt64) { told |= 1 << (serial % 64) }

  mutating func open(_ instrument: InstrumentIndex, _ side: Side, serial: UInt64, now: Nanoseconds) {
    let place = place(instrument, side)
    if announcements[place].serial == 0 { openSides += 1 }
    announcements[place] = Announcement(serial: serial, sentAt: now)
  }

  mutating func close(_ instrument: InstrumentIndex, _ side: Side) {
    let place = place(instrument, side)
    if announcements[place].serial != 0 { openSides -= 1 }
    announcements[place] = Announcement()
  }

  /// Something of a mass quote has failed, and the venue has not said of which side.
  private(set) var failedSerial: UInt64 = 0

  mutating func noteFailure(_ serial: UInt64, _ instrument: InstrumentIndex?, _ side: Side?) {
    if let instrument, let side {
      announcements[place(instrument, side)].hasFailed = true
    } else {
      failedSerial = serial
    }
  }

  mutating func noteAnswer(_ instrument: InstrumentIndex, _ side: Side, now: Nanoseconds) {
    announcements[place(instrument, side)].answeredAt = now
  }

  mutating func closeAll() {
    for place in 0..<capacity { announcements[place] = Announcement() }
    openSides = 0
  }
}
