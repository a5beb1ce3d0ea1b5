import CSupport

/// Repeats the recorded runs of a journal with the engine's own code, and compares all that it does.
///
/// A run is what one start of an engine has written. Its inputs go to a new lane at their recorded times; every frame that
/// the lane sends, every fill that it books and every note must be the recorded one, byte for byte and in order. Cold; one
/// thread.
public struct Replay: ~Copyable {
  /// Where to end before the end of a run.
  public enum Limit: Equatable, Sendable {
    /// Behind the input with this record number.
    case record(UInt64)
    /// Before the first input that is later than this after the run's first record.
    case time(Nanoseconds)
  }

  /// What came out for one run.
  public struct Run: Sendable {
    public var bootEpoch: UInt64 = 0
    public var counts = ReplayCounts()
    /// From the run's first record to the last one repeated, on the lane's clock.
    public var laneTime: Nanoseconds = 0
    /// What the replay took.
    public var replayTime: Nanoseconds = 0
    public var difference: ReplayDifference?
    /// Why the run could not be repeated at all.
    public var refusal: String?
    /// Why it was not repeated to its end: what the journal lacks.
    public var gap: String?
    /// The gap is more than the torn tail that a killed machine leaves: something that was recorded, or that could not be,
    /// is missing.
    public var isDamaged = false
    /// How the instruments stand at the end, a line each.
    public var state: [String] = []
  }

  /// What could not be read so far and belongs to no run that was returned, a sentence each.
  public private(set) var unreadable: [String] = []

  private let player: JournalPlayer
  /// The program's own, for runs that were quoted by such.
  private let strategies: StrategyMaking?
  private var hasBegun = false

  /// - Parameter path: The journal's directory.
  public init(path: String) throws(MappedFileError) { try self.init(path, nil) }

  /// For a program with a strategy of its own: repeats the runs that its engine has recorded.
  ///
  /// Runs that were quoted by the strategies of a configuration are repeated with those.
  ///
  /// - Parameters:
  ///   - path: The journal's directory.
  ///   - strategy: Makes the strategy of one instrument, as it does for an ``Engine``: called for each run when the venue has
  ///   listed the instrument, with its place, its name (with several venues `venue:instrument`) and its grid. The run is
  ///   repeated to the byte if the strategy decides from what it is shown and from nothing else.
  @inlinable
  public init<S: Strategy>(
    path: String, strategy: @escaping (InstrumentIndex, String, InstrumentInfo) -> S
  ) throws(MappedFileError) {
    try self.init(boxed: path) { StrategyBox(strategy($0, $1, $2)) }
  }

