extension UnderlyingSettings {
  /// - Parameter lanes: one configuration for each venue.
  init(_ section: UnderlyingSection, _ lanes: [Configuration]) {
    var hedge: Hedge?
    for (lane, configuration) in lanes.enumerated() {
      for (index, instrument) in configuration.instruments.enumerated()
      where section.hedge == "\(configuration.venue.name):\(instrument.name)" {
        hedge = Hedge(
          lane: lane, instrument: InstrumentIndex(index), bandE8: section.hedgeBand.e8,
          slippageCentiBps: section.hedgeSlippageBps.hundredths)
      }
    }
    self.init(name: section.name, maximumE8: section.maxPosition.e8, skews: section.skew, hedge: hedge)
  }
}
