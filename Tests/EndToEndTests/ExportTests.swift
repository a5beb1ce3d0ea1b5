import Apus
import CSupport
import Foundation
import Testing

/// `apus export` on the journals of live engines, and its tables in the hands of their readers.
@Suite(.serialized) struct ExportTests {
  private func demo(_ room: Room, _ options: [String] = []) throws {
    let demo = try Program("apus", ["demo", "--seconds", "5", "--directory", room.file("demo")] + options)
    #expect(demo.wait(seconds: 90) == 0, "\(demo.err)")
  }

  @Test(arguments: [[], ["--mass-quotes"]])
  func `the three formats hold equal rows, and their readers open them`(options: [String]) throws {
    let python = try PythonEnvironment.interpreter()
    let room = try Room()
    try demo(room, options)
    for (format, name) in [("sqlite", "all.sqlite"), ("csv", "csv"), ("parquet", "parquet")] {
      let export = try Program(
        "apus", ["export", room.file("demo"), "--to", format, "--out", room.file(name), "--python", python])
      #expect(export.wait() == 0, "\(export.out) \(export.err)")
      #expect(export.out.contains("written to \(room.file(name))"), "\(export.out)")
      #expect(!export.out.contains("missing"), "\(export.out)")
    }
    #expect(!FileManager.default.fileExists(atPath: room.file("parquet/.csv")))
    let check = try ChildProcess(
      python,
      [Places.pythonScripts + "/check_export.py", room.file("all.sqlite"), room.file("csv"), room.file("parquet")])
    let code = try check.waitForExit(seconds: 60)
    #expect(code == 0, "\(check.errorOutput)")
    // Not equal because there was nothing.
    let rows = Int(check.output.trimmingCharacters(in: .whitespacesAndNewlines)) ?? 0
    #expect(rows > 200, "\(check.output)")
  }

  @Test func `tables that are there are not replaced unless that is asked for`() throws {
    let room = try Room()
    try demo(room)
    for format in ["sqlite", "csv"] {
      let arguments = ["export", room.file("demo"), "--to", format, "--out", room.file(format)]
      #expect(try Program("apus", arguments).wait() == 0)
      let again = try Program("apus", arguments)
      #expect(again.wait() == 73)
      #expect(again.err.contains("is there already") && again.err.split(separator: "\n").count == 1, "\(again.err)")
      #expect(try Program("apus", arguments + ["--overwrite"]).wait() == 0)
    }
    let nowhere = try Program("apus", ["export", room.file("demo"), "--out", room.file("no/such/place.sqlite")])
    #expect(nowhere.wait() == 73)
    #expect(nowhere.err.contains("could not write"), "\(nowhere.err)")
  }

  @Test func `without pyarrow one line says what is missing and how to get it`() throws {
    let room = try Room()
    try demo(room)
    let export = try Program(
      "apus", ["export", room.file("demo"), "--to", "parquet", "--out", room.file("p"), "--python", "/nonexistent"])
    #expect(export.wait() == 69)
    #expect(export.err.split(separator: "\n").count == 1 && export.err.contains("pip install pyarrow"), "\(export.err)")
    #expect(!FileManager.default.fileExists(atPath: room.file("p")))
  }

  @Test func `a damaged journal exports what is whole, says what is missing, and ends with 65`() throws {
    let room = try Room()
    try demo(room)
    let journal = room.file("demo/data/journal")
    let names = try FileManager.default.contentsOfDirectory(atPath: journal).sorted()
    let segment = "\(journal)/\(try #require(names.first))"
    var reader = try JournalReader(path: journal)
    for _ in 0..<500 { _ = reader.next() }
    var victim = reader.next()
    // Behind the header's 32 bytes there must be text to damage; a timer's record has none.
    while let record = victim, record.payload.count < 11 { victim = reader.next() }
    let offset = try #require(victim).segmentOffset
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: segment))
    try file.seek(toOffset: offset + 40)
    try file.write(contentsOf: Data([255, 0, 255]))
    try file.close()
    let export = try Program("apus", ["export", room.file("demo"), "--out", room.file("part.sqlite")])
    #expect(export.wait() == 65, "\(export.out) \(export.err)")
    #expect(export.out.contains("  missing: ") && export.out.contains("offset \(offset)"), "\(export.out)")
    #expect(FileManager.default.fileExists(atPath: room.file("part.sqlite")))

    let nothing = try Program("apus", ["export", room.file("nowhere")])
    #expect(nothing.wait() == 66)
    let noRun = try Program("apus", ["export", room.file("demo"), "--run", "5", "--out", room.file("none.sqlite")])
    #expect(noRun.wait() == 66)
    #expect(!FileManager.default.fileExists(atPath: room.file("none.sqlite")))
  }
}
