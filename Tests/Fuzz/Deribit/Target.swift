import CSupport
import Glibc

/// The Deribit decoder against its own general reader, its books against `BookOracle`, and what it delivers against what
/// can never be. The input is a series of frames with 0x1E between them, so that what one frame teaches the decoder (the
/// order of members, the chain of a book, the grid of an instrument) is in force for the next. A first byte below 0x10
/// stands for a new connection if it is 0, and is stepped over.
@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ data: UnsafePointer<UInt8>, _ size: Int) -> CInt {
  // Half of the inputs for the second best kernels: the best hide what those do.
  let second = [ScanLevel.avx2, .neon].first { apus_scan_runs($0) }
  var world = World(size % 2 == 0 ? nil : second)
  for frame in Array(UnsafeBufferPointer(start: data, count: size)).split(separator: separator).prefix(12) {
    world.take(frame)
  }
  return 0
}

let separator: UInt8 = 0x1E

/// Instruments of several grids, the odd ones included, and one that is never listed.
private let names = [
  "BTC-PERPETUAL", "BTC_USDC-PERPETUAL", "BTC-25DEC26-100000-C", "ODD-GRID", "BTC-FS-25DEC26_PERP", "NEW-PERPETUAL",
]
private let listings = [
  #""kind":"future","instrument_name":"BTC-PERPETUAL","instrument_type":"reversed","contract_size":10,"tick_size":0.5,"min_trade_amount":10,"settlement_period":"perpetual""#,
  #""kind":"future","instrument_name":"BTC_USDC-PERPETUAL","instrument_type":"linear","contract_size":0.001,"tick_size":1,"min_trade_amount":0.001,"settlement_period":"perpetual""#,
  #""kind":"option","instrument_name":"BTC-25DEC26-100000-C","instrument_type":"reversed","contract_size":1,"tick_size":0.0001,"min_trade_amount":0.1,"settlement_period":"month""#,
  #""kind":"future","instrument_name":"ODD-GRID","instrument_type":"linear","contract_size":123.45678901,"tick_size":0.00000007,"min_trade_amount":123.45678901,"settlement_period":"month""#,
  #""kind":"future_combo","instrument_name":"BTC-FS-25DEC26_PERP","instrument_type":"reversed","contract_size":10,"tick_size":0.5,"min_trade_amount":10,"settlement_period":"month""#,
]

private func fail(_ what: String, _ frame: [UInt8], _ found: [String], _ expected: [String]) -> Never {
  var text = "fuzz: \(what)\nframe:    \(String(decoding: frame, as: UTF8.self))\n"
  text += "expected: \(expected.joined(separator: "\n          "))\n"
  text += "found:    \(found.joined(separator: "\n          "))\n"
  _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
  abort()
}

struct World: ~Copyable {
  private var decoder: DeribitDecoder
  /// Without kernels.
  private var general: DeribitDecoder
  /// Without kernels, and each frame behind a space: nothing is as Deribit writes it.
  private var spaced: DeribitDecoder
  private var oracle = BookOracle()

  private static func make(_ level: ScanLevel?) -> DeribitDecoder {
    // Capacities and names are right, so nothing here can throw.
    var decoder = try! DeribitDecoder(instrumentCapacity: 8, labelPrefix: "mm1", label: "mm1-", scanLevel: level)
    for name in names {
      let index = try! decoder.want(instrument: name)
      try! decoder.register(channel: "book.\(name).raw", kind: .book, instrument: index)
      try! decoder.register(channel: "ticker.\(name).100ms", kind: .ticker, instrument: index)
    }
    try! decoder.register(channel: "user.changes.future.BTC.raw", kind: .userChanges)
    try! decoder.register(channel: "user.portfolio.btc", kind: .other)
    return decoder
  }

  init(_ level: ScanLevel?) {
    decoder = Self.make(level)
    general = Self.make(.general)
    spaced = Self.make(.general)
    for listing in listings {
      let id = RequestID.session(.instrument)
      take(ArraySlice("{\"jsonrpc\":\"2.0\",\"id\":\(id),\"result\":{\(listing),\"state\":\"open\"}}".utf8))
    }
  }

  private mutating func forget() {
    decoder.forgetConnection()
    general.forgetConnection()
    spaced.forgetConnection()
    oracle.chains = [:]
  }

  mutating func take(_ whole: ArraySlice<UInt8>) {
    var frame = Array(whole)
    if let byte = frame.first, byte < 0x10, byte != 0x09, byte != 0x0A, byte != 0x0D {
      frame.removeFirst()
      if byte == 0 { forget() }
    }
    let infos = names.indices.map { decoder.info(of: InstrumentIndex($0)) }
    let found = Self.decode(frame, &decoder)
    let slow = Self.decode(frame, &general)
    if found.lines != slow.lines { fail("the fast and the general reader differ", frame, found.lines, slow.lines) }
    if !found.impossible.isEmpty { fail("this can never be", frame, found.impossible, []) }
    if decoder.ignoredItems != general.ignoredItems || decoder.lastReplyID != general.lastReplyID
      || decoder.replyTime != general.replyTime || decoder.grantedRate != general.grantedRate
      || decoder.grantedBurst != general.grantedBurst || decoder.hasMoreTrades != general.hasMoreTrades
      || decoder.newestTradeInPage != general.newestTradeInPage
    {
      fail("the states of the fast and the general reader differ", frame, [], [])
    }
    let other = Self.decode([0x20] + frame, &spaced)
    guard let tree = SlowJSON.parse(frame[...]) else {
      if found.lines != ["edge malformed"] { fail("no JSON, and more than a refusal", frame, found.lines, []) }
      if other.lines != found.lines { fail("no JSON, and more than a refusal behind a space", frame, other.lines, []) }
      return
    }
    // The decoder refuses what is nested deeply. Escaped text shares a scratch area of 1,024 bytes. What a member that is
    // given twice means is not laid down.
    guard tree.depth < 40, tree.escapedBytes < 1_000, !tree.hasTwins else { return forget() }
    if other.lines != found.lines {
      fail("a frame means another thing behind a space", frame, other.lines, found.lines)
    }
    if let expected = oracle.lines(tree, names, infos), expected != found.lines {
      fail("the decoder and the oracle differ", frame, found.lines, expected)
    }
  }

