import Apus

/// Why something about a release was not done; a sentence for an operator. Nothing has changed then.
public struct ReleaseError: Error, Equatable, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// The arguments do not fit: a name that cannot be one, a mode that is another.
    case arguments
    /// The configuration is wrong, or holds what must not be packed.
    case configuration
    /// There is no such thing, or it cannot be read.
    case unreadable
    /// It is not what its manifest says.
    case damaged
    /// Something of that name is there, or the place cannot be written.
    case unwritable
    /// A rule forbids it.
    case notPermitted
    /// The running engine cannot take it over without a restart.
    case needsRestart
    /// No engine runs, or it does not answer.
    case unreachable
  }
  public let kind: Kind
  public let description: String

  public init(_ kind: Kind, _ description: String) {
    self.kind = kind
    self.description = description
  }

  init(_ kind: Kind, _ error: SystemError) { self.init(kind, error.description) }
}
