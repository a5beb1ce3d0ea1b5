import TestSupport
import Testing

@testable import Apus

/// A fair value by hand-computed examples, and what no venue can do to it.
@Suite struct FairValueTests {
  private static let unit: Int64 = 100_000_000
  private static let ms: Nanoseconds = 1_000_000

  private static func settings(_ change: (inout FairValue.Settings) -> Void = { _ in }) -> FairValue.Settings {
    var settings = FairValue.Settings()
    settings.warmUp = 1
    change(&settings)
    return settings
  }

  private static func top(
    _ bid: Int64, _ ask: Int64, sizes: (Int64, Int64) = (1, 1), at time: Nanoseconds
  ) -> FairValue.Top {
    FairValue.Top(
      bidE8: bid * unit, askE8: ask * unit, bidSizeE8: sizes.0 * unit, askSizeE8: sizes.1 * unit, time: time)
  }

  // MARK: - By hand

  @Test func `one venue is worth its own mid, or its mid moved to the thin side`() {
    var mid = FairValue(Self.settings(), count: 1)
    mid.note(Self.top(100, 104, sizes: (3, 1), at: 0), from: 0)
    mid.turn(now: 0)
    #expect(mid.valuesE8 == [102 * Self.unit] && mid.version == 1)
    var micro = FairValue(Self.settings { $0.price = .micro }, count: 1)
    // Three quarters of the sizes are bids: three quarters of the way to the ask.
    micro.note(Self.top(100, 104, sizes: (3, 1), at: 0), from: 0)
    micro.turn(now: 0)
    #expect(micro.valuesE8 == [103 * Self.unit])
  }

  @Test func `a basis between two venues is in each one's value, and their common move in both`() {
    var fair = FairValue(Self.settings(), count: 2)
    fair.note(Self.top(999, 1001, at: 0), from: 0)
    fair.note(Self.top(1004, 1006, at: 0), from: 1)
    fair.turn(now: 0)
    #expect(fair.basisE8(of: 1, over: 0) == 5 * Self.unit && fair.basisE8(of: 0, over: 1) == -5 * Self.unit)
    #expect(fair.valuesE8 == [1000 * Self.unit, 1005 * Self.unit])
    // Only one moves by 1, within the same sample: the same weights, so both values move by a half.
    fair.note(Self.top(1000, 1002, at: 1), from: 0)
    fair.note(Self.top(1004, 1006, at: 1), from: 1)
    fair.turn(now: 1)
    #expect(fair.valuesE8 == [1000 * Self.unit + Self.unit / 2, 1005 * Self.unit + Self.unit / 2])
  }

  @Test func `a top that is older by a half-life counts half, one with four times the depth four times`() {
    var fair = FairValue(Self.settings { $0.halfLife = 100 * Self.ms }, count: 2)
    fair.note(Self.top(999, 1001, at: 0), from: 0)
    fair.note(Self.top(999, 1001, at: 0), from: 1)
    fair.turn(now: 0)
    // 1000 with weight 1/2, 1001 with weight 1, without another sample: (500 + 1001) / 1.5.
    fair.note(Self.top(1000, 1002, at: 10 * Self.ms), from: 1)
    fair.turn(now: 10 * Self.ms)
    var old = FairValue(Self.settings { $0.halfLife = 10 * Self.ms }, count: 2)
    old.note(Self.top(999, 1001, at: 0), from: 0)
    old.note(Self.top(999, 1001, at: 0), from: 1)
    old.turn(now: 0)
    old.note(Self.top(1000, 1002, at: 10 * Self.ms), from: 1)
    old.turn(now: 10 * Self.ms)
    #expect(old.valuesE8[0] == 100_066_666_667)
    #expect(fair.valuesE8[0] < old.valuesE8[0] && fair.valuesE8[0] > 100_050_000_000)

    var deep = FairValue(Self.settings(), count: 3)
    for venue in 0..<3 { deep.note(Self.top(999, 1001, at: 0), from: venue) }
    deep.turn(now: 0)
    // Weights 1, 1 and 4: 1000, 1000 and 1001.5 give 1001.
    deep.note(Self.top(1000, 1003, sizes: (400, 500), at: 0), from: 2)
    deep.turn(now: 1)
    #expect(deep.valuesE8[0] == 1001 * Self.unit)
  }

