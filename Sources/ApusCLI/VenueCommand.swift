import Apus
import ApusExchange
import ArgumentParser
import CSupport
import Foundation
import Glibc

/// `apus venue`: the simulated venue as a process of its own.
struct VenueCommand: AsyncParsableCommand {
  /// Printed once when a recording has come to its end; a parent process may be waiting for it.
  static let endOfFeed = "feed finished"

  static let configuration = CommandConfiguration(
    commandName: "venue",
    abstract: "Serve a simulated venue that speaks the Thalex or the Deribit protocol.",
    discussion: """
      Lists BTC-PERPETUAL and ETH-PERPETUAL with the market of a recording (--feed) or a made-up one (--seed). With \
      --chain it also lists dated BTC futures, the rolls between them and options, and quotes these itself around model \
      prices: the index plus 5 % a year for futures, Black and Scholes for options, the difference of the legs for rolls. \
      The first of them expires at 08:00 UTC within 26 hours. Any client of the real venue can trade on it: log in with a \
      key, quote by orders or mass quotes, be filled. Simplified: no margin is checked, rolls match in books of their own \
      only, all accounts are settled daily at 08:00 UTC. The first line printed is the address to \
      connect to. Ctrl-C ends it with a short report; a second Ctrl-C ends it at once.

      With --protocol deribit it lists BTC-PERPETUAL and ETH-PERPETUAL (inverse), BTC_USDC-PERPETUAL and ETH_USDC-PERPETUAL \
      (linear) and one dated BTC future, which it quotes itself. It serves JSON-RPC over WebSocket at /ws/api/v2 and over \
      HTTP at /api/v2 on one port; clients log in with an id and a secret (--client).

      Examples:
        apus venue --port 8765
        apus venue --protocol deribit --client desk1=secret.txt --order-rate 50
        apus venue --chain 400
        apus venue --tls --write-certificate venue.pem --key K123=public.pem
        apus venue --feed binance-usdm-btcusdt-20240808.jsonl.gz --speed 20 --exit-at-end --books books.json

      Exit codes: 0 after an orderly end, 64 for wrong arguments, 65 for a file with the wrong content, 66 for a file \
      that cannot be read, 69 for an address that cannot be had, 70 if the system fails, 73 for a file that cannot be \
      written.
      """)

  @Option(name: .customLong("protocol"), help: "What it speaks.")
  var language = VenueProtocolArgument.thalex

  @Option(help: ArgumentHelp("TCP port to listen on; 0 takes any free one.", valueName: "n"))
  var port: UInt16 = 8765

  @Option(help: ArgumentHelp("Numeric address to listen on.", valueName: "address"))
  var host = "127.0.0.1"

  @Flag(help: "Speak TLS, with a new self-signed certificate for localhost and the address.")
  var tls = false

  @Option(help: ArgumentHelp("Speak TLS with the certificate chain in this PEM file.", valueName: "file"))
  var certificate: String?

  @Option(help: ArgumentHelp("The certificate's private key, in PEM.", valueName: "file"))
  var privateKey: String?

  @Option(help: ArgumentHelp("Write the self-signed certificate here, for clients to trust.", valueName: "file"))
  var writeCertificate: String?

  @Option(
    help: ArgumentHelp(
      "Play a recording (may be repeated). The instrument is that of BTCUSDT or ETHUSDT in the file's name, unless "
        + "given as BTC-PERPETUAL=FILE. A directory that apus record has made feeds every instrument that both have. An "
        + "instrument without a recording has an empty book then.",
      valueName: "file"))
  var feed: [FeedArgument] = []

  @Option(help: ArgumentHelp("How much faster than real time the market moves, 0.001 to 1000.", valueName: "x"))
  var speed = SpeedArgument(thousandths: 1000)

  @Option(help: ArgumentHelp("Decides the made-up market and the delays of account feeds.", valueName: "n"))
  var seed: UInt64 = 1

  @Option(
    help: ArgumentHelp(
      "Register the public key in a PEM file under a key id (may be repeated). Without any, every key may log in.",
      valueName: "id=file"))
  var key: [KeyArgument] = []

  @Option(
    help: ArgumentHelp(
      "Deribit: let a client log in with the secret in a file, whose last line end does not count (may be repeated). "
        + "Without any, every client may log in with any secret.",
      valueName: "id=file"))
  var client: [KeyArgument] = []

  @Option(
    help: ArgumentHelp(
      "Deribit: orders, edits and cancels a second of an account, 1 to 100000; four times as many at once.",
      valueName: "n"))
  var orderRate: Int?

