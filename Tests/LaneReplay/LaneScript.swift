import Apus
import CSupport

/// One thing that is done to a lane.
struct Step {
  enum Action: UInt8 { case receive, tick, direct }
  var action = Action.receive
  /// One of the messages that the scenario is named after; the others lead up to it.
  var isMeasured = false
  /// The venue's bytes, in the script's memory.
  var start = 0
  var count = 0
  var now: Nanoseconds = 0
  var directive = Directive()
  /// What the recording lane wrote in answer: its length and a hash of it.
  var outputCount = 0
  var outputHash: UInt64 = 0
}

/// Steps recorded against one lane, to be fed to others that are made alike. The lane is deterministic: the
/// venue's answers fit again, and every byte that it writes must be the same.
final class LaneScript {
  static let instrument = "BTC-PERPETUAL"

  let ladder: LadderParameters
  private(set) var steps: [Step] = []
  private(set) var bytes: [UInt8] = []
  private var probe: LaneProbe
  private var now: Nanoseconds
  private let fault: Fault
  private let usesMassQuotes: Bool
  private var quoteBooks = QuoteBooks()

  /// The venue's view of our orders, by the text of the client id.
  struct Order {
    var direction: String
    var price: String
    var amountLots: Int
    var filledLots: Int
    var fills: Int
  }
  private(set) var orders: [String: Order] = [:]

  static func settings(usesMassQuotes: Bool = false) -> LaneSettings {
    var settings = LaneSettings()
    settings.instruments = [
      InstrumentSettings(
        name: instrument, maximumPosition: DecimalE8(e8: 100_000_000_000),
        maximumOrder: DecimalE8(e8: 10_000_000_000), maximumNotional: DecimalE8(e8: 1_000_000_000_000_000),
        collarCentiBps: 20_000, maximumOrders: 40, priceToleranceTicks: 0, keepSizePermille: 500, bookDepth: 10,
        staleAfter: 1_000_000_000_000)
    ]
    settings.silenceLimit = 1_000_000_000_000
    settings.instruments[0].usesMassQuotes = usesMassQuotes
    return settings
  }

  init(ladder: LadderParameters, fault: Fault, usesMassQuotes: Bool = false) throws {
    self.ladder = ladder
    self.fault = fault
    self.usesMassQuotes = usesMassQuotes
    probe = try LaneProbe(settings: Self.settings(usesMassQuotes: usesMassQuotes), ladder: ladder)
    now = probe.startTime
  }

  /// A lane in the state in which the recording one was.
  func makeProbe() throws -> LaneProbe {
    let settings = Self.settings(usesMassQuotes: usesMassQuotes)
    return switch fault {
    case .none: try LaneProbe(settings: settings, ladder: ladder)
    default: try LaneProbe(settings: settings, strategy: FaultyStrategy(LadderStrategy(ladder), fault: fault))
    }
  }

  // MARK: - Recording

  private func note(_ step: Step) {
    var step = step
    let output = probe.output
    step.outputCount = output.count
    step.outputHash = hash(output)
    steps.append(step)
  }

  /// What the lane has asked for since the last call.
  private func takeRequests() -> [String] {
    var requests: [String] = []
    probe.takeRequests(into: &requests)
    return requests
  }

  private func feed(_ text: String, isMeasured: Bool) {
    var frame: [UInt8] = []
    probe.appendFrame(text, to: &frame)
    now += 1000
    let step = Step(isMeasured: isMeasured, start: bytes.count, count: frame.count, now: now)
    bytes += frame
    frame.withUnsafeBytes { probe.receive($0, now: now) }
    note(step)
  }

  /// Consents to what the lane has asked for, until it is silent.
  private func answer(isMeasured: Bool) throws {
    var waiting = takeRequests()[...]
    var count = 0
    while let request = waiting.popFirst() {
      if let id = value("id", in: request), let texts = quoteBooks.answers(to: request, id: id) {
        for text in texts { feed(text, isMeasured: isMeasured) }
        waiting += takeRequests()
        continue
      }
      guard let text = probe.acknowledgement(of: request) else { continue }
      keepBooks(request)
      feed(text, isMeasured: isMeasured)
      waiting += takeRequests()
      count += 1
      if count > 1000 {
        throw ReplayError(description: "the lane does not come to rest; its last request was \(request)")
      }
    }
  }

  enum Measured { case message, answers, nothing }

  func receive(_ text: String, _ measured: Measured) throws {
    now += 1_000_000
    feed(text, isMeasured: measured == .message)
    try answer(isMeasured: measured == .answers)
  }

  func direct(_ directive: Directive, _ measured: Measured) throws {
    now += 1_000_000
    probe.direct(directive, instrument: 0, now: now)
    note(Step(action: .direct, isMeasured: measured == .message, now: now, directive: directive))
    try answer(isMeasured: measured == .answers)
  }

  func tick(after time: Nanoseconds) {
    now += time
    probe.tick(now: now)
    note(Step(action: .tick, isMeasured: true, now: now))
    _ = takeRequests()
  }

  /// Time passes, and what the lane asks for beside orders is granted.
  func settle(_ time: Nanoseconds) throws {
    now += time
    probe.tick(now: now)
    note(Step(action: .tick, now: now))
    for request in takeRequests() where request.contains("set_mm_protection") {
      guard let id = value("id", in: request) else { continue }
      feed("{\"id\":\(id),\"result\":null}", isMeasured: false)
    }
    try answer(isMeasured: false)
  }

