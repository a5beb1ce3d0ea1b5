import Apus
import ApusExchange
import CSupport
import Foundation

/// The whole engine against a simulated venue, over loopback sockets, in one process: the lane's thread runs its
/// turns inside a real-time context once its session is ready.
enum LiveRun {
  static func run(seconds: Double, isEncrypted: Bool, fault: Fault) throws -> EngineReport {
    EngineClock.start()
    let room = FileManager.default.temporaryDirectory.appending(path: "apus-live-\(getpid())").path(
      percentEncoded: false)
    try FileManager.default.createDirectory(
      atPath: room, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
    defer { try? FileManager.default.removeItem(atPath: room) }
    let key = try SigningKey.generate()
    let isMade = try key.withPrivatePEM { bytes in
      FileManager.default.createFile(
        atPath: "\(room)/key.pem", contents: Data(bytes), attributes: [.posixPermissions: 0o600])
    }
    guard isMade else { throw ReplayError(description: "cannot write \(room)/key.pem") }

    var serverSettings = VenueServerConfiguration()
    serverSettings.port = 0
    serverSettings.waitsForClient = true
    if isEncrypted {
      let (context, pem) = try TLSContext.selfSignedServer(names: ["127.0.0.1"])
      serverSettings.tls = context
      try Data(pem).write(to: URL(fileURLWithPath: "\(room)/certificate.pem"))
    }
    // Ten times as fast as a real market: fills, and quotes that move, in a few seconds.
    var venue = VenueConfiguration()
    venue.markInterval = 100_000_000
    let server = try VenueServer(
      serverSettings, venue: venue, flow: SyntheticFlow(seed: 1, speedThousandths: 10_000))
    let serverThread = Thread {
      do { _ = try server.run() } catch { fail("the venue failed: \(error)") }
    }
    serverThread.start()
    defer { server.stop() }

    let size = DecimalE8(e8: 2_000_000)
    let configuration = Configuration(
      engine: EngineSection(name: "guard", core: .none, idle: .yield, dataDirectory: "\(room)/data"),
      venue: VenueSection(
        url: server.url, keyID: "guard", privateKeyFile: "\(room)/key.pem",
        caFile: isEncrypted ? "\(room)/certificate.pem" : nil),
      instruments: [
        InstrumentSection(
          name: LaneScript.instrument,
          ladder: LadderSection(
            levels: 3, halfSpreadBps: DecimalE8(e8: 30_000_000), stepTicks: 2, size: size,
            skewBps: DecimalE8(e8: 150_000_000), keepWithinTicks: 1, keepSize: DecimalE8(e8: 40_000_000)),
          limits: LimitsSection(
            maxPosition: DecimalE8(e8: size.e8 * 50), maxOrder: DecimalE8(e8: size.e8 * 5),
            maxNotional: DecimalE8(e8: 2_000_000_000_000), collarBps: DecimalE8(e8: 10_000_000_000), maxOrders: 12))
      ], safety: SafetySection().scaled(toSpeed: 10))
    let engine: Engine
    switch fault {
    case .none: engine = Engine(configuration)
    default:
      engine = Engine(configuration) { _, _, _ in
        FaultyStrategy(
          LadderStrategy(
            LadderParameters(
              levels: 3, halfSpreadCentiBps: 30, stepTicks: 2, size: QtyLots(rawValue: 20), skewCentiBps: 150)),
          fault: fault)
      }
    }
    // Half way the venue announces that it will close the connection: the lane prepares another one while it quotes.
    Thread.detachNewThread {
      usleep(useconds_t(seconds * 500_000))
      server.perform { venue, now in venue.announceClosure(notice: 10_000_000_000, now: now) }
    }
    return try engine.run(seconds: seconds)
  }
}
