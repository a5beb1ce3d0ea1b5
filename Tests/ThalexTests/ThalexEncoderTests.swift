import Apus
import CSupport
import Foundation
import TestSupport
import Testing

@Suite struct ThalexEncoderTests {
  static func encoder(label: String = "mm") throws -> ThalexEncoder {
    var encoder = try ThalexEncoder(instrumentCapacity: 4, label: label)
    let grid = InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(1))
    try encoder.setInstrument(1, name: "BTC-PERPETUAL", grid: grid)
    return encoder
  }

  /// Runs `write` on memory of `capacity` bytes; the text, or `nil` if it did not fit.
  static func text(_ capacity: Int = 2048, _ write: (UnsafeMutableRawBufferPointer) -> Int) -> String? {
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: capacity, alignment: 1)
    defer { memory.deallocate() }
    let count = write(memory)
    return count == 0 ? nil : String(decoding: memory[..<count], as: UTF8.self)
  }

  /// The same JSON value; ids are compared apart from the rest.
  static func isSame(_ text: String?, as sample: String, id: UInt64) throws -> Bool {
    var theirs = try JSONSerialization.jsonObject(with: Data(try Fixtures.bytes(sample))) as? [String: Any] ?? [:]
    theirs["id"] = id
    let ours = try JSONSerialization.jsonObject(with: Data((text ?? "{}").utf8))
    let options: JSONSerialization.WritingOptions = [.sortedKeys]
    return try JSONSerialization.data(withJSONObject: ours, options: options)
      == JSONSerialization.data(withJSONObject: theirs, options: options)
  }

  @Test func `session requests are those of the samples`() throws {
    let encoder = try Self.encoder()
    let token =
      "eyJhbGciOiJSUzUxMiIsImtpZCI6IksxMjM0NTY3ODkiLCJ0eXAiOiJKV1QifQ.eyJpYXQiOjE3NzY3MTU0OTcuNzE4fQ.c2lnbmF0dXJlLXBsYWNlaG9sZGVyLW5vdC1hLXJlYWwtc2lnbmF0dXJl"
    let texts: [(String, String?)] = [
      ("req-login", Self.text { encoder.login(into: $0, id: 8, token: token) }),
      ("req-login-account", Self.text { encoder.login(into: $0, id: 8, token: token, account: "A123456789") }),
      ("req-set-cancel-on-disconnect", Self.text { encoder.setCancelOnDisconnect(into: $0, id: 8, seconds: 6) }),
      ("req-instruments", Self.text { encoder.instruments(into: $0, id: 8) }),
      ("req-open-orders", Self.text { encoder.openOrders(into: $0, id: 8) }),
      ("req-portfolio", Self.text { encoder.portfolio(into: $0, id: 8) }),
      ("req-system-info", Self.text { encoder.systemInfo(into: $0, id: 8) }),
      ("req-cancel-all", Self.text { encoder.cancelAll(into: $0, id: 8) }),
      ("req-cancel-session", Self.text { encoder.cancelSession(into: $0, id: 8) }),
      (
        "req-public-subscribe",
        Self.text {
          encoder.subscribe(
            into: $0, id: 8,
            channels: [
              "instruments", "lwt.BTC-PERPETUAL.raw", "ticker.BTC-PERPETUAL.100ms", "book.BTC-PERPETUAL.none.10.100ms",
              "price_index.BTCUSD", "recent_trades.BTCUSD.all", "system",
            ], isPrivate: false)
        }
      ),
      (
        "req-private-subscribe",
        Self.text {
          encoder.subscribe(
            into: $0, id: 8,
            channels: [
              "session.orders", "account.trade_history", "account.portfolio", "account.summary",
              "session.mm_protection",
            ], isPrivate: true)
        }
      ),
      (
        "req-unsubscribe",
        Self.text {
          encoder.unsubscribe(into: $0, id: 8, channels: ["book.BTC-PERPETUAL.none.10.100ms", "account.summary"])
        }
      ),
      (
        "req-trade-history",
        Self.text {
          encoder.tradeHistory(
            into: $0, id: 8, query: ThalexTradeQuery(limit: 100, timeLow: 1_776_700_000, isAscending: true))
        }
      ),
    ]
    for (sample, text) in texts {
      #expect(try Self.isSame(text, as: sample, id: 8), "\(sample): \(text ?? "nothing")")
    }
    let page = Self.text {
      encoder.tradeHistory(
        into: $0, id: 8,
        query: ThalexTradeQuery(
          timeHigh: -5, bookmark: "a\"\\\n", isAscending: false, instrumentNames: "A,B", label: "x"))
    }
    #expect(
      page
        == #"{"method":"private/trade_history","id":8,"params":{"time_high":-5,"bookmark":"a\"\\\u000a","sort":"descending","instrument_names":"A,B","label":"x"}}"#
    )
  }

  @Test func `R46_ order requests are those of the samples, from integers on the grid`() throws {
    let encoder = try Self.encoder()
    let plain = try Self.encoder(label: "")
    let price = PriceTicks(rawValue: 76280)
    var venueID = VenueID()
    _ = apus_id_set(&venueID, "001F3C2600000019", 16)
    let texts: [(String, UInt64, String?)] = [
      (
        "req-insert-limit-post-only", RequestID.insert(1001),
        Self.text {
          encoder.insert(
            into: $0, clientID: 1001, instrument: 1, side: .buy, price: price, qty: QtyLots(100), options: .postOnly)
        }
      ),
      (
        "req-insert-book-or-cancel", RequestID.insert(1002),
        Self.text {
          encoder.insert(
            into: $0, clientID: 1002, instrument: 1, side: .sell, price: PriceTicks(rawValue: 76300), qty: QtyLots(100),
            options: [.postOnly, .rejectPostOnly])
        }
      ),
      (
        "req-insert-ioc", RequestID.insert(1003),
        Self.text {
          plain.insert(
            into: $0, clientID: 1003, instrument: 1, side: .sell, price: PriceTicks(rawValue: 76270), qty: QtyLots(500),
            options: .immediateOrCancel, collar: .clamp)
        }
      ),
      (
        "req-amend-client-order-id", RequestID.amend(1001, serial: 37),
        Self.text {
          encoder.amend(
            into: $0, clientID: 1001, serial: 37, instrument: 1, price: PriceTicks(rawValue: 76285), qty: QtyLots(100))
        }
      ),
      (
        "req-cancel-client-order-id", RequestID.cancel(1001),
        Self.text { encoder.cancel(into: $0, clientID: 1001) }
      ),
      (
        "req-cancel-order-id", RequestID.cancel(77),
        Self.text { encoder.cancel(into: $0, venueID: venueID, operand: 77) }
      ),
    ]
    for (sample, id, text) in texts {
      #expect(try Self.isSame(text, as: sample, id: id), "\(sample): \(text ?? "nothing")")
    }
    let reduce = Self.text {
      encoder.insert(
        into: $0, clientID: RequestID.operandLimit, instrument: 1, side: .sell, price: PriceTicks(rawValue: -3),
        qty: QtyLots(1), options: .reduceOnly, collar: .reject)
    }
    #expect(
      reduce
        == #"{"method":"private/insert","id":5629499534213111,"params":{"direction":"sell","instrument_name":"BTC-PERPETUAL","amount":0.001,"price":-3,"client_order_id":562949953421311,"label":"mm","reduce_only":true,"collar":"reject"}}"#
    )
    // The largest number, with the largest serial, in the fewest bytes that a JSON library may read as floating point.
    let last = Self.text {
      encoder.amend(
        into: $0, clientID: RequestID.amendedLimit, serial: 9999, instrument: 1, price: PriceTicks(rawValue: 3),
        qty: QtyLots(1))
    }
    #expect(
      last
        == #"{"method":"private/amend","id":5629499534199997,"params":{"client_order_id":56294995341,"price":3,"amount":0.001}}"#
    )
    #expect(RequestID.kind(of: 5_629_499_534_199_997) == .amend(RequestID.amendedLimit, serial: 9999))
    let unset = Self.text {
      encoder.insert(into: $0, clientID: 1, instrument: 0, side: .buy, price: price, qty: QtyLots(1))
    }
    #expect(unset == nil)
    let outside = Self.text {
      encoder.amend(into: $0, clientID: 1, serial: 1, instrument: 4, price: price, qty: QtyLots(1))
    }
    #expect(outside == nil)
    let huge = Self.text {
      encoder.amend(
        into: $0, clientID: 1, serial: 1, instrument: 1, price: PriceTicks(rawValue: .max), qty: QtyLots(1))
    }
    #expect(huge == nil)
  }

  @Test func `what does not fit is not written`() throws {
    let encoder = try Self.encoder()
    var lengths: Set<Int> = []
    for capacity in 0..<800 {
      // The memory ends where the capacity does: a sanitizer sees one byte too many.
      let text = Self.text(capacity) {
        encoder.insert(
          into: $0, clientID: 1001, instrument: 1, side: .buy, price: PriceTicks(rawValue: 76280), qty: QtyLots(100),
          options: .postOnly)
      }
      if let text {
        #expect(text.utf8.count + 32 <= capacity)
        lengths.insert(text.utf8.count)
      } else {
        #expect(lengths.isEmpty)
      }
    }
    #expect(lengths.count == 1)
  }

  @Test func `labels and names that the venue would not take are refused at set-up`() throws {
    for label in ["a b", "a\"", "é", String(repeating: "a", count: 33)] {
      #expect(throws: TableError.unusableName(label)) { _ = try ThalexEncoder(instrumentCapacity: 1, label: label) }
    }
    var encoder = try Self.encoder()
    let grid = InstrumentGrid(tickE8: 1, lotE8: 1, minimumLots: QtyLots(1))
    #expect(throws: TableError.unusableName("")) { try encoder.setInstrument(0, name: "", grid: grid) }
    #expect(throws: TableError.full(capacity: 4)) { try encoder.setInstrument(4, name: "A", grid: grid) }
  }

  /// `massQuote` of one instrument and copies of it, levels as (price, lots); `nil` leaves a side alone.
  private func massQuote(
    _ encoder: borrowing ThalexEncoder, times: Int = 1, capacity: Int = 1 << 16, instrument: InstrumentIndex = 1,
    bids: [(Int64, Int64)]?, asks: [(Int64, Int64)]?
  ) -> String? {
    func quotes(_ levels: [(Int64, Int64)]?) -> UnsafeBufferPointer<Quote>? {
      guard let levels else { return nil }
      let memory = UnsafeMutableBufferPointer<Quote>.allocate(capacity: levels.count)
      _ = memory.initialize(
        from: levels.map { Quote(price: PriceTicks(rawValue: $0.0), qty: QtyLots(rawValue: $0.1)) })
      return UnsafeBufferPointer(memory)
    }
    let sides = (quotes(bids), quotes(asks))
    defer {
      sides.0?.deallocate()
      sides.1?.deallocate()
    }
    let entry = ThalexMassQuote(instrument: instrument, bids: sides.0, asks: sides.1)
    return Array(repeating: entry, count: times).withUnsafeBufferPointer { entries in
      Self.text(capacity) { encoder.massQuote(into: $0, id: 22, quotes: entries) }
    }
  }

  @Test func `a mass quote is that of the sample, an empty side is taken away, an absent one left out`() throws {
    let encoder = try Self.encoder(label: "mq")
    let both = massQuote(encoder, bids: [(230, 2000), (225, 1500)], asks: [(250, 1)])
    #expect(
      both
        == #"{"method":"private/mass_quote","id":22,"params":{"quotes":[{"i":"BTC-PERPETUAL","b":[[230,2],[225,1.5]],"a":[[250,0.001]]}],"label":"mq","post_only":true}}"#
    )
    let one = massQuote(encoder, bids: [], asks: nil)
    #expect(
      one
        == #"{"method":"private/mass_quote","id":22,"params":{"quotes":[{"i":"BTC-PERPETUAL","b":[]}],"label":"mq","post_only":true}}"#
    )
    let plain = try Self.encoder(label: "")
    let two = massQuote(plain, times: 2, bids: nil, asks: [(1, 1)])
    #expect(
      two
        == #"{"method":"private/mass_quote","id":22,"params":{"quotes":[{"i":"BTC-PERPETUAL","a":[[1,0.001]]},{"i":"BTC-PERPETUAL","a":[[1,0.001]]}],"post_only":true}}"#
    )
  }

  @Test func `the largest mass quote fits what is asked for it, and one beyond the venue's limits is not written`()
    throws
  {
    let encoder = try Self.encoder(label: String(repeating: "l", count: 32))
    let widest = Array(repeating: (Int64(-92_233_720_368), Int64(922_337_203_685)), count: 10)
    let full = massQuote(encoder, times: 100, capacity: 1 << 17, bids: widest, asks: widest)
    let parsed = try JSONSerialization.jsonObject(with: Data((full ?? "{}").utf8)) as? [String: Any]
    let list = (parsed?["params"] as? [String: Any])?["quotes"] as? [[String: Any]]
    #expect(list?.count == 100)
    #expect((list?.last?["a"] as? [[Any]])?.count == 10)
    // The memory ends where the capacity does: a sanitizer sees one byte too many.
    let asked = ThalexEncoder.massQuoteCapacity(instruments: 2, levels: 40)
    let fits = massQuote(encoder, times: 2, capacity: asked, bids: widest, asks: widest)
    let tooSmall = massQuote(encoder, times: 2, capacity: asked - 1, bids: widest, asks: widest)
    #expect(fits != nil && tooSmall == nil)
    let tooMany = massQuote(encoder, times: 101, bids: [(1, 1)], asks: nil)
    let none = massQuote(encoder, times: 0, bids: [(1, 1)], asks: nil)
    let tooDeep = massQuote(encoder, bids: Array(repeating: (1, 1), count: 11), asks: nil)
    let unset = massQuote(encoder, instrument: 0, bids: [(1, 1)], asks: nil)
    let outside = massQuote(encoder, instrument: 4, bids: [(1, 1)], asks: nil)
    #expect(tooMany == nil && none == nil && tooDeep == nil && unset == nil && outside == nil)
  }
}
