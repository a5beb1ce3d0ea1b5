import Apus
import CSupport

/// How the venue that stands in lists what the real one lists.
struct ShadowListing {
  var name: String
  var info: InstrumentInfo
  /// The index, or mark, at the beginning, 10⁻⁸ of the quote currency.
  var indexE8: Int64
  var section: ShadowSection

  /// The coin that the name begins with.
  private var coin: String { String(name.prefix { $0 != "-" && $0 != "_" }) }

  /// Lots that are worth about so much of the quote currency, at least one.
  private func lots(worth value: Int64) -> QtyLots {
    let lotE8 = Int128(max(1, info.grid.lotE8))
    let amountE8 =
      info.contract == .inverse
      ? Int128(value) * 100_000_000 : Int128(value) * 10_000_000_000_000_000 / Int128(max(1, indexE8))
    return QtyLots(rawValue: Int64(clamping: max(1, amountE8 / lotE8)))
  }

  private func spec(product: String, underlying: String) -> InstrumentSpec {
    var spec = InstrumentSpec(
      name: name, product: product, underlying: underlying, kind: info.kind == .future ? .future : .perpetual,
      grid: info.grid, initialIndexE8: indexE8, premiumLots: lots(worth: 100_000))
    if info.kind == .future {
      spec.expirySeconds = info.expirySeconds
      spec.expiryDate = InstrumentSpec.date(ofSecond: info.expirySeconds)
    }
    spec.isInverse = info.contract == .inverse
    return spec
  }

  var thalex: InstrumentSpec { spec(product: "F\(coin)USD", underlying: "\(coin)USD") }

  var deribit: DeribitInstrument {
    // BTC_USDC-PERPETUAL says its quote currency; BTC-PERPETUAL is in dollars, and settles in its coin.
    let pair = name.prefix { $0 != "-" }.split(separator: "_")
    let quote = pair.count > 1 ? String(pair[1]) : "USD"
    let isInverse = info.contract == .inverse
    var instrument = DeribitInstrument(
      spec: spec(
        product: pair.joined(separator: "_"), underlying: "\(coin.lowercased())_\(quote.lowercased())"),
      base: coin, quote: quote, counter: quote, settlement: isInverse ? coin : quote)
    if info.kind == .future { instrument.settlementPeriod = "month" }
    instrument.makerFeeE6 = section.makerFeeE6
    instrument.takerFeeE6 = section.takerFeeE6
    return instrument
  }

  var bybit: BybitInstrument {
    let suffix = BybitVenue.settleCoin
    let most = lots(worth: 100_000_000).rawValue
    var instrument = BybitInstrument(
      name, base: name.hasSuffix(suffix) ? String(name.dropLast(suffix.count)) : name, tickE8: info.grid.tickE8,
      lotE8: info.grid.lotE8, indexE8: indexE8, premiumLots: lots(worth: 100_000).rawValue, maximumLots: most,
      maximumMarketLots: most)
    instrument.spec.grid = info.grid
    instrument.priceScale = (0...8).first { info.grid.tickE8 % Self.power(8 - $0) == 0 } ?? 8
    instrument.bandRatioE6 = 50_000
    instrument.outerBandRatioE6 = 50_000
    instrument.makerFeeE6 = section.makerFeeE6
    instrument.takerFeeE6 = section.takerFeeE6
    return instrument
  }

  private static func power(_ exponent: Int) -> Int64 { (0..<exponent).reduce(1) { value, _ in value * 10 } }
}
