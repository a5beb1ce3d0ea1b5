import Glibc
import Testing

@testable import Apus

@Suite struct SlowTicksTests {
  private func entries(_ ticks: borrowing SlowTicks) -> [SlowTicks.Entry] {
    var result: [SlowTicks.Entry] = []
    for place in 0..<ticks.keptCount { result.append(ticks[place]) }
    return result
  }

  @Test func `only ticks above the threshold are kept, with their times and orders`() {
    var ticks = SlowTicks(above: 1000)
    ticks.note(from: 5000, to: 6000, orders: 1)
    ticks.note(from: 7000, to: 8001, orders: 2)
    ticks.note(from: 9000, to: 9000, orders: 0)
    ticks.note(from: 10_000, to: 99_000, orders: 0)
    let kept = entries(ticks)
    #expect(kept == [.init(begin: 7000, end: 8001, orders: 2), .init(begin: 10_000, end: 99_000, orders: 0)])
    let count = ticks.count
    #expect(count == 2)
  }

  @Test func `a full ring keeps the last ones, oldest first, and counts all`() {
    var ticks = SlowTicks(above: 0, capacity: 4)
    for begin in 1...11 { ticks.note(from: Nanoseconds(begin * 10), to: Nanoseconds(begin * 10 + 1), orders: begin) }
    let (count, kept) = (ticks.count, entries(ticks))
    #expect(count == 11)
    #expect(kept.map(\.begin) == [80, 90, 100, 110])
    #expect(kept.map(\.orders) == [8, 9, 10, 11])
  }

  @Test func `without a threshold nothing is kept`() {
    var ticks = SlowTicks(above: nil)
    ticks.note(from: 0, to: .max, orders: 1)
    let (isOn, count, kept) = (ticks.isOn, ticks.count, ticks.keptCount)
    #expect(!isOn && count == 0 && kept == 0)
  }

  @Test func `the file has a header and a line a slow tick, and replaces an older one`() throws {
    let path = "/tmp/apus-slow-ticks-\(getpid())-\(UInt64.random(in: 0 ... .max)).csv"
    defer { unlink(path) }
    var ticks = SlowTicks(above: 10)
    ticks.note(from: 100, to: 200, orders: 3)
    try ticks.write(to: path)
    ticks.note(from: 300, to: 311, orders: 0)
    try ticks.write(to: path)
    let file = try #require(fopen(path, "re"))
    defer { fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 200)
    let count = fread(&bytes, 1, bytes.count, file)
    #expect(String(decoding: bytes[..<count], as: UTF8.self) == "begin_ns,end_ns,orders\n100,200,3\n300,311,0\n")
  }

  @Test func `a file that cannot be written is an error that names it`() {
    let ticks = SlowTicks(above: 10)
    let error = #expect(throws: SystemError.self) { try ticks.write(to: "/no-such-directory/slow.csv") }
    #expect(error?.description.contains("/no-such-directory/slow.csv") == true)
  }
}