  @Option(
    help: ArgumentHelp(
      "Deribit: how long orders that take in the linear perpetuals and the future are held back, 0 to 10000.",
      valueName: "ms"))
  var takerDelayMs: Int?

  @Option(help: "What to do between messages: park sleeps in the kernel, spin uses a core.")
  var idle = IdleArgument.park

  @Option(help: "What the sockets go through: auto takes io_uring, or epoll where the system does not allow io_uring.")
  var driver = DriverChoice.automatic

  @Option(help: ArgumentHelp("Pin the server's thread to this core.", valueName: "n"))
  var core: Int?

  @Option(help: ArgumentHelp("At the end, write the books of every account here, as JSON.", valueName: "file"))
  var books: String?

  @Option(
    help: ArgumentHelp(
      "List 5 dated BTC futures, 9 rolls and about this many BTC options, calls and puts, 0 to 2000. Deribit: so many "
        + "options that expire with the future.",
      valueName: "n"))
  var chain: Int?

  @Option(
    help: "What a mass quote counts as against the message rate: one a request, one an instrument, or one a side.")
  var massQuoteCost = MassQuoteCostArgument.request

  @Option(
    help: ArgumentHelp(
      "How far the venue's clock is ahead of this machine's, -3600000 to 3600000; logins are good for 30 s.",
      valueName: "ms"))
  var clockErrorMs = 0

  @Flag(help: "End when the recordings have come to their end.")
  var exitAtEnd = false

  @Flag(help: "Hold the market until somebody has logged in.")
  var waitForClient = false

  func validate() throws {
    if (certificate == nil) != (privateKey == nil) {
      throw ValidationError("give --certificate and --private-key together: one is of no use without the other")
    }
    if certificate != nil, writeCertificate != nil {
      throw ValidationError(
        "--write-certificate is for a self-signed certificate: with --certificate, clients can trust that file")
    }
    if writeCertificate != nil, !tls { throw ValidationError("--write-certificate needs --tls") }
    if exitAtEnd, feed.isEmpty {
      throw ValidationError("--exit-at-end needs --feed: a made-up market never ends")
    }
    if let chain, !(0...2000).contains(chain) {
      throw ValidationError("--chain must be a number of options from 0 to 2000, not \(chain)")
    }
    guard (-3_600_000...3_600_000).contains(clockErrorMs) else {
      throw ValidationError("--clock-error-ms must be from -3600000 to 3600000, not \(clockErrorMs)")
    }
    if let core {
      let allowed = try CPU.allowedCores()
      guard allowed.contains(core) else {
        throw ValidationError(
          "--core \(core) is not a core that this process may use: \(allowed.map(String.init).joined(separator: ", "))")
      }
    }
    switch language {
    case .thalex:
      if !client.isEmpty || orderRate != nil || takerDelayMs != nil {
        throw ValidationError("--client, --order-rate and --taker-delay-ms are for --protocol deribit")
      }
    case .deribit:
      if !key.isEmpty || massQuoteCost != .request {
        throw ValidationError("--key and --mass-quote-cost are for --protocol thalex")
      }
      if let orderRate, !(1...100_000).contains(orderRate) {
        throw ValidationError("--order-rate must be from 1 to 100000, not \(orderRate)")
      }
      if let takerDelayMs, !(0...10_000).contains(takerDelayMs) {
        throw ValidationError("--taker-delay-ms must be from 0 to 10000, not \(takerDelayMs)")
      }
    }
    var clientIDs: Set<String> = []
    for argument in client where !clientIDs.insert(argument.id).inserted {
      throw ValidationError("--client names \(argument.id) twice: a client has one secret")
    }
    var ids: Set<String> = []
    for argument in key where !ids.insert(argument.id).inserted {
      throw ValidationError("--key names \(argument.id) twice: a key id has one public key")
    }
    if let complaint = Self.complaint(aboutHost: host) { throw ValidationError(complaint) }
  }

  /// What is wrong with a listening address; `nil` if nothing.
  private static func complaint(aboutHost host: String) -> String? {
    var four = in_addr()
    var six = in6_addr()
    if inet_pton(AF_INET, host, &four) == 1 || inet_pton(AF_INET6, host, &six) == 1 { return nil }
    return "--host must be a numeric address such as 127.0.0.1, 0.0.0.0 or ::1, not '\(host)'"
  }

  @Flag(help: .hidden)
  var dieWithParent = false

