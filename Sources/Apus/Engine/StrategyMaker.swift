import CSupport

/// Makes one instrument's strategy when it is listed. Owned by one lane's thread.
struct StrategyMaking {
  let make: (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy
  /// Of a configuration: it can give the strategies other parameters. `nil`: they are the program's own.
  let maker: StrategyMaker?

  init(_ make: @escaping (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy) {
    self.make = make
    maker = nil
  }

  private init(_ maker: StrategyMaker?, _ make: @escaping (InstrumentIndex, String, InstrumentInfo) -> AnyStrategy) {
    self.maker = maker
    self.make = make
  }

  /// The same, told other names than those at the venue.
  func named(_ names: [String]) -> StrategyMaking {
    StrategyMaking(maker) { [make] index, _, info in make(index, names[Int(index)], info) }
  }

  init(_ maker: StrategyMaker) {
    make = { index, _, info in maker.make(index, info) }
    self.maker = maker
  }
}

/// Makes the strategies that a configuration names, for one lane, and what they share.
final class StrategyMaker {
  private var sections: [InstrumentSection]
  /// By underlying; the options of one lane alone.
  private var chains: [String: ChainModel] = [:]

  /// - Parameter sections: the instruments of one venue, in their order.
  init(_ sections: [InstrumentSection]) { self.sections = sections }

  func make(_ index: InstrumentIndex, _ info: InstrumentInfo) -> AnyStrategy {
    let section = sections[Int(index)]
    var strategy = base(section, info)
    if let flow = section.orderFlow, flow.enabled { strategy = OrderFlowBox(strategy, flow.parameters) }
    // An option, however it is quoted, is no position in the underlying.
    if info.kind == .perpetual || info.kind == .future, let chain = chain(of: section.name) {
      strategy = ChainDeltaBox(strategy, chain, info)
    }
    return strategy
  }

  // MARK: - Other parameters

  /// From here on: of strategies that are made later too.
  func adopt(_ sections: [InstrumentSection]) {
    precondition(sections.count == self.sections.count, "a section for each instrument")
    self.sections = sections
  }

  /// Gives a strategy that was made here the parameters of its section. What it has learned stays. Its kind, and whether
  /// it minds the order flow, are as they were: ``ParameterChange`` refuses anything else.
  func retune(_ strategy: AnyStrategy, _ index: InstrumentIndex, _ info: InstrumentInfo) {
    let section = sections[Int(index)]
    var inner = strategy
    if let box = inner as? ChainDeltaBox { inner = box.base }
    if let box = inner as? OrderFlowBox, let flow = section.orderFlow {
      box.retune(flow.parameters)
      inner = box.base
    }
    let ladder = section.ownLadder.parameters(on: info.grid)
    switch section.strategy {
    case .ladder: (inner as? StrategyBox<LadderStrategy>)?.strategy.parameters = ladder
    case .avellanedaStoikov(let own):
      (inner as? StrategyBox<AvellanedaStoikov>)?.strategy.retune(
        own.model.parameters(ladder), horizon: Nanoseconds(own.horizonSeconds) * 1_000_000_000, grid: info.grid)
    case .glft(let own): (inner as? StrategyBox<GLFT>)?.strategy.retune(own.parameters(ladder), grid: info.grid)
    case .makeAndHedge(let own):
      (inner as? StrategyBox<MakeAndHedge>)?.strategy = MakeAndHedge(own.parameters(ladder))
    case .options(let own): (inner as? StrategyBox<OptionsQuoter>)?.strategy.parameters = own.parameters(ladder)
    }
  }

  private func base(_ section: InstrumentSection, _ info: InstrumentInfo) -> AnyStrategy {
    let ladder = section.ownLadder.parameters(on: info.grid)
    switch section.strategy {
    case .ladder: return StrategyBox(LadderStrategy(ladder))
    case .avellanedaStoikov(let own):
      return StrategyBox(
        AvellanedaStoikov(
          own.model.parameters(ladder), horizon: Nanoseconds(own.horizonSeconds) * 1_000_000_000, grid: info.grid))
    case .glft(let own): return StrategyBox(GLFT(own.parameters(ladder), grid: info.grid))
    case .makeAndHedge(let own): return StrategyBox(MakeAndHedge(own.parameters(ladder)))
    case .options(let own):
      let underlying = Underlying.name(of: section.name)
      let chain = chains[underlying] ?? newChain(underlying, own)
      return StrategyBox(OptionsQuoter(own.parameters(ladder), chain: chain, info: info))
    }
  }

  /// The chain of an underlying of which options are quoted here by the model; `nil` if none are.
  private func chain(of name: String) -> ChainModel? {
    let underlying = Underlying.name(of: name)
    if let chain = chains[underlying] { return chain }
    for section in sections {
      guard case .options(let own) = section.strategy, Underlying.name(of: section.name) == underlying else { continue }
      return newChain(underlying, own)
    }
    return nil
  }

  private func newChain(_ underlying: String, _ own: OptionsSection) -> ChainModel {
    let chain = ChainModel(capacity: sections.count, parameters: own.chain)
    chains[underlying] = chain
    return chain
  }
}

extension GLFTSection {
  func parameters(_ ladder: LadderParameters) -> InventoryParameters {
    InventoryParameters(
      shape: ladder.shape, riskAversion: riskAversion.asDouble,
      estimates: EstimateParameters(
        volatilityInterval: Nanoseconds(volatilitySampleMs) * 1_000_000,
        tradeInterval: Nanoseconds(tradeSampleMs) * 1_000_000,
        halfLife: Nanoseconds(halfLifeSeconds) * 1_000_000_000),
      leastHalfSpreadCentiBps: ladder.halfSpreadCentiBps, markWeightPermille: ladder.markWeightPermille,
      start: startsWithLadder ? ladder : nil)
  }
}

extension MakeAndHedgeSection {
  func parameters(_ ladder: LadderParameters) -> MakeAndHedgeParameters {
    MakeAndHedgeParameters(
      shape: ladder.shape, makerFeeCentiBps: makerFeeBps.hundredths, hedgeFeeCentiBps: hedgeFeeBps.hundredths,
      hedgeHalfSpreadCentiBps: hedgeHalfSpreadBps.hundredths, slippageCentiBps: slippageBps.hundredths,
      edgeCentiBps: edgeBps.hundredths, skewCentiBps: ladder.skewCentiBps, largestGapCentiBps: maxGapBps.hundredths)
  }
}

extension OrderFlowSection {
  var parameters: OrderFlowParameters {
    OrderFlowParameters(
      halfLife: Nanoseconds(halfLifeMs) * 1_000_000, widenAt: widenAt.asDouble, pullAt: pullAt.asDouble,
      widenCentiBps: widenBps.hundredths)
  }
}

extension OptionsSection {
  func parameters(_ ladder: LadderParameters) -> OptionsParameters {
    OptionsParameters(
      shape: ladder.shape, volatilityHalfSpread: volHalfSpread.asDouble / 100,
      deltaHalfSpreadCentiBps: deltaHalfSpreadBps.hundredths, leastHalfSpreadCentiBps: ladder.halfSpreadCentiBps,
      vegaSkew: vegaSkew.asDouble / 100, deltaSkewCentiBps: deltaSkewBps.hundredths, skewCentiBps: ladder.skewCentiBps,
      // A whole unit of volatility is a hundred points.
      largest: ChainGreeks(delta: maxDelta.asDouble, gamma: maxGamma.asDouble, vega: maxVega.asDouble * 100))
  }

  var chain: ChainModel.Parameters {
    ChainModel.Parameters(
      refit: Nanoseconds(refitMs) * 1_000_000, markLife: Nanoseconds(markLifeMs) * 1_000_000,
      lastQuote: Nanoseconds(lastQuoteSeconds) * 1_000_000_000)
  }
}

extension DecimalE8 {
  /// For models, which may use floating point.
  fileprivate var asDouble: Double { Double(e8) * 1e-8 }
}
