import Apus
import ApusExchange
import Benchmark
import CSupport

/// Slab, book and matching engine.
func storeBenchmarks() {
  Benchmark("OrderSlab find by client id, 10,000 live, random, not in cache") { benchmark in
    var slab = try OrderSlab(capacity: 16_384, idBits: 32, firstGeneration: 1)
    let ids = fill(&slab, 10_000).shuffledBySeed()
    var found: UInt64 = 0
    benchmark.startMeasurement()
    for index in benchmark.scaledIterations {
      if let order = slab.find(clientID: ids[index]) { found &+= order.pointee.client_id }
    }
    benchmark.stopMeasurement()
    blackHole(found)
  }

  Benchmark("OrderSlab find by venue id, 10,000 live, random, not in cache") { benchmark in
    var slab = try OrderSlab(capacity: 16_384, idBits: 32, firstGeneration: 1)
    let ids = fill(&slab, 10_000).shuffledBySeed().map { venueID($0) }
    var found: UInt64 = 0
    benchmark.startMeasurement()
    for index in benchmark.scaledIterations {
      if let order = slab.find(venueID: ids[index]) { found &+= order.pointee.client_id }
    }
    benchmark.stopMeasurement()
    blackHole(found)
  }

  Benchmark("OrderSlab erase+insert+bind, 10,000 live, oldest first, not in cache") { benchmark in
    var slab = try OrderSlab(capacity: 16_384, idBits: 32, firstGeneration: 1)
    let ids = fill(&slab, 10_000)
    let names = (0..<1000).map { venueID(UInt64($0) + 1 << 40) }
    benchmark.startMeasurement()
    for index in benchmark.scaledIterations {
      if let order = slab.find(clientID: ids[index]) { slab.erase(order) }
      if let order = slab.insert() { _ = slab.bind(order, venueID: names[index]) }
    }
    benchmark.stopMeasurement()
    blackHole(slab.count)
  }

  for levels in [10, 50, 1000, 10_000] {
    Benchmark("Book set + both bests, \(levels) levels a side, updates round the touch") { benchmark in
      var book = try Book(tailLevels: 16_384)
      for step in 0..<Int64(levels) {
        _ = book.set(.buy, PriceTicks(rawValue: 60_000 - step), QtyLots(rawValue: 5))
        _ = book.set(.sell, PriceTicks(rawValue: 60_001 + step), QtyLots(rawValue: 5))
      }
      // Sizes come and go within ten ticks of the touch; every eighth update takes or brings the best itself.
      var updates: [(Side, PriceTicks, QtyLots)] = []
      var random: UInt64 = 1
      for index in 0..<1024 as Range<Int64> {
        random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        let depth = index % 8 == 0 ? 0 : Int64(random >> 60) % Int64(min(levels, 10))
        let qty = index % 16 == 0 ? 0 : Int64(random >> 32 & 31) + 1
        updates.append(
          index & 1 == 0
            ? (.buy, PriceTicks(rawValue: 60_000 - depth), QtyLots(rawValue: qty))
            : (.sell, PriceTicks(rawValue: 60_001 + depth), QtyLots(rawValue: qty)))
      }
      var sum: Int64 = 0
      benchmark.startMeasurement()
      for index in benchmark.scaledIterations {
        let update = updates[index & 1023]
        if book.set(update.0, update.1, update.2) { sum &+= 1 }
        if let bid = book.best(.buy), let ask = book.best(.sell) {
          sum &+= bid.price_ticks.rawValue &+ ask.price_ticks.rawValue
        }
      }
      benchmark.stopMeasurement()
      blackHole(sum)
    }
  }

  Benchmark("MatchingEngine mixed flow: 50% new, 30% cancel, 15% modify, 5% taking, 2,000 resting") { benchmark in
    var engine = try MatchingEngine(
      limits: MatchLimits(
        maxOrders: 8192, maxLevels: 1024, minPrice: PriceTicks(rawValue: 1), maxPrice: PriceTicks(rawValue: 1 << 30)))
    var handles: [UInt64] = []
    var random: UInt64 = 7
    func order(_ number: UInt64, _ side: Side, _ price: Int64) -> MatchOrder {
      MatchOrder(
        tag: number, side: side, price: PriceTicks(rawValue: price), quantity: QtyLots(rawValue: Int64(number & 7) + 1))
    }
    for number in 0..<2000 as Range<UInt64> {
      let side: Side = number & 1 == 0 ? .buy : .sell
      handles.append(engine.submit(order(number, side, 60_000 - side.sign * Int64(1 + number % 200))))
    }
    var reports = 0
    benchmark.startMeasurement()
    for index in benchmark.scaledIterations {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      let number = random >> 20
      let side: Side = number & 1 == 0 ? .buy : .sell
      let place = Int(number >> 8) % handles.count
      let depth = Int64(number >> 16 & 127) + 1
      switch index % 20 {
      case 0..<10: handles[place] = engine.submit(order(number, side, 60_000 - side.sign * depth))
      case 10..<16: _ = engine.cancel(handles[place])
      case 16..<19:
        let price = 60_000 + (place & 1 == 0 ? -depth : depth)
        _ = engine.modify(handles[place], price: PriceTicks(rawValue: price), remaining: QtyLots(rawValue: 4))
      default: _ = engine.submit(order(number, side, 60_000 + side.sign * 5))
      }
      reports &+= engine.reportCount
    }
    benchmark.stopMeasurement()
    blackHole(reports)
  }
}

private func venueID(_ number: UInt64) -> VenueID {
  var id = VenueID()
  let digits = String(number, radix: 16, uppercase: true)
  let text = String(repeating: "0", count: 16 - digits.count) + digits
  _ = apus_id_set(&id, text, text.utf8.count)
  return id
}

private func fill(_ slab: inout OrderSlab, _ count: Int) -> [UInt64] {
  var ids: [UInt64] = []
  for _ in 0..<count {
    guard let order = slab.insert() else { break }
    ids.append(order.pointee.client_id)
    _ = slab.bind(order, venueID: venueID(order.pointee.client_id))
  }
  return ids
}

extension [UInt64] {
  fileprivate func shuffledBySeed() -> [UInt64] {
    var copy = self
    var random: UInt64 = 99
    for index in copy.indices.reversed() {
      random = random &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      copy.swapAt(index, Int(random >> 33) % (index + 1))
    }
    return copy
  }
}