  func run() async throws {
    if dieWithParent { _ = apus_die_with_parent() }
    do {
      let server = try makeServer()
      try SignalWatcher.start { server.stop() }
      say("listening on \(server.url)")
      if let refusal = server.driverRefusal { say(refusal) }
      if language == .deribit, client.isEmpty {
        say("no client is registered: every client may log in (register one with --client ID=FILE)")
      }
      if language == .thalex, key.isEmpty {
        say("no key is registered: every key may log in (register one with --key ID=FILE)")
      }
      let report = try await serve(server)
      if let books { try Self.write(report.books, to: books) }
      say(Self.text(report))
      // Leaves here rather than by return: giving up a recording in the middle would wait for its gzip, which may have
      // been started with SIGTERM blocked. It ends with our end of its pipe.
      Glibc.exit(EXIT_SUCCESS)
    } catch {
      complain("\(error)")
      throw ExitCode(Self.exitCode(error))
    }
  }

  // MARK: - Setting up

  private func makeServer() throws -> VenueServer {
    var server = VenueServerConfiguration()
    server.host = host
    server.port = port
    server.idle = idle == .park ? .park : .spin
    server.driver = driver
    server.waitsForClient = waitForClient
    server.stopsAtEnd = exitAtEnd
    server.clockError = Nanoseconds(clockErrorMs) * 1_000_000
    if !feed.isEmpty { server.noteEnd = { say(VenueCommand.endOfFeed) } }
    var registry = KeyRegistry()
    for argument in key { try registry.register(file: argument.path, as: argument.id) }
    server.tls = try makeTLS()
    if language == .deribit { return try makeDeribit(server) }

    var venue = VenueConfiguration()
    venue.seed = seed
    venue.massQuoteCost = massQuoteCost.cost
    // Index, mark and funding keep up with a market that runs faster.
    venue.markInterval = max(10_000_000, min(1_000_000_000, 1_000_000_000_000 / Nanoseconds(speed.thousandths)))
    let flow: any MarketFlow
    if feed.isEmpty {
      flow = SyntheticFlow(seed: seed, speedThousandths: speed.thousandths)
    } else {
      flow = try VenueFeeds(
        feed.map { VenueFeeds.Source(path: $0.path, instrument: $0.instrument) }, for: &venue.instruments,
        speedThousandths: speed.thousandths
      ).flow
    }
    if let chain {
      venue.instruments += InstrumentSpec.btcChain(
        options: chain, wallClock: EngineClock.now() + EngineClock.wallOffset(),
        indexE8: venue.instruments[0].initialIndexE8)
      // About as many others trade in a large chain as in a small one, by instrument.
      venue.derivedTradesPerMark = 2 + chain / 40
    }
    return try VenueServer(server, venue: venue, flow: flow, verifier: registry.isEmpty ? nil : registry)
  }

