import CSupport
import Foundation
import Glibc
import Testing

@testable import Apus
@testable import ApusExchange

@Suite struct LaneRequirementTests {
  @Test func `R03 every amend and every cancel names the order by our own client order id alone`() throws {
    let world = try LaneWorld(seed: 12)
    world.recordsRequests = true
    try world.run(for: 20_000_000_000)
    // A directive that forbids quoting makes the lane cancel one by one.
    world.pullQuotes()
    try world.run(for: 1_000_000_000)
    let changes = world.requests.filter { $0.contains("\"private/amend\"") || $0.contains("\"private/cancel\"") }
    #expect(changes.contains { $0.contains("private/amend") } && changes.contains { $0.contains("private/cancel\"") })
    for request in changes {
      #expect(request.contains("\"client_order_id\":"))
      #expect(!request.contains("\"order_id\""))
    }
    #expect(world.books?.openOrders.isEmpty == true)
  }

  @Test func `R11 a stop before the venue could be asked ends at once, and does not claim to be verified`() throws {
    let world = try LaneWorld(seed: 2)
    world.isUnreachable = true
    try world.run(for: 100_000_000)
    world.requestStop()
    let stopped = try world.run(limit: 1_000_000_000, until: { $0.lane.isStopped })
    #expect(stopped)
    #expect(!world.lane.stop.isVerified)
  }

  @Test func `R37 an event leads to orders at once: no timer is needed`() throws {
    var quiet = try Quiet()
    quiet.holdsAnswers = true
    let before = quiet.lane.outputCount
    // Nothing but bytes goes in; `tick` is not called.
    quiet.book(bids: "[99990,0,0],[99950,1,1]", asks: "[100010,0,0],[99970,1,1]")
    #expect(quiet.lane.outputCount > before)
  }

  @Test func `R36 the memory in use is the same before and after thousands of ticks, orders and fills`() async {
    await #expect(processExitsWith: .success) {
      var quiet = try Quiet()
      func move(_ quiet: inout Quiet, _ step: Int) {
        let bid = 99_990 - (step % 7) * 3
        quiet.market(mark: 100_000 - (step % 5))
        quiet.book(bids: "[\(bid),\(1 + step % 3),1]", asks: "[\(bid + 20),\(1 + step % 2),1]")
        quiet.book(bids: "[\(bid),0,0]", asks: "[\(bid + 20),0,0]")
      }
      for step in 0..<2000 { move(&quiet, step) }
      quiet.forgetRequests()
      let before = apus_heap_in_use()
      for step in 0..<8000 { move(&quiet, step) }
      quiet.forgetRequests()
      let after = apus_heap_in_use()
      // The test's own texts come and go; the lane may not keep a byte per tick.
      if after > before + 4096 {
        FileHandle.standardError.write(Data("\(before) bytes in use before, \(after) after\n".utf8))
        exit(1)
      }
    }
  }
}
