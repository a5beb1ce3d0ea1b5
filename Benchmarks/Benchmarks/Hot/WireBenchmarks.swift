import Apus
import Benchmark
import CSupport
import Foundation

/// Text, framing, encryption and the journal.
func wireBenchmarks() {
  Benchmark("Thalex decode ticker, 600 B, members in the usual order") { benchmark in
    try decode(sample("ntf-ticker-perpetual"), benchmark)
  }
  Benchmark("Thalex decode book, 10 x 2 levels, 580 B") { benchmark in
    let bids = (0..<10).map { "[\(76_280 - $0),\($0 + 1).25,\($0 + 1).25]" }.joined(separator: ",")
    let asks = (0..<10).map { "[\(76_300 + $0),\($0 + 1).5,\($0 + 1).5]" }.joined(separator: ",")
    let text =
      "{\"channel_name\":\"book.BTC-PERPETUAL.none.10.100ms\",\"notification\":{\"trades\":[],\"bid_changes\":[\(bids)],"
      + "\"ask_changes\":[\(asks)],\"total_bid_amount\":4.65,\"total_ask_amount\":3.5,\"time\":1776715497.209106}}"
    try decode(Array(text.utf8), benchmark)
  }
  Benchmark("Thalex decode order notification, one insert, 430 B") { benchmark in
    try decode(sample("ntf-session-orders-insert"), benchmark)
  }

  Benchmark("Thalex encode insert, post-only, label of 16 bytes") { benchmark in
    let encoder = try makeEncoder()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)
    defer { memory.deallocate() }
    var sum = 0
    benchmark.startMeasurement()
    for index in benchmark.scaledIterations {
      sum &+= encoder.insert(
        into: memory, clientID: UInt64(index) + 1_000_000, instrument: 0, side: .buy,
        price: PriceTicks(rawValue: 76_280 + Int64(index & 63)), qty: QtyLots(rawValue: 100), options: .postOnly)
    }
    benchmark.stopMeasurement()
    blackHole(sum)
  }
  Benchmark("Thalex encode amend") { benchmark in
    let encoder = try makeEncoder()
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: 1024, alignment: 64)
    defer { memory.deallocate() }
    var sum = 0
    benchmark.startMeasurement()
    for index in benchmark.scaledIterations {
      sum &+= encoder.amend(
        into: memory, clientID: UInt64(index) + 1_000_000, instrument: 0,
        price: PriceTicks(rawValue: 76_280 + Int64(index & 63)), qty: QtyLots(rawValue: 100))
    }
    benchmark.stopMeasurement()
    blackHole(sum)
  }

  Benchmark("Decimal parse \"76288.41\" to 10^-8") { benchmark in
    let text = Array("76288.41,".utf8CString)
    var sum: Int64 = 0
    text.withUnsafeBufferPointer { text in
      benchmark.startMeasurement()
      for _ in benchmark.scaledIterations {
        var number = ScannedDecimal()
        var value: Int64 = 0
        _ = apus_decimal_parse(text.baseAddress!, 8, &number)
        _ = apus_decimal_to_e8(&number, &value)
        sum &+= value
      }
      benchmark.stopMeasurement()
    }
    blackHole(sum)
  }
  Benchmark("Decimal write, ticks of 0.5 round 76,288") { benchmark in
    let out = UnsafeMutablePointer<CChar>.allocate(capacity: 64)
    defer { out.deallocate() }
    var sum = 0
    benchmark.startMeasurement()
    for index in benchmark.scaledIterations { sum &+= apus_decimal_write(152_576 + Int64(index), 50_000_000, out) }
    benchmark.stopMeasurement()
    blackHole(sum)
  }

  Benchmark("WebSocket receive+next, one text frame of 700 B, unmasked, whole") { benchmark in
    var ends = try OpenEnds()
    let payload = [UInt8](repeating: 0x41, count: 700)
    payload.withUnsafeBytes { _ = ends.server.sendText($0) }
    let frame = Array(ends.server.output)
    var sum = 0
    frame.withUnsafeBytes { frame in
      benchmark.startMeasurement()
      for _ in benchmark.scaledIterations {
        ends.client.receive(frame)
        while case .text(let text) = ends.client.next() { sum &+= text.count }
      }
      benchmark.stopMeasurement()
    }
    blackHole(sum)
  }
  Benchmark("WebSocket begin+commit+consume, one text frame of 300 B, masked in place") { benchmark in
    var ends = try OpenEnds()
    var sum = 0
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations {
      if ends.client.beginText(maximum: 300) != nil, ends.client.commitText(300) {
        sum &+= ends.client.output.count
        ends.client.consumeOutput(ends.client.output.count)
      }
    }
    benchmark.stopMeasurement()
    blackHole(sum)
  }

  Benchmark("TLS 1.3 write+take at one end, feed+read at the other, 300 B") { benchmark in
    let (context, pem) = try TLSContext.selfSignedServer(names: ["localhost"], validFor: -60..<3600)
    var client = try TLSSession(client: TLSContext.client(trusting: .pem(pem)), host: "localhost")
    var server = try TLSSession(server: context)
    let buffer = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 1 << 15)
    defer { buffer.deallocate() }
    for _ in 0..<10 {
      carry(&client, &server, buffer)
      carry(&server, &client, buffer)
    }
    let payload = [UInt8](repeating: 7, count: 300)
    var sum = 0
    payload.withUnsafeBufferPointer { payload in
      benchmark.startMeasurement()
      for _ in benchmark.scaledIterations {
        _ = client.write(payload)
        sum &+= carry(&client, &server, buffer)
      }
      benchmark.stopMeasurement()
    }
    guard sum == 300 * benchmark.scaledIterations.count else {
      benchmark.error("TLS carried \(sum) bytes")
      return
    }
  }

  Benchmark("Journal append, 300 B, pages touched before") { benchmark in
    let path = NSTemporaryDirectory() + "/apus-benchmark-\(UInt64.random(in: 0 ... .max))"
    defer { try? FileManager.default.removeItem(atPath: path) }
    var ends = try JournalEnds(
      path: path, name: "benchmark", configuration: JournalConfiguration(segmentBytes: 4 << 20, bootEpoch: 1), now: 0)
    try ends.service.service(now: 0)
    let payload = [UInt8](repeating: 0x42, count: 300)
    var written = 0
    payload.withUnsafeBytes { payload in
      benchmark.startMeasurement()
      for index in benchmark.scaledIterations
      where ends.writer.append(.inbound, connection: 0, time: Nanoseconds(index), payload: payload) { written += 1 }
      benchmark.stopMeasurement()
    }
    guard written == benchmark.scaledIterations.count else {
      benchmark.error("the journal took \(written) records")
      return
    }
  }
}

