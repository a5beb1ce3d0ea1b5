// The engine inside a program of one's own, with a strategy of one's own: one quote a side, two ticks
// behind the best of the others, and none on the side that would make a position larger.
import Apus
import CSupport

struct JoinBehind: Strategy {
  let size: QtyLots

  mutating func quote(_ view: QuoteView, into ladders: inout Ladders) {
    let two = PriceTicks(rawValue: 2)
    if view.position <= .zero { ladders.bids.add(price: view.bestBid.price - two, qty: size) }
    if view.position >= .zero { ladders.asks.add(price: view.bestAsk.price + two, qty: size) }
  }
}

@main struct OwnStrategy {
  static func main() throws {
    let arguments = Array(CommandLine.arguments.dropFirst())
    if arguments.count == 2, arguments[0] == "--replay" { return try replay(journal: arguments[1]) }
    let configuration = try ConfigurationFile.load(path: arguments.first ?? "apus.yaml")
    let engine = Engine(configuration, strategy: strategy)
    // Engine.requestStop() ends it from any thread; here the configured time does.
    let report = try engine.run(seconds: 10)
    print("\(report.instruments[0].fills) fills, stop verified: \(report.isStopVerified)")
  }

  static func strategy(_: InstrumentIndex, _ name: String, _ instrument: InstrumentInfo) -> JoinBehind {
    JoinBehind(size: instrument.grid.minimumLots)
  }

  // What was recorded is repeated and compared; only this program has the strategy for it.
  static func replay(journal: String) throws {
    var replay = try Replay(path: journal, strategy: strategy)
    while let run = replay.next() {
      let found = run.refusal ?? run.difference.map { "differs at record \($0.recordNumber): \($0.what)" } ?? run.gap
      print("run \(run.bootEpoch), \(run.counts.framesOut) frames out: \(found ?? "equal")")
    }
  }
}
