import Apus
import CSupport

/// What a request about orders does.
enum BybitAction: String {
  case create = "order.create"
  case amend = "order.amend"
  case cancel = "order.cancel"
  case createBatch = "order.create-batch"
  case amendBatch = "order.amend-batch"
  case cancelBatch = "order.cancel-batch"

  var rate: BybitRateClass {
    switch self {
    case .create: .create
    case .amend: .amend
    case .cancel: .cancel
    case .createBatch: .createBatch
    case .amendBatch: .amendBatch
    case .cancelBatch: .cancelBatch
    }
  }

  var isBatch: Bool { self == .createBatch || self == .amendBatch || self == .cancelBatch }
}

/// What became of one order of a request.
struct BybitOutcome {
  var symbol = ""
  var orderID = ""
  var link = ""
  var created: Int64?
  var refusal: BybitRefusal?
}

/// Order requests, over their socket and over REST: one way in for both (9, 14).
extension SimulatedBybit {
  static let batchLimit = 20
  static let longestID = 36

  // MARK: the socket

  func enterOrders(
    _ connection: BybitConnection, _ operation: String, _ arguments: BybitArguments, _ id: [UInt8]?
  ) {
    var outcomes: [BybitOutcome] = []
    var refusal: BybitRefusal?
    let action = BybitAction(rawValue: operation)
    do throws(BybitRefusal) {
      let account = try check(connection, arguments, id)
      guard let action else { throw .unknownOperation }
      guard let args = arguments.node("args"), document[args].kind == .array, document[args].next > args + 1 else {
        throw .invalid("args", "must have one object")
      }
      outcomes = try perform(action, account, BybitArguments(document: document, object: args + 1))
    } catch {
      refusal = error
    }
    write(connection, operation, id, action, refusal, outcomes)
    settle(requester: connection)
  }

  /// Whose request it is, if it may be one at all.
  private func check(
    _ connection: BybitConnection, _ arguments: BybitArguments, _ id: [UInt8]?
  ) throws(BybitRefusal) -> BybitAccount {
    guard let account = connection.account else { throw .unauthenticated }
    if connection.isRestarting { throw .restarting }
    if let id {
      // A string has its quotes.
      let text = String(decoding: id, as: UTF8.self)
      guard id.count <= Self.longestID + 2 else { throw .invalid("reqId", "longer than 36") }
      guard connection.requestIDs.insert(text).inserted else { throw .duplicateRequest }
    }
    guard connection.requests.take(now: now) else { throw .sessionRate }
    let header = BybitArguments(document: document, object: arguments.node("header"))
    guard let time = try header.integer("X-BAPI-TIMESTAMP") else { throw .invalid("X-BAPI-TIMESTAMP", "is missing") }
    try checkTime(time, window: try header.integer("X-BAPI-RECV-WINDOW") ?? 5000)
    return account
  }

  /// A request must be neither older than its window nor a second ahead (4.2).
  func checkTime(_ time: Int64, window: Int64) throws(BybitRefusal) {
    let server = wallClock / 1_000_000
    guard time >= server - max(0, min(60_000, window)), time < server + 1000 else {
      throw .time(request: time, server: server, window: window)
    }
  }

  // MARK: what both do

  /// Does what is asked, one outcome an order.
  ///
  /// - Parameter arguments: The order; of a batch `category` and the list `request`.
  func perform(
    _ action: BybitAction, _ account: BybitAccount, _ arguments: BybitArguments
  ) throws(BybitRefusal) -> [BybitOutcome] {
    guard try arguments.string("category") == "linear" else { throw .category }
    if faults.isDown { throw .serverError }
    var failure: BybitRefusal?
    if faults.refusals > 0 {
      faults.refusals -= 1
      failure = faults.refusal
      if !faults.refusalsAreLies, let failure { throw failure }
    }
    let outcomes =
      action.isBatch
      ? try performBatch(action, account, arguments)
      : [try performOne(action, account, arguments)]
    if let failure { throw failure }
    return outcomes
  }

  private func performOne(
    _ action: BybitAction, _ account: BybitAccount, _ arguments: BybitArguments
  ) throws(BybitRefusal) -> BybitOutcome {
    try charge(account, action.rate)
    let order =
      switch action {
      case .create, .createBatch: try create(account, arguments)
      case .amend, .amendBatch: try amend(account, arguments)
      case .cancel, .cancelBatch: try cancel(account, arguments)
      }
    return BybitOutcome(
      symbol: order.market.spec.name, orderID: order.id, link: order.link,
      created: action == .createBatch ? milliseconds(order.createTime) : nil)
  }

