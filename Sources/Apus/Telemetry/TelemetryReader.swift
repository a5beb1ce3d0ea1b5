public import CSupport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#endif

/// Looks at a running, or a dead, engine from another process.
///
/// Any number of threads may use one reader at once.
// Sendable: it only reads; what changes under it is read as atomic words or under sequence locks.
@safe
public struct TelemetryReader: ~Copyable, @unchecked Sendable {
  private let storage: TelemetryMapping
  public let path: String

  /// Refuses a file that is not of this layout.
  public init(path: String) throws(MappedFileError) {
    var opened: OpaquePointer?
    var version: UInt32 = 0
    let descriptor = unsafe apus_telemetry_open(path, &opened, &version)
    guard descriptor >= 0, let file = unsafe opened else {
      throw MappedFileError(
        path: path, action: "read the telemetry file", telemetryCode: descriptor, version: version)
    }
    storage = unsafe TelemetryMapping(file: file, descriptor: descriptor)
    self.path = path
  }

  /// Whether the process that writes the file lives; exact, by a lock that dies with it.
  public var isWriterAlive: Bool { apus_telemetry_writer_lives(storage.descriptor) }

  /// Whether another file, or none, has taken the place: open it anew.
  public var isReplaced: Bool { unsafe apus_telemetry_is_replaced(storage.descriptor, path) }

  /// Everything but the spans. Each instrument and each state is whole; they are not of one instant.
  public func snapshot() -> TelemetrySnapshot {
    let file = unsafe storage.file
    var facts = unsafe apus_telemetry_read_facts(file)
    var lanes: [LaneSnapshot] = []
    for index in 0..<Int(APUS_TELEMETRY_LANES) {
      guard let lane = unsafe apus_telemetry_lane_at(file, UInt32(index)) else { continue }
      lanes.append(unsafe laneSnapshot(lane, index: index, file: file))
    }
    return TelemetrySnapshot(
      name: text(of: &facts.name), mode: EngineMode(telemetryNumber: facts.mode), processID: facts.process_id,
      bootEpoch: facts.boot_epoch,
      startWallTime: facts.start_wall_ns, start: facts.start_ns, heartbeat: facts.heartbeat_ns,
      stop: StopRequest(unsafe apus_telemetry_read_stop(file)), lanes: lanes)
  }

  /// Calls `body` with the memory of one histogram, which its writer may be changing; `nil` if there is no
  /// such lane. The buffer is valid only during the call.
  public func withSpan<Result>(
    lane: Int, _ span: TelemetrySpan, _ body: (UnsafeRawBufferPointer) -> Result
  ) -> Result? {
    guard let number = UInt32(exactly: lane), let block = unsafe apus_telemetry_lane_at(storage.file, number),
      let start = unsafe apus_telemetry_span_of(block, span.rawValue)
    else { return nil }
    let result = unsafe body(UnsafeRawBufferPointer(start: start, count: Int(APUS_TELEMETRY_SPAN_BYTES)))
    withExtendedLifetime(storage) {}
    return result
  }

  private func laneSnapshot(_ lane: OpaquePointer, index: Int, file: OpaquePointer) -> LaneSnapshot {
    var name = [CChar](repeating: 0, count: Int(APUS_TELEMETRY_NAME_BYTES))
    unsafe apus_telemetry_lane_name(lane, &name)
    var view = apus_telemetry_state_view()
    let hasState = unsafe apus_telemetry_read_state(lane, &view)
    let isKnown = hasState && view.state <= LaneState.stopped.rawValue
    var counters: [CounterSnapshot] = []
    for counter in 0..<UInt32(APUS_TELEMETRY_COUNTERS) {
      var isLevel = false
      guard let name = unsafe apus_telemetry_counter_name(file, counter, &isLevel) else { continue }
      counters.append(
        CounterSnapshot(
          name: unsafe String(cString: name), isLevel: isLevel,
          help: unsafe apus_telemetry_counter_help(counter).map { unsafe String(cString: $0) },
          value: unsafe apus_telemetry_count(lane, counter)))
    }
    var instruments: [InstrumentSnapshot] = []
    let instrumentCount = unsafe apus_telemetry_instrument_count(lane)
    for index in 0..<instrumentCount {
      var raw = InstrumentTelemetry()
      guard unsafe apus_telemetry_read_instrument(lane, index, &raw) else { continue }
      instruments.append(InstrumentSnapshot(&raw, index: Int(index)))
    }
    return LaneSnapshot(
      index: index, name: String(decoding: name.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self),
      heartbeat: unsafe apus_telemetry_lane_heartbeat(lane),
      state: isKnown ? LaneState(rawValue: view.state) : nil, stateSince: view.since_ns,
      cause: hasState ? text(of: &view.cause) : "", counters: counters, instruments: instruments,
      halt: unsafe haltSnapshot(lane), watchdog: unsafe watchdogSnapshot(lane), events: unsafe events(lane),
      eventCount: unsafe apus_telemetry_event_count(lane))
  }

