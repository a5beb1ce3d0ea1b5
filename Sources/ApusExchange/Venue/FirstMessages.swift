import Apus
import CSupport

/// What a new subscriber is told first: snapshots and present values (reference 5.2, 7).
extension SimulatedVenue {
  /// The first message of a channel, to one subscriber.
  func sendFirst(_ subscription: Subscription) {
    let session = subscription.session
    guard session.isOpen else { return }
    switch subscription.target {
    case .publicChannel(let channel):
      switch channel.kind {
      case .ticker(let index):
        begin(channel)
        writeTicker(message, markets[index])
        message.byte(UInt8(ascii: "}"))
      case .lwt(let index):
        begin(channel)
        writeLightTicker(markets[index], state(markets[index]))
        message.byte(UInt8(ascii: "}"))
      case .lwtFutures, .lwtOptions, .lwtRolls: _ = writeAggregated(channel, all: true)
      case .book(let index, let group, let levels):
        writeBookSnapshot(channel, markets[index], group: group, levels: levels)
      case .recentTrades, .underlyingTrades: _ = writeTrades(channel, markets(of: channel), isSnapshot: true)
      case .priceIndex, .statistics, .basePrice, .indexComponents: _ = writeValue(channel)
      case .banners:
        begin(channel)
        message.raw("[]}")
      case .rfqs:
        // RFQs that were traded: nobody trades any here.
        begin(channel)
        message.raw("[],\"snapshot\":true}")
      case .instruments:
        begin(channel)
        message.byte(UInt8(ascii: "["))
        for (place, market) in markets.filter(\.isListed).enumerated() {
          message.raw(place == 0 ? "{\"added\":" : ",{\"added\":")
          writeInstrument(message, market)
          message.byte(UInt8(ascii: "}"))
        }
        message.raw("],\"snapshot\":true}")
      case .system: return
      }
    case .privateChannel(let channel):
      guard let account = session.account else { return }
      message.clear()
      switch channel {
      case .sessionOrders:
        message.raw("{\"channel_name\":\"session.orders\",\"notification\":")
        writeOrders(message, session.orders)
        message.raw(",\"snapshot\":true}")
      case .accountOrders:
        message.raw("{\"channel_name\":\"account.orders\",\"notification\":")
        writeOrders(message, account.orders)
        message.raw(",\"snapshot\":true}")
      case .portfolio:
        message.raw("{\"channel_name\":\"account.portfolio\",\"notification\":")
        writePortfolio(message, account)
        message.raw(",\"snapshot\":true}")
      case .summary:
        message.raw("{\"channel_name\":\"account.summary\",\"notification\":")
        writeSummary(message, account)
        message.byte(UInt8(ascii: "}"))
      case .persistentOrders:
        message.raw("{\"channel_name\":\"account.persistent_orders\",\"notification\":")
        writeOrders(message, account.orders.filter(\.isPersistent))
        message.raw(",\"snapshot\":true}")
      case .conditionals: writeConditionalNotification(account)
      case .rfqs: message.raw("{\"channel_name\":\"account.rfqs\",\"notification\":[],\"snapshot\":true}")
      case .makerRFQs: writeMakerRFQs()
      case .makerQuotes: writeMakerQuotes(account)
      case .bots: message.raw("{\"channel_name\":\"account.bots\",\"notification\":[]}")
      default: return
      }
    }
    outbox.post(session.id, message)
  }
}
