import Apus
import CSQLite
import Glibc

/// The tables as one SQLite file.
final class SQLiteTables: TableFiles {
  private let path: String
  /// Written beside its place and moved there at the end: who looks finds all or nothing.
  private let temporary: String
  private var database: OpaquePointer?
  private var statements: [ExportTable: OpaquePointer] = [:]

  init(path: String, overwrites: Bool) throws(ExportFailure) {
    self.path = path
    temporary = path + ".new"
    if !overwrites, access(path, F_OK) == 0 {
      throw ExportFailure("\(path) is there already: give another --out, or --overwrite")
    }
    unlink(temporary)
    guard sqlite3_open(temporary, &database) == SQLITE_OK else { throw failure() }
    // A file that is thrown away if anything fails needs no journal of its own.
    try run("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; BEGIN")
    for table in ExportTable.allCases {
      let columns = table.columns.map { "\"\($0.name)\" \(Self.type($0.type))" }.joined(separator: ", ")
      try run("CREATE TABLE \(table.name) (\(columns))")
      let places = table.columns.map { _ in "?" }.joined(separator: ", ")
      var statement: OpaquePointer?
      guard
        sqlite3_prepare_v2(database, "INSERT INTO \(table.name) VALUES (\(places))", -1, &statement, nil) == SQLITE_OK
      else { throw failure() }
      statements[table] = statement
    }
  }

  deinit { discard() }

  private static func type(_ type: ExportType) -> String {
    switch type {
    case .integer, .time: "INTEGER"
    case .text: "TEXT"
    // Numeric affinity: a number that compares and adds up, shown with the 15 digits that a price or a size has at most.
    case .decimal: "DECIMAL"
    }
  }

  func write(_ row: [ExportValue], to table: ExportTable) throws {
    guard let statement = statements[table] else { return }
    for (index, value) in row.enumerated() {
      let place = Int32(index + 1)
      let code =
        switch value {
        case .null: sqlite3_bind_null(statement, place)
        case .integer(let number): sqlite3_bind_int64(statement, place, number)
        case .text(let text): Self.bind(statement, place, text)
        case .decimal(let decimal): Self.bind(statement, place, decimal.description)
        }
      guard code == SQLITE_OK else { throw failure() }
    }
    guard sqlite3_step(statement) == SQLITE_DONE else { throw failure() }
    sqlite3_reset(statement)
  }

  private static func bind(_ statement: OpaquePointer, _ place: Int32, _ text: String) -> Int32 {
    // SQLITE_TRANSIENT: it makes a copy.
    sqlite3_bind_text(statement, place, text, -1, unsafeBitCast(-1, to: sqlite3_destructor_type.self))
  }

  func finish() throws(ExportFailure) {
    try run(
      """
      CREATE INDEX order_events_of_order ON order_events (client_id);
      CREATE INDEX fills_of_order ON fills (venue_id);
      COMMIT
      """)
    close()
    guard rename(temporary, path) == 0 else {
      throw ExportFailure("could not write \(path): \(String(cString: strerror(errno)))")
    }
  }

  func discard() {
    guard database != nil else { return }
    close()
    unlink(temporary)
  }

  private func close() {
    for statement in statements.values { sqlite3_finalize(statement) }
    statements = [:]
    sqlite3_close(database)
    database = nil
  }

  private func run(_ text: String) throws(ExportFailure) {
    guard sqlite3_exec(database, text, nil, nil, nil) == SQLITE_OK else { throw failure() }
  }

  private func failure() -> ExportFailure {
    let said = database.flatMap { sqlite3_errmsg($0) }.map { String(cString: $0) } ?? "out of memory"
    return ExportFailure("could not write \(path): \(said); give a path that can be written with --out")
  }
}
