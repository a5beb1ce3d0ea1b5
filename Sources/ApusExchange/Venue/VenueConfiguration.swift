public import Apus

/// Checks the signature of a login token. The core itself knows no cryptography.
public protocol TokenVerifier {
  /// Whether `signature` is right for `signingInput` (the ASCII bytes of `header.payload`) under
  /// the public key registered for `keyID`. `algorithm` is `RS256`, `RS384` or `RS512`.
  func verify(keyID: String, algorithm: String, signingInput: [UInt8], signature: [UInt8]) -> Bool
}

/// How a simulated venue behaves. The defaults are section 11 of the protocol reference.
public struct VenueConfiguration: Sendable {
  public var instruments: [InstrumentSpec] = [.btcPerpetual, .ethPerpetual]
  /// Decides the delays of trade history and portfolio; same seed and inputs, same bytes out.
  public var seed: UInt64 = 1
  /// The venue's wall clock at virtual time 0, nanoseconds since the Unix epoch.
  public var wallClockBase: Nanoseconds = 1_776_715_497_000_000_000
  public var environment = "testnet"

  /// Accounts of the keys that may log in; the first is the key's default. Empty: every key may,
  /// and owns the account `A` + the digits of its id, or any that it names.
  public var accounts: [String: [String]] = [:]
  /// The token's time must be within 30 s of the venue's.
  public var checksTokenTime = true
  /// The token's time must be later than that of every token used before with the same key.
  public var checksTokenOrder = true
  public var closesOnFailedLogin = true

  /// Matching-engine messages a second, also the burst: without and with cancel-on-disconnect.
  public var messageRate = 10
  public var sessionMessageRate = 50
  public var cancelRate = 1000
  /// After a violation everything of that kind fails for this long.
  public var throttlePenalty: Nanoseconds = 0
  /// What a mass quote counts as: the reference does not know, and assumes one message a request.
  public enum MassQuoteCost: String, Sendable, CaseIterable { case perRequest, perQuote, perSide }
  public var massQuoteCost = MassQuoteCost.perRequest
  /// Error 51 for every mass quote if false.
  public var allowsMassQuotes = true
  /// A quote that has traded in part is unchanged if the new amount equals what remains, instead of what was quoted.
  public var comparesRemainingQuote = false
  /// `cancel_all` takes mass quotes too, which the reference does not know.
  public var cancelAllTakesQuotes = true
  /// Open orders of an account, mass quotes not counted; error 49 above it.
  public var maximumOpenOrders = 1000
  /// Largest value of one order, 10⁻⁸ USD; error 50 above it, or above a million contracts.
  public var maximumOrderValueE8: MoneyE8 = 100_000_000_00000000
  /// Collars of delta-1 products: mark · (1 ∓ this / 10,000); of rolls: mark ∓ index · this / 10,000.
  public var collarBasisPoints: Int64 = 300
  /// Collars of options: mark · (1 ∓ this / 10,000), as captured from the real venue.
  public var optionCollarBasisPoints: Int64 = 2500

  /// Fees in units of 10⁻⁶ of the value: 100 is one basis point.
  public var makerFeeE6: Int64 = 100
  public var takerFeeE6: Int64 = 500
  /// Options, both sides of a trade.
  public var optionFeeE6: Int64 = 250
  /// Cash of an account when it first logs in, 10⁻⁸ USD.
  public var initialCashE8: MoneyE8 = 1_000_000_00000000

  /// Delay of `account.trade_history` and the portfolio behind the trade, drawn from this range.
  public var accountFeedDelay: ClosedRange<Nanoseconds> = 5_000_000...50_000_000
  /// Index, mark and funding move this often; 1 s at the real venue. Shorten it with a sped-up flow.
  public var markInterval: Nanoseconds = 1_000_000_000
  /// `account.summary` comes this often.
  public var summaryInterval: Nanoseconds = 5_000_000_000

  /// Trades a mark interval that others do in the instruments which the venue itself quotes, spread over them at random.
  public var derivedTradesPerMark = 2

  /// Notifications of a request before its reply instead of after it.
  public var notifiesBeforeReply = false

  /// How participants' orders trade against the flow of a recorded market. `nil`: the flow's orders and theirs meet in
  /// the matching engine, where a level is one order that keeps its time while it shrinks.
  public var fillModel: FillModel?

  /// Bounds of each matching engine.
  public var maximumRestingOrders: UInt32 = 65_536
  public var maximumLevels: UInt32 = 16_384

  public init() {}
}

/// Why a simulated venue could not be made.
public enum VenueError: Error {
  /// No instruments, two of one name, or a grid, index or rate that is not positive.
  case configuration(String)
  /// The matching engine of the named instrument could not be created.
  case matchingEngine(String, MatchingEngineError)
}