  /// Decodes a copy that ends where its memory ends.
  private static func decode(_ frame: [UInt8], _ decoder: inout DeribitDecoder) -> Recorder {
    var recorder = Recorder()
    recorder.takesNegativePrices = true
    let memory = UnsafeMutableRawBufferPointer.allocate(byteCount: frame.count, alignment: 1)
    memory.copyBytes(from: frame)
    decoder.decode(UnsafeRawBufferPointer(memory), into: &recorder)
    memory.deallocate()
    return recorder
  }
}

/// Book messages once more, derived from a parsed tree, slowly.
struct BookOracle {
  /// The last change of each book that is whole.
  var chains: [Int: UInt64] = [:]

  private func member(_ value: SlowJSON?, _ key: String) -> SlowJSON? {
    guard case .object(let members)? = value else { return nil }
    return members.first { $0.name == Array(key.utf8) }?.value
  }
  private func raw(_ value: SlowJSON?) -> String? {
    guard case .string(let raw)? = value else { return nil }
    return String(decoding: raw, as: UTF8.self)
  }
  private func whole(_ value: SlowJSON?) -> (isPresent: Bool, isWrong: Bool, value: UInt64?) {
    switch value {
    case nil, .null?: (false, false, nil)
    case .number(let spelled)?: (true, false, SlowNumber(spelled).whole)
    default: (false, true, nil)
    }
  }

  /// What the decoder has to deliver of a frame; `nil` if it is no book message, or one that is not judged here.
  mutating func lines(_ tree: SlowJSON, _ names: [String], _ infos: [InstrumentInfo?]) -> [String]? {
    let parameters = member(tree, "params")
    guard raw(member(tree, "method")) == "subscription", let channel = raw(member(parameters, "channel")),
      let index = names.firstIndex(where: { channel == "book.\($0).raw" }), let data = member(parameters, "data")
    else { return nil }
    guard case .object = data else { return ["edge missingMember"] }
    guard let info = infos[index] else { return ["edge unknownName"] }
    // Escaped keys and words are left to the comparison with the general reader.
    let type = member(data, "type")
    var isWrong = false
    switch type {
    case nil, .null?, .string?: break
    default: isWrong = true
    }
    let change = whole(member(data, "change_id")), previous = whole(member(data, "prev_change_id"))
    isWrong = isWrong || change.isWrong || previous.isWrong
    let lost = chains[index] == nil ? [] : ["book lost \(index)"]
    let word = raw(type)
    guard !isWrong, let id = change.value, !previous.isPresent || previous.value != nil,
      word == "snapshot" || word == "change"
    else {
      chains[index] = nil
      return lost + ["edge missingMember"]
    }
    if word == "change" {
      guard let last = chains[index] else { return [] }
      guard previous.value == last else {
        chains[index] = nil
        return lost
      }
    }
    var problem: DecodeProblem?
    var out = ["book \(index) \(word == "snapshot")"]
    // The first defect in the order of the text counts.
    guard case .object(let members) = data else { return nil }
    var sides: [String: [String]] = [:]
    for member in members {
      let key = String(decoding: member.name, as: UTF8.self)
      guard key == "bids" || key == "asks" else { continue }
      sides[key] = levels(member.value, index, key == "bids" ? .buy : .sell, info, &problem)
    }
    if let problem {
      chains[index] = nil
      return lost + ["edge \(problem)"]
    }
    chains[index] = id
    out += (sides["bids"] ?? []) + (sides["asks"] ?? []) + ["book end \(index)"]
    return out
  }

  private func levels(
    _ value: SlowJSON, _ index: Int, _ side: Side, _ info: InstrumentInfo, _ problem: inout DecodeProblem?
  ) -> [String] {
    if case .null = value { return [] }
    guard case .array(let items) = value else {
      problem = problem ?? .missingMember
      return []
    }
    var lines: [String] = []
    for item in items {
      guard case .array(let parts) = item, parts.count == 3, case .string = parts[0],
        case .number(let price) = parts[1],
        case .number(let amount) = parts[2]
      else {
        problem = problem ?? .missingMember
        continue
      }
      guard let ticks = SlowNumber(price).steps(info.grid.tickE8), ticks.outcome != .overflow else {
        problem = problem ?? .offGrid
        continue
      }
      if ticks.value <= 0, info.kind != .combination {
        problem = problem ?? .impossible
        continue
      }
      guard let lots = SlowNumber(amount).steps(info.grid.lotE8), lots.outcome != .overflow else {
        problem = problem ?? .offGrid
        continue
      }
      if lots.value < 0 {
        problem = problem ?? .impossible
        continue
      }
      lines.append("level \(index) \(side.rawValue) \(ticks.value)x\(lots.value)")
    }
    return lines
  }
}
