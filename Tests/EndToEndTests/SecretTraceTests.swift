import Apus
import Foundation
import Testing

/// R57: a planted key is looked for in everything that a session shows while it runs and leaves behind.
@Suite(.serialized) struct SecretTraceTests {
  /// What would give a key away.
  struct Traces {
    /// Lines of the PEM text, without the first and last, which are the same for every key.
    let lines: [[UInt8]]
    /// Pieces of the private exponent and of the first prime: as DER has them, and as big numbers lie in memory on a
    /// machine with the lowest byte first.
    let exponent, exponentInMemory: [UInt8]
    let prime, primeInMemory: [UInt8]
    /// A login token begins with this, whatever is in it.
    let token = Array("eyJ".utf8)

    init(pem: String) throws {
      let body = pem.split(separator: "\n").filter { !$0.hasPrefix("-----") }
      lines = body[3..<(body.count - 1)].map { Array($0.utf8) }
      let der = Array(try #require(Data(base64Encoded: body.joined())))
      // PKCS#8 of 2048 bits: the modulus from byte 38 on, the exponent from 303, the primes from 563 and 695 (± a few).
      exponent = Array(der[340..<364])
      prime = Array(der[600..<624])
      exponentInMemory = exponent.reversed()
      primeInMemory = prime.reversed()
    }

    /// For files and texts: each of them, and in hexadecimal digits.
    var all: [[UInt8]] {
      let numbers = [exponent, exponentInMemory, prime, primeInMemory]
      let digits = numbers.map { number in Array(number.map { String(format: "%02x", $0) }.joined().utf8) }
      return lines + numbers + digits + [token]
    }
  }

  /// Most of what is searched is zeros, which `memchr` passes over fast.
  static func contains(_ bytes: Data, _ needle: [UInt8]) -> Bool {
    bytes.withUnsafeBytes { text in
      guard let start = text.baseAddress else { return false }
      var offset = 0
      while text.count - offset >= needle.count,
        let found = memchr(start + offset, Int32(needle[0]), text.count - offset - needle.count + 1)
      {
        if memcmp(found, needle, needle.count) == 0 { return true }
        offset = UnsafeRawPointer(found) - start + 1
      }
      return false
    }
  }

  /// `/proc` files have no size.
  private static func bytes(_ path: String) -> Data? {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    var content = Data()
    var buffer = [UInt8](repeating: 0, count: 65536)
    while case let count = read(file, &buffer, buffer.count), count > 0 { content += buffer[..<count] }
    return content
  }

  struct Region {
    var name: String
    var flags: Set<Substring>
    var bytes: Data
    var isGuarded: Bool { flags.contains("dd") }
  }

