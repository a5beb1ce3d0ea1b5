import Apus
import CSupport
import Foundation
import Glibc
import Synchronization
import WireC

/// The bare echo's work done through the engine's own socket driver (and TLS), without a lane: tells apart what the
/// driver adds and what the lane adds.
final class DriverEcho: Far {
  let listener: VenueListener
  let venue: Venue
  private let shared = Shared()

  /// The thread reads `work` only while it runs; its owner writes it only while it sleeps.
  private final class Shared: @unchecked Sendable {
    let runs = Atomic<Bool>(false)
    let isRunning = Atomic<Bool>(false)
    let ends = Atomic<Bool>(false)
    let hasEnded = Atomic<Bool>(false)
    var tick = 0
    var acknowledgement = 0
    var reply: [UInt8] = []
    var problem = ""
  }

  init(tls: Bool, core: Int, directory: String, names: [String]) throws {
    listener = try VenueListener(tls: tls, directory: directory)
    let context = try listener.caFile.map { try TLSContext.client(trusting: .file($0)) }
    let port = listener.port
    let shared = shared
    Thread.detachNewThread {
      do {
        try CPU.pinCurrentThread(to: core)
        try Self.work(port: port, context: context, shared)
      } catch {
        shared.problem = "\(error)"
      }
      shared.isRunning.store(false, ordering: .releasing)
      shared.hasEnded.store(true, ordering: .releasing)
    }
    venue = try listener.accept(names: names)
    try venue.check(wire_venue_greet(venue.venue), "the echo's venue could not send")
  }

  deinit {
    shared.ends.store(true, ordering: .releasing)
    while !shared.hasEnded.load(ordering: .acquiring) { usleep(1000) }
  }

  func learn(tick: Int, orders: wire_bytes, acknowledgement: Int, from other: Venue) {
    wire_venue_adopt(venue.venue, other.venue)
    shared.tick = tick
    shared.acknowledgement = acknowledgement
    shared.reply = Array(UnsafeBufferPointer(start: orders.bytes, count: orders.count))
  }

  func run(_ runs: Bool) throws {
    shared.runs.store(runs, ordering: .releasing)
    while shared.isRunning.load(ordering: .acquiring) != runs {
      guard !shared.hasEnded.load(ordering: .acquiring) else { throw WireError("the driver's echo: \(shared.problem)") }
      usleep(100)
    }
  }

  private static func work(port: UInt16, context: TLSContext?, _ shared: Shared) throws {
    var driver = try SocketDriver(
      SocketDriverConfiguration(
        connections: 8, receiveBufferBytes: 64 * 1024, receiveBuffers: 64, sendBufferBytes: 1 << 20))
    let connection = try driver.connect(host: "127.0.0.1", port: port)
    var tls: TLSEnd?
    let plain = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 32 * 1024)
    defer { plain.deallocate() }
    var isUp = false
    // Received since the last reply: the acknowledgement of the last exchange, then the tick.
    var have = 0
    var greeting = Int(WIRE_GREETING_BYTES)
    while !shared.ends.load(ordering: .relaxed) {
      let runs = shared.runs.load(ordering: .relaxed)
      if shared.isRunning.load(ordering: .relaxed) != runs {
        have = 0
        shared.isRunning.store(runs, ordering: .releasing)
      }
      let count = driver.poll(wait: runs || !isUp ? 0 : 1_000_000)
      guard count >= 0 else { throw WireError("error \(-count) of the driver") }
      for index in 0..<count {
        let event = driver.event(at: index)
        switch event.kind {
        case .connected:
          if let context {
            tls = TLSEnd(try TLSSession(client: context, host: "127.0.0.1"))
            pump(tls!, &driver, connection)
          } else {
            isUp = true
          }
        case .received:
          if let tls {
            _ = tls.session.feed(event.payload)
            while case .bytes(let bytes) = tls.session.read(into: plain) { have += bytes }
            if !isUp { pump(tls, &driver, connection) }
            isUp = tls.session.state == .ready
          } else {
            have += event.payload.count
          }
          driver.release(event)
        case .connectFailed, .closed:
          throw WireError("the connection is gone")
        case .accepted, .writable:
          break
        }
      }
      if greeting > 0 {
        greeting -= have
        have = 0
      }
      guard have > 0, runs else { continue }
      if have == shared.tick {
        shared.reply.withUnsafeBufferPointer { reply in
          if let tls {
            _ = tls.session.write(reply)
            pump(tls, &driver, connection)
          } else {
            _ = driver.send(reply, on: connection)
          }
        }
        driver.flush()
        have = -shared.acknowledgement
      }
    }
  }

  private final class TLSEnd {
    var session: TLSSession
    init(_ session: consuming TLSSession) { self.session = session }
  }

  private static func pump(_ tls: TLSEnd, _ driver: inout SocketDriver, _ connection: ConnectionHandle) {
    let pending = tls.session.pending()
    guard pending.count > 0, driver.send(pending, on: connection) == .queued else { return }
    tls.session.take(pending.count)
  }
}
