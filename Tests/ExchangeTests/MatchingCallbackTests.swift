import CSupport
import Testing

@Suite struct MatchingCallbackTests {
  @Test func `a C caller gets every report of a call through its callback, in order`() throws {
    var limits = MatchLimits()
    limits.maxOrders = 16
    limits.maxLevels = 16
    limits.minPrice = PriceTicks(rawValue: 1)
    limits.maxPrice = PriceTicks(rawValue: 1000)
    var created: OpaquePointer?
    #expect(apus_match_create(&limits, &created) == 0)
    let match = try #require(created)
    defer { apus_match_destroy(match) }

    func submit(_ side: Side, _ price: Int64, _ qty: Int64, tag: UInt64) -> [MatchReport] {
      var order = MatchOrder()
      order.tag = tag
      order.sideCode = UInt8(side.rawValue)
      order.price = PriceTicks(rawValue: price)
      order.quantity = QtyLots(rawValue: qty)
      _ = apus_match_new(match, &order)
      var reports: [MatchReport] = []
      withUnsafeMutablePointer(to: &reports) { context in
        apus_match_deliver(
          match, { $0!.assumingMemoryBound(to: [MatchReport].self).pointee.append($1.pointee) }, context)
      }
      return reports
    }
    let accepted = submit(.sell, 100, 5, tag: 1)
    #expect(accepted.map(\.kindCode) == [UInt8(MatchReportKind.accepted.rawValue)])
    _ = submit(.sell, 101, 5, tag: 2)
    let taken = submit(.buy, 101, 8, tag: 3)
    #expect(taken.map(\.kindCode) == [.trade, .trade, .done].map { (kind: MatchReportKind) in UInt8(kind.rawValue) })
    #expect(taken.prefix(2).map(\.makerTag) == [1, 2])
    #expect(taken.prefix(2).map(\.quantity.rawValue) == [5, 3])
  }
}
