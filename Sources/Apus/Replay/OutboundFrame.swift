import FoundationEssentials

/// What a table needs of a frame that a lane has sent.
///
/// Of the lane's own frames, as the venues' encoders write them; not for what a venue sends.
struct OutboundFrame: Decodable {
  /// One instrument of a mass quote.
  struct Quote: Decodable {
    struct Level: Decodable {
      let p: Decimal
      let a: Decimal
      var price: DecimalE8? { OutboundFrame.exact(p) }
      var amount: DecimalE8? { OutboundFrame.exact(a) }
    }
    let i: String
    let b: [Level]?
    let a: [Level]?
    var bids: [Level] { b ?? [] }
    var asks: [Level] { a ?? [] }
  }

  private struct Parameters: Decodable {
    let instrument_name: String?
    let direction: String?
    let price: Decimal?
    let amount: Decimal?
    let order_id: String?
    let quotes: [Quote]?
  }

  /// Bybit's form of a request, with numbers as texts.
  private struct Request: Decodable {
    struct Order: Decodable {
      let symbol: String?
      let side: String?
      let price: String?
      let qty: String?
      let orderId: String?
    }
    let op: String
    let reqId: String?
    let args: [Order]
  }

  let method: String
  let id: UInt64?
  private let params: Parameters?

  /// `nil` if it is no request.
  init?(_ text: UnsafeRawBufferPointer) {
    if let frame = try? JSONDecoder().decode(Self.self, from: Data(text)) {
      self = frame
      return
    }
    guard let request = try? JSONDecoder().decode(Request.self, from: Data(text)), let order = request.args.first else {
      return nil
    }
    method = request.op
    // Behind the id is a serial.
    id = request.reqId.flatMap { UInt64($0.prefix { $0 != "-" }) }
    params = Parameters(
      instrument_name: order.symbol, direction: order.side?.lowercased(),
      price: order.price.flatMap { Decimal(string: $0) }, amount: order.qty.flatMap { Decimal(string: $0) },
      order_id: order.orderId, quotes: nil)
  }

  var instrumentName: String? { params?.instrument_name }
  /// Where the side is no parameter it is the method.
  var isBuy: Bool { params?.direction.map { $0 == "buy" } ?? (method == "private/buy") }
  var price: DecimalE8? { params?.price.flatMap(Self.exact) }
  var amount: DecimalE8? { params?.amount.flatMap(Self.exact) }
  var venueID: String? { params?.order_id }
  var quotes: [Quote] { params?.quotes ?? [] }

  fileprivate static func exact(_ value: Decimal) -> DecimalE8? { DecimalE8("\(value)") }
}
