/// What takes the place of a configuration's venues in a shadow run (`EngineMode.shadow`).
///
/// The engine's lanes talk to what it offers as they would to the real venues, and never to those. The library itself has
/// none: `apus run` brings simulated venues that follow the live market.
public protocol VenueStandIn: AnyObject, Sendable {
  /// Makes a venue for each of the configuration's, in their order. Called once, on the thread of `Engine.run`, before
  /// anything else of the run; it blocks until they can be connected to.
  ///
  /// - Parameters:
  ///   - isStopped: The engine has been asked to stop: the wait is over.
  ///   - notice: Takes sentences for an operator, on the caller's thread.
  func start(
    _ configuration: Configuration, isStopped: () -> Bool, notice: (String) -> Void
  ) throws(EngineError) -> [StandInVenue]
}

/// A venue that stands in for a real one: where it is, and what the engine logs in with.
public struct StandInVenue: Sendable {
  /// `ws://…` on this machine.
  public var url: String
  /// Where it answers by HTTP, if not at the host and port of `url`.
  public var restURL: String?
  public var keyID: String
  /// PEM text or secret, as the venue's kind wants it; good for this run alone.
  public var secret: [UInt8]

  public init(url: String, restURL: String? = nil, keyID: String, secret: [UInt8]) {
    self.url = url
    self.restURL = restURL
    self.keyID = keyID
    self.secret = secret
  }

  /// A lane's configuration with this venue in the place of its own. An account that ends with the process is not
  /// continued.
  func replacing(_ lane: Configuration) -> Configuration {
    var lane = lane
    lane.venue.url = url
    lane.venue.restURL = restURL
    lane.venue.keyID = keyID
    lane.venue.privateKeyFile = nil
    lane.venue.privateKeyEnv = nil
    lane.venue.account = nil
    lane.venue.caFile = nil
    lane.engine.continues = false
    return lane
  }
}