  /// A ticker and a book of ten levels a side; the lane's quotes stand afterwards.
  func begin() throws {
    if usesMassQuotes { try settle(20_000_000) }
    try receive(Venue.ticker(mark: 100_000, last: 99_000), .nothing)
    let bids = (0..<10).map { "[\(99_990 - $0),1.5,1.5]" }.joined(separator: ",")
    let asks = (0..<10).map { "[\(100_010 + $0),1.5,1.5]" }.joined(separator: ",")
    try receive(Venue.book(bids: bids, asks: asks, isSnapshot: true), .nothing)
  }

  private func keepBooks(_ request: String) {
    guard let id = value("client_order_id", in: request) else { return }
    if request.contains("private/cancel") {
      orders[id] = nil
      return
    }
    guard let price = value("price", in: request), let amount = value("amount", in: request) else { return }
    var order =
      orders[id]
      ?? Order(direction: value("direction", in: request) ?? "", price: "", amountLots: 0, filledLots: 0, fills: 0)
    order.price = price
    order.amountLots = Venue.lots(amount)
    orders[id] = order
  }

  /// The value of a member in a request, which our own encoder wrote.
  private func value(_ key: String, in request: String) -> String? {
    guard let start = request.firstRange(of: "\"\(key)\":")?.upperBound else { return nil }
    return String(request[start...].prefix { $0 != "," && $0 != "}" })
  }

  /// The feed's report of an order as it stands.
  func reportOrder(_ id: String) throws {
    guard let order = orders[id] else { return }
    try receive(Venue.orderUpdate(id, order, lots: 0), .message)
  }

  /// One lot of an order trades.
  func fill(_ id: String) throws {
    guard var order = orders[id] else { return }
    order.filledLots += 1
    order.fills += 1
    orders[id] = order
    try receive(Venue.orderUpdate(id, order, lots: 1), .message)
  }
}

/// FNV-1a.
func hash(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
  var hash: UInt64 = 0xcbf2_9ce4_8422_2325
  for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
  return hash
}

/// The venue's texts, in the shape of its samples.
enum Venue {
  static func ticker(mark: Int, last: Int) -> String {
    "{\"channel_name\":\"ticker.BTC-PERPETUAL.raw\",\"notification\":{\"mark_price\":\(mark).41,"
      + "\"mark_timestamp\":1776715497.7188172,\"best_bid_price\":99990,\"best_bid_amount\":1.5,\"best_ask_price\":100010,"
      + "\"best_ask_amount\":1.5,\"last_price\":\(last),\"delta\":1,\"volume_24h\":152.313,\"value_24h\":11603845.12,"
      + "\"low_price_24h\":94610,\"high_price_24h\":106915,\"change_24h\":512,\"index\":100003.25916666667,"
      + "\"collar_low\":93999.7577,\"collar_high\":108577.0623,\"open_interest\":123.456,\"funding_rate\":1e-05,"
      + "\"funding_mark\":-1.27,\"realised_funding_24h\":-3.21,\"average_funding_rate_24h\":1.27e-05}}"
  }

  static func book(bids: String, asks: String, isSnapshot: Bool = false) -> String {
    "{\"channel_name\":\"book.BTC-PERPETUAL.none.10.raw\",\"notification\":{\"trades\":[],\"bid_changes\":[\(bids)],"
      + "\"ask_changes\":[\(asks)],\"total_bid_amount\":15,\"total_ask_amount\":15,\"time\":1776715497.209106}"
      + (isSnapshot ? ",\"snapshot\":true}" : "}")
  }

  /// An order on the private feed; with a fill of `lots`, if that is not 0.
  static func orderUpdate(_ id: String, _ order: LaneScript.Order, lots: Int) -> String {
    let trade =
      lots == 0
      ? ""
      : "{\"trade_id\":\"\(tradeID(id, order.fills))\",\"price\":\(order.price),\"amount\":\(amount(lots)),"
        + "\"time\":1776715499.004512,\"maker_taker\":\"maker\",\"leg_index\":0}"
    return "{\"channel_name\":\"session.orders\",\"notification\":[{\"order_id\":\"00\(id)\",\"order_type\":\"limit\","
      + "\"time_in_force\":\"good_till_cancelled\",\"instrument_name\":\"BTC-PERPETUAL\",\"direction\":\(order.direction),"
      + "\"price\":\(order.price),\"amount\":\(amount(order.amountLots)),\"filled_amount\":\(amount(order.filledLots)),"
      + "\"remaining_amount\":\(amount(order.amountLots - order.filledLots)),\"label\":\"\(LaneSettings().label)\","
      + "\"client_order_id\":\(id),\"status\":\"\(order.filledLots == 0 ? "open" : "partially_filled")\","
      + "\"fills\":[\(trade)],\"change_reason\":\"\(lots == 0 ? "amend" : "fill")\",\"insert_reason\":\"client_request\","
      + "\"create_time\":1776715498.201377,\"persistent\":false}]}"
  }

  /// Thousandths of a contract.
  static func amount(_ lots: Int) -> String {
    "\(lots / 1000)." + String(1000 + lots % 1000).dropFirst()
  }

  static func lots(_ amount: String) -> Int {
    let parts = amount.split(separator: ".")
    let fraction = parts.count > 1 ? parts[1].prefix(3) : ""
    return (Int(parts[0]) ?? 0) * 1000
      + (Int(fraction + String(repeating: "0", count: 3 - fraction.count)) ?? 0)
  }

  private static func tradeID(_ id: String, _ number: Int) -> String {
    let text = id + "F" + String(number)
    return String(repeating: "0", count: max(0, 32 - text.count)) + text
  }
}
