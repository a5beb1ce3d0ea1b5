import Apus
import Foundation
import WireC

/// A listening venue, plain or with TLS.
final class VenueListener {
  let port: UInt16
  let server: OpaquePointer?
  let caFile: String?
  private let descriptor: Int32

  init(tls: Bool, directory: String) throws {
    var port: UInt16 = 0
    descriptor = wire_listen(&port)
    guard descriptor >= 0 else {
      throw WireError("could not listen on 127.0.0.1: \(String(cString: strerror(-descriptor)))")
    }
    self.port = port
    guard tls else {
      server = nil
      caFile = nil
      return
    }
    var pem = [CChar](repeating: 0, count: 8192)
    server = wire_tls_server(&pem, pem.count)
    guard server != nil else { throw WireError("OpenSSL could not make a certificate") }
    let path = "\(directory)/certificate.pem"
    let text = pem.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    try Data(text).write(to: URL(fileURLWithPath: path))
    caFile = path
  }

  deinit {
    close(descriptor)
    wire_tls_free(server)
  }

  var url: String { "\(server == nil ? "ws" : "wss")://127.0.0.1:\(port)/ws/api/v2" }

  func accept(names: [String], seconds: Double = 10) throws -> Venue {
    var words: [UnsafePointer<CChar>] = names.map { UnsafePointer(strdup($0)) }
    defer { words.forEach { free(UnsafeMutablePointer(mutating: $0)) } }
    guard let venue = wire_venue_accept(descriptor, server, &words, UInt32(names.count), Int64(seconds * 1e9)) else {
      throw WireError("nobody connected to the measuring venue within \(seconds) s")
    }
    return Venue(venue)
  }
}

/// One connection of the measuring venue.
final class Venue {
  let venue: OpaquePointer
  fileprivate init(_ venue: OpaquePointer) { self.venue = venue }
  deinit { wire_venue_free(venue) }

  func check(_ code: Int32, _ what: String) throws {
    guard code < 0 else { return }
    let problem = String(cString: wire_venue_problem(venue))
    throw WireError("\(what): \(problem.isEmpty ? String(cString: strerror(-code)) : problem)")
  }

  var cipher: String { String(cString: wire_venue_cipher(venue)) }
  var counts: wire_counts { wire_venue_counts(venue) }

  func send(_ text: String) throws {
    var text = text
    let code = text.withUTF8 { utf8 in
      utf8.withMemoryRebound(to: CChar.self) { wire_venue_send_text(venue, $0.baseAddress!, $0.count) }
    }
    try check(code, "the venue could not send")
  }

  /// Answers until the client has been quiet for so long.
  func serve(quietMilliseconds: Int = 20, seconds: Double = 10) throws {
    try check(
      wire_venue_serve(venue, Int64(quietMilliseconds) * 1_000_000, Int64(seconds * 1e9)), "the venue's session")
  }

  /// Brings a client that has just connected to the point where both quotes of each instrument rest.
  func bringUp(names: [String], followsMark: Bool) throws {
    let deadline = Date().addingTimeInterval(20)
    while !wire_venue_is_ready(venue) {
      guard Date() < deadline else { throw WireError("the session did not become ready within 20 s") }
      try serve(quietMilliseconds: 5)
    }
    for name in names {
      if followsMark {
        try send(Script.movingTicker(name, step: 0))
        try send(Script.wideBook(name))
      } else {
        try send(Script.ticker(name, mark: Script.mid, bid: Script.mid - 10, ask: Script.mid + 10))
        try send(Script.snapshot(name))
      }
    }
    while counts.live < UInt64(2 * names.count) {
      guard Date() < deadline else {
        throw WireError("\(counts.live) of \(2 * names.count) quotes rest 20 s after the session's start")
      }
      try serve(quietMilliseconds: 20)
    }
    // Queries that follow the start come within half a second.
    try serve(quietMilliseconds: 100)
  }

  /// Where in the script of the moving book the market stands.
  private var position = 0

  /// Exchanges one after the other, each with a tick that goes on where the last one stopped.
  ///
  /// - Returns: Their times; fewer than `count` if `until` came first.
  func round(_ store: FrameStore, frames: Int, count: Int, gap: Nanoseconds, until: Nanoseconds = .max) throws
    -> [Int64]
  {
    var times = [Int64](repeating: 0, count: count)
    let done = store.frames.withUnsafeBufferPointer { ticks in
      var plan = wire_round_plan(
        ticks: ticks.baseAddress!, tick_count: ticks.count, first: position % ticks.count, frames: UInt32(frames),
        count: UInt32(count), gap_ns: gap, timeout_ns: 2_000_000_000, until_ns: until)
      return wire_round(venue, &plan, &times)
    }
    try check(done, "a measured round")
    position += Int(done)
    return Array(times.prefix(Int(done)))
  }
}

/// An engine in its own process with its venue here, quoting.
final class Rig {
  let names: [String]
  let listener: VenueListener
  let engine: EngineProcess
  let venue: Venue
  /// Where in the script of the moving marks the market stands.
  var position = 0
  /// Of each instrument one ticker for each mark, one instrument after the other.
  private(set) lazy var tickers = FrameStore(
    names.flatMap { name in
      (0..<Script.marks(instruments: names.count)).map { Script.movingTicker(name, step: $0) }
    })

  init(
    tls: Bool, core: Int, directory: String, instruments: Int = 1, followsMark: Bool = false, journal: Bool = true,
    idle: IdleStrategy = .spin
  ) throws {
    names = Script.names(instruments)
    listener = try VenueListener(tls: tls, directory: directory)
    engine = try EngineProcess(
      EngineOrders(
        url: listener.url, core: core, directory: directory, caFile: listener.caFile, instruments: instruments,
        followsMark: followsMark, journal: journal, idle: idle))
    venue = try listener.accept(names: names)
    try venue.bringUp(names: names, followsMark: followsMark)
  }

  /// Stops the engine in good order.
  func end() throws -> EngineReport {
    engine.askToStop()
    // It closes when it has what it needs.
    while wire_venue_serve(venue.venue, 2_000_000_000, 10_000_000_000) == 0 {}
    return try engine.report()
  }
}
