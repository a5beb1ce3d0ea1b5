import Apus
import CSupport

/// Market-maker protection of one product in one session (reference 6.5, 8.5).
///
/// A group exists from the first `set_mm_protection` until the session or the account resets it. There is no timer and
/// no window: only `set_mm_protection` refills it.
struct ProtectionGroup {
  enum State {
    /// Nothing has traded since the last refill.
    case armed
    /// Quotes have traded, and more may.
    case hit
    /// As much has traded as may, or more: quotes are refused until the next refill.
    case exhausted
  }

  /// What may trade, the largest quote, and what is left, in 10⁻⁸ contracts.
  let tradeE8: Int64
  let quoteE8: Int64
  private(set) var remainingE8: Int64
  /// Traded since the last evaluation: the next one reports it.
  private(set) var isTouched = false

  init(tradeE8: Int64, quoteE8: Int64) {
    self.tradeE8 = tradeE8
    self.quoteE8 = quoteE8
    remainingE8 = tradeE8
  }

  var state: State { remainingE8 <= 0 ? .exhausted : remainingE8 < tradeE8 ? .hit : .armed }

  mutating func execute(_ amountE8: Int64) {
    remainingE8 -= amountE8
    isTouched = true
  }

  mutating func noteEvaluation() { isTouched = false }
}

/// Why a session is told about a group (reference 7.6).
enum ProtectionReason {
  case refill, executions, clientCancel, sessionEnd, failover

  var word: StaticString {
    switch self {
    case .refill: "refill"
    case .executions: "executions"
    case .clientCancel: "client_cancel"
    case .sessionEnd: "session_end"
    case .failover: "failover"
    }
  }
}

/// An item of `session.mm_protection` that waits for the end of the transaction.
struct ProtectionItem {
  var session: Session
  var product: String
  var remainingE8: Int64
  var reason: ProtectionReason
}

extension SimulatedVenue {
  func isListed(product: String) -> Bool { markets.contains { $0.isListed && $0.spec.product == product } }

  func setProtection(_ session: Session, _ arguments: Arguments) -> VenueFault? {
    guard case .value(let product) = arguments.string("product") else { return .invalidRequest }
    func amount(_ name: StaticString) -> Int64?? {
      switch arguments.decimal(name, places: 8) {
      case .absent: .some(nil)
      case .value(let e8): e8
      case .wrong: nil
      }
    }
    guard let trade = amount("trade_amount"), let quote = amount("quote_amount"), let both = amount("amount") else {
      return .invalidRequest
    }
    // The deprecated member overrides both.
    guard let tradeE8 = both ?? trade, let quoteE8 = both ?? quote else { return .invalidRequest }
    guard isListed(product: product) else { return .unknownProduct }
    let limit: Int64 = 1_000_000_00000000
    guard tradeE8 > 0, quoteE8 > 0, tradeE8 <= limit, quoteE8 <= limit else { return .invalidQuantity }
    guard tradeE8 <= quoteE8 else { return .invalidRequest }
    // The last call wins and refills; standing quotes stay, whatever their size.
    session.protection[product] = ProtectionGroup(tradeE8: tradeE8, quoteE8: quoteE8)
    tell(session, product, tradeE8, .refill)
    reply.raw("null")
    return nil
  }

  /// A quote has traded: its group pays for it.
  func charge(_ order: VenueOrder, _ lots: QtyLots) {
    guard let session = order.session else { return }
    let product = order.market.spec.product
    guard session.protection[product] != nil else { return }
    session.protection[product]?.execute(lots.rawValue * order.market.spec.grid.lotE8)
    if !touchedSessions.contains(where: { $0 === session }) { touchedSessions.append(session) }
  }

  /// What the matching engine does after each incoming order: groups that have traded enough lose their quotes.
  func evaluateProtection() {
    guard !touchedSessions.isEmpty else { return }
    let list = touchedSessions
    touchedSessions.removeAll(keepingCapacity: true)
    for session in list {
      for product in session.protection.keys.sorted() {
        guard let group = session.protection[product], group.isTouched else { continue }
        session.protection[product]?.noteEvaluation()
        if group.state == .exhausted {
          statistics.protectionHits += 1
          cancelAll(quotes(of: session, product), deletion: .protection)
        }
        tell(session, product, group.remainingE8, .executions)
      }
    }
  }

  /// Live mass quotes of a session, of one product or of all.
  func quotes(of session: Session, _ product: String? = nil) -> [VenueOrder] {
    session.orders.filter { $0.isQuote && (product == nil || $0.market.spec.product == product) }
  }

  /// Removes groups of a session; each must be configured again before the next mass quote.
  func resetProtection(_ session: Session, _ product: String? = nil, reason: ProtectionReason) {
    for name in session.protection.keys.sorted() where product == nil || name == product {
      if let group = session.protection.removeValue(forKey: name) { tell(session, name, group.remainingE8, reason) }
    }
  }

  private func tell(_ session: Session, _ product: String, _ remainingE8: Int64, _ reason: ProtectionReason) {
    guard session.privateChannels.contains(.protection) else { return }
    pendingProtection.append(
      ProtectionItem(session: session, product: product, remainingE8: remainingE8, reason: reason))
  }

  /// session.mm_protection, one message for each session concerned.
  func flushProtection() {
    guard !pendingProtection.isEmpty else { return }
    var told: [Session] = []
    for first in pendingProtection where !told.contains(where: { $0 === first.session }) {
      told.append(first.session)
      guard first.session.isOpen else { continue }
      message.clear()
      message.raw("{\"channel_name\":\"session.mm_protection\",\"notification\":[")
      var isFirst = true
      for item in pendingProtection where item.session === first.session {
        if !isFirst { message.byte(UInt8(ascii: ",")) }
        isFirst = false
        message.raw("{\"product\":")
        message.quoted(item.product)
        message.raw(",\"remaining_amount\":")
        message.e8Pointed(item.remainingE8)
        message.raw(",\"reason\":\"")
        message.raw(item.reason.word)
        message.raw("\"}")
      }
      message.raw("]}")
      outbox.post(first.session.id, message)
    }
    pendingProtection.removeAll(keepingCapacity: true)
  }
}
