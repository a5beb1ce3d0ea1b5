import Apus
import ApusHost
import ApusRelease
import Foundation

/// CPU times of replays on this host, kept from one rollout to the next: whether a host has become slower is seen by the
/// program that was timed before.
struct HostBaseline {
  struct Entry: Codable, Equatable {
    var host: String
    /// SHA-256 of the program.
    var program: String
    var recording: String
    /// Median, seconds.
    var cpuSeconds: Double
    /// UTC, RFC 3339.
    var at: String
  }

  private let path: String
  private let host: String
  private(set) var entries: [Entry]

  /// More than these are not kept; the oldest go.
  private static let most = 200

  init(path: String, host: String = HostBaseline.currentHost) {
    self.path = path
    self.host = host
    entries = FileManager.default.contents(atPath: path).flatMap { try? JSONDecoder().decode([Entry].self, from: $0) } ?? []
  }

  func entry(_ release: Release, _ recording: String) -> Entry? { entry(program: Self.program(release), recording) }

  func entry(program: String, _ recording: String) -> Entry? {
    entries.last { $0.host == host && $0.program == program && $0.recording == recording }
  }

  mutating func note(_ release: Release, _ recording: String, cpuSeconds: Double, at: String) {
    note(program: Self.program(release), recording, cpuSeconds: cpuSeconds, at: at)
  }

  mutating func note(program: String, _ recording: String, cpuSeconds: Double, at: String) {
    entries.removeAll { $0.host == host && $0.program == program && $0.recording == recording }
    entries.append(Entry(host: host, program: program, recording: recording, cpuSeconds: cpuSeconds, at: at))
    entries = entries.suffix(Self.most)
  }

  /// What cannot be written is missing the next time, which then says so.
  func save() {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    guard let data = try? encoder.encode(entries) else { return }
    try? WholeFile.write(Array(data), to: path, mode: 0o600)
  }

  private static func program(_ release: Release) -> String {
    release.manifest.files.first { "\(release.directory)/\($0.name)" == release.programPath }?.sha256 ?? ""
  }

  /// The processor's name and how many there are.
  static var currentHost: String {
    let text = HostTree().text("/proc/cpuinfo") ?? ""
    let model = text.split(separator: "\n").first { $0.hasPrefix("model name") || $0.hasPrefix("CPU part") }
    let name = model?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown processor"
    return "\(name), \(ProcessInfo.processInfo.processorCount) processors"
  }
}
