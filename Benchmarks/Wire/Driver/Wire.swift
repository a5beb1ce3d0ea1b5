import Apus
import Foundation
import WireC

/// What was asked for on the command line.
struct Options {
  enum Group: String, CaseIterable {
    case tcp, tls, memory, sockets, growth

    var text: String {
      switch self {
      case .tcp: "wire to wire over loopback TCP, beside a bare echo: back to back, and with 2 ms between ticks"
      case .tls: "the same over TLS 1.3 (AES-128-GCM), beside a bare OpenSSL echo"
      case .memory: "open loop on one lane in memory: steady rates, and bursts of ten times the peak"
      case .sockets: "open loop on the engine over loopback: the same, and what is conflated"
      case .growth: "1, 8, 64, 512 instruments and 1, 2, 4 lanes in memory; 1, 8, 64 instruments over loopback"
      }
    }
  }

  var isQuick = false
  var json: String?
  var svg: String?
  var python: String?
  var groups = Group.allCases

  static let help = """
    Wire: the engine over sockets and under load, timed from the other end.

    Usage: Wire [--quick] [--json FILE] [--svg FILE] [--only GROUP,...] [--python INTERPRETER] [--rows] [--help]

      --quick        under half a minute instead of four; fewer samples
      --json FILE    also write the rows as JSON
      --svg FILE     also draw growth and queueing (groups memory, sockets and growth)
      --only LIST    some of the groups, by name, with commas in between
      --python PATH  also measure the venue's official Python client; PATH is what tools/python-env prints
      --rows         name the groups, and end

    Needs two cores, spins on both, and uses loopback only. The last core is the engine's, the one before it the
    venue's. Exit codes: 0 done, whether targets are met or not; 1 something went wrong; 64 wrong arguments.
    """

  init(_ arguments: [String]) throws {
    var rest = arguments[...]
    func value(_ option: String) throws -> String {
      guard let value = rest.popFirst() else { throw WireError("\(option) needs a value; see --help") }
      return value
    }
    while let word = rest.popFirst() {
      switch word {
      case "--quick": isQuick = true
      case "--json": json = try value(word)
      case "--svg": svg = try value(word)
      case "--python": python = try value(word)
      case "--only":
        groups = try value(word).split(separator: ",").map { name in
          guard let group = Group(rawValue: String(name)) else {
            let names = Group.allCases.map(\.rawValue).joined(separator: ", ")
            throw WireError("there is no group \(name): choose from \(names)")
          }
          return group
        }
      case "--help", "-h":
        say(Self.help)
        exit(0)
      case "--rows":
        for group in Group.allCases { say("\(group.rawValue): \(group.text)") }
        exit(0)
      default: throw WireError("\(word) is not an option; see --help")
      }
    }
  }
}

@main struct Wire {
  static func main() {
    let arguments = CommandLine.arguments.dropFirst()
    if arguments.count == 2, arguments.first == EngineProcess.argument { EngineProcess.run(arguments.last!) }
    do {
      let options = try Options(Array(arguments))
      do {
        try run(options)
      } catch {
        fail("\(error)", code: 1)
      }
    } catch {
      fail("\(error)", code: 64)
    }
  }

  private static func fail(_ text: String, code: Int32) -> Never {
    FileHandle.standardError.write(Data("wire: \(text)\n".utf8))
    exit(code)
  }

  private static func run(_ options: Options) throws {
    let cores = try CPU.allowedCores()
    guard cores.count >= 2 else {
      throw WireError("this needs two cores, and this process may use only core \(cores.first ?? 0)")
    }
    EngineClock.start()
    var template = Array("\(NSTemporaryDirectory())/apus-wire-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else {
      throw WireError("cannot make a temporary directory: \(String(cString: strerror(errno)))")
    }
    let directory = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { try? FileManager.default.removeItem(atPath: directory) }

    let machine = Machine.current(core: cores[cores.count - 1])
    say(machine.text)
    if machine.load > 1 {
      say(
        "other work is running here (load \(Statistics.text(machine.load, 1))): high percentiles are its, not the engine's"
      )
    }
    var bench = Bench(
      options: options, cores: (venue: cores[cores.count - 2], engine: cores[cores.count - 1]), allCores: cores,
      directory: directory, machine: machine)
    for group in options.groups { try bench.run(group) }
    say("\n" + bench.summary)
    if let json = options.json {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
      try write(try encoder.encode(bench.rows), to: json)
    }
    if let svg = options.svg { try write(Data(bench.chart.svg.utf8), to: svg) }
  }

  private static func write(_ data: Data, to path: String) throws {
    do {
      try data.write(to: URL(fileURLWithPath: path), options: .atomic)
    } catch {
      throw WireError("could not write \(path): \(error.localizedDescription)")
    }
  }
}
