import Apus
import Glibc

/// The tables as CSV files (RFC 4180): a header line, CRLF, quotes where they are needed. An absent value is an empty
/// field, an empty text is `""`.
final class CSVTables: TableFiles {
  private let directory: String
  private var files: [ExportTable: UnsafeMutablePointer<FILE>] = [:]
  private var isFinished = false

  init(directory: String, overwrites: Bool) throws(ExportFailure) {
    self.directory = directory
    if mkdir(directory, 0o755) != 0, errno != EEXIST { throw failure(directory) }
    for table in ExportTable.allCases where !overwrites {
      let path = Self.path(directory, table)
      guard access(path, F_OK) != 0 else {
        throw ExportFailure("\(path) is there already: give another --out, or --overwrite")
      }
    }
    for table in ExportTable.allCases {
      let path = Self.path(directory, table)
      guard let file = fopen(path + ".new", "w") else { throw failure(path) }
      files[table] = file
      fputs(table.columns.map(\.name).joined(separator: ",") + "\r\n", file)
    }
  }

  deinit { discard() }

  static func path(_ directory: String, _ table: ExportTable) -> String { "\(directory)/\(table.name).csv" }

  func write(_ row: [ExportValue], to table: ExportTable) throws {
    guard let file = files[table] else { return }
    var line = row.map(Self.text).joined(separator: ",")
    line += "\r\n"
    guard fputs(line, file) >= 0 else { throw failure(Self.path(directory, table)) }
  }

  private static func text(_ value: ExportValue) -> String {
    switch value {
    case .null: return ""
    case .integer(let number): return String(number)
    case .decimal(let decimal): return decimal.description
    case .text(let text):
      let isPlain =
        !text.isEmpty && text.utf8.allSatisfy { $0 != 0x22 && $0 != 0x2C && $0 != 0x0D && $0 != 0x0A }
      return isPlain
        ? text : "\"" + text.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"") + "\""
    }
  }

  func finish() throws(ExportFailure) {
    for table in ExportTable.allCases {
      guard let file = files.removeValue(forKey: table) else { continue }
      let path = Self.path(directory, table)
      guard fclose(file) == 0, rename(path + ".new", path) == 0 else { throw failure(path) }
    }
  }

  func discard() {
    for (table, file) in files {
      fclose(file)
      unlink(Self.path(directory, table) + ".new")
    }
    // Only if nothing else is in it.
    if !files.isEmpty { rmdir(directory) }
    files = [:]
  }

  private func failure(_ path: String) -> ExportFailure {
    ExportFailure(
      "could not write \(path): \(String(cString: strerror(errno))); give a place that can be written with --out")
  }
}
