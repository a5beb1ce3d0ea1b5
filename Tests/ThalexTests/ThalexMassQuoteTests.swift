import Apus
import CSupport
import Foundation
import TestSupport
import Testing

/// Mass quotes and protection groups (protocol reference 6.5, 7.6, 8.4, 8.5).
@Suite struct ThalexMassQuoteTests {
  private static func encoder(label: String = "mq") throws -> ThalexEncoder {
    var encoder = try ThalexEncoder(instrumentCapacity: 4, label: label)
    let future = InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(1))
    let option = InstrumentGrid(tickE8: 500_000_000, lotE8: 1_000_000, minimumLots: QtyLots(1))
    try encoder.setInstrument(0, name: "BTC-PERPETUAL", grid: future)
    try encoder.setInstrument(1, name: "BTC-24APR26", grid: future)
    try encoder.setInstrument(2, name: "BTC-24APR26-80000-C", grid: option)
    try encoder.setInstrument(3, name: "BTC-24APR26-85000-C", grid: option)
    try encoder.setProduct(0, name: "FBTCUSD", lotE8: 100_000)
    try encoder.setProduct(63, name: "OBTCUSD", lotE8: 1_000_000)
    return encoder
  }

  private typealias Levels = [(Int64, Int64)]?

  /// Levels as (ticks, lots); `nil` leaves a side alone.
  private static func text(
    _ encoder: borrowing ThalexEncoder, _ entries: [(InstrumentIndex, Levels, Levels)],
    options: ThalexMassQuoteOptions = .postOnly, form: ThalexMassQuoteForm = .ladder, id: UInt64 = 22
  ) -> String? {
    func quotes(_ levels: Levels) -> UnsafeBufferPointer<Quote>? {
      guard let levels else { return nil }
      let memory = UnsafeMutableBufferPointer<Quote>.allocate(capacity: levels.count)
      _ = memory.initialize(from: levels.map { Quote(price: PriceTicks(rawValue: $0.0), qty: QtyLots($0.1)) })
      return UnsafeBufferPointer(memory)
    }
    let list = entries.map { ThalexMassQuote(instrument: $0.0, bids: quotes($0.1), asks: quotes($0.2)) }
    defer {
      for entry in list {
        entry.bids?.deallocate()
        entry.asks?.deallocate()
      }
    }
    return list.withUnsafeBufferPointer { list in
      ThalexEncoderTests.text {
        encoder.massQuote(into: $0, id: id, quotes: list, options: options, form: form)
      }
    }
  }

  @Test func `mass quotes of both forms are those of the samples`() throws {
    let encoder = try Self.encoder()
    let ladder = Self.text(
      encoder, [(2, [(46, 200), (45, 100)], [(50, 100), (51, 200)]), (3, [], [(12, 100)])],
      options: [.postOnly, .rejectPostOnly])
    #expect(try ThalexEncoderTests.isSame(ladder, as: "req-mass-quote-multi-level", id: 22), "\(ladder ?? "nothing")")
    let single = Self.text(
      encoder, [(0, [(76280, 100)], [(76300, 100)]), (1, nil, [(76390, 0)])], form: .singleLevel, id: 21)
    #expect(try ThalexEncoderTests.isSame(single, as: "req-mass-quote-single-level", id: 21), "\(single ?? "nothing")")
    let plain = Self.text(encoder, [(0, [], nil)], options: [], form: .singleLevel)
    #expect(
      plain
        == #"{"method":"private/mass_quote","id":22,"params":{"quotes":[{"i":"BTC-PERPETUAL","b":[]}],"label":"mq"}}"#
    )
    let two = Self.text(encoder, [(0, [(1, 1), (2, 1)], nil)], form: .singleLevel)
    #expect(two == nil, "the single-level form has room for one level")
    let unlabelled = Self.text(try Self.encoder(label: ""), [(0, [(1, 1)], nil)], options: .rejectPostOnly)
    #expect(
      unlabelled
        == #"{"method":"private/mass_quote","id":22,"params":{"quotes":[{"i":"BTC-PERPETUAL","b":[[1,0.001]]}],"reject_post_only":true}}"#
    )
  }

  @Test func `protection is set and mass quotes are cancelled as in the samples`() throws {
    let encoder = try Self.encoder()
    let set = ThalexEncoderTests.text {
      encoder.setProtection(into: $0, product: 0, trade: QtyLots(1000), quote: QtyLots(2000), serial: 7)
    }
    let setID = RequestID.protection(0, serial: 7)
    #expect(try ThalexEncoderTests.isSame(set, as: "req-set-mm-protection", id: setID), "\(set ?? "nothing")")
    let cancel = ThalexEncoderTests.text { encoder.cancelMassQuote(into: $0, product: 0) }
    let cancelID = RequestID.cancelMassQuote(0)
    #expect(try ThalexEncoderTests.isSame(cancel, as: "req-cancel-mass-quote", id: cancelID), "\(cancel ?? "nothing")")
    let all = ThalexEncoderTests.text { encoder.cancelMassQuote(into: $0, product: noProduct) }
    #expect(
      all
        == "{\"method\":\"private/cancel_mass_quote\",\"id\":\(RequestID.cancelMassQuote(noProduct)),\"params\":{}}"
    )
    let last = ThalexEncoderTests.text {
      encoder.setProtection(into: $0, product: 63, trade: QtyLots(1), quote: QtyLots(1))
    }
    #expect(last?.contains(#""product":"OBTCUSD","trade_amount":0.01,"quote_amount":0.01"#) == true)
    for (product, trade, quote) in [(0, 0, 1), (0, 2, 1), (0, -1, 1), (1, 1, 1), (64, 1, 1), (255, 1, 1)] {
      let none = ThalexEncoderTests.text {
        encoder.setProtection(
          into: $0, product: ProductIndex(product), trade: QtyLots(Int64(trade)), quote: QtyLots(Int64(quote)))
      }
      #expect(none == nil, "product \(product), \(trade) of \(quote)")
    }
    let unknown = ThalexEncoderTests.text { encoder.cancelMassQuote(into: $0, product: 5) }
    #expect(unknown == nil)
  }

  @Test func `request ids of mass quotes and of groups say what they are about`() {
    #expect(RequestID.kind(of: RequestID.massQuote(1)) == .massQuote(1))
    let limit = RequestID.operandLimit
    #expect(RequestID.kind(of: RequestID.massQuote(limit)) == .massQuote(limit))
    for product in [ProductIndex(0), 1, 63, 254] {
      for serial in [UInt64(0), 1, 0xFFFF_FFFF] {
        let set = RequestID.protection(product, serial: serial)
        let cancel = RequestID.cancelMassQuote(product, serial: serial)
        #expect(RequestID.kind(of: set) == .protection(product))
        #expect(RequestID.kind(of: cancel) == .cancelMassQuote(product))
        #expect(RequestID.serial(of: set) == serial && RequestID.serial(of: cancel) == serial)
        #expect(set < 1 << 53 && cancel < 1 << 53)
      }
    }
    #expect(RequestID.kind(of: RequestID.cancelMassQuote(noProduct)) == .cancelMassQuote(noProduct))
    let unknown: [UInt64] = [5, 256 * 10 + 5, (1 << 41) * 10 + 15, 16, (1 << 41) * 10 + 6, 7, 8, 9]
    for id in unknown {
      #expect(RequestID.kind(of: id) == .unknown, "\(id)")
    }
  }

  @Test func `R20_ the answer to a mass quote: the counts, and each failure by itself`() throws {
    var bench = try Bench()
    let id = RequestID.massQuote(9)
    let whole = bench.decode(try Bench.reply(id, "res-mass-quote"))
    #expect(whole == ["quoted 9 good 3 bad 0"])
    let partial = bench.decode(try Bench.reply(id, "res-mass-quote-partial"))
    #expect(partial == ["quote failed 9 code 15 ask 25050000000", "quoted 9 good 4 bad 1"])
    let cases: [(String, [String])] = [
      (#"{"n_success":0,"n_fail":2}"#, ["quoted 9 good 0 bad 2"]),
      (#"{"errors":null,"n_fail":0.0,"n_success":2e0}"#, ["quoted 9 good 2 bad 0"]),
      (
        #"{"n_success":0,"n_fail":3,"errors":[{"code":44,"message":""},{"message":"","side":"bid","code":4.30e1,"price":null},{"price":-2.5,"side":null,"code":15}]}"#,
        [
          "quote failed 9 code 44", "quote failed 9 code 43 bid", "quote failed 9 code 15 -250000000",
          "quoted 9 good 0 bad 3",
        ]
      ),
      (
        #"{"n_success":0,"n_fail":2,"errors":[{"code":1,"side":"sell"},{"code":1,"side":"both"}]}"#,
        ["quote failed 9 code 1 ask", "edge unknownWord", "quote failed 9 code 1", "quoted 9 good 0 bad 2"]
      ),
      // What cannot be read is refused; its neighbours are delivered, but the sum is not confirmed.
      (
        #"{"n_success":0,"n_fail":2,"errors":[{"message":"x"},{"code":1.5},{"code":2,"side":1},7,{"code":3,"price":1e30},{"code":23}]}"#,
        [
          "edge missingMember", "edge missingMember", "edge missingMember", "edge missingMember", "edge impossible",
          "quote failed 9 code 23",
        ]
      ),
      (#"{"n_success":1}"#, ["edge missingMember"]), (#"{"n_success":1,"n_fail":"0"}"#, ["edge missingMember"]),
      (#"{"n_success":-1,"n_fail":0}"#, ["edge impossible"]), (#"{"n_success":1.5,"n_fail":0}"#, ["edge impossible"]),
      (#"{"n_success":1,"n_fail":0,"errors":{}}"#, ["edge missingMember"]),
      ("null", ["edge missingMember"]), ("[]", ["edge missingMember"]), ("3", ["edge missingMember"]),
    ]
    for (result, lines) in cases {
      let found = bench.decode(#"{"id":\#(id),"result":\#(result)}"#)
      #expect(found == lines, "\(result)")
    }
    let refused = bench.decode(#"{"id":\#(id),"error":{"code":23,"message":"protection not set"}}"#)
    #expect(refused == ["refused massQuote(9) 23"])
  }

  @Test func `answers to a group's set-up and to cancelled mass quotes name the group`() throws {
    var bench = try Bench()
    let set = bench.decode(try Bench.reply(RequestID.protection(1), "res-set-mm-protection"))
    #expect(set == ["replied protection(1) 0"])
    let cancelled = bench.decode(try Bench.reply(RequestID.cancelMassQuote(0), "res-cancel-mass-quote"))
    #expect(cancelled == ["replied cancelMassQuote(0) 0"])
    let all = bench.decode(#"{"id":\#(RequestID.cancelMassQuote(noProduct)),"error":{"code":51}}"#)
    #expect(all == ["refused cancelMassQuote(255) 51"])
    let unknown = bench.decode(#"{"id":\#(RequestID.protection(0)),"error":{"code":17}}"#)
    #expect(unknown == ["refused protection(0) 17"])
  }

  @Test func `what remains of a group comes in its lots, rounded down`() throws {
    var bench = try Bench()
    for (sample, line) in [
      ("executions", "protection 0 960 executions"), ("exhausted", "protection 0 -50 executions"),
      ("refill", "protection 0 1000 refill"),
    ] {
      let lines = bench.decode(try Fixtures.bytes("ntf-mm-protection-\(sample)"))
      #expect(lines == [line])
    }
    func notify(_ items: String) -> String {
      #"{"channel_name":"session.mm_protection","notification":\#(items)}"#
    }
    let cases: [(String, [String])] = [
      ("[]", []),
      (#"[{"reason":"session_end","remaining_amount":0,"product":"OBTCUSD"}]"#, ["protection 1 0 sessionEnd"]),
      (
        #"[{"product":"FBTCUSD","remaining_amount":0.0019,"reason":"executions"},{"product":"FBTCUSD","remaining_amount":-0.0019,"reason":"executions"}]"#,
        ["protection 0 1 executions", "protection 0 -2 executions"]
      ),
      // Noise of binary floating point is no lot less.
      (
        #"[{"product":"FBTCUSD","remaining_amount":0.95999999999999996,"reason":"executions"}]"#,
        ["protection 0 960 executions"]
      ),
      (#"[{"product":"OBTCUSD","remaining_amount":1e-2,"reason":"failover"}]"#, ["protection 1 1 failover"]),
      (#"[{"product":"OBTCUSD","remaining_amount":2,"reason":"client_cancel"}]"#, ["protection 1 200 clientCancel"]),
      (
        #"[{"product":"FBTCUSD","remaining_amount":1,"reason":"eclipse"}]"#,
        ["edge unknownWord", "protection 0 1000 other"]
      ),
      (#"[{"product":"OETHUSD","remaining_amount":1,"reason":"refill"}]"#, []),
      // Nothing was listed in this group yet, so its lot is not known (R64).
      (#"[{"product":"FETHUSD","remaining_amount":1,"reason":"refill"}]"#, ["edge unknownName"]),
      (#"[{"product":"FBTCUSD","remaining_amount":1e30,"reason":"refill"}]"#, ["edge impossible"]),
      (
        #"[{"product":"FBTCUSD","reason":"refill"},{"product":"FBTCUSD","remaining_amount":"1","reason":"refill"},{"remaining_amount":1,"reason":"refill"},{"product":"FBTCUSD","remaining_amount":1},null,{"product":"FBTCUSD","remaining_amount":null,"reason":"refill"},{"product":"FBTCUSD","remaining_amount":3,"reason":"refill"}]"#,
        Array(repeating: "edge missingMember", count: 6) + ["protection 0 3000 refill"]
      ),
      (#"{}"#, ["edge missingMember"]), (#"[{"product":"FBTCUSD",]"#, ["edge malformed"]),
    ]
    for (items, lines) in cases {
      let found = bench.decode(notify(items))
      #expect(found == lines, "\(items)")
    }
    let ignored = bench.decoder.ignoredItems
    #expect(ignored > 0)
  }

  @Test func `R64_ a group counts in the smallest lot of its instruments`() throws {
    var bench = try Bench(isListed: false)
    let none = bench.decoder.lotE8(ofProduct: 0)
    #expect(none == nil)
    func list(_ name: String, _ product: String, _ lot: String) -> String {
      #"{"id":30,"result":[{"instrument_name":"\#(name)",\#(product)"tick_size":1,"volume_tick_size":\#(lot),"min_order_amount":\#(lot),"type":"future"}]}"#
    }
    _ = bench.decode(list("BTC-24APR26", #""product":"FBTCUSD","#, "0.01"))
    let coarse = bench.decoder.lotE8(ofProduct: 0)
    #expect(coarse == 1_000_000)
    _ = bench.decode(list("BTC-PERPETUAL", #""product":"FBTCUSD","#, "0.001"))
    _ = bench.decode(list("BTC-24APR26", #""product":"FBTCUSD","#, "0.01"))
    let fine = bench.decoder.lotE8(ofProduct: 0)
    #expect(fine == 100_000)
    let known = bench.decoder.info(of: 0)?.product
    #expect(known == 0)
    _ = bench.decode(list("BTC-26JUN26", #""product":"XBTCUSD","#, "0.001"))
    _ = bench.decode(list("BTC-21APR26", "", "0.001"))
    let foreign = bench.decoder.info(of: 2)?.product, absent = bench.decoder.info(of: 4)?.product
    #expect(foreign == noProduct && absent == noProduct)
    let wrong = bench.decode(list("BTC-21APR26", #""product":5,"#, "0.001"))
    #expect(wrong == ["begin instruments", "edge missingMember"])
    let outside = bench.decoder.lotE8(ofProduct: 200)
    #expect(outside == nil)
  }

  /// Each level is an order without a client id (reference 8.4): side, price and the request's label identify it.
  @Test func `a mass-quoted order comes without a client id, with the label of its request`() throws {
    var bench = try Bench()
    let text = String(decoding: try Fixtures.bytes("ntf-session-orders-mass-quote"), as: UTF8.self)
    let lines = bench.decode(text.replacing(#""label":"mq""#, with: #""label":"mm-q""#))
    #expect(lines.count == 2)
    for line in lines { #expect(line.contains(" client 0 ") && line.contains(" ours") && !line.contains("persistent")) }
  }
}
