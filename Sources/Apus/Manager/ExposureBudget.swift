/// How much each of several lanes may hold on one side of one underlying, so that all together never pass a limit although
/// nobody can stop them all at once.
///
/// A lane never makes its worst case larger than the cap that it obeys. So the sum stays within the limit if the caps that
/// are, or may still be, obeyed do: a cap that is lowered counts at its old size until the lane has confirmed the new one,
/// and only what is free then is given to others. A lane that is dark keeps what it had. Amounts in 10⁻⁸ coins; free of
/// clocks and I/O.
struct ExposureBudget {
  private struct Member {
    /// The worst case as last stated; `nil` before that: nothing is known, so nothing is free.
    var worst: Int64?
    /// Caps that were sent and not yet confirmed, oldest first, and the last one that was confirmed.
    var sent: [(serial: UInt32, cap: Int64)] = []
    var confirmed: Int64 = 0

    /// What this lane may come to hold.
    var granted: Int64 { max(max(confirmed, sent.map(\.cap).max() ?? confirmed), worst ?? 0) }
    var newest: Int64 { sent.last?.cap ?? confirmed }
  }

  var limit: Int64
  private var members: [Member]

  /// Before the first directive every lane's cap is 0: lanes under a common limit begin that way.
  init(limit: Int64, members: Int) {
    self.limit = limit
    self.members = Array(repeating: Member(), count: members)
  }

  /// The most that all lanes together may come to hold.
  var granted: Int64 {
    var sum: Int64 = 0
    for member in members {
      // An unknown lane may hold anything.
      guard member.worst != nil else { return .max }
      sum += member.granted
    }
    return sum
  }

  /// The sum of the worst cases as stated; `nil` while one is unknown.
  var worst: Int64? {
    members.reduce(Optional(0)) { sum, member in
      guard let sum, let worst = member.worst else { return nil }
      return sum + worst
    }
  }

  /// A lane states its worst case, and which directive it has obeyed.
  mutating func note(_ member: Int, worst: Int64, obeyed serial: UInt32) {
    members[member].worst = worst
    while let first = members[member].sent.first, serial &- first.serial < 1 << 31 {
      members[member].confirmed = first.cap
      members[member].sent.removeFirst()
    }
  }

  /// A cap has been handed to a lane. One that says the same again adds nothing: the first of them confirms it.
  mutating func sent(_ cap: Int64, to member: Int, serial: UInt32) {
    guard cap != members[member].newest else { return }
    members[member].sent.append((serial, cap))
  }

  /// A member's coins are reckoned anew: its caps are worth what `anew` makes of them.
  mutating func revalue(_ member: Int, _ anew: (Int64) -> Int64) {
    members[member].confirmed = anew(members[member].confirmed)
    for index in members[member].sent.indices { members[member].sent[index].cap = anew(members[member].sent[index].cap) }
  }

  /// The caps that should be in force now.
  ///
  /// - Parameter largest: what each member never wants more than; `nil`: there is no such bound.
  func caps(_ largest: [Int64]? = nil) -> [Int64] {
    Self.shares(
      of: limit,
      members.indices.map {
        Share(
          worst: members[$0].worst, granted: members[$0].granted, newest: members[$0].newest,
          largest: max(largest?[$0] ?? .max, members[$0].worst ?? 0))
      })
  }

  /// One of those who share a limit.
  struct Share {
    /// What it may come to hold as things stand; `nil`: not known.
    var worst: Int64?
    /// What it may come to hold by the caps that are, or may still be, obeyed.
    var granted: Int64
    /// The last cap.
    var newest: Int64
    /// More is never wanted.
    var largest: Int64
  }

  /// Everyone keeps what it may hold and gets the same share of what is free. What is lowered counts at once; what is raised
  /// waits until it is free.
  static func shares(of limit: Int64, _ members: [Share]) -> [Int64] {
    guard members.allSatisfy({ $0.worst != nil }) else { return members.map { min($0.newest, $0.worst ?? 0) } }
    let worst = members.reduce(0) { $0 + ($1.worst ?? 0) }
    let wishes = wishes(limit - worst, members)
    // Not for every lot: a cap that moves calls for messages.
    func step(_ member: Share) -> Int64 { max(1, min(limit / 50, member.largest / 8)) }
    var caps = members.map(\.newest)
    // More was handed out than there is, as when lots have come to be worth more.
    let isOver = limit < members.reduce(0) { $0 + $1.granted }
    for (index, member) in members.enumerated() {
      if wishes[index] < member.newest - step(member) || isOver { caps[index] = min(wishes[index], member.newest) }
    }
    var free = limit
    for (index, member) in members.enumerated() { free -= max(member.granted, caps[index]) }
    for (index, member) in members.enumerated() {
      let wanted = wishes[index]
      guard free > 0, wanted > member.granted, wanted > caps[index] + step(member) || caps[index] <= 0 else { continue }
      let more = min(wanted - max(member.granted, caps[index]), free)
      guard more > 0 else { continue }
      caps[index] = max(member.granted, caps[index]) + more
      free -= more
    }
    return caps
  }

  /// What each has and an equal share of `free`, where nobody gets more than it wants.
  private static func wishes(_ free: Int64, _ members: [Share]) -> [Int64] {
    var wishes = members.map { $0.worst ?? 0 }
    var left = free
    var open = Array(members.indices)
    while !open.isEmpty {
      let share = left / Int64(open.count)
      let modest = open.filter { members[$0].largest < .max && members[$0].largest - wishes[$0] < share }
      guard free > 0, !modest.isEmpty else {
        for index in open { wishes[index] += share }
        break
      }
      for index in modest {
        left -= members[index].largest - wishes[index]
        wishes[index] = members[index].largest
      }
      open.removeAll(where: modest.contains)
    }
    return wishes
  }
}
