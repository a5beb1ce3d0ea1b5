import Apus
import ApusHost
import ApusRelease
import ArgumentParser
import Foundation

struct PackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pack",
    abstract: "Make a release of a program and a configuration, or of a configuration alone.",
    discussion: """
      The release is there as a whole or not at all. The configuration is checked by the program that it is packed with. \
      Libraries that come with the program, such as the Swift runtime, are packed too.
      """)

  @Option(name: .customLong("config"), help: "The configuration file (YAML).", completion: .file())
  var configPath: String

  @Option(help: "What to call it: 1 to 64 of A-Z a-z 0-9 - _ .")
  var name: String

  @Option(name: .customLong("to"), help: "The directory of releases; made if missing.", completion: .directory)
  var root: String

  @Option(help: "The program. Default: the one that runs now.", completion: .file())
  var binary: String?

  @Option(help: "Take the program of this release instead: a release of a configuration alone.")
  var base: String?

  @Option(help: "What is new, for people.")
  var note: String?

  func validate() throws {
    if binary != nil, base != nil { throw ValidationError("give --binary or --base, not both") }
  }

  func run() throws {
    let own = "/proc/self/exe"
    let packing = ReleasePacking(
      root: ReleaseRoot(path: root), name: name, configurationPath: configPath,
      program: base.map { .base($0) } ?? .file(binary ?? own), note: note)
    let release = try ReleaseCommand.run { () throws(ReleaseError) in
      try packing.run { (program, configuration) throws(ReleaseError) in
        try Self.describe(program, configuration, isOwn: program == own, shownAs: configPath)
      }
    }
    let manifest = release.manifest
    let bytes = manifest.files.reduce(0) { $0 + $1.bytes }
    say(
      "packed \(release.directory): apus \(manifest.build.version) (\(manifest.build.revision.prefix(12))), "
        + "\(manifest.engineName) for \(manifest.mode.rawValue), \(manifest.files.count) files, \(bytes >> 20) MiB"
        + (manifest.base.map { ", program of \($0)" } ?? ""))
  }

  private static func describe(
    _ program: String, _ configuration: String, isOwn: Bool, shownAs path: String
  ) throws(ReleaseError) -> ReleaseSubject {
    do throws(ReleaseError) {
      return isOwn ? try DescribeCommand.subject(configuration) : try ask(program, configuration)
    } catch {
      // What is checked is the copy in the release that is being made.
      throw ReleaseError(error.kind, error.description.replacing(configuration, with: path))
    }
  }

  /// Another program knows best what it is, and whether it takes the configuration.
  private static func ask(_ program: String, _ configuration: String) throws(ReleaseError) -> ReleaseSubject {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: program)
    process.arguments = ["release", DescribeCommand.name, "--config", configuration]
    process.standardInput = FileHandle.nullDevice
    let out = Pipe()
    let err = Pipe()
    process.standardOutput = out
    process.standardError = err
    do {
      try process.run()
    } catch {
      throw ReleaseError(.unreadable, "\(program) is not a program that can be run: \(error.localizedDescription)")
    }
    let answer = out.fileHandleForReading.readDataToEndOfFile()
    var said = String(decoding: err.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    while said.last?.isNewline == true { said.removeLast() }
    if process.terminationReason == .exit, process.terminationStatus == Exit.configuration.rawValue {
      throw ReleaseError(.configuration, said.hasPrefix("apus: ") ? String(said.dropFirst("apus: ".count)) : said)
    }
    guard let subject = try? JSONDecoder().decode(ReleaseSubject.self, from: answer) else {
      throw ReleaseError(
        .unreadable,
        "\(program) does not say what it is: it is no apus, or one from before there were releases; give another --binary"
      )
    }
    return subject
  }
}

/// For `apus release pack` with another program than itself.
struct DescribeCommand: ParsableCommand {
  static let name = "describe"
  static let configuration = CommandConfiguration(
    commandName: name, abstract: "What this program is, and what a configuration means to it, as JSON.",
    shouldDisplay: false)

  @Option(name: .customLong("config"), help: "The configuration file (YAML).", completion: .file())
  var configPath: String

  func run() throws {
    let subject = try ReleaseCommand.run { () throws(ReleaseError) in try Self.subject(configPath) }
    say(String(decoding: try JSONEncoder().encode(subject), as: UTF8.self))
  }

  static func subject(_ configPath: String) throws(ReleaseError) -> ReleaseSubject {
    do throws(ConfigurationError) {
      return ReleaseSubject(try ConfigurationFile.load(path: configPath))
    } catch {
      throw ReleaseError(.configuration, error.description)
    }
  }
}
