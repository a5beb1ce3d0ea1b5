import Apus
import CSupport
import Foundation
import Testing

/// Releases that are rolled out beside the one that they replace: a good one, and bad ones that are taken back.
@Suite(.serialized) struct RolloutTests {
  /// Back at the incumbent, with the reason in the report, and the venue's books equal.
  ///
  /// - Parameter quotes: The market goes on, and the incumbent with it.
  private func expectBack(
    _ stage: RolloutStage, _ program: Program, _ outcome: String, _ reason: String..., at stageName: String, quotes: Bool = true,
    sourceLocation: SourceLocation = #_sourceLocation
  ) throws {
    #expect(program.wait(seconds: 120) == 1, "\(program.out)\(program.err)", sourceLocation: sourceLocation)
    let report = try stage.report()
    #expect(report["outcome"] as? String == outcome, "\(program.out)", sourceLocation: sourceLocation)
    for part in reason {
      #expect((report["reason"] as? String ?? "").contains(part), "\(program.out)", sourceLocation: sourceLocation)
    }
    let last = (report["stages"] as? [[String: Any]])?.last?["name"] as? String ?? ""
    #expect(last.hasPrefix(stageName), "\(last)", sourceLocation: sourceLocation)
    #expect(stage.current == "v1", sourceLocation: sourceLocation)
    if outcome == "rolled_back" {
      let times = ["quiet_ms", "halt_ms", "back_ms"].map { name in "\(name) \(report[name] as? Double ?? -1)" }
      print("\(reason.first ?? ""): \(times.joined(separator: ", "))")
      #expect(report["quiet_ms"] != nil && report["halt_ms"] != nil && report["back_ms"] != nil, sourceLocation: sourceLocation)
    }
    if quotes {
      #expect(stage.wait { self.stage(stage, quotes: "data") }, "it does not quote everything", sourceLocation: sourceLocation)
    }
    try stage.expectEqualBooks(sourceLocation: sourceLocation)
  }

  @Test func `a good release passes every stage, and takes over with positions and books equal`() throws {
    let stage = try RolloutStage()
    try stage.pack("v2", RolloutStage.instruments(halfSpread: "1.1"))
    let exposure = CommonExposure(stage)
    let rollout = try stage.rollout("v2", try stage.plan("shadow: {at_least_s: 3, messages: 5}"))
    #expect(stage.wait { self.isAt(stage, "watch") }, "\(rollout.out)")
    // Each instrument is quoted by one engine.
    let (old, new) = (stage.lane("data")?.instruments, stage.lane("data-b")?.instruments)
    #expect(old?[0].limit == .zero && old?[0].position == nil && old?[1].limit != .zero, "\(String(describing: old))")
    #expect(new?[1].limit == .zero && new?[1].position == nil && new?[0].limit != .zero, "\(String(describing: new))")
    // A terminal that goes away does not end it.
    rollout.signal(SIGHUP)
    // A service that would start the incumbent anew, with everything, does not.
    let service = try stage.run("run", "--config", "\(stage.root)/v1/config.yaml", "--quiet", code: 73)
    #expect(service.err.contains("the rollout of v2 against v1 is under way"), "\(service.err)")
    let second = try stage.rollout("v2", try stage.plan())
    #expect(second.wait() == 73 && second.err.contains("another supervisor is at work"), "\(second.err)")
    let switched = try stage.run("release", "use", stage.root, "v2", code: 73)
    #expect(switched.err.contains("a rollout of v2 against v1 is under way"), "\(switched.err)")
    let status = try stage.run("rollout", "status", stage.root)
    #expect(status.out.contains("step 1 of 2: 1 of 2 instruments") && status.out.contains("candidate"), "\(status.out)")
    #expect(rollout.wait(seconds: 120) == 0, "\(rollout.out)\(rollout.err)")
    let (looks, shared, breach) = exposure.end()
    #expect(looks > 500 && shared > 100 && breach == nil, "\(looks) looks, \(shared) of both: \(breach ?? "")")
    #expect(rollout.out.contains("current: v1 → v2"), "\(rollout.out)")
    #expect(stage.current == "v2")
    let report = try stage.report()
    #expect(report["outcome"] as? String == "promoted")
    #expect((report["stages"] as? [Any])?.count == 4)
    // Other commands find it in the second slot.
    let config = "\(stage.root)/v2/config.yaml"
    #expect(try stage.run("apply", "--config", config, "--dry-run").out.contains("nothing would change"))
    #expect(try stage.run("top", "--once", "--config", config).out.contains("desk_b"))
    // And the next one beside it, back in the first slot; and one after that.
    for (name, halfSpread) in [("v3", "1.2"), ("v4", "1.3")] {
      try stage.pack(name, RolloutStage.instruments(halfSpread: halfSpread))
      // Nobody reads what it prints after the first line.
      let next = try stage.rollout(name, try stage.plan(seconds: 1), shell: " | head -n 1")
      #expect(next.wait(seconds: 60) == 0, "\(next.out)\(next.err)")
      #expect(stage.wait { stage.current == name })
    }
    let history = try stage.run("rollout", "history", stage.root)
    for line in ["v2 against v1", "v3 against v2", "v4 against v3"] {
      #expect(history.out.contains("\(line): promoted"), "\(history.out)")
    }
    try stage.expectEqualBooks("data-b")
  }

