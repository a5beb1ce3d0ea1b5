import CSupport
import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// A live market from what is heard of it to the venue that stands in, without sockets.
@Suite struct LiveMarketTests {
  private static let grid = InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1))
  private static let info = InstrumentInfo(index: 0, kind: .perpetual, grid: grid, expirySeconds: 0)

  /// What is heard, and the venue whose market it is; times are the venue's.
  private final class Stage {
    let live = LiveMarket(["BTC-PERPETUAL"])
    let venue: SimulatedVenue
    let origin: Nanoseconds = 1_000_000
    var now: Nanoseconds = 0
    let trader = ConnectionID(1)

    init() throws {
      var configuration = VenueConfiguration()
      configuration.instruments = [.btcPerpetual]
      configuration.fillModel = FillModel()
      venue = try SimulatedVenue(configuration, flow: LiveFlow(live.queue))
      live.queue.begin(at: origin)
    }

    func begin() throws {
      hear(.ticker(index: 61_800), book: [(.buy, 61_800, 1000), (.sell, 61_801, 1000)], isSnapshot: true)
      began()
      pass(1_000_000)
      venue.connect(trader, now: now)
      let token = try JSONWebToken.make(
        keyID: "K", key: LiveMarketTests.key.get(),
        issuedAt: (VenueConfiguration().wallClockBase + now) / 1000)
      ask("public/login", "{\"token\":\"\(token)\"}")
      ask("private/set_cancel_on_disconnect", "{\"timeout_secs\":6}")
    }

    func began(_ info: InstrumentInfo = LiveMarketTests.info) { live.began([info], now: origin + now) }

    @discardableResult
    func ask(_ method: String, _ parameters: String) -> String {
      venue.receive(trader, text: "{\"method\":\"\(method)\",\"id\":7,\"params\":\(parameters)}", now: now)
      return said().first { $0.contains("\"id\":7") } ?? ""
    }

    func insert(_ side: String, _ price: Int, _ amount: String = "0.1") -> String {
      ask(
        "private/insert",
        "{\"direction\":\"\(side)\",\"instrument_name\":\"BTC-PERPETUAL\",\"amount\":\(amount),\"price\":\(price)}")
    }

    /// What the venue has said since the last look.
    func said() -> [String] {
      var texts: [String] = []
      venue.drain { _, outgoing in
        if case .text(let bytes) = outgoing { texts.append(String(decoding: bytes, as: UTF8.self)) }
      }
      return texts
    }

    enum Item { case ticker(index: Int), trade(Side, Int64, Int64), gap, none }

    func hear(_ item: Item, book: [(Side, Int64, Int64)] = [], isSnapshot: Bool = false) {
      var events: [PublicEvent] = []
      switch item {
      case .ticker(let index):
        var ticker = Ticker()
        ticker.fields = [.index]
        ticker.indexE8 = Int64(index) * 100_000_000
        events.append(.ticker(0, ticker))
      case .trade(let side, let price, let lots):
        events.append(.trade(0, aggressor: side, PriceTicks(rawValue: price), QtyLots(rawValue: lots), time: 0))
      case .gap: events.append(.bookLost(0))
      case .none: break
      }
      if !book.isEmpty {
        events.append(.bookBegin(0, isSnapshot: isSnapshot))
        for (side, price, lots) in book {
          events.append(.bookLevel(0, side, PriceTicks(rawValue: price), QtyLots(rawValue: lots)))
        }
        events.append(.bookEnd(0))
      }
      live.took(events, now: origin + now)
    }

    func pass(_ time: Nanoseconds) {
      now += time
      venue.pinged(trader, now: now)
      venue.advance(to: now)
    }

    func shown(_ side: Side, _ price: Int64) -> Int64 { venue.markets[0].shown(side, PriceTicks(rawValue: price)) }
    var account: Account { venue.accountList[0] }
  }

  private static let key = Result { try SigningKey.generate() }

  @Test func `nothing is there before every book and index is, and then the first state counts at once`() throws {
    let stage = try Stage()
    #expect(stage.live.current.listing == nil && stage.live.current.isAway)
    stage.hear(.none, book: [(.buy, 61_800, 1000)], isSnapshot: true)
    stage.began()
    #expect(stage.live.current.listing == nil)
    stage.hear(.ticker(index: 61_800))
    let listing = try #require(stage.live.current.listing)
    #expect(listing.infos == [Self.info] && listing.indexesE8 == [61_800_00000000])
    #expect(!stage.live.current.isAway)
    stage.pass(1)
    #expect(stage.shown(.buy, 61_800) == 1000)
  }

  @Test func `the book follows, and a trade fills what its queue has come to`() throws {
    let stage = try Stage()
    try stage.begin()
    #expect(stage.shown(.buy, 61_800) == 1000 && stage.shown(.sell, 61_801) == 1000)
    #expect(stage.insert("buy", 61_800).contains("\"open\""))
    stage.hear(.none, book: [(.buy, 61_799, 500), (.sell, 61_801, 0), (.sell, 61_802, 300)])
    // 1,000 lots stand before ours of 100: 900 leave us behind 100 of others.
    stage.hear(.trade(.sell, 61_800, 900), book: [(.buy, 61_800, 100)])
    stage.pass(1_000_000)
    #expect(stage.account.fills.isEmpty)
    #expect(stage.shown(.buy, 61_799) == 500 && stage.shown(.sell, 61_801) == 0 && stage.shown(.sell, 61_802) == 300)
    stage.hear(.trade(.sell, 61_800, 140))
    stage.pass(1_000_000)
    #expect(stage.account.fills.map(\.lots.rawValue) == [40])
    #expect(stage.account.fills.first?.isMaker == true && stage.account.fills.first?.cause == .queue)
  }

  @Test(arguments: [false, true])
  func `while the stream is away, or a book has a gap, the market is silent and takes no orders`(isGap: Bool) throws {
    let stage = try Stage()
    try stage.begin()
    stage.ask("public/subscribe", "{\"channels\":[\"ticker.BTC-PERPETUAL.raw\",\"book.BTC-PERPETUAL.none.all.raw\"]}")
    #expect(stage.insert("buy", 61_790).contains("\"open\""))
    stage.pass(1_100_000_000)
    #expect(stage.said().contains { $0.contains("ticker.BTC-PERPETUAL.raw") })
    if isGap { stage.hear(.gap) } else { stage.live.lost(now: stage.origin + stage.now) }
    #expect(stage.live.current.isAway && stage.live.current.absences == 1)
    let before = stage.venue.markets[0].markTime
    for _ in 0..<10 { stage.pass(1_000_000_000) }
    #expect(!stage.said().contains { $0.contains("channel_name\":\"ticker") || $0.contains("channel_name\":\"book") })
    #expect(stage.venue.markets[0].markTime == before)
    #expect(stage.insert("buy", 61_795).contains("\"error\""))
    // A trade or a level of the old connection does not count, and a cancel is taken.
    #expect(stage.ask("private/cancel_all", "{}").contains("\"result\":1"), "cancels are taken")

    // Back with another book: what stood and is not in the snapshot is gone.
    if !isGap { stage.began() }
    #expect(stage.live.current.isAway)
    stage.hear(.ticker(index: 61_900), book: [(.buy, 61_880, 7), (.sell, 61_881, 9)], isSnapshot: true)
    #expect(!stage.live.current.isAway && stage.live.current.absent >= 10_000_000_000)
    stage.pass(1_100_000_000)
    #expect(stage.shown(.buy, 61_800) == 0 && stage.shown(.buy, 61_880) == 7 && stage.shown(.sell, 61_881) == 9)
    let said = stage.said()
    #expect(said.contains { $0.contains("channel_name\":\"book") && $0.contains("61880") }, "\(said)")
    #expect(said.contains { $0.contains("channel_name\":\"ticker") })
    #expect(stage.insert("buy", 61_870).contains("\"open\""))
  }

  @Test func `what comes back through a resting order trades with it`() throws {
    let stage = try Stage()
    try stage.begin()
    #expect(stage.insert("buy", 61_790).contains("\"open\""))
    stage.live.lost(now: stage.origin + stage.now)
    stage.began()
    stage.hear(.none, book: [(.buy, 61_770, 7), (.sell, 61_780, 30)], isSnapshot: true)
    stage.pass(1_000_000)
    #expect(stage.account.fills.map(\.lots.rawValue) == [30])
    #expect(stage.account.fills.first?.priceE8 == 61_790_00000000)
  }

  @Test func `another grid ends it with a sentence`() throws {
    let stage = try Stage()
    try stage.begin()
    stage.live.lost(now: stage.origin + stage.now)
    var other = Self.info
    other.grid.tickE8 *= 5
    stage.began(other)
    #expect(stage.live.current.failure?.description.contains("changed tick, lot or minimum of BTC-PERPETUAL") == true)
    stage.hear(.none, book: [(.buy, 61_770, 7)], isSnapshot: true)
    #expect(stage.live.current.isAway)
  }

  /// Nothing that the public side of a session ever asks is private, whatever the venue answers.
  @Test func `a public session asks for instruments and public channels, and nothing else`() throws {
    func requests(_ feed: consuming some PublicFeed & ~Copyable, _ answers: [String]) -> [String] {
      var feed = feed
      var all: [String] = []
      feed.opened()
      for answer in answers {
        all += feed.requests
        feed.requests = []
        feed.stayAlive(now: 100_000_000_000)
        let text = Array(answer.utf8) + [UInt8](repeating: 0, count: 64)
        text.withUnsafeBytes { feed.take(UnsafeRawBufferPointer(rebasing: $0[..<answer.utf8.count])) }
      }
      return all + feed.requests
    }
    let thalex = requests(
      try ThalexPublicFeed(["BTC-PERPETUAL"]),
      [
        "{\"id\":\(RequestID.session(.instruments)),\"result\":[{\"instrument_name\":\"BTC-PERPETUAL\",\"tick_size\":1,"
          + "\"volume_tick_size\":0.001,\"min_order_amount\":0.001,\"type\":\"perpetual\"}]}"
      ])
    #expect(thalex.count == 2 && thalex.allSatisfy { $0.contains("\"method\":\"public/") }, "\(thalex)")
    let deribit = requests(
      try DeribitPublicFeed(["BTC-PERPETUAL"]),
      ["{\"jsonrpc\":\"2.0\",\"method\":\"heartbeat\",\"params\":{\"type\":\"test_request\"}}"])
    #expect(deribit.count == 3 && deribit.allSatisfy { $0.contains("\"method\":\"public/") }, "\(deribit)")
    let bybit = requests(try BybitPublicFeed(["BTCUSDT"]), ["{}"])
    #expect(bybit.count == 2, "\(bybit)")
    #expect(bybit[0].contains("\"op\":\"subscribe\"") && bybit[0].contains("publicTrade.BTCUSDT"))
    #expect(bybit[1] == "{\"op\":\"ping\"}")
    #expect(!(thalex + deribit + bybit).contains { $0.contains("private") || $0.contains("auth") || $0.contains("login") })
  }
}
