import CSupport
import Testing

@testable import Apus
@testable import ApusRollout

/// What the machine decides, by sights that are made up.
@Suite struct MachineTests {
  /// Two engines that do what they are told, on a clock of their own.
  private struct World {
    var machine: RolloutMachine
    var sight: RolloutSight
    var told: [String] = []
    var commands: [RolloutCommand] = []
    /// The incumbent does not start again.
    var isIncumbentLost = false
    /// The other release's program starts where one is gone.
    var canClose = true
    /// The incumbent's latch stays, whatever it is given; it takes no other shares.
    var keepsLatch = false
    var isDeaf = false
    /// The release that was made current, and whether that works.
    var takesOver: String?
    var canUse = true

    init(steps: String = "- {instruments: 1, at_least_s: 2}\n  - {instruments: 100%, at_least_s: 2}") throws {
      let plan = try RolloutPlan.parse("steps:\n  \(steps)\ngates: {slice_s: 1}\npatience: {give_back_s: 3, hand_over_s: 3, stop_s: 3}\n")
      machine = RolloutMachine(
        RolloutState(
          id: "1", candidate: "v2", checksum: "", incumbent: "v1", engineName: "e",
          slots: (EngineSlot(name: "b", dataDirectory: "b"), EngineSlot(name: "a", dataDirectory: "a")), plan: plan,
          instruments: ["A", "B"], now: 0, wall: 0))
      sight = RolloutSight(now: 0, wall: 0, candidate: EngineSight(), incumbent: Self.engine(["A": .one, "B": .one]))
      sight.staging = .passed(["fine"])
    }

    static func engine(_ shares: ShareTable) -> EngineSight {
      var engine = EngineSight()
      engine.isRunning = true
      engine.isShown = true
      engine.shares = shares
      engine.lanes = [
        EngineSight.Lane(
          name: "thalex", isQuoting: true, latched: .none, obeyed: .none, outcome: .none, ordersLeft: 0, cause: "", status: "quoting")
      ]
      engine.instruments = shares.sorted { $0.key < $1.key }.map { name, share in
        EngineSight.Instrument(
          name: name, position: share == .zero ? nil : 5, worstLong: share == .zero ? 0 : 5, worstShort: 0,
          limit: share == .zero ? 0 : 10)
      }
      return engine
    }

    /// Turns for a time, and lets every command come true at once. Both engines never have one instrument.
    mutating func run(seconds: Int, until isSo: (RolloutState) -> Bool = { _ in false }) {
      for _ in 0..<(seconds * 10) {
        sight.now += 100_000_000
        sight.wall += 100_000_000
        var slice = SliceFigures()
        slice.seconds = 1
        sight.slice = sight.now % 1_000_000_000 == 0 ? (slice, slice) : nil
        if let takesOver { sight.currentRelease = takesOver }
        let commands = machine.turn(sight)
        sight.requests = []
        self.commands += commands
        for command in commands { obey(command) }
        let quoting = [sight.candidate, sight.incumbent].filter { $0.isRunning && $0.lanes.allSatisfy { $0.obeyed < .cancelAll } }
        for name in ["A", "B"] {
          let shares = quoting.map { $0.shares?[name]?.e8 ?? 0 }
          #expect(shares.reduce(0, +) <= DecimalE8.one.e8, "both engines together have more than all of \(name): \(shares)")
        }
        if isSo(machine.state) { return }
      }
    }

