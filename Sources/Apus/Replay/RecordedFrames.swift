/// Reads the recorded frames of a run, whatever its venue.
class RecordedFrames {
  static func reader(for settings: LaneSettings) throws -> RecordedFrames {
    switch settings.venue {
    case .thalex: AdapterFrames(try ThalexAdapter(settings))
    case .deribit: AdapterFrames(try DeribitAdapter(settings))
    }
  }

  func read(_ text: UnsafeRawBufferPointer, into sink: inout ExportSink) {}
  /// What a refusal of a request proves at this venue.
  func proof(of kind: RequestKind, code: Int64) -> RefusalProof { .nothing }
}

private final class AdapterFrames<Adapter: ExchangeAdapter & ~Copyable>: RecordedFrames {
  private var adapter: Adapter

  init(_ adapter: consuming Adapter) { self.adapter = adapter }

  override func read(_ text: UnsafeRawBufferPointer, into sink: inout ExportSink) { adapter.decode(text, into: &sink) }
  override func proof(of kind: RequestKind, code: Int64) -> RefusalProof { Adapter.proof(of: kind, code: code) }
}
