import Apus
import ApusExchange
import Foundation
import Synchronization
import Testing

/// The venue announces that it will close the connection: a real engine on real sockets.
@Suite(.serialized) struct PlannedClosureTests {
  /// A venue in this process, with a registered key.
  final class Stage {
    let room: Room
    let server: VenueServer
    private let ended = DispatchSemaphore(value: 0)
    private let isTLS: Bool

    init(isTLS: Bool) throws {
      self.isTLS = isTLS
      room = try Room()
      let key = try SigningKey.generate()
      try room.write(try key.withPrivatePEM { String(decoding: $0, as: UTF8.self) }, to: "key.pem")
      var registry = KeyRegistry()
      registry.register(try VerifyingKey(pem: Array(key.publicPEM().utf8)), as: "K1")
      var configuration = VenueServerConfiguration()
      configuration.port = 0
      if isTLS {
        let (context, certificate) = try TLSContext.selfSignedServer(names: ["localhost"])
        configuration.tls = context
        try room.write(String(decoding: certificate, as: UTF8.self), to: "ca.pem")
      }
      var venue = VenueConfiguration()
      venue.instruments = [.btcPerpetual]
      server = try VenueServer(configuration, venue: venue, flow: SyntheticFlow(seed: 5), verifier: registry)
      let (server, ended) = (server, ended)
      Thread.detachNewThread {
        _ = try? server.run()
        ended.signal()
      }
    }

    deinit {
      server.stop()
      _ = ended.wait(timeout: .now() + 10)
    }

    /// Starts an engine and waits for its quotes.
    func engine(name: String, window: Int) throws -> Program {
      try room.write(
        """
        version: 1
        engine:
          name: \(name)
          core: none
          idle: park
          data_directory: \(room.file(name))
        venue:
          url: \(isTLS ? "wss" : "ws")://localhost:\(server.port)/ws/api/v2
          key_id: K1
          private_key_file: \(room.file("key.pem"))
          closure_window_ms: \(window)
        \(isTLS ? "  ca_file: \(room.file("ca.pem"))" : "")
        \(Room.quoted())
        """, to: "\(name).yaml")
      let engine = try Program(
        "apus", ["run", "--config", room.file("\(name).yaml"), "--report", room.file("\(name).json")])
      #expect(engine.waitFor("quoting"), "\(engine.out) \(engine.err)")
      return engine
    }

    /// The longest time without an order in the book, by the venue's clock, while `body` runs.
    func longestGap(during body: () throws -> Void) rethrows -> Nanoseconds {
      let gap = SharedGap()
      let sampler = DispatchSemaphore(value: 0)
      let server = server
      let over = FlagBox()
      Thread.detachNewThread {
        while !over.isSet {
          server.perform { venue, now in
            gap.note(isEmpty: venue.accountNames.first.flatMap { venue.books($0) }?.openOrders.isEmpty ?? true, now)
          }
          usleep(200)
        }
        sampler.signal()
      }
      try body()
      over.set()
      sampler.wait()
      return gap.longest
    }
  }

  private final class FlagBox: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
  }

  private final class SharedGap: Sendable {
    private let state = Mutex<(since: Nanoseconds?, longest: Nanoseconds)>((nil, 0))
    var longest: Nanoseconds { state.withLock { $0.longest } }
    func note(isEmpty: Bool, _ now: Nanoseconds) {
      state.withLock { state in
        guard isEmpty else {
          state.since = nil
          return
        }
        if state.since == nil { state.since = now }
        state.longest = max(state.longest, now - (state.since ?? now))
      }
    }
  }

  /// Announces a closure, waits until it is over, stops the engine and reads its report.
  private func play(_ stage: Stage, name: String, window: Int) throws -> (gap: Nanoseconds, report: [String: Any]) {
    let engine = try stage.engine(name: name, window: window)
    usleep(2_000_000)
    let gap = stage.longestGap {
      stage.server.perform { venue, now in venue.announceClosure(notice: 4_000_000_000, now: now) }
      usleep(6_500_000)
    }
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)")
    #expect(engine.out.contains("the venue confirms that no order of ours is left"))
    let report = try stage.room.json("\(name).json")
    #expect(report["is_stop_verified"] as? Bool == true && report["unknown_orders"] as? Int == 0)
    #expect(report["limit_breaches"] as? Int == 0)
    return (gap, report)
  }

  @Test(arguments: [false, true])
  func `R23 R25 before an announced closure a real engine moves over, and is without quotes for a fraction of the time`(
    isTLS: Bool
  ) throws {
    let stage = try Stage(isTLS: isTLS)
    let old = try play(stage, name: "anew", window: 0)
    let new = try play(stage, name: "before", window: 8000)
    print(
      "\(isTLS ? "TLS" : "plain"): without quotes for \(old.gap / 1000) us made anew, \(new.gap / 1000) us made before")
    #expect(old.report["reconnects"] as? Int == 1 && old.report["moves"] as? Int == 0)
    #expect(new.report["reconnects"] as? Int == 0 && new.report["moves"] as? Int == 1)
    #expect(new.report["gaps"] as? Int == 0)
    #expect(new.gap * 3 < old.gap, "\(new.gap) ns, \(old.gap) ns")
    let instrument = (new.report["instruments"] as? [[String: Any]])?.first ?? [:]
    #expect(instrument["fills_without_fee"] as? Int == 0)
  }
}
