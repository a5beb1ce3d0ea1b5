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
    abstract: "Serve a simulated venue that speaks the protocol of Thalex, Deribit or Bybit.",
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

      With --protocol bybit it lists BTCUSDT, ETHUSDT and XRPUSDT, perpetuals in USDT. It serves Bybit's V5 protocol on one \
      port: market data at /v5/public/linear, account streams at /v5/private, orders at /v5/trade, and REST below /v5. \
      Clients sign with a key and a secret (--client). Simplified: one-way positions, no liquidation, no conditional orders.

      Examples:
        apus venue --port 8765
        apus venue --protocol deribit --client desk1=secret.txt --order-rate 50
        apus venue --protocol bybit --client desk1=secret.txt --feed binance-usdm-btcusdt-20240808.jsonl.gz
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
        + "given as BTC-PERPETUAL=FILE or, for Bybit, BTCUSDT=FILE. A directory that apus record has made feeds every instrument that both have. An "
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
      "Deribit, Bybit: let a client log in with the secret in a file, whose last line end does not count (may be "
        + "repeated). Without any, every client may log in with any secret.",
      valueName: "id=file"))
  var client: [KeyArgument] = []

  @Option(
    help: ArgumentHelp(
      "Requests about orders a second of an account, 1 to 100000. Thalex: of a session with cancel-on-disconnect, 50 without "
        + "this. Deribit: in all, four times as many at once. Bybit: of each kind, 10 without this.",
      valueName: "n"))
  var orderRate: Int?

  @Option(
    help: ArgumentHelp(
      "Deribit: how long orders that take in the linear perpetuals and the future are held back, 0 to 10000.",
      valueName: "ms"))
  var takerDelayMs: Int?

  @Option(
    help: ArgumentHelp(
      "Bybit: how much later than what they tell of messages come, 0 to 10000; 5 without this. Clients written in Python "
        + "may lose an answer that comes while they are still sending.",
      valueName: "ms"))
  var messageDelayMs: Int?

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
    try validateProtocol()
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

  /// What belongs to one protocol is for that alone.
  private func validateProtocol() throws {
    let given: [(option: String, isGiven: Bool, protocols: [VenueProtocolArgument])] = [
      ("--key", !key.isEmpty, [.thalex]), ("--mass-quote-cost", massQuoteCost != .request, [.thalex]),
      ("--client", !client.isEmpty, [.deribit, .bybit]),
      ("--taker-delay-ms", takerDelayMs != nil, [.deribit]), ("--message-delay-ms", messageDelayMs != nil, [.bybit]),
      ("--chain", chain != nil, [.thalex, .deribit]),
    ]
    for (option, isGiven, protocols) in given where isGiven && !protocols.contains(language) {
      let names = protocols.map(\.rawValue).joined(separator: " or ")
      throw ValidationError("\(option) is for --protocol \(names), not for \(language.rawValue)")
    }
    if let orderRate, !(1...100_000).contains(orderRate) {
      throw ValidationError("--order-rate must be from 1 to 100000, not \(orderRate)")
    }
    for (option, delay) in [("--taker-delay-ms", takerDelayMs), ("--message-delay-ms", messageDelayMs)] {
      if let delay, !(0...10_000).contains(delay) {
        throw ValidationError("\(option) must be from 0 to 10000, not \(delay)")
      }
    }
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
      if language != .thalex, client.isEmpty {
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