  private func isAt(_ stage: RolloutStage, _ phase: String) -> Bool {
    let text = (try? String(contentsOfFile: "\(stage.root)/rollout/state.json", encoding: .utf8)) ?? ""
    return text.contains("\"phase\":\"\(phase)\"")
  }

  // MARK: - Seen in staging

  @Test func `a corrupted program is stopped in staging`() throws {
    let stage = try RolloutStage()
    try stage.pack("v2", RolloutStage.instruments(), ["--binary", RolloutStage.apus])
    let file = try #require(FileHandle(forUpdatingAtPath: "\(stage.root)/v2/apus"))
    try file.seek(toOffset: 200_000)
    let byte = try #require(try file.read(upToCount: 1)?.first)
    try file.seek(toOffset: 200_000)
    try file.write(contentsOf: Data([byte ^ 4]))
    try file.close()
    try expectBack(stage, try stage.rollout("v2", try stage.plan()), "rejected", "damaged: apus was changed", at: "staging")
  }

  @Test func `limits that were swapped between instruments are stopped in staging`() throws {
    let stage = try RolloutStage()
    try stage.pack("v2", RolloutStage.instruments(bitcoinPosition: "5", ethereumPosition: "0.5"))
    try expectBack(
      stage, try stage.rollout("v2", try stage.plan()), "rejected", "BTC-PERPETUAL: max_position 0.5 → 5", "limits_may_rise",
      at: "staging")
  }

  @Test func `a program that is slower by a third is stopped in staging`() throws {
    let stage = try RolloutStage()
    // Something to repeat: a session of its own.
    usleep(8_000_000)
    stage.incumbent?.signal(SIGTERM)
    #expect(stage.incumbent?.wait() == 0)
    let recording = stage.room.file("recorded")
    try FileManager.default.copyItem(atPath: stage.room.file("data/journal"), toPath: recording)
    try stage.startIncumbent()
    try stage.packFault("slow", as: "v2")
    let plan = try stage.plan("staging: {recordings: \(recording), pairs: 20}")
    try expectBack(stage, try stage.rollout("v2", plan), "rejected", "slower: a replay takes", at: "staging")
  }

  // MARK: - Seen in the shadow

