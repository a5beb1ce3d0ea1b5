import CSupport
import Glibc

/// Sums over what is held of a chain. Contracts on one unit of the underlying each.
public struct ChainGreeks: Equatable, Sendable {
  /// In units of the underlying.
  public var delta = 0.0
  /// Units of the underlying per unit of the quote currency.
  public var gamma = 0.0
  /// Quote currency per whole unit (100 points) of volatility.
  public var vega = 0.0

  public init(delta: Double = 0, gamma: Double = 0, vega: Double = 0) {
    self.delta = delta
    self.gamma = gamma
    self.vega = vega
  }
}

/// What the quoters of one chain, all instruments of one underlying in a lane, know together: a smile for each expiry and the
/// Greeks of all that is held.
///
/// Owned by the lane's thread, like the quoters that share it. All memory is taken at the start. A call does one thing for
/// its own instrument and at most one fit, of its own expiry, which goes twice through that expiry's instruments without a
/// logarithm for each, and once through all to add up; an option is valued by Black's formula when its expiry has been fitted anew or the forward has gone far, and by
/// its delta and gamma in between.
public final class ChainModel {
  /// How the chain is modelled.
  public struct Parameters: Equatable, Sendable {
    /// Between two fits of an expiry, > 0.
    public var refit: Nanoseconds
    /// A mark older than this is not fitted.
    public var markLife: Nanoseconds
    /// An expiry is no longer quoted this long before it.
    public var lastQuote: Nanoseconds

    public init(
      refit: Nanoseconds = 100_000_000, markLife: Nanoseconds = 10_000_000_000,
      lastQuote: Nanoseconds = 3_600_000_000_000
    ) {
      self.refit = refit
      self.markLife = markLife
      self.lastQuote = lastQuote
    }
  }

  static let expiryCapacity = 64

  private let pointer: ChainPointer

  /// - Parameter capacity: instruments of the lane.
  public init(capacity: Int, parameters: Parameters = Parameters()) {
    pointer = ChainPointer(capacity: capacity, parameters: parameters)
  }

  deinit { pointer.free() }

  /// For the quoters, who keep the model alive beside it.
  var shared: ChainPointer { pointer }

  public var greeks: ChainGreeks { pointer.state.pointee.greeks }
  /// Fits since the start, and how many of them had to be flattened to be free of arbitrage.
  public var fits: Int { pointer.state.pointee.fits }
  public var flattened: Int { pointer.state.pointee.flattened }

  /// The smile of the expiry at this second since the Unix epoch; `nil` if there is none.
  public func smile(expiry seconds: Int64) -> VolatilitySmile? {
    for index in 0..<pointer.state.pointee.expiryCount where pointer.expiries[index].seconds == seconds {
      return pointer.expiries[index].isFitted ? pointer.expiries[index].smile : nil
    }
    return nil
  }
}

/// A chain's memory. Plain pointers: quoters reach it without counting references.
struct ChainPointer {
  struct State {
    var greeks = ChainGreeks()
    var expiryCount = 0
    var fits = 0
    var flattened = 0
  }

  struct Expiry {
    var seconds: Int64 = 0
    var smile = VolatilitySmile()
    var fittedAt: Nanoseconds = 0
    /// Counts the fits, so that an option knows whether its value is of the last one.
    var generation: UInt64 = 0
    var isFitted = false
    /// Its variance is at least that of the expiry before it.
    var isInOrder = true
    var forward = 0.0
    var logForward = 0.0
    /// The first of its options; they are linked.
    var first: Int32 = -1
  }

  struct Member {
    var strike = 0.0
    var logStrike = 0.0
    var isCall = true
    /// −1: no option, or none yet.
    var expiry: Int32 = -1
    var next: Int32 = -1
    var volatility = 0.0
    var markedAt: Nanoseconds = 0
    /// As valued last, at this forward, by the fit of this generation.
    var value = Black76(isCall: true, forward: 1, strike: 1, logMoney: 0, volatility: 0, rootYears: 0)
    var forward = 0.0
    var generation: UInt64 = 0
    /// What of the chain's Greeks is its own.
    var held = ChainGreeks()
  }

  let members: UnsafeMutablePointer<Member>
  let expiries: UnsafeMutablePointer<Expiry>
  let state: UnsafeMutablePointer<State>
  let capacity: Int
  let parameters: ChainModel.Parameters