    private mutating func obey(_ command: RolloutCommand) {
      switch command {
      case .start(.candidate, let shares), .apply(.candidate, let shares):
        let lanes = sight.candidate.lanes
        sight.candidate = Self.engine(shares)
        if !lanes.isEmpty { sight.candidate.lanes = lanes }
      case .start(.incumbent, let shares), .apply(.incumbent, let shares):
        guard !isDeaf, !isIncumbentLost || sight.incumbent.isRunning else { return }
        let (lanes, cause) = (sight.incumbent.lanes, sight.incumbent.stopCause)
        sight.incumbent = Self.engine(shares)
        guard !lanes.isEmpty, keepsLatch || !cause.isEmpty else { return }
        sight.incumbent.lanes = lanes
        sight.incumbent.stopCause = cause
      case .halt(.candidate, let level, _):
        guard sight.candidate.isRunning, !sight.candidate.lanes.isEmpty else { return }
        sight.candidate.lanes[0].latched = level
        sight.candidate.lanes[0].obeyed = level
        sight.candidate.lanes[0].outcome = level >= .flatten ? .flat : .verified
        if level >= .flatten { for index in sight.candidate.instruments.indices { sight.candidate.instruments[index].position = 0 } }
      case .close(.candidate, _) where !sight.candidate.isRunning && canClose:
        sight.candidate = Self.engine(machine.state.candidateShares(machine.state.step))
        obey(.halt(.candidate, .flatten, ""))
      case .close(.incumbent, _) where canClose:
        sight.incumbent = Self.engine(["A": .one, "B": .one])
        obey(.halt(.incumbent, .flatten, ""))
      case .rearm(.incumbent):
        sight.incumbent.lanes = Self.engine([:]).lanes
        sight.incumbent.stopCause = ""
      case .halt(.incumbent, let level, let cause):
        sight.incumbent.stopCause = cause
        sight.incumbent.lanes[0].cause = "apus halt (flatten)"
        sight.incumbent.lanes[0].latched = level
        sight.incumbent.lanes[0].obeyed = level
        sight.incumbent.lanes[0].outcome = .flat
      case .terminate(.candidate), .kill(.candidate):
        sight.candidate = EngineSight()
      case .terminate(.incumbent), .kill(.incumbent): sight.incumbent = EngineSight()
      case .sweep(.candidate): sight.candidate.ordersAtVenue = 0
      case .sweep(.incumbent): sight.incumbent.ordersAtVenue = 0
      case .use: takesOver = canUse ? machine.state.candidate : nil
      case .tell(_, let text): told.append(text)
      default: break
      }
    }
  }

  @Test func `a good candidate gets everything step by step, and never what the incumbent still has`() throws {
    var world = try World()
    world.run(seconds: 30) { $0.phase == .done }
    #expect(world.machine.state.outcome == .promoted, "\(world.told)")
    #expect(world.commands.contains(.use))
    #expect(!world.sight.incumbent.isRunning && world.sight.candidate.shares == ["A": .one, "B": .one])
    #expect(world.machine.state.stages.map(\.name) == ["staging", "step 1 of 2: 1 of 2 instruments", "step 2 of 2: 2 of 2 instruments"])
  }

  @Test(arguments: ["dead", "silent", "halted", "rejects", "alert", "abort", "unknown", "memory", "limit"])
  func `whatever is wrong, the candidate is halted first and the incumbent gets everything back`(trouble: String) throws {
    var world = try World()
    world.run(seconds: 10) { $0.phase == .watch }
    #expect(world.machine.state.phase == .watch)
    switch trouble {
    case "dead": world.sight.candidate = EngineSight()
    case "silent": world.sight.candidate.heartbeatAge = 1_100_000_000
    case "halted": world.sight.candidate.lanes[0].latched = .cancelAll
    case "rejects": world.sight.candidate.rejectsInSecond = 51
    case "alert": world.sight.candidate.alert = "ApusLoss: much"
    case "unknown": world.sight.candidate.unknownOrders = 21
    case "limit": world.sight.candidate.timeAtLimit = 600_000_000_000
    case "memory": world.sight.candidate.memoryBytes = 9000 << 20
    default: world.sight.requests = [RolloutRequest(kind: .abort, user: "somebody")]
    }
    world.commands = []
    world.run(seconds: 20) { $0.phase == .done }
    let state = world.machine.state
    #expect(state.outcome == (trouble == "abort" ? .aborted : .rolledBack), "\(world.told)")
    #expect(world.sight.incumbent.shares == ["A": .one, "B": .one] && !world.sight.candidate.isRunning)
    guard case .halt(.candidate, .cancelAll, _)? = world.commands.first else {
      Issue.record("first came \(String(describing: world.commands.first))")
      return
    }
    #expect(state.breachSeen != nil && state.haltVerified != nil && state.givenBack != nil)
  }

