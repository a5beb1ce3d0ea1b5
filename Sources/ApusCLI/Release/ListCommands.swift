import Apus
import ApusHost
import ApusRelease
import ArgumentParser
import Foundation

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Hold a release against its manifest.",
    discussion: "Names each file that is missing, extra, changed or not executable. Exit code 1 if there is one.")

  @Argument(help: "The release's directory.", completion: .directory)
  var directory: String

  func run() throws {
    let release = try ReleaseCommand.run { () throws(ReleaseError) in try Release(directory: directory) }
    let problems = release.problems()
    for problem in problems { _ = Exit.fail(.failure, "\(directory): \(problem)") }
    guard problems.isEmpty else { throw ExitCode.failure }
    say("\(directory): \(release.manifest.files.count) files as they were packed")
  }
}

struct ListCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "list", abstract: "List the releases of a directory, the newest last; * is the current one.")

  @Argument(help: "The directory of releases.", completion: .directory)
  var root: String

  @Flag(help: "As JSON, with everything that the manifests say.")
  var json = false

  func run() throws {
    let entries = try ReleaseCommand.run { () throws(ReleaseError) in try ReleaseRoot(path: root).list() }
    guard !json else {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      encoder.keyEncodingStrategy = .convertToSnakeCase
      say(String(decoding: try encoder.encode(entries.map(ListedRelease.init)), as: UTF8.self))
      return
    }
    guard !entries.isEmpty else { return say("no releases in \(root)") }
    let rows = [["", "name", "packed", "version", "revision", "mode", "passed"]] + entries.map(\.row)
    let widths = rows[0].indices.map { column in rows.map { $0[column].count }.max() ?? 0 }
    for (index, row) in rows.enumerated() {
      let cells = zip(row.dropLast(), widths).map { $0.padding(toLength: $1, withPad: " ", startingAt: 0) }
      say((cells + row.suffix(1)).joined(separator: "  "))
      guard index > 0 else { continue }
      for line in entries[index - 1].remarks { say("     \(line)") }
    }
  }
}

/// An entry as JSON. Keys are stable; new ones may come.
private struct ListedRelease: Encodable {
  var name: String
  var isCurrent: Bool
  var manifest: ReleaseManifest?
  var problem: String?
  var overrides: [AuditLine]

  init(_ entry: ReleaseRoot.Entry) {
    name = entry.name
    isCurrent = entry.isCurrent
    manifest = entry.manifest
    problem = entry.problem
    overrides = entry.overrides
  }
}

extension ReleaseRoot.Entry {
  fileprivate var row: [String] {
    let mark = isCurrent ? "*" : ""
    guard let manifest else { return [mark, name, "–", "–", "–", "–", "–"] }
    // Each mode once, the last pass of it.
    let passed = EngineMode.allCases.filter { mode in manifest.passed.contains { $0.mode == mode } }
    return [
      mark, name, manifest.createdAt, manifest.build.version, String(manifest.build.revision.prefix(12)),
      manifest.mode.rawValue, passed.isEmpty ? "–" : passed.map(\.rawValue).joined(separator: ", "),
    ]
  }

  fileprivate var remarks: [String] {
    var lines: [String] = []
    if let problem { lines.append("DAMAGED: \(problem)") }
    if let base = manifest?.base { lines.append("program of \(base)") }
    if let note = manifest?.note { lines.append(note) }
    for pass in manifest?.passed ?? [] {
      lines.append("passed \(pass.mode.rawValue) \(pass.at): run \(pass.run), \(pass.seconds) s\(pass.booksText)")
    }
    for line in overrides { lines.append("OVERRIDDEN \(line.at) by \(line.user): \(line.why ?? "")") }
    return lines
  }
}