  @Test func `a skew of the wrong sign cannot be packed; a position that stays at its limit is stopped in the shadow`() throws {
    let stage = try RolloutStage(venue: ["--speed", "10"])
    let wrong = try stage.packer("v2", RolloutStage.instruments().replacing("skew_bps: 1.0", with: "skew_bps: -1.0"))
    #expect(wrong.wait() == 78 && wrong.err.contains("skew_bps"), "\(wrong.err)")
    // Two executions bring it there, and without a skew nothing brings it back soon.
    let small = RolloutStage.instruments(halfSpread: "0.4", bitcoinPosition: "0.04", ethereumPosition: "0.4")
    try stage.pack("v2", small.replacing("skew_bps: 1.0", with: "skew_bps: 0"))
    let plan = try stage.plan("shadow: {at_least_s: 90}", stops: "at_limit_s: 2")
    // At this speed a recorded market is over after half a minute.
    try expectBack(stage, try stage.rollout("v2", plan), "rejected", "in the shadow: a position of the candidate has been at its limit",
      at: "shadow", quotes: false)
  }

  @Test func `one that does not hear SIGTERM is stopped in the shadow, and one that crashes`() throws {
    let stage = try RolloutStage()
    try stage.packFault("deaf", as: "v2")
    let plan = try stage.plan("shadow: {at_least_s: 2}\npatience: {stop_s: 4}")
    let deaf = try stage.rollout("v2", plan)
    #expect(deaf.wait(seconds: 60) == 1)
    #expect(deaf.out.contains("rejected: the candidate did not end within 4 s of SIGTERM"), "\(deaf.out)")
    try stage.packFault("crash", as: "v3", after: 4)
    try expectBack(
      stage, try stage.rollout("v3", try stage.plan("shadow: {at_least_s: 20}")), "rejected",
      "the candidate ended in the shadow (signal 9", at: "shadow")
  }

  // MARK: - Seen while it trades

  @Test func `one that crashes is taken back, its orders are cancelled and verified from outside`() throws {
    let stage = try RolloutStage()
    try stage.packFault("crash", as: "v2", after: 5)
    let plan = try stage.plan(seconds: 20)
    try expectBack(stage, try stage.rollout("v2", plan), "rolled_back", "the candidate has ended (signal 9", at: "step 1")
  }

  /// A shadow that sees what it can, before anything trades.
  private static let shadow = "shadow: {at_least_s: 60}"

  @Test func `R35 one that stalls in the shadow never trades`() throws {
    let stage = try RolloutStage()
    try stage.packFault("stall", as: "v2", after: 5)
    try expectBack(
      stage, try stage.rollout("v2", try stage.plan(Self.shadow, heartbeat: 1000)), "rejected", "no sign of life", at: "shadow")
  }

  @Test func `R35 one that stalls while it trades is taken back, and killed for it does not answer`() throws {
    let stage = try RolloutStage()
    try stage.packFault("stall", as: "v2", after: 5)
    let plan = try stage.plan(seconds: 30, heartbeat: 1000)
    try expectBack(stage, try stage.rollout("v2", plan), "rolled_back", "no sign of life", at: "step 1")
  }

  @Test(arguments: [true, false]) func `one that leaks is stopped in the shadow, or taken back`(hasShadow: Bool) throws {
    let stage = try RolloutStage()
    try stage.packFault("leak", as: "v2")
    let plan = try stage.plan(seconds: 60, hasShadow ? Self.shadow : "")
    let (outcome, place) = hasShadow ? ("rejected", "shadow") : ("rolled_back", "step 1")
    try expectBack(stage, try stage.rollout("v2", plan), outcome, "gate memory", at: place)
  }

  @Test(arguments: [true, false])
  func `one whose orders are rejected in storms is stopped in the shadow, or taken back`(hasShadow: Bool) throws {
    let stage = try RolloutStage()
    // More than the venue takes in one order.
    let huge = RolloutStage.instruments(size: "3000", bitcoinPosition: "60000").replacing(
      "max_order: 0.1, max_notional: 20000", with: "max_order: 4000, max_notional: 900000000")
    try stage.pack("v2", huge)
    let more = "staging: {limits_may_rise: true}\npatience: {start_s: 8}\n" + (hasShadow ? Self.shadow : "")
    let plan = try stage.plan(seconds: 60, more)
    let (outcome, place) = hasShadow ? ("rejected", "shadow") : ("rolled_back", "step 1")
    try expectBack(stage, try stage.rollout("v2", plan), outcome, "did not quote within 8 s", at: place)
  }