  @Test func `where the incumbent cannot come back the candidate closes the positions, and nothing trades`() throws {
    var world = try World()
    world.run(seconds: 10) { $0.phase == .watch }
    world.isIncumbentLost = true
    world.sight.incumbent = EngineSight()
    world.run(seconds: 60) { $0.phase == .done }
    #expect(world.machine.state.outcome == .flat, "\(world.told)")
    #expect(world.told.contains { $0.contains("no position is left") })
    #expect(world.commands.contains { if case .halt(.candidate, .flatten, _) = $0 { true } else { false } })
    #expect(!world.sight.candidate.isRunning)
  }

  // MARK: - What happens while no supervisor is at work

  @Test func `nobody is late because a supervisor was away for long`() throws {
    for phase in [RolloutPhase.giveBack, .watch, .takeUp, .settle] {
      var world = try World()
      world.run(seconds: 40) { $0.phase == (phase == .giveBack ? .watch : phase) }
      if phase == .giveBack {
        world.sight.requests = [RolloutRequest(kind: .abort, user: "somebody")]
        world.run(seconds: 5) { $0.phase == .giveBack }
      }
      #expect(world.machine.state.phase == phase)
      world.machine = RolloutMachine(world.machine.state)
      world.sight.now += 3_600_000_000_000
      world.told = []
      world.run(seconds: 40) { $0.phase == .done }
      #expect(world.machine.state.outcome == (phase == .giveBack ? .aborted : .promoted), "\(phase): \(world.told)")
      #expect(!world.told.contains { $0.contains("did not") }, "\(world.told)")
    }
  }

  @Test func `an incumbent that somebody restarts in between is noticed`() throws {
    var world = try World()
    world.run(seconds: 10) { $0.phase == .watch }
    world.machine = RolloutMachine(world.machine.state)
    world.sight.incumbent = World.engine(["A": .zero, "B": .one])
    world.sight.incumbent.bootEpoch = 2
    world.run(seconds: 20) { $0.phase == .done }
    #expect(world.machine.state.outcome == .rolledBack && world.told.contains { $0.contains("started anew by somebody else") })
  }

  // MARK: - An incumbent with its own reasons

  @Test func `a latch of the incumbent's own is not taken back, and nothing is closed for it`() throws {
    for steps in [Self.sizes, "- {instruments: 1, at_least_s: 2}\n  - {instruments: 100%, at_least_s: 2}"] {
      var world = try World(steps: steps)
      world.run(seconds: 10) { $0.phase == .watch }
      world.sight.incumbent.lanes[0].latched = .cancelAll
      world.sight.incumbent.lanes[0].cause = "loss"
      world.keepsLatch = true
      world.commands = []
      world.run(seconds: 60) { $0.phase == .done }
      #expect(world.machine.state.outcome == .rolledBack, "\(world.told)")
      #expect(!world.commands.contains(.rearm(.incumbent)) && !world.commands.contains(.kill(.incumbent)), "\(world.commands)")
      #expect(world.told.contains { $0.contains("does not quote: thalex: loss") }, "\(world.told)")
      #expect(world.machine.state.isBlameless)
    }
  }

  @Test func `one that runs, and does not answer, is ended before the candidate gets its positions`() throws {
    var world = try World()
    world.run(seconds: 10) { $0.phase == .watch }
    world.isDeaf = true
    world.sight.requests = [RolloutRequest(kind: .abort, user: "somebody")]
    world.run(seconds: 60) { $0.phase == .done }
    #expect(world.machine.state.outcome == .flat, "\(world.told)")
    #expect(!world.sight.incumbent.isRunning && world.told.contains { $0.contains("no position is left") }, "\(world.told)")
  }

