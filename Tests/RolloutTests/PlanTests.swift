import Foundation
import Testing

@testable import Apus
@testable import ApusRollout

/// The plan of a rollout, from its file and from the state on disk.
@Suite struct PlanTests {
  private static let text = """
    staging: {recordings: "a, b", difference: new ladder, pairs: 7}
    shadow: {at_least_s: 5, fills: 3}
    steps:
      - {instruments: 1, at_least_s: 11, messages: 12, at_most_s: 13, hours: "22:00-02:30"}
      - {instruments: 50%}
      - {instruments: 100%, fills: 4}
    gates: {confidence: 0.95, slice_s: 2}
    stops: {max_loss: 100, alert: warn}
    patience: {stop_s: 9}
    """

  @Test func `every part of a plan is read, and survives the state on disk`() throws {
    let plan = try RolloutPlan.parse(Self.text)
    #expect(plan.steps[0].watch.atLeastSeconds == 11 && plan.steps[0].watch.atMostSeconds == 13)
    #expect(plan.shadow?.fills == 3 && plan.staging.pairs == 7 && plan.stops.alert == .warn && plan.patience.stop == 9)
    let again = try JSONDecoder().decode(RolloutPlan.self, from: JSONEncoder().encode(plan))
    #expect(again == plan)
  }

  @Test func `the article lists every key, with what holds without it`() throws {
    let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    let article = try String(
      contentsOf: root.appendingPathComponent("Sources/Apus/Apus.docc/Rollout.md"), encoding: .utf8)
    let list = try #require(article.split(separator: "All keys,").last?.split(separator: "```yaml\n")[1].split(separator: "```")[0])
    var keys: [any CodingKey] = []
    keys += RolloutPlan.StagingSection.CodingKeys.allCases as [any CodingKey]
    keys += RolloutPlan.WatchSection.CodingKeys.allCases as [any CodingKey]
    keys += RolloutPlan.GateSection.CodingKeys.allCases as [any CodingKey]
    keys += RolloutPlan.StopSection.CodingKeys.allCases as [any CodingKey]
    keys += RolloutPlan.PatienceSection.CodingKeys.allCases as [any CodingKey]
    for key in keys.map(\.stringValue) + ["instruments", "size", "hours"] { #expect(list.contains(" \(key): "), "\(key)") }
    let lines = list.split(separator: "\n").filter { !$0.contains(" size: ") && !$0.contains("recordings: ") && !$0.contains("difference: ") }
    let plan = try RolloutPlan.parse(lines.joined(separator: "\n"))
    let blank = RolloutPlan()
    #expect(plan.staging == blank.staging && plan.gates == blank.gates && plan.stops == blank.stops && plan.patience == blank.patience)
    #expect(plan.steps[0].watch == RolloutPlan.WatchSection() && plan.shadow == RolloutPlan.WatchSection())
  }

  @Test(arguments: [
    ("- {instruments: 100%, fills: 4}", "- {instruments: 3}", "the last step must leave nothing to the incumbent"),
    ("instruments: 50%", "instruments: 150%", "a number, a part such as 25%, or names"),
    ("instruments: 50%", "size: 0.5", "must have one kind"),
    ("instruments: 50%", "instruments: 50%, size: 0.5", "has both instruments and size"),
    ("at_most_s: 13", "at_most_s: 10", "must be at least at_least_s"),
    ("\"22:00-02:30\"", "\"22:00\"", "write 02:00-05:30"),
    ("confidence: 0.95", "confidance: 0.95", "did you mean confidence?"),
    ("stop_s: 9", "stop_s: 0", "raise it to 1 or more"),
  ])
  func `R51_ a mistake is named with what is allowed`(old: String, new: String, message: String) {
    #expect {
      _ = try RolloutPlan.parse(Self.text.replacing(old, with: new))
    } throws: {
      "\($0)".contains(message)
    }
  }

  @Test func `hours may reach over midnight`() throws {
    let hours = try #require(RolloutHours("22:00-02:30, 05:00-06:00"))
    func contains(_ hour: Int, _ minute: Int) -> Bool { hours.contain(wall: Int64(hour * 60 + minute) * 60_000_000_000) }
    #expect(contains(22, 0) && contains(23, 59) && contains(0, 0) && contains(2, 29) && contains(5, 30))
    #expect(!contains(21, 59) && !contains(2, 30) && !contains(6, 0))
  }

  @Test func `steps keep what the ones before gave, in the order of the configuration`() throws {
    let state = RolloutState(
      id: "1", candidate: "v2", checksum: "", incumbent: "v1", engineName: "e",
      slots: (EngineSlot(name: "b", dataDirectory: "b"), EngineSlot(name: "a", dataDirectory: "a")),
      plan: try RolloutPlan.parse(Self.text.replacing("instruments: 1,", with: "instruments: C,")),
      instruments: ["A", "B", "C", "D"], now: 0, wall: 0)
    func mine(_ step: Int) -> [String] { state.candidateShares(step).filter { $0.value == .one }.keys.sorted() }
    #expect(mine(-1) == [] && mine(0) == ["C"] && mine(1) == ["A", "C"] && mine(2) == ["A", "B", "C", "D"])
    for step in 0..<3 {
      let (own, other) = (state.candidateShares(step), state.incumbentShares(step))
      #expect(own.allSatisfy { other[$0.key].map { $0.e8 } == DecimalE8.one.e8 - $0.value.e8 })
    }
  }
}