  fileprivate init(capacity: Int, parameters: ChainModel.Parameters) {
    self.capacity = capacity
    self.parameters = parameters
    members = .allocate(capacity: capacity)
    members.initialize(repeating: Member(), count: capacity)
    expiries = .allocate(capacity: ChainModel.expiryCapacity)
    expiries.initialize(repeating: Expiry(), count: ChainModel.expiryCapacity)
    state = .allocate(capacity: 1)
    state.initialize(to: State())
  }

  fileprivate func free() {
    members.deallocate()
    expiries.deallocate()
    state.deallocate()
  }

  /// Takes an option in; cold, when it is listed. False if it is none that can be modelled: no strike, no expiry, paid in
  /// coins, or one expiry too many.
  func join(_ info: InstrumentInfo) -> Bool {
    guard Int(info.index) < capacity, info.kind == .option, info.contract == .linear, info.optionType != .none,
      info.strikeE8 > 0, info.expirySeconds > 0
    else { return false }
    let member = members + Int(info.index)
    // Listed again: on a new grid it is the same option.
    guard member.pointee.expiry < 0 else { return true }
    var place = 0
    while place < state.pointee.expiryCount, expiries[place].seconds != info.expirySeconds { place += 1 }
    guard place < ChainModel.expiryCapacity else { return false }
    if place == state.pointee.expiryCount {
      expiries[place].seconds = info.expirySeconds
      state.pointee.expiryCount += 1
    }
    member.pointee.strike = Double(info.strikeE8) * 1e-8
    member.pointee.logStrike = log(member.pointee.strike)
    member.pointee.isCall = info.optionType == .call
    member.pointee.expiry = Int32(place)
    member.pointee.next = expiries[place].first
    expiries[place].first = Int32(info.index)
    return true
  }

  // MARK: - On the lane

  /// Takes the venue's mark of an option and what is held of it; returns its value now, or `nil` if there is none.
  @inline(__always)
  func value(_ view: QuoteView) -> Black76? {
    let member = members + Int(view.instrument)
    let forward = Double(view.forwardE8) * 1e-8
    let volatility = Double(view.volatilityE8) * 1e-8
    guard Int(view.instrument) < capacity, member.pointee.expiry >= 0 else { return nil }
    let contracts = Double(view.position.rawValue) * view.grid.lot
    guard forward > 0, view.venueTime > 0, VolatilitySmile.believed.contains(volatility) else {
      // Held as it was valued last.
      hold(member, contracts: contracts)
      return nil
    }
    let expiry = expiries + Int(member.pointee.expiry)
    // Divided first: the second of an expiry may be any number.
    let left = expiry.pointee.seconds - view.venueTime / 1_000_000_000
    guard left > 0 else { return nil }
    member.pointee.volatility = volatility
    member.pointee.markedAt = view.now
    if !expiry.pointee.isFitted || view.now &- expiry.pointee.fittedAt >= parameters.refit {
      fit(expiry, forward: forward, years: Double(left) / 31_536_000, now: view.now)
      addUp(venueSeconds: view.venueTime / 1_000_000_000)
    }
    guard expiry.pointee.isFitted else {
      hold(member, contracts: contracts)
      return nil
    }
    // Delta and gamma carry the value this far; the third derivative would be the next.
    let isStale =
      member.pointee.generation != expiry.pointee.generation
      || abs(forward - member.pointee.forward) > member.pointee.forward * 0.002
    if isStale { revalue(member, expiry, forward: forward) }
    hold(member, contracts: contracts)
    guard expiry.pointee.isInOrder, left >= parameters.lastQuote / 1_000_000_000 else { return nil }
    var value = member.pointee.value
    let move = forward - member.pointee.forward
    value.price = max(0, value.price + move * (value.delta + value.gamma * move / 2))
    return value
  }

  /// What is held beside the options, such as the future that hedges them: this many units of the underlying.
  func holdUnderlying(_ instrument: InstrumentIndex, delta: Double) {
    guard Int(instrument) < capacity else { return }
    let member = members + Int(instrument)
    state.pointee.greeks.delta += delta - member.pointee.held.delta
    member.pointee.held.delta = delta
  }