  @Test func `a release that cannot be made current is told of`() throws {
    var world = try World()
    world.canUse = false
    world.run(seconds: 60) { $0.phase == .done }
    #expect(world.machine.state.outcome == .promoted && world.told.contains { $0.contains("could not be made the current release") })
  }

  @Test func `a pause holds everything back that would trade, and promote goes past the hours`() throws {
    var world = try World(steps: "- {instruments: 100%, at_least_s: 2, hours: \"01:00-02:00\"}")
    world.sight.requests = [RolloutRequest(kind: .pause, user: "somebody")]
    world.run(seconds: 5)
    #expect(world.machine.state.phase == .staging)
    world.sight.requests = [RolloutRequest(kind: .resume, user: "somebody")]
    world.run(seconds: 5)
    #expect(world.machine.state.phase == .giveUp && !world.sight.candidate.isRunning)
    let saved = world.machine.state
    world.run(seconds: 1)
    #expect(world.machine.state == saved, "waiting changes nothing that would have to be written")
    world.sight.requests = [RolloutRequest(kind: .promote, user: "somebody")]
    world.run(seconds: 1) { $0.phase == .watch }
    #expect(world.sight.candidate.isRunning && !world.machine.state.isPromoted)
  }

  /// Steps by size, on two accounts.
  private static let sizes = "- {size: 0.1, at_least_s: 2}\n  - {size: 1, at_least_s: 2}"

  @Test func `by size, the incumbent is flat before the candidate has everything`() throws {
    var world = try World(steps: Self.sizes)
    world.run(seconds: 30) { $0.phase == .done }
    #expect(world.machine.state.outcome == .promoted, "\(world.told)")
    #expect(world.commands.contains { if case .halt(.incumbent, .flatten, _) = $0 { true } else { false } })
    #expect(world.sight.candidate.shares == ["A": .one, "B": .one] && !world.sight.incumbent.isRunning)
  }

  @Test func `by size, a flattening of the rollout's own is taken back when it goes back from the last step`() throws {
    var world = try World(steps: Self.sizes)
    world.run(seconds: 30) { $0.phase == .watch && $0.step == 1 }
    world.sight.requests = [RolloutRequest(kind: .abort, user: "somebody")]
    world.run(seconds: 30) { $0.phase == .done }
    #expect(world.machine.state.outcome == .aborted && world.commands.contains(.rearm(.incumbent)), "\(world.told)")
    #expect(world.told.contains("v1 has everything again") && world.sight.incumbent.lanes[0].latched == .none, "\(world.told)")
  }

  @Test(arguments: [true, false])
  func `with an account of its own, what a dead candidate holds is closed by the other program`(canClose: Bool) throws {
    var world = try World(steps: Self.sizes)
    world.canClose = canClose
    world.run(seconds: 10) { $0.phase == .watch }
    #expect(world.machine.state.phase == .watch, "\(world.told)")
    world.commands = []
    world.sight.candidate = EngineSight()
    world.run(seconds: 60) { $0.phase == .done }
    #expect(world.machine.state.outcome == .rolledBack, "\(world.told)")
    let closes = world.commands.count { if case .close(.candidate, _) = $0 { true } else { false } }
    #expect(closes == 1 && world.told.contains { $0.contains("close them at the venue") } == !canClose, "\(world.told)")
    #expect(world.sight.incumbent.shares == ["A": .one, "B": .one] && !world.sight.candidate.isRunning)
  }

  @Test func `with accounts of their own, what an incumbent leaves that is lost is closed on its account`() throws {
    var world = try World(steps: Self.sizes)
    world.run(seconds: 10) { $0.phase == .watch }
    world.isIncumbentLost = true
    world.sight.incumbent = EngineSight()
    world.run(seconds: 60) { $0.phase == .done }
    #expect(world.machine.state.outcome == .flat && world.told.contains { $0.contains("no position is left") }, "\(world.told)")
    #expect(!world.sight.incumbent.isRunning && !world.sight.candidate.isRunning)
  }

