import Apus
import Foundation
import WireC

/// The venue's official Python client with a minimal quoter, in a process of its own that sleeps between messages.
final class PythonPeer: Far {
  let listener: VenueListener
  let venue: Venue
  private let process = Process()

  static var quoter: String {
    URL(fileURLWithPath: #filePath).deletingLastPathComponent().appendingPathComponent("../python/quoter.py").path
  }

  init(interpreter: String, core: Int, directory: String) throws {
    listener = try VenueListener(tls: false, directory: directory)
    process.executableURL = URL(fileURLWithPath: interpreter)
    process.arguments = [Self.quoter, listener.url, "\(directory)/key.pem", String(core)]
    do {
      try process.run()
    } catch {
      throw WireError("could not run \(interpreter): \(error.localizedDescription)")
    }
    let names = Script.names(1)
    venue = try listener.accept(names: names)
    try venue.bringUp(names: names, followsMark: false)
  }

  deinit {
    process.terminate()
    process.waitUntilExit()
  }

  /// It writes its own orders.
  func learn(tick: Int, orders: wire_bytes, acknowledgement: Int, from other: Venue) {}
  func run(_ runs: Bool) {}
}
