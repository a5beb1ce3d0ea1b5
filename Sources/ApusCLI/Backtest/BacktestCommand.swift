import Apus
import ApusExchange
import ArgumentParser
import CSupport
import Foundation

struct BacktestCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backtest",
    abstract: "Run a configuration on a recorded market, with a model of the queues its quotes stand in.",
    discussion: """
      The engine's own lane quotes the recording through the simulated venue on virtual time. A quote joins the queue of \
      its price when it arrives, and is filled by recorded trades once what stands before it has traded; --model says \
      what is believed of sizes that vanish without a trade. No fill is larger than the recorded trades allow. The same \
      arguments give the same report, byte for byte. The article Backtest tells what is assumed, and what is not \
      modelled.

      Examples:
        apus backtest --config quotes.yaml --feed btcusdt.jsonl.gz --html report.html
        apus backtest --config quotes.yaml --feed journal/ --model log --latency-from apus-data

      Of the configuration the venue of the kind thalex is played, and of journals those of its runs and of `apus \
      record`. What is missing of a damaged journal is named, and over it the market is away.

      Exit codes: 0 the report was made; 64 for wrong arguments; 65 if the feed does not hold what the configuration \
      quotes, or the report was made from a damaged journal; 66 if a file cannot be read; 70 if the run ended before its \
      feed; 73 for a file that cannot be written; 78 for a wrong configuration.
      """)

  @Option(
    name: .customLong("config"), help: ArgumentHelp("What to quote, and how.", valueName: "file"), completion: .file())
  var configPath: String

  @Option(
    name: .customLong("feed"),
    help: ArgumentHelp(
      "A recorded market (may be repeated, one for each instrument): lines in the collector's format, plain or .gz, for the "
        + "instrument that BTCUSDT or ETHUSDT in the name says, or that is given as BTC-PERPETUAL=FILE; or the directory of "
        + "a journal.", valueName: "file|dir"),
    completion: .file())
  var feeds: [BacktestFeed] = []

  @OptionGroup var model: FillOptions

  @Option(help: ArgumentHelp("Write the report here as one HTML page.", valueName: "file"), completion: .file())
  var html: String?

  @Option(help: ArgumentHelp("Write the report here as JSON.", valueName: "file"), completion: .file())
  var json: String?

  @Option(help: ArgumentHelp("Write the fills here as CSV.", valueName: "file"), completion: .file())
  var csv: String?

  @Option(help: ArgumentHelp("End after this much time of the market.", valueName: "n"))
  var seconds: Double?

  func validate() throws {
    guard !feeds.isEmpty else { throw ValidationError("a backtest needs a market: give at least one --feed") }
    if feeds.count > 1, feeds.contains(where: { $0.instrument == nil }) {
      throw ValidationError("a journal is the whole market: give it as the only --feed")
    }
    try TimeLimit.check(seconds, "--seconds")
    try model.check()
  }

  func run() throws {
    let configuration = try BacktestSetup.load(configPath)
    let market = try BacktestMarket(feeds, for: configuration)
    let setup = try BacktestSetup(configuration, market, model)
    let start = Date()
    let report = try setup.run(try market.flow(), for: seconds)
    let took = Date().timeIntervalSince(start)
    say(BacktestTable(titles: [""], reports: [report]).text)
    say(
      "\nqueue model \(report.circumstances.model), feed \(report.circumstances.feedLatency), "
        + "orders \(report.circumstances.orderLatency), seed \(report.circumstances.seed); "
        + "\(Figures.clock(Double(report.circumstances.duration) / 1e9)) of market in \(String(format: "%.1f", took)) s"
    )
    let title =
      "\(configuration.instruments.map(\.name).joined(separator: ", ")) on \(market.names.joined(separator: ", "))"
    if let html { try write(try report.page(title: "Backtest: \(title)"), to: html) }
    if let json { try write(try report.json(), to: json) }
    if let csv { try write(Array(report.csv().utf8), to: csv) }
    if let failure = report.circumstances.failure {
      throw Exit.fail(ExitCode(EX_SOFTWARE), "the run ended before its feed: \(failure)")
    }
    try BacktestSetup.tell(report.circumstances.gaps)
  }

  private func write(_ bytes: [UInt8], to path: String) throws {
    do { try writeFile(bytes, to: path, mode: 0o644) } catch { throw Exit.fail(ExitCode(EX_CANTCREAT), "\(error)") }
  }
}