  @Test func `an incumbent that keeps what it should give is asked, and then the rollout ends without the candidate`() throws {
    var world = try World()
    world.run(seconds: 1) { $0.phase == .giveUp }
    // It says so, but its order still rests.
    for _ in 0..<60 {
      world.sight.now += 100_000_000
      world.sight.incumbent = World.engine(["A": .zero, "B": .one])
      world.sight.incumbent.instruments[0].worstLong = 2
      for command in world.machine.turn(world.sight) { if case .tell(_, let text) = command { world.told.append(text) } }
    }
    #expect(world.told.contains { $0.contains("did not give up its part") && $0.contains("A has no position and may reach 2 long") }, "\(world.told)")
    #expect(!world.sight.candidate.isRunning)
  }

  @Test func `what somebody has changed at the incumbent meanwhile is left as it is`() throws {
    var world = try World()
    world.sight.incumbent.changed = "instruments[0].limits.max_position 0.5 → 0.1"
    world.sight.incumbent.shares = nil
    world.run(seconds: 10) { $0.phase == .done }
    #expect(world.machine.state.outcome == .rejected && world.machine.state.isBlameless)
    #expect(world.machine.state.reason?.contains("max_position 0.5 → 0.1") == true)
    for command in world.commands {
      switch command {
      case .apply, .halt, .start, .rearm: Issue.record("\(command)")
      default: break
      }
    }
  }

  @Test func `a word for another stage, or another rollout, is not obeyed`() throws {
    var world = try World()
    world.run(seconds: 20) { $0.phase == .watch && $0.step == 0 }
    var promote = RolloutRequest(kind: .promote, user: "test")
    (promote.rollout, promote.stage) = ("1", "shadow 0")
    var abort = RolloutRequest(kind: .abort, user: "test")
    abort.rollout = "0"
    world.sight.requests = [promote, abort]
    world.run(seconds: 1) { _ in true }
    #expect(world.machine.state.phase == .watch && !world.machine.state.isPromoted)
    #expect(world.told.filter { $0.contains("ignored") }.count == 2, "\(world.told)")
    promote.stage = "watch 0"
    world.sight.requests = [promote]
    world.run(seconds: 1) { $0.step == 1 }
    #expect(world.machine.state.step == 1)
  }

  @Test func `a candidate that somebody re-arms on the way back is halted again`() throws {
    var world = try World()
    world.keepsLatch = true
    world.run(seconds: 20) { $0.phase == .watch }
    world.isDeaf = true
    world.sight.requests = [RolloutRequest(kind: .abort, user: "test")]
    world.run(seconds: 5) { $0.phase == .giveBack }
    #expect(world.machine.state.phase == .giveBack)
    world.sight.candidate.lanes[0].obeyed = .none
    world.sight.candidate.lanes[0].latched = .none
    world.commands = []
    world.run(seconds: 1) { _ in true }
    #expect(world.commands.contains { if case .halt(.candidate, .cancelAll, _) = $0 { true } else { false } }, "\(world.commands)")
  }

  @Test func `a failed staging touches no engine`() throws {
    var world = try World()
    world.sight.staging = .failed([], "the release is damaged")
    world.run(seconds: 2) { $0.phase == .done }
    #expect(world.machine.state.outcome == .rejected)
    #expect(world.commands.allSatisfy { if case .tell = $0 { true } else { false } }, "\(world.commands)")
  }

  @Test func `hours hold a step back, and a pause too`() throws {
    var world = try World(steps: "- {instruments: 1, at_least_s: 2}\n  - {instruments: 100%, at_least_s: 2, hours: \"01:00-02:00\"}")
    world.run(seconds: 20)
    #expect(world.machine.state.phase == .watch && world.machine.state.step == 0)
    world.sight.wall = 3_600_000_000_000
    world.sight.requests = [RolloutRequest(kind: .pause, user: "somebody")]
    world.run(seconds: 5)
    #expect(world.machine.state.step == 0)
    world.sight.requests = [RolloutRequest(kind: .resume, user: "somebody")]
    world.run(seconds: 30) { $0.phase == .done }
    #expect(world.machine.state.outcome == .promoted)
  }
}