  /// What a process may write to, read while it runs; `nil` if the system does not let us.
  private static func memory(of process: Int32) -> [Region]? {
    let file = open("/proc/\(process)/mem", O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { return nil }
    defer { close(file) }
    let text = String(decoding: bytes("/proc/\(process)/smaps") ?? Data(), as: UTF8.self)
    var regions: [Region] = []
    var current: (range: Range<UInt>, name: String)?
    for line in text.split(separator: "\n") {
      let words = line.split(separator: " ", omittingEmptySubsequences: true)
      if let first = words.first, first.contains("-"), words.count >= 5 {
        let ends = first.split(separator: "-").compactMap { UInt($0, radix: 16) }
        let isWritable = words[1].hasPrefix("rw")
        current = ends.count == 2 && isWritable ? (ends[0]..<ends[1], words.dropFirst(5).joined(separator: " ")) : nil
      } else if line.hasPrefix("VmFlags:"), let (range, name) = current {
        var content = Data(count: range.count)
        let got = content.withUnsafeMutableBytes { pread(file, $0.baseAddress, $0.count, off_t(range.lowerBound)) }
        if got > 0 { regions.append(Region(name: name, flags: Set(words.dropFirst()), bytes: content.prefix(got))) }
      }
    }
    return regions
  }

  @Test(arguments: [false, true])
  func `R57 a planted key is nowhere in what a session shows and leaves`(inEnvironment: Bool) throws {
    let stage = try RunTests.Stage()
    let room = stage.room
    let pem = try String(contentsOfFile: room.file("key.pem"), encoding: .utf8)
    let traces = try Traces(pem: pem)
    // The traces are really those of the key.
    #expect(Self.contains(Data(pem.utf8), traces.lines[0]) && traces.lines.count > 10)

    var path = try stage.configuration(name: "planted")
    if inEnvironment {
      let text = try String(contentsOfFile: path, encoding: .utf8)
        .replacingOccurrences(
          of: "private_key_file: \(room.file("key.pem"))", with: "private_key_env: APUS_PLANTED_KEY")
      try room.write(text, to: "environment.yaml")
      path = room.file("environment.yaml")
      try FileManager.default.removeItem(atPath: room.file("key.pem"))
    }
    let engine = try Program(
      "apus", ["run", "--config", path, "--report", room.file("report.json")],
      environment: inEnvironment ? ["APUS_PLANTED_KEY": pem] : [:])
    #expect(engine.waitFor("live state in", seconds: 30), "\(engine.err)")
    usleep(4_000_000)
    #expect(engine.isRunning, "\(engine.err)")

    let process = "/proc/\(engine.identifier)"
    let arguments = try #require(Self.bytes("\(process)/cmdline"))
    #expect(Self.contains(arguments, Array("--config".utf8)))
    let environment = Self.bytes("\(process)/environ")
    if geteuid() == 0 { #expect(environment?.isEmpty == false) }
    for trace in traces.all {
      #expect(!Self.contains(arguments, trace))
      #expect(!Self.contains(environment ?? Data(), trace))
    }
    if inEnvironment, let environment { #expect(!Self.contains(environment, Array("APUS_PLANTED_KEY=-".utf8))) }
    try expectClean(Self.memory(of: engine.identifier), traces)

    engine.signal(SIGTERM)
    #expect(engine.wait(seconds: 60) == 0, "\(engine.err)")
    for text in [engine.out, engine.err, stage.venue.err] {
      for trace in traces.all { #expect(!Self.contains(Data(text.utf8), trace)) }
    }
    let files = FileManager.default.enumerator(atPath: room.path)?.compactMap { $0 as? String } ?? []
    #expect(files.contains("data/run.json") && files.contains("data/telemetry"))
    #expect(files.contains { $0.hasPrefix("data/journal/") && $0.hasSuffix(".apus") })
    #expect(files.contains { $0.hasPrefix("data/runs/") && $0.hasSuffix(".json") })
    for file in files where file != "key.pem" {
      guard let content = FileManager.default.contents(atPath: room.file(file)) else { continue }
      for trace in traces.all { #expect(!Self.contains(content, trace), "\(file)") }
    }
  }

  /// No text of the key is in memory any more, and its numbers as they were read lie in guarded pages alone.
  ///
  /// The prime is not looked for: what OpenSSL prepares for fast signatures has a copy of it on the heap.
  private func expectClean(_ regions: [Region]?, _ traces: Traces) throws {
    guard let regions else {
      // Not dumpable: nobody but root may look.
      #expect(geteuid() != 0)
      return
    }
    #expect(regions.count > 10)
    for region in regions {
      for trace in traces.lines + [traces.exponent, traces.prime] {
        #expect(!Self.contains(region.bytes, trace), "\(region.name)")
      }
      if Self.contains(region.bytes, traces.exponentInMemory) { #expect(region.isGuarded, "\(region.name)") }
    }
    #expect(regions.contains { Self.contains($0.bytes, traces.exponentInMemory) })
  }

  @Test func `R57 another process of its user cannot look into the engine, and a crash ends it without a core dump`()
    throws
  {
    let stage = try RunTests.Stage()
    let engine = try Program("apus", ["run", "--config", try stage.configuration()], shell: "ulimit -c unlimited")
    #expect(engine.waitFor("live state in", seconds: 30), "\(engine.err)")
    usleep(1_000_000)
    let limits = String(decoding: Self.bytes("/proc/\(engine.identifier)/limits") ?? Data(), as: UTF8.self)
    let core = limits.split(separator: "\n").first { $0.hasPrefix("Max core file size") }
    #expect(core?.split(separator: " ").dropFirst(4).first == "0", "\(core ?? "")")
    // The files of a process that is not dumpable belong to root.
    var status = stat()
    #expect(stat("/proc/\(engine.identifier)/environ", &status) == 0 && status.st_uid == 0)
    let manifest = try stage.room.json("data/run.json")
    #expect((manifest["engine"] as? [String: Any])?["may_dump_core"] as? Bool == false)
    // It ends at once: nothing stops its threads to look at them while its quotes stand.
    engine.signal(SIGABRT)
    #expect(engine.wait(seconds: 10) == 128 + SIGABRT)
    #expect(!engine.err.contains("Backtrace"), "\(engine.err)")
    let files = FileManager.default.enumerator(atPath: stage.room.path)?.compactMap { $0 as? String } ?? []
    #expect(!files.contains { $0.contains("core") })
  }

  @Test func `core dumps can be allowed`() throws {
    let stage = try RunTests.Stage()
    let path = try stage.configuration()
    let text = try String(contentsOfFile: path, encoding: .utf8)
      .replacingOccurrences(of: "  idle: park", with: "  idle: park\n  core_dumps: true")
    try stage.room.write(text, to: "dumps.yaml")
    let engine = try Program("apus", ["run", "--config", stage.room.file("dumps.yaml")], shell: "ulimit -c unlimited")
    #expect(engine.waitFor("live state in", seconds: 30), "\(engine.err)")
    usleep(1_000_000)
    engine.signal(SIGTERM)
    #expect(engine.wait(seconds: 60) == 0, "\(engine.err)")
    let manifest = try stage.room.json("data/run.json")
    #expect((manifest["engine"] as? [String: Any])?["may_dump_core"] as? Bool == true)
  }
}
