import Apus
import CSupport

/// One line of a recording, as far as a market needs it. Numbers are in units of 10⁻⁸.
struct FeedLine {
  enum Kind { case bookTicker, depthUpdate, trade, snapshot }

  var kind = Kind.trade
  var localTime: Nanoseconds = 0
  /// Last update id that the line contains (`u`, or `lastUpdateId` of a snapshot).
  var updateID: Int64 = 0
  /// Id of the update before (`pu`), 0 if absent.
  var previousID: Int64 = 0
  var bid: Int64 = 0
  var bidSize: Int64 = 0
  var ask: Int64 = 0
  var askSize: Int64 = 0
  var price: Int64 = 0
  var size: Int64 = 0
  /// The buyer was the maker: the aggressor sold.
  var isBuyerMaker = false
}

/// Scans the collector's lines `<local ns> <JSON>` byte by byte (Binance USDⓈ-M messages, raw).
///
/// Members may come in any order; unknown ones are skipped. A line that does not fit is refused.
struct FeedScanner {
  private(set) var bids: [(price: Int64, size: Int64)] = []
  private(set) var asks: [(price: Int64, size: Int64)] = []

  private var text = UnsafeRawBufferPointer(start: nil, count: 0)
  private var at = 0

  /// Reads one line; `nil` if it is not understood. Levels are then in `bids` and `asks`.
  mutating func scan(_ source: UnsafeRawBufferPointer) -> FeedLine? {
    text = source
    at = 0
    bids.removeAll(keepingCapacity: true)
    asks.removeAll(keepingCapacity: true)
    var line = FeedLine()
    guard let time = integer(), take(UInt8(ascii: " ")), take(UInt8(ascii: "{")) else { return nil }
    line.localTime = time
    var found = Found()
    guard members(&line, &found, isOuter: true), let kind = found.kind else { return nil }
    line.kind = kind
    switch kind {
    case .bookTicker: return found.prices && line.bid > 0 && line.ask > 0 ? line : nil
    case .trade: return line.price > 0 && line.size >= 0 && found.isTrade ? line : nil
    case .depthUpdate, .snapshot: return found.hasID ? line : nil
    }
  }

  private struct Found {
    var kind: FeedLine.Kind?
    var hasID = false
    var prices = false
    var isTrade = false
  }

  private mutating func take(_ byte: UInt8) -> Bool {
    guard at < text.count, text[at] == byte else { return false }
    at += 1
    return true
  }

  private mutating func integer() -> Int64? {
    let begin = at
    var value: Int64 = 0
    while at < text.count, text[at] &- 48 < 10 {
      let (product, tooLarge) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(Int64(text[at] - 48))
      if tooLarge || carry { return nil }
      value = sum
      at += 1
    }
    return at > begin ? value : nil
  }

  /// A decimal in quotes, in 10⁻⁸; further decimals are cut off.
  private mutating func quotedDecimal() -> Int64? {
    guard take(UInt8(ascii: "\"")) else { return nil }
    let begin = at
    var value: Int64 = 0
    while at < text.count, text[at] &- 48 < 10 {
      if at - begin > 9 { return nil }
      value = value * 10 + Int64(text[at] - 48)
      at += 1
    }
    guard at > begin else { return nil }
    var places = 0
    if take(UInt8(ascii: ".")) {
      while at < text.count, text[at] &- 48 < 10 {
        if places < 8 {
          value = value * 10 + Int64(text[at] - 48)
          places += 1
        }
        at += 1
      }
    }
    while places < 8 {
      value *= 10
      places += 1
    }
    return take(UInt8(ascii: "\"")) ? value : nil
  }

  /// The members of an object whose brace has been read, its closing brace included.
  private mutating func members(_ line: inout FeedLine, _ found: inout Found, isOuter: Bool) -> Bool {
    if take(UInt8(ascii: "}")) { return true }
    while true {
      guard take(UInt8(ascii: "\"")) else { return false }
      let begin = at
      while at < text.count, text[at] != UInt8(ascii: "\"") { at += 1 }
      let length = at - begin
      at += 1
      guard take(UInt8(ascii: ":")) else { return false }
      guard member(begin, length, &line, &found, isOuter: isOuter) else { return false }
      if take(UInt8(ascii: ",")) { continue }
      return take(UInt8(ascii: "}"))
    }
  }

