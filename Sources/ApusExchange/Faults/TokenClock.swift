import Apus

/// Unsigned tokens with a rising time; the venues of virtual worlds check no signature.
final class TokenClock {
  var now: Nanoseconds = 0
  var error: Nanoseconds = 0
  private let base: Nanoseconds
  private var last: Nanoseconds = 0
  init(base: Nanoseconds) { self.base = base }

  func token() -> String {
    // As the engine's own source of times: never the same twice, and a clock that goes back is not followed
    // further than that.
    let wall = base + now + error
    last = max(wall, last > wall + 20_000_000_000 ? wall : last + 1000)
    let header = Base64URL.encode(Array(#"{"alg":"RS512","kid":"K1","typ":"JWT"}"#.utf8))
    let seconds = last / 1_000_000_000
    var micros = String(last / 1000 % 1_000_000)
    micros = String(repeating: "0", count: 6 - micros.count) + micros
    let payload = Base64URL.encode(Array("{\"iat\":\(seconds).\(micros)}".utf8))
    return "\(header).\(payload).\(Base64URL.encode([1, 2, 3]))"
  }
}
