import Apus
import CSupport
import Foundation
import Testing

enum EncoderText {
  /// Runs `write` on memory of `capacity` bytes; the text, or `nil` if it did not fit.
  static func text(
    _ encoder: inout BybitEncoder, _ capacity: Int = 2048,
    _ write: (inout BybitEncoder, UnsafeMutableRawBufferPointer) -> Int
  ) -> String? {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 1)
    defer { memory.deallocate() }
    let count = write(&encoder, memory)
    return count == 0 ? nil : String(decoding: memory[..<count], as: UTF8.self)
  }
}

@Suite struct BybitEncoderTests {
  private static let grids: [(tick: Int64, lot: Int64)] = [
    (10_000_000, 100_000), (1_000_000, 1_000_000), (10_000, 100_000_000), (100, 10_000_000_000), (50_000_000, 1),
  ]

  private static func encoder() throws -> BybitEncoder {
    var encoder = try BybitEncoder(instrumentCapacity: 8, label: Bench.label)
    for (index, grid) in grids.enumerated() {
      try encoder.setInstrument(
        InstrumentIndex(index), name: "SYM\(index)USDT",
        grid: InstrumentGrid(tickE8: grid.tick, lotE8: grid.lot, minimumLots: QtyLots(rawValue: 1)))
    }
    return encoder
  }

