/// A connection to a simulated venue, numbered by whoever accepts it. Numbers are not used twice.
public struct ConnectionID: Hashable, Sendable, Comparable, Codable {
  public let rawValue: UInt64
  public init(_ rawValue: UInt64) { self.rawValue = rawValue }
  public static func < (a: Self, b: Self) -> Bool { a.rawValue < b.rawValue }
}

/// What the venue wants done on a connection.
public enum Outgoing {
  /// One message for one text frame; on an HTTP connection, one whole response. The bytes are valid only during the call that hands them out.
  case text(UnsafeRawBufferPointer)
  /// Send a close frame with this code, then close. Nothing follows for the connection.
  case close(UInt16)
}

/// Messages on their way out, in order, in one reused block of memory.
final class Outbox {
  private struct Entry {
    var connection: ConnectionID
    var offset: Int
    /// Byte count, or −1 − code for a close.
    var length: Int
  }

  private var entries: [Entry] = []
  private let text = TextBuffer(capacity: 1 << 16)
  private(set) var posted: UInt64 = 0

  var isEmpty: Bool { entries.isEmpty }

  func post(_ connection: ConnectionID, _ message: TextBuffer) {
    entries.append(Entry(connection: connection, offset: text.count, length: message.count))
    text.append(message.bytes)
    posted += 1
  }

  func close(_ connection: ConnectionID, code: UInt16) {
    entries.append(Entry(connection: connection, offset: text.count, length: -1 - Int(code)))
  }

  /// Hands everything over in order and forgets it. `body` must not call back into the venue.
  func drain(_ body: (ConnectionID, Outgoing) -> Void) {
    let all = text.bytes
    for entry in entries {
      if entry.length < 0 {
        body(entry.connection, .close(UInt16(-1 - entry.length)))
      } else {
        body(
          entry.connection,
          .text(UnsafeRawBufferPointer(rebasing: all[entry.offset..<entry.offset + entry.length])))
      }
    }
    entries.removeAll(keepingCapacity: true)
    text.clear()
  }
}
