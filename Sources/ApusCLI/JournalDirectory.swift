import Foundation

/// Where a journal is when somebody names a directory.
enum JournalDirectory {
  /// A data directory has a journal for each venue below it, a demo's directory the data directory. At least one path:
  /// the directory itself, if there is nothing of the kind.
  static func all(_ directory: String) -> [String] {
    for below in ["/data", ""] {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: directory + below)) ?? []
      let journals = names.filter { $0 == "journal" || $0.hasPrefix("journal-") }.sorted()
        .map { directory + below + "/" + $0 }
        .filter {
          var isDirectory: ObjCBool = false
          return FileManager.default.fileExists(atPath: $0, isDirectory: &isDirectory) && isDirectory.boolValue
        }
      if !journals.isEmpty { return journals }
    }
    return [directory]
  }

  /// The only one. Ends the program with the choice if there are several.
  static func find(_ directory: String) throws -> String {
    let all = all(directory)
    guard all.count == 1 else {
      throw Exit.fail(
        Exit.unreadable,
        "\(directory) has the journals of \(all.count) venues: give one of \(all.joined(separator: ", "))")
    }
    return all[0]
  }
}
