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

  /// Venues whose logins, and at Bybit requests by HTTP too, are signed with a text.
  enum SecretVenue: String, CaseIterable {
    case bybit, deribit

    var instrument: String { self == .bybit ? "BTCUSDT" : "BTC_USDC-PERPETUAL" }

    func configuration(_ room: Room, url: String, inEnvironment: Bool) -> String {
      """
      version: 1
      engine: {name: planted, core: none, idle: park, data_directory: "\(room.file("data"))"}
      venue:
        kind: \(rawValue)
        url: \(url)
        key_id: desk
        \(inEnvironment ? "private_key_env: APUS_PLANTED_KEY" : "private_key_file: \(room.file("secret.txt"))")
      instruments:
        - name: \(instrument)
          ladder: {levels: 2, half_spread_bps: 0.3, step_ticks: 2, size: 0.02, skew_bps: 1}
          limits: {max_position: 2, max_order: 0.1, max_notional: 500000, collar_bps: 500, max_orders: 12}
      """
    }
  }

  @Test(arguments: SecretVenue.allCases, [false, true])
  func `R57 a planted secret is nowhere in what a session with several connections shows and leaves`(
    kind: SecretVenue, inEnvironment: Bool
  ) throws {
    let room = try Room()
    let secret = String((0..<40).map { _ in "abcdefghijkmnpqrstuvwxyz23456789".randomElement()! })
    try room.write(secret + "\n", to: "secret.txt")
    let venue = try Program(
      "apus",
      [
        "venue", "--protocol", kind.rawValue, "--port", "0", "--client", "desk=\(room.file("secret.txt"))", "--books",
        room.file("books.json"),
      ])
    #expect(venue.waitFor("listening on "), "\(venue.err)")
    let line = venue.out.split(separator: "\n").first { $0.hasPrefix("listening on ") } ?? ""
    let url = line.dropFirst("listening on ".count).prefix { $0 != " " }
    try room.write(
      kind.configuration(room, url: String(url), inEnvironment: inEnvironment), to: "planted.yaml")
    let engine = try Program(
      "apus", ["run", "--config", room.file("planted.yaml"), "--report", room.file("report.json")],
      environment: inEnvironment ? ["APUS_PLANTED_KEY": secret + "\n"] : [:])
    #expect(engine.waitFor("live state in", seconds: 30), "\(engine.err)")
    usleep(5_000_000)
    #expect(engine.isRunning, "\(engine.err)")

    let text = Array(secret.utf8)
    let traces = [
      text, Array(text.map { String(format: "%02x", $0) }.joined().utf8), Array(Data(text).base64EncodedString().utf8),
    ]
    let process = "/proc/\(engine.identifier)"
    for shown in [Self.bytes("\(process)/cmdline"), Self.bytes("\(process)/environ")] {
      for trace in traces { #expect(!Self.contains(shown ?? Data(), trace)) }
    }
    // Each login and each request is signed with it, so it stays: in pages that no dump has, and nowhere else.
    let regions = Self.memory(of: engine.identifier)
    if geteuid() == 0 { #expect(regions != nil) }
    for region in regions ?? [] where Self.contains(region.bytes, text) {
      #expect(region.isGuarded, "\(region.name)")
    }
    if let regions { #expect(regions.contains { Self.contains($0.bytes, text) }) }

    engine.signal(SIGTERM)
    #expect(engine.wait(seconds: 60) == 0, "\(engine.err)")
    venue.signal(SIGTERM)
    _ = venue.wait(seconds: 30)
    for said in [engine.out, engine.err, venue.out, venue.err] {
      for trace in traces { #expect(!Self.contains(Data(said.utf8), trace)) }
    }
    #expect((try room.json("report.json")["inserts"] as? Int ?? 0) > 0)
    let files = FileManager.default.enumerator(atPath: room.path)?.compactMap { $0 as? String } ?? []
    let journal = files.filter { $0.hasPrefix("data/journal/") && $0.hasSuffix(".apus") }
    #expect(!journal.isEmpty && files.contains("data/run.json") && files.contains("data/telemetry"))
    for file in files where file != "secret.txt" {
      guard let content = FileManager.default.contents(atPath: room.file(file)) else { continue }
      for trace in traces { #expect(!Self.contains(content, trace), "\(file)") }
    }
    // Logins are there without what they were made with: neither a signature nor a token that an answer brought.
    for file in journal {
      let content = FileManager.default.contents(atPath: room.file(file)) ?? Data()
      #expect(!Self.hasSignature(content), "\(file)")
      for name in ["access_token", "refresh_token", "X-BAPI-SIGN"] { #expect(!Self.contains(content, Array(name.utf8))) }
    }
    let told = journal.contains {
      Self.contains(FileManager.default.contents(atPath: room.file($0)) ?? Data(), Array("not recorded".utf8))
    }
    #expect(told, "no login is in the journal")
  }

  /// Whether 64 hexadecimal digits stand between quotes.
  static func hasSignature(_ bytes: Data) -> Bool {
    bytes.withUnsafeBytes { text in
      guard let start = text.baseAddress else { return false }
      var offset = 0
      while text.count - offset > 66, let found = memchr(start + offset, 0x22, text.count - offset - 66) {
        let place = UnsafeRawPointer(found) - start
        offset = place + 1
        let digits = text[offset..<offset + 64]
        if text[offset + 64] == 0x22, digits.allSatisfy({ (0x30...0x39).contains($0) || (0x61...0x66).contains($0) }) {
          return true
        }
      }
      return false
    }
  }

  @Test func `a signature between quotes is seen`() {
    let digits = String(repeating: "0a1f", count: 16)
    #expect(Self.hasSignature(Data("{\"signature\":\"\(digits)\",\"more\":1}".utf8)))
    #expect(!Self.hasSignature(Data("{\"signature\":\"\(digits)f\",\"more\":\"\(digits.dropLast())\"}".utf8)))
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
