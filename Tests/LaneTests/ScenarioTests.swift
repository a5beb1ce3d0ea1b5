import Foundation
import Testing

@testable import Apus
@testable import ApusExchange

/// The named scenarios on virtual time, one test each: the ids in a test's name are the scenario's.
@Suite struct ScenarioTests {
  /// Runs a scenario with two seeds and asks the question at its end: do the engine's books equal the venue's, did
  /// exposure stay within the limit, and are there quotes again in time?
  ///
  /// - Parameter shows: what must have been seen on the way, so that the scenario has proven what it is named after.
  private func prove(
    _ name: String, seeds: ClosedRange<UInt64> = 1...2, function: String = #function,
    shows: (ChaosVerdict) -> Bool = { _ in true }
  ) throws {
    let scenario = try #require(FaultScenario.named(name))
    let ids = function.dropFirst(function.hasPrefix("`") ? 1 : 0).split(separator: " ").prefix { $0.first == "R" }
    #expect(ids.map(String.init) == scenario.requirements, "the ids of \(name)")
    for seed in seeds {
      var plan = scenario.plan
      plan.seed = seed
      let verdict = try ChaosRun.run(plan)
      // Hoisted: a failed expectation prints the parts of its expression, and these are long.
      let isPassed = verdict.isPassed
      #expect(isPassed, "\(name): \(verdict.account)")
      let isInTime = verdict.recovery.map { $0 <= scenario.recovery } ?? false
      #expect(isInTime, "\(name): \(verdict.account)")
      if let most = scenario.withoutOrders {
        let isQuick = verdict.timeWithoutOrders <= most
        #expect(isQuick, "\(name): nothing rested for \(verdict.timeWithoutOrders) ns, \(verdict.line)")
      }
      #expect(verdict.fills > 0)
      let isShown = shows(verdict)
      #expect(isShown, "\(name), seed \(seed): \(verdict.counters) \(verdict.tracker) \(verdict.sent)")
      // A fault that struck nothing proves nothing.
      if scenario.plan.faults.contains(where: { $0.fault.isAboutFrames }) { #expect(verdict.struck > 0) }
    }
  }

  @Test func `R01 R04 orders whose acknowledgements are lost are unknown, not dead`() throws {
    try prove("lost-acknowledgements") { $0.tracker.timeouts > 0 }
  }
  @Test func `R01 R03 requests that are lost on their way are found to be absent`() throws {
    try prove("lost-requests") { $0.tracker.timeouts > 0 }
  }
  @Test func `R06 R23 executions that no feed tells are found by asking`() throws { try prove("lost-fills") }
  @Test func `R06 R56 executions that are told after the position that shows them count once`() throws {
    try prove("fills-told-after-the-position", seeds: 1...3) { $0.adjustments == 0 }
  }
  @Test func `R02 R56 a position that lags behind is no reason to take it over`() throws {
    try prove("lagging-positions") { $0.adjustments == 0 }
  }
  @Test func `R06 executions that are told twice count once`() throws {
    try prove("fills-told-twice") { $0.tracker.duplicateFills > $0.fills }
  }
  @Test func `R01 R19 answers that come 50 s late double nothing and re-open nothing`() throws {
    try prove("answers-after-50-s")
  }
  @Test func `R09 replies and notifications may change places`() throws { try prove("reply-and-notification-swapped") }
  @Test func `R02 R08 private messages may come out of order`() throws { try prove("private-messages-out-of-order") }
  @Test func `R05 damaged private messages are refused at the edge and asked for`() throws {
    try prove("corrupt-private-messages") { $0.counters.edgeRefusals > 10 }
  }
  @Test func `R28 a damaged book message makes the book invalid, and it is fetched anew`() throws {
    try prove("corrupt-books") { $0.counters.edgeRefusals > 0 && $0.reconnects > 0 }
  }
  @Test func `R20 R62 answers to queries that are lost or late are asked for again`() throws {
    try prove("lost-and-late-answers-to-queries")
  }
  @Test func `R23 R25 after a reset the venue is asked before quoting resumes`() throws {
    try prove("connection-reset") { $0.reconnects == 3 && $0.timeWithoutOrders > 1_000_000_000 }
  }
  @Test func `R14 R23 orders of a half-open connection are found and cancelled`() throws {
    try prove("half-open-connection") { $0.reconnects == 2 }
  }
  @Test func `R15 R29 in silence quotes are pulled, and the dead-man timer ends the orders`() throws {
    try prove("silence") { $0.deadMen == 1 && $0.timeWithoutOrders > 3_000_000_000 }
  }
  @Test func `R33 R29 a burst after a stall of reads is worked off`() throws { try prove("stalled-reads") }
  @Test func `R01 R08 requests that pile up on their way stay within the limit`() throws { try prove("stalled-writes") }
  @Test func `R25 a venue that cannot be reached is tried again until it can`() throws {
    try prove("unreachable") { $0.reconnects == 1 && $0.timeWithoutOrders >= 6_000_000_000 }
  }
  @Test func `R32 R64 after a change of tick size every price lies on the new grid`() throws {
    try prove("tick-size-changed")
  }
  @Test func `R29 R32 the quotes of a halted instrument are pulled, and come back`() throws {
    try prove("instrument-halted") { $0.sent(.cancels) >= 5 }
  }
  @Test func `R32 an expired instrument is not quoted, the others are`() throws {
    try prove("instrument-expired") { $0.aboutExpired <= 4 }
  }
  @Test func `R32 R62 an expired instrument does not keep the others from quoting after a reconnect`() throws {
    try prove("reconnect-after-expiry") { $0.aboutExpired <= 4 && $0.reconnects == 1 }
  }
  @Test func `R39 R40 a throttled venue gets no flood, and quoting resumes`() throws {
    try prove("throttled") { $0.counters.throttled > 0 && $0.counters.throttled < 40 && $0.sent(.changes) < 120 }
  }
  @Test func `R25 R62 refused logins are tried again`() throws {
    try prove("logins-refused") { (3...20).contains($0.sent(.logins)) }
  }
  @Test func `R48 R62 a wrong wall clock ends with the clock, not with the engine`() throws {
    try prove("clock-stepped") { (3...20).contains($0.sent(.logins)) }
  }
  @Test func `R14 R23 orders that outlive the venue's restart are found and cancelled`() throws {
    try prove("restart-with-book")
  }
  @Test func `R04 R23 orders that a restart has lost are proven absent`() throws { try prove("restart-without-book") }
  @Test func `R23 R25 before an announced closure the lane moves over, with no order unknown`() throws {
    try prove("planned-closure", seeds: 1...6) {
      $0.moves == 1 && $0.reconnects == 0 && $0.counters.gaps == 0 && $0.tracker.timeouts == 0 && $0.adjustments == 0
        && $0.counters.rejects == 0
    }
  }
  @Test func `R25 R62 where the second login is refused the lane quotes on, and reconnects as ever`() throws {
    try prove("planned-closure-second-login-refused") {
      $0.moves == 0 && $0.reconnects >= 1 && (4...30).contains($0.sent(.logins))
    }
  }
  @Test func `R23 R62 a closure that comes early is a lost connection`() throws {
    try prove("planned-closure-comes-early") { $0.moves == 0 && $0.reconnects == 1 && $0.counters.gaps == 1 }
  }
  @Test func `R13 R17 R56 a killed engine asks the venue before it quotes again`() throws { try prove("engine-killed") }
  @Test func `R01 R04 errors that prove nothing leave orders unknown`() throws {
    try prove("refusals-that-prove-nothing") { $0.counters.rejects > 10 }
  }
  @Test func `R12 refused cancels escalate`() throws {
    try prove("cancels-refused") { $0.sent(.massCancels) >= 1 && $0.sent(.cancels) < 100 && $0.reconnects >= 1 }
  }
  @Test func `R44 R62 refused orders make no flood, and quoting comes back`() throws {
    try prove("orders-refused") { (3..<60).contains($0.counters.rejects) }
  }
  @Test func `R07 R08 R58 everything at once stays within the limit`() throws { try prove("everything-at-once") }

  @Test func `every scenario is proven by a test of this file`() throws {
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
    for scenario in FaultScenario.all {
      #expect(source.contains("prove(\"\(scenario.name)\""), "\(scenario.name) has no test")
    }
    #expect(Set(FaultScenario.all.map(\.name)).count == FaultScenario.all.count)
  }
}

/// Random mixtures of faults by seed; `tools/seeds` runs thousands.
@Suite struct SeedTests {
  @Test(arguments: 1...50 as ClosedRange<UInt64>)
  func `R08 R58 whatever a seed mixes, exposure stays within the limit and the books are equal`(seed: UInt64) throws {
    let verdict = try ChaosRun.run(FaultPlan.random(seed: seed))
    let isPassed = verdict.isPassed
    #expect(isPassed, "\(verdict.account)")
  }

