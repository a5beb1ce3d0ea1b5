public import Apus

/// A named fault with the requirements that it proves.
public struct FaultScenario: Sendable {
  /// Lower case, words joined by hyphens.
  public var name: String
  /// For example `["R01", "R04"]`.
  public var requirements: [String]
  /// What goes wrong, and what the engine must do.
  public var story: String
  public var plan: FaultPlan
  /// From the end of the last fault until quotes stand again, at most.
  public var recovery: Nanoseconds
  /// How long none of our orders may rest while the plan goes on, in all; `nil` where that is not the question.
  public var withoutOrders: Nanoseconds?
  /// Whether a real engine on real sockets can be put through it as well.
  public var isLive = true

  private init(
    _ name: String, _ requirements: [String], _ story: String, recovery: Nanoseconds = 8_000_000_000,
    withoutOrders: Nanoseconds? = nil, isLive: Bool = true, adjust: (inout FaultPlan) -> Void = { _ in },
    _ faults: [TimedFault]
  ) {
    self.name = name
    self.requirements = requirements
    self.story = story
    self.recovery = recovery
    self.withoutOrders = withoutOrders
    self.isLive = isLive
    plan = FaultPlan()
    plan.faults = faults
    plan.length = faults.reduce(0) { max($0, $1.end) }
    adjust(&plan)
  }

  public static func named(_ name: String) -> FaultScenario? { all.first { $0.name == name } }

  private static let s: Nanoseconds = 1_000_000_000
  private static let ms: Nanoseconds = 1_000_000
  private static let told: FrameKinds = [.replies, .refusals, .orders, .trades, .positions]

