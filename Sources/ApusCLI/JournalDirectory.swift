import Foundation

/// Where a journal is.
enum JournalDirectory {
  /// A data directory has the journal below it, a demo's directory the data directory.
  static func find(_ directory: String) -> String {
    for below in ["/data/journal", "/journal"] {
      var isDirectory: ObjCBool = false
      if FileManager.default.fileExists(atPath: directory + below, isDirectory: &isDirectory), isDirectory.boolValue {
        return directory + below
      }
    }
    return directory
  }
}
