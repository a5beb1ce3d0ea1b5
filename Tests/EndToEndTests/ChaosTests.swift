import Foundation
import Testing

/// `apus chaos` as a person runs it: engine and venue in two processes, on real sockets.
@Suite(.serialized) struct ChaosTests {
  @Test(arguments: ["connection-reset", "half-open-connection", "engine-killed"])
  func `R13 R14 R23 R58 a real engine comes through a fault with equal books and within its limit`(name: String) throws
  {
    let chaos = try Program("apus", ["chaos", "--scenario", name])
    #expect(chaos.wait(seconds: 120) == 0, "\(chaos.out) \(chaos.err)")
    #expect(chaos.out.contains("1 of 1 scenarios passed; at the end the books are equal in all"), "\(chaos.out)")
    #expect(chaos.out.contains("the stop is verified"))
    // The table's row.
    let row = chaos.out.split(separator: "\n").last { $0.hasPrefix(name) } ?? ""
    #expect(row.contains("passed") && row.contains("/200") && row.contains("equal"), "\(row)")
    if name == "engine-killed" { #expect(chaos.out.contains("the engine had 2 lives")) }
  }

  @Test func `Ctrl-C ends the chaos at any moment with the table`() throws {
    let chaos = try Program("apus", ["chaos"])
    #expect(chaos.waitFor("connection-reset:", seconds: 40), "\(chaos.out) \(chaos.err)")
    chaos.signal(SIGINT)
    #expect(chaos.wait(seconds: 60) == 0, "\(chaos.out) \(chaos.err)")
    #expect(chaos.out.contains("asked to end"))
    #expect(chaos.out.contains("the books are equal in all"), "\(chaos.out)")
    #expect(chaos.out.contains("the stop is verified"))
  }

  @Test func `the scenarios are listed with their requirements`() throws {
    let chaos = try Program("apus", ["chaos", "--list"])
    #expect(chaos.wait() == 0)
    #expect(chaos.out.contains("lost-acknowledgements  (R01, R04)"))
    #expect(chaos.out.split(separator: "\n").count { !$0.hasPrefix(" ") } >= 25)
  }

  @Test func `a scenario and a plan on virtual time end with a verdict, and a plan that fails with its replay`() throws
  {
    let good = try Program("apus", ["chaos", "--scenario", "lost-acknowledgements", "--virtual"])
    #expect(good.wait() == 0, "\(good.err)")
    #expect(good.out.contains("seed 1: passed; worst case"))

    // With a minute and a half from question to answer no session ever begins.
    let plan = "seed=3 latency=45s for=20s"
    let bad = try Program("apus", ["chaos", "--plan", plan])
    #expect(bad.wait(seconds: 120) == 1)
    #expect(bad.out.contains("FAILED") && bad.out.contains("plan: seed=3 "), "\(bad.out.suffix(800))")

    let few = try Program("apus", ["chaos", "--seeds", "3-4", "--jobs", "1"])
    #expect(few.wait() == 0, "\(few.out)")
    #expect(few.out.contains("2 of 2 seeds passed, 0 failed"))
  }

  @Test(arguments: [
    ["--scenario", "bad-luck"], ["--seeds", "5-1"], ["--seeds", "x"], ["--plan", "seed=1 | 2s+1s drop apples"],
    ["--minutes", "0"], ["--virtual"], ["--scenario", "clock-stepped"], ["--seeds", "1-2", "--jobs", "0"],
  ])
  func `wrong arguments are refused with a sentence`(arguments: [String]) throws {
    let chaos = try Program("apus", ["chaos"] + arguments)
    #expect(chaos.wait() == 64)
    #expect(chaos.err.contains("Error: "), "\(chaos.err)")
  }
}

/// The list of requirements in the docs.
@Suite struct RequirementsTests {
  private func run(_ arguments: [String]) throws -> (code: Int32, out: String, err: String) {
    let tool = try ChildProcess("/usr/bin/env", ["python3", "\(Places.package)/tools/requirements"] + arguments)
    let code = try tool.waitForExit(seconds: 60)
    return (code, tool.output, tool.errorOutput)
  }

  @Test func `the article about the requirements is what the names of the tests say`() throws {
    let result = try run(["--check"])
    #expect(result.code == 0, "\(result.err)")
  }

  @Test func `ids can be asked for, and one that does not exist is an error`() throws {
    let known = try run(["R08"])
    #expect(known.code == 0 && known.out.hasPrefix("R08  ") && known.out.contains("(LaneTests/"))
    let unknown = try run(["R99"])
    #expect(unknown.code == 64 && unknown.err.contains("R99"))
  }
}
