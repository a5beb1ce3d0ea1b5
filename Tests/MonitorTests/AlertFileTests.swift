import Apus
import Foundation
import Testing

@testable import ApusMonitor

/// The file of bounds and routes, and the pages that name every rule.
@Suite struct AlertFileTests {
  private func parse(_ text: String) throws -> AlertFile {
    try AlertFile.parse(text, shapes: AlertRule.shapes, path: "a.yaml")
  }

  @Test func `a file changes what it names and nothing else`() throws {
    let file = try parse(
      """
      rules:
        ApusLoss: {bound: 5000, severity: warn, for_s: 2.5, repeat_s: 60}
        ApusDiskLow: {bound: 2000000000, clear: 3000000000}
        ApusErrors: {enabled: false, window_s: 30}
      routes:
        terminal: false
        log: json
        webhook_url: https://pager.example/apus
        webhook_key_file: webhook.key
        webhook_from: page
        command: /usr/local/bin/page
        command_arguments: [--to, desk]
      """)
    let rules = AlertRule.rules(file)
    let loss = try #require(rules.first { $0.name == "ApusLoss" })
    #expect(loss.bound == 5000 && loss.clear == 4000 && loss.severity == .warn && loss.hold == 2.5)
    #expect(loss.repeatAfter == 60 && loss.clearHold == 30)
    #expect(rules.first { $0.name == "ApusDiskLow" }?.clear == 3_000_000_000)
    #expect(rules.first { $0.name == "ApusErrors" }?.isEnabled == false)
    #expect(rules.count == AlertRule.standard.count)
    #expect(
      rules.filter { rule in AlertRule.standard.contains { $0.name == rule.name && $0.bound == rule.bound } }.count
        == rules.count - 2)
    #expect(file.routes.commandArguments == ["--to", "desk"] && file.routes.webhookLeast == .page)
    #expect(!file.routes.isOnTerminal && file.routes.log == .json)
    #expect(try parse("") == AlertFile())
  }

  @Test(arguments: [
    ("rules: {ApusLos: {bound: 1}}", "a.yaml:1:9: rules.ApusLos is not a key, allowed are ApusEngineDown"),
    ("rules: {ApusLos: {bound: 1}}", "did you mean ApusLoss?"),
    (
      "rules:\n  ApusLoss: {bound: much}",
      "a.yaml:2:21: rules.ApusLoss.bound is \"much\", but must be a decimal from 0 to"
    ),
    (
      "rules: {ApusLoss: {bound: 10, clear: 11}}",
      "rules.ApusLoss.clear is 11, but must be at most the bound, 10: lower it"
    ),
    ("rules: {ApusDiskLow: {bound: 10, clear: 9}}", "must be at least the bound, 10: raise it"),
    ("rules: {ApusLoss: {severity: urgent}}", "must be one of info, warn, page"),
    ("rules: {ApusLoss: 7}", "rules.ApusLoss is 7, but must be a mapping"),
    ("rules: []", "rules is a list, but must be a mapping"),
    (
      "routes: {webhook_url: https://pager.example/x}",
      "routes.webhook_key_file is missing, but is required with webhook_url"
    ),
    ("routes: {webhook_url: ftp://pager.example/x, webhook_key_file: k}", "but must be http://host[:port]/path"),
    ("routes: {webhook_key_file: k}", "routes.webhook_url is missing"),
    ("routes: {log_file: k}", "routes.log is none, but log_file is given"),
    ("routes: {command_arguments: [a]}", "routes.command is missing"),
    ("routes: {command: /bin/true, command_arguments: a}", "routes.command_arguments is \"a\", but must be a list"),
    ("route: {}", "route is not a key, allowed are rules, routes: did you mean routes?"),
    ("rules: {", "this is not YAML"),
  ])
  func `a mistake is named with place, value, what is allowed and what to do`(text: String, message: String) throws {
    #expect { try parse(text) } throws: {
      let isNamed = "\($0)".contains(message)
      if !isNamed { print("found instead: \($0)") }
      return isNamed
    }
  }

  @Test func `every rule can clear, and says all that it has to`() {
    #expect(Set(AlertRule.standard.map(\.name)).count == AlertRule.standard.count)
    for rule in AlertRule.standard {
      #expect(rule.firesAbove ? rule.clear <= rule.bound : rule.clear >= rule.bound, "\(rule.name)")
      #expect(rule.unit != .state || rule.allowed != nil, "\(rule.name)")
      #expect(rule.advice.hasSuffix(".") && !rule.summary.isEmpty && !rule.measure.isEmpty, "\(rule.name)")
      #expect(rule.repeatAfter >= 60, "\(rule.name)")
    }
  }

  private static func article(_ name: String) throws -> String {
    let package = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent()
    return try String(
      contentsOf: package.appendingPathComponent("Sources/Apus/Apus.docc/\(name).md"), encoding: .utf8)
  }

  @Test func `the runbook has a whole section for every rule, and no other`() throws {
    let sections = try Self.article("Runbook").components(separatedBy: "\n## ").dropFirst()
    #expect(sections.map { String($0.prefix { $0 != "\n" }) } == AlertRule.standard.map(\.name))
    for section in sections {
      for part in [
        "**What it means.**", "**Look first.**\n\n```\n", "**What to do.**", "**When to halt.**", "**How it clears.**",
      ] {
        #expect(section.contains(part), "\(section.prefix(30))")
      }
    }
  }

  @Test func `the condition of every rule is caused by a test`() throws {
    let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    let text = try [
      "LaneTests/AlertConditionTests", "MonitorTests/AlertSurroundingsTests", "MonitorTests/AlertRouteTests",
      "EndToEndTests/AlertProcessTests",
    ].map { try String(contentsOf: tests.appendingPathComponent("\($0).swift"), encoding: .utf8) }.joined()
    let titles = text.split(separator: "\n").filter { $0.contains("@Test func `") }.joined(separator: "\n")
    for rule in AlertRule.standard {
      #expect(titles.contains("\(rule.name)") && text.components(separatedBy: rule.name).count > 2, "\(rule.name)")
    }
  }

  @Test func `the article's table is that of the rules`() throws {
    let lines = try Self.article("Alerts").split(separator: "\n").map(String.init)
    let table = AlertRule.table(AlertRule.standard)
    let begin = try #require(lines.firstIndex(of: table[0]))
    let found = Array(lines[begin...].prefix { $0.hasPrefix("|") })
    #expect(found == table, "write what apus monitor --explain-alerts prints")
  }
}
