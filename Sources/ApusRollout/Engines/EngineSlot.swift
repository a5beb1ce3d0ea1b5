public import Apus

/// A name and a data directory for an engine. Two engines of one configuration run side by side in two slots, and rollouts
/// go from one to the other and back.
public struct EngineSlot: Codable, Equatable, Sendable {
  public var name: String
  public var dataDirectory: String

  public var telemetryPath: String { dataDirectory + "/telemetry" }

  /// That of the configuration as it is.
  public static func first(_ configuration: Configuration) -> EngineSlot {
    EngineSlot(name: configuration.engine.name, dataDirectory: configuration.engine.dataDirectory)
  }

  /// Beside it: labels of orders begin with the name, so that each engine knows its own (R14).
  public static func second(_ configuration: Configuration) -> EngineSlot {
    // A name has at most 12 characters; of a longer one the rest is in two digits, so that names with one beginning seldom become one.
    let name = configuration.engine.name
    let rest = name.utf8.reduce(UInt8(0)) { $0 &* 31 &+ $1 }
    let short = name.count <= 10 ? name : name.prefix(8) + (rest < 16 ? "0" : "") + String(rest, radix: 16)
    return EngineSlot(name: short + "_b", dataDirectory: configuration.engine.dataDirectory + "-b")
  }

  /// Where an engine of the configuration can run.
  public static func all(_ configuration: Configuration) -> [EngineSlot] { [first(configuration), second(configuration)] }

  /// An engine runs there.
  public var isTaken: Bool { (try? TelemetryReader(path: telemetryPath))?.isWriterAlive ?? false }
}

/// How an engine in a slot differs from its release's configuration.
public enum EnginePlacing: String, Codable, CaseIterable, Sendable {
  /// In nothing: a person or a service has started it.
  case asReleased
  /// Started by a rollout beside one that has the release's cores.
  case beside
  /// Started by a rollout beside one that has not.
  case first

  /// Of what is started beside it.
  var other: EnginePlacing { self == .beside ? .first : .beside }
}

extension Configuration {
  public func placed(in slot: EngineSlot, _ placing: EnginePlacing) -> Configuration {
    let placed = placed(in: slot)
    return switch placing {
    case .asReleased: placed
    case .beside: placed.besideAnother().begunAnew()
    case .first: placed.begunAnew()
    }
  }

  func placed(in slot: EngineSlot) -> Configuration {
    var placed = self
    placed.engine.name = slot.name
    placed.engine.dataDirectory = slot.dataDirectory
    return placed
  }

  /// Beside an engine that has this configuration's cores: on a core that is left, or not pinned, and then it does not spin.
  ///
  /// - Parameters:
  ///   - place: Among those that run beside it, 0, 1, …
  ///   - allowed: The process's cores, ascending.
  func besideAnother(place: Int = 0, allowed: [Int] = (try? CPU.allowedCores()) ?? []) -> Configuration {
    if case .none = engine.core { return self }
    var beside = self
    let taken = Set(engine.core.cores(lanes: lanes.count, allowed: allowed))
    let left = allowed.filter { !taken.contains($0) }
    // One core is for everything else. Several lanes would take what they find from the end.
    if lanes.count == 1, left.count > place + 1, left.count < allowed.count {
      beside.engine.core = .core(left[left.count - 1 - place])
    } else {
      beside.engine.core = .none
      if engine.idle == .spin { beside.engine.idle = .yield }
    }
    return beside
  }

  /// With the accounts of another configuration that has the same lanes.
  func onAccounts(of other: Configuration) -> Configuration {
    var moved = self
    moved.venue = other.venue
    for index in moved.moreVenues.indices where other.moreVenues.indices.contains(index) {
      moved.moreVenues[index].venue = other.moreVenues[index].venue
    }
    return moved
  }

  /// With the venue's positions and no account of a run that was killed in this slot: the other engine has traded since.
  func begunAnew() -> Configuration {
    var anew = self
    anew.engine.continues = false
    return anew
  }

  /// On the live market without orders, in a room of its own.
  ///
  /// - Parameter place: Of two shadows at once, 0 and 1: neither has the other's core.
  func asShadow(name: String, in directory: String, place: Int) -> Configuration {
    var shadow = placed(in: EngineSlot(name: name, dataDirectory: directory)).besideAnother(place: place)
    shadow.engine.mode = .shadow
    return shadow
  }
}