  private func makeDeribit(_ server: VenueServerConfiguration) throws -> VenueServer {
    var venue = DeribitConfiguration()
    venue.seed = seed
    let now = EngineClock.now() + EngineClock.wallOffset()
    venue.instruments = [.btcPerpetual, .btcLinear, .ethLinear, .ethPerpetual]
    var recorded: (any MarketFlow)?
    if !feed.isEmpty {
      var specs = venue.instruments.map(\.spec)
      recorded = try VenueFeeds(
        feed.map { VenueFeeds.Source(path: $0.path, instrument: $0.instrument) }, for: &specs,
        speedThousandths: speed.thousandths
      ).flow
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
    venue.markInterval = max(10_000_000, min(1_000_000_000, 1_000_000_000_000 / Nanoseconds(speed.thousandths)))
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
    if let recorded { return try VenueServer(server, deribit: venue, flow: recorded) }
    return try VenueServer(
      server, deribit: venue, flow: venue.syntheticFlow(seed: seed, speedThousandths: speed.thousandths))
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

  /// Runs the server on a thread of its own.
  private func serve(_ server: VenueServer) async throws -> VenueReport {
    let core = core
    let result: Result<VenueReport, any Error> = await withCheckedContinuation { continuation in
      Thread {
        continuation.resume(
          returning: Result {
            try CPU.nameCurrentThread("apus-venue")
            if let core { try CPU.pinCurrentThread(to: core) }
            return try server.run()
          })
      }.start()
    }
    return try result.get()
  }

  // MARK: - The end

  private static func write(_ books: [AccountBooks], to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    var text = try encoder.encode(books)
    text.append(10)
    try writeFile(Array(text), to: path, mode: 0o600)
  }

  private static func text(_ report: VenueReport) -> String {
    let venue = report.venue
    var lines = [
      "served for \(report.duration / 1_000_000_000).\(report.duration / 100_000_000 % 10) s",
      "connections: \(report.connections) accepted, \(report.opened) opened, \(report.failedHandshakes) failed, "
        + "\(report.refused) refused",
      "messages: \(venue.received) received, \(report.sent) sent, \(venue.malformed) malformed",
      "trades: \(venue.trades)",
      "rate violations: \(venue.rateViolations)",
    ]
    if venue.massQuotes > 0 {
      lines.append(
        "mass quotes: \(venue.massQuotes), with \(venue.quotesDone) sides done and \(venue.quotesRefused) refused; "
          + "protection was hit \(venue.protectionHits) times")
    }
    if venue.failedLogins > 0 { lines.append("failed logins: \(venue.failedLogins)") }
    if report.slowReaders > 0 { lines.append("dropped for not reading: \(report.slowReaders)") }
    if report.deadPeers + venue.timeouts > 0 {
      lines.append("dropped for silence: \(report.deadPeers + venue.timeouts)")
    }
    for book in report.books {
      lines.append(
        "account \(book.account): \(book.messages) messages, \(book.fills.count) fills, "
          + "\(book.openOrders.count) orders left open")
    }
    return lines.joined(separator: "\n")
  }

  private static func exitCode(_ error: any Error) -> Int32 {
    switch error {
    case KeyError.unreadable, KeyError.notARegularFile, FileFailure.unreadable, VenueFeeds.Failure.recording,
      VenueFeeds.Failure.directory:
      EX_NOINPUT
    case is KeyError, VenueFeeds.Failure.notARecording, is TLSError: EX_DATAERR
    case is VenueFeeds.Failure: EX_USAGE
    case FileFailure.unwritable: EX_CANTCREAT
    case VenueServerError.listen: EX_UNAVAILABLE
    default: EX_SOFTWARE
    }
  }
}

// MARK: - Arguments

/// A recording and its instrument.
struct FeedArgument: ExpressibleByArgument {
  var path: String
  /// `nil` for all of a directory that `apus record` has made.
  var instrument: String?

  init?(argument: String) {
    if let sign = argument.firstIndex(of: "="), argument[..<sign].hasSuffix("-PERPETUAL") {
      instrument = String(argument[..<sign])
      path = String(argument[argument.index(after: sign)...])
    } else {
      path = argument
      let name = argument.split(separator: "/").last?.uppercased() ?? ""
      if name.contains("BTCUSDT") {
        instrument = "BTC-PERPETUAL"
      } else if name.contains("ETHUSDT") {
        instrument = "ETH-PERPETUAL"
      } else if access(argument, F_OK) != 0 || opendir(argument).map({ closedir($0) }) == nil {
        return nil
      }
    }
    if path.isEmpty { return nil }
  }
}

/// A factor in thousandths, read without floating point.
struct SpeedArgument: ExpressibleByArgument, CustomStringConvertible {
  var thousandths: Int64

  init(thousandths: Int64) { self.thousandths = thousandths }

  init?(argument: String) {
    let parts = argument.split(separator: ".", maxSplits: 1, omittingEmptySubsequences: false)
    let fraction = parts.count == 2 ? parts[1] : ""
    let digits = parts[0] + fraction + String(repeating: "0", count: max(0, 3 - fraction.utf8.count))
    guard fraction.utf8.count <= 3, digits.utf8.allSatisfy({ (48...57).contains($0) }), !argument.hasPrefix("."),
      let value = Int64(digits), (1...1_000_000).contains(value)
    else { return nil }
    thousandths = value
  }

  var description: String {
    let (whole, rest) = thousandths.quotientAndRemainder(dividingBy: 1000)
    return rest == 0 ? "\(whole)" : "\(whole)." + String(1000 + rest).dropFirst()
  }
  var defaultValueDescription: String { description }
}

/// A key id and its public key's file.
struct KeyArgument: ExpressibleByArgument {
  var id: String
  var path: String

  init?(argument: String) {
    guard let sign = argument.firstIndex(of: "=") else { return nil }
    id = String(argument[..<sign])
    path = String(argument[argument.index(after: sign)...])
    if id.isEmpty || path.isEmpty { return nil }
  }
}

enum VenueProtocolArgument: String, ExpressibleByArgument, CaseIterable { case thalex, deribit }

enum MassQuoteCostArgument: String, ExpressibleByArgument, CaseIterable {
  case request, instrument, side

  var cost: VenueConfiguration.MassQuoteCost {
    switch self {
    case .request: .perRequest
    case .instrument: .perQuote
    case .side: .perSide
    }
  }
}

enum IdleArgument: String, ExpressibleByArgument, CaseIterable { case park, spin }

extension DriverChoice: ExpressibleByArgument {}