/// Moves what one end has pending to the other; returns the plaintext bytes that arrived.
@discardableResult
private func carry(_ from: inout TLSSession, _ to: inout TLSSession, _ buffer: UnsafeMutableBufferPointer<UInt8>) -> Int
{
  let pending = from.pending()
  if pending.count > 0 {
    _ = to.feed(pending)
    from.take(pending.count)
  }
  var sum = 0
  while case .bytes(let count) = to.read(into: buffer) { sum &+= count }
  return sum
}

/// A client and a server that have shaken hands.
private struct OpenEnds: ~Copyable {
  var client: WebSocketEndpoint
  var server: WebSocketEndpoint

  init() throws {
    var client = try WebSocketEndpoint(client: .init())
    var server = try WebSocketEndpoint(server: "/")
    try client.start(host: "localhost", path: "/", key: Array(1...16), maskSeed: 1)
    server.receive(client.output)
    client.consumeOutput(client.output.count)
    _ = server.next()
    client.receive(server.output)
    server.consumeOutput(server.output.count)
    _ = client.next()
    self.client = client
    self.server = server
  }
}

private func sample(_ name: String) throws -> [UInt8] {
  let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .deletingLastPathComponent().deletingLastPathComponent()
  return [UInt8](try Data(contentsOf: root.appendingPathComponent("Tests/Fixtures/thalex-samples/\(name).json")))
}

private func makeEncoder() throws -> ThalexEncoder {
  var encoder = try ThalexEncoder(instrumentCapacity: 1, label: "apus-bench-12345")
  try encoder.setInstrument(
    0, name: "BTC-PERPETUAL",
    grid: InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)))
  return encoder
}

private func decode(_ bytes: [UInt8], _ benchmark: Benchmark) throws {
  var decoder = try ThalexDecoder(instrumentCapacity: 1, channelCapacity: 8, labelPrefix: "mm")
  let instrument = try decoder.want(instrument: "BTC-PERPETUAL")
  try decoder.register(channel: "ticker.BTC-PERPETUAL.100ms", kind: .ticker, instrument: instrument)
  try decoder.register(channel: "book.BTC-PERPETUAL.none.10.100ms", kind: .book, instrument: instrument)
  try decoder.register(channel: "session.orders", kind: .sessionOrders)
  var sink = CountingSink()
  let listing = Array(
    ("{\"id\":\(ThalexRequestID.session(.instruments)),\"result\":[{\"instrument_name\":\"BTC-PERPETUAL\",\"tick_size\":1,"
      + "\"volume_tick_size\":0.001,\"min_order_amount\":0.001,\"type\":\"perpetual\"}]}").utf8)
  listing.withUnsafeBytes { decoder.decode($0, into: &sink) }
  sink = CountingSink()
  bytes.withUnsafeBytes { bytes in
    benchmark.startMeasurement()
    for _ in benchmark.scaledIterations { decoder.decode(bytes, into: &sink) }
    benchmark.stopMeasurement()
  }
  guard sink.problems == 0, sink.events >= benchmark.scaledIterations.count else {
    benchmark.error("\(sink.events) events, \(sink.problems) problems")
    return
  }
  blackHole(sink.sum)
}

/// Uses every event a little, so that nothing is optimised away.
private struct CountingSink: VenueEventSink {
  var events = 0
  var problems = 0
  var sum: Int64 = 0

  mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) {
    events += 1
    sum &+= ticker.markE8 &+ ticker.bidPrice.rawValue
  }
  mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) { events += 1 }
  mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
    sum &+= price.rawValue &+ qty.rawValue
  }
  mutating func bookEnd(_ instrument: InstrumentIndex) {}
  mutating func publicTrade(
    _ instrument: InstrumentIndex, aggressor: Side, price: PriceTicks, qty: QtyLots, time: Nanoseconds
  ) {}
  mutating func indexPrice(_ valueE8: Int64) {}
  mutating func snapshotBegin(_ kind: SnapshotKind) {}
  mutating func snapshotEnd(_ kind: SnapshotKind) {}
  mutating func order(_ report: OrderReport) {
    events += 1
    sum &+= report.price.rawValue
  }
  mutating func fill(_ report: FillReport) {}
  mutating func position(_ report: PositionReport) {}
  mutating func instrument(_ info: InstrumentInfo, isListed: Bool) {}
  mutating func replied(_ request: RequestKind, value: Int64) {}
  mutating func refused(_ request: RequestKind, code: Int64) { problems += 1 }
  mutating func reconnectRequested() {}
  mutating func refusedAtEdge(_ problem: DecodeProblem) { problems += 1 }
}
