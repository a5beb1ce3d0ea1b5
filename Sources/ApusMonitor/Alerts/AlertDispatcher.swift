import Apus
import Synchronization

/// Hands changes to routes, each with a queue of its own: a slow or broken route holds up no other.
public final class AlertDispatcher: Sendable {
  public struct Retry: Sendable {
    /// Milliseconds before the second attempt; each later one waits twice as long, at most `longest`.
    public var first = 250
    public var longest = 30_000
    public var attempts = 8

    public init(first: Int = 250, longest: Int = 30_000, attempts: Int = 8) {
      self.first = first
      self.longest = longest
      self.attempts = attempts
    }
  }

  /// Changes that wait for one route at most; beyond that the oldest are lost, and that is told.
  public static let queueCapacity = 256

  private struct Line: Sendable {
    let route: any AlertRoute
    let queue: AsyncStream<AlertChange>.Continuation
  }
  private let lines: [Line]
  private let workers: [Task<Void, Never>]
  private let faults: Faults

  /// What does not work, by route.
  private final class Faults: Sendable {
    private let reasons = Mutex<[String: String]>([:])
    func set(_ route: String, _ reason: String?) { reasons.withLock { $0[route] = reason } }
    var all: [AlertRouteFault] {
      reasons.withLock { $0.map { AlertRouteFault(route: $0.key, reason: $0.value) }.sorted { $0.route < $1.route } }
    }
  }

  public init(_ routes: [any AlertRoute], retry: Retry = Retry()) {
    let faults = Faults()
    self.faults = faults
    var lines: [Line] = []
    var workers: [Task<Void, Never>] = []
    for route in routes {
      let (stream, queue) = AsyncStream.makeStream(
        of: AlertChange.self, bufferingPolicy: .bufferingNewest(Self.queueCapacity))
      lines.append(Line(route: route, queue: queue))
      workers.append(Task { for await change in stream { await Self.deliver(change, route, retry, faults) } })
    }
    self.lines = lines
    self.workers = workers
  }

  deinit {
    for line in lines { line.queue.finish() }
    for worker in workers { worker.cancel() }
  }

  /// Routes that failed at their last attempt, with the reason.
  public var routeFaults: [AlertRouteFault] { faults.all }

  /// Returns at once. That a route fails is told on the others only.
  public func tell(_ changes: [AlertChange]) {
    for change in changes {
      let failing = change.alert.name == "ApusRouteFailing" ? change.alert.subject : nil
      for line in lines where change.alert.severity >= line.route.least && line.route.name != failing {
        if case .dropped = line.queue.yield(change) {
          faults.set(line.route.name, "more than \(Self.queueCapacity) alerts wait for it, the oldest were lost")
        }
      }
    }
  }

  /// Delivers what waits and ends, after at most about as long as one attempt and its wait.
  public func finish() async {
    for line in lines { line.queue.finish() }
    for worker in workers { await worker.value }
  }

  private static func deliver(_ change: AlertChange, _ route: any AlertRoute, _ retry: Retry, _ faults: Faults) async {
    var wait = retry.first
    for attempt in 1...max(1, retry.attempts) {
      do {
        try await route.deliver(change)
        faults.set(route.name, nil)
        return
      } catch {
        let isLast = error.isFinal || attempt == retry.attempts
        // The first failure may be a hiccup.
        if attempt > 1 || isLast {
          faults.set(
            route.name, error.reason + (isLast ? "; \(change.alert.name) was given up" : "; it is tried again"))
        }
        if isLast || Task.isCancelled { return }
        try? await Task.sleep(for: .milliseconds(wait))
        wait = min(wait * 2, retry.longest)
      }
    }
  }
}
