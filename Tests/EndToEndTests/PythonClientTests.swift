import Apus
import ApusExchange
import Foundation
import Testing

@Suite(.timeLimit(.minutes(5)), .serialized) struct PythonClientTests {
  @Test(arguments: [false, true])
  func `the official Python client trades a whole session against the venue, with TLS or without`(isSecure: Bool) throws
  {
    let python = try PythonEnvironment.interpreter()
    let folder = try TemporaryFolder()
    let key = try SigningKey.generate()
    try key.publicPEM().write(toFile: folder.file("public.pem"), atomically: true, encoding: .utf8)
    let isWritten = try key.withPrivatePEM { pem in
      FileManager.default.createFile(
        atPath: folder.file("private.pem"), contents: Data(pem), attributes: [.posixPermissions: 0o600])
    }
    #expect(isWritten)

    // A market that hardly moves: the passive order must stay passive.
    var arguments = [
      "venue", "--port", "0", "--seed", "7", "--speed", "0.01", "--key", "K123=\(folder.file("public.pem"))",
      "--books", folder.file("books.json"),
    ]
    if isSecure { arguments += ["--tls", "--write-certificate", folder.file("venue.pem")] }
    let venue = try ChildProcess(Places.apus(), arguments)
    let url = try venue.line(startingWith: "listening on ", seconds: 20).dropFirst("listening on ".count)
    #expect(url.hasPrefix(isSecure ? "wss://127.0.0.1:" : "ws://127.0.0.1:"))

    var environment = ["NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"]
    if isSecure { environment["SSL_CERT_FILE"] = folder.file("venue.pem") }
    let client = try ChildProcess(
      python, [Places.pythonScripts + "/official_client.py", String(url), "K123", folder.file("private.pem")],
      environment: environment)
    let code = try client.waitForExit(seconds: 90)
    #expect(code == 0, "the client failed: \(client.errorOutput)")

    venue.terminate()
    #expect(try venue.waitForExit(seconds: 10) == 0)
    #expect(venue.output.contains("connections: 3 accepted, 3 opened, 0 failed, 0 refused"))
    #expect(venue.output.contains("rate violations: 0"))
    #expect(venue.errorOutput.isEmpty)

    // The venue's books tell the same story as the client.
    struct Told: Decodable {
      var account: String
      var trade_id: String
    }
    let told = try JSONDecoder().decode(Told.self, from: Data(client.output.utf8))
    let books = try JSONDecoder().decode(
      [AccountBooks].self, from: Data(contentsOf: URL(fileURLWithPath: folder.file("books.json"))))
    #expect(books.map(\.account) == [told.account])
    let book = try #require(books.first)
    #expect(book.fills.map(\.tradeID) == [told.trade_id])
    #expect(book.positions.map(\.lots) == [10, 0])
    #expect(book.openOrders.isEmpty)
    let mode = try FileManager.default.attributesOfItem(atPath: folder.file("books.json"))[.posixPermissions] as? Int
    #expect(mode == 0o600)
  }
}
