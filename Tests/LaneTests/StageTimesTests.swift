import Testing

@testable import Apus

@Suite struct StageTimesTests {
  private func times(_ stages: borrowing StageTimes) -> [Nanoseconds] { [stages[.receive], stages[.decode], stages[.decide], stages[.risk], stages[.encode]] }

  @Test func `one turn in sixteen is timed, the first among them`() {
    let stages = StageTimes()
    var timed: [Int] = []
    for turn in 0..<50 {
      stages.begin(Nanoseconds(turn))
      if stages.isOn { timed.append(turn) }
      stages.finish()
    }
    #expect(timed == [0, 16, 32, 48])
  }

  @Test func `each part of a turn belongs to the stage that ends it, and the stages add up to the turn`() {
    let stages = StageTimes()
    stages.begin(1000)
    stages.note(.receive, 1010)
    stages.note(.decode, 1100)
    // A second frame of the same turn.
    stages.note(.receive, 1115)
    stages.note(.decode, 1150)
    for order in 0..<2 {
      let begin = 1150 + Nanoseconds(order) * 100
      stages.note(.decide, begin + 40)
      stages.note(.risk, begin + 60)
      stages.note(.encode, begin + 100)
    }
    stages.note(.decide, 1360)
    let spent = times(stages)
    #expect(spent == [25, 125, 90, 40, 80])
    #expect(spent.reduce(0, +) == 360)
  }

  @Test func `the next timed turn begins at nothing`() {
    let stages = StageTimes()
    stages.begin(0)
    stages.note(.encode, 500)
    stages.finish()
    for turn in 1...16 { stages.begin(Nanoseconds(turn) * 1000) }
    let isOn = stages.isOn
    stages.note(.receive, 16_004)
    let spent = times(stages)
    #expect(isOn && spent == [4, 0, 0, 0, 0])
  }

  @Test func `until a turn begins nothing is timed`() {
    let stages = StageTimes()
    for stage in TickStage.allCases { stages.end(stage) }
    let (isOn, spent) = (stages.isOn, times(stages))
    #expect(!isOn && spent == [0, 0, 0, 0, 0])
  }
}