/// How fills are decided: of `backtest` and of `replay --what-if`.
struct FillOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "How quotes move up in their queues: risk-averse (by trades alone), or with a probability for what is cancelled: "
        + "power:N or log.", valueName: "model"))
  var model = QueueModelArgument(model: .riskAverse)

  @Option(
    help: ArgumentHelp(
      "One way through the network for orders and their replies, 0.001 to 1000 ms. Default: 0.5, or for --what-if what the "
        + "run itself has measured.", valueName: "ms"))
  var latency: Double?

  @Option(help: ArgumentHelp("One way for market data; default: as --latency.", valueName: "ms"))
  var feedLatency: Double?

  @Option(
    help: ArgumentHelp(
      "Draw both from what an engine's journal has measured: half of the time from request to reply for orders; for "
        + "market data as much more as each book took longer than the fastest, by the venue's time in it, or the median of "
        + "that if the feed is the same journal: its times are those of arrival.",
      valueName: "dir"),
    completion: .directory)
  var latencyFrom: String?

  @Option(help: ArgumentHelp("Decides what is drawn.", valueName: "n"))
  var seed: UInt64 = 1

  @Option(help: ArgumentHelp("The venue's fee for makers, -100 to 100 basis points.", valueName: "bp"))
  var makerFee = 1.0

  @Option(help: ArgumentHelp("The venue's fee for takers, -100 to 100 basis points.", valueName: "bp"))
  var takerFee = 5.0

  @Option(help: ArgumentHelp("Order messages a second that the venue grants, 6 to 1000.", valueName: "n"))
  var rate = 50

  func check() throws {
    for latency in [latency, feedLatency].compactMap({ $0 }) where !(latency >= 0.001 && latency <= 1000) {
      throw ValidationError("a latency must be from 0.001 to 1000 ms, not \(latency)")
    }
    for fee in [makerFee, takerFee] where !(fee >= -100 && fee <= 100) {
      throw ValidationError("a fee must be from -100 to 100 basis points, not \(fee)")
    }
    guard (6...1000).contains(rate) else { throw ValidationError("--rate must be from 6 to 1000") }
  }

  /// Sets what a plan says about fills and the network.
  ///
  /// - Parameters:
  ///   - market: The journal that is played; `nil` for another feed.
  ///   - epoch: Which run the latencies are taken from; all by default.
  /// - Returns: What is missing of the journal that the latencies were taken from.
  func apply(to plan: inout QuotingTrial.Plan, market: JournalMarket?, epoch: UInt64?) throws -> [JournalGap] {
    plan.fillModel = FillModel(queue: model.model)
    plan.latency = Nanoseconds(((latency ?? 0.5) * 1e6).rounded())
    if let feedLatency { plan.feedLatency = .constant(Nanoseconds((feedLatency * 1e6).rounded())) }
    plan.seed = seed
    plan.messageRate = rate
    plan.makerFeeE6 = Int64((makerFee * 100).rounded())
    plan.takerFeeE6 = Int64((takerFee * 100).rounded())
    guard let latencyFrom else { return [] }
    guard latency == nil, feedLatency == nil else {
      throw ValidationError("--latency-from measures what --latency and --feed-latency say: give one or the other")
    }
    let path = try JournalDirectory.find(latencyFrom)
    let measured: JournalLatencies
    do { measured = try JournalLatencies(path: path, epoch: epoch) } catch {
      throw Exit.fail(Exit.unreadable, "\(error)")
    }
    guard !measured.order.isEmpty else {
      throw Exit.fail(
        ExitCode(EX_DATAERR),
        "\(path) holds no request about an order together with its reply: give the journal of an engine that has quoted"
      )
    }
    plan.orderLatency = .measured(measured.order)
    plan.replyLatency = .measured(measured.order)
    plan.feedLatency = .measured(measured.feed)
    // What that market's books took longer is in their times already: drawn again, it would count twice.
    if let market, Self.isSame(market.path, path) { plan.feedLatency = plan.feedLatency.median }
    if !measured.isFeedMeasured {
      complain("the clocks of \(path) drift apart or were set: market data takes as long as orders do")
    }
    return measured.gaps
  }

  private static func isSame(_ path: String, _ other: String) -> Bool {
    func resolved(_ path: String) -> URL { URL(fileURLWithPath: path).resolvingSymlinksInPath().standardizedFileURL }
    return resolved(path) == resolved(other)
  }
}

