import Apus
import ArgumentParser
import Foundation

/// The tables as Parquet files: CSV first, which a Python with pyarrow turns into Parquet.
///
/// Whole numbers are 64 bits, decimals `decimal128(19, 8)`, times `timestamp[ns]` in UTC, texts UTF-8.
final class ParquetTables: TableFiles {
  private let directory: String
  private let python: String
  private let tables: CSVTables
  private let temporary: String

  init(directory: String, python: String, overwrites: Bool) throws(ExportFailure) {
    self.directory = directory
    self.python = python
    let found = Self.run(python, ["-c", "import pyarrow.csv, pyarrow.parquet"])
    guard found.code == 0 else {
      throw ExportFailure(
        "Parquet needs Python 3 with pyarrow, which \(python) is not or does not have: "
          + "`python3 -m pip install pyarrow`, or name another with --python",
        code: Exit.unreachable)
    }
    for table in ExportTable.allCases where !overwrites {
      let path = "\(directory)/\(table.name).parquet"
      guard access(path, F_OK) != 0 else {
        throw ExportFailure("\(path) is there already: give another --out, or --overwrite")
      }
    }
    if mkdir(directory, 0o755) != 0, errno != EEXIST {
      throw ExportFailure("could not make \(directory): \(String(cString: strerror(errno)))")
    }
    temporary = directory + "/.csv"
    tables = try CSVTables(directory: temporary, overwrites: true)
  }

  func write(_ row: [ExportValue], to table: ExportTable) throws { try tables.write(row, to: table) }

  func finish() throws(ExportFailure) {
    try tables.finish()
    let types = ExportTable.allCases.map { table in
      "\(table.name):" + table.columns.map { "\($0.name)=\($0.type.rawValue)" }.joined(separator: ",")
    }
    let result = Self.run(python, ["-c", Self.script, temporary, directory] + types)
    try? FileManager.default.removeItem(atPath: temporary)
    guard result.code == 0 else {
      throw ExportFailure("could not write Parquet to \(directory): \(result.error)")
    }
  }

  func discard() {
    tables.discard()
    try? FileManager.default.removeItem(atPath: temporary)
    rmdir(directory)
  }

  /// Runs a program to its end; its last line on standard error tells why it failed.
  private static func run(_ program: String, _ arguments: [String]) -> (code: Int32, error: String) {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [program] + arguments
    process.standardOutput = FileHandle.nullDevice
    process.standardInput = FileHandle.nullDevice
    let pipe = Pipe()
    process.standardError = pipe
    do { try process.run() } catch { return (127, "\(error.localizedDescription)") }
    let text = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    return (process.terminationStatus, text.split(separator: "\n").last.map(String.init) ?? "it said nothing")
  }

  private static let script = """
    import os, sys
    import pyarrow as pa, pyarrow.csv as csv, pyarrow.parquet as parquet
    source, target = sys.argv[1:3]
    read = {'integer': pa.int64(), 'text': pa.string(), 'decimal': pa.decimal128(19, 8), 'time': pa.int64()}
    kept = dict(read, time=pa.timestamp('ns'))
    for table in sys.argv[3:]:
        name, columns = table.split(':')
        columns = [column.split('=') for column in columns.split(',')]
        schema = pa.schema([(column, kept[kind]) for column, kind in columns])
        options = csv.ConvertOptions(
            column_types={column: read[kind] for column, kind in columns}, null_values=[''], strings_can_be_null=True,
            quoted_strings_can_be_null=False)
        path = os.path.join(target, name + '.parquet')
        with parquet.ParquetWriter(path + '.new', schema, compression='zstd') as writer:
            for batch in csv.open_csv(os.path.join(source, name + '.csv'), convert_options=options):
                writer.write_table(pa.Table.from_batches([batch]).cast(schema))
        os.replace(path + '.new', path)
    """
}
