public import Apus
public import CSupport

/// An instrument that a simulated venue lists.
public struct InstrumentSpec: Sendable, Equatable {
  /// A combination is a listed roll: the far contract bought and the near one sold.
  public enum Kind: String, Sendable { case perpetual, future, option, combination }
  public enum OptionType: String, Sendable { case call, put }
  public struct Leg: Sendable, Equatable {
    public var instrument: String
    public var quantity: Int64

    public init(instrument: String, quantity: Int64) {
      self.instrument = instrument
      self.quantity = quantity
    }
  }

  /// For example `BTC-PERPETUAL`.
  public var name: String
  /// For example `FBTCUSD`.
  public var product: String
  /// The index it follows, for example `BTCUSD`.
  public var underlying: String
  public var kind: Kind
  public var grid: InstrumentGrid
  /// Dated instruments only: `YYYY-MM-DD` and the second since the epoch at which it expires; empty and 0 otherwise.
  public var expiryDate = ""
  public var expirySeconds: Int64 = 0
  /// Options only.
  public var optionType: OptionType?
  public var strikeE8: Int64 = 0
  /// Rolls only: the far leg (+1), then the near one (−1), on the roll's own grid.
  public var legs: [Leg] = []
  /// The venue itself fills the book around its model price (see `SimulatedVenue`), for instruments without a flow.
  public var isQuotedByVenue = false
  /// Its amounts are in the quote currency and it settles in the base currency.
  public var isInverse = false
  /// An option whose price is in coins of its underlying.
  public var isPricedInCoin = false
  /// The index until the market flow brings one, 10⁻⁸ USD, > 0.
  public var initialIndexE8: Int64
  /// Size whose average price makes the fair-depth premium (reference 4.3: 1 BTC or 20 ETH).
  public var premiumLots: QtyLots

  public init(
    name: String, product: String, underlying: String, kind: Kind = .perpetual, grid: InstrumentGrid,
    initialIndexE8: Int64, premiumLots: QtyLots
  ) {
    self.name = name
    self.product = product
    self.underlying = underlying
    self.kind = kind
    self.grid = grid
    self.initialIndexE8 = initialIndexE8
    self.premiumLots = premiumLots
  }

  /// Tick 1 USD, lot and minimum 0.001 BTC (reference 4.3).
  public static let btcPerpetual = Self(
    name: "BTC-PERPETUAL", product: "FBTCUSD", underlying: "BTCUSD",
    grid: InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)),
    initialIndexE8: 61_800_00000000, premiumLots: QtyLots(rawValue: 1000))

  /// Tick 0.1 USD, lot and minimum 0.01 ETH (reference 4.3).
  public static let ethPerpetual = Self(
    name: "ETH-PERPETUAL", product: "FETHUSD", underlying: "ETHUSD",
    grid: InstrumentGrid(tickE8: 10_000_000, lotE8: 1_000_000, minimumLots: QtyLots(rawValue: 1)),
    initialIndexE8: 2_680_00000000, premiumLots: QtyLots(rawValue: 2000))
}

/// A chain of dated instruments on BTC: futures, the rolls between them and the perpetual, calls and puts.
extension InstrumentSpec {
  /// 08:00 UTC of a day since the epoch.
  private static func expiry(day: Int64) -> (seconds: Int64, date: String, short: String) {
    // Days to a civil date, by eras of 400 years that begin on 1 March (the algorithm of H. Hinnant, public domain).
    let shifted = day + 719_468
    let era = shifted / 146_097
    let dayOfEra = shifted - era * 146_097
    let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
    let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
    let shiftedMonth = (5 * dayOfYear + 2) / 153
    let date = dayOfYear - (153 * shiftedMonth + 2) / 5 + 1
    let month = shiftedMonth < 10 ? shiftedMonth + 3 : shiftedMonth - 9
    let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
    func two(_ value: Int64) -> String { (value < 10 ? "0" : "") + "\(value)" }
    let names = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
    return (
      day * 86_400 + 28_800, "\(year)-\(two(month))-\(two(date))",
      "\(two(date))\(names[Int(month - 1)])\(two(year % 100))"
    )
  }

