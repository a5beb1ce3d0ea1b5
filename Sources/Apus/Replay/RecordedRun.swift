import CSupport

/// How a recorded run of an engine was set up.
public struct RecordedRun: Sendable {
  public var bootEpoch: UInt64
  public var settings: LaneSettings
  /// What the run was configured with; `nil` for a run without a configuration file.
  public var configuration: Configuration?
  private var recordedLadders: [LadderParameters]?

  /// The ladders that the run quoted, on the grid of each instrument; `nil` for a strategy of the program's own.
  public func ladders(on grids: [InstrumentGrid]) -> [LadderParameters]? {
    if let recordedLadders { return recordedLadders }
    guard let configuration, configuration.instruments.count == grids.count else { return nil }
    return configuration.ladders(on: grids)
  }

  /// From the first record of a run.
  ///
  /// - Throws: `ReplayError`.
  public init(description record: JournalRecord) throws(ReplayError) {
    guard record.kind == .run else { throw ReplayError("record \(record.recordNumber) does not describe a run") }
    let found: Result<RunDescription, ReplayError> = record.payload.withUnsafeBytes { text in
      do throws(ReplayError) { return .success(try RunDescription(text: text)) } catch { return .failure(error) }
    }
    let description = try found.get()
    bootEpoch = record.bootEpoch
    settings = description.settings
    configuration = description.strategy == .configuredLadders ? description.configuration : nil
    recordedLadders = description.strategy == .ladders ? description.ladders : nil
  }
}