  @inline(__always)
  private func hold(_ member: UnsafeMutablePointer<Member>, contracts: Double) {
    let value = member.pointee.value
    let now = ChainGreeks(
      delta: contracts * value.delta, gamma: contracts * value.gamma, vega: contracts * value.vega)
    let before = member.pointee.held
    guard now != before else { return }
    state.pointee.greeks.delta += now.delta - before.delta
    state.pointee.greeks.gamma += now.gamma - before.gamma
    state.pointee.greeks.vega += now.vega - before.vega
    member.pointee.held = now
  }

  /// Adds up anew what is held, without the options that have expired: no error of a sum outlives a fit.
  @inline(never)
  private func addUp(venueSeconds: Int64) {
    var sum = ChainGreeks()
    for place in 0..<capacity {
      let member = members + place
      if member.pointee.expiry >= 0, expiries[Int(member.pointee.expiry)].seconds <= venueSeconds {
        member.pointee.held = ChainGreeks()
      }
      sum.delta += member.pointee.held.delta
      sum.gamma += member.pointee.held.gamma
      sum.vega += member.pointee.held.vega
    }
    state.pointee.greeks = sum
  }

  @inline(never)
  private func revalue(
    _ member: UnsafeMutablePointer<Member>, _ expiry: UnsafeMutablePointer<Expiry>, forward: Double
  ) {
    let logForward = forward == expiry.pointee.forward ? expiry.pointee.logForward : log(forward)
    let money = member.pointee.logStrike - logForward
    member.pointee.value = Black76(
      isCall: member.pointee.isCall, forward: forward, strike: member.pointee.strike, logMoney: money,
      volatility: expiry.pointee.smile.volatility(logMoney: money), rootYears: expiry.pointee.smile.rootYears)
    member.pointee.forward = forward
    member.pointee.generation = expiry.pointee.generation
  }

  /// Fits the smile to the fresh marks of an expiry. Without any, what was fitted before is void.
  @inline(never)
  private func fit(_ expiry: UnsafeMutablePointer<Expiry>, forward: Double, years: Double, now: Nanoseconds) {
    expiry.pointee.fittedAt = now
    expiry.pointee.isFitted = false
    let oldest = now &- parameters.markLife
    let logForward = log(forward)
    let rootYears = years.squareRoot()
    var (sum, count) = (0.0, 0.0)
    var place = expiry.pointee.first
    while place >= 0 {
      let member = members + Int(place)
      if member.pointee.volatility > 0, member.pointee.markedAt >= oldest {
        sum += member.pointee.volatility
        count += 1
      }
      place = member.pointee.next
    }
    guard count > 0 else { return }
    var fit = SmileFit(scale: sum / count * rootYears, rootYears: rootYears)
    place = expiry.pointee.first
    while place >= 0 {
      let member = members + Int(place)
      if member.pointee.volatility > 0, member.pointee.markedAt >= oldest {
        fit.add(member.pointee.volatility, logMoney: member.pointee.logStrike - logForward)
      }
      place = member.pointee.next
    }
    guard var smile = fit.smile() else { return }
    state.pointee.fits += 1
    if smile.flattenIfNeeded() > 0 { state.pointee.flattened += 1 }
    expiry.pointee.smile = smile
    expiry.pointee.forward = forward
    expiry.pointee.logForward = logForward
    expiry.pointee.generation += 1
    expiry.pointee.isFitted = true
    expiry.pointee.isInOrder = isInOrder(expiry, now: now)
  }

  /// No calendar spread may have a negative price: total variance at the money must not fall from the expiry before.
  private func isInOrder(_ expiry: UnsafeMutablePointer<Expiry>, now: Nanoseconds) -> Bool {
    var before: UnsafeMutablePointer<Expiry>?
    for place in 0..<state.pointee.expiryCount {
      let other = expiries + place
      guard other.pointee.isFitted, other.pointee.seconds < expiry.pointee.seconds,
        now &- other.pointee.fittedAt <= parameters.markLife
      else { continue }
      if let found = before, found.pointee.seconds > other.pointee.seconds { continue }
      before = other
    }
    // The fits are of different moments, and marks have steps.
    return before.map { expiry.pointee.smile.variance >= $0.pointee.smile.variance * 0.999 } ?? true
  }
}
