import Foundation

/// What the system says about the engine's process, its threads, the machine's memory and the disk of its data.
///
/// Read from `/proc`, which asks nothing of the process itself.
public struct ProcessUse: Codable, Equatable, Sendable {
  /// All threads of one name together.
  public struct Threads: Codable, Equatable, Sendable {
    public var name: String
    public var count: Int
    /// Seconds of a core, user and system.
    public var cpuSeconds: Double
    /// Times that they gave up the core by waiting, and that it was taken from them.
    public var voluntarySwitches: UInt64
    public var involuntarySwitches: UInt64
    /// Pages that had only to be mapped, and those that had to be read from a disk.
    public var minorFaults: UInt64
    public var majorFaults: UInt64
    /// Of the last interval: cores used (0.5 is half of one), and events per second. Absent at the first look.
    public var cpuShare: Double?
    public var voluntaryRate: Double?
    public var involuntaryRate: Double?
    public var minorFaultRate: Double?
    public var majorFaultRate: Double?
  }

  public var residentBytes: UInt64
  public var openFiles: Int
  public var fileLimit: UInt64?
  public var threads: [Threads]
  /// Of the file system that the data directory is on, for programs that are not root.
  public var dataFreeBytes: UInt64?
  public var dataSizeBytes: UInt64?
  /// Of the machine; what could be had without swapping, out of all.
  public var memoryAvailableBytes: UInt64?
  public var memorySizeBytes: UInt64?

  /// Looks at process `processID`; `nil` if it is gone or belongs to someone else.
  ///
  /// - Parameter proc: Where the proc file system is.
  public init?(of processID: Int64, dataDirectory: String, proc: String = "/proc") {
    let place = "\(proc)/\(processID)"
    guard processID > 0, let status = Self.fields("\(place)/status"), let resident = Self.kibibytes(status["VmRSS"])
    else { return nil }
    residentBytes = resident
    openFiles = (try? FileManager.default.contentsOfDirectory(atPath: "\(place)/fd").count) ?? 0
    // "Max open files   SOFT   HARD   files"
    let limit = Self.text("\(place)/limits")?.split(separator: "\n").first { $0.hasPrefix("Max open files") }
    fileLimit = limit?.split(separator: " ").dropFirst(3).first.flatMap { UInt64($0) }

    var byName: [String: Threads] = [:]
    for thread in (try? FileManager.default.contentsOfDirectory(atPath: "\(place)/task")) ?? [] {
      guard let one = Self.thread("\(place)/task/\(thread)") else { continue }
      var sum =
        byName[one.name]
        ?? Threads(
          name: one.name, count: 0, cpuSeconds: 0, voluntarySwitches: 0, involuntarySwitches: 0, minorFaults: 0,
          majorFaults: 0)
      sum.count += 1
      sum.cpuSeconds += one.cpuSeconds
      sum.voluntarySwitches += one.voluntarySwitches
      sum.involuntarySwitches += one.involuntarySwitches
      sum.minorFaults += one.minorFaults
      sum.majorFaults += one.majorFaults
      byName[one.name] = sum
    }
    threads = byName.values.sorted { $0.name < $1.name }

    var disk = statvfs()
    if statvfs(dataDirectory, &disk) == 0 {
      dataFreeBytes = UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
      dataSizeBytes = UInt64(disk.f_blocks) * UInt64(disk.f_frsize)
    }
    let memory = Self.fields("\(proc)/meminfo") ?? [:]
    memoryAvailableBytes = Self.kibibytes(memory["MemAvailable"])
    memorySizeBytes = Self.kibibytes(memory["MemTotal"])
  }

  /// Adds what happened per second since `earlier`, a look at the same process `seconds` before.
  mutating func rate(since earlier: ProcessUse, seconds: Double) {
    guard seconds > 0 else { return }
    for place in threads.indices {
      guard let old = earlier.threads.first(where: { $0.name == threads[place].name }) else { continue }
      func perSecond(_ now: UInt64, _ before: UInt64) -> Double { now >= before ? Double(now - before) / seconds : 0 }
      threads[place].cpuShare = max(0, threads[place].cpuSeconds - old.cpuSeconds) / seconds
      threads[place].voluntaryRate = perSecond(threads[place].voluntarySwitches, old.voluntarySwitches)
      threads[place].involuntaryRate = perSecond(threads[place].involuntarySwitches, old.involuntarySwitches)
      threads[place].minorFaultRate = perSecond(threads[place].minorFaults, old.minorFaults)
      threads[place].majorFaultRate = perSecond(threads[place].majorFaults, old.majorFaults)
    }
  }

  private static func thread(_ place: String) -> Threads? {
    guard let stat = text("\(place)/stat"), let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")"),
      let status = fields("\(place)/status")
    else { return nil }
    // Behind the name, which may hold blanks and parentheses: state is the third field of the line.
    let rest = stat[stat.index(after: close)...].split(separator: " ")
    guard rest.count > 12 else { return nil }
    func number(_ field: Int) -> UInt64 { UInt64(rest[field - 3]) ?? 0 }
    let ticks = Double(number(14) + number(15)) / Double(sysconf(Int32(_SC_CLK_TCK)))
    // Nanoseconds on a core, where the kernel counts them.
    let exact = text("\(place)/schedstat")?.split(separator: " ").first.flatMap { Double($0) }.map { $0 / 1e9 }
    return Threads(
      name: String(stat[stat.index(after: open)..<close]), count: 1, cpuSeconds: exact ?? ticks,
      voluntarySwitches: UInt64(status["voluntary_ctxt_switches"] ?? "") ?? 0,
      involuntarySwitches: UInt64(status["nonvoluntary_ctxt_switches"] ?? "") ?? 0, minorFaults: number(10),
      majorFaults: number(12))
  }

  private static func kibibytes(_ field: String?) -> UInt64? {
    field?.split(separator: " ").first.flatMap { UInt64($0) }.map { $0 * 1024 }
  }

  /// Lines of "name: value".
  private static func fields(_ path: String) -> [String: String]? {
    guard let text = text(path) else { return nil }
    var fields: [String: String] = [:]
    for line in text.split(separator: "\n") {
      guard let colon = line.firstIndex(of: ":") else { continue }
      fields[String(line[..<colon])] = line[line.index(after: colon)...].trimmingCharacters(in: .whitespaces)
    }
    return fields
  }

  /// The whole of a file of the proc file system, which says that it is empty and is not.
  private static func text(_ path: String) -> String? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 4096)
    while true {
      let got = read(file, &chunk, chunk.count)
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { return nil }
      if got == 0 { return String(decoding: bytes, as: UTF8.self) }
      bytes += chunk[..<got]
    }
  }
}
