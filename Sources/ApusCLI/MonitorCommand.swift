import Apus
import ApusMonitor
import ArgumentParser
import CSupport

struct MonitorCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "monitor",
    abstract: "Serve an engine's telemetry to Prometheus on this machine.",
    discussion: """
      GET /metrics is Prometheus text; GET /healthz is 200 while the engine and its lanes beat, else 503; \
      GET /alerts is what the alert engine has found, which also goes to the routes of --alerts.
      """)

  @Option(help: "The engine's telemetry file: DATA_DIRECTORY/telemetry.", completion: .file())
  var telemetry: String?

  @Option(help: "Port on 127.0.0.1.")
  var port: UInt16 = 9464

  @Option(
    help: ArgumentHelp("Bounds of alerts, and where they go (see the article Alerts).", valueName: "file"),
    completion: .file())
  var alerts: String?

  @Flag(help: "List the alerts with their bounds and end.")
  var explainAlerts = false

  func validate() throws {
    if telemetry == nil, !explainAlerts { throw ValidationError("give --telemetry DATA_DIRECTORY/telemetry") }
  }

  func run() async throws {
    let file = try alertFile(alerts)
    let rules = AlertRule.rules(file)
    guard !explainAlerts, let telemetry else { return say(AlertRule.table(rules).joined(separator: "\n")) }
    do {
      let routes = try file.routes.routes { say("apus: alert \($0)") }
      let service = AlertService(path: telemetry, rules: rules, dispatcher: AlertDispatcher(routes))
      let server = try MonitorServer(path: telemetry, port: port, summarize: Self.summary, alerts: { service.active })
      say("apus: serving http://127.0.0.1:\(port)/metrics; Ctrl-C ends")
      let watching = Task { await service.run() }
      defer { watching.cancel() }
      try await server.run()
    } catch let error as AlertRouteError {
      throw Exit.fail(Exit.configuration, "\(error)")
    } catch {
      throw Exit.fail(Exit.system, "\(error)")
    }
  }

  /// Quantiles of one mapped histogram.
  @Sendable static func summary(_ memory: UnsafeRawBufferPointer) -> PrometheusText.SpanSummary? {
    guard memory.count >= LatencyHistogram.byteCount, let start = memory.baseAddress else { return nil }
    let histogram = start.assumingMemoryBound(to: apus_histogram.self)
    let count = LatencyHistogram.count(of: histogram)
    guard count > 0 else { return nil }
    let quantiles = [("0.5", 50.0), ("0.99", 99.0), ("0.999", 99.9)].map { label, percent in
      PrometheusText.SpanSummary.Quantile(label: label, value: LatencyHistogram.percentile(percent, of: histogram))
    }
    return PrometheusText.SpanSummary(
      count: count, sum: Nanoseconds(clamping: LatencyHistogram.sum(of: histogram)), quantiles: quantiles)
  }
}

/// What a file says of alerts; without one, what holds without a file.
func alertFile(_ path: String?) throws -> AlertFile {
  guard let path else { return AlertFile() }
  do {
    return try AlertFile.load(path: path, shapes: AlertRule.shapes)
  } catch {
    throw Exit.fail(Exit.configuration, "\(error)")
  }
}
