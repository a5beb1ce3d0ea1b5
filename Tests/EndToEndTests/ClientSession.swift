import ApusExchange
import Foundation
import Testing

/// A session of a client that others have written, in a process of its own, with a simulated venue in another.
struct ClientSession {
  /// What the client's script printed.
  let output: String
  let books: [AccountBooks]

  /// - Parameters:
  ///   - script: Of the folder of Python scripts; it is given the port, the client's id, the file with its secret, and the
  ///     certificate if `isSecure`. It fails if anything is not as it should be.
  ///   - path: What the venue's address ends with.
  init(_ script: String, venue arguments: [String], path: String, isSecure: Bool) throws {
    let python = try PythonEnvironment.interpreter()
    let folder = try TemporaryFolder()
    try "kJ3xW9mQe5VtB8yLzR2nD6uPhG0sAfXcOi4jTbE1\n".write(
      toFile: folder.file("secret.txt"), atomically: true, encoding: .utf8)
    let venue = try ChildProcess(
      Places.apus(),
      [
        "venue", "--port", "0", "--seed", "7", "--order-rate", "50", "--client", "desk=\(folder.file("secret.txt"))",
        "--books", folder.file("books.json"),
      ] + arguments + (isSecure ? ["--tls", "--write-certificate", folder.file("venue.pem")] : []))
    let url = try venue.line(startingWith: "listening on \(isSecure ? "wss" : "ws")://127.0.0.1:", seconds: 20)
    #expect(url.hasSuffix(path))
    let port = try #require(url.split(separator: ":").last?.split(separator: "/").first)
    let client = try ChildProcess(
      python,
      [Places.pythonScripts + "/" + script, String(port), "desk", folder.file("secret.txt")]
        + (isSecure ? [folder.file("venue.pem")] : []),
      environment: PythonEnvironment.noProxy)
    let code = try client.waitForExit(seconds: 120)
    #expect(code == 0, "the client failed: \(client.errorOutput)")
    venue.terminate()
    #expect(try venue.waitForExit(seconds: 10) == 0)
    #expect(venue.errorOutput.isEmpty, "\(venue.errorOutput)")
    #expect(venue.output.contains("rate violations: 0"))
    output = client.output
    books = try JSONDecoder().decode(
      [AccountBooks].self, from: Data(contentsOf: URL(fileURLWithPath: folder.file("books.json"))))
  }

  func told<Report: Decodable>(_ type: Report.Type) throws -> Report {
    try JSONDecoder().decode(type, from: Data(output.utf8))
  }
}
