import Apus
import Glibc

/// What a power cut leaves of a journal that was being written.
enum JournalDamage {
  /// The pages in which a disk takes what is written.
  private static let pageBytes = 4096

  /// Loses what had not been synced: all of it, all behind some byte, or some pages and not others. What was synced and the
  /// headers of segments stay. Nobody may have the journal open.
  ///
  /// - Parameters:
  ///   - epoch: the life that ended.
  ///   - synced: the number of its last record that was on the disk; 0: none.
  /// - Returns: how many bytes of records were at stake.
  static func cutPower(
    _ path: String, epoch: UInt64, synced: UInt64, random: inout SplitMix
  ) throws(MappedFileError) -> Int {
    var reader = try JournalReader(path: path)
    /// From the first byte that was not synced to the end of the records, by segment.
    var ranges: [(segment: UInt64, range: Range<Int>)] = []
    while let record = reader.next() {
      guard record.bootEpoch == epoch, record.recordNumber > synced else { continue }
      let start = Int(record.segmentOffset)
      // A record's header is 32 bytes.
      let end = start + 32 + record.payload.count
      if let last = ranges.last, last.segment == record.segmentNumber {
        ranges[ranges.count - 1].range = last.range.lowerBound..<end
      } else {
        ranges.append((record.segmentNumber, start..<end))
      }
    }
    let total = ranges.reduce(0) { $0 + $1.range.count }
    guard total > 0 else { return 0 }
    let way = random.below(4)
    // Half of the cuts are near the end: a record or two.
    var kept = way == 0 ? 0 : Int(random.below(Int64(total + 1)))
    if way == 1 { kept = max(0, total - 1 - Int(random.below(800))) }
    for (segment, range) in ranges {
      var pieces: [Range<Int>] = []
      if way < 3 {
        if kept < range.count { pieces = [range.lowerBound + kept..<range.upperBound] }
        kept = max(0, kept - range.count)
      } else {
        var start = range.lowerBound
        while start < range.upperBound {
          let end = min(range.upperBound, (start / pageBytes + 1) * pageBytes)
          if random.below(2) == 0 { pieces.append(start..<end) }
          start = end
        }
      }
      blank(path, segment, pieces)
    }
    return total
  }

  /// Loses the last records of a life, as if the process had been killed before it wrote them. Of the first of them the
  /// payload may be there, for the header comes last. Nobody may have the journal open.
  ///
  /// - Parameter kept: so many records of this life stay.
  static func cutTurn(_ path: String, epoch: UInt64, kept: Int, random: inout SplitMix) throws(MappedFileError) {
    var reader = try JournalReader(path: path)
    var count = 0
    while let record = reader.next() {
      guard record.bootEpoch == epoch else { continue }
      count += 1
      guard count > kept else { continue }
      let start = Int(record.segmentOffset)
      let isHeaderAlone = count == kept + 1 && random.below(2) == 0
      blank(path, record.segmentNumber, [start..<start + 32 + (isHeaderAlone ? 0 : record.payload.count)])
    }
  }

  private static func blank(_ path: String, _ segment: UInt64, _ pieces: [Range<Int>]) {
    guard !pieces.isEmpty else { return }
    let digits = String(segment)
    let name = path + "/journal-" + String(repeating: "0", count: 20 - digits.count) + digits + ".apus"
    let descriptor = open(name, O_WRONLY | O_CLOEXEC)
    precondition(descriptor >= 0, "the segment \(name) was read a moment ago")
    for piece in pieces {
      let zeros = [UInt8](repeating: 0, count: piece.count)
      let written = zeros.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, off_t(piece.lowerBound)) }
      precondition(written == piece.count, "\(name) cannot be written")
    }
    close(descriptor)
  }
}

/// A directory in memory, for the journal of one run; it goes away with this object.
final class MemoryDirectory {
  let path: String

  /// - Throws: if neither the file system in memory nor the temporary directory can be written.
  init() throws(SystemError) {
    for base in ["/dev/shm", "/tmp"] {
      var name = Array("\(base)/apus-simulation-XXXXXX".utf8CString)
      if mkdtemp(&name) != nil {
        path = String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
        return
      }
    }
    throw SystemError("make a directory for a journal below /dev/shm or /tmp", result: -errno)
  }

  deinit {
    if let stream = opendir(path) {
      while let entry = readdir(stream) {
        let name = withUnsafePointer(to: &entry.pointee.d_name) {
          $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
        }
        if name.hasPrefix("journal-") { unlink(path + "/" + name) }
      }
      closedir(stream)
    }
    rmdir(path)
  }
}
