import Apus
import Foundation
import WireC

/// Tick on the venue's wire to order on the venue's wire, beside a bare echo of the same bytes.
struct WireToWire {
  var tls: Bool
  var gap: Nanoseconds
  var rounds: Int
  var count: Int
  /// No round begins after this time, and each one gets at most its share of it.
  var seconds: Double

  /// One of those that answered.
  struct Peer {
    var samples = Samples([])
    /// The engine's percentiles by this one's, of each round.
    var p50Ratios: [Double] = []
    var p99Ratios: [Double] = []
  }

  struct Outcome {
    var ours = Samples([])
    var peers: [Peer] = []
    var rounds = 0
    var tickBytes = 0
    var orderBytes = 0
    var acknowledgementBytes = 0
    var gapsPerSecond = 0.0
    var largestGap: Int64 = 0
    var cipher = ""
    /// A cache line's way between the two cores and back, before and after.
    var bounces: (before: Int64, after: Int64) = (0, 0)
  }

  /// Round by round: the engine, then each of the others on the same core.
  ///
  /// - Parameter core: theirs.
  func run(rig: Rig, peers: [any Far], core: Int) throws -> Outcome {
    let ticks = FrameStore(Script.movingBook(rig.names[0]))
    let warmUp = min(200, count)
    var ours: [Int64] = []
    var others: [[Int64]] = Array(repeating: [], count: peers.count)
    var outcome = Outcome(peers: Array(repeating: Peer(), count: peers.count))
    var gaps: UInt64 = 0
    var gapTime = 0.0
    rig.engine.pause()
    outcome.bounces.before = wire_bounce_ns(Int32(core))
    let begin = wire_now_ns()
    let share = Nanoseconds(seconds * 1e9) / Nanoseconds(3 * (peers.count + 1))

    func measured(_ venue: Venue) throws -> [Int64] {
      // Warm up with short gaps, whatever the gap of the measurement.
      let start = wire_now_ns()
      _ = try venue.round(ticks, frames: 2, count: warmUp, gap: 20_000, until: start + share / 2)
      return try venue.round(ticks, frames: 2, count: count, gap: gap, until: start + share)
    }

    // The bytes of an exchange, from the engine itself: one in which it asked for nothing else.
    rig.engine.resume()
    _ = try rig.venue.round(ticks, frames: 2, count: warmUp, gap: 20_000, until: begin + share)
    var alike = 0
    var orders = wire_last_orders(rig.venue.venue)
    while alike < 3 {
      guard Double(wire_now_ns() - begin) < 20e9 else {
        throw WireError("the engine's answers to a tick do not settle to one size within 20 s")
      }
      let before = (orders.count, wire_last_acknowledgements(rig.venue.venue).count, rig.venue.counts.other)
      _ = try rig.venue.round(ticks, frames: 2, count: 1, gap: 20_000)
      orders = wire_last_orders(rig.venue.venue)
      let after = (orders.count, wire_last_acknowledgements(rig.venue.venue).count, rig.venue.counts.other)
      alike = before == after ? alike + 1 : 0
    }
    outcome.tickBytes = ticks.frames[0].count
    outcome.orderBytes = orders.count
    outcome.acknowledgementBytes = wire_last_acknowledgements(rig.venue.venue).count
    for peer in peers {
      peer.learn(
        tick: outcome.tickBytes, orders: orders, acknowledgement: outcome.acknowledgementBytes, from: rig.venue)
    }

    while outcome.rounds < rounds, outcome.rounds < 3 || Double(wire_now_ns() - begin) < seconds * 1e9 {
      outcome.rounds += 1
      rig.engine.resume()
      let engine = Samples(try measured(rig.venue))
      rig.engine.pause()
      ours += engine.values
      for (index, peer) in peers.enumerated() {
        try peer.run(true)
        let samples = Samples(try measured(peer.venue))
        try peer.run(false)
        others[index] += samples.values
        outcome.peers[index].p50Ratios.append(Double(engine.percentile(50)) / Double(samples.percentile(50)))
        outcome.peers[index].p99Ratios.append(Double(engine.percentile(99)) / Double(samples.percentile(99)))
      }
      var found: UInt64 = 0
      var largest: Int64 = 0
      wire_gaps(20_000_000, 10_000, &found, &largest)
      gaps += found
      gapTime += 0.02
      outcome.largestGap = max(outcome.largestGap, largest)
    }
    outcome.bounces.after = wire_bounce_ns(Int32(core))
    rig.engine.resume()
    outcome.ours = Samples(ours)
    for index in peers.indices { outcome.peers[index].samples = Samples(others[index]) }
    outcome.gapsPerSecond = Double(gaps) / gapTime
    outcome.cipher = rig.venue.cipher
    return outcome
  }
}

/// Who answers from the other core: the engine's stand-ins, each with a venue of its own that does the same.
protocol Far: AnyObject {
  var venue: Venue { get }
  /// Takes over the bytes of `other`'s last exchange.
  func learn(tick: Int, orders: wire_bytes, acknowledgement: Int, from other: Venue)
  /// Spins on its core, or leaves it.
  func run(_ runs: Bool) throws
}

/// The bare echo.
final class BareEcho: Far {
  let listener: VenueListener
  let venue: Venue
  private let echo: OpaquePointer
  private let client: OpaquePointer?

  init(tls: Bool, core: Int, directory: String, names: [String]) throws {
    listener = try VenueListener(tls: tls, directory: directory)
    client = tls ? wire_tls_client() : nil
    guard let echo = wire_echo_start(listener.port, client, Int32(core)) else {
      throw WireError("could not start the echo's thread")
    }
    self.echo = echo
    venue = try listener.accept(names: names)
    try venue.check(wire_venue_greet(venue.venue), "the echo's venue could not send")
  }

  deinit {
    wire_echo_stop(echo)
    wire_tls_free(client)
  }

  func learn(tick: Int, orders: wire_bytes, acknowledgement: Int, from other: Venue) {
    wire_venue_adopt(venue.venue, other.venue)
    wire_echo_set(echo, tick, orders, acknowledgement)
  }

  func run(_ runs: Bool) { wire_echo_run(echo, runs) }
}
