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
    let configuration = try ConfigurationFile.load(path: CommandLine.arguments.dropFirst().first ?? "apus.yaml")
    let engine = Engine(configuration) { _, _, instrument in JoinBehind(size: instrument.grid.minimumLots) }
    // Engine.requestStop() ends it from any thread; here the configured time does.
    let report = try engine.run(seconds: 10)
    print("\(report.instruments[0].fills) fills, stop verified: \(report.isStopVerified)")
  }
}
