import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// Reproducible pseudo-random numbers (SplitMix64, public domain algorithm by S. Vigna).
private struct Dice {
  var state: UInt64
  mutating func roll(_ bound: Int) -> Int {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
    return Int((mixed ^ (mixed >> 31)) % UInt64(bound))
  }
  mutating func pick<T>(_ list: [T]) -> T { list[roll(list.count)] }
}

/// Random mixtures of everything: requests of several sessions, sense and nonsense, with faults, listings and expiries.
@Suite struct VenueMixtureTests {
  /// What a session knows of its account from the feeds alone.
  private final class Listener {
    var live: [String: [String: Any]] = [:]
    var dead: Set<String> = []
    var filled: [String: Double] = [:]
    var protection: [String: Double] = [:]
  }

  private struct Mixture {
    let h: Harness
    var dice: Dice
    var names: [String]
    var day = expiryDay
    var connections: [ConnectionID] = []
    var nextConnection: UInt64 = 1
    var listeners: [ConnectionID: Listener] = [:]
    var transcript = Hasher64()
    var messages = 0

    /// FNV-1a over all that was said: two runs of one seed must agree.
    struct Hasher64 {
      var value: UInt64 = 0xCBF2_9CE4_8422_2325
      mutating func add(_ text: String) {
        for byte in text.utf8 { value = (value ^ UInt64(byte)) &* 0x100_0000_01B3 }
      }
    }

    init(seed: UInt64) throws {
      let first = expiryDay
      h = try Harness.dated(secondsBefore: 1900, quoted: true) {
        $0.seed = seed
        $0.derivedTradesPerMark = 2
        $0.closesOnFailedLogin = false
        $0.checksTokenTime = false
        $0.checksTokenOrder = false
        $0.massQuoteCost = VenueConfiguration.MassQuoteCost.allCases[Int(seed % 3)]
        $0.comparesRemainingQuote = seed % 2 == 0
        $0.sessionMessageRate = 500
      }
      dice = Dice(state: seed)
      day = first
      names = h.venue.instrumentNames
      for _ in 0..<3 { connect() }
    }