  @Test func `one that does not hear SIGTERM is killed when it is taken back`() throws {
    let stage = try RolloutStage()
    try stage.packFault("deaf", as: "v2")
    let rollout = try stage.rollout("v2", try stage.plan(seconds: 60, "patience: {stop_s: 3}"))
    #expect(stage.wait { self.isAt(stage, "watch") })
    try stage.run("rollout", "abort", stage.root, "--why", "a drill")
    try expectBack(stage, rollout, "aborted", "aborted by", "a drill", at: "step 1")
  }

  // MARK: - By size, on accounts of their own

  @Test func `by size, both have their parts, and the incumbent is flat before the candidate has everything`() throws {
    let stage = try RolloutStage(venue: ["--speed", "5"], keys: ["K1", "K2"])
    try stage.pack("v2", RolloutStage.instruments(halfSpread: "1.1"), key: "K2")
    let rollout = try stage.rollout("v2", try stage.sizePlan())
    #expect(stage.wait { self.isAt(stage, "watch") }, "\(rollout.out)")
    // max_position 0.5 by halves.
    for data in ["data", "data-b"] { #expect(stage.lane(data)?.instruments[0].limit.rawValue == 250, "\(data)") }
    #expect(rollout.wait(seconds: 120) == 0, "\(rollout.out)\(rollout.err)")
    #expect(stage.current == "v2")
    try stage.expectEqualBooks("data-b", account: "A2")
  }

  @Test(arguments: [1, 2])
  func `by size, what a crashed candidate holds on its account is closed by the incumbent's program`(step: Int) throws {
    let stage = try RolloutStage(venue: ["--speed", "5"], keys: ["K1", "K2"])
    try stage.packFault("crash", as: "v2", after: step == 1 ? 6 : 10, key: "K2")
    let rollout = try stage.rollout("v2", try stage.sizePlan(seconds: step == 1 ? 30 : 3, last: 30))
    try expectBack(stage, rollout, "rolled_back", "the candidate has ended (signal 9", at: "step \(step)")
    #expect(rollout.out.contains("positions are closed by the other release's program"), "\(rollout.out)")
    #expect(!rollout.out.contains("close them at the venue"), "\(rollout.out)")
  }

  // MARK: - People, and the supervisor itself

  @Test func `a person pauses, promotes and ends it; a second failure is not tried again`() throws {
    let stage = try RolloutStage()
    try stage.packFault("crash", as: "v2", after: 4)
    for _ in 0..<2 {
      let rollout = try stage.rollout("v2", try stage.plan(seconds: 60))
      #expect(rollout.wait(seconds: 60) == 1, "\(rollout.out)")
    }
    let third = try stage.rollout("v2", try stage.plan())
    #expect(third.wait() == 77 && third.err.contains("has failed 2 times"), "\(third.err)")
    let overridden = try stage.rollout("v2", try stage.plan(seconds: 60), ["--override", "we want to see it"])
    #expect(overridden.wait(seconds: 60) == 1 && overridden.out.contains("OVERRIDDEN: v2 has failed 2 times"), "\(overridden.out)")
    #expect(try stage.report()["overridden"] as? String == "we want to see it")
    let audit = try String(contentsOfFile: "\(stage.root)/audit.jsonl", encoding: .utf8)
    #expect(audit.contains("\"what\":\"rollout\"") && audit.contains("we want to see it"), "\(audit)")

    try stage.pack("v3", RolloutStage.instruments(halfSpread: "1.2"))
    let rollout = try stage.rollout("v3", try stage.plan(seconds: 1))
    #expect(stage.wait { self.isAt(stage, "watch") })
    try stage.run("rollout", "pause", stage.root)
    #expect(rollout.waitFor("paused by"))
    let busy = try stage.run("rollout", "forget", stage.root, "--why", "test", code: 73)
    #expect(busy.err.contains("another supervisor is at work"), "\(busy.err)")
    // Both engines, each with its release.
    let top = try stage.run("top", "--once", "--config", "\(stage.root)/v1/config.yaml").out
    for release in ["release v1", "release v3"] { #expect(top.contains(release), "\(top)") }
    usleep(2_500_000)
    #expect(stage.lane("data-b")?.instruments[1].limit == .zero, "it went on")
    try expectPage(stage)
    try stage.run("rollout", "promote", stage.root)
    #expect(rollout.waitFor("step 2 of 2"), "\(rollout.out)")
    rollout.signal(SIGINT)
    #expect(rollout.wait(seconds: 60) == 1)
    #expect(rollout.out.contains("ended, aborted: aborted by"), "\(rollout.out)")
    let nobody = try stage.run("rollout", "pause", stage.root, code: 69)
    #expect(nobody.err.contains("no supervisor is at work"), "\(nobody.err)")
    try stage.expectEqualBooks()
  }

  /// The dashboard of the incumbent's monitor has both releases side by side.
  private func expectPage(_ stage: RolloutStage) throws {
    let monitor = try Program("apus", ["monitor", "--config", "\(stage.root)/v1/config.yaml", "--port", "0"])
    defer { monitor.signal(SIGTERM) }
    #expect(monitor.waitFor("/ and /metrics"), "\(monitor.err)")
    let address = try #require(monitor.out.firstMatch(of: /http:\/\/[0-9.:]+/)?.output)
    let script = "\(Places.pythonScripts)/rollout_page.py"
    let check = try Program("apus", [], shell: "exec python3 '\(script)' \(address) '\(stage.room.path)' '\(MonitorTests.pictures)'")
    #expect(check.wait(seconds: 120) == 0, "\(check.out)\(check.err)")
    print(check.out, terminator: "")
  }

  @Test func `a person's halt stops both engines, and what is given back stays halted until it is taken back`() throws {
    let stage = try RolloutStage()
    try stage.pack("v2", RolloutStage.instruments(halfSpread: "1.1"))
    let rollout = try stage.rollout("v2", try stage.plan(seconds: 60))
    #expect(stage.wait { self.isAt(stage, "watch") })
    let config = "\(stage.root)/v1/config.yaml"
    try stage.run("halt", "--config", config, "--cause", "a person")
    for data in ["data", "data-b"] { #expect(stage.lane(data)?.halt?.latchedLevel == .cancelAll || stage.lane(data) == nil, "\(data)") }
    #expect(rollout.wait(seconds: 60) == 1, "\(rollout.out)")
    #expect(rollout.out.contains("v1 has everything again, but does not quote"), "\(rollout.out)")
    #expect(stage.lane("data")?.instruments.allSatisfy { $0.ownBidLevels + $0.ownAskLevels == 0 } ?? false)
    let early = try stage.rollout("v2", try stage.plan())
    #expect(early.wait() == 77 && early.err.contains("the incumbent is halted (a person)"), "\(early.err)")
    try stage.run("resume", "--config", config)
    #expect(stage.wait { self.stage(stage, quotes: "data") })
    try stage.expectEqualBooks()
    // With nothing running, whichever is started next is halted.
    try stage.run("halt", "--config", config, code: 69)
    for data in ["data", "data-b"] {
      #expect(try TelemetryReader(path: stage.room.file("\(data)/telemetry")).snapshot().stop.level == .cancelAll, "\(data)")
    }
  }

  @Test func `a halt reaches an incumbent that is just being started again`() throws {
    let stage = try RolloutStage()
    try stage.pack("v2", RolloutStage.instruments(halfSpread: "1.1"))
    let rollout = try stage.rollout("v2", try stage.plan(seconds: 60))
    #expect(stage.wait { self.isAt(stage, "watch") })
    stage.incumbent?.signal(SIGKILL)
    #expect(stage.wait { (try? TelemetryReader(path: stage.room.file("data/telemetry")))?.isWriterAlive == false })
    let config = "\(stage.root)/v1/config.yaml"
    try stage.run("halt", "--config", config)
    #expect(rollout.wait(seconds: 60) == 1, "\(rollout.out)\(rollout.err)")
    #expect(rollout.out.contains("has everything again, but does not quote"), "\(rollout.out)")
    #expect(stage.lane("data")?.halt?.latchedLevel == .cancelAll)
    try stage.run("resume", "--config", config)
    #expect(stage.wait { self.stage(stage, quotes: "data") }, "it does not quote everything")
    try stage.expectEqualBooks()
  }

  @Test func `what a person changes before the first hand-over is not undone`() throws {
    let stage = try RolloutStage()
    try stage.pack("v2", RolloutStage.instruments(halfSpread: "1.1"))
    let rollout = try stage.rollout("v2", try stage.plan("shadow: {at_least_s: 60, messages: 5}"))
    #expect(stage.wait { self.isAt(stage, "shadow") })
    let text = try String(contentsOfFile: "\(stage.root)/v1/config.yaml", encoding: .utf8)
    try stage.room.write(text.replacing("max_position: 0.5", with: "max_position: 0.25"), to: "careful.yaml")
    try stage.run("apply", "--config", stage.room.file("careful.yaml"))
    let limit = stage.lane("data")?.instruments[0].limit
    try stage.run("rollout", "promote", stage.root)
    #expect(rollout.wait(seconds: 60) == 1, "\(rollout.out)\(rollout.err)")
    #expect(rollout.out.contains("was given other parameters") && rollout.out.contains("max_position"), "\(rollout.out)")
    #expect(stage.lane("data")?.instruments[0].limit == limit)
    let history = try String(contentsOfFile: "\(stage.root)/rollout/history.jsonl", encoding: .utf8)
    #expect(history.contains("\"isBlameless\":true"), "\(history)")
    try stage.expectEqualBooks()
  }

  private func stage(_ stage: RolloutStage, quotes data: String) -> Bool {
    stage.lane(data)?.instruments.allSatisfy { $0.ownBidLevels + $0.ownAskLevels > 0 } ?? false
  }

  @Test(arguments: [1, 2, 3])
  func `a supervisor that is killed again and again brings it to the same end`(seed: UInt64) throws {
    let stage = try RolloutStage()
    var random = SystemLike(seed: seed)
    let isGood = seed != 3
    if isGood { try stage.pack("v2", RolloutStage.instruments(halfSpread: "1.1")) } else { try stage.packFault("crash", as: "v2", after: 9) }
    let plan = try stage.plan(seconds: isGood ? 2 : 60)
    var kills = 0
    var code: Int32 = -1
    while kills < 12 {
      let rollout = try stage.rollout("v2", plan)
      let patience = Double(random.next() % 1500) / 1000
      if stage.wait(patience, until: { !rollout.isRunning }) {
        code = rollout.wait()
        break
      }
      rollout.signal(SIGKILL)
      _ = rollout.wait()
      kills += 1
    }
    if code < 0 { code = try stage.rollout("v2", plan).wait(seconds: 120) }
    #expect(kills > 2)
    #expect(code == (isGood ? 0 : 1))
    #expect(stage.current == (isGood ? "v2" : "v1"))
    #expect(try stage.report()["outcome"] as? String == (isGood ? "promoted" : "rolled_back"))
    try stage.expectEqualBooks(isGood ? "data-b" : "data")
  }

  @Test func `an incumbent that dies gets everything back when it has been started again`() throws {
    let stage = try RolloutStage()
    try stage.pack("v2", RolloutStage.instruments(halfSpread: "1.1"))
    let rollout = try stage.rollout("v2", try stage.plan(seconds: 60))
    #expect(stage.wait { self.isAt(stage, "watch") })
    stage.incumbent?.signal(SIGKILL)
    try expectBack(stage, rollout, "rolled_back", "the incumbent has ended", at: "step 1")
  }

  @Test func `a rollout whose candidate is gone is forgotten, once no engine of it runs`() throws {
    let stage = try RolloutStage()
    try stage.pack("v2", RolloutStage.instruments(halfSpread: "1.1"))
    let rollout = try stage.rollout("v2", try stage.plan(seconds: 60))
    #expect(stage.wait { self.isAt(stage, "watch") })
    rollout.signal(SIGKILL)
    _ = rollout.wait()
    try FileManager.default.removeItem(atPath: "\(stage.root)/v2")
    let again = try stage.rollout("v2", try stage.plan())
    #expect(again.wait() == 66 && again.err.contains("apus rollout forget"), "\(again.err)")
    let why = "the disk was cleaned"
    let running = try stage.run("rollout", "forget", stage.root, "--why", why, code: 73)
    #expect(running.err.contains("still runs") && running.err.contains("data-b"), "\(running.err)")
    let telemetry = stage.room.file("data-b/telemetry")
    try stage.run("halt", "--telemetry", telemetry, "--level", "flatten", "--yes")
    kill(pid_t(try TelemetryReader(path: telemetry).snapshot().processID), SIGTERM)
    #expect(stage.wait { (try? TelemetryReader(path: telemetry))?.isWriterAlive == false })
    let forgotten = try stage.run("rollout", "forget", stage.root, "--why", why)
    #expect(forgotten.out.contains("apus apply --config"), "\(forgotten.out)")
    #expect(try stage.run("rollout", "history", stage.root).out.contains(why))
    try stage.run("apply", "--config", "\(stage.root)/v1/config.yaml")
    #expect(stage.wait { self.stage(stage, quotes: "data") }, "it does not quote everything")
    try stage.expectEqualBooks()
  }

  @Test func `what does not fit is refused in one line, and nothing has changed`() throws {
    let stage = try RolloutStage()
    try stage.room.write("steps:\n  - {instruments: 1}\n", to: "part.yaml")
    let part = try stage.run("rollout", "check", stage.room.file("part.yaml"), code: 78)
    #expect(part.err.contains("must leave nothing to the incumbent"), "\(part.err)")
    #expect(try stage.run("rollout", "check", try stage.plan()).out.contains("step 2: instruments 100%"))
    let misspelt = try stage.run("rollout", "stauts", stage.root, code: 64)
    #expect(misspelt.err.contains("there is no apus rollout stauts") && misspelt.err.contains("status"), "\(misspelt.err)")
    let same = try stage.rollout("v1", try stage.plan())
    #expect(same.wait() == 64 && same.err.contains("is the current release already"), "\(same.err)")
    let none = try stage.rollout("v9", try stage.plan())
    #expect(none.wait() == 66, "\(none.err)")
    try stage.room.write("steps:\n  - {size: 0.5}\n  - {size: 1}\n", to: "size.yaml")
    try stage.pack("v2", RolloutStage.instruments(halfSpread: "1.1"))
    let size = try stage.rollout("v2", stage.room.file("size.yaml"))
    #expect(size.wait() == 64 && size.err.contains("a key or an account of its own"), "\(size.err)")
    try stage.pack("v3", RolloutStage.instruments(halfSpread: "1.1"), more: "underlyings: [{name: BTC, max_position: 1}]\n")
    let common = try stage.rollout("v3", try stage.plan())
    #expect(common.wait() == 64 && common.err.contains("a plan with one step"), "\(common.err)")
    #expect(try stage.run("rollout", "history", stage.root).out.contains("no rollout has ended"))
    try stage.run("rollout", "status", stage.root, code: 66)
    stage.incumbent?.signal(SIGTERM)
    #expect(stage.incumbent?.wait() == 0)
    let alone = try stage.rollout("v2", try stage.plan())
    #expect(alone.wait() == 69 && alone.err.contains("no engine runs"), "\(alone.err)")
  }

  /// SplitMix64.
  private struct SystemLike {
    var state: UInt64
    init(seed: UInt64) { state = seed &* 0x9E37_79B9_7F4A_7C15 }
    mutating func next() -> UInt64 {
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      return z ^ (z >> 31)
    }
  }
}
