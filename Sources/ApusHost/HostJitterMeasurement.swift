import CSupport
import Glibc

/// How often, and for how long, something takes a core away from a thread that only spins: the floor of any latency
/// on this host.
public struct JitterMeasurement: Codable, Equatable, Sendable {
  public var core: Int
  public var seconds: Double
  /// Readings of the processor's counter.
  public var rounds: UInt64
  public var medianNanoseconds: Double
  public var p9999Nanoseconds: Double
  public var maximumNanoseconds: Int64
  public var above1Microsecond: UInt64
  public var above10Microseconds: UInt64
  public var above100Microseconds: UInt64
  /// Share of the time that went into gaps above 1 µs, 10⁻⁶.
  public var lostPartsPerMillion: Double
  /// How often the kernel gave the core to another thread.
  public var contextSwitches: Int64

  /// Why there is none.
  public struct Failure: Error, Equatable, Sendable, CustomStringConvertible {
    public let description: String
  }

  /// Spins on `core` for `seconds`; the calling thread has its cores back afterwards.
  ///
  /// - Parameter seconds: 0.001 … 600.
  public static func measure(core: Int, seconds: Double) throws(Failure) -> JitterMeasurement {
    guard seconds >= 0.001, seconds <= 600 else { throw Failure(description: "it takes 0.001 to 600 seconds") }
    guard let number = UInt32(exactly: core) else { throw Failure(description: "there is no core \(core)") }
    var jitter = HostJitter()
    let result = apus_host_measure_jitter(number, Int64(seconds * 1e9), &jitter)
    switch result {
    case 0: break
    case -ENOTSUP: throw Failure(description: "this processor has no counter that a program can read")
    case -EINVAL: throw Failure(description: "core \(core) does not exist or is not for this process (taskset, cpuset)")
    default: throw Failure(description: String(cString: strerror(-result)))
    }
    return JitterMeasurement(core: core, jitter)
  }

  init(core: Int, _ jitter: HostJitter) {
    self.core = core
    seconds = Double(jitter.duration_ns) / 1e9
    rounds = jitter.rounds
    medianNanoseconds = Double(jitter.p50_ns_e3) / 1e3
    p9999Nanoseconds = Double(jitter.p9999_ns_e3) / 1e3
    maximumNanoseconds = jitter.max_ns
    above1Microsecond = jitter.above_1us
    above10Microseconds = jitter.above_10us
    above100Microseconds = jitter.above_100us
    lostPartsPerMillion = jitter.duration_ns > 0 ? Double(jitter.lost_ns) * 1e6 / Double(jitter.duration_ns) : 0
    contextSwitches = jitter.switches
  }
}
