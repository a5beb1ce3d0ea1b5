import CSupport

/// Asks the venue, over a connection of its own, how many orders of an engine rest: an outside witness for drills.
///
/// It logs in with the configuration's key and sends nothing but questions. One thread; it blocks.
public final class VenueObserver {
  private let link: any SideLink

  /// - Throws: an ``EngineError`` if key, address or system do not do; the connection itself is made by `resting`.
  public init(_ configuration: Configuration) throws(EngineError) {
    guard configuration.mode != .shadow else {
      throw EngineError(
        .configuration,
        "engine.mode is shadow: no order of such an engine is at a venue, so there is nothing to look at; use a configuration "
          + "for simulated venues or a test network")
    }
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

  /// Cancels what rests with the engine's label until nothing does: for one that is gone and cannot do it itself.
  ///
  /// An order that an engine had sent in its last moment may still come to rest: only two answers in a row that show
  /// nothing count.
  ///
  /// - Returns: how many were left at the end; `nil` if no answer came in time.
  public func cancelAll(within seconds: Double) -> Int? {
    let deadline = EngineClock.now() + Nanoseconds(seconds * 1e9)
    var left: Int?
    var clearAnswers = 0
    var nextAsk: Nanoseconds = 0
    while EngineClock.now() < deadline {
      let now = EngineClock.now()
      if now >= nextAsk, link.askForOrders() { nextAsk = now + link.pace.interval }
      link.turn(wait: 1_000_000)
      guard let orders = link.takeAnswer() else { continue }
      left = orders.count
      clearAnswers = orders.isEmpty ? clearAnswers + 1 : 0
      if clearAnswers == 2 { return 0 }
      for order in orders.prefix(link.pace.cancels) { link.cancel(order) }
    }
    return left
  }
}