    mutating func connect() {
      let id = ConnectionID(nextConnection)
      nextConnection += 1
      h.venue.connect(id, now: h.now)
      connections.append(id)
      listeners[id] = Listener()
      say(id, "public/login", "{\"token\":\"\(h.token(kid: "K\(1 + dice.roll(2))"))\"}")
      say(id, "private/set_cancel_on_disconnect", "{\"timeout_secs\":3600}")
      say(id, "private/subscribe", #"{"channels":["session.orders","session.mm_protection","account.order_history"]}"#)
      say(
        id, "public/subscribe",
        #"{"channels":["instruments","book.BTC-PERPETUAL.none.5.100ms","lwt_options.BTCUSD.all.500ms"]}"#)
    }

    mutating func say(_ id: ConnectionID, _ method: String, _ params: String) {
      h.venue.receive(id, text: "{\"method\":\"\(method)\",\"id\":1,\"params\":\(params)}", now: h.now)
    }

    mutating func amount() -> String {
      dice.pick(["0.1", "0.2", "0.5", "0.01", "0.001", "1", "3", "0", "-1", "0.0005", "1e30"])
    }

    mutating func price(_ name: String) -> String {
      if dice.roll(40) == 0 { return dice.pick(["0", "-1", "1e18", "0.3", "99999999999", "-99999999"]) }
      if name.hasSuffix("-PERPETUAL") && name.contains("APR") { return "\(dice.roll(12) - 6)" }
      if name.hasSuffix("-C") || name.hasSuffix("-P") { return "\(5 * dice.roll(120))" }
      return "\(61_790 + dice.roll(22))"
    }

    mutating func side(_ name: String) -> String {
      switch dice.roll(4) {
      case 0: return "{\"p\":\(price(name)),\"a\":\(amount())}"
      case 1: return "[]"
      default:
        let count = 1 + dice.roll(4)
        return "[" + (0..<count).map { _ in "[\(price(name)),\(amount())]" }.joined(separator: ",") + "]"
      }
    }

    mutating func step() throws {
      let id = dice.pick(connections)
      let name = dice.pick(names + ["BTC-PERPETUAL", "BTC-PERPETUAL"])
      let instrument = "\"instrument_name\":\"\(name)\""
      switch dice.roll(100) {
      case 0..<25:
        var params =
          "\(instrument),\"direction\":\"\(dice.pick(["buy", "sell"]))\",\"amount\":\(amount()),\"price\":\(price(name))"
        if dice.roll(2) == 0 { params += ",\"client_order_id\":\(dice.roll(20))" }
        params += dice.pick([
          "", "", ",\"post_only\":true", ",\"order_type\":\"market\"", ",\"reduce_only\":true",
          ",\"collar\":\"ignore\"",
        ])
        say(id, "private/insert", "{\(params)}")
      case 25..<50:
        let count = 1 + dice.roll(3)
        let quotes = (0..<count).map { _ in
          let name = dice.pick(names)
          return "{\"i\":\"\(name)\",\"b\":\(side(name)),\"a\":\(side(name))}"
        }
        say(
          id, "private/mass_quote",
          "{\"quotes\":[\(quotes.joined(separator: ","))]\(dice.pick(["", ",\"post_only\":true"]))}")
      case 50..<60:
        say(
          id, "private/set_mm_protection",
          "{\"product\":\"\(dice.pick(["FBTCUSD", "OBTCUSD"]))\",\"trade_amount\":\(dice.pick(["0.3", "1", "5"])),\"quote_amount\":5}"
        )
      case 60..<70:
        say(
          id, "private/amend",
          "{\"client_order_id\":\(dice.roll(20)),\"price\":\(price("BTC-PERPETUAL")),\"amount\":\(amount())}")
      case 70..<76: say(id, "private/cancel", "{\"client_order_id\":\(dice.roll(20))}")
      case 76: say(id, dice.pick(["private/cancel_session", "private/cancel_all", "private/cancel_mass_quote"]), "{}")
      case 77:
        say(
          id, "private/create_conditional_order",
          "{\(instrument),\"direction\":\"\(dice.pick(["buy", "sell"]))\",\"amount\":\(amount()),\"stop_price\":\(price(name)),\"target\":\"\(dice.pick(["last", "mark", "index"]))\"}"
        )
      case 78:
        say(id, "private/create_rfq", "{\"legs\":[{\(instrument),\"amount\":\(amount())}]}")
      case 79:
        h.venue.disconnected(id, now: h.now)
        connections.removeAll { $0 == id }
        listeners[id] = nil
        connect()
      case 80:
        say(
          id,
          dice.pick([
            "private/order_history", "private/trade_history", "public/all_instruments", "private/account_breakdown",
          ]), "{}")
      case 81: h.venue.failOver(now: h.now)
      case 82:
        if h.venue.halt(name, cancelling: dice.roll(2) == 0, now: h.now) {
          h.pass(Nanoseconds(dice.roll(3000)) * millisecond)
          h.venue.resume(name, now: h.now)
        }
      case 83 where dice.roll(10) == 0:
        h.venue.restart(keepingBook: dice.roll(2) == 0, now: h.now)
        connections.removeAll()
        listeners.removeAll()
        for _ in 0..<3 { connect() }
      case 84 where dice.roll(6) == 0:
        if name != "BTC-PERPETUAL" { h.venue.expire(name, now: h.now) }
        names = h.venue.instrumentNames
      case 85 where dice.roll(6) == 0:
        day += 1
        let future = InstrumentSpec.btcFuture(day: day)
        for spec in [
          future, .roll(far: future, near: .btcPerpetual), .btcOption(.put, strike: 61_500, expiryOf: future),
        ] {
          try h.venue.list(spec, now: h.now)
        }
        names = h.venue.instrumentNames
      case 86 where dice.roll(6) == 0:
        let option = names.first { $0.hasSuffix("-P") } ?? ""
        try? h.venue.setTick(option, tickE8: dice.pick([500_000_000, 100_000_000, 1_000_000_000]), now: h.now)
      case 87 where dice.roll(10) == 0: h.venue.throttle(for: second, cancels: dice.roll(2) == 0, now: h.now)
      case 88 where dice.roll(20) == 0: h.venue.setClockOffset(Nanoseconds(dice.roll(60)) * second, now: h.now)
      default: h.pass(Nanoseconds(dice.roll(2000)) * millisecond)
      }
    }