  private mutating func member(
    _ begin: Int, _ length: Int, _ line: inout FeedLine, _ found: inout Found, isOuter: Bool
  ) -> Bool {
    let first = length > 0 ? text[begin] : 0
    if isOuter {
      switch (length, first) {
      case (4, UInt8(ascii: "d")):
        return take(UInt8(ascii: "{")) && members(&line, &found, isOuter: false)
      case (4, UInt8(ascii: "b")): return levels(.buy)
      case (4, UInt8(ascii: "a")): return levels(.sell)
      case (12, UInt8(ascii: "l")):
        guard let id = integer() else { return false }
        line.updateID = id
        found.hasID = true
        found.kind = .snapshot
        return true
      default: return skip()
      }
    }
    if length == 2, first == UInt8(ascii: "p"), text[begin + 1] == UInt8(ascii: "u") {
      guard let id = integer() else { return false }
      line.previousID = id
      return true
    }
    guard length == 1 else { return skip() }
    switch first {
    case UInt8(ascii: "e"):
      guard take(UInt8(ascii: "\"")), at < text.count else { return false }
      switch text[at] {
      case UInt8(ascii: "b"): found.kind = .bookTicker
      case UInt8(ascii: "d"): found.kind = .depthUpdate
      case UInt8(ascii: "t"): found.kind = .trade
      default: return false
      }
      at -= 1
      return skip()
    case UInt8(ascii: "u"):
      guard let id = integer() else { return false }
      line.updateID = id
      found.hasID = true
      return true
    case UInt8(ascii: "b"):
      if at < text.count, text[at] == UInt8(ascii: "[") { return levels(.buy) }
      found.prices = true
      return number(&line.bid)
    case UInt8(ascii: "a"):
      if at < text.count, text[at] == UInt8(ascii: "[") { return levels(.sell) }
      return number(&line.ask)
    case UInt8(ascii: "B"): return number(&line.bidSize)
    case UInt8(ascii: "A"): return number(&line.askSize)
    case UInt8(ascii: "p"): return number(&line.price)
    case UInt8(ascii: "q"): return number(&line.size)
    case UInt8(ascii: "m"):
      found.isTrade = true
      line.isBuyerMaker = at < text.count && text[at] == UInt8(ascii: "t")
      return skip()
    default: return skip()
    }
  }

  private mutating func number(_ target: inout Int64) -> Bool {
    guard let value = quotedDecimal() else { return false }
    target = value
    return true
  }

  /// `[["price","size"],…]`.
  private mutating func levels(_ side: Side) -> Bool {
    guard take(UInt8(ascii: "[")) else { return false }
    if take(UInt8(ascii: "]")) { return true }
    while true {
      guard take(UInt8(ascii: "[")), let price = quotedDecimal(), take(UInt8(ascii: ",")), let size = quotedDecimal(),
        take(UInt8(ascii: "]"))
      else { return false }
      if side == .buy { bids.append((price, size)) } else { asks.append((price, size)) }
      if take(UInt8(ascii: ",")) { continue }
      return take(UInt8(ascii: "]"))
    }
  }

  /// Steps over any value.
  private mutating func skip() -> Bool {
    var depth = 0
    while at < text.count {
      switch text[at] {
      case UInt8(ascii: "\""):
        at += 1
        while at < text.count, text[at] != UInt8(ascii: "\"") {
          if text[at] == UInt8(ascii: "\\") { at += 1 }
          at += 1
        }
        guard at < text.count else { return false }
      case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "}"), UInt8(ascii: "]"):
        if depth == 0 { return true }
        depth -= 1
      case UInt8(ascii: ","):
        if depth == 0 { return true }
      default: break
      }
      at += 1
    }
    return false
  }
}
