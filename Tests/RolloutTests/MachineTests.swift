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
        let commands = machine.turn(sight)
        sight.requests = []
        self.commands += commands
        for command in commands { obey(command) }
        let both = ["A", "B"].filter { name in
          [sight.candidate, sight.incumbent].allSatisfy { engine in
            engine.isRunning && engine.lanes.allSatisfy { $0.latched < .cancelAll }
              && engine.instruments.contains { $0.name == name && $0.limit > 0 }
          }
        }
        #expect(both.isEmpty, "both engines quote \(both)")
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
        if !isIncumbentLost || sight.incumbent.isRunning { sight.incumbent = Self.engine(shares) }
      case .halt(.candidate, let level, _):
        guard sight.candidate.isRunning, !sight.candidate.lanes.isEmpty else { return }
        sight.candidate.lanes[0].latched = level
        sight.candidate.lanes[0].obeyed = level
        sight.candidate.lanes[0].outcome = level >= .flatten ? .flat : .verified
        if level >= .flatten { for index in sight.candidate.instruments.indices { sight.candidate.instruments[index].position = 0 } }
      case .terminate(.candidate), .kill(.candidate):
        sight.candidate = EngineSight()
      case .terminate(.incumbent), .kill(.incumbent): sight.incumbent = EngineSight()
      case .sweep(.candidate): sight.candidate.ordersAtVenue = 0
      case .sweep(.incumbent): sight.incumbent.ordersAtVenue = 0
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
