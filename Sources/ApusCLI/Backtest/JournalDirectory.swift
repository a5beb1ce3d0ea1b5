import Foundation

/// Where a journal lies.
enum JournalDirectory {
  /// A data directory has the journal below it, a demo's directory the data directory.
  static func path(in directory: String) -> String {
    for below in ["/data/journal", "/journal"] {
      var isDirectory: ObjCBool = false
      if FileManager.default.fileExists(atPath: directory + below, isDirectory: &isDirectory), isDirectory.boolValue {
        return directory + below
      }
    }
    return directory
  }
}
