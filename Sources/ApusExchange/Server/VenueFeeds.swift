import Apus
import CSupport
import Foundation

#if canImport(Glibc)
  import Glibc
#endif

/// A flow whose time stands still at 0 until it is opened; what is due at 0 comes at once.
final class GatedFlow: MarketFlow {
  private let flow: any MarketFlow
  private var offset: Nanoseconds?

  init(_ flow: any MarketFlow) { self.flow = flow }

  var isOpen: Bool { offset != nil }

  /// From now on the flow runs; its time 0 is `now`.
  func open(now: Nanoseconds) { if offset == nil { offset = now } }

  var nextTime: Nanoseconds? {
    guard let time = flow.nextTime else { return nil }
    if let offset { return time + offset }
    // There is more, but not yet.
    return time <= 0 ? time : .max
  }

  func next(into events: inout [FlowEvent]) { flow.next(into: &events) }
}

/// A flow whose sizes are in coins, as a venue of contracts in quote currency takes it: a size becomes what it is worth at its
/// price, at least one lot.
final class InverseFlow: MarketFlow {
  /// What one lot of the flow is for inverse instruments, 10⁻⁸ coins.
  static let coinE8: Int64 = 1000

  private let flow: any MarketFlow
  private let grids: [InstrumentGrid?]

  init(_ flow: any MarketFlow, for instruments: [InstrumentSpec]) {
    self.flow = flow
    grids = instruments.map { $0.isInverse ? $0.grid : nil }
  }

  var nextTime: Nanoseconds? { flow.nextTime }

  func next(into events: inout [FlowEvent]) {
    let first = events.count
    flow.next(into: &events)
    for place in first..<events.count where events[place].kind != .index && events[place].lots > 0 {
      guard let grid = grids[Int(events[place].instrument)] else { continue }
      let worthE8 = Int128(events[place].lots * Self.coinE8) * Int128(events[place].value * grid.tickE8) / 100_000_000
      events[place].lots = max(1, Int64(worthE8 / Int128(grid.lotE8)))
    }
  }
}

/// Recordings that feed a venue: files of one instrument each, and directories that `apus record` has made.
public struct VenueFeeds {
  /// A recording and what it feeds.
  public struct Source: Sendable, Equatable {
    public var path: String
    /// For example `BTC-PERPETUAL`; `nil` for every instrument of a directory that the venue lists.
    public var instrument: String?

    public init(path: String, instrument: String?) {
      self.path = path
      self.instrument = instrument
    }
  }

  public enum Failure: Error, CustomStringConvertible {
    case recording(RecordingError)
    case directory(MappedFileError)
    case notARecording(path: String)
    case unknownInstrument(String, known: [String])
    case twice(instrument: String)

    public var description: String {
      switch self {
      case .recording(let error): error.description
      case .directory(let error): error.description
      case .notARecording(let path) where isDirectory(path):
        "could not play \(path): it is not a directory that apus record has made, or has no ticker of an instrument that "
          + "the venue lists"
      case .notARecording(let path):
        "could not play \(path): no line of it reads '<nanoseconds> <JSON>' with a book ticker or a trade"
      case .unknownInstrument(let name, let known):
        "could not feed \(name): the venue lists \(known.joined(separator: ", ")) only"
      case .twice(let name): "could not feed \(name) from two recordings: give one file for each instrument"
      }
    }
  }

  public let flow: any MarketFlow

