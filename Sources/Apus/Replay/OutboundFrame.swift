import FoundationEssentials

/// What a table needs of a frame that a lane has sent.
///
/// Of the lane's own frames, as the venues' encoders write them; not for what a venue sends.
struct OutboundFrame: Decodable {
  /// One instrument of a mass quote.
  struct Quote: Decodable {
    struct Level: Decodable {
      let price: DecimalE8?
      let amount: DecimalE8?

      private enum CodingKeys: String, CodingKey {
        case p, a, price, amount
      }

      init(from decoder: any Decoder) throws {
        if var pair = try? decoder.unkeyedContainer() {
          price = OutboundFrame.exact(try pair.decode(Decimal.self))
          amount = OutboundFrame.exact(try pair.decode(Decimal.self))
          return
        }
        let members = try decoder.container(keyedBy: CodingKeys.self)
        func value(_ keys: [CodingKeys]) throws -> DecimalE8? {
          for key in keys {
            if let value = try members.decodeIfPresent(Decimal.self, forKey: key) { return OutboundFrame.exact(value) }
          }
          return nil
        }
        price = try value([.p, .price])
        amount = try value([.a, .amount])
      }
    }
    let instrument: String
    let bids: [Level]
    let asks: [Level]

    private enum CodingKeys: String, CodingKey {
      case i, b, a, instrument_name, bid, ask
    }

    /// Thalex names the sides' levels, Deribit one level a side.
    init(from decoder: any Decoder) throws {
      let members = try decoder.container(keyedBy: CodingKeys.self)
      if let name = try members.decodeIfPresent(String.self, forKey: .i) {
        instrument = name
        bids = try members.decodeIfPresent([Level].self, forKey: .b) ?? []
        asks = try members.decodeIfPresent([Level].self, forKey: .a) ?? []
      } else {
        instrument = try members.decode(String.self, forKey: .instrument_name)
        bids = try members.decodeIfPresent(Level.self, forKey: .bid).map { [$0] } ?? []
        asks = try members.decodeIfPresent(Level.self, forKey: .ask).map { [$0] } ?? []
      }
    }
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
