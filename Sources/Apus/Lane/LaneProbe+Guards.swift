/// What the guards need of a probe beside frames.
extension LaneProbe {
  /// A probe with the engine's own strategy, compiled as the engine compiles it.
  public init(settings: LaneSettings, ladder: LadderParameters) throws {
    try self.init(settings: settings, strategy: LadderStrategy(ladder))
  }

  /// A directive of the manager.
  public mutating func direct(_ directive: Directive, instrument: InstrumentIndex, now: Nanoseconds) {
    lane.direct(directive, instrument: instrument, now: now)
  }

  /// The masked frames that the lane has written and nobody has taken; valid until the next call.
  public var output: UnsafeRawBufferPointer { UnsafeRawBufferPointer(lane.output.endpoint.output) }
}
