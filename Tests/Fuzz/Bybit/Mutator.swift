@_silgen_name("LLVMFuzzerMutate")
private func mutateBytes(_ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ maxSize: Int) -> Int

/// Mutates the tree of a frame, so that the result is JSON again in most cases and reaches what lies behind the scanner;
/// and the bytes, as libFuzzer does, in the others.
@_cdecl("LLVMFuzzerCustomMutator")
public func customMutator(
  _ data: UnsafeMutablePointer<UInt8>, _ size: Int, _ maxSize: Int, _ seed: CUnsignedInt
) -> Int {
  var mutator = Mutator(seed: seed)
  var frames = Array(UnsafeBufferPointer(start: data, count: size)).split(
    separator: separator, omittingEmptySubsequences: false
  ).map { Array($0) }
  guard mutator.chance(80), !frames.isEmpty else { return mutateBytes(data, size, maxSize) }
  mutator.mutate(&frames)
  let bytes = Array(frames.joined(separator: [separator]))
  guard bytes.count <= maxSize, !bytes.isEmpty else { return mutateBytes(data, size, maxSize) }
  UnsafeMutableBufferPointer(start: data, count: maxSize).baseAddress!.update(from: bytes, count: bytes.count)
  return bytes.count
}

private struct Mutator {
  private var state: UInt64

  init(seed: CUnsignedInt) { state = UInt64(seed) &* 0x9E37_79B9_7F4A_7C15 ^ 0xD1B5_4A32_D192_ED03 }

  private mutating func below(_ limit: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ z >> 30) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ z >> 27) &* 0x94D0_49BB_1331_11EB
    return Int((z ^ z >> 31) % UInt64(max(limit, 1)))
  }
  mutating func chance(_ percent: Int) -> Bool { below(100) < percent }
  private mutating func pick<T>(_ items: [T]) -> T { items[below(items.count)] }

  mutating func mutate(_ frames: inout [[UInt8]]) {
    let at = below(frames.count)
    switch below(12) {
    case 0 where frames.count < 12: frames.insert(frames[at], at: below(frames.count + 1))
    case 1 where frames.count > 1: frames.remove(at: at)
    case 2: frames.swapAt(at, below(frames.count))
    case 3:
      // Where it comes from.
      if let first = frames[at].first, first < 0x10 { frames[at].removeFirst() }
      frames[at].insert(UInt8(below(16)), at: 0)
    default:
      var frame = frames[at][...]
      var lead: [UInt8] = []
      if let first = frame.first, first < 0x10 {
        lead = [first]
        frame = frame.dropFirst()
      }
      guard var tree = SlowJSON.parse(frame) else { return }
      for _ in 0...below(3) { change(&tree, 0) }
      frames[at] = lead + Self.spelled(tree)
    }
  }

  private mutating func change(_ value: inout SlowJSON, _ depth: Int) {
    switch value {
    case .array(var items) where !items.isEmpty && chance(90):
      let at = below(items.count)
      switch below(8) {
      case 0: items.append(items[at])
      case 1: items.remove(at: at)
      case 2: items.swapAt(at, below(items.count))
      default: change(&items[at], depth + 1)
      }
      value = .array(items)
    case .object(var members) where !members.isEmpty && chance(95):
      let at = below(members.count)
      switch below(14) {
      case 0: members.remove(at: at)
      case 1: members.swapAt(at, below(members.count))
      case 2: members.append(SlowJSON.Member(key: Array(pick(Vocabulary.keys).utf8), value: leaf()))
      case 3: members[at].key = Array(pick(Vocabulary.keys).utf8)
      default: change(&members[at].value, depth + 1)
      }
      value = .object(members)
    // The number of a message mostly follows.
    case .number(let spelled) where chance(60):
      guard let number = Int(String(decoding: spelled, as: UTF8.self)) else { fallthrough }
      value = .number(Array("\(number &+ below(3))".utf8))
    default: value = leaf()
    }
  }

  private mutating func leaf() -> SlowJSON {
    switch below(12) {
    case 0: .null
    case 1: .bool(chance(50))
    case 2: .number(Array(pick(["0", "1", "-1", "5.5", "1791270738617", "1e3", "18446744073709551615"]).utf8))
    case 3: .array([])
    case 4: .object([])
    case 5, 6, 7: .string(Array(pick(Vocabulary.words).utf8))
    case 8: Vocabulary.level(pick(Vocabulary.numbers), pick(Vocabulary.numbers))
    default: Vocabulary.number(pick(Vocabulary.numbers))
    }
  }

  private static func spelled(_ value: SlowJSON) -> [UInt8] {
    switch value {
    case .null: Array("null".utf8)
    case .bool(let flag): Array((flag ? "true" : "false").utf8)
    case .number(let spelled): spelled
    case .string(let raw): [0x22] + raw + [0x22]
    case .array(let items): [0x5B] + Array(items.map { spelled($0) }.joined(separator: [0x2C])) + [0x5D]
    case .object(let members):
      [0x7B]
        + Array(members.map { [0x22] + $0.key + [0x22, 0x3A] + spelled($0.value) }.joined(separator: [0x2C])) + [0x7D]
    }
  }
}
