public import Apus
import CSupport

/// How long one way through the network takes.
public enum LatencyModel: Sendable, Equatable {
  case constant(Nanoseconds)
  /// Drawn from these, each as likely as the other.
  case measured([Nanoseconds])

  func draw(_ random: inout SplitMix) -> Nanoseconds {
    switch self {
    case .constant(let time): time
    case .measured(let times): times.isEmpty ? 0 : times[Int(random.below(Int64(times.count)))]
    }
  }

  /// Half of the times are longer; constant.
  public var median: Self {
    switch self {
    case .constant: self
    case .measured(let times): .constant(times.isEmpty ? 0 : times.sorted()[times.count / 2])
    }
  }

  /// For people: `0.5 ms`, or `measured, median 0.31 ms of 1200`.
  public var text: String {
    func milliseconds(_ time: Nanoseconds) -> String {
      let hundredths = (time + 5000) / 10_000
      let fraction = hundredths % 100
      return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) ms"
    }
    switch self {
    case .constant(let time): return milliseconds(time)
    case .measured(let times):
      let sorted = times.sorted()
      guard !sorted.isEmpty else { return milliseconds(0) }
      return "measured, \(sorted.count) times, median \(milliseconds(sorted[sorted.count / 2])), "
        + "p99 \(milliseconds(sorted[min(sorted.count - 1, sorted.count * 99 / 100)]))"
    }
  }
}

/// What an engine's journal says about the way to its venue and back.
///
/// A request and its reply are found by their id; half of the time between them is taken for each way, so that the
/// venue's own work counts as network. For the feed it is by how much longer each book took than the fastest one, by the
/// engine's wall clock and the venue's time in it, and as the fastest one's time the fastest request's half: two clocks
/// that differ by a constant will do. Where half of the books took more than a second longer, the clocks have no
/// constant difference, and the requests' times are taken for the feed too.
public struct JournalLatencies: Sendable {
  public var order: [Nanoseconds] = []
  public var feed: [Nanoseconds] = []
  /// Whether `feed` was measured with the clocks; else it is `order`.
  public var isFeedMeasured = false
  /// What of the journal could not be read.
  public private(set) var gaps: [JournalGap] = []

  /// - Parameters:
  ///   - path: The journal's directory.
  ///   - epoch: Which run; all by default.
  /// - Throws: `MappedFileError`, or `JournalMarketError` for a run at a venue whose frames are not read; a journal
  ///   without a request and its reply gives an empty `order`.
  public init(path: String, epoch: UInt64? = nil) throws {
    var reader = try GapReader(path: path)
    var sent: [UInt64: Nanoseconds] = [:]
    while let record = reader.next() {
      guard epoch == nil || record.bootEpoch == epoch else { continue }
      if record.kind == .run { try JournalMarket.refuse(try? RecordedRun(description: record), path) }
      // An answer behind a gap may be that of a later question.
      if reader.isBehindGap { sent = [:] }
      record.payload.withUnsafeBytes { text in
        switch record.kind {
        case .outbound:
          let facts = FrameFacts(text, .toVenue)
          if let id = facts.id, facts.kind == .cancels || FrameKinds.changes.contains(facts.kind) {
            sent[id] = record.time
          }
        case .inbound, .more:
          let facts = FrameFacts(text, .toEngine)
          if facts.kind == .replies || facts.kind == .refusals {
            if let id = facts.id, let time = sent.removeValue(forKey: id), record.time >= time {
              order.append((record.time - time) / 2)
            }
          } else if facts.kind == .books, let time = Self.venueTime(text) {
            feed.append(record.wallTime - time)
          }
        default: break
        }
      }
    }
    gaps = reader.gaps(of: epoch)
    let sorted = feed.sorted()
    let fastest = order.min() ?? 0
    isFeedMeasured = !sorted.isEmpty && sorted[sorted.count / 2] - sorted[0] <= 1_000_000_000
    feed = isFeedMeasured ? feed.map { $0 - sorted[0] + fastest } : order
  }

  /// The last `"time":` of a book message: seconds since the epoch, with decimals.
  private static func venueTime(_ text: UnsafeRawBufferPointer) -> Nanoseconds? {
    let key = Array("\"time\":".utf8)
    var place = text.count - key.count
    while place >= 0 {
      if text[place] == UInt8(ascii: "\""),
        UnsafeRawBufferPointer(rebasing: text[place..<(place + key.count)]).elementsEqual(key)
      {
        var end = place + key.count
        while end < text.count, text[end] == UInt8(ascii: ".") || text[end] &- 48 < 10 { end += 1 }
        return Decimal.parse(UnsafeRawBufferPointer(rebasing: text[(place + key.count)..<end]), places: 9)
      }
      place -= 1
    }
    return nil
  }
}