  @Test func `the mixtures hold several instruments, all ladders, both orders of notification, every kind of fault`() {
    let plans = (1...400 as ClosedRange<UInt64>).map { FaultPlan.random(seed: $0) }
    #expect(Set(plans.map(\.instruments.count)) == [1, 2, 3])
    #expect(Set(plans.map(\.levels)) == [1, 3, 8])
    #expect(Set(plans.map(\.notifiesBeforeReply)) == [true, false])
    let words = Set(plans.flatMap(\.faults).map { $0.fault.text.prefix { $0 != " " } })
    let expected = [
      "drop", "delay", "duplicate", "reorder", "corrupt", "refuse", "mask", "reset", "abandon", "silence",
      "stall-reads", "stall-writes", "unreachable", "halt", "throttle", "refuse-logins", "restart", "crash", "crash-in-turn", "tick",
      "expire", "clock-step", "closure",
    ]
    let closures = plans.count { $0.faults.contains { $0.fault == .closure } }
    #expect((40...100).contains(closures), "\(closures) plans of 400 have an announced closure")
    for word in expected { #expect(words.contains(word[...]), "\(word)") }
  }

  @Test func `R50 the same plan gives the same run`() throws {
    let plan = FaultPlan.random(seed: 77)
    var first: [String] = []
    var second: [String] = []
    _ = try ChaosRun.run(plan) { first.append("\($0) \($1)") }
    _ = try ChaosRun.run(FaultPlan(text: plan.text)) { second.append("\($0) \($1)") }
    #expect(first.count > 1000)
    #expect(first == second)
  }
}
