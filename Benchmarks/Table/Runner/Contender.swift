import CBench
import Foundation
import Pieces

/// Ours, or a peer, ready to be timed on one row.
final class Contender {
  let name: String
  private let runBody: (Int) throws -> Int64
  private let checkBody: () throws -> [Int64]?
  /// Nanoseconds of one operation, one entry a round.
  var rounds: [Double] = []

  init(name: String, run: @escaping (Int) throws -> Int64, check: @escaping () throws -> [Int64]?) {
    self.name = name
    runBody = run
    checkBody = check
  }

  /// Nanoseconds of one of `count` operations.
  func run(_ count: Int) throws -> Double { Double(try runBody(count)) / Double(count) }

  /// `nil` if it has nothing to compare.
  func check() throws -> [Int64]? { try checkBody() }

  var median: Double? { rounds.isEmpty ? nil : Statistics.percentile(50, of: rounds) }

  /// Half the distance between the quartiles as a share of the median.
  var spread: Double? {
    guard let median, median > 0 else { return nil }
    return (Statistics.percentile(75, of: rounds) - Statistics.percentile(25, of: rounds)) / 2 / median
  }
}

enum Statistics {
  /// Nearest rank.
  static func percentile<Value: Comparable>(_ percent: Double, of values: [Value]) -> Value {
    let sorted = values.sorted()
    let rank = Int((percent / 100 * Double(sorted.count)).rounded(.up))
    return sorted[min(sorted.count - 1, max(0, rank - 1))]
  }
}

/// The shared library that tools/bench builds.
struct PeerLibrary {
  private(set) var peers: [UnsafePointer<apus_peer>] = []

  init() {}

  init(path: String) throws {
    guard let handle = dlopen(path, RTLD_NOW | RTLD_LOCAL) else {
      throw TableError("cannot open the peers in \(path): \(String(cString: dlerror()))")
    }
    guard let symbol = dlsym(handle, "apus_peer_at") else {
      throw TableError("\(path) has no apus_peer_at: is it the library that tools/bench builds?")
    }
    let lookup = unsafeBitCast(symbol, to: apus_peer_lookup.self)
    while let peer = lookup(peers.count) { peers.append(peer) }
  }

  /// The peers of one row, made; those that cannot be made are told to `complain`.
  ///
  /// - Parameter input: must outlive them.
  func contenders(
    row: String, input: UnsafeRawBufferPointer, cores: Cores, complain: (String) -> Void
  ) -> [Contender] {
    peers.compactMap { peer in
      guard String(cString: peer.pointee.row) == row else { return nil }
      var name = String(cString: peer.pointee.name)
      if peer.pointee.kind == APUS_PEER_TEXTBOOK { name += " (textbook)" }
      var arguments = apus_peer_input(
        bytes: input.baseAddress, count: input.count, core: Int32(cores.main), other_core: Int32(cores.other ?? -1))
      guard let state = peer.pointee.make(&arguments) else {
        complain("\(name) could not be made")
        return nil
      }
      let owner = PeerState(peer: peer, state: state)
      return Contender(
        name: name, run: { owner.peer.pointee.run(owner.state, UInt64($0)) },
        check: {
          guard let check = owner.peer.pointee.check else { return nil }
          var out = [Int64](repeating: 0, count: 4096)
          let count = check(owner.state, &out, out.count)
          guard count <= out.count else { throw TableError("\(name) has \(count) numbers to compare") }
          return Array(out.prefix(count))
        })
    }
  }

  private final class PeerState {
    let peer: UnsafePointer<apus_peer>
    let state: UnsafeMutableRawPointer
    init(peer: UnsafePointer<apus_peer>, state: UnsafeMutableRawPointer) {
      self.peer = peer
      self.state = state
    }
    deinit { peer.pointee.destroy(state) }
  }
}

struct TableError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}
