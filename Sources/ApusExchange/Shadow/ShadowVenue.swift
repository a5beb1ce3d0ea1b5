import Apus
import CSupport
import Foundation
import Synchronization

/// The venue that stands in for one real venue: a simulated one of the same kind on a port of this machine that the system
/// has chosen, whose market is the real one's public stream.
final class ShadowVenue: Sendable {
  let market: LiveMarket
  private let lane: Configuration
  private let stream: PublicStream
  private let streamEnd = DispatchSemaphore(value: 0)
  private let served = Mutex<Served?>(nil)

  private struct Served {
    var server: VenueServer
    var end: DispatchSemaphore
    var report: Report
  }

  /// What two threads hold on to.
  private final class Report: Sendable {
    let value = Mutex<VenueReport?>(nil)
  }

  /// - Parameters:
  ///   - lane: Of one venue alone.
  ///   - tell: Takes sentences for an operator, on any thread.
  init(_ lane: Configuration, tell: @escaping @Sendable (String) -> Void) throws(EngineError) {
    self.lane = lane
    let names = lane.instruments.map(\.name)
    market = LiveMarket(names)
    stream = try PublicStream(lane.venue, instruments: names)
    let (market, stream, end) = (market, stream, streamEnd)
    Self.start("apus-live") {
      do throws(EngineError) { try stream.run(market, tell: tell) } catch { market.fail(error) }
      end.signal()
    }
  }

  private static func start(_ name: String, _ body: @escaping @Sendable () -> Void) {
    Thread {
      try? CPU.nameCurrentThread(name)
      body()
    }.start()
  }

  /// Once, when the market is there.
  func serve(_ listing: LiveMarket.Listing) throws(EngineError) -> StandInVenue {
    let names = lane.instruments.map(\.name)
    for (name, info) in zip(names, listing.infos) where info.kind != .perpetual && info.kind != .future {
      throw EngineError(
        .configuration,
        "\(name) is neither a perpetual nor a future, which is all that a shadow run knows: leave it out, or try it on a "
          + "test network")
    }
    let listings = zip(names, zip(listing.infos, listing.indexesE8)).map {
      ShadowListing(name: $0, info: $1.0, indexE8: $1.1, section: lane.shadow)
    }
    let (server, venue): (VenueServer, StandInVenue)
    do {
      (server, venue) = try makeServer(listings)
    } catch {
      throw EngineError(.system, "\(error)")
    }
    market.queue.begin(at: server.origin)
    market.onStep { server.wake() }
    let end = DispatchSemaphore(value: 0)
    let outcome = Report()
    served.withLock { $0 = Served(server: server, end: end, report: outcome) }
    let market = market
    Self.start("apus-shadow") {
      do throws(VenueServerError) {
        let report = try server.run()
        outcome.value.withLock { $0 = report }
      } catch {
        market.fail(EngineError(.system, error.description))
      }
      end.signal()
    }
    return venue
  }

  func inverseNames(_ listing: LiveMarket.Listing?) -> Set<String> {
    Set(zip(lane.instruments, listing?.infos ?? []).filter { $1.contract == .inverse }.map(\.0.name))
  }

  private func makeServer(_ listings: [ShadowListing]) throws -> (VenueServer, StandInVenue) {
    var server = VenueServerConfiguration()
    server.port = 0
    server.requestDelay = 2 * lane.shadow.orderLatency
    let model = FillModel(queue: lane.shadow.queueModel, rules: lane.venue.kind.queueRules)
    let key = "shadow"
    switch lane.venue.kind {
    case .thalex:
      var venue = VenueConfiguration()
      venue.instruments = listings.map(\.thalex)
      venue.fillModel = model
      venue.makerFeeE6 = lane.shadow.makerFeeE6
      venue.takerFeeE6 = lane.shadow.takerFeeE6
      let pair = try SigningKey.generate()
      var keys = KeyRegistry()
      keys.register(try VerifyingKey(pem: Array(pair.publicPEM().utf8)[...]), as: key)
      var secret: [UInt8] = []
      try pair.withPrivatePEM { secret = Array($0) }
      let made = try VenueServer(server, venue: venue, flow: LiveFlow(market.queue), verifier: keys)
      return (made, StandInVenue(url: made.url, keyID: key, secret: secret))
    case .deribit:
      var venue = DeribitConfiguration()
      venue.instruments = listings.map(\.deribit)
      venue.fillModel = model
      // Whatever currencies these are, nothing is known of the account.
      venue.checksMargin = false
      let secret = try Self.secret()
      venue.clients = [DeribitClient(id: key, secret: secret, account: key)]
      let made = try VenueServer(server, deribit: venue, flow: LiveFlow(market.queue))
      return (made, StandInVenue(url: made.url, keyID: key, secret: Array(secret.utf8)))
    case .bybit:
      var venue = BybitConfiguration()
      venue.instruments = listings.map(\.bybit)
      venue.fillModel = model
      venue.checksMargin = false
      let secret = try Self.secret()
      venue.clients = [BybitClient(key: key, secret: secret, account: key)]
      let made = try VenueServer(server, bybit: venue, flow: LiveFlow(market.queue))
      return (
        made,
        StandInVenue(url: made.url, restURL: "http://127.0.0.1:\(made.port)", keyID: key, secret: Array(secret.utf8))
      )
    }
  }

  private static func secret() throws -> String {
    guard let random = secureRandomBytes(count: 20) else {
      throw SystemError("get random bytes for a secret", result: -EIO)
    }
    return random.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }

  /// Ends stream and venue; what the venue has to tell, if it ever served. Idempotent.
  func stop() -> VenueReport? {
    stream.requestStop()
    let served = served.withLock { served in
      defer { served = nil }
      return served
    }
    served?.server.stop()
    served?.end.wait()
    streamEnd.wait()
    streamEnd.signal()
    return served?.report.value.withLock { $0 }
  }
}
