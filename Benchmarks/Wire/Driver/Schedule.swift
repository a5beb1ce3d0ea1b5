import Apus

/// When ticks are due: fixed in advance, whatever becomes of them.
struct Schedule {
  var name: String
  /// Nanoseconds from the start, ascending.
  var due: [Nanoseconds]

  static func steady(perSecond rate: Int, seconds: Double) -> Schedule {
    let count = max(1, Int(Double(rate) * seconds))
    return Schedule(
      name: "\(thousands(rate)) ticks/s", due: (0..<count).map { Nanoseconds($0) * 1_000_000_000 / Nanoseconds(rate) })
  }

  /// `rate` ticks a second, and in every tenth of `period` ten times as many.
  static func bursts(perSecond rate: Int, period: Nanoseconds, seconds: Double) -> Schedule {
    var due: [Nanoseconds] = []
    var time: Nanoseconds = 0
    let end = Nanoseconds(seconds * 1e9)
    let step = 1_000_000_000 / Nanoseconds(rate)
    while time < end {
      due.append(time)
      time += time % period < period / 10 ? step / 10 : step
    }
    return Schedule(
      name:
        "\(thousands(rate)) ticks/s, bursts of \(thousands(10 * rate)) for \(Statistics.text(Double(period) / 1e7, 0)) ms each \(period / 1_000_000) ms",
      due: due)
  }
}

func thousands(_ value: Int) -> String {
  var digits = String(value)
  var place = digits.count - 3
  while place > 0 {
    digits.insert(",", at: digits.index(digits.startIndex, offsetBy: place))
    place -= 3
  }
  return digits
}
