import CSupport
import Foundation
import TestSupport
import Testing

@testable import Apus

@Suite struct DeribitEncoderTests {
  private static let inverse = InstrumentGrid(
    tickE8: 50_000_000, lotE8: 1_000_000_000, minimumLots: QtyLots(rawValue: 1))

  private static func encoder() throws -> DeribitEncoder {
    var encoder = try DeribitEncoder(instrumentCapacity: 3, labelPrefix: "apus-desk-", label: DeribitBench.label)
    try encoder.setInstrument(2, name: "BTC-25DEC26", grid: inverse)
    try encoder.setInstrument(0, name: "BTC-PERPETUAL", grid: inverse)
    return encoder
  }

  /// What `write` writes, as JSON.
  private static func json(_ write: (borrowing DeribitEncoder, UnsafeMutableRawBufferPointer) -> Int) throws
    -> NSDictionary
  {
    let encoder = try encoder()
    return try withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 64) { memory in
      let count = write(encoder, memory)
      let text = Data(memory[..<count])
      return try #require(try JSONSerialization.jsonObject(with: text) as? NSDictionary)
    }
  }

  /// A sample request with this id, without what this engine leaves to the venue's defaults.
  private static func sample(_ name: String, id: UInt64, without: [String] = [], label: UInt64? = nil) throws
    -> NSDictionary
  {
    let data = Data(try DeribitFixtures.text(name).utf8)
    var request = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    request["id"] = id
    if var parameters = request["params"] as? [String: Any] {
      for key in without { parameters[key] = nil }
      if let label { parameters["label"] = tag(label) }
      request["params"] = parameters
    }
    return request as NSDictionary
  }

  private static func tag(_ clientID: UInt64) -> String {
    withUnsafeTemporaryAllocation(byteCount: OrderTag.digits, alignment: 1) {
      OrderTag.write(clientID, to: $0.baseAddress!)
      return DeribitBench.label + String(decoding: $0, as: UTF8.self)
    }
  }

  private static func venueID(_ text: String) -> VenueID {
    var id = VenueID()
    _ = text.withCString { apus_id_set(&id, $0, text.utf8.count) }
    return id
  }

  @Test func `R46_ order requests are those of the samples, from integers on the grid`() throws {
    let price = PriceTicks(rawValue: 172944), qty = QtyLots(rawValue: 100)
    let insert = try Self.json {
      $0.insert(
        into: $1, clientID: 42, instrument: 0, side: .buy, price: price, qty: qty, options: .postOnly)
    }
    #expect(
      insert
        == (try Self.sample(
          "buy-limit-postonly-request", id: RequestID.insert(42),
          without: ["time_in_force", "reject_post_only", "reduce_only", "mmp", "valid_until"], label: 42)))
    var id = Self.venueID("210049234017437153")
    let amend = try Self.json {
      $0.amend(
        into: $1, clientID: 42, serial: 9, venueID: &id, instrument: 0, price: PriceTicks(rawValue: 172943),
        qty: QtyLots(rawValue: 80))
    }
    #expect(
      amend == (try Self.sample("edit-request", id: RequestID.amend(42, serial: 9), without: ["reject_post_only"])))
    let cancel = try Self.json { $0.cancel(into: $1, clientID: 42, venueID: &id, instrument: 0) }
    #expect(cancel == (try Self.sample("cancel-request", id: RequestID.cancel(42))))
    var none = VenueID()
    let early = try Self.json { $0.cancel(into: $1, clientID: 42, venueID: &none, instrument: 0) }
    #expect(early == (try Self.sample("cancel-by-label-request", id: RequestID.cancel(42), label: 42)))
    let earlyAmend = try Self.json {
      $0.amend(
        into: $1, clientID: 42, serial: 10, venueID: &none, instrument: 0, price: PriceTicks(rawValue: 172943),
        qty: QtyLots(rawValue: 80))
    }
    #expect(
      earlyAmend
        == (try Self.sample(
          "edit-by-label-request", id: RequestID.amend(42, serial: 10), without: ["reject_post_only"], label: 42)))
  }

  /// The members of a request's parameters.
  private static func parameters(_ request: NSDictionary) throws -> [String: Any] {
    try #require(request["params"] as? [String: Any])
  }

  @Test func `R46_ a mass quote is that of the sample, with sets that name it`() throws {
    func level(_ price: Int64, _ lots: Int64) -> [Quote] {
      [Quote(price: PriceTicks(rawValue: price), qty: QtyLots(rawValue: lots))]
    }
    let sides = [level(172_940, 500), level(172_954, 500), level(174_200, 200), level(174_260, 200)]
    let made = try Self.json { encoder, memory in
      sides[0].withUnsafeBufferPointer { first in
        sides[1].withUnsafeBufferPointer { second in
          sides[2].withUnsafeBufferPointer { third in
            sides[3].withUnsafeBufferPointer { fourth in
              let quotes = [
                MassQuote(instrument: 0, bids: first, asks: second),
                MassQuote(instrument: 2, bids: third, asks: fourth),
              ]
              return quotes.withUnsafeBufferPointer { encoder.massQuote(into: memory, serial: 42, quotes: $0) }
            }
          }
        }
      }
    }
    let sample = try Self.sample("mass-quote-request", id: RequestID.massQuote(42))
    #expect(made["id"] as? UInt64 == RequestID.massQuote(42) && made["method"] as? String == "private/mass_quote")
    var parameters = try Self.parameters(made)
    var wanted = try Self.parameters(sample)
    // The label's run is 0; ids rise as numbers and as texts.
    #expect(parameters["quote_id"] as? String == "0000000000000042")
    #expect(parameters["mmp_group"] as? String == "apus-desk")
    for key in ["quote_id", "mmp_group"] { (parameters[key], wanted[key]) = (nil, nil) }
    var quotes = try #require(parameters["quotes"] as? [[String: Any]])
    var samples = try #require(wanted["quotes"] as? [[String: Any]])
    for place in quotes.indices {
      #expect(quotes[place]["quote_set_id"] as? String == Self.tag(42))
      (quotes[place]["quote_set_id"], samples[place]["quote_set_id"]) = (nil, nil)
      for side in ["bid", "ask"] {
        var terms = try #require(samples[place][side] as? [String: Any])
        terms["reject_post_only"] = nil
        terms["post_only"] = true
        samples[place][side] = terms
      }
    }
    (parameters["quotes"], wanted["quotes"]) = (quotes, samples)
    #expect(parameters as NSDictionary == wanted as NSDictionary)
  }

  @Test func `a side without a level is taken away, one that is not given is left alone, two levels are too many`()
    throws
  {
    let two = [
      Quote(price: PriceTicks(rawValue: 1), qty: QtyLots(rawValue: 1)),
      Quote(price: PriceTicks(rawValue: 2), qty: QtyLots(rawValue: 1)),
    ]
    let taken = try Self.json { encoder, memory in
      let quotes = [MassQuote(instrument: 0, bids: nil, asks: UnsafeBufferPointer(start: nil, count: 0))]
      return quotes.withUnsafeBufferPointer { encoder.massQuote(into: memory, serial: 1, quotes: $0) }
    }
    let entries = try #require(try Self.parameters(taken)["quotes"] as? [[String: Any]])
    #expect(entries[0]["bid"] == nil && (entries[0]["ask"] as? [String: Any])?["amount"] as? Int == 0)
    let encoder = try Self.encoder()
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 64) { memory in
      two.withUnsafeBufferPointer { levels in
        for quote in [
          MassQuote(instrument: 0, bids: levels, asks: nil), MassQuote(instrument: 7, bids: nil, asks: nil),
        ] {
          withUnsafePointer(to: quote) {
            let count = encoder.massQuote(
              into: memory, serial: 1, quotes: UnsafeBufferPointer(start: $0, count: 1))
            #expect(count == 0)
          }
        }
      }
    }
  }

  @Test func `a hundred sides of the longest names and numbers fit where the lane gives them room`() throws {
    let name = String(repeating: "N", count: 63)
    let label = "p-" + String(repeating: "z", count: DeribitEncoder.labelLimit - OrderTag.digits - 2)
    var encoder = try DeribitEncoder(instrumentCapacity: 1, labelPrefix: "p-", label: label)
    try encoder.setInstrument(
      0, name: name, grid: InstrumentGrid(tickE8: 1, lotE8: 1, minimumLots: QtyLots(rawValue: 1)))
    let level = Quote(
      price: PriceTicks(rawValue: 999_999_999_999_999_999), qty: QtyLots(rawValue: 999_999_999_999_999_999))
    withUnsafePointer(to: level) { level in
      let side = UnsafeBufferPointer(start: level, count: 1)
      let quotes = Array(repeating: MassQuote(instrument: 0, bids: side, asks: side), count: 50)
      quotes.withUnsafeBufferPointer { quotes in
        withUnsafeTemporaryAllocation(byteCount: QuoteBatch.byteCapacity, alignment: 64) { memory in
          let count = encoder.massQuote(into: memory, serial: RequestID.operandLimit, quotes: quotes)
          #expect(count > 50 * 200)
          for size in stride(from: 0, to: count, by: 997) {
            let less = UnsafeMutableRawBufferPointer(rebasing: memory[..<size])
            #expect(encoder.massQuote(into: less, serial: 1, quotes: quotes) == 0)
          }
        }
      }
    }
  }

  @Test func `protection is set and reset as in the samples, and all quotes are cancelled without a freeze`() throws {
    var settings = ProtectionSettings()
    settings.trade = DecimalE8(e8: 250_009_999)
    settings.quote = DecimalE8(e8: 500_000_000)
    let set = try Self.json { $0.setProtection(into: $1, product: 0, index: "btc_usd", settings: settings, serial: 1) }
    let sample = try Self.sample(
      "set-mmp-config-request", id: RequestID.protection(0, serial: 1),
      without: ["mmp_group", "frozen_time", "delta_limit"])
    var parameters = try Self.parameters(set)
    #expect(parameters["mmp_group"] as? String == "apus-desk" && parameters["frozen_time"] as? Int == 0)
    (parameters["mmp_group"], parameters["frozen_time"]) = (nil, nil)
    #expect(parameters as NSDictionary == (try Self.parameters(sample)) as NSDictionary)
    #expect(set["id"] as? UInt64 == sample["id"] as? UInt64 && set["method"] as? String == sample["method"] as? String)
    let reset = try Self.json { $0.resetProtection(into: $1, index: "btc_usd", serial: 2) }
    #expect(try Self.parameters(reset)["mmp_group"] as? String == "apus-desk")
    #expect(
      reset["method"] as? String == "private/reset_mmp"
        && RequestID.kind(of: reset["id"] as? UInt64 ?? 0) == .session(.resetProtection))
    let cancel = try Self.json { $0.cancelQuotes(into: $1, serial: 3) }
    #expect(cancel["method"] as? String == "private/cancel_quotes")
    #expect(try Self.parameters(cancel) as NSDictionary == ["cancel_type": "all"] as NSDictionary)
  }

  @Test func `a reduction takes at once, rests never and only reduces`() throws {
    let reduction = try Self.json {
      $0.insert(
        into: $1, clientID: 9, instrument: 0, side: .sell, price: PriceTicks(rawValue: 172944),
        qty: QtyLots(rawValue: 3), options: [.reduceOnly, .immediateOrCancel])
    }
    #expect(reduction["method"] as? String == "private/sell")
    let parameters = try #require(reduction["params"] as? [String: Any])
    #expect(parameters["reduce_only"] as? Bool == true && parameters["post_only"] as? Bool == false)
    #expect(parameters["time_in_force"] as? String == "immediate_or_cancel" && parameters["amount"] as? Int == 30)
  }

  @Test func `session requests are those of the samples`() throws {
    let signed = "\"client_id\":\"fo7WCpTk\",\"timestamp\":1790867074000,\"nonce\":\"a1b2c3d4e5\",\"data\":\"\","
    let signature = "\"signature\":\"c361c83fcc86c0d762d876babec485d512e524f087794e4aa55e0205afe356c4\""
    #expect(
      try Self.json { $0.login(into: $1, credentials: signed + signature) }
        == (try Self.sample("auth-client-signature-request", id: RequestID.session(.login))))
    #expect(
      try Self.json { $0.setHeartbeat(into: $1, seconds: 10) }
        == (try Self.sample("set-heartbeat-request", id: RequestID.session(.heartbeat))))
    #expect(
      try Self.json { $0.test(into: $1, serial: 3) }
        == (try Self.sample("test-request", id: RequestID.session(.systemInfo, serial: 3))))
    #expect(
      try Self.json { $0.cancelOnDisconnect(into: $1) }
        == (try Self.sample("enable-cancel-on-disconnect-request", id: RequestID.session(.cancelOnDisconnect))))
    let channels = ["user.changes.future.BTC.raw", "user.portfolio.btc"]
    #expect(
      try Self.json { $0.subscribe(into: $1, id: 11, channels: channels, isPrivate: true) }
        == (try Self.sample("private-subscribe-request", id: 11)))
  }

  @Test func `what does not fit is not written`() throws {
    let encoder = try Self.encoder()
    for size in 0..<200 {
      withUnsafeTemporaryAllocation(byteCount: size, alignment: 64) {
        let memory = UnsafeMutableRawBufferPointer(start: $0.baseAddress, count: size)
        #expect(
          encoder.insert(
            into: memory, clientID: 42, instrument: 0, side: .buy, price: PriceTicks(rawValue: 1),
            qty: QtyLots(rawValue: 1), options: .postOnly) == 0)
      }
    }
    withUnsafeTemporaryAllocation(byteCount: 4096, alignment: 64) {
      // An instrument whose grid is not known.
      #expect(
        encoder.insert(
          into: $0, clientID: 42, instrument: 1, side: .buy, price: PriceTicks(rawValue: 1), qty: QtyLots(rawValue: 1),
          options: .postOnly) == 0)
    }
  }

  @Test func `the currency of an instrument is that under which it is asked for`() {
    #expect(DeribitEncoder.currency(of: "BTC-PERPETUAL") == "BTC")
    #expect(DeribitEncoder.currency(of: "BTC_USDC-PERPETUAL") == "USDC")
    #expect(DeribitEncoder.currency(of: "XRP_USDC-27NOV26-0d625-C") == "USDC")
    #expect(DeribitEncoder.currency(of: "ETH-25DEC26-5000-P") == "ETH")
  }

  @Test func `R57_ logins are signed as the reference's vectors are`() throws {
    for (secret, time, nonce, signature) in [
      (
        "AMANDASECRECT", Int64(1_576_074_319_000), "1iqt2wls",
        "56590594f97921b09b18f166befe0d1319b198bbcdad7ca73382de2f88fe9aa1"
      ),
      (
        "kJ3xW9mQe5VtB8yLzR2nD6uPhG0sAfXcOi4jTbE1", 1_790_867_074_000, "a1b2c3d4e5",
        "c361c83fcc86c0d762d876babec485d512e524f087794e4aa55e0205afe356c4"
      ),
    ] {
      let found = try Array(secret.utf8).withUnsafeBytes {
        try DeribitCredentials.signature(secret: $0, milliseconds: time, nonce: nonce)
      }
      #expect(found == signature)
    }
  }

  @Test func `tags carry every client id, and nothing else is taken for one`() throws {
    let tag = try OrderTag(prefix: "apus-desk-", label: DeribitBench.label, limit: 64)
    func owner(_ text: String) -> OrderTag.Owner {
      var copy = Array(text.utf8CString)
      let count = text.utf8.count
      return copy.withUnsafeMutableBufferPointer {
        tag.owner(of: JSONText(bytes: UnsafePointer($0.baseAddress!), count: count, has_escapes: false))
      }
    }
    var random = SplitMix(seed: 4)
    for id in [1, 31, 32, RequestID.operandLimit]
      + (0..<500).map({ _ in UInt64.random(in: 1...RequestID.operandLimit, using: &random) })
    {
      #expect(owner(Self.tag(id)) == .ourOrder(id))
    }
    #expect(owner(DeribitBench.label) == .ours)
    #expect(owner(DeribitBench.label + "0000000000") == .ours)
    #expect(owner(DeribitBench.label + "vvvvvvvvvv") == .ours)
    #expect(owner(DeribitBench.label + "000000000z") == .ours)
    #expect(owner("apus-desk-") == .ours)
    #expect(owner("apus-desk") == .other)
    #expect(owner("") == .other)
    #expect(throws: TableError.self) { _ = try OrderTag(prefix: "apus-desk-", label: DeribitBench.label, limit: 27) }
  }

  @Test func `R04_ what a refusal proves`() {
    #expect(DeribitAdapter.proof(of: .insert(1), code: 10009) == .noEffect)
    #expect(DeribitAdapter.proof(of: .insert(1), code: 11054) == .noEffect)
    #expect(DeribitAdapter.proof(of: .amend(1), code: 11054) == .nothing)
    #expect(DeribitAdapter.proof(of: .amend(1), code: 11044) == .orderGone)
    #expect(DeribitAdapter.proof(of: .insert(1), code: 10050) == .nothing)
    #expect(DeribitAdapter.proof(of: .insert(1), code: 10040) == .nothing)
    #expect(DeribitAdapter.proof(of: .insert(1), code: -32602) == .noEffect)
    #expect(DeribitAdapter.proof(of: .insert(1), code: 99999) == .nothing)
    #expect(DeribitAdapter.proof(of: .insert(1), code: 0) == .nothing)
    #expect(DeribitAdapter.isThrottle(code: 10028) && !DeribitAdapter.isThrottle(code: 10009))
  }
}