  /// The day, UTC, of a second since the epoch: `YYYY-MM-DD`.
  static func date(ofSecond second: Int64) -> String { expiry(day: floorDivision(second, 86_400)).date }

  /// A future on BTC that expires at 08:00 UTC of a day since the epoch; tick 1 USD, lot and minimum 0.001.
  public static func btcFuture(day: Int64, indexE8: Int64 = btcPerpetual.initialIndexE8) -> Self {
    var spec = btcPerpetual
    let expiry = expiry(day: day)
    spec.name = "BTC-\(expiry.short)"
    spec.kind = .future
    spec.expirySeconds = expiry.seconds
    spec.expiryDate = expiry.date
    spec.initialIndexE8 = indexE8
    spec.isQuotedByVenue = true
    return spec
  }

  /// The roll from a near contract, perpetual or future, into a future: tick and lot of its legs, minimum 0.1.
  public static func roll(far: Self, near: Self) -> Self {
    var spec = far
    let end = near.kind == .perpetual ? "PERPETUAL" : String(near.name.dropFirst(4))
    spec.name = "\(far.name)-\(end)"
    spec.kind = .combination
    spec.legs = [Leg(instrument: far.name, quantity: 1), Leg(instrument: near.name, quantity: -1)]
    if near.kind == .future, near.expirySeconds < far.expirySeconds {
      spec.expirySeconds = near.expirySeconds
      spec.expiryDate = near.expiryDate
    }
    spec.grid.minimumLots = QtyLots(rawValue: 100)
    return spec
  }

  /// An option on BTC of a future's expiry; tick 5 USD, lot and minimum 0.01.
  public static func btcOption(_ type: OptionType, strike: Int64, expiryOf future: Self) -> Self {
    var spec = future
    spec.name = "\(future.name)-\(strike)-\(type == .call ? "C" : "P")"
    spec.product = "OBTCUSD"
    spec.kind = .option
    spec.optionType = type
    spec.strikeE8 = strike * 100_000_000
    spec.grid = InstrumentGrid(tickE8: 500_000_000, lotE8: 1_000_000, minimumLots: QtyLots(rawValue: 1))
    spec.premiumLots = QtyLots(rawValue: 100)
    return spec
  }

  /// Dated BTC instruments as of a time: five futures, the rolls of each into the perpetual and into its successor, and
  /// about as many options as asked for, calls and puts around the money of each expiry.
  ///
  /// The first expiry is the next 08:00 UTC that is at least two hours away, so that it is less than 26 hours away.
  ///
  /// - Parameters:
  ///   - options: 0 … 2000.
  ///   - wallClock: Nanoseconds since the Unix epoch.
  public static func btcChain(
    options: Int, wallClock: Nanoseconds, indexE8: Int64 = btcPerpetual.initialIndexE8
  ) -> [Self] {
    let now = wallClock / 1_000_000_000
    let first = (now + 7200 - 28_800 + 86_399) / 86_400
    let futures = [0, 1, 7, 28, 84].map { btcFuture(day: first + $0, indexE8: indexE8) }
    var specs = futures
    for (place, future) in futures.enumerated() {
      specs.append(roll(far: future, near: btcPerpetual))
      if place > 0 { specs.append(roll(far: future, near: futures[place - 1])) }
    }
    let strikes = Int64((max(0, min(2000, options)) + 2 * futures.count - 1) / (2 * futures.count))
    let money = indexE8 / 100_000_000_000 * 1000
    for future in futures {
      for place in 0..<strikes {
        // Every 500 USD, so that a chain of 40 strikes spans 20,000.
        let strike = max(500, money + (place - strikes / 2) * 500)
        if strike == 500, place > 0, money + (place - 1 - strikes / 2) * 500 <= 500 { continue }
        specs.append(btcOption(.call, strike: strike, expiryOf: future))
        specs.append(btcOption(.put, strike: strike, expiryOf: future))
      }
    }
    return specs
  }
}
