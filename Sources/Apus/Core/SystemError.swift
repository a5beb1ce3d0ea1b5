import Glibc

/// A set-up step that failed: what was attempted, why, and what an operator can do about it.
///
/// Thrown at start only; hot operations return values.
public struct SystemError: Error, Equatable, Sendable, CustomStringConvertible {
  /// Completes "could not …", for example `pin this thread to core 7`.
  public let attempt: String
  /// The system's error number, > 0.
  public let code: CInt
  /// What is wrong or what to do, if more is known than the system's own text says.
  public let advice: String?

  /// - Parameter result: What a C function of this package returned: `-errno`.
  public init(_ attempt: String, result: CInt, advice: String? = nil) {
    self.attempt = attempt
    self.code = result < 0 ? -result : result
    self.advice = advice
  }

  public var description: String {
    let reason = unsafe String(cString: strerror(code))
    guard let advice else { return "could not \(attempt): \(reason)" }
    return "could not \(attempt): \(advice) (\(reason))"
  }
}
