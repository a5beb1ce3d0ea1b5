import Testing

@testable import ApusRollout

/// The bets behind the gates.
@Suite struct EvidenceTests {
  @Test func `few observations cannot prove much, many of one kind do`() {
    var evidence = SignEvidence()
    for _ in 0..<3 { evidence.note(isWorse: true) }
    #expect(evidence.wealth < 6)
    for _ in 0..<12 { evidence.note(isWorse: true) }
    #expect(evidence.wealth > 2000)
    #expect(evidence.text == "worse in 15 of 15")
  }

  /// By hand: after one worse slice the stakes have become 1.2, 1.5 and 1.8; after a better one too 0.96, 0.75 and 0.36.
  @Test func `the wealth is what three bettors have who stake a part of theirs each time`() {
    var evidence = SignEvidence()
    evidence.note(isWorse: true)
    #expect(abs(evidence.wealth - 1.5) < 1e-12)
    evidence.note(isWorse: false)
    #expect(abs(evidence.wealth - (0.96 + 0.75 + 0.36) / 3) < 1e-12)
  }

  /// Ville: with fair observations the wealth passes 20 at any time in no more than one of twenty runs, however long.
  @Test func `a candidate that is no worse is taken back as seldom as promised, looked at after every slice`() {
    var random = SplitMix(seed: 7)
    var breaches = (sign: 0, count: 0)
    let runs = 2000
    for _ in 0..<runs {
      var sign = SignEvidence()
      var count = CountEvidence()
      var hasBreached = (sign: false, count: false)
      for _ in 0..<300 {
        sign.note(isWorse: random.next() & 1 == 0)
        // Twice the exposure and equal rates.
        count.note(
          candidate: random.below(100) < 20 ? 1 : 0, incumbent: random.below(100) < 10 ? 1 : 0, exposure: (2, 1), allowed: 1)
        hasBreached.sign = hasBreached.sign || sign.wealth >= 20
        hasBreached.count = hasBreached.count || count.wealth >= 20
      }
      breaches.sign += hasBreached.sign ? 1 : 0
      breaches.count += hasBreached.count ? 1 : 0
    }
    #expect(breaches.sign <= runs / 20 && breaches.sign > 0, "\(breaches)")
    #expect(breaches.count <= runs / 20 && breaches.count > 0, "\(breaches)")
  }

  @Test func `rates are compared by what they are counted of`() {
    var same = CountEvidence()
    var more = CountEvidence()
    for _ in 0..<30 {
      // A tenth of the requests, a tenth of the rejects.
      same.note(candidate: 1, incumbent: 10, exposure: (100, 1000), allowed: 2)
      more.note(candidate: 10, incumbent: 10, exposure: (100, 1000), allowed: 2)
    }
    #expect(same.wealth < 1)
    #expect(more.wealth > 1000)
    #expect(more.text == "300 against 300, at 30 times")
    var alone = CountEvidence()
    alone.note(candidate: 5, incumbent: 0, exposure: (100, 0), allowed: 2)
    #expect(alone.wealth == 1 && alone.candidate == 0, "without the incumbent there is nothing to compare with")
  }

  /// Whole bursts go to one engine, as often as its part of the requests is; nothing is allowed beyond that.
  @Test(arguments: [(1, 1), (1, 9), (9, 1)] as [(UInt64, UInt64)])
  func `events in bursts are not taken for many observations`(parts: (own: UInt64, other: UInt64)) {
    var random = SplitMix(seed: 5)
    var breaches = 0
    let runs = 2000
    for _ in 0..<runs {
      var count = CountEvidence()
      var hasBreached = false
      for _ in 0..<200 where random.below(4) == 0 {
        let size = 1 + Int(random.below(40))
        let isOwn = random.below(parts.own + parts.other) < parts.own
        count.note(
          candidate: isOwn ? size : 0, incumbent: isOwn ? 0 : size, exposure: (Double(parts.own), Double(parts.other)), allowed: 1)
        hasBreached = hasBreached || count.wealth >= 20
      }
      breaches += hasBreached ? 1 : 0
    }
    #expect(breaches <= runs / 20, "\(breaches)")
  }

  /// By hand: half of the bound stakes 0.1, 0.25 and 0.4 of what the three have; what is beyond the bound is as much as the bound.
  @Test func `a difference weighs as much as it is large, up to its bound`() {
    var evidence = MeanEvidence()
    evidence.note(5, bounds: [10])
    #expect(abs(evidence.wealth - (1.1 + 1.25 + 1.4) / 3) < 1e-12)
    evidence.note(-1000, bounds: [10])
    #expect(abs(evidence.wealth - (1.1 * 0.8 + 1.25 * 0.5 + 1.4 * 0.2) / 3) < 1e-12)
    #expect(evidence.text == "better by 497.50 in the mean of 2")
    var both = MeanEvidence()
    both.note(5, bounds: [5, 10])
    #expect(abs(both.wealth - (1.5 + 1.25) / 2) < 1e-12)
  }
}

/// SplitMix64 (S. Steele et al., OOPSLA 2014).
struct SplitMix {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
  mutating func below(_ bound: UInt64) -> UInt64 { next() % bound }
}
