import CSupport

/// The parts of `ws://host:port/path` or `wss://host[:port]/path`.
struct VenueURL: Equatable, Sendable {
  var isSecure: Bool
  var host: String
  var port: UInt16
  var path: String
  /// What goes into the HTTP `Host` header.
  var hostHeader: String

  init(_ text: String) throws(EngineError) {
    let allowed = "expected ws://host:port/path or wss://host[:port]/path"
    func fail(_ why: String) -> EngineError { EngineError(.configuration, "the venue's URL \(text) \(why): \(allowed)") }
    var rest = Substring(text)
    if rest.hasPrefix("wss://") {
      isSecure = true
      rest = rest.dropFirst(6)
    } else if rest.hasPrefix("ws://") {
      isSecure = false
      rest = rest.dropFirst(5)
    } else {
      throw fail("has another scheme")
    }
    let slash = rest.firstIndex(of: "/") ?? rest.endIndex
    path = slash == rest.endIndex ? "/" : String(rest[slash...])
    let authority = rest[..<slash]
    hostHeader = String(authority)
    guard !authority.isEmpty, !authority.contains("@") else { throw fail("names no host") }
    // An IPv6 address stands in brackets, so that its colons are not taken for the port's.
    let afterBracket = authority.lastIndex(of: "]") ?? authority.startIndex
    if let colon = authority[afterBracket...].firstIndex(of: ":") {
      guard let number = UInt16(authority[authority.index(after: colon)...]), number > 0 else {
        throw fail("has no valid port")
      }
      port = number
      host = String(authority[..<colon])
    } else {
      port = isSecure ? 443 : 80
      host = String(authority)
    }
    if host.hasPrefix("["), host.hasSuffix("]") { host = String(host.dropFirst().dropLast()) }
    guard !host.isEmpty else { throw fail("names no host") }
  }
}

extension LadderSection {
  /// The ladder's parameters on an instrument's grid.
  func parameters(on grid: InstrumentGrid) -> LadderParameters {
    LadderParameters(
      levels: levels, halfSpreadCentiBps: halfSpreadBps.hundredths, stepTicks: Int64(stepTicks),
      size: .init(rawValue: max(size.steps(of: grid.lotE8), 1)), growthPermille: growth.permille,
      skewCentiBps: skewBps.hundredths, markWeightPermille: markWeight.permille)
  }
}
