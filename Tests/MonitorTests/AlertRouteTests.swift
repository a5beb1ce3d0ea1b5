import Apus
import FlyingFox
import FlyingSocks
import Foundation
import Testing

@testable import ApusMonitor

/// The ways to tell: what arrives, what is tried again, and what nobody may see.
@Suite(.timeLimit(.minutes(1))) struct AlertRouteTests {
  static let secret = "planted-secret-0123456789"

  static func change(_ number: UInt64 = 1, _ name: String = "ApusHalted", severity: AlertSeverity = .page)
    -> AlertChange
  {
    AlertChange(
      kind: .fired, at: 1_700_000_000_000_000_000, number: number, engine: "desk", held: 0,
      alert: AlertView(
        name: name, severity: severity, lane: "thalex", age: 0, value: 1, bound: 0, summary: "halted", found: "by hand",
        allowed: "no latch", advice: "Resume.", runbook: "Runbook.md#\(name)"))
  }

  private func keyFile(_ directory: borrowing MonitorDirectory, mode: Int = 0o600, _ key: String = secret + "\n") throws
    -> String
  {
    let path = directory.path + "/webhook.key"
    try Data(key.utf8).write(to: URL(fileURLWithPath: path))
    try FileManager.default.setAttributes([.posixPermissions: mode], ofItemAtPath: path)
    return path
  }

  /// A receiver on a free port that answers with what `answer` says to the so-many-th request.
  private func receiving(
    _ answer: @escaping @Sendable (Int) -> HTTPResponse, _ body: (String, Received) async throws -> Void
  ) async throws {
    let received = Received()
    let server = HTTPServer(address: try .inet(ip4: "127.0.0.1", port: 0), timeout: 5, logger: .disabled)
    await server.appendRoute("POST /hook/*") { request in
      let text = String(decoding: try await request.bodyData, as: UTF8.self)
      let count = received.add(
        text, Dictionary(uniqueKeysWithValues: request.headers.map { ($0.key.rawValue, $0.value) }))
      return answer(count)
    }
    let task = Task { try await server.run() }
    defer { task.cancel() }
    try await server.waitUntilListening(timeout: 5)
    guard case .ip4(_, let port) = await server.listeningAddress else { throw NoLane() }
    try await body("http://127.0.0.1:\(port)/hook/T0KEN", received)
    await server.stop(timeout: 1)
  }

  final class Received: @unchecked Sendable {
    // Sendable: behind the lock.
    private let lock = NSLock()
    private var requests: [(body: String, headers: [String: String])] = []
    func add(_ body: String, _ headers: [String: String]) -> Int {
      lock.withLock {
        requests.append((body, headers))
        return requests.count
      }
    }
    var all: [(body: String, headers: [String: String])] { lock.withLock { requests } }
  }

  @Test func `HMAC-SHA256 gives what RFC 4231 says`() throws {
    // Test case 2, section 4.3.
    let sign = { (bytes: [UInt8]) in Array("Jefe".utf8).withUnsafeBufferPointer { hmacSHA256(key: $0, bytes) } }
    let mac = try #require(sign(Array("what do ya want for nothing?".utf8)))
    #expect(
      mac.map { String(format: "%02x", $0) }.joined()
        == "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    #expect(WebhookRoute.signature(timestamp: "12", body: [65], sign: { $0 }) == "sha256=31322e41")
  }

  @Test func `a webhook posts JSON signed over timestamp and body`() async throws {
    let directory = try MonitorDirectory()
    let key = try keyFile(directory)
    try await receiving({ _ in HTTPResponse(statusCode: .noContent) }) { url, received in
      let route = try WebhookRoute(url: url, keyFile: key, wall: { 1_700_000_005_000_000_000 })
      try await route.deliver(Self.change())
      let request = try #require(received.all.first)
      let object = try #require(
        try JSONSerialization.jsonObject(with: Data(request.body.utf8)) as? [String: Any])
      #expect(object["kind"] as? String == "fired" && object["engine"] as? String == "desk")
      #expect((object["alert"] as? [String: Any])?["name"] as? String == "ApusHalted")
      let headers = Dictionary(uniqueKeysWithValues: request.headers.map { ($0.key.lowercased(), $0.value) })
      #expect(headers["content-type"] == "application/json")
      #expect(headers["x-apus-timestamp"] == "1700000005")
      let mac = try #require(
        Array(Self.secret.utf8).withUnsafeBufferPointer {
          hmacSHA256(key: $0, Array("1700000005.\(request.body)".utf8))
        })
      #expect(headers["x-apus-signature"] == "sha256=" + mac.map { String(format: "%02x", $0) }.joined())
      #expect(!request.body.contains(Self.secret))
    }
  }

  @Test func `a receiver that stumbles is tried again, and the fault is told until it answers`() async throws {
    let directory = try MonitorDirectory()
    let key = try keyFile(directory)
    try await receiving({ HTTPResponse(statusCode: $0 < 4 ? .serviceUnavailable : .ok) }) { url, received in
      let told = ToldLines()
      let dispatcher = AlertDispatcher(
        [try WebhookRoute(url: url, keyFile: key), TerminalRoute { told.add($0) }],
        retry: .init(first: 100, longest: 400, attempts: 6))
      dispatcher.tell([Self.change()])
      var faults: [AlertRouteFault] = []
      for _ in 0..<1000 where faults.isEmpty {
        faults = dispatcher.routeFaults
        try await Task.sleep(for: .milliseconds(2))
      }
      #expect(faults.first?.route == "webhook")
      #expect(faults.first?.reason.contains("answered 503") == true)
      // That the webhook fails is told on the other route only.
      var failing = Self.change(2, "ApusRouteFailing")
      failing.alert.subject = "webhook"
      dispatcher.tell([failing])
      await dispatcher.finish()
      #expect(received.all.count == 4)
      #expect(Set(received.all.map(\.body)).count == 1, "the same change each time")
      #expect(told.all.count == 2 && told.all[1].contains("ApusRouteFailing"))
      #expect(dispatcher.routeFaults.isEmpty)
    }
  }

  @Test func `what the receiver refuses, and redirects, are not tried again`() async throws {
    let directory = try MonitorDirectory()
    let key = try keyFile(directory)
    let answers = { @Sendable (count: Int) -> HTTPResponse in
      count == 1
        ? HTTPResponse(statusCode: .unauthorized)
        : HTTPResponse(statusCode: .temporaryRedirect, headers: HTTPHeaders([.location: "/hook/other"]))
    }
    try await receiving(answers) { url, received in
      let dispatcher = AlertDispatcher([try WebhookRoute(url: url, keyFile: key)], retry: .init(first: 5))
      dispatcher.tell([Self.change(1), Self.change(2)])
      await dispatcher.finish()
      #expect(received.all.count == 2)
      let reason = try #require(dispatcher.routeFaults.first?.reason)
      #expect(reason.contains("answered 307") && reason.contains("given up"))
    }
  }

  @Test func `nothing that a webhook says of itself holds its key or its path`() async throws {
    let directory = try MonitorDirectory()
    let route = try WebhookRoute(url: "http://127.0.0.1:1/hook/T0KEN?key=T0KEN", keyFile: try keyFile(directory))
    let error = await #expect(throws: AlertRouteError.self) { try await route.deliver(Self.change()) }
    let text = "\(try #require(error))"
    #expect(text.contains("http://127.0.0.1:1 cannot be reached"))
    #expect(!text.contains("T0KEN") && !text.contains(Self.secret))
  }

  @Test func `a key that others may read, or that is short, is refused with what to do`() throws {
    let directory = try MonitorDirectory()
    let url = "http://127.0.0.1:1/"
    let open = try keyFile(directory, mode: 0o644)
    #expect { try WebhookRoute(url: url, keyFile: open) } throws: { "\($0)".contains("chmod 600") }
    let short = try keyFile(directory, "short")
    #expect { try WebhookRoute(url: url, keyFile: short) } throws: {
      "\($0)".contains("has 5 bytes, but needs 16") && !"\($0)".contains("short\n")
    }
  }

  @Test func `a broken route holds up no other, and its queue loses the oldest`() async throws {
    struct Stuck: AlertRoute {
      let name = "stuck"
      let least = AlertSeverity.info
      func deliver(_ change: AlertChange) async throws(AlertRouteError) {
        try? await Task.sleep(for: .seconds(1))
        throw AlertRouteError("no", isFinal: true)
      }
    }
    let told = ToldLines()
    let dispatcher = AlertDispatcher([Stuck(), TerminalRoute { told.add($0) }])
    let count = AlertDispatcher.queueCapacity
    dispatcher.tell((1...UInt64(count)).map { Self.change($0) })
    #expect(await told.wait(count))
    dispatcher.tell((1...UInt64(count)).map { Self.change($0) })
    #expect(await told.wait(2 * count))
    #expect(dispatcher.routeFaults.first?.reason.contains("the oldest were lost") == true)
  }

  @Test func `ApusRouteFailing fires and clears with the fault`() throws {
    var engine = AlertEngine()
    let fault = [AlertRouteFault(route: "webhook", reason: "http://pager answered 503")]
    var now: Nanoseconds = 0
    func told(_ faults: [AlertRouteFault]) -> [String] {
      now += 2_000_000_000
      let view = AlertEngineTests.view([AlertEngineTests.lane("a")])
      return engine.step(AlertInputs(now: now, wall: now, view: view, routeFaults: faults)).map {
        "\($0.kind.rawValue) \($0.alert.name) \($0.alert.subject ?? "")"
      }
    }
    #expect(told(fault) == ["fired ApusRouteFailing webhook"])
    #expect(told([]) == [])
    #expect(told([]) == ["cleared ApusRouteFailing webhook"])
  }

  @Test func `a command gets JSON and its own arguments, nothing of our environment, and is killed in time`()
    async throws
  {
    let directory = try MonitorDirectory()
    let out = directory.path + "/out"
    let script = directory.path + "/script"
    try Data("#!/bin/sh\n{ cat; echo; env; ls /proc/self/fd | wc -l; echo \"$1\"; } > \"$2\"\n".utf8)
      .write(to: URL(fileURLWithPath: script))
    try FileManager.default.setAttributes([.posixPermissions: 0o700], ofItemAtPath: script)
    setenv("APUS_PLANTED", Self.secret, 1)
    let route = try CommandRoute([script, "$(id); `id`", out])
    try await route.deliver(Self.change())
    let lines = try String(contentsOfFile: out, encoding: .utf8).split(separator: "\n").map(String.init)
    #expect(lines[0].contains("\"name\":\"ApusHalted\""))
    #expect(lines.contains("PATH=/usr/bin:/bin") && !lines.contains { $0.contains(Self.secret) })
    #expect(lines.last == "$(id); `id`", "no shell looks at the arguments")
    #expect(Int(lines[lines.count - 2]).map { $0 <= 4 } == true, "no descriptor of ours is open there")

    let slow = try CommandRoute(["/bin/sleep", "20"], seconds: 1)
    let begin = Date()
    await #expect { try await slow.deliver(Self.change()) } throws: { "\($0)".contains("was killed") }
    #expect(Date().timeIntervalSince(begin) < 10)
    await #expect { try await CommandRoute(["/bin/false"]).deliver(Self.change()) } throws: {
      "\($0)".contains("ended with 1")
    }
    #expect { try CommandRoute(["/no/such/program"]) } throws: { "\($0)".contains("not a program") }
  }

  @Test(arguments: [AlertRoutesSection.LogFormat.text, .json])
  func `the log has a line for each change`(format: AlertRoutesSection.LogFormat) async throws {
    let directory = try MonitorDirectory()
    let path = directory.path + "/log"
    let route = try LogRoute(format: format, path: path)
    try await route.deliver(Self.change())
    var end = Self.change(2)
    end.kind = .cleared
    try await route.deliver(end)
    let lines = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")
    #expect(lines.count == 2)
    if format == .json {
      let object = try #require(try JSONSerialization.jsonObject(with: Data(lines[0].utf8)) as? [String: String])
      #expect(object["alert"] == "ApusHalted" && object["level"] == "critical" && object["lane"] == "thalex")
      #expect(object["change"] == "fired" && object["message"]?.contains("halted: by hand") == true)
    } else {
      #expect(lines[0].contains(" critical fired: ApusHalted [page]"))
      #expect(lines[1].contains(" notice cleared"))
    }
    let full = try LogRoute(format: format, path: "/dev/full")
    await #expect { try await full.deliver(Self.change()) } throws: { "\($0)".contains("could not be written") }
  }

  @Test func `only what is urgent enough goes to a route that wants no less`() async throws {
    let directory = try MonitorDirectory()
    let key = try keyFile(directory)
    try await receiving({ _ in HTTPResponse(statusCode: .ok) }) { url, received in
      let dispatcher = AlertDispatcher([try WebhookRoute(url: url, keyFile: key, least: .page)])
      dispatcher.tell([Self.change(1, severity: .info), Self.change(2, severity: .warn), Self.change(3)])
      await dispatcher.finish()
      #expect(received.all.count == 1)
    }
  }
}
