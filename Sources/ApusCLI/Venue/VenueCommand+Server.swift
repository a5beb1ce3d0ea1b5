import Apus
import ApusExchange
import CSupport
import Foundation
import Glibc

/// The venue that the arguments describe, behind its server.
extension VenueCommand {
  func makeServer() throws -> VenueServer {
    var server = VenueServerConfiguration()
    server.host = host
    server.port = port
    server.idle = idle == .park ? .park : .spin
    server.driver = driver
    server.waitsForClient = waitForClient
    server.stopsAtEnd = exitAtEnd
    server.clockError = Nanoseconds(clockErrorMs) * 1_000_000
    if !feed.isEmpty { server.noteEnd = { say(VenueCommand.endOfFeed) } }
    server.tls = try makeTLS()
    switch language {
    case .thalex: return try makeThalex(server)
    case .deribit: return try makeDeribit(server)
    case .bybit: return try makeBybit(server)
    }
  }

  /// Index, mark and funding keep up with a market that runs faster.
  private var markInterval: Nanoseconds {
    max(10_000_000, min(1_000_000_000, 1_000_000_000_000 / Nanoseconds(speed.thousandths)))
  }

  /// The market of the recordings, whose first prices the instruments take; `nil` without any.
  private func recorded(
    _ instruments: inout [InstrumentSpec], of coin: (String) -> [String]
  ) throws -> sending (any MarketFlow)? {
    guard !feed.isEmpty else { return nil }
    return try VenueFeeds(
      feed.flatMap { $0.sources(coin) }, for: &instruments, speedThousandths: speed.thousandths
    ).flow
  }

  private func makeThalex(_ server: VenueServerConfiguration) throws -> VenueServer {
    var registry = KeyRegistry()
    for argument in key { try registry.register(file: argument.path, as: argument.id) }
    var venue = VenueConfiguration()
    venue.seed = seed
    venue.massQuoteCost = massQuoteCost.cost
    if let orderRate { venue.sessionMessageRate = orderRate }
    venue.markInterval = markInterval
    let recorded = try recorded(&venue.instruments) { ["\($0)-PERPETUAL"] }
    if let chain {
      venue.instruments += InstrumentSpec.btcChain(
        options: chain, wallClock: EngineClock.now() + EngineClock.wallOffset(),
        indexE8: venue.instruments[0].initialIndexE8)
      // About as many others trade in a large chain as in a small one, by instrument.
      venue.derivedTradesPerMark = 2 + chain / 40
    }
    return try VenueServer(
      server, venue: venue, flow: recorded ?? SyntheticFlow(seed: seed, speedThousandths: speed.thousandths),
      verifier: registry.isEmpty ? nil : registry)
  }

  private func makeDeribit(_ server: VenueServerConfiguration) throws -> VenueServer {
    var venue = DeribitConfiguration()
    venue.seed = seed
    let now = EngineClock.now() + EngineClock.wallOffset()
    venue.instruments = [.btcPerpetual, .btcLinear, .ethLinear, .ethPerpetual]
    var specs = venue.instruments.map(\.spec)
    // A recording of a coin moves both of its perpetuals.
    let recorded = try recorded(&specs) { ["\($0)-PERPETUAL", "\($0)_USDC-PERPETUAL"] }
    if recorded != nil {
      for (one, other) in [(0, 1), (1, 0), (2, 3), (3, 2)]
      where specs[one].initialIndexE8 == venue.instruments[one].spec.initialIndexE8 {
        // Without a recording of its own it begins where the other contract on the coin does.
        specs[one].initialIndexE8 = specs[other].initialIndexE8
      }
      for index in specs.indices { venue.instruments[index].spec = specs[index] }
    }
    let future = DeribitInstrument.btcFuture(
      day: now / 86_400_000_000_000 + 28, indexE8: venue.instruments[0].spec.initialIndexE8)
    venue.instruments.append(future)
    if let chain {
      venue.instruments += DeribitInstrument.btcOptions(chain, expiryOf: future)
      venue.derivedTradesPerMark = 2 + chain / 40
    }
    venue.markInterval = markInterval
    for argument in client {
      venue.clients.append(
        DeribitClient(id: argument.id, secret: try Self.secret(in: argument.path), account: argument.id))
    }
    if let orderRate {
      venue.matchingRate = orderRate
      venue.matchingBurst = 4 * orderRate
      venue.cancelAllRate = orderRate
      venue.cancelAllBurst = 4 * orderRate
    }
    if let takerDelayMs {
      for index in venue.instruments.indices where index != 0 && index != 3 {
        venue.instruments[index].takerDelay = Nanoseconds(takerDelayMs) * 1_000_000
      }
    }
    return try VenueServer(
      server, deribit: venue,
      flow: recorded ?? venue.syntheticFlow(seed: seed, speedThousandths: speed.thousandths))
  }

  private func makeBybit(_ server: VenueServerConfiguration) throws -> VenueServer {
    var venue = BybitConfiguration()
    venue.seed = seed
    venue.markInterval = markInterval
    venue.messageDelay = Nanoseconds(messageDelayMs ?? 5) * 1_000_000
    var specs = venue.instruments.map(\.spec)
    let recorded = try recorded(&specs) { ["\($0)USDT"] }
    for index in specs.indices { venue.instruments[index].spec = specs[index] }
    for argument in client {
      venue.clients.append(
        BybitClient(key: argument.id, secret: try Self.secret(in: argument.path), account: argument.id))
    }
    if let orderRate { venue.orderRate = orderRate }
    return try VenueServer(
      server, bybit: venue, flow: recorded ?? venue.syntheticFlow(seed: seed, speedThousandths: speed.thousandths))
  }

  /// What a file of at most 4 KiB says, its last line end left out.
  private static func secret(in path: String) throws -> String {
    guard access(path, R_OK) == 0, let data = FileManager.default.contents(atPath: path) else {
      throw FileFailure.unreadable(path: path, code: errno == 0 ? EIO : errno)
    }
    var text = String(decoding: data.prefix(4096), as: UTF8.self)
    while text.last?.isNewline == true { text.removeLast() }
    guard !text.isEmpty else { throw KeyError.malformed(path: path) }
    return text
  }

  private func makeTLS() throws -> TLSContext? {
    if let certificate, let privateKey {
      for path in [certificate, privateKey] where access(path, R_OK) != 0 {
        throw FileFailure.unreadable(path: path, code: errno)
      }
      return try TLSContext.server(certificateFile: certificate, keyFile: privateKey)
    }
    guard tls else { return nil }
    var names = ["localhost", "127.0.0.1", "::1"]
    if !names.contains(host) { names.append(host) }
    let (context, pem) = try TLSContext.selfSignedServer(names: names)
    if let writeCertificate { try writeFile(pem, to: writeCertificate, mode: 0o644) }
    return context
  }
}
