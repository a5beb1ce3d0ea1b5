import Apus
import WireC

/// The texts that the measuring venue sends, in the shape of Thalex's.
enum Script {
  /// Instruments are named so that a number of them fits into few bytes.
  static func names(_ count: Int) -> [String] {
    (0..<count).map { $0 == 0 ? "BTC-PERPETUAL" : "I\($0)-PERP" }
  }

  /// A ticker with the given mark, a whole number of ticks.
  static func ticker(_ name: String, mark: Int, bid: Int, ask: Int) -> String {
    "{\"channel_name\":\"ticker.\(name).raw\",\"notification\":{\"mark_price\":\(mark).00,"
      + "\"mark_timestamp\":1776715497.7188172,\"best_bid_price\":\(bid),\"best_bid_amount\":1.5,"
      + "\"best_ask_price\":\(ask),\"best_ask_amount\":1.5,\"last_price\":\(bid),\"delta\":1,\"volume_24h\":152.313,"
      + "\"value_24h\":11603845.12,\"low_price_24h\":194610,\"high_price_24h\":216915,\"change_24h\":512,"
      + "\"index\":200003.25916666667,\"collar_low\":150000.7577,\"collar_high\":258577.0623,"
      + "\"open_interest\":123.456,\"funding_rate\":1e-05,\"funding_mark\":-1.27,\"realised_funding_24h\":-3.21,"
      + "\"average_funding_rate_24h\":1.27e-05}}"
  }

  static func book(_ name: String, bids: String, asks: String, isSnapshot: Bool = false) -> String {
    "{\"channel_name\":\"book.\(name).none.\(depth).raw\",\"notification\":{\"trades\":[],\"bid_changes\":[\(bids)],"
      + "\"ask_changes\":[\(asks)],\"total_bid_amount\":15,\"total_ask_amount\":15,\"time\":1776715497.209106}"
      + (isSnapshot ? ",\"snapshot\":true}" : "}")
  }

  static let depth = 10

  // MARK: A market that moves by book updates

  /// Mid price in ticks at which it starts; all prices have six digits, so every frame has the same size.
  static let mid = 200_150

  /// Ten levels a side, the best ten ticks from `mid`.
  static func snapshot(_ name: String) -> String {
    let bids = (0..<10).map { "[\(mid - 10 - $0),1.5,1.5]" }.joined(separator: ",")
    let asks = (0..<10).map { "[\(mid + 10 + $0),1.5,1.5]" }.joined(separator: ",")
    return book(name, bids: bids, asks: asks, isSnapshot: true)
  }

  /// One tick up, or one tick down, fifty times each: the old best is taken away and a new one set, on both sides.
  /// The last one leads back to the snapshot.
  static func movingBook(_ name: String) -> [String] {
    var bid = mid - 10
    return (0..<100).map { step in
      let isUp = step < 50
      let next = bid + (isUp ? 1 : -1)
      let worst = isUp ? bid - 9 : next - 9
      defer { bid = next }
      return isUp
        ? book(name, bids: "[\(next),1.5,1.5],[\(worst),0,0]", asks: "[\(bid + 20),0,0],[\(next + 29),1.5,1.5]")
        : book(name, bids: "[\(bid),0,0],[\(worst),1.5,1.5]", asks: "[\(next + 20),1.5,1.5],[\(bid + 29),0,0]")
    }
  }

  // MARK: A market that moves by tickers

  static let wideBid = 190_000
  static let wideAsk = 220_000
  /// Marks of one instrument repeat after so many messages: more than should ever be unanswered.
  static func marks(instruments: Int) -> Int { instruments == 1 ? 4096 : 512 }

  static func mark(_ step: Int) -> Int { 200_000 + 4 * step }

  static func wideBook(_ name: String) -> String {
    book(name, bids: "[\(wideBid),1.5,1.5]", asks: "[\(wideAsk),1.5,1.5]", isSnapshot: true)
  }

  static func movingTicker(_ name: String, step: Int) -> String {
    ticker(name, mark: mark(step), bid: wideBid, ask: wideAsk)
  }

  /// The bids that a ladder of `ladder(followsMark: true)` may have made of `mark(step)`: half a basis point below,
  /// rounded down, so 10 or 11 ticks.
  static func bidRange(step: Int) -> ClosedRange<Int32> {
    let mark = Int32(mark(step))
    return mark - 12...mark - 9
  }

  static let size = DecimalE8(e8: 2_000_000)

  static func ladder(followsMark: Bool) -> LadderSection {
    LadderSection(
      levels: 1, halfSpreadBps: DecimalE8(e8: 50_000_000), stepTicks: 2, size: size, skewBps: .one,
      markWeight: followsMark ? .one : .zero)
  }
}

/// Bytes for the C side that stay where they are.
final class FrameStore {
  private(set) var frames: [wire_bytes] = []
  let bytes: Int

  init(_ texts: [String]) {
    let room = texts.reduce(0) { $0 + $1.utf8.count + 10 }
    let memory = UnsafeMutablePointer<UInt8>.allocate(capacity: max(room, 1))
    var at = 0
    for text in texts {
      var text = text
      let count = text.withUTF8 { utf8 in
        utf8.withMemoryRebound(to: CChar.self) { wire_frame(memory + at, $0.baseAddress!, $0.count) }
      }
      frames.append(wire_bytes(bytes: memory + at, count: count))
      at += count
    }
    self.memory = memory
    bytes = at
  }

  private let memory: UnsafeMutablePointer<UInt8>
  deinit { memory.deallocate() }
}