  @Test func `the median decides who is believed, and a majority has to agree`() {
    // 20 basis points of 1000 are 2.
    var fair = FairValue(Self.settings(), count: 3)
    for venue in 0..<3 { fair.note(Self.top(999, 1001, at: 0), from: venue) }
    fair.turn(now: 0)
    fair.note(Self.top(1999, 2001, at: 1), from: 2)
    fair.turn(now: 1)
    #expect(fair.valuesE8[0] == 1000 * Self.unit && fair.valuesE8[1] == 1000 * Self.unit)
    // The mad one's own price, by the others: where they are.
    #expect(fair.valuesE8[2] == 1000 * Self.unit)
    fair.note(Self.top(499, 501, at: 2), from: 1)
    fair.turn(now: 2)
    #expect(fair.valuesE8 == [0, 0, 0])
  }

  @Test func `of two venues that disagree neither is believed, until one of them is silent`() {
    var fair = FairValue(Self.settings { $0.staleAfter = 100 * Self.ms }, count: 2)
    for venue in 0..<2 { fair.note(Self.top(999, 1001, at: 0), from: venue) }
    fair.turn(now: 0)
    fair.note(Self.top(1003, 1005, at: 1), from: 1)
    fair.turn(now: 1)
    #expect(fair.valuesE8 == [0, 0])
    let version = fair.version
    fair.note(Self.top(1003, 1005, at: 101 * Self.ms), from: 1)
    fair.turn(now: 101 * Self.ms)
    #expect(fair.valuesE8.allSatisfy { $0 > 1003 * Self.unit } && fair.version == version + 1)
  }

  @Test func `without a market, or when it is crossed, a venue says nothing`() {
    var fair = FairValue(Self.settings(), count: 2)
    fair.note(Self.top(999, 1001, at: 0), from: 0)
    fair.note(Self.top(1002, 1000, at: 0), from: 1)
    fair.turn(now: 0)
    #expect(fair.valuesE8 == [1000 * Self.unit, 0] && fair.freshTop(of: 1) == nil)
    fair.note(nil, from: 0)
    fair.turn(now: 1)
    #expect(fair.valuesE8 == [0, 0])
  }

  // MARK: - What holds always

  /// A walk that all venues follow, each with a premium and noise of its own.
  private struct Walk {
    var random: SplitMix
    var price: Int64 = 50_000
    let premiums: [Int64]

    init(seed: UInt64, venues: Int) {
      random = SplitMix(seed: seed)
      premiums = (0..<venues).map { Int64($0) * 13 - 7 }
    }

    mutating func next(_ venue: Int, _ time: Nanoseconds) -> FairValue.Top {
      let middle = (price + premiums[venue]) * unit + Int64.random(in: -unit...unit, using: &random)
      let half = Int64.random(in: unit / 2...2 * unit, using: &random)
      return FairValue.Top(
        bidE8: middle - half, askE8: middle + half, bidSizeE8: .random(in: 1...50 * unit, using: &random),
        askSizeE8: .random(in: 1...50 * unit, using: &random), time: time)
    }
    mutating func step() { price += .random(in: -3...3, using: &random) }
  }

  @Test(arguments: [UInt64(1), 2, 3, 4, 5])
  func `a mad venue moves nothing beyond the bound, however mad`(seed: UInt64) {
    var walk = Walk(seed: seed, venues: 4)
    var fair = FairValue(FairValue.Settings(), count: 4)
    var worst: Int64 = 0
    for turn in 0..<4000 {
      let now = Nanoseconds(turn) * 10 * Self.ms
      walk.step()
      for venue in 0..<4 {
        var top = walk.next(venue, now)
        if venue == 3, turn > 1000 {
          let mad = Int64.random(in: 1...1_000_000, using: &walk.random) * Self.unit
          top.bidE8 = mad
          top.askE8 = mad + Self.unit
          top.bidSizeE8 = 1_000_000 * Self.unit
          top.askSizeE8 = 1_000_000 * Self.unit
        }
        fair.note(top, from: venue)
      }
      fair.turn(now: now)
      guard turn > 1000 else { continue }
      for venue in 0..<3 {
        worst = max(worst, abs(fair.valuesE8[venue] - (walk.price + walk.premiums[venue]) * Self.unit))
      }
    }
    // 20 basis points of 50,000 are 100; the sane three are within 3 of the walk.
    #expect(worst <= 103 * Self.unit)
  }

