import CSupport

public enum CommandKind: UInt8, Sendable {
  case insert, amend, cancel
}

/// One thing to be asked of the venue about one order.
public struct Command: Equatable, Sendable {
  public var kind: CommandKind
  public var side: Side
  public var instrument: InstrumentIndex
  /// The order to amend or cancel; 0 for an insert.
  public var clientID: UInt64
  /// Insert and amend: the price.
  public var price: PriceTicks
  /// Insert and amend: the total size, the filled part included.
  public var qty: QtyLots
}

/// Commands of one look, in the order in which they should leave. Fixed memory.
public struct CommandBuffer: ~Copyable {
  private let commands: UnsafeMutablePointer<Command>
  public let capacity: Int
  public private(set) var count = 0

  public init(capacity: Int) {
    self.capacity = capacity
    commands = .allocate(capacity: capacity)
  }

  deinit { commands.deallocate() }

  public subscript(index: Int) -> Command {
    precondition(index >= 0 && index < count)
    return commands[index]
  }

  mutating func removeAll() { count = 0 }

  mutating func swap(_ a: Int, _ b: Int) {
    precondition(a >= 0 && a < count && b >= 0 && b < count)
    let command = (commands + a).pointee
    (commands + a).pointee = (commands + b).pointee
    (commands + b).pointee = command
  }

  /// What does not fit is left for the next look: a reconciler may be asked again at any time.
  mutating func append(_ command: Command) {
    guard count < capacity else { return }
    commands[count] = command
    count += 1
  }
}
