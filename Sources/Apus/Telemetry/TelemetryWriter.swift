public import CSupport

/// The file in which a running engine shows itself to other processes; see `apus_telemetry.h`.
// Sendable: what it writes are single atomic words and sequence-locked blocks in shared memory, and being
// noncopyable it has one owner at a time.
@safe
public struct TelemetryWriter: ~Copyable, @unchecked Sendable {
  @usableFromInline let file: OpaquePointer
  private let storage: TelemetryMapping
  private var openedLanes: Set<Int> = []

  /// Puts a new file in place at `path`, readable by its owner alone.
  ///
  /// - Parameters:
  ///   - name: Of the instance; 31 bytes of it are kept.
  ///   - mode: `nil` says nothing about it.
  ///   - now: CLOCK_MONOTONIC, as are all times that lanes give to their telemetry.
  ///   - keepStop: Whether a stop request in the file that was there is taken over: a halt outlives a restart.
  public init(
    path: String, name: String, mode: EngineMode? = nil, bootEpoch: UInt64, now: Nanoseconds, keepStop: Bool = true
  ) throws(MappedFileError) {
    var created: OpaquePointer?
    let descriptor = unsafe apus_telemetry_create(
      path, name, mode?.telemetryNumber ?? 0, bootEpoch, now, keepStop, &created)
    guard descriptor >= 0, let file = unsafe created else {
      throw MappedFileError(path: path, action: "create the telemetry file", code: descriptor)
    }
    unsafe self.file = file
    storage = unsafe TelemetryMapping(file: file, descriptor: descriptor)
  }

  /// The block of one lane, for its thread. `nil` if there is no such place, or it was handed out before.
  ///
  /// - Parameter index: 0 ..< 4.
  public mutating func openLane(_ index: Int, name: String, now: Nanoseconds) -> TelemetryLane? {
    guard let number = UInt32(exactly: index), !openedLanes.contains(index),
      let lane = unsafe apus_telemetry_open_lane(file, number, name, now)
    else { return nil }
    openedLanes.insert(index)
    return unsafe TelemetryLane(lane: lane, storage: storage)
  }

  /// The engine's own sign of life; each lane gives another.
  @inlinable @inline(always) @_noLocks
  public mutating func beat(now: Nanoseconds) {
    unsafe apus_telemetry_beat(file, now)
  }

  /// What is asked of the engine; cheap enough for each turn.
  public var requestedStop: StopLevel {
    @inlinable @inline(always) @_noLocks get { unsafe apus_telemetry_requested_stop(file) }
  }

  /// What the watchdog of a lane writes, on its own thread. `nil` if there is no such lane yet.
  public func openWatchdog(_ index: Int) -> TelemetryWatchdog? {
    guard let number = UInt32(exactly: index), number < UInt32(APUS_TELEMETRY_LANES), openedLanes.contains(index) else {
      return nil
    }
    return unsafe TelemetryWatchdog(lane: apus_telemetry_lane_block(file, number), storage: storage)
  }

  /// The request with its cause, for the journal and for people.
  public var stopRequest: StopRequest { StopRequest(unsafe apus_telemetry_read_stop(file)) }
}

/// What one lane writes of itself. Moved to the lane's thread.
// Sendable: as TelemetryWriter; only this lane writes this block.
@safe
public struct TelemetryLane: ~Copyable, @unchecked Sendable {
  @usableFromInline let lane: OpaquePointer
  @usableFromInline let file: OpaquePointer
  private let storage: TelemetryMapping

  fileprivate init(lane: OpaquePointer, storage: TelemetryMapping) {
    unsafe self.lane = lane
    unsafe file = storage.file
    self.storage = storage
  }

  /// The lane's sign of life, each turn or so.
  @inlinable @inline(always) @_noLocks
  public mutating func beat(now: Nanoseconds) {
    unsafe apus_telemetry_lane_beat(lane, now)
  }

  @inlinable @inline(always) @_noLocks
  public mutating func add(_ count: UInt64 = 1, to counter: TelemetryCounter) {
    unsafe apus_telemetry_add(lane, counter, count)
  }

  @inlinable @inline(always) @_noLocks
  public mutating func set(_ counter: TelemetryCounter, to value: UInt64) {
    unsafe apus_telemetry_set(lane, counter, value)
  }

