import Foundation
import Testing

@testable import Apus

/// What must hold between several venues and what is said of their underlyings.
@Suite struct UnderlyingCheckTests {
  private static let text = """
    engine:
      name: desk
      data_directory: data
    defaults:
      ladder:
        levels: 1
        half_spread_bps: 1
        step_ticks: 1
        size: 0.1
        skew_bps: 0
        around: fair
      limits:
        max_position: 1
        max_order: 0.5
        max_notional: 100000
        collar_bps: 50
        max_orders: 8
    venues:
      - kind: thalex
        url: wss://testnet.thalex.com/ws/api/v2
        key_id: K1
        private_key_file: key.pem
        taker_fee_bps: 5
        instruments:
          - name: BTC-PERPETUAL
      - kind: deribit
        url: wss://test.deribit.com/ws/api/v2
        key_id: client
        private_key_env: SECRET
        taker_fee_bps: 4.5
        instruments:
          - name: BTC_USDC-PERPETUAL
      - kind: deribit
        name: eye
        role: reference
        url: wss://test.deribit.com/ws/api/v2
        key_id: other
        private_key_env: SECRET
        taker_fee_bps: 0
        instruments:
          - name: BTC-PERPETUAL
    underlyings:
      - name: BTC
        max_position: 1.5
        hedge: deribit:BTC_USDC-PERPETUAL
        hedge_band: 0.2
        hedge_patience_ms: 500
        hedge_per_minute: 2
        hedge_lost: stop
        fair: micro
        fair_half_life_ms: 250
        crossed: take
        crossed_size: 0.1
        crossed_per_minute: 1
    manager:
      max_exposure: 200000
      dark_after_ms: 700

    """

  private static func problems(_ old: String, _ new: String, _ place: SourceLocation = #_sourceLocation) -> [String] {
    guard let range = text.firstRange(of: old) else {
      Issue.record("the text does not contain \(old)", sourceLocation: place)
      return []
    }
    return Sample.problems(text.replacingCharacters(in: range, with: new), place)
  }

  @Test func `everything that can be said of an underlying is read, written, and made into settings`() throws {
    let configuration = try ConfigurationFile.parse(Self.text)
    #expect(try ConfigurationFile.parse(ConfigurationFile.text(of: configuration)) == configuration)
    let lanes = configuration.lanes
    #expect(lanes.map(\.venue.role) == [.quote, .quote, .reference])
    // Ladder and limits mean nothing where nothing is quoted.
    #expect(lanes[2].instruments.map(\.name) == ["BTC-PERPETUAL"])
    #expect(LaneSettings(lanes[2], labelPrefix: "a-", bootEpoch: 1).isReference == true)
    #expect(LaneSettings(lanes[2], labelPrefix: "a-", bootEpoch: 1).instruments[0].awaitsDirective != true)
    #expect(LaneSettings(lanes[0], labelPrefix: "a-", bootEpoch: 1).instruments[0].awaitsDirective == true)
    let underlying = UnderlyingSettings(configuration.underlyings[0], lanes)
    #expect(underlying.hedge?.lane == 1 && underlying.hedge?.patience == 500_000_000)
    #expect(underlying.hedge?.perMinuteE8 == 200_000_000 && underlying.hedge?.whenLost == .stop)
    #expect(underlying.fair?.price == .micro && underlying.fair?.halfLife == 250_000_000)
    #expect(underlying.fair?.outlierCentiBps == 2000 && underlying.fair?.basisHalfLife == 60_000_000_000)
    #expect(underlying.crossed.rule == .take && underlying.crossed.sizeE8 == 10_000_000)
    #expect(underlying.crossed.feesCentiBps == [500, 450, 0])
    #expect(lanes[0].pricedInstruments == [0] && lanes[2].pricedInstruments == [0])
  }

