import Foundation
import Testing

@Suite(.timeLimit(.minutes(2))) struct VenueCommandTests {
  private func run(_ arguments: [String]) throws -> (code: Int32, out: String, err: String) {
    let process = try ChildProcess(Places.apus(), ["venue"] + arguments)
    let code = try process.waitForExit(seconds: 30)
    return (code, process.output, process.errorOutput)
  }

  @Test func `an interrupt ends the venue with a report and code 0`() throws {
    let venue = try ChildProcess(Places.apus(), ["venue", "--port", "0"])
    _ = try venue.line(startingWith: "listening on ws://127.0.0.1:", seconds: 20)
    venue.interrupt()
    #expect(try venue.waitForExit(seconds: 10) == 0)
    for line in ["connections: 0 accepted", "messages: 0 received", "trades: ", "rate violations: 0"] {
      #expect(venue.output.contains(line))
    }
  }

  @Test func `a port in use is told with the way out, and code 69`() throws {
    let first = try ChildProcess(Places.apus(), ["venue", "--port", "0"])
    let url = try first.line(startingWith: "listening on ", seconds: 20)
    let port = try #require(url.split(separator: ":").last?.split(separator: "/").first)
    let second = try run(["--port", String(port)])
    #expect(second.code == 69 && second.out.isEmpty)
    #expect(
      second.err == "Error: could not listen on 127.0.0.1:\(port): the port is in use (is another instance running?)\n")
  }

  @Test func `files that cannot be read or make no sense are named, with their codes`() throws {
    let folder = try TemporaryFolder()
    let nonsense = folder.file("nonsense.txt")
    try "nonsense\n".write(toFile: nonsense, atomically: true, encoding: .utf8)
    let missing = folder.file("missing-BTCUSDT.gz")
    let cases: [([String], Int32, String)] = [
      (["--feed", missing], 66, "could not open \(missing): No such file or directory"),
      (["--feed", "BTC-PERPETUAL=\(nonsense)"], 65, "could not play \(nonsense)"),
      (["--key", "K1=\(missing)"], 66, "could not read the key file \(missing)"),
      (["--key", "K1=\(nonsense)"], 65, "could not use the key file \(nonsense)"),
      (["--tls", "--write-certificate", "\(nonsense)/x"], 73, "could not write \(nonsense)/x"),
      (["--certificate", missing, "--private-key", nonsense], 66, "could not read \(missing)"),
    ]
    for (arguments, code, text) in cases {
      let result = try run(["--port", "0"] + arguments)
      #expect(result.code == code && result.err.contains(text), "\(arguments): \(result)")
    }
  }

  @Test(arguments: [
    ["--speed", "0"], ["--speed", "0.0001"], ["--speed", "1001"], ["--speed", "1e3"], ["--port", "65536"],
    ["--host", "localhost"], ["--feed", "unknown.jsonl"], ["--feed", "XRP-PERPETUAL=a"], ["--exit-at-end"],
    ["--key", "K1"], ["--certificate", "a.pem"], ["--write-certificate", "a.pem"], ["--core", "9999"],
    ["--idle", "nap"], ["--protocol", "binance"], ["--client", "desk=a"], ["--order-rate", "0"],
    ["--protocol", "deribit", "--key", "K1=a"], ["--protocol", "deribit", "--order-rate", "0"],
    ["--protocol", "deribit", "--taker-delay-ms", "10001"],
    ["--protocol", "deribit", "--client", "a=b", "--client", "a=c"],
    ["--protocol", "deribit", "--message-delay-ms", "1"],
    ["--protocol", "bybit", "--key", "K1=a"], ["--protocol", "bybit", "--chain", "5"],
    ["--protocol", "bybit", "--message-delay-ms", "10001"],
  ])
  func `wrong arguments are a usage error, code 64`(arguments: [String]) throws {
    let result = try run(arguments)
    #expect(result.code == 64 && result.out.isEmpty && !result.err.isEmpty, "\(result)")
  }

  @Test func `a recording is played to its end at the speed asked for`() throws {
    let folder = try TemporaryFolder()
    let file = folder.file("btcusdt.jsonl")
    let start = 1_700_000_000_000_000_000
    // Ten seconds of market, a trade each second.
    var text = ""
    for second in 0...10 {
      let time = start + second * 1_000_000_000
      text +=
        "\(time) {\"stream\":\"btcusdt@bookTicker\",\"data\":{\"e\":\"bookTicker\",\"u\":\(second + 1),\"s\":\"BTCUSDT\","
        + "\"b\":\"61800.00\",\"B\":\"5.000\",\"a\":\"61801.00\",\"A\":\"5.000\",\"T\":1,\"E\":1}}\n"
      text +=
        "\(time + 1000) {\"stream\":\"btcusdt@trade\",\"data\":{\"e\":\"trade\",\"E\":1,\"T\":1,\"s\":\"BTCUSDT\","
        + "\"t\":\(second),\"p\":\"61800.00\",\"q\":\"0.010\",\"X\":\"MARKET\",\"m\":true}}\n"
    }
    try text.write(toFile: file, atomically: true, encoding: .utf8)
    let begin = Date()
    let result = try run(["--port", "0", "--feed", file, "--speed", "12.5", "--exit-at-end"])
    let seconds = Date().timeIntervalSince(begin)
    #expect(result.code == 0 && result.out.contains("trades: 11\n"), "\(result)")
    #expect(seconds > 0.8)
  }
}