  /// Shows one instrument; `false` if `index` is not in 0 ..< 512. Inout only to spare a copy.
  @inlinable @inline(always) @_noLocks
  public mutating func show(_ value: inout InstrumentTelemetry, at index: Int) -> Bool {
    unsafe apus_telemetry_show_instrument(lane, UInt32(truncatingIfNeeded: index), &value)
  }

  /// Shows a state and its cause; of the cause, 119 bytes are kept. For changes, not for each turn.
  @inlinable @_noLocks
  public mutating func show(_ state: LaneState, cause: StaticString, since: Nanoseconds) {
    unsafe apus_telemetry_show_state(
      lane, state, UnsafeRawPointer(cause.utf8Start).assumingMemoryBound(to: CChar.self), cause.utf8CodeUnitCount,
      since)
  }

  /// As above, with a text that is put together: not for the hot path.
  public mutating func show(_ state: LaneState, cause: String, since: Nanoseconds) {
    var cause = cause
    cause.withUTF8 { text in
      unsafe apus_telemetry_show_state(
        lane, state, UnsafeRawPointer(text.baseAddress)?.assumingMemoryBound(to: CChar.self), text.count, since)
    }
  }

  /// Adds to the last events that people see; of the text, 119 bytes are kept. Not for the hot path.
  public mutating func add(event: String, at: Nanoseconds) {
    var event = event
    event.withUTF8 { text in
      unsafe apus_telemetry_add_event(
        lane, UnsafeRawPointer(text.baseAddress)?.assumingMemoryBound(to: CChar.self), text.count, at)
    }
  }

  /// The memory of one histogram: 16 KiB, zero at first, mapped as long as this lane is.
  public func span(_ span: TelemetrySpan) -> UnsafeMutableRawBufferPointer {
    unsafe UnsafeMutableRawBufferPointer(
      start: apus_telemetry_span(lane, span.rawValue), count: Int(APUS_TELEMETRY_SPAN_BYTES))
  }

  public var requestedStop: StopLevel {
    @inlinable @inline(always) @_noLocks get { unsafe apus_telemetry_requested_stop(file) }
  }

  /// Shows how far the lane has come with a halt. Inout only to spare a copy.
  @inlinable @inline(always) @_noLocks
  public mutating func show(_ value: inout HaltAnswer) {
    unsafe apus_telemetry_show_halt(lane, &value)
  }
}

/// What the watchdog of one lane writes of itself, and reads of what is asked for. Moved to its thread.
// Sendable: as TelemetryWriter; only the watchdog writes these words.
@safe
public struct TelemetryWatchdog: ~Copyable, @unchecked Sendable {
  private let lane: OpaquePointer
  private let storage: TelemetryMapping

  fileprivate init(lane: OpaquePointer, storage: TelemetryMapping) {
    unsafe self.lane = lane
    self.storage = storage
  }

  public mutating func show(_ value: inout WatchdogView) {
    unsafe apus_telemetry_show_watchdog(lane, &value)
  }

  public var requestedStop: StopLevel { unsafe apus_telemetry_requested_stop(storage.file) }
}

extension InstrumentTelemetry {
  /// A block of zeros with a name, of which 31 bytes are kept, and a grid.
  public init(name: String, grid: InstrumentGrid) {
    self.init()
    unsafe withUnsafeMutableBytes(of: &self.name) { bytes in
      unsafe bytes.copyBytes(from: name.utf8.prefix(bytes.count - 1))
    }
    tick_e8 = grid.tickE8
    lot_e8 = grid.lotE8
  }
}

/// Keeps a telemetry file mapped while the writer, one of its lanes, or a reader needs it.
@safe
final class TelemetryMapping {
  let file: OpaquePointer
  let descriptor: Int32

  init(file: OpaquePointer, descriptor: Int32) {
    unsafe self.file = file
    self.descriptor = descriptor
  }

  deinit { unsafe apus_telemetry_close(file, descriptor) }
}

extension EngineMode {
  /// As the file's header has it; see `apus_telemetry.h`.
  fileprivate var telemetryNumber: UInt32 {
    switch self {
    case .simulated: 1
    case .testnet: 2
    case .production: 3
    // Came later than the others.
    case .shadow: 4
    }
  }

  /// `nil` for a file that does not say, or says what only a later version knows.
  init?(telemetryNumber number: UInt32) {
    guard let mode = Self.allCases.first(where: { $0.telemetryNumber == number }) else { return nil }
    self = mode
  }
}
