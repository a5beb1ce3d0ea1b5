import Testing

@testable import Apus
@testable import ApusExchange

/// Plans that once failed, by what was wrong.
@Suite struct RegressionPlanTests {
  struct Find: Sendable, CustomTestStringConvertible {
    var cause: String
    var plan: String
    init(_ cause: String, _ plan: String) {
      self.cause = cause
      self.plan = plan
    }
    var testDescription: String { cause }
  }

  static let finds = [
    Find(
      "a position was taken over for a difference that the trades told of after the last statement had explained",
      """
      seed=20257 instruments=BTC-PERPETUAL,ETH-PERPETUAL levels=8 size=20 limit=160 latency=1ms lag=50ms..600ms for=4500ms notifies-first\
       | 0s+4500ms drop replies,refusals,orders,trades,positions 50/1000\
       | 0s+4500ms delay replies,refusals,orders,trades,positions 4s..8s 10/1000\
       | 0s+4500ms duplicate orders,trades,positions 1ms..2s 100/1000 | 0s+4500ms drop inserts,amends,cancels 10/1000\
       | 0s+4500ms delay order-answers,trade-answers,position-answers 1ms..2s 200/1000
      """),
    Find(
      "of two late replies to amends the second was taken for the answer to a third",
      """
      seed=1928 instruments=BTC-PERPETUAL levels=3 size=20 limit=60 latency=16ms lag=5ms..50ms for=22s \
      back=350us pace=250 manager=60ms widen=500\
       | 0s+22s delay replies,refusals,orders,trades,positions 1ms..500ms 200/1000\
       | 0s+22s duplicate orders,trades,positions 1ms..2s 20/1000 | 0s+22s drop inserts,amends,cancels 10/1000\
       | 4s reset | 2s restart with-book | 19s abandon | 15700ms tick BTC-PERPETUAL 5 | 0s+22s jitter 20ms\
       | 10800ms+5800ms merge 1ms
      """),
    Find(
      "a late item of the order feed with a smaller size settled an order of unknown state",
      """
      seed=622 instruments=ETH-PERPETUAL,BTC-25DEC26,BTC-PERPETUAL levels=8 size=5 limit=20 latency=7500us \
      lag=50ms..600ms for=19s notifies-first\
       | 0s+19s drop replies,refusals,orders,trades,positions 20/1000\
       | 0s+19s duplicate orders,trades,positions 1ms..2s 100/1000\
       | 0s+19s drop inserts,amends,cancels 10/1000\
       | 0s+19s delay order-answers,trade-answers,position-answers 1ms..2s 200/1000\
       | 0s+19s reorder replies,orders 300/1000 | 16800ms restart with-book | 17900ms+2300ms mask 21 300/1000\
       | 3500ms expire BTC-25DEC26 | 8400ms+10s closure | 0s+19s jitter 150ms | 9100ms+7700ms short-writes 150
      """),
    Find(
      "what had ended unseen a moment ago was forgotten because a lagging position agreed",
      """
      seed=524 instruments=ETH-PERPETUAL,BTC-25DEC26,BTC-PERPETUAL levels=1 size=20 limit=40 latency=65ms \
      lag=50ms..600ms for=21s back=650us pace=500 manager=10ms widen=500\
       | 0s+21s drop replies,refusals,orders,trades,positions 50/1000\
       | 0s+21s duplicate orders,trades,positions 1ms..2s 20/1000 | 0s+21s drop inserts,amends,cancels 10/1000\
       | 0s+21s reorder replies,orders 300/1000 | 0s+21s corrupt replies,orders,trades,positions 20/1000\
       | 16s+3500ms delay replies,orders 45s..55s 100/1000 x3 | 9600ms restart with-book\
       | 4s+1200ms merge 100ms | 3800ms+1400ms short-writes 150
      """),
    Find(
      "what had ended unseen a moment ago was forgotten because a lagging position agreed",
      """
      seed=1997 instruments=BTC-PERPETUAL,ETH-PERPETUAL levels=1 size=5 limit=15 latency=80ms lag=50ms..600ms \
      for=22s back=3ms notifies-first\
       | 0s+22s drop replies,refusals,orders,trades,positions 5/1000\
       | 0s+22s duplicate orders,trades,positions 1ms..2s 20/1000 | 0s+22s reorder replies,orders 300/1000\
       | 11s+1900ms stall-reads | 16400ms+7400ms halt ETH-PERPETUAL | 7600ms abandon | 300ms+5600ms silence\
       | 1200ms+1800ms delay replies,orders 45s..55s 100/1000 x3 | 6700ms expire ETH-PERPETUAL\
       | 5200ms+3100ms fragment 500 | 6800ms+9100ms merge 1ms
      """),
    Find(
      "of two quotes at one price, the report about the first of which was lost, the wrong one was meant",
      """
      seed=23 instruments=BTC-PERPETUAL levels=3 size=20 limit=40 latency=16ms lag=50ms..600ms for=20s \
      back=600us pace=500 mass-quotes\
       | 0s+20s drop replies,refusals,orders,trades,positions 50/1000\
       | 0s+20s delay inserts,amends,cancels,queries 1ms..300ms 30/1000\
       | 0s+20s delay order-answers,trade-answers,position-answers 1ms..2s 200/1000\
       | 300ms+2900ms refuse-logins | 3700ms+8800ms silence | 1700ms restart with-book | 9100ms+8900ms silence\
       | 13800ms abandon | 1300ms+2900ms fragment 60
      """),
    Find(
      "of two quotes at one price, the report about the first of which was lost, the wrong one was meant",
      """
      seed=119 instruments=BTC-PERPETUAL levels=8 size=20 limit=40 latency=800us lag=5ms..50ms for=23s \
      back=85ms pace=500 mass-quotes\
       | 0s+23s delay replies,refusals,orders,trades,positions 1ms..500ms 50/1000\
       | 0s+23s duplicate orders,trades,positions 1ms..2s 20/1000\
       | 0s+23s delay inserts,amends,cancels,queries 1ms..300ms 30/1000\
       | 0s+23s delay order-answers,trade-answers,position-answers 1ms..2s 200/1000\
       | 0s+23s reorder replies,orders 300/1000 | 20s+1400ms stall-reads\
       | 6500ms+3100ms delay replies,orders 45s..55s 100/1000 x3 | 19400ms+2s mask 21 300/1000
      """),
    Find(
      "of two quotes at one price, the report about the first of which was lost, the wrong one was meant",
      """
      seed=375 instruments=ETH-PERPETUAL,BTC-25DEC26,BTC-PERPETUAL levels=3 size=20 limit=100 latency=4500us \
      lag=5ms..50ms for=20s back=10ms pace=250 mass-quotes\
       | 0s+20s drop replies,refusals,orders,trades,positions 5/1000\
       | 0s+20s delay replies,refusals,orders,trades,positions 1ms..500ms 50/1000\
       | 0s+20s delay replies,refusals,orders,trades,positions 4s..8s 10/1000\
       | 0s+20s duplicate orders,trades,positions 1ms..2s 100/1000\
       | 0s+20s delay order-answers,trade-answers,position-answers 1ms..2s 200/1000\
       | 0s+20s corrupt replies,orders,trades,positions 20/1000 | 13600ms+2400ms refuse inserts,amends 24\
       | 14300ms+3800ms throttle 2 | 14s+3s mask 21 300/1000 | 14900ms+1s mask 21 300/1000 | 5300ms reset\
       | 2100ms+6700ms fragment 7 | 400ms+3100ms short-writes 20
      """),
    Find(
      "the journal had no room for what came in thousands of reads at one moment",
      """
      seed=1976 instruments=ETH-PERPETUAL,BTC-25DEC26,BTC-PERPETUAL levels=1 size=5 limit=35 latency=700us \
      lag=50ms..600ms for=20s back=9ms manager=60ms widen=5\
       | 0s+20s duplicate orders,trades,positions 1ms..2s 100/1000 | 8900ms+3100ms halt BTC-25DEC26\
       | 8900ms power-cut | 0s+20s jitter 2ms | 9200ms+6400ms fragment 7
      """),
    Find(
      "a position that lacked one execution agreed with ours, which lacked another of the same size",
      """
      seed=5340 instruments=BTC-PERPETUAL levels=8 size=20 limit=160 latency=100us lag=5ms..50ms for=22s\
       | 0s+22s drop replies,refusals,orders,trades,positions 50/1000\
       | 0s+22s delay replies,refusals,orders,trades,positions 1ms..500ms 200/1000\
       | 0s+22s delay replies,refusals,orders,trades,positions 4s..8s 10/1000\
       | 0s+22s duplicate orders,trades,positions 1ms..2s 100/1000\
       | 7500ms+6200ms drop order-answers,trade-answers,position-answers | 2400ms+1200ms mask 21 300/1000\
       | 3200ms+7s halt BTC-PERPETUAL | 21500ms+2500ms clock-step 14s | 0s+22s jitter 200us\
       | 6900ms+8100ms fragment 500 | 3700ms+8600ms short-writes 150
      """),
    Find(
      "a late report about an earlier quote was taken for one about the next at its price",
      """
      seed=14699 instruments=ETH-PERPETUAL,BTC-25DEC26,BTC-PERPETUAL levels=8 size=5 limit=15 latency=60ms \
      lag=5ms..50ms for=22s manager=10ms notifies-first mass-quotes\
       | 0s+22s drop replies,refusals,orders,trades,positions 5/1000\
       | 0s+22s delay replies,refusals,orders,trades,positions 1ms..500ms 200/1000\
       | 0s+22s duplicate orders,trades,positions 1ms..2s 100/1000\
       | 0s+22s drop inserts,amends,cancels 10/1000 | 4500ms abandon | 8900ms+7100ms halt ETH-PERPETUAL\
       | 7100ms+6100ms fragment 500 | 1700ms+7300ms short-writes 20
      """),
    Find(
      "a quote had traded unseen, and the mass quote that seemed to repeat it had placed another",
      """
      seed=54959 instruments=ETH-PERPETUAL,BTC-25DEC26,BTC-PERPETUAL levels=3 size=5 limit=10 latency=10ms \
      lag=50ms..600ms for=24s back=45ms manager=10ms widen=5 drawdown=100 notifies-first mass-quotes\
       | 0s+24s drop replies,refusals,orders,trades,positions 20/1000\
       | 0s+24s delay replies,refusals,orders,trades,positions 1ms..500ms 200/1000\
       | 0s+24s drop inserts,amends,cancels 10/1000\
       | 0s+24s delay inserts,amends,cancels,queries 1ms..300ms 30/1000\
       | 0s+24s delay order-answers,trade-answers,position-answers 1ms..2s 200/1000\
       | 0s+24s corrupt replies,orders,trades,positions 20/1000 | 200ms restart with-book\
       | 11200ms restart with-book | 2300ms+8800ms merge 10ms
      """),
    Find(
      "a quote had traded unseen, and the mass quote that seemed to repeat it had placed another",
      """
      seed=5723 instruments=ETH-PERPETUAL,BTC-25DEC26,BTC-PERPETUAL levels=8 size=5 limit=30 latency=1ms \
      lag=5ms..50ms for=20s manager=60ms mass-quotes\
       | 0s+20s delay replies,refusals,orders,trades,positions 1ms..500ms 200/1000\
       | 0s+20s delay inserts,amends,cancels,queries 1ms..300ms 30/1000 | 7800ms+4300ms refuse-logins
      """),
    Find(
      "a quote had traded unseen, and the mass quote that seemed to repeat it had placed another",
      """
      seed=55795 instruments=ETH-PERPETUAL,BTC-25DEC26,BTC-PERPETUAL levels=3 size=5 limit=40 \
      latency=100us lag=50ms..600ms for=24s back=250us manager=10ms widen=50 mass-quotes\
       | 0s+24s drop replies,refusals,orders,trades,positions 50/1000\
       | 0s+24s duplicate orders,trades,positions 1ms..2s 20/1000 | 0s+24s drop inserts,amends,cancels 10/1000\
       | 0s+24s delay order-answers,trade-answers,position-answers 1ms..2s 200/1000 | 13s reset\
       | 18200ms+6200ms closure | 0s+24s jitter 2ms
      """),
    Find(
      "an execution of a quote that was taken for a repetition was nobody's, however often it was told",
      """
      seed=16535 instruments=BTC-PERPETUAL levels=3 size=20 limit=140 latency=100ms lag=50ms..600ms \
      for=22s back=85ms pace=500 manager=60ms widen=5 drawdown=100 notifies-first mass-quotes\
       | 0s+22s delay replies,refusals,orders,trades,positions 1ms..500ms 200/1000\
       | 0s+22s delay replies,refusals,orders,trades,positions 4s..8s 10/1000\
       | 0s+22s duplicate orders,trades,positions 1ms..2s 20/1000 | 17400ms+3800ms mask 21 300/1000\
       | 4200ms restart without-book | 1400ms abandon | 18500ms restart with-book
      """),
    Find(
      "an execution of a quote that was taken for a repetition was nobody's, however often it was told",
      """
      seed=38435 instruments=BTC-PERPETUAL levels=1 size=5 limit=45 latency=50ms lag=5ms..50ms for=23s \
      back=2500us pace=500 manager=400ms widen=5 mass-quotes\
       | 0s+23s drop replies,refusals,orders,trades,positions 20/1000\
       | 0s+23s delay replies,refusals,orders,trades,positions 1ms..500ms 50/1000\
       | 0s+23s delay replies,refusals,orders,trades,positions 4s..8s 10/1000\
       | 0s+23s delay inserts,amends,cancels,queries 1ms..300ms 30/1000 | 3400ms restart without-book\
       | 300ms+4500ms stall-reads | 16100ms restart with-book | 16600ms reset | 3s tick BTC-PERPETUAL 2\
       | 0s+23s jitter 200us | 5400ms+2900ms fragment 500
      """),
    Find(
      "what an earlier life executed after the latest time that the venue had stated was booked on the new account",
      """
      seed=37295 instruments=BTC-PERPETUAL,ETH-PERPETUAL levels=1 size=20 limit=180 latency=650us \
      lag=50ms..600ms for=15s back=100ms manager=10ms mass-quotes\
       | 0s+15s drop replies,refusals,orders,trades,positions 5/1000\
       | 0s+15s duplicate orders,trades,positions 1ms..2s 100/1000\
       | 0s+15s delay inserts,amends,cancels,queries 1ms..300ms 30/1000\
       | 8700ms+3s delay replies,orders 45s..55s 100/1000 x3 | 6200ms reset | 1700ms reset\
       | 4800ms+4300ms unreachable | 7500ms abandon | 500ms power-cut | 0s+15s jitter 20ms | 5800ms power-cut
      """),
    Find(
      "what had waited in the receive buffer came in thousands of reads at one moment",
      """
      seed=16902 instruments=BTC-PERPETUAL,ETH-PERPETUAL levels=8 size=20 limit=160 latency=900us \
      lag=5ms..50ms for=20s back=7500us manager=60ms notifies-first\
       | 0s+20s drop replies,refusals,orders,trades,positions 5/1000\
       | 0s+20s delay replies,refusals,orders,trades,positions 1ms..500ms 50/1000\
       | 0s+20s duplicate orders,trades,positions 1ms..2s 100/1000\
       | 0s+20s delay inserts,amends,cancels,queries 1ms..300ms 30/1000\
       | 0s+20s delay order-answers,trade-answers,position-answers 1ms..2s 200/1000\
       | 12200ms+1400ms stall-reads | 3500ms power-cut | 0s+20s jitter 200us | 8s+6700ms fragment 7\
       | 4600ms+6300ms merge 100ms
      """),
    Find(
      "a reply that was seconds late answered an amend that came long after its own",
      """
      seed=96005 instruments=BTC-PERPETUAL levels=8 size=20 limit=80 latency=4ms lag=5ms..50ms \
      for=21s pace=500 manager=10ms\
       | 0s+21s delay replies,refusals,orders,trades,positions 1ms..500ms 200/1000\
       | 0s+21s delay replies,refusals,orders,trades,positions 4s..8s 10/1000\
       | 0s+21s duplicate orders,trades,positions 1ms..2s 20/1000 | 0s+21s drop inserts,amends,cancels 10/1000\
       | 0s+21s reorder replies,orders 300/1000 | 11100ms+5500ms refuse inserts,amends 24 | 10700ms reset\
       | 19700ms+1600ms unreachable | 18900ms+4300ms stall-reads
      """),
  ]

  @Test(arguments: finds)
  func `R01 R02 R07 R08 a plan that once failed passes`(find: Find) throws {
    let verdict = try ChaosRun.run(try FaultPlan(text: find.plan))
    let isPassed = verdict.isPassed
    #expect(isPassed, "\(find.cause): \(verdict.account)")
  }
}
