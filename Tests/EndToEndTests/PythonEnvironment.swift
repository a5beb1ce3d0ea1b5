import Foundation

/// The Python environment of the tests: the venue's official client and a checker of JSON schemas.
enum PythonEnvironment {
  /// Its interpreter; installs it the first time.
  static func interpreter() throws -> String {
    let tool = try ChildProcess(Places.package + "/tools/python-env", [])
    let code = try tool.waitForExit(seconds: 200)
    guard code == 0 else { throw ChildProcess.Failure(description: "tools/python-env: \(tool.errorOutput)") }
    return tool.output.trimmingCharacters(in: .whitespacesAndNewlines)
  }

  /// Loopback connections must not go through a proxy.
  static let noProxy = ["NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"]
}
