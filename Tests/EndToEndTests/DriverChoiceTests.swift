import Apus
import Foundation
import Testing

/// The whole system where io_uring is forbidden, by a filter as a container's profile has it, and where epoll is asked for.
@Suite(.serialized, .timeLimit(.minutes(4))) struct DriverChoiceTests {
  private func run(_ arguments: [String], forbid: [String]? = nil, seconds: Double = 60) throws
    -> (code: Int32, out: String, err: String)
  {
    let apus = try Places.apus()
    let process =
      if let forbid {
        try ChildProcess(
          "/usr/bin/env", ["python3", Places.pythonScripts + "/without_io_uring.py"] + forbid + [apus] + arguments)
      } else {
        try ChildProcess(apus, arguments)
      }
    let code = try process.waitForExit(seconds: seconds)
    return (code, process.output, process.errorOutput)
  }

  private func lines(_ text: String, with part: String) -> [Substring] {
    text.split(separator: "\n").filter { $0.contains(part) }
  }

  @Test(arguments: [
    (["--error", "EPERM"], ["--tls"], "io_uring is forbidden here"), (["--error", "ENOSYS"], [], "has no io_uring"),
    (["--only-enter"], [], "io_uring is forbidden here"),
  ])
  func `without io_uring engine and venue go through epoll, and say why in one line`(
    forbid: [String], options: [String], reason: String
  ) throws {
    let demo = try run(["demo", "--seconds", "6"] + options, forbid: forbid)
    #expect(demo.code == 0, "\(demo)")
    let said = lines(demo.out + demo.err, with: "using epoll")
    #expect(said.count == 1 && said.first?.contains(reason) == true, "\(demo)")
    #expect(demo.out.contains("books equal in all"), "\(demo.out)")
  }

  @Test func `epoll by name says nothing about it`() throws {
    let demo = try run(["demo", "--seconds", "6", "--driver", "epoll"])
    #expect(demo.code == 0, "\(demo)")
    #expect(lines(demo.out + demo.err, with: "epoll").isEmpty)
    #expect(demo.out.contains("books equal in all"), "\(demo.out)")
  }

  @Test func `io_uring by name is an error where it is forbidden, with the ways out`() throws {
    let folder = try TemporaryFolder()
    let key = try SigningKey.generate()
    let pem = try key.withPrivatePEM { Data($0) }
    try #require(
      FileManager.default.createFile(
        atPath: folder.file("key.pem"), contents: pem, attributes: [.posixPermissions: 0o600]))
    func configuration(_ driver: String) throws -> String {
      let path = folder.file("\(driver).yaml")
      try """
      engine:
        name: test
        core: none
        driver: \(driver)
        data_directory: \(folder.file("data"))
        journal: false
      venue:
        url: ws://127.0.0.1:1/ws/api/v2
        key_id: K1
        private_key_file: \(folder.file("key.pem"))
      instruments:
        - name: BTC-PERPETUAL
          ladder: {levels: 2, half_spread_bps: 0.3, step_ticks: 2, size: 0.02, skew_bps: 1}
          limits: {max_position: 0.5, max_order: 0.1, max_notional: 20000, collar_bps: 100, max_orders: 12}
      """.write(toFile: path, atomically: true, encoding: .utf8)
      return path
    }
    let forced = try run(["run", "--config", configuration("io_uring")], forbid: [])
    #expect(forced.code == 71, "\(forced)")
    #expect(forced.err.split(separator: "\n").count == 1, "\(forced)")
    for part in [
      "apus: could not create the socket driver", "kernel.io_uring_disabled", "set the driver to auto or epoll",
    ] { #expect(forced.err.contains(part), "\(forced)") }

    // Without the word it comes as far as the venue, which is not there.
    let automatic = try run(["run", "--config", configuration("auto")], forbid: [])
    #expect(automatic.code == 69, "\(automatic)")
    #expect(lines(automatic.out, with: "apus: using epoll").count == 1, "\(automatic)")

    let venue = try run(["venue", "--port", "0", "--driver", "io_uring"], forbid: [])
    #expect(venue.code == 70, "\(venue)")
    #expect(venue.err.contains("set the driver to auto or epoll"), "\(venue)")
  }

  @Test func `an unknown driver is a usage error`() throws {
    let venue = try run(["venue", "--driver", "kqueue"])
    #expect(venue.code == 64 && venue.err.contains("io_uring"), "\(venue)")
  }
}