struct QueueModelArgument: ExpressibleByArgument, CustomStringConvertible {
  let model: QueueModel
  var description: String { model.text }

  init(model: QueueModel) { self.model = model }
  init?(argument: String) {
    guard let model = QueueModel(text: argument) else { return nil }
    self.model = model
  }
}

/// A recording with its instrument, or a journal.
struct BacktestFeed: ExpressibleByArgument {
  var path: String
  /// `nil`: a journal, with all of its instruments.
  var instrument: String?

  init?(argument: String) {
    var isDirectory: ObjCBool = false
    if FileManager.default.fileExists(atPath: argument, isDirectory: &isDirectory), isDirectory.boolValue {
      path = argument
      return
    }
    guard let feed = FeedArgument(argument: argument) else { return nil }
    path = feed.path
    instrument = feed.instrument
  }
}

/// The market of a backtest: what is listed, in the order of the configuration, and how it moves.
struct BacktestMarket {
  private(set) var specs: [InstrumentSpec] = []
  let names: [String]
  /// `nil` for recordings in the collector's format.
  let journal: JournalMarket?
  private let sources: [VenueFeeds.Source]

  init(_ feeds: [BacktestFeed], for configuration: Configuration) throws {
    let names = feeds.map { String($0.path.split(separator: "/").last ?? "") }
    for feed in feeds where access(feed.path, R_OK) != 0 {
      throw Exit.fail(
        Exit.unreadable,
        "cannot read the feed \(feed.path): \(String(cString: strerror(errno))); give the path of a recording")
    }
    if feeds.count == 1, feeds[0].instrument == nil {
      let path = try JournalDirectory.find(feeds[0].path)
      let market: JournalMarket
      do { market = try JournalMarket(path: path) } catch { throw Exit.fail(Exit.unreadable, "\(error)") }
      self.init(market, names: names)
      try list(configuration)
      return
    }
    self.init(
      nil, names: names,
      sources: feeds.map { VenueFeeds.Source(path: $0.path, instrument: $0.instrument ?? "") })
    for section in configuration.instruments {
      guard let spec = [InstrumentSpec.btcPerpetual, .ethPerpetual].first(where: { $0.name == section.name }),
        feeds.contains(where: { $0.instrument == section.name })
      else {
        throw Exit.fail(
          ExitCode(EX_DATAERR),
          "the configuration quotes \(section.name), and no --feed is for it: give one as \(section.name)=FILE (a recording "
            + "can be for BTC-PERPETUAL or ETH-PERPETUAL)")
      }
      specs.append(spec)
    }
    for feed in feeds where !specs.contains(where: { $0.name == feed.instrument }) {
      throw Exit.fail(
        ExitCode(EX_DATAERR),
        "\(feed.path) is for \(feed.instrument ?? ""), which the configuration does not quote: leave it out")
    }
    // Opened once, so that what cannot be played is said before the run.
    do { _ = try VenueFeeds(sources, for: &specs) } catch { throw Exit.fail(Exit.unreadable, "\(error)") }
  }