    /// Takes what was said, and holds it against the rules of the feeds.
    mutating func listen() {
      for id in connections {
        guard let listener = listeners[id] else { continue }
        for message in h.take(id) {
          transcript.add(message.text)
          messages += 1
          if message.channel == "session.mm_protection" {
            for item in message.list { listener.protection[item.text("product")] = item.number("remaining_amount") }
          }
          guard message.channel == "session.orders" else { continue }
          for order in message.list {
            let number = order.text("order_id")
            let isLive = ["open", "partially_filled"].contains(order.text("status"))
            if listener.dead.contains(number) { Issue.record("order \(number) came back") }
            listener.filled[number, default: 0] += order.items("fills").reduce(0) { $0 + $1.number("amount") }
            if order.text("change_reason") != "existing",
              abs(listener.filled[number]! - order.number("filled_amount")) > 1e-6
            {
              Issue.record("the fills of order \(number) do not add up: \(message.text)")
            }
            listener.live[number] = isLive ? order : nil
            if !isLive { listener.dead.insert(number) }
          }
        }
      }
    }

    /// The venue's books agree with the feeds and with themselves.
    func check() {
      var told: [String: Set<String>] = [:]
      for id in connections {
        let account = h.ask(id, "private/open_orders").list
        let session = Set(listeners[id]!.live.keys)
        let all = Set(account.map { $0.text("order_id") })
        if !session.isSubset(of: all) {
          Issue.record("the feed of \(id) knows orders that are gone: \(session.subtracting(all))")
        }
        told[h.ask(id, "private/account_breakdown").object.text("account_number"), default: []].formUnion(all)
      }
      for (account, orders) in told {
        guard let books = h.venue.books(account) else { continue }
        if Set(books.openOrders.map(\.orderID)) != orders {
          Issue.record("the books of \(account) differ from open_orders")
        }
        for position in books.positions {
          let open = books.openOrders.filter { $0.instrument == position.instrument }
          let buys = open.filter(\.isBuy).reduce(0) { $0 + $1.remainingLots }
          let sells = open.filter { !$0.isBuy }.reduce(0) { $0 + $1.remainingLots }
          if buys != position.openBuyLots || sells != position.openSellLots {
            Issue.record("open lots of \(account) in \(position.instrument) do not add up")
          }
          let traded = books.fills.filter { $0.instrument == position.instrument }.reduce(0) {
            $0 + ($1.isBuy ? $1.lots : -$1.lots)
          }
          if traded != position.lots {
            Issue.record("the position of \(account) in \(position.instrument) is not its fills")
          }
          let fees = books.fills.filter { $0.instrument == position.instrument }.reduce(0) { $0 + $1.feeE8 }
          if fees != position.feesE8 { Issue.record("the fees of \(account) in \(position.instrument) do not add up") }
        }
      }
    }
  }

  private func run(_ seed: UInt64, steps: Int) throws -> (hash: UInt64, messages: Int, trades: UInt64) {
    var mixture = try Mixture(seed: seed)
    for step in 0..<steps {
      try mixture.step()
      mixture.listen()
      if step % 50 == 49 { mixture.check() }
      if let broken = mixture.h.venue.brokenInvariant() {
        throw ServerTestError(description: "seed \(seed), step \(step): \(broken)")
      }
    }
    mixture.check()
    return (mixture.transcript.value, mixture.messages, mixture.h.venue.statistics.trades)
  }

  /// Seeds to run; more of them with `APUS_VENUE_SEEDS`.
  private static let seeds: ClosedRange<UInt64> =
    1...max(3, ProcessInfo.processInfo.environment["APUS_VENUE_SEEDS"].flatMap { UInt64($0) } ?? 12)

  @Test(arguments: seeds)
  func `any mixture keeps the books, the feeds and the matching engines in agreement, and repeats by its seed`(
    seed: UInt64
  ) throws {
    let first = try run(seed, steps: 300)
    #expect(first.messages > 300 && first.trades > 20)
    if seed <= 3 {
      let again = try run(seed, steps: 300)
      #expect(again == first)
    }
  }
}