  @Test(arguments: [UInt64(6), 7, 8])
  func `a silent venue counts less and less, and then not at all`(seed: UInt64) {
    var walk = Walk(seed: seed, venues: 3)
    var fair = FairValue(FairValue.Settings(), count: 3)
    for turn in 0..<2000 {
      let now = Nanoseconds(turn) * 10 * Self.ms
      walk.step()
      // The third one stops at turn 1000.
      for venue in 0..<3 where venue < 2 || turn < 1000 { fair.note(walk.next(venue, now), from: venue) }
      fair.turn(now: now)
      guard turn > 1300 else { continue }
      #expect(fair.freshTop(of: 2) == nil)
      // What it would be worth by the others.
      #expect(abs(fair.valuesE8[2] - (walk.price + walk.premiums[2]) * Self.unit) <= 4 * Self.unit)
    }
  }

  @Test(arguments: [UInt64(9), 10, 11, 12])
  func `the order of tops of one time does not matter, and the value lies among those believed`(seed: UInt64) {
    var walk = Walk(seed: seed, venues: 5)
    var forward = FairValue(FairValue.Settings(), count: 5)
    var shuffled = forward
    for turn in 0..<1500 {
      let now = Nanoseconds(turn) * 7 * Self.ms
      walk.step()
      var tops = (0..<5).filter { _ in Bool.random(using: &walk.random) }.map { ($0, walk.next($0, now)) }
      for (venue, top) in tops { forward.note(top, from: venue) }
      tops.shuffle(using: &walk.random)
      for (venue, top) in tops { shuffled.note(top, from: venue) }
      forward.turn(now: now)
      shuffled.turn(now: now)
      #expect(forward.valuesE8 == shuffled.valuesE8)
      for venue in 0..<5 where forward.valuesE8[venue] != 0 {
        let said = (0..<5).compactMap { other -> Int64? in
          guard let top = forward.freshTop(of: other), let basis = forward.basisE8(of: venue, over: other) else {
            return nil
          }
          return top.priceE8(.mid)! + basis
        }
        #expect(forward.valuesE8[venue] >= said.min()! && forward.valuesE8[venue] <= said.max()!)
      }
    }
  }

  @Test func `the venue that moves first leads, and its moves weigh more`() {
    var random = SplitMix(seed: 13)
    var fair = FairValue(Self.settings { $0.basisHalfLife = 10_000 * Self.ms }, count: 2)
    var price: Int64 = 50_000 * Self.unit
    var before = price
    for turn in 0..<3000 {
      let now = Nanoseconds(turn) * 20 * Self.ms
      // The second venue does what the first did one sample ago.
      for (venue, middle) in [price, before].enumerated() {
        fair.note(
          FairValue.Top(
            bidE8: middle - Self.unit, askE8: middle + Self.unit, bidSizeE8: Self.unit, askSizeE8: Self.unit, time: now),
          from: venue)
      }
      fair.turn(now: now)
      before = price
      price += .random(in: -2 * Self.unit...2 * Self.unit, using: &random)
    }
    #expect(fair.lead(of: 0) > 0.8 && fair.lead(of: 1) < -0.8)
    // The leader moves alone: the value follows it by much more than a half.
    let now = Nanoseconds(3000) * 20 * Self.ms + 1
    let value = fair.valuesE8[1]
    let jump = 10 * Self.unit
    for (venue, middle) in [price + jump, before].enumerated() {
      fair.note(
        FairValue.Top(
          bidE8: middle - Self.unit, askE8: middle + Self.unit, bidSizeE8: Self.unit, askSizeE8: Self.unit, time: now),
        from: venue)
    }
    fair.turn(now: now)
    #expect(fair.valuesE8[1] - value > 8 * jump / 10)
  }

  @Test func `an older top than the last one is left aside`() {
    var fair = FairValue(Self.settings(), count: 1)
    fair.note(Self.top(99, 101, at: 10), from: 0)
    fair.note(Self.top(199, 201, at: 9), from: 0)
    fair.turn(now: 10)
    #expect(fair.valuesE8 == [100 * Self.unit] && fair.time == 10)
  }
}
