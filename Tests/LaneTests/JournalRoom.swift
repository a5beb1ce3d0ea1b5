import Foundation

/// A directory for journals that goes away with its test.
final class JournalRoom {
  let path = NSTemporaryDirectory() + "/apus-journal-\(UUID().uuidString)"

  init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }

  /// For the one journal of a world.
  var journal: String { path + "/journal" }

  deinit { try? FileManager.default.removeItem(atPath: path) }
}