  private func performBatch(
    _ action: BybitAction, _ account: BybitAccount, _ arguments: BybitArguments
  ) throws(BybitRefusal) -> [BybitOutcome] {
    var items: [Int] = []
    if let list = arguments.node("request"), document[list].kind == .array {
      document.forEach(in: list) { items.append($0) }
    }
    guard !items.isEmpty else { throw .invalid("request", "is empty") }
    guard items.count <= Self.batchLimit else { throw .invalid("request", "has more than 20 orders") }
    var outcomes: [BybitOutcome] = []
    for item in items {
      let order = BybitArguments(document: document, object: document[item].kind == .object ? item : nil)
      do throws(BybitRefusal) {
        outcomes.append(try performOne(action, account, order))
      } catch {
        // What the request says of it, but for the id of an order that there is not.
        let isNew = action == .createBatch
        outcomes.append(
          BybitOutcome(
            symbol: (try? order.string("symbol")) ?? "", orderID: isNew ? "" : (try? order.string("orderId")) ?? "",
            link: (try? order.string("orderLinkId")) ?? "", created: nil, refusal: error))
      }
    }
    return outcomes
  }

  /// Takes one request from what a class is allowed in this second.
  func charge(_ account: BybitAccount, _ rate: BybitRateClass) throws(BybitRefusal) {
    guard settings.enforcesLimits, !account.rates[rate.rawValue].take(now: now) else { return }
    account.violations += 1
    statistics.rateViolations += 1
    throw .tooMany
  }

  // MARK: answers

  private func write(
    _ connection: BybitConnection, _ operation: String, _ id: [UInt8]?, _ action: BybitAction?,
    _ refusal: BybitRefusal?, _ outcomes: [BybitOutcome]
  ) {
    reply.clear()
    reply.byte(UInt8(ascii: "{"))
    if let id {
      reply.key("reqId")
      reply.append(id)
    }
    reply.member("retCode", number: refusal?.code ?? 0)
    reply.member("retMsg", text: refusal?.message ?? "OK")
    reply.member("op", text: operation)
    reply.key("data")
    if refusal != nil || action == nil {
      reply.raw("{},\"retExtInfo\":{}")
    } else {
      write(outcomes, isBatch: action?.isBatch == true)
      reply.key("retExtInfo")
      writeExtra(outcomes, isBatch: action?.isBatch == true)
    }
    reply.key("header")
    reply.byte(UInt8(ascii: "{"))
    if let account = connection.account, let action {
      for (name, value) in limits(account, action.rate, refusal) { reply.member(name, whole: value) }
    }
    reply.member("Traceid", text: trace())
    reply.member("Timenow", whole: wallClock / 1_000_000)
    reply.raw("}")
    reply.member("connId", text: connection.name)
    reply.byte(UInt8(ascii: "}"))
  }

  func trace() -> String { uuid(.trace, random.next()).filter { $0 != "-" } }

  /// What is allowed, what is left of it, and when there is more.
  func limits(
    _ account: BybitAccount, _ rate: BybitRateClass, _ refusal: BybitRefusal?
  ) -> [(StaticString, Int64)] {
    let left = Int64(account.rates[rate.rawValue].left(now: now))
    let window = account.rates[rate.rawValue]
    let isOver = refusal?.code == BybitRefusal.tooMany.code
    return [
      ("X-Bapi-Limit", Int64(window.limit)), ("X-Bapi-Limit-Status", isOver ? 0 : left),
      ("X-Bapi-Limit-Reset-Timestamp", milliseconds(isOver ? window.reset(now: now) : now)),
    ]
  }

  /// `{"orderId":…,"orderLinkId":…}`, or the list of them.
  func write(_ outcomes: [BybitOutcome], isBatch: Bool) {
    reply.raw(isBatch ? "{\"list\":[" : "{")
    for (place, outcome) in outcomes.enumerated() {
      if isBatch { reply.raw(place == 0 ? "{" : ",{") }
      if isBatch {
        reply.member("category", "linear")
        reply.member("symbol", text: outcome.symbol)
      }
      reply.member("orderId", text: outcome.orderID)
      reply.member("orderLinkId", text: outcome.link)
      if isBatch, outcome.created != nil || outcome.orderID.isEmpty {
        if let created = outcome.created {
          reply.member("createAt", whole: created)
        } else {
          reply.member("createAt", "")
        }
      }
      if isBatch { reply.byte(UInt8(ascii: "}")) }
    }
    reply.raw(isBatch ? "]}" : "}")
  }

  /// What became of each order of a batch, beside their list.
  func writeExtra(_ outcomes: [BybitOutcome], isBatch: Bool) {
    guard isBatch else { return reply.raw("{}") }
    reply.raw("{\"list\":[")
    for (place, outcome) in outcomes.enumerated() {
      reply.raw(place == 0 ? "{" : ",{")
      reply.member("code", number: outcome.refusal?.code ?? 0)
      reply.member("msg", text: outcome.refusal?.message ?? "OK")
      reply.byte(UInt8(ascii: "}"))
    }
    reply.raw("]}")
  }
}
