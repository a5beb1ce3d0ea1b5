import CSupport
import Testing

@testable import Apus

/// The table in the documentation of `ProtectionGroup`, cell by cell.
@Suite struct ProtectionGroupTests {
  private typealias Group = ProtectionGroup
  private static let events: [ProtectionGroup.Event] = [
    .asked, .set, .refused, .refill, .executed(remaining: QtyLots(rawValue: 1)), .executed(remaining: .zero), .removed,
    .quoteRefused,
  ]
  /// Next states in the order of `events`.
  private static let table: [ProtectionGroup.State: [ProtectionGroup.State]] = [
    .unset: [.setting, .unset, .unset, .armed, .unset, .exhausted, .unset, .unset],
    .setting: [.setting, .armed, .unset, .armed, .setting, .exhausted, .unset, .setting],
    .armed: [.armed, .armed, .armed, .armed, .armed, .exhausted, .unset, .exhausted],
    .exhausted: [.setting, .exhausted, .exhausted, .armed, .exhausted, .exhausted, .unset, .exhausted],
  ]

  private func group(in state: ProtectionGroup.State) -> ProtectionGroup {
    var group = ProtectionGroup()
    switch state {
    case .unset: break
    case .setting: group.note(.asked, now: 1)
    case .armed: group.note(.refill, now: 1)
    case .exhausted: group.note(.executed(remaining: .zero), now: 1)
    }
    return group
  }

  @Test(arguments: ProtectionGroup.State.allCases)
  func `every event leads to the state that the table says`(state: ProtectionGroup.State) throws {
    let row = try #require(Self.table[state])
    for (event, expected) in zip(Self.events, row) {
      var group = group(in: state)
      #expect(group.state == state)
      group.note(event, now: 5)
      #expect(group.state == expected, "\(state), \(event)")
      #expect(group.since == (expected == state ? group.since : 5))
    }
  }

  @Test func `an overshoot is kept, hits are counted once`() {
    var group = group(in: .armed)
    group.note(.executed(remaining: QtyLots(rawValue: -7)), now: 2)
    group.note(.executed(remaining: QtyLots(rawValue: -9)), now: 3)
    #expect(group.remaining.rawValue == -9)
    #expect(group.hits == 1)
    #expect(group.since == 2)
  }
}
