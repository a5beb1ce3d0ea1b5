import CSupport
import Glibc

/// What this program was made of.
public struct Build: Codable, Equatable, Sendable {
  public static let version = "0.1.0"

  public var version: String
  /// The commit, or `unknown`.
  public var revision: String
  /// Where `revision` is from: `installed` (written by tools/install when it built the program), `checkout` (the
  /// working copy that the program lies in, as it is now), or `unknown`.
  public var revisionSource: String
  /// `debug` or `release`.
  public var configuration: String
  public var compiler: String
  /// C code was compiled with optimisation.
  public var isOptimised: Bool
  public var sanitizer: String?
  public var architecture: String

  /// Of the program that asks.
  public static func current() -> Build {
    let (revision, source) = BuildRevision.find(program: programPath ?? "")
    #if DEBUG
      let configuration = "debug"
    #else
      let configuration = "release"
    #endif
    #if arch(x86_64)
      let architecture = "x86_64"
    #elseif arch(arm64)
      let architecture = "arm64"
    #else
      let architecture = "other"
    #endif
    let sanitizer = String(cString: apus_build_sanitizer())
    return Build(
      version: version, revision: revision, revisionSource: source, configuration: configuration,
      compiler: String(cString: apus_build_compiler()), isOptimised: apus_build_is_optimised(),
      sanitizer: sanitizer.isEmpty ? nil : sanitizer, architecture: architecture)
  }

  /// Symbolic links resolved.
  static var programPath: String? {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = buffer.withUnsafeMutableBytes { bytes in
      bytes.withMemoryRebound(to: CChar.self) { readlink("/proc/self/exe", $0.baseAddress!, $0.count) }
    }
    guard count > 0, count < buffer.count else { return nil }
    return String(decoding: buffer[..<count], as: UTF8.self)
  }
}

extension Build {
  /// The release that the running program lies in: the name of its directory, if that has a manifest of one.
  public static var release: String? {
    guard let program = programPath else { return nil }
    let parts = program.split(separator: "/")
    guard parts.count > 1 else { return nil }
    return HostTree().exists("/" + parts.dropLast().joined(separator: "/") + "/manifest.json") ? String(parts[parts.count - 2]) : nil
  }
}

/// Finds out which commit a program was built from, without help of the compiler.
enum BuildRevision {
  /// - Parameter program: Path of the program's file.
  static func find(program: String, tree: HostTree = HostTree()) -> (revision: String, source: String) {
    var folder = parent(program)
    // tools/install puts it beside the program.
    if let text = tree.text("\(folder)/revision"), let revision = hash(text) {
      return (revision, "installed")
    }
    // .build/<triple>/<configuration>/apus lies in a working copy.
    while !folder.isEmpty, folder != "/" {
      if tree.exists("\(folder)/.git") {
        return head(of: folder, tree).map { ($0, "checkout") } ?? ("unknown", "unknown")
      }
      folder = parent(folder)
    }
    return ("unknown", "unknown")
  }

  /// What HEAD names in the working copy at `folder` (gitrepository-layout(5)).
  private static func head(of folder: String, _ tree: HostTree) -> String? {
    var directory = "\(folder)/.git"
    // A linked working tree has a file that names the directory.
    if let link = tree.text(directory), link.hasPrefix("gitdir: ") {
      let path = String(link.dropFirst("gitdir: ".count))
      directory = path.hasPrefix("/") ? path : "\(folder)/\(path)"
    }
    guard let head = tree.text("\(directory)/HEAD") else { return nil }
    guard head.hasPrefix("ref: ") else { return hash(head) }
    let name = String(head.dropFirst("ref: ".count))
    // Branches of a linked working tree are those of the main one.
    let common = tree.text("\(directory)/commondir").map { $0.hasPrefix("/") ? $0 : "\(directory)/\($0)" } ?? directory
    if let text = tree.text("\(common)/\(name)") { return hash(text) }
    let packed = (tree.text("\(common)/packed-refs") ?? "").split(separator: "\n")
    return packed.first { $0.hasSuffix(" \(name)") }.flatMap { hash(String($0.prefix { $0 != " " })) }
  }

  private static func hash(_ text: String) -> String? {
    let isHash = (text.count == 40 || text.count == 64) && text.allSatisfy { $0.isHexDigit && $0.isASCII }
    return isHash ? text : nil
  }

  private static func parent(_ path: String) -> String {
    guard let slash = path.lastIndex(of: "/") else { return "" }
    return String(path[..<slash])
  }
}
