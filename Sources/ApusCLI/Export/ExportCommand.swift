import Apus
import ArgumentParser
import Foundation

struct ExportCommand: ParsableCommand {
  enum Format: String, CaseIterable, ExpressibleByArgument {
    case csv, sqlite, parquet
  }

  static let configuration = CommandConfiguration(
    commandName: "export",
    abstract: "Make tables of a journal: orders, fills, quotes, latencies.",
    discussion: """
      DIR is a journal's directory, or the data directory or demo directory that holds one. The tables are runs, \
      instruments, orders, order_events, fills, quotes and spans; the article Export describes each column. SQLite makes \
      one file, CSV and Parquet a directory with a file for each table. Parquet needs Python 3 with pyarrow. What is \
      whole of a damaged journal is exported, and what is missing is said here and in the table runs. Exit codes: 0 all \
      is exported; 65 something is missing; 66 there is no journal to be read; 69 Parquet without pyarrow; 73 the tables \
      cannot be written.
      """)

  @Argument(help: ArgumentHelp("The journal's directory.", valueName: "dir"), completion: .directory)
  var directory: String

  @Option(help: "The kind of tables.")
  var to = Format.sqlite

  @Option(
    help: ArgumentHelp(
      "Where to write: a file for SQLite, a directory for the others. Default: apus-export.sqlite, apus-export-csv or "
        + "apus-export-parquet here.", valueName: "path"))
  var out: String?

  @Option(
    name: .customLong("run"),
    help: ArgumentHelp(
      "Only the run with this number, as the summary names it. Default: all runs.", valueName: "number"))
  var epoch: UInt64?

  @Flag(help: "Replace tables that are there.")
  var overwrite = false

  @Option(help: ArgumentHelp("The Python that has pyarrow, for Parquet.", valueName: "program"))
  var python = "python3"

  func run() throws {
    EngineClock.start()
    let path = try JournalDirectory.find(directory)
    var export: JournalExport
    do {
      export = try JournalExport(path: path)
    } catch {
      throw Exit.fail(Exit.unreadable, "\(error)")
    }
    var count = 0
    var isMissing = false
    do {
      let writer = try makeWriter()
      var shown = 0
      func showUnreadable(_ all: [String]) {
        for problem in all.dropFirst(shown) { print("missing: \(problem)") }
        shown = all.count
      }
      while let run = try export.next(epoch: epoch, into: writer) {
        count += 1
        showUnreadable(export.unreadable)
        show(run)
        if run.isDamaged || run.refusal != nil { isMissing = true }
      }
      showUnreadable(export.unreadable)
      if epoch == nil, shown > 0 { isMissing = true }
      guard count > 0 else {
        writer.discard()
        throw Exit.fail(
          isMissing ? Exit.damaged : Exit.unreadable,
          "\(path) holds no \(epoch.map { "run \($0)" } ?? "run"): give the directory of an engine's journal")
      }
      try writer.finish()
    } catch let error as ExportFailure {
      throw Exit.fail(error.code, error.description)
    }
    print("written to \(target)")
    if isMissing { throw Exit.damaged }
  }

  private var target: String {
    out ?? (to == .sqlite ? "apus-export.sqlite" : "apus-export-\(to.rawValue)")
  }

  private func makeWriter() throws(ExportFailure) -> any TableFiles {
    switch to {
    case .sqlite: try SQLiteTables(path: target, overwrites: overwrite)
    case .csv: try CSVTables(directory: target, overwrites: overwrite)
    case .parquet: try ParquetTables(directory: target, python: python, overwrites: overwrite)
    }
  }

  private func show(_ run: JournalExport.Run) {
    if let refusal = run.refusal {
      print("run \(run.bootEpoch): \(refusal)")
      return
    }
    let rows = ExportTable.allCases.compactMap { table in run.rows[table].map { "\($0) \(table.name)" } }
    print("run \(run.bootEpoch): " + rows.joined(separator: ", "))
    for problem in run.problems { print("  missing: \(problem)") }
  }
}

/// Tables in files; `finish` puts them in their place.
protocol TableFiles: ExportWriter {
  func finish() throws(ExportFailure)
  /// Leaves nothing behind.
  func discard()
}

/// Why tables could not be written; one sentence for people.
struct ExportFailure: Error, CustomStringConvertible {
  let code: ExitCode
  let description: String

  init(_ description: String, code: ExitCode = Exit.cannotCreate) {
    self.code = code
    self.description = description
  }
}
