import Apus
import CSupport

let decimalPieces: [Piece] = [
  Piece("decimal.parse", .batch(20_000)) { _ in Timed(DecimalParse()) },
  Piece("decimal.write", .batch(20_000)) { _ in Timed(DecimalWrite()) },
]

/// `76288.41` to an integer of 10⁻⁸.
private struct DecimalParse: Operation {
  private let text = Array("76288.41,00000000".utf8CString)

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum: Int64 = 0
    let time = text.withUnsafeBufferPointer { text in
      let start = EngineClock.now()
      for _ in 0..<count {
        var number = ScannedDecimal()
        var value: Int64 = 0
        _ = apus_decimal_parse(text.baseAddress!, 8, &number)
        _ = apus_decimal_to_e8(&number, &value)
        sum &+= value
      }
      return EngineClock.now() - start
    }
    guard sum == 7_628_841_000_000 &* Int64(count) else { throw PieceError("parsed to another number") }
    return time
  }
}

/// Prices in ticks of 0.5 to text.
private struct DecimalWrite: Operation, ~Copyable {
  private let out = UnsafeMutablePointer<CChar>.allocate(capacity: 64)

  deinit { out.deallocate() }

  mutating func run(_ count: Int) throws -> Nanoseconds {
    var sum = 0
    let start = EngineClock.now()
    for index in 0..<count { sum &+= apus_decimal_write(152_576 + Int64(index & 1023), 50_000_000, out) }
    let time = EngineClock.now() - start
    keep(Int64(sum))
    return time
  }
}
