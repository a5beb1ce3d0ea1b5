import CSupport

/// Asks the venue, over a connection of its own, how many orders of an engine rest: an outside witness for drills.
///
/// It logs in with the configuration's key and sends nothing but questions. One thread; it blocks.
public final class VenueObserver {
  private let link: any SideLink

  /// - Throws: an ``EngineError`` if key, address or system do not do; the connection itself is made by `resting`.
  public init(_ configuration: Configuration) throws(EngineError) {
    do {
      link = try Engine(configuration).sideLinkSettings().makeLink()
    } catch let error as EngineError {
      throw error
    } catch {
      throw EngineError(.system, "\(error)")
    }
  }

  /// Orders with the engine's label that rest now, by the venue's answer; `nil` if none came in time.
  ///
  /// - Parameter seconds: To wait for an answer, the connection included.
  public func resting(within seconds: Double) -> Int? {
    let deadline = EngineClock.now() + Nanoseconds(seconds * 1e9)
    while EngineClock.now() < deadline {
      _ = link.askForOrders()
      link.turn(wait: 1_000_000)
      if let orders = link.takeAnswer() { return orders.count }
    }
    return nil
  }
}