  private func haltSnapshot(_ lane: OpaquePointer) -> HaltSnapshot? {
    var raw = HaltAnswer()
    guard unsafe apus_telemetry_read_halt(lane, &raw) else { return nil }
    return HaltSnapshot(&raw)
  }

  private func events(_ lane: OpaquePointer) -> [EventSnapshot] {
    var raw = [LaneEvent](repeating: LaneEvent(), count: Int(APUS_TELEMETRY_EVENTS))
    let count = unsafe apus_telemetry_read_events(lane, &raw)
    return raw.prefix(count).map { event in
      var event = event
      return EventSnapshot(at: event.at_ns, text: text(of: &event.text))
    }
  }

  private func watchdogSnapshot(_ lane: OpaquePointer) -> WatchdogSnapshot? {
    var raw = WatchdogView()
    guard unsafe apus_telemetry_read_watchdog(lane, &raw) else { return nil }
    return WatchdogSnapshot(raw)
  }
}

/// Requests to an engine by way of its telemetry file; they need nothing from its event loop.
public enum TelemetryControl {
  /// Asks for `level` or more; a request never lowers what was asked for before.
  ///
  /// - Parameter cause: Who and why; 119 bytes of it are kept.
  public static func requestStop(path: String, level: StopLevel, cause: String) throws(MappedFileError) {
    var version: UInt32 = 0
    let code = unsafe apus_telemetry_request_stop(path, level, cause, &version)
    guard code == 0 else {
      throw MappedFileError(path: path, action: "request a stop", telemetryCode: code, version: version)
    }
  }

  /// Keeps a latch of the engine itself for its next life, unless there has been a re-arming since `rearmCount`.
  static func keepLatch(path: String, level: StopLevel, cause: String, rearmCount: UInt32) {
    var version: UInt32 = 0
    _ = unsafe apus_telemetry_keep_latch(path, level, cause, rearmCount, &version)
  }

  /// Re-arms: takes the request back and makes the engine let go of all its latches. For a person's hand only.
  public static func clearStop(path: String) throws(MappedFileError) {
    var version: UInt32 = 0
    let code = unsafe apus_telemetry_clear_stop(path, &version)
    guard code == 0 else {
      throw MappedFileError(path: path, action: "clear the stop request", telemetryCode: code, version: version)
    }
  }
}

extension MappedFileError {
  fileprivate init(path: String, action: String, telemetryCode code: Int32, version: UInt32) {
    switch -code {
    case EBADMSG:
      self.init(path: path, action: action, cause: .notThisFormat(found: "this is not an Apus telemetry file"))
    case EPROTO:
      self.init(
        path: path, action: action,
        cause: .otherVersion(found: version, supported: UInt32(APUS_TELEMETRY_VERSION)))
    default:
      self.init(path: path, action: action, code: code)
    }
  }
}

/// The text in a fixed, zero-padded C array; what is not UTF-8 is replaced.
func text<CArray>(of array: inout CArray) -> String {
  unsafe withUnsafeBytes(of: &array) { bytes in unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self) }
}
