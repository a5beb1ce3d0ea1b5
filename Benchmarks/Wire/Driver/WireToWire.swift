import Apus
import Foundation
import WireC

/// Tick on the venue's wire to order on the venue's wire, beside a bare echo of the same bytes.
struct WireToWire {
  var tls: Bool
  var gap: Nanoseconds
  var rounds: Int
  var count: Int

  struct Outcome {
    var ours: Samples
    var echo: Samples
    /// Of each round.
    var p50Ratios: [Double] = []
    var p99Ratios: [Double] = []
    var tickBytes = 0
    var orderBytes = 0
    var acknowledgementBytes = 0
    var gapsPerSecond = 0.0
    var largestGap: Int64 = 0
    var cipher = ""
  }

  /// - Parameter cores: the venue's, and the one that engine and echo share in turn.
  func run(rig: Rig, echo: EchoPeer, cores: (venue: Int, other: Int)) throws -> Outcome {
    let ticks = FrameStore(Script.movingBook(rig.names[0]))
    let warmUp = min(200, count)
    var ours: [Int64] = []
    var bare: [Int64] = []
    var outcome = Outcome(ours: Samples([]), echo: Samples([]))
    var position = 0
    var gaps: UInt64 = 0
    var gapTime = 0.0

    /// Both of them have now been left at the same place of the script.
    func measured(_ venue: Venue) throws -> [Int64] {
      // Warm up with short gaps, whatever the gap of the measurement.
      _ = try venue.round(ticks, first: position, frames: 2, count: warmUp, gap: 20_000)
      return try venue.round(ticks, first: position + warmUp, frames: 2, count: count, gap: gap)
    }

    // The bytes of an exchange, from the engine itself.
    rig.engine.resume()
    _ = try rig.venue.round(ticks, first: 0, frames: 2, count: warmUp, gap: 20_000)
    position = warmUp
    echo.learn(tick: ticks.frames[0].count, from: rig.venue)
    outcome.tickBytes = ticks.frames[0].count
    outcome.orderBytes = echo.replyBytes
    outcome.acknowledgementBytes = echo.acknowledgementBytes

    for _ in 0..<rounds {
      rig.engine.resume()
      let first = Samples(try measured(rig.venue))
      rig.engine.pause()
      echo.run(true)
      let second = Samples(try measured(echo.venue))
      echo.run(false)
      position += warmUp + count
      ours += first.values
      bare += second.values
      outcome.p50Ratios.append(Double(first.percentile(50)) / Double(second.percentile(50)))
      outcome.p99Ratios.append(Double(first.percentile(99)) / Double(second.percentile(99)))
      var found: UInt64 = 0
      var largest: Int64 = 0
      wire_gaps(20_000_000, 10_000, &found, &largest)
      gaps += found
      gapTime += 0.02
      outcome.largestGap = max(outcome.largestGap, largest)
    }
    rig.engine.resume()
    outcome.ours = Samples(ours)
    outcome.echo = Samples(bare)
    outcome.gapsPerSecond = Double(gaps) / gapTime
    outcome.cipher = rig.venue.cipher
    return outcome
  }
}

/// The bare echo on the engine's core, with a venue of its own that does what the engine's does.
final class EchoPeer {
  let listener: VenueListener
  let venue: Venue
  private let echo: OpaquePointer
  private let client: OpaquePointer?
  private(set) var replyBytes = 0
  private(set) var acknowledgementBytes = 0

  init(tls: Bool, core: Int, directory: String, names: [String]) throws {
    listener = try VenueListener(tls: tls, directory: directory)
    client = tls ? wire_tls_client() : nil
    guard let echo = wire_echo_start(listener.port, client, Int32(core)) else {
      throw WireError("could not start the echo's thread")
    }
    self.echo = echo
    venue = try listener.accept(names: names)
  }

  deinit {
    wire_echo_stop(echo)
    wire_tls_free(client)
  }

  /// Takes over the bytes of the other venue's last exchange.
  func learn(tick: Int, from other: Venue) {
    wire_venue_adopt(venue.venue, other.venue)
    let orders = wire_last_orders(other.venue)
    replyBytes = orders.count
    acknowledgementBytes = wire_last_acknowledgements(other.venue).count
    wire_echo_set(echo, tick, orders, acknowledgementBytes)
  }

  func run(_ runs: Bool) { wire_echo_run(echo, runs) }
}