  @Test func `R51_ limits and rules that cannot hold together are errors, each at its place`() {
    let cases: [(old: String, new: String, problem: String)] = [
      ("hedge_band: 0.2", "hedge_band: 1.5", "hedge_band is 1.5, but must be below max_position (1.5)"),
      ("crossed_size: 0.1", "crossed_size: 2", "crossed_size is 2, but must be at most max_position (1.5)"),
      ("crossed_per_minute: 1", "crossed_per_minute: 0.05", "must be at least crossed_size (0.1)"),
      ("crossed_per_minute: 1", "crossed_per_minute: 0", "crossed_per_minute is 0, but crossed is take"),
      ("max_position: 1.5", "max_position: 0.05", "the ladder's first level at thalex is 0.1"),
      ("fair_half_life_ms: 250", "fair_half_life_ms: 5000\n    fair_stale_ms: 4000", "must be at least fair_half_life_ms"),
      ("fair: micro", "fair: none", "is fair, but no fair value is made of BTC"),
      ("    taker_fee_bps: 4.5\n", "", "the venue deribit does not say what taking costs"),
      ("    hedge: deribit:BTC_USDC-PERPETUAL\n", "", "hedge_band is given, but there is no hedge"),
      ("hedge: deribit:BTC_USDC", "hedge: eye:BTC", "must be one of the instruments that are quoted"),
      ("- name: BTC_USDC-PERPETUAL", "- name: ETH_USDC-PERPETUAL", "ETH_USDC-PERPETUAL is on none of underlyings"),
      ("    role: reference\n", "    role: watch\n", "role"),
      ("fair_half_life_ms", "fair_halflife_ms", "fair_half_life_ms"),
    ]
    for (old, new, expected) in cases {
      let problems = Self.problems(old, new)
      #expect(problems.contains { $0.contains(expected) && $0.hasPrefix("a.yaml:") }, "\(new): \(problems)")
    }
  }

  @Test func `options are under a common limit where their deltas are read, beside something that has a price`() throws {
    let option = "  - name: BTC-PERPETUAL\n      - name: BTC-27MAR26-60000-C\n        ladder:\n          around: mid\n"
    let first = try #require(Self.text.firstRange(of: "  - name: BTC-PERPETUAL\n"))
    let both = Self.text.replacingCharacters(in: first, with: option)
    let lanes = try ConfigurationFile.parse(both).lanes
    #expect(lanes[0].pricedInstruments == [0], "an option's price is not the price of a coin")
    let cases: [(old: String, new: String, problem: String)] = [
      ("around: mid", "around: fair", "is an option: set it to mid"),
      ("hedge: deribit:BTC_USDC-PERPETUAL", "hedge: thalex:BTC-27MAR26-60000-C", "an option's delta moves"),
      ("- name: BTC_USDC-PERPETUAL", "- name: BTC-27MAR26-60000-P", "which is read at Thalex alone"),
      // Options alone, at the one venue that is traded at.
      ("      - name: BTC-PERPETUAL\n      - name: BTC-27", "      - name: BTC-27", "nothing says what a coin of it is worth"),
    ]
    for (old, new, expected) in cases {
      var changed = try both.replacingCharacters(in: #require(both.firstRange(of: old), "\(old)"), with: new)
      if expected.hasPrefix("nothing says") {
        changed = try changed.replacingCharacters(
          in: #require(changed.firstRange(of: "  - kind: deribit\n")), with: "  - kind: deribit\n    role: reference\n")
      }
      let problems = Sample.problems(changed)
      #expect(problems.contains { $0.contains(expected) }, "\(new): \(problems)")
    }
  }

  @Test func `what is only looked at cannot be all there is, and is not quoted`() {
    let text = Self.text.replacing("  - kind: thalex\n", with: "  - kind: thalex\n    role: reference\n")
      .replacing("- kind: deribit\n    url", with: "- kind: deribit\n    role: reference\n    url")
    let problems = Sample.problems(text)
    #expect(problems.contains { $0.contains("no other venue is quoted at") }, "\(problems)")
    #expect(problems.contains { $0.contains("all its instruments are at venues that are only looked at") })
  }
}