  private init(_ market: JournalMarket?, names: [String], sources: [VenueFeeds.Source] = []) {
    journal = market
    self.names = names
    self.sources = sources
  }

  /// The market of a journal.
  init(_ market: JournalMarket, for configuration: Configuration) throws {
    self.init(market, names: [String(market.path.split(separator: "/").last ?? "")])
    try list(configuration)
  }

  private mutating func list(_ configuration: Configuration) throws {
    guard let journal else { return }
    for section in configuration.instruments {
      guard let spec = journal.instruments.first(where: { $0.name == section.name }) else {
        throw Exit.fail(
          ExitCode(EX_DATAERR),
          "the configuration quotes \(section.name), and the journal has only "
            + journal.instruments.map(\.name).joined(separator: ", "))
      }
      specs.append(spec)
    }
  }

  func flow() throws -> any MarketFlow {
    if let journal { return try journal.flow(for: specs.map(\.name)) }
    var specs = specs
    return try VenueFeeds(sources, for: &specs).flow
  }
}

/// From a configuration to a plan.
struct BacktestSetup {
  let plan: QuotingTrial.Plan
  let feeds: [String]
  /// What is missing of the journals that are used.
  let gaps: [JournalGap]

  /// The part of a file that a backtest plays: its venue of the kind Thalex.
  static func load(_ path: String) throws -> Configuration {
    let configuration: Configuration
    do { configuration = try ConfigurationFile.load(path: path) } catch {
      throw Exit.fail(Exit.configuration, "\(error)")
    }
    let lanes = configuration.lanes
    let kinds = lanes.map(\.venue.kind.rawValue).joined(separator: ", ")
    let played = lanes.filter { $0.venue.kind == .thalex }
    guard let lane = played.first, played.count == 1 else {
      throw Exit.fail(
        ExitCode(EX_DATAERR),
        "a backtest plays one venue of the kind thalex, and the venues of \(path) are of the kind \(kinds): try others in "
          + "shadow mode (engine.mode: shadow), which plays every kind on its live market")
    }
    if lanes.count > 1 { complain("of \(path), whose venues are of the kind \(kinds), only the thalex one is played") }
    return lane
  }

  /// - Parameter epoch: Which run of a journal the latencies are taken from; all by default.
  init(_ configuration: Configuration, _ market: BacktestMarket, _ options: FillOptions, epoch: UInt64? = nil) throws {
    let settings = LaneSettings(
      configuration, labelPrefix: "apus-\(configuration.engine.name)-", bootEpoch: 1)
    var plan = QuotingTrial.Plan(
      instruments: market.specs, ladders: configuration.ladders(on: market.specs.map(\.grid)), settings: settings)
    plan.quote(configuration)
    let latencyGaps = try options.apply(to: &plan, market: market.journal, epoch: epoch)
    let gaps = market.journal?.gaps ?? []
    self.gaps = gaps + latencyGaps.filter { !gaps.contains($0) }
    self.plan = plan
    feeds = market.names
  }

  /// - Parameter other: A plan on the same market, instead of this one.
  func run(_ flow: any MarketFlow, for seconds: Double? = nil, with other: QuotingTrial.Plan? = nil) throws
    -> BacktestReport
  {
    try Backtest(other ?? plan, flow: flow, feeds: feeds, gaps: gaps)
      .run(for: seconds.map { Nanoseconds($0 * 1e9) } ?? .max)
  }

  /// Says what is missing of the journals, and ends the program if it is more than a tail.
  static func tell(_ gaps: [JournalGap]) throws {
    for gap in gaps { complain("missing of the journal: \(gap)") }
    if gaps.contains(where: { !$0.isTail }) { throw Exit.damaged }
  }
}
