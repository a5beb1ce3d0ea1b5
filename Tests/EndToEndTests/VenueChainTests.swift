import Foundation
import Testing

@Suite(.timeLimit(.minutes(1))) struct VenueChainTests {
  @Test func `a chain of an impossible size is refused with what is allowed, and the help names the option`() throws {
    let refused = try ChildProcess(Places.apus(), ["venue", "--port", "0", "--chain", "2001"])
    #expect(try refused.waitForExit(seconds: 30) == 64)
    #expect(refused.errorOutput.contains("--chain must be a number of options from 0 to 2000, not 2001"))
    let help = try ChildProcess(Places.apus(), ["venue", "--help"])
    #expect(try help.waitForExit(seconds: 30) == 0)
    #expect(
      help.output.contains("--chain <n>") && help.output.contains("--mass-quote-cost")
        && help.output.contains("no margin is checked"))
  }

  @Test func `the largest chain is served and ended in order`() throws {
    let venue = try ChildProcess(Places.apus(), ["venue", "--port", "0", "--chain", "2000"])
    _ = try venue.line(startingWith: "listening on ws://127.0.0.1:", seconds: 40)
    venue.interrupt()
    #expect(try venue.waitForExit(seconds: 20) == 0)
  }
}
