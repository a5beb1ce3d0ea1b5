import Foundation
import Testing

/// `apus bench`, as a user runs it.
@Suite(.serialized, .timeLimit(.minutes(3))) struct BenchTests {
  private static let titles = [
    "RPC request", "token bucket", "place order", "reconcile, 2 × 10 levels", "reconcile, 2 × 1,000 levels",
    "strategy run", "submit order", "submit order, with its frame", "get orders, all 20 open",
    "get order, by client id", "manager run, three venues",
    "orders, one venue", "orders, three venues", "orders, three venues, over sockets", "reconciliations", "state updates",
  ]

  @Test func `the guide's table has every row with figures of ours, as text and as JSON`() throws {
    let room = try Room()
    let bench = try Program(
      "apus", ["bench", "guide", "--seconds", "3", "--json", room.file("guide.json"), "--explain"])
    #expect(bench.wait(seconds: 120) == 0, "\(bench.err)")
    for title in Self.titles {
      #expect(bench.out.contains("\n\(title) "), "\(title)")
      #expect(bench.out.contains("\n  \(title): "), "\(title)")
    }
    #expect(bench.out.contains("15.2 → 8.7 ms") && bench.out.contains("1,000 → 1,500 /s"))

    let data = try Data(contentsOf: URL(fileURLWithPath: room.file("guide.json")))
    let rows = try #require(JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    #expect(rows.compactMap { $0["row"] as? String } == Self.titles.map { "guide: \($0)" })
    for row in rows {
      let name = row["row"] as? String ?? ""
      let ours = try #require(row["ours"] as? Double)
      #expect(ours > 0 && ours.isFinite, "\(name)")
      let unit = row["unit"] as? String
      #expect(unit == "ns" || unit == "/s", "\(name)")
      #expect((row["conditions"] as? String ?? "").contains("core"), "\(name)")
      let peers = try #require(row["peers"] as? [[String: Any]])
      #expect(
        peers.compactMap { $0["name"] as? String } == ["guide before", "guide after", "Python original (earlier)"])
      // Judged against the Python original, a hundred times, and against nothing where that was not measured.
      guard let python = peers[2]["value"] as? Double else {
        #expect(row["target"] is NSNull && row["met"] is NSNull, "\(name)")
        continue
      }
      let target = try #require(row["target"] as? Double)
      let isMet = unit == "ns" ? ours <= target : ours >= target
      #expect(abs(unit == "ns" ? target * 100 / python - 1 : target / python / 100 - 1) < 1e-3, "\(name)")
      #expect(row["met"] as? Bool == isMet, "\(name)")
    }
  }

  @Test(arguments: [
    ["--seconds", "0"], ["--seconds", "601"], ["--seconds", "nan"], ["--seconds", "many"], ["--json"], ["--fast"],
    ["extra"],
  ])
  func `wrong arguments are a usage error, code 64`(arguments: [String]) throws {
    let bench = try Program("apus", ["bench", "guide"] + arguments)
    #expect(bench.wait() == 64)
    #expect(bench.out.isEmpty && !bench.err.isEmpty)
  }

  @Test func `the scaling table has a row for each pair of lanes and instruments`() throws {
    let room = try Room()
    let bench = try Program(
      "apus",
      [
        "bench", "scale", "--lanes", "1,2", "--instruments", "1,3", "--seconds", "0.05", "--json", room.file("scale.json"),
      ])
    #expect(bench.wait(seconds: 120) == 0, "\(bench.err)")
    let data = try Data(contentsOf: URL(fileURLWithPath: room.file("scale.json")))
    let rows = try #require(JSONSerialization.jsonObject(with: data) as? [[String: Any]])
    #expect(rows.compactMap { $0["instruments"] as? Int } == [1, 1, 3, 3])
    #expect(rows.compactMap { $0["lanes"] as? Int } == [1, 2, 1, 2])
    for row in rows {
      let (median, tail) = (row["p50_ns"] as? Int ?? 0, row["p99_ns"] as? Int ?? 0)
      #expect(median > 0 && tail >= median && (row["orders_per_second"] as? Double ?? 0) > 0, "\(row)")
    }
    let wrong = try Program("apus", ["bench", "scale", "--lanes", "0"])
    #expect(wrong.wait() == 64)
  }

  @Test func `a file that cannot be written is named, code 71`() throws {
    let bench = try Program("apus", ["bench", "guide", "--seconds", "0.1", "--json", "/nonexistent/guide.json"])
    #expect(bench.wait(seconds: 120) == 71)
    #expect(bench.err.contains("could not write /nonexistent/guide.json: No such file or directory"))
  }
}