  /// Opens recordings and sets the first index of the instruments they feed.
  ///
  /// Those that begin within an hour of the earliest keep their distance in time; the others all begin at 0.
  /// Instruments without a recording keep an empty book.
  ///
  /// - Parameters:
  ///   - instruments: What the venue lists.
  ///   - speedThousandths: 1000 plays in real time; 1 … 1,000,000.
  public init(
    _ sources: [Source], for instruments: inout [InstrumentSpec], speedThousandths: Int64 = 1000
  ) throws(Failure) {
    var found: [(path: String, indexes: [Int], start: Nanoseconds)] = []
    for source in sources {
      let (start, prices) = try Self.look(at: source, known: instruments.map(\.name))
      var indexes: [Int] = []
      for (name, price) in prices {
        guard let index = instruments.firstIndex(where: { $0.name == name }) else {
          throw .unknownInstrument(name, known: instruments.map(\.name))
        }
        guard !found.contains(where: { $0.indexes.contains(index) }) else { throw .twice(instrument: name) }
        instruments[index].initialIndexE8 = price
        indexes.append(index)
      }
      found.append((source.path, indexes, start))
    }
    let earliest = found.map(\.start).min() ?? 0
    var flows: [any MarketFlow] = []
    for (path, indexes, start) in found {
      let origin = start - earliest < 3_600_000_000_000 ? earliest : start
      let places = indexes.map { index in
        var grid = instruments[index].grid
        // Recordings count in coins; see `InverseFlow`.
        if instruments[index].isInverse { grid.lotE8 = InverseFlow.coinE8 }
        return FlowInstrument(index: index, grid: grid)
      }
      do {
        guard isDirectory(path) else {
          flows.append(
            try RecordedFlow(
              path: path, instrument: places[0], speedThousandths: speedThousandths, origin: origin))
          continue
        }
        let names = indexes.map { instruments[$0].name }
        flows.append(
          try StreamFlow(
            directory: path, instruments: Dictionary(uniqueKeysWithValues: zip(names, places)),
            speedThousandths: speedThousandths, origin: origin))
      } catch let error as RecordingError {
        throw .recording(error)
      } catch let error as MappedFileError {
        throw .directory(error)
      } catch {
        throw .notARecording(path: path)
      }
    }
    let merged = MergedFlow(flows)
    flow = instruments.contains(where: \.isInverse) ? InverseFlow(merged, for: instruments) : merged
  }

  /// The first time of a recording, and the first price of each instrument that it feeds.
  private static func look(
    at source: Source, known: [String]
  ) throws(Failure) -> (start: Nanoseconds, prices: [(name: String, priceE8: Int64)]) {
    guard isDirectory(source.path) else {
      let name = source.instrument ?? ""
      guard known.contains(name) else { throw .unknownInstrument(name, known: known) }
      let first = try look(at: source.path)
      return (first.time, [(name, first.priceE8)])
    }
    let beginning: StreamFlow.Beginning?
    do { beginning = try StreamFlow.look(at: source.path) } catch { throw .directory(error) }
    guard let beginning else { throw .notARecording(path: source.path) }
    if let name = source.instrument, !known.contains(name) { throw .unknownInstrument(name, known: known) }
    let names = beginning.instruments.filter { source.instrument == nil ? known.contains($0) : $0 == source.instrument }
    let prices = names.compactMap { name in beginning.pricesE8[name].map { (name, $0) } }
    guard !prices.isEmpty else { throw .notARecording(path: source.path) }
    return (beginning.start, prices)
  }

  /// The time of the first line and the first price, from the beginning of a file.
  private static func look(at path: String) throws(Failure) -> (time: Nanoseconds, priceE8: Int64) {
    let text = try beginning(of: path)
    var scanner = FeedScanner()
    var time: Nanoseconds?
    for line in text.split(separator: 10) {
      guard let line = line.withUnsafeBytes({ scanner.scan($0) }) else { continue }
      let start = time ?? line.localTime
      time = start
      switch line.kind {
      case .bookTicker: return (start, (line.bid + line.ask) / 2)
      case .trade: return (start, line.price)
      case .depthUpdate, .snapshot: continue
      }
    }
    throw .notARecording(path: path)
  }

  /// The first MiB of a file; of what `gzip -dc` makes of it if its name ends in `.gz`.
  private static func beginning(of path: String) throws(Failure) -> [UInt8] {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw .recording(.cannotOpen(path, code: errno)) }
    defer { close(file) }
    guard path.hasSuffix(".gz") else { return try read(file, path) }
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = ["gzip", "-dc", "--", path]
    let pipe = Pipe()
    process.standardOutput = pipe
    process.standardError = FileHandle.nullDevice
    do { try process.run() } catch { throw .recording(.cannotStart(path, code: ENOENT)) }
    defer {
      // Not SIGTERM, which the child ignores if the thread that started it had it blocked.
      kill(process.processIdentifier, SIGKILL)
      process.waitUntilExit()
    }
    return try read(pipe.fileHandleForReading.fileDescriptor, path)
  }

  private static func read(_ file: Int32, _ path: String) throws(Failure) -> [UInt8] {
    var text = [UInt8](repeating: 0, count: 1 << 20)
    var count = 0
    while count < text.count {
      let got = text.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress.map { $0 + count }, $0.count - count) }
      if got == 0 { break }
      if got > 0 { count += got } else if errno != EINTR { throw .recording(.cannotOpen(path, code: errno)) }
    }
    text.removeSubrange(count...)
    return text
  }
}
