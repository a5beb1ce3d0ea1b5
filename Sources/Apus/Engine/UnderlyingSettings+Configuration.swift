extension UnderlyingSettings {
  /// - Parameter lanes: one configuration for each venue.
  init(_ section: UnderlyingSection, _ lanes: [Configuration]) {
    self.init(name: section.name, maximumE8: section.maxPosition.e8, skews: section.skew)
    for (lane, configuration) in lanes.enumerated() {
      for (index, instrument) in configuration.instruments.enumerated()
      where section.hedge == "\(configuration.venue.name):\(instrument.name)" {
        var hedge = Hedge(
          lane: lane, instrument: InstrumentIndex(index), bandE8: section.hedgeBand.e8,
          slippageCentiBps: section.hedgeSlippageBps.hundredths)
        hedge.patience = Nanoseconds(section.hedgePatienceMs) * 1_000_000
        hedge.perMinuteE8 = section.hedgePerMinute.e8
        hedge.whenLost = section.hedgeLost
        self.hedge = hedge
      }
    }
    fair = section.fairSettings
    crossed.rule = section.crossed
    crossed.edgeCentiBps = section.crossedEdgeBps.hundredths
    crossed.sizeE8 = section.crossedSize.e8
    crossed.perMinuteE8 = section.crossedPerMinute.e8
    crossed.feesCentiBps = lanes.map { $0.venue.takerFeeBps?.hundredths ?? 0 }
  }
}

extension UnderlyingSection {
  /// `nil`: no fair value is made.
  fileprivate var fairSettings: FairValue.Settings? {
    var settings = FairValue.Settings()
    switch fair {
    case .none: return nil
    case .mid: settings.price = .mid
    case .micro: settings.price = .micro
    }
    settings.halfLife = Nanoseconds(fairHalfLifeMs) * 1_000_000
    settings.staleAfter = Nanoseconds(fairStaleMs) * 1_000_000
    settings.basisHalfLife = Nanoseconds(fairBasisSeconds) * 1_000_000_000
    settings.outlierCentiBps = fairOutlierBps.hundredths
    return settings
  }
}

extension Configuration {
  /// Of one lane: the instruments whose prices the manager wants to hear of.
  var pricedInstruments: [InstrumentIndex] {
    let priced = Set(underlyings.filter { $0.fair != .none }.map(\.name))
    return instruments.indices.filter {
      priced.contains(Underlying.name(of: instruments[$0].name)) && !instruments[$0].isNamedAsOption
    }.map { InstrumentIndex($0) }
  }
}
