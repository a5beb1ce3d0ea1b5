/// Instruments that wait for a look, one bit each: finding them costs a word for 64, however many are quoted.
///
/// A round takes the marks that stand at its beginning; what is marked during it waits for the next.
struct DirtySet: ~Copyable {
  private let marks: UnsafeMutablePointer<UInt64>
  private let round: UnsafeMutablePointer<UInt64>
  private let wordCount: Int
  private let count: Int
  /// Something was marked since the last round began.
  private(set) var isAny = false

  init(count: Int) {
    self.count = count
    wordCount = (count + 63) / 64
    marks = .allocate(capacity: wordCount)
    marks.initialize(repeating: 0, count: wordCount)
    round = .allocate(capacity: wordCount)
    round.initialize(repeating: 0, count: wordCount)
  }

  deinit {
    marks.deallocate()
    round.deallocate()
  }

  /// `index` < count.
  @inline(__always)
  mutating func insert(_ index: Int) {
    marks[index >> 6] |= 1 << UInt64(index & 63)
    isAny = true
  }

  mutating func insertAll() {
    for index in 0..<count { insert(index) }
  }

  mutating func beginRound() {
    isAny = false
    for word in 0..<wordCount {
      round[word] = marks[word]
      marks[word] = 0
    }
  }

  /// The next index of the round, in rising order; `word` begins at 0.
  @inline(__always)
  mutating func next(_ word: inout Int) -> Int? {
    while word < wordCount {
      let bits = round[word]
      if bits != 0 {
        round[word] = bits & (bits &- 1)
        return word << 6 | bits.trailingZeroBitCount
      }
      word += 1
    }
    return nil
  }
}