  public static let all: [FaultScenario] = [
    FaultScenario(
      "lost-acknowledgements", ["R01", "R04"],
      "No reply to an order request arrives: the orders are unknown and count as live until a query tells.",
      [TimedFault(at: s, lasting: 6 * s, .drop(.replies))]),
    FaultScenario(
      "lost-requests", ["R01", "R03"],
      "Every fifth order request is lost on its way: what was never there is found to be absent, by our own ids.",
      [TimedFault(at: s, lasting: 8 * s, .drop([.inserts, .amends, .cancels]), permille: 200)]),
    FaultScenario(
      "lost-fills", ["R06", "R23"],
      "Feeds tell of no execution for a while: they are found by asking, and booked once.",
      adjust: { $0.length = 14 * s },
      [TimedFault(at: s, lasting: 5 * s, .drop([.orders, .trades]))]),
    FaultScenario(
      "fills-told-after-the-position", ["R06", "R56"],
      "Feeds tell of no execution for 2 s, and the trade history answers only after 9 s, while the positions show them: they count once, and no position is taken over that the trades explain.",
      adjust: { $0.length = 16 * s },
      [
        TimedFault(at: s, lasting: 2 * s, .drop([.orders, .trades])),
        TimedFault(at: s, lasting: 9 * s, .drop(.tradeAnswers)),
      ]),
    FaultScenario(
      "lagging-positions", ["R02", "R56"],
      "Nothing is lost, but the positions lag up to 600 ms behind executions that come faster than that: none is taken over.",
      isLive: false,
      adjust: {
        $0.instruments = ["BTC-PERPETUAL", "ETH-PERPETUAL"]
        $0.sizeLots = 5
        $0.limitLots = 50
        $0.feedDelay = 50 * ms...600 * ms
        $0.length = 120 * s
      }, []),
    FaultScenario(
      "fills-told-twice", ["R06"], "Every private message comes twice, the second time up to 2 s later.",
      [TimedFault(at: s, lasting: 12 * s, .duplicate([.orders, .trades, .positions], ms...2 * s))]),
    FaultScenario(
      "answers-after-50-s", ["R01", "R19"],
      "Answers come 50 s late: they are matched with their orders, exposure is not counted twice, nothing is re-opened.",
      adjust: { $0.length = 62 * s },
      [TimedFault(at: s, lasting: 6 * s, .delay([.replies, .orders], 48 * s...52 * s), permille: 300)]),
    FaultScenario(
      "reply-and-notification-swapped", ["R09"], "Notifications and replies change places all the time.",
      [TimedFault(at: 0, lasting: 15 * s, .reorder([.replies, .orders]))]),
    FaultScenario(
      "private-messages-out-of-order", ["R02", "R08"],
      "What is told about orders is up to half a second late, and overtakes and is overtaken.",
      [TimedFault(at: 0, lasting: 15 * s, .delay(told, 0...500 * ms), permille: 500)]),
    FaultScenario(
      "corrupt-private-messages", ["R05"],
      "Every tenth private message is cut short, is no JSON or holds an unknown word: refused, counted, asked for.",
      [TimedFault(at: 0, lasting: 12 * s, .corrupt(told), permille: 100)]),
    FaultScenario(
      "corrupt-books", ["R28"], "Book messages are damaged: the book is invalid at once and fetched anew.",
      recovery: 12 * s,
      [TimedFault(at: 2 * s, lasting: 4 * s, .corrupt(.books), permille: 20)]),
    FaultScenario(
      "lost-and-late-answers-to-queries", ["R20", "R62"],
      "Answers to queries are lost or late while orders are unknown: they are asked for again.",
      [
        TimedFault(at: 0, lasting: 12 * s, .drop(.replies), permille: 100),
        TimedFault(at: 0, lasting: 12 * s, .drop([.orderAnswers, .tradeAnswers, .positionAnswers]), permille: 300),
        TimedFault(
          at: 0, lasting: 12 * s, .delay([.orderAnswers, .tradeAnswers, .positionAnswers], 0...3 * s), permille: 300),
      ]),
    FaultScenario(
      "connection-reset", ["R23", "R25"], "The connection is reset three times: freeze, ask, diff, resume.",
      [TimedFault(at: 2 * s, .reset), TimedFault(at: 5 * s, .reset), TimedFault(at: 7 * s, .reset)]),
    FaultScenario(
      "half-open-connection", ["R14", "R23"],
      "The venue does not notice that the connection is gone, and the orders rest on: the new session finds and cancels them.",
      [TimedFault(at: 3 * s, .abandon), TimedFault(at: 9 * s, .abandon)]),
    FaultScenario(
      "silence", ["R15", "R29"],
      "Nothing passes for 10 s and nobody notices: quotes are pulled, the dead-man timer ends the orders at the venue.",
      [TimedFault(at: 2 * s, lasting: 10 * s, .silence)]),
    FaultScenario(
      "stalled-reads", ["R33", "R29"], "The engine reads nothing for 4 s, and then everything at once.",
      [TimedFault(at: 2 * s, lasting: 4 * s, .stallReads)]),
    FaultScenario(
      "stalled-writes", ["R01", "R08"], "The venue reads nothing for 4 s: requests pile up on their way.",
      [TimedFault(at: 2 * s, lasting: 4 * s, .stallWrites)]),
    FaultScenario(
      "unreachable", ["R25"], "After a reset the venue refuses connections for 6 s.", recovery: 12 * s,
      [TimedFault(at: 2 * s, .reset), TimedFault(at: 2 * s, lasting: 6 * s, .unreachable)]),
    FaultScenario(
      "tick-size-changed", ["R32", "R64"],
      "The tick becomes five times finer: orders go, the grid is the new one, quoting resumes.", recovery: 12 * s,
      adjust: { $0.length = 10 * s },
      [TimedFault(at: 3 * s, .tick("BTC-PERPETUAL", finer: 5))]),
    FaultScenario(
      "instrument-halted", ["R29", "R32"],
      "Trading stands still for 8 s and tickers end: its quotes are pulled, the other instrument's are not.",
      adjust: { $0.instruments = ["BTC-PERPETUAL", "ETH-PERPETUAL"] },
      [TimedFault(at: 2 * s, lasting: 8 * s, .halt("BTC-PERPETUAL"))]),
    FaultScenario(
      "instrument-expired", ["R32"], "An instrument is removed: its quotes are gone, the others go on.",
      adjust: {
        $0.instruments = ["BTC-PERPETUAL", "BTC-25DEC26"]
        $0.length = 8 * s
      },
      [TimedFault(at: 3 * s, .expire("BTC-25DEC26"))]),
    FaultScenario(
      "reconnect-after-expiry", ["R32", "R62"],
      "After an instrument has expired the connection is lost: the venue no longer lists it, and the others are quoted again.",
      adjust: {
        $0.instruments = ["BTC-PERPETUAL", "BTC-25DEC26"]
        $0.length = 8 * s
      },
      [TimedFault(at: 3 * s, .expire("BTC-25DEC26")), TimedFault(at: 5 * s, .reset)]),
    FaultScenario(
      "throttled", ["R39", "R40"], "The venue takes 3 order messages a second for 6 s: no new orders, but cancels.",
      [TimedFault(at: 2 * s, lasting: 6 * s, .throttle(rate: 3))]),
    FaultScenario(
      "logins-refused", ["R25", "R62"], "After a reset the venue refuses logins for 5 s.", recovery: 12 * s,
      [TimedFault(at: 2 * s, .reset), TimedFault(at: 2 * s, lasting: 5 * s, .refuseLogins)]),
    FaultScenario(
      "clock-stepped", ["R48", "R62"],
      "Our wall clock is wrong by two minutes for 5 s, and the session has to be made anew: the venue refuses the login until the clock is right.",
      recovery: 12 * s, isLive: false,
      [TimedFault(at: 2 * s, lasting: 5 * s, .clockStep(120 * s)), TimedFault(at: 3 * s, .reset)]),
    FaultScenario(
      "restart-with-book", ["R14", "R23"],
      "The venue restarts, and our orders still rest, of no session: found, cancelled by the venue's ids.",
      [TimedFault(at: 3 * s, .restart(keepsBook: true))]),
    FaultScenario(
      "restart-without-book", ["R04", "R23"], "The venue restarts, and our orders are gone without a word.",
      [TimedFault(at: 3 * s, .restart(keepsBook: false))]),
    FaultScenario(
      "planned-closure", ["R23", "R25"],
      "The venue announces that it will close the connection in 10 s: the next session is made beside it, and takes over almost without a pause.",
      recovery: s, withoutOrders: 30 * ms, adjust: { $0.length = 14 * s },
      [TimedFault(at: 2 * s, lasting: 10 * s, .closure)]),
    FaultScenario(
      "planned-closure-second-login-refused", ["R25", "R62"],
      "The venue announces a closure and refuses logins until it is over: the first connection quotes on as long as it can, and then everything is made anew.",
      recovery: 4 * s, withoutOrders: 6 * s, adjust: { $0.length = 16 * s },
      [TimedFault(at: 2 * s, lasting: 10 * s, .closure), TimedFault(at: 2 * s, lasting: 10 * s, .refuseLogins)]),
    FaultScenario(
      "planned-closure-comes-early", ["R23", "R62"],
      "The venue announces a closure and closes 200 ms later, while the second connection is being made: as any lost connection.",
      withoutOrders: 6 * s,
      adjust: {
        $0.latency = 60 * ms
        $0.length = 10 * s
      },
      [TimedFault(at: 2 * s, lasting: 200 * ms, .closure)]),
    FaultScenario(
      "engine-killed", ["R13", "R17", "R56"],
      "The engine is killed and started again: it asks the venue, takes over the position, and only then quotes.",
      [TimedFault(at: 4 * s, .abandon), TimedFault(at: 4 * s, .crash)]),
    FaultScenario(
      "refusals-that-prove-nothing", ["R01", "R04"],
      "Requests take effect, but the answer is an error that does not say so: unknown until a query tells.",
      [TimedFault(at: s, lasting: 8 * s, .mask(code: 21), permille: 200)]),
    FaultScenario(
      "cancels-refused", ["R12"],
      "Every cancel is refused while quotes must be pulled: the session's own command, then the end of the session.",
      recovery: 12 * s,
      [
        TimedFault(at: 2 * s, lasting: 8 * s, .refuse([.cancels, .massCancels], code: 6)),
        TimedFault(at: 2 * s, lasting: 8 * s, .drop(.tickers)),
      ]),
    FaultScenario(
      "orders-refused", ["R44", "R62"], "The venue refuses every order for 8 s: no flood, and quoting comes back.",
      [TimedFault(at: 2 * s, lasting: 8 * s, .refuse([.inserts, .amends], code: 24))]),
    FaultScenario(
      "everything-at-once", ["R07", "R08", "R58"],
      "Loss, repetition, lateness and damage of private messages, a half-open connection, a restart and a silence.",
      recovery: 20 * s,
      adjust: { $0.instruments = ["BTC-PERPETUAL", "ETH-PERPETUAL"] },
      [
        TimedFault(at: 0, lasting: 20 * s, .drop(told), permille: 30),
        TimedFault(at: 0, lasting: 20 * s, .delay(told, ms...400 * ms), permille: 200),
        TimedFault(at: 0, lasting: 20 * s, .duplicate([.orders, .trades, .positions], ms...s), permille: 100),
        TimedFault(at: 0, lasting: 20 * s, .corrupt(told), permille: 10),
        TimedFault(at: 3 * s, .abandon), TimedFault(at: 8 * s, .restart(keepsBook: true)),
        TimedFault(at: 12 * s, lasting: 8 * s, .silence),
      ]),
  ]