  @Test func `frames are exactly these`() throws {
    var encoder = try Self.encoder()
    let price = PriceTicks(rawValue: 859_305), qty = QtyLots(rawValue: 10)
    let create = EncoderText.text(&encoder) {
      $0.create(
        into: $1, clientID: 1001, instrument: 0, side: .buy, price: price, qty: qty, milliseconds: 1_791_270_738_605)
    }
    #expect(
      create
        == #"{"reqId":"10011-1","header":{"X-BAPI-TIMESTAMP":"1791270738605","X-BAPI-RECV-WINDOW":"5000"},"op":"order.create","args":[{"category":"linear","symbol":"SYM0USDT","side":"Buy","orderType":"Limit","qty":"0.01","price":"85930.5","timeInForce":"PostOnly","positionIdx":0,"orderLinkId":"mm1-00000000v9"}]}"#
    )
    let reduce = EncoderText.text(&encoder) {
      $0.create(
        into: $1, clientID: 1002, instrument: 2, side: .sell, price: PriceTicks(rawValue: 19_531),
        qty: QtyLots(rawValue: 25), kind: .reduction, milliseconds: 1_791_270_739_999)
    }
    #expect(
      reduce
        == #"{"reqId":"10021-2","header":{"X-BAPI-TIMESTAMP":"1791270739999","X-BAPI-RECV-WINDOW":"5000"},"op":"order.create","args":[{"category":"linear","symbol":"SYM2USDT","side":"Sell","orderType":"Limit","qty":"25","price":"1.9531","timeInForce":"IOC","reduceOnly":true,"positionIdx":0,"orderLinkId":"mm1-00000000va"}]}"#
    )
    let cancel = EncoderText.text(&encoder) {
      $0.cancel(into: $1, clientID: 1001, instrument: 0, milliseconds: 1_791_270_740_000)
    }
    #expect(
      cancel
        == #"{"reqId":"10013-3","header":{"X-BAPI-TIMESTAMP":"1791270740000","X-BAPI-RECV-WINDOW":"5000"},"op":"order.cancel","args":[{"category":"linear","symbol":"SYM0USDT","orderLinkId":"mm1-00000000v9"}]}"#
    )
  }

  @Test(arguments: [UInt64(1), 2])
  func `what is written reads back as what was asked for, and no id is used twice`(seed: UInt64) throws {
    var random = SplitMix(state: seed)
    var encoder = try Self.encoder()
    var ids: Set<String> = []
    var milliseconds: Int64 = 1_791_270_738_605
    for _ in 0..<3_000 {
      milliseconds += [0, 1, 9_000, 10_000, 123_456, 90_000_000].randomElement(using: &random)!
      if Int.random(in: 0..<200, using: &random) == 0 {
        milliseconds = [7, 0, 10_000_000_000_000].randomElement(using: &random)!
      }
      let count = Int.random(in: 1...20, using: &random)
      var orders = (0..<count).map { _ in
        BybitBatchOrder(
          clientID: UInt64.random(
            in: 1...RequestID.operandLimit >> UInt64.random(in: 0..<48, using: &random), using: &random),
          instrument: InstrumentIndex.random(in: 0..<5, using: &random),
          side: Bool.random(using: &random) ? .buy : .sell,
          price: PriceTicks(
            rawValue: Int64.random(in: 1...10_000_000 >> Int64.random(in: 0..<20, using: &random), using: &random)),
          qty: QtyLots(
            rawValue: Int64.random(in: 1...10_000_000 >> Int64.random(in: 0..<20, using: &random), using: &random)))
      }
      let what = Int.random(in: 0..<6, using: &random)
      if what == 1 { orders[0].clientID = orders[0].clientID % RequestID.amendedLimit + 1 }
      let order = orders[0]
      let kind = BybitOrderKind.allCases.randomElement(using: &random)!
      let serial = UInt16.random(in: 1...9999, using: &random)
      let text = EncoderText.text(&encoder, BybitEncoder.batchCapacity(orders: 20)) { encoder, memory in
        switch what {
        case 0:
          encoder.create(
            into: memory, clientID: order.clientID, instrument: order.instrument, side: order.side, price: order.price,
            qty: order.qty, kind: kind, milliseconds: milliseconds)
        case 1:
          encoder.amend(
            into: memory, clientID: order.clientID, serial: serial, instrument: order.instrument, price: order.price,
            qty: order.qty, milliseconds: milliseconds)
        case 2:
          encoder.cancel(
            into: memory, clientID: order.clientID, instrument: order.instrument, milliseconds: milliseconds)
        default:
          orders.withUnsafeBufferPointer {
            switch what {
            case 3:
              encoder.create(
                into: memory, id: RequestID.massQuote(order.clientID), orders: $0, kind: kind,
                milliseconds: milliseconds)
            case 4:
              encoder.amend(
                into: memory, id: RequestID.massQuote(order.clientID), orders: $0, milliseconds: milliseconds)
            default:
              encoder.cancel(
                into: memory, id: RequestID.massQuote(order.clientID), orders: $0, milliseconds: milliseconds)
            }
          }
        }
      }
      let parsed = try #require(
        try JSONSerialization.jsonObject(with: Data((text ?? "").utf8)) as? [String: Any], "seed \(seed)")
      let reqID = try #require(parsed["reqId"] as? String)
      #expect(ids.insert(reqID).inserted && reqID.utf8.count <= BybitVenue.tagLimit)
      let request = UInt64(reqID.prefix { $0 != "-" })
      let operation = ["order.create", "order.amend", "order.cancel"][what % 3]
      let expected =
        switch what {
        case 0: RequestID.insert(order.clientID)
        case 1: RequestID.amend(order.clientID, serial: serial)
        case 2: RequestID.cancel(order.clientID)
        default: RequestID.massQuote(order.clientID)
        }
      #expect(request == expected)
      #expect(parsed["op"] as? String == operation + (what < 3 ? "" : "-batch"))
      let header = try #require(parsed["header"] as? [String: String])
      #expect(header == ["X-BAPI-TIMESTAMP": "\(milliseconds)", "X-BAPI-RECV-WINDOW": "5000"])
      let args = try #require((parsed["args"] as? [[String: Any]])?.first)
      #expect(args["category"] as? String == "linear")
      let written = what < 3 ? [args] : args["request"] as? [[String: Any]] ?? []
      #expect(written.count == (what < 3 ? 1 : orders.count))
      for (item, order) in zip(written, orders) {
        #expect(item["symbol"] as? String == "SYM\(order.instrument)USDT")
        #expect(item["orderLinkId"] as? String == Fixtures.tag(order.clientID))
        let grid = Self.grids[Int(order.instrument)]
        func isEqual(_ text: Any?, _ steps: Int64, _ step: Int64) -> Bool {
          Decimal(string: text as? String ?? "x") == Decimal(steps) * Decimal(step) / 100_000_000
        }
        guard what % 3 != 2 else {
          #expect(item["qty"] == nil && item["price"] == nil)
          continue
        }
        #expect(isEqual(item["qty"], order.qty.rawValue, grid.lot), "\(item) \(order)")
        #expect(isEqual(item["price"], order.price.rawValue, grid.tick), "\(item) \(order)")
        guard what % 3 == 0 else { continue }
        #expect(item["side"] as? String == (order.side == .buy ? "Buy" : "Sell"))
        #expect(item["orderType"] as? String == "Limit" && item["positionIdx"] as? Int == 0)
        let words: [BybitOrderKind: String] = [
          .postOnly: "PostOnly", .reduction: "IOC", .immediate: "IOC", .goodTillCancelled: "GTC",
        ]
        #expect(item["timeInForce"] as? String == words[kind])
        #expect(item["reduceOnly"] as? Bool == (kind == .reduction ? true : nil))
      }
    }
  }

  @Test func `what does not fit, is not set or cannot be written gives no frame`() throws {
    var encoder = try Self.encoder()
    let order = BybitBatchOrder(clientID: 1, instrument: 0, price: PriceTicks(rawValue: 1), qty: QtyLots(rawValue: 1))
    func create(_ capacity: Int, _ instrument: InstrumentIndex, _ price: Int64, _ encoder: inout BybitEncoder)
      -> String?
    {
      EncoderText.text(&encoder, capacity) {
        $0.create(
          into: $1, clientID: 1, instrument: instrument, side: .buy, price: PriceTicks(rawValue: price),
          qty: QtyLots(rawValue: 1), milliseconds: 1_791_270_740_000)
      }
    }
    let small = create(BybitEncoder.orderCapacity - 1, 0, 1, &encoder)
    let enough = create(BybitEncoder.orderCapacity, 0, 1, &encoder)
    let unset = create(2048, 7, 1, &encoder)
    let outside = create(2048, 9, 1, &encoder)
    let huge = create(2048, 0, .max, &encoder)
    #expect(small == nil && enough != nil && unset == nil && outside == nil && huge == nil)
    for count in [0, 21] {
      let batch = EncoderText.text(&encoder, 10_000) { encoder, memory in
        Array(repeating: order, count: count).withUnsafeBufferPointer {
          encoder.create(into: memory, id: 14, orders: $0, milliseconds: 0)
        }
      }
      #expect(batch == nil)
    }
    let noID = EncoderText.text(&encoder) {
      $0.cancel(into: $1, venueID: VenueID(), operand: 1, instrument: 0, milliseconds: 0)
    }
    #expect(noID == nil)
    let quoted = EncoderText.text(&encoder) { encoder, memory in
      var id = VenueID()
      _ = apus_id_set(&id, "a\"b", 3)
      return encoder.cancel(into: memory, venueID: id, operand: 1, instrument: 0, milliseconds: 0)
    }
    #expect(quoted == nil)
    let short = EncoderText.text(&encoder, 60) { $0.subscribe(into: $1, id: 40, topics: ["orderbook.50.BTCUSDT"]) }
    #expect(short == nil)
    for label in ["", "a b", "ü", "a\"", String(repeating: "a", count: 27)] {
      #expect(throws: TableError.self) { _ = try BybitEncoder(instrumentCapacity: 1, label: label) }
    }
    for name in ["", "A B", "A\"", String(repeating: "A", count: 41)] {
      #expect(throws: TableError.self) {
        var encoder = try Self.encoder()
        try encoder.setInstrument(
          0, name: name, grid: InstrumentGrid(tickE8: 1, lotE8: 1, minimumLots: QtyLots(rawValue: 1)))
      }
    }
  }

  @Test func `the longest frames fit the stated room`() throws {
    let name = String(repeating: "S", count: 40), label = String(repeating: "l", count: 26)
    var encoder = try BybitEncoder(instrumentCapacity: 1, label: label, requestWindow: 60_000)
    try encoder.setInstrument(
      0, name: name, grid: InstrumentGrid(tickE8: 1, lotE8: 1, minimumLots: QtyLots(rawValue: 1)))
    let orders = (0..<20).map { _ in
      BybitBatchOrder(
        clientID: RequestID.operandLimit, instrument: 0, side: .sell, price: PriceTicks(rawValue: .max),
        qty: QtyLots(rawValue: .max))
    }
    let single = EncoderText.text(&encoder, BybitEncoder.orderCapacity) {
      $0.create(
        into: $1, clientID: RequestID.operandLimit, instrument: 0, side: .sell, price: PriceTicks(rawValue: .max),
        qty: QtyLots(rawValue: .max), kind: .reduction, milliseconds: .max)
    }
    #expect((single ?? "").utf8.count + 32 <= BybitEncoder.orderCapacity && single != nil)
    let batch = EncoderText.text(&encoder, BybitEncoder.batchCapacity(orders: 20)) { encoder, memory in
      orders.withUnsafeBufferPointer {
        encoder.create(into: memory, id: .max, orders: $0, kind: .reduction, milliseconds: .max)
      }
    }
    #expect((batch ?? "").utf8.count + 32 <= BybitEncoder.batchCapacity(orders: 20) && batch != nil)
  }

  @Test func `R57 signatures are those of the reference's vectors`() {
    let secret = Array("3pLq8WcYtG5hUoSjVxK0bNfM4rDzEiA2".utf8)
    guard let credentials = BybitCredentials(key: "k7Qd2vXyB1mTnE9RzA", secret: secret) else {
      Issue.record("no credentials")
      return
    }
    let login = credentials.loginSignature(expires: 1_791_270_748_000)
    #expect(login == "9f6f9a9707a3b49927f783afafec403b57c599483072e6fd7c5f1090aa22581c")
    let trade = credentials.loginSignature(expires: 1_791_270_758_000)
    #expect(trade == "e5564f6d4581d2bbb3a3c4c5c778678290f7b68206f75d596b5d92d8a94c4298")
    let get = credentials.requestSignature(
      milliseconds: 1_791_270_738_000, window: 5000, payload: "category=linear&symbol=BTCUSDT")
    #expect(get == "86fdac40d1f8ffb3853c004cc2651a7617262dbccccff78e6ce6a62495615af6")
    let post = credentials.requestSignature(
      milliseconds: 1_791_270_738_000, window: 5000,
      payload:
        #"{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.010","price":"85930.5","timeInForce":"PostOnly"}"#
    )
    #expect(post == "57e71ab3da6202793cf765ffd190516231500b7a2cfef1ae73f13eb8eea2698d")
    for (key, secret) in [("a", ""), ("a b", "s"), ("a", "s\""), ("", "s"), ("a", "s\\"), ("a", "s\n")] {
      if BybitCredentials(key: key, secret: Array(secret.utf8)) != nil { Issue.record("\(key) \(secret)") }
    }
  }

  @Test func `requests to the REST interface are signed over what is sent`() {
    let secret = Array("3pLq8WcYtG5hUoSjVxK0bNfM4rDzEiA2".utf8)
    guard let credentials = BybitCredentials(key: "k7Qd2vXyB1mTnE9RzA", secret: secret) else {
      Issue.record("no credentials")
      return
    }
    let targets: [(BybitRestRequest, String)] = [
      (.instruments(), "/v5/market/instruments-info?category=linear&limit=1000"),
      (.instruments(cursor: "a%3Ab"), "/v5/market/instruments-info?category=linear&limit=1000&cursor=a%3Ab"),
      (.openOrders(), "/v5/order/realtime?category=linear&settleCoin=USDT&openOnly=0&limit=50"),
      (
        .openOrders(cursor: "x%2C1"),
        "/v5/order/realtime?category=linear&settleCoin=USDT&openOnly=0&limit=50&cursor=x%2C1"
      ),
      // A cursor that would change the query is left out.
      (.openOrders(cursor: "x&limit=1"), "/v5/order/realtime?category=linear&settleCoin=USDT&openOnly=0&limit=50"),
      (
        .order(linkID: "mm1-0000000001", symbol: "BTCUSDT", isRecent: true),
        "/v5/order/realtime?category=linear&symbol=BTCUSDT&orderLinkId=mm1-0000000001&openOnly=1"
      ),
      (.executions(since: 5), "/v5/execution/list?category=linear&startTime=5&limit=100"),
      (.executions(), "/v5/execution/list?category=linear&limit=100"),
      (.positions(), "/v5/position/list?category=linear&settleCoin=USDT&limit=200"),
      (.wallet, "/v5/account/wallet-balance?accountType=UNIFIED"),
      (.feeRate(), "/v5/account/fee-rate?category=linear"),
      (.feeRate(symbol: "A/B"), "/v5/account/fee-rate?category=linear&symbol=A%2FB"),
      (.priceLimit(symbol: "BTCUSDT"), "/v5/market/price-limit?category=linear&symbol=BTCUSDT"),
      (.time, "/v5/market/time"),
      (.deadMan, "/v5/account/query-dcp-info"),
    ]
    for (request, target) in targets { #expect(request.target == target && request.method == .get) }
    let bodies: [(BybitRestRequest, String)] = [
      (.cancelAll(), #"{"category":"linear","settleCoin":"USDT"}"#),
      (.cancelAll(symbol: "BTCUSDT"), #"{"category":"linear","symbol":"BTCUSDT"}"#),
      (.setDeadMan(seconds: 10), #"{"product":"DERIVATIVES","timeWindow":10}"#),
      (.setPriceLimitAction(isMoved: false), #"{"category":"linear","modifyEnable":false}"#),
    ]
    for (request, body) in bodies { #expect(request.payload == body && request.method == .post) }
    let get = BybitRestRequest.wallet.text(
      host: "api.example", credentials: credentials, milliseconds: 1_791_270_738_000)
    let getSign = credentials.requestSignature(
      milliseconds: 1_791_270_738_000, window: 5000, payload: "accountType=UNIFIED")
    #expect(
      get
        == "GET /v5/account/wallet-balance?accountType=UNIFIED HTTP/1.1\r\nHost: api.example\r\nX-BAPI-API-KEY: k7Qd2vXyB1mTnE9RzA\r\nX-BAPI-TIMESTAMP: 1791270738000\r\nX-BAPI-RECV-WINDOW: 5000\r\nX-BAPI-SIGN: \(getSign ?? "none")\r\n\r\n"
    )
    let post = BybitRestRequest.cancelAll(symbol: "BTCUSDT").text(
      host: "api.example", credentials: credentials, milliseconds: 7)
    let postSign = credentials.requestSignature(
      milliseconds: 7, window: 5000, payload: #"{"category":"linear","symbol":"BTCUSDT"}"#)
    let body = #"{"category":"linear","symbol":"BTCUSDT"}"#
    let isWhole =
      post?.hasSuffix(
        "X-BAPI-SIGN: \(postSign ?? "none")\r\nContent-Type: application/json\r\nContent-Length: "
          + "\(body.utf8.count)\r\n\r\n\(body)") == true
    #expect(isWhole, "\(post ?? "")")
    let open = BybitRestRequest.time.text(host: "api.example", credentials: credentials, milliseconds: 7)
    #expect(open == "GET /v5/market/time HTTP/1.1\r\nHost: api.example\r\n\r\n")
    let split = BybitRestRequest.time.text(host: "a\r\nb", credentials: credentials, milliseconds: 7)
    #expect(split == nil)
  }
}
