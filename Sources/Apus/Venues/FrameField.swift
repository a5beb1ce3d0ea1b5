/// The members that are read of one kind of object, in the order in which the venue writes them.
protocol FrameField: RawRepresentable, CaseIterable where RawValue == Int32 {
  var key: String { get }
}

extension FrameField {
  static var keys: [String] { allCases.map(\.key) }

  /// The member's place in the sets of a `MemberTable`.
  @inline(always)
  var bit: UInt32 { 1 << UInt32(bitPattern: rawValue) }
}