  /// What a person is shown in a minute: each short, one after the other, against one engine.
  public static let badMinute: [FaultScenario] = [
    FaultScenario(
      "connection-reset", ["R23", "R25"], "the connection is reset", [TimedFault(at: 0, .reset)]),
    FaultScenario(
      "half-open-connection", ["R14", "R23"],
      "the connection is gone, and the venue does not notice: our orders rest on", [TimedFault(at: 0, .abandon)]),
    FaultScenario(
      "lost-acknowledgements", ["R01", "R04"], "no reply to an order request arrives",
      [TimedFault(at: 0, lasting: 3 * s, .drop(.replies))]),
    FaultScenario(
      "told-twice-and-out-of-order", ["R02", "R06", "R09"],
      "private messages come twice, late, and after those that follow them",
      [
        TimedFault(at: 0, lasting: 4 * s, .reorder([.replies, .orders]), permille: 300),
        TimedFault(at: 0, lasting: 4 * s, .duplicate([.orders, .trades, .positions], ms...s), permille: 300),
        TimedFault(at: 0, lasting: 4 * s, .delay([.replies, .orders, .trades], ms...300 * ms), permille: 300),
      ]),
    FaultScenario(
      "corrupt-private-messages", ["R05"], "every tenth private message is damaged",
      [TimedFault(at: 0, lasting: 3 * s, .corrupt(told), permille: 100)]),
    FaultScenario(
      "lost-fills", ["R06"], "no feed tells of an execution",
      [TimedFault(at: 0, lasting: 3 * s, .drop([.orders, .trades]))]),
    FaultScenario(
      "throttled", ["R39", "R40"], "the venue takes 3 order messages a second",
      [TimedFault(at: 0, lasting: 3 * s, .throttle(rate: 3))]),
    FaultScenario(
      "orders-refused", ["R44", "R62"], "the venue refuses every order",
      [TimedFault(at: 0, lasting: 3 * s, .refuse([.inserts, .amends], code: 24))]),
    FaultScenario(
      "instrument-halted", ["R32"], "trading in ETH-PERPETUAL stands still",
      [TimedFault(at: 0, lasting: 3 * s, .halt("ETH-PERPETUAL"))]),
    FaultScenario(
      "stalled-reads", ["R33"], "the engine gets nothing, and then everything at once",
      [TimedFault(at: 0, lasting: 2 * s, .stallReads)]),
    FaultScenario(
      "logins-refused", ["R25", "R62"], "the connection is reset, and logins are refused",
      recovery: 12 * s,
      [TimedFault(at: 0, .reset), TimedFault(at: 0, lasting: 2 * s, .refuseLogins)]),
    FaultScenario(
      "planned-closure", ["R23", "R25"], "the venue announces that it will close the connection",
      [TimedFault(at: 0, lasting: 3 * s, .closure)]),
    FaultScenario(
      "restart-with-book", ["R14", "R23"], "the venue restarts, and our orders rest on, of no session",
      [TimedFault(at: 0, .restart(keepsBook: true))]),
    FaultScenario(
      "restart-without-book", ["R04", "R23"], "the venue restarts, and our orders are gone without a word",
      [TimedFault(at: 0, .restart(keepsBook: false))]),
    FaultScenario(
      "silence", ["R15", "R29"], "nothing passes, and nobody notices", recovery: 12 * s,
      [TimedFault(at: 0, lasting: 8 * s, .silence)]),
    FaultScenario(
      "engine-killed", ["R13", "R56"], "kill -9, and the engine is started again", recovery: 12 * s,
      [TimedFault(at: 0, .crash)]),
    FaultScenario(
      "everything-at-once", ["R07", "R08", "R58"], "loss, repetition, lateness, damage, and a half-open connection",
      recovery: 20 * s,
      [
        TimedFault(at: 0, lasting: 5 * s, .drop(told), permille: 30),
        TimedFault(at: 0, lasting: 5 * s, .delay(told, ms...400 * ms), permille: 200),
        TimedFault(at: 0, lasting: 5 * s, .duplicate([.orders, .trades, .positions], ms...s), permille: 100),
        TimedFault(at: 0, lasting: 5 * s, .corrupt(told), permille: 10), TimedFault(at: 2 * s, .abandon),
      ]),
  ]
}
