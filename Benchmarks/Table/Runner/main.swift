import Apus
import Foundation
import Pieces

/// Prints a line for whoever waits; the table alone goes to standard output.
func tell(_ text: String) { FileHandle.standardError.write(Data((text + "\n").utf8)) }

func chooseCores(_ wanted: (Int, Int?)?) throws -> Cores {
  if let wanted { return Cores(main: wanted.0, other: wanted.1) }
  // The last ones: interrupts gather on the first.
  let allowed = try CPU.allowedCores()
  return Cores(main: allowed[allowed.count - 1], other: allowed.count > 1 ? allowed[allowed.count - 2] : nil)
}

/// Rows and what went wrong on the way.
func measureAll(_ options: Options, _ cores: Cores, _ library: PeerLibrary) -> (rows: [TableRow], problems: [String]) {
  var measurement = Measurement(cores: cores, library: library, effort: options.isQuick ? .quick : .full)
  var results: [String: PieceResult] = [:]
  func isWanted(_ row: Row) -> Bool { options.wants(row.key, row.title) }
  var wanted = Set(Row.all.filter(isWanted).map(\.key))
  // The worst of the flows needs them all.
  if wanted.contains(Row.worstMatchKey) { wanted.formUnion(Row.all.map(\.key).filter { $0.hasPrefix("match.") }) }
  for piece in Piece.all where !Row.all.contains(where: { $0.key == piece.key }) {
    measurement.problems.append("\(piece.key): a piece without a row in Rows.swift, not measured")
  }
  let pieces = Piece.all.filter { wanted.contains($0.key) }
  for (number, piece) in pieces.enumerated() {
    tell("bench: \(number + 1) of \(pieces.count), \(piece.key)")
    do {
      results[piece.key] = try measurement.measure(piece)
    } catch {
      measurement.problems.append("\(piece.key): \(error)")
    }
  }
  let flows = Row.all.filter { $0.key.hasPrefix("match.") && $0.key != Row.worstMatchKey }
  let rows = Row.all.filter(isWanted).compactMap { row -> TableRow? in
    if row.key == Row.worstMatchKey {
      let made = flows.compactMap { flow in results[flow.key].map { TableRow(flow, $0) } }
      let figures = made.compactMap(\.ours)
      guard made.count == flows.count, figures.count == flows.count else { return nil }
      var worst = TableRow(
        row, ours: figures.min(), conditions: "the least of the five flows above", isMoreBetter: true)
      // Each peer by its own worst flow.
      let names = Set(made.flatMap { $0.peers.map(\.name) }).filter { !$0.hasSuffix(TableRow.earlierMark) }
      let peers = names.sorted().compactMap { name -> TableRow.Peer? in
        let values = made.compactMap { flow in flow.peers.first { $0.name == name }?.value }
        return values.count == flows.count ? TableRow.Peer(name: name, value: values.min()) : nil
      }
      worst.peers = peers + worst.peers
      return worst
    }
    if let result = results[row.key] { return TableRow(row, result) }
    guard !Piece.all.contains(where: { $0.key == row.key }) else { return nil }
    return TableRow(row, ours: nil, conditions: "not built yet: there is nothing to time")
  }
  return (rows, measurement.problems)
}

func merge(_ files: [String], _ options: Options) throws -> [TableRow] {
  try files.flatMap { file -> [TableRow] in
    do {
      let data = try Data(contentsOf: URL(fileURLWithPath: file))
      return try JSONDecoder().decode([OtherRow].self, from: data).map { TableRow($0) }.filter { options.wants($0.row) }
    } catch {
      throw TableError("\(file) is no JSON array of rows: \(error)")
    }
  }
}

func run(_ options: Options) throws -> Bool {
  // Before minutes of work, not after them.
  if let path = options.json {
    guard let file = fopen(path, "a") else {
      throw TableError("\(path) cannot be written: \(String(cString: strerror(errno)))")
    }
    fclose(file)
  }
  let clock = EngineClock.start()
  let cores = try chooseCores(options.cores)
  try CPU.pinCurrentThread(to: cores.main)
  let machine = Machine(cores: (cores.main, cores.other), clock: clock)
  let library = try options.peers.map { try PeerLibrary(path: $0) } ?? PeerLibrary()
  var gaps = Gaps()
  gaps.measure(seconds: options.isQuick ? 0.3 : 2)
  let loadBefore = Machine.load()

  var (rows, problems) = measureAll(options, cores, library)
  let loadAfter = Machine.load()
  gaps.measure(seconds: options.isQuick ? 0.3 : 2)
  do { rows += try merge(options.merges, options) } catch { problems.append("\(error)") }

  for line in machine.lines { print(line) }
  print("before and after the run: \(gaps.text)")
  if max(loadBefore, loadAfter) > 1.5 {
    print(
      "OTHER WORK ON THE MACHINE: load average \(loadBefore) before, \(loadAfter) after; this program by itself is 1. "
        + "Trust ratios only.")
  }
  if options.isQuick { print("QUICK: few rounds; a look, not a result.") }
  print("ours/best peer: below 1 ours is better; only peers measured in this run count.")
  print("[name figure]: an earlier measurement on this kind of machine, not part of this run.\n")
  print(TableRow.text(rows), terminator: "")
  let judged = rows.filter { $0.met != nil }
  let missed = judged.count { $0.met == false }
  let open = rows.count { $0.target != nil && $0.met == nil }
  print("\n\(judged.count - missed) of \(judged.count) targets met, \(missed) missed, \(open) without a figure")

  if let path = options.json {
    let list = rows.map { $0.json(machine: machine.summary) }
    let data = try JSONSerialization.data(
      withJSONObject: list, options: [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes])
    do { try data.write(to: URL(fileURLWithPath: path)) } catch {
      throw TableError("\(path) cannot be written: \(error.localizedDescription)")
    }
  }
  fflush(nil)
  for problem in problems { tell("bench: \(problem)") }
  return problems.isEmpty
}

do {
  let options = try Options(Array(CommandLine.arguments.dropFirst()))
  exit(try run(options) ? 0 : 1)
} catch let error as OptionError {
  guard let text = error.text else {
    print(Options.help)
    exit(0)
  }
  tell("bench: \(text)")
  exit(64)
} catch {
  tell("bench: \(error)")
  exit(1)
}
