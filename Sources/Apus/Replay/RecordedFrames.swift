import CSupport

/// Reads the recorded frames of a run, whatever its venue.
class RecordedFrames {
  static func reader(for settings: LaneSettings) throws -> RecordedFrames {
    switch settings.venue {
    case .thalex: AdapterFrames(try ThalexAdapter(settings))
    case .deribit: AdapterFrames(try DeribitAdapter(settings))
    case .bybit: AdapterFrames(try BybitAdapter(settings))
    }
  }

  /// - Parameter connection: the number that the record has.
  func read(_ text: UnsafeRawBufferPointer, connection: UInt32, into sink: inout ExportSink) {}
  /// A text that was sent.
  func sent(_ text: UnsafeRawBufferPointer, connection: UInt32) {}
  /// What has become of a connection.
  func note(_ control: ControlRecord, connection: UInt32) {}
  /// What a refusal of a request proves at this venue.
  func proof(of kind: RequestKind, code: Int64) -> RefusalProof { .nothing }
}

private final class AdapterFrames<Adapter: ExchangeAdapter & ~Copyable>: RecordedFrames {
  private var adapter: Adapter
  /// By number in the journal.
  private var companions: [UInt32: Int] = [:]

  init(_ adapter: consuming Adapter) { self.adapter = adapter }

  override func read(_ text: UnsafeRawBufferPointer, connection: UInt32, into sink: inout ExportSink) {
    if let place = companions[connection] {
      adapter.decode(text, companion: place, into: &sink)
    } else {
      adapter.decode(text, into: &sink)
    }
  }

  override func sent(_ text: UnsafeRawBufferPointer, connection: UInt32) {
    if let place = companions[connection] { adapter.asked(text, companion: place) }
  }

  override func note(_ control: ControlRecord, connection: UInt32) {
    switch control.kind {
    case .connected:
      companions = [:]
      // The desk's texts are numbered from the moment at which the main connection is up.
      for place in 0..<Adapter.companionCount where Adapter.companion(place) == .desk {
        companions[connection + 1] = place
      }
    case .companionUp: companions[connection] = Int(truncatingIfNeeded: control.fourth)
    default: break
    }
  }

  override func proof(of kind: RequestKind, code: Int64) -> RefusalProof { Adapter.proof(of: kind, code: code) }
}
