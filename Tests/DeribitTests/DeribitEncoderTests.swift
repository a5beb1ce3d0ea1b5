import CSupport
import Foundation
import TestSupport
import Testing

@testable import Apus

@Suite struct DeribitEncoderTests {
  private static let inverse = InstrumentGrid(
    tickE8: 50_000_000, lotE8: 1_000_000_000, minimumLots: QtyLots(rawValue: 1))

  private static func encoder() throws -> DeribitEncoder {
    var encoder = try DeribitEncoder(instrumentCapacity: 2, label: DeribitBench.label)
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
        into: $1, clientID: 42, venueID: &id, instrument: 0, price: PriceTicks(rawValue: 172943),
        qty: QtyLots(rawValue: 80))
    }
    #expect(
      amend == (try Self.sample("edit-request", id: RequestID.amend(42), without: ["reject_post_only"])))
    let cancel = try Self.json { $0.cancel(into: $1, clientID: 42, venueID: &id, instrument: 0) }
    #expect(cancel == (try Self.sample("cancel-request", id: RequestID.cancel(42))))
    var none = VenueID()
    let early = try Self.json { $0.cancel(into: $1, clientID: 42, venueID: &none, instrument: 0) }
    #expect(early == (try Self.sample("cancel-by-label-request", id: RequestID.cancel(42), label: 42)))
    let earlyAmend = try Self.json {
      $0.amend(
        into: $1, clientID: 42, venueID: &none, instrument: 0, price: PriceTicks(rawValue: 172943),
        qty: QtyLots(rawValue: 80))
    }
    #expect(
      earlyAmend
        == (try Self.sample(
          "edit-by-label-request", id: RequestID.amend(42), without: ["reject_post_only"], label: 42)))
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
