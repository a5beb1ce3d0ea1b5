import Foundation

extension HostHeadroom {
  /// What the host has left for the engine `processID` whose files are in `directory`. Cold; some dozen system calls.
  public static func read(processID: Int64, directory: String) -> HostHeadroom {
    var facts = HostHeadroom()
    facts.dataDirectory = directory
    var space = statvfs()
    if statvfs(directory, &space) == 0 { facts.diskFreeBytes = UInt64(space.f_bavail) * UInt64(space.f_frsize) }
    let memory = table("/proc/meminfo")
    facts.totalBytes = memory["MemTotal"].map { $0 << 10 }
    facts.availableBytes = memory["MemAvailable"].map { $0 << 10 }
    guard processID > 0 else { return facts }
    let process = "/proc/\(processID)"
    facts.residentBytes = table("\(process)/status")["VmRSS"].map { $0 << 10 }
    facts.memoryLimitBytes = controlGroupLimit(process) ?? facts.totalBytes
    facts.filesOpen = try? FileManager.default.contentsOfDirectory(atPath: "\(process)/fd").count
    for line in text("\(process)/limits").split(separator: "\n") where line.hasPrefix("Max open files") {
      facts.filesLimit = line.split(separator: " ").dropFirst(3).first.flatMap { Int($0) }
    }
    return facts
  }

  private static func text(_ path: String) -> String {
    (FileManager.default.contents(atPath: path)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// Lines of the form `Name: number kB`.
  private static func table(_ path: String) -> [String: UInt64] {
    var values: [String: UInt64] = [:]
    for line in text(path).split(separator: "\n") {
      let parts = line.split(whereSeparator: { $0 == ":" || $0 == " " || $0 == "\t" })
      if parts.count >= 2, let value = UInt64(parts[1]) { values[String(parts[0])] = value }
    }
    return values
  }

  /// Of version 2, of the process's group or the nearest above it that has one.
  private static func controlGroupLimit(_ process: String) -> UInt64? {
    guard let line = text("\(process)/cgroup").split(separator: "\n").first(where: { $0.hasPrefix("0::/") }) else {
      return nil
    }
    var parts = line.dropFirst(4).split(separator: "/")
    var least: UInt64?
    while true {
      let folder = (["/sys/fs/cgroup"] + parts.map(String.init)).joined(separator: "/")
      if let limit = UInt64(text("\(folder)/memory.max").trimmingCharacters(in: .whitespacesAndNewlines)) {
        least = min(least ?? limit, limit)
      }
      if parts.isEmpty { return least }
      parts.removeLast()
    }
  }
}