  @usableFromInline
  init(
    boxed path: String, makeStrategy: @escaping (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy
  ) throws(MappedFileError) {
    try self.init(path, StrategyMaking(makeStrategy))
  }

  private init(_ path: String, _ strategies: StrategyMaking?) throws(MappedFileError) {
    player = try JournalPlayer(path: path)
    self.strategies = strategies
  }

  /// Repeats the next run.
  ///
  /// - Parameters:
  ///   - epoch: Only the run of this boot epoch; others are passed by.
  ///   - order: The client order id or the venue's id of an order whose journey is to be told.
  ///   - tell: Takes the lines of that journey.
  /// - Returns: `nil` if there is no further run.
  public mutating func next(
    epoch: UInt64? = nil, until limit: Limit? = nil, order: String? = nil, tell: (String) -> Void = { _ in }
  ) -> Run? {
    next(epoch: epoch, until: limit, order: order, tell: tell, tables: nil)
  }

  /// The same for a run whose tables are wanted.
  mutating func next(epoch: UInt64?, tables: RunTables) -> Run? {
    next(epoch: epoch, until: nil, order: nil, tell: { _ in }, tables: tables)
  }

  private mutating func next(
    epoch: UInt64?, until limit: Limit?, order: String?, tell: (String) -> Void, tables: RunTables?
  ) -> Run? {
    guard findRun() else { return nil }
    while let epoch, player.record.boot_epoch != epoch {
      _ = player.beginRun()
      if !findRun() { return nil }
    }
    var run = Run()
    if let tables {
      tabulate(&run, tables)
    } else {
      repeatRun(&run, limit, order, tell)
    }
    run.bootEpoch = player.bootEpoch
    run.counts = player.counts
    run.laneTime = max(0, player.lastTime - player.firstTime)
    return run
  }

  /// Goes to the first record of the next run. Behind damage: what is left of the same run cannot be repeated, a later run
  /// can.
  private mutating func findRun() -> Bool {
    let isFirst = !hasBegun
    hasBegun = true
    if isFirst ? player.hasRecord : player.skipRun() { return true }
    while player.stop.finding != .end {
      var bad = [player.stop]
      let isThere = player.skipSegments { bad.append($0) }
      for stop in bad where !stop.isTail && stop != player.toldStop { unreadable.append("\(stop)") }
      guard isThere else { return false }
      if isFirst || player.record.boot_epoch != player.bootEpoch || player.skipRun() { return true }
    }
    return false
  }

  private func makeStrategies(of description: RunDescription) throws(ReplayError) -> StrategyMaking {
    guard let making = description.makeStrategy(own: strategies) else {
      throw ReplayError(
        "it was quoted by a strategy of the program's own, which this program does not have; that program can repeat it"
      )
    }
    return making
  }

  private func repeatRun(_ run: inout Run, _ limit: Limit?, _ order: String?, _ tell: (String) -> Void) {
    guard let text = player.beginRun() else {
      run.refusal = player.missingBeginning
      return
    }
    do {
      let description = try RunDescription(text: text)
      let strategies = try makeStrategies(of: description)
      player.leaveDescription()
      func follow<Adapter: ExchangeAdapter & ~Copyable>(_: Adapter.Type) throws {
        var lane = try LaneReplay<Adapter>(description, player: player, strategies: strategies)
        let start = EngineClock.now()
        if let order {
          self.follow(order, &lane, limit, tell)
        } else {
          while player.hasRecord, player.difference == nil, isWithin(limit) { lane.step() }
        }
        run.replayTime = EngineClock.now() - start
        run.state = lane.state()
      }
      switch description.settings.venue {
      case .thalex: try follow(ThalexAdapter.self)
      case .deribit: try follow(DeribitAdapter.self)
      case .bybit: try follow(BybitAdapter.self)
      }
      run.difference = player.difference
      if run.difference == nil, !player.hasRecord { noteGap(&run) }
    } catch {
      run.refusal = "\(error)"
    }
  }

  /// Repeats a run for its tables. What cannot be repeated is taken from the records alone.
  private func tabulate(_ run: inout Run, _ tables: RunTables) {
    guard let text = player.beginRun() else {
      run.refusal = player.missingBeginning
      run.isDamaged = true
      tables.refuse(player.bootEpoch, player.missingBeginning)
      return
    }
    var accounts: [ReplayedAccount]?
    do {
      let description = try RunDescription(text: text)
      tables.begin(description, epoch: player.bootEpoch)
      player.tables = tables
      defer { player.tables = nil }
      player.leaveDescription()
      do {
        let strategies = try makeStrategies(of: description)
        func follow<Adapter: ExchangeAdapter & ~Copyable>(_: Adapter.Type) throws {
          var lane = try LaneReplay<Adapter>(description, player: player, strategies: strategies)
          while player.hasRecord, player.difference == nil {
            lane.step()
            tables.look(lane)
          }
          if let difference = player.difference {
            throw ReplayError("this engine decides otherwise from record \(difference.recordNumber) on")
          }
          if case .refused = player.end {} else { accounts = lane.accounts() }
        }
        switch description.settings.venue {
        case .thalex: try follow(ThalexAdapter.self)
        case .deribit: try follow(DeribitAdapter.self)
        case .bybit: try follow(BybitAdapter.self)
        }
      } catch {
        tables.note("without quotes and account of the lane from record \(player.record.record_number) on: \(error)")
        run.isDamaged = true
      }
      passOver(tables)
      while player.goOn({ noteGap($0, &run, tables) }) {
        accounts = nil
        passOver(tables)
      }
      tables.laneDuration = max(0, player.lastTime - player.firstTime)
      tables.finish(accounts: accounts)
    } catch {
      run.refusal = "\(error)"
      run.isDamaged = true
      tables.refuse(player.bootEpoch, "\(error)")
    }
  }

  private func passOver(_ tables: RunTables) {
    while player.hasRecord {
      player.passOver()
      tables.endStep()
    }
  }

  private func noteGap(_ gap: String, _ run: inout Run, _ tables: RunTables) {
    if !player.stop.isTail { run.isDamaged = true }
    run.gap = gap
    tables.note(gap)
  }

  private func noteGap(_ run: inout Run) {
    let stop = player.stop
    if case .refused(let count) = player.end {
      run.gap = "\(count) records could not be written behind this place: the rest cannot be repeated"
      run.isDamaged = true
    } else if stop.refusedAtEnd > 0 {
      run.gap = "\(stop.refusedAtEnd) records could not be written behind this place"
      run.isDamaged = true
    } else if case .journal = player.end, player.isWithinRun {
      run.gap = "\(stop)"
      run.isDamaged = !stop.isTail
      player.toldStop = stop
    }
  }

  private func isWithin(_ limit: Limit?) -> Bool {
    switch limit {
    case .none: true
    case .record(let number): player.record.record_number <= number
    case .time(let time): player.record.time_ns - player.firstTime <= time
    }
  }

  // MARK: - The journey of an order

  private func follow(
    _ name: String, _ lane: inout LaneReplay<some ExchangeAdapter & ~Copyable>, _ limit: Limit?,
    _ tell: (String) -> Void
  ) {
    var clientID = UInt64(name)
    var venueID = ""
    func watch() {
      var needles = clientID == nil ? [JournalPlayer.Needle(name)] : []
      if let id = clientID {
        needles += [id, RequestID.insert(id), RequestID.amend(id), RequestID.cancel(id)].map { .init(String($0)) }
        // Any amend: the serial's digits and the operation's.
        needles.append(.init(String(id), digits: String(RequestID.amend(1, serial: 1)).count - 1))
      }
      if !venueID.isEmpty { needles.append(.init(venueID)) }
      player.needles = needles
    }
    watch()
    defer { player.needles = [] }
    var before = "not known"
    while player.hasRecord, player.difference == nil, isWithin(limit) {
      lane.step()
      let records = player.takeWatched()
      guard !records.isEmpty else { continue }
      if clientID == nil, let id = VenueID(name), let found = lane.clientID(of: id) {
        clientID = found
        watch()
      }
      let seen = clientID.flatMap { lane.look($0) }
      if let seen, seen.venueID != venueID {
        venueID = seen.venueID
        watch()
      }
      for record in records {
        tell(
          "record \(record.number), \(Self.seconds(record.time - player.firstTime)), connection \(record.connection), "
            + (record.isOutbound ? "out" : "in"))
        tell("  " + record.text)
      }
      let after = seen?.text ?? "not known"
      tell("  before: \(before)")
      tell("  after:  \(after)")
      if let seen { tell("  \(lane.best(seen.instrument)) (lots at ticks)") }
      before = after
    }
  }

  static func seconds(_ time: Nanoseconds) -> String {
    let digits = String(time % 1_000_000_000)
    return "\(time / 1_000_000_000)." + String(repeating: "0", count: max(0, 9 - digits.count)) + digits + " s"
  }
}
