import Glibc

extension Double {
  /// To the base of ten.
  var logarithm: Double { log10(self) }
  var powerOfTen: Double { pow(10, self) }
}
