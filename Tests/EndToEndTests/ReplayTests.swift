import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// `apus replay` on the journals of live engines, on real sockets and clocks.
@Suite(.serialized) struct ReplayTests {
  private func expectEqual(_ directory: String, connections: Int = 1, runs: Int = 1) throws {
    let replay = try Program("apus", ["replay", directory])
    #expect(replay.wait() == 0, "\(replay.out) \(replay.err)")
    let equal = replay.out.split(separator: "\n").filter {
      $0 == "  equal: every frame out, fill and note is the recorded one"
    }
    #expect(equal.count == runs, "\(replay.out)")
    #expect(!replay.out.contains("ends early"), "\(replay.out)")
    // Not equal because there was nothing.
    let words = replay.out.split(separator: " ").map(String.init)
    let framesIn = words.firstIndex(of: "frames").flatMap { Int(words[$0 - 1]) } ?? 0
    #expect(framesIn > 100, "\(replay.out)")
    var reader = try JournalReader(path: directory + (directory.hasSuffix("/demo") ? "/data/journal" : "/journal"))
    var seen: Set<UInt32> = []
    var notes: [String] = []
    while let record = reader.next() {
      seen.insert(record.connection)
      if record.kind == .note {
        notes.append("\(record.time) \(record.connection) \(String(decoding: record.payload, as: UTF8.self))")
      }
    }
    #expect(seen.subtracting([0]).count == connections, "\(notes)")
  }

  @Test(arguments: [
    [], ["--mass-quotes"], ["--mass-quotes", "--venues", "deribit"], ["--tls"], ["--speed", "20"],
  ])
  func `a live run is repeated to the byte`(options: [String]) throws {
    let room = try Room()
    let demo = try Program("apus", ["demo", "--seconds", "5", "--directory", room.file("demo")] + options)
    #expect(demo.wait(seconds: 90) == 0, "\(demo.err)")
    try expectEqual(room.file("demo"))
  }

  @Test(arguments: [8000, 0])
  func `a live run over a planned closure is repeated to the byte`(window: Int) throws {
    let stage = try PlannedClosureTests.Stage(isTLS: false)
    let engine = try stage.engine(name: "moves", window: window)
    usleep(1_000_000)
    stage.server.perform { venue, now in venue.announceClosure(notice: 2_000_000_000, now: now) }
    usleep(4_000_000)
    engine.signal(SIGUSR1)
    usleep(500_000)
    engine.signal(SIGTERM)
    #expect(engine.wait() == 0, "\(engine.err)")
    try expectEqual(stage.room.file("moves"), connections: 2)
  }

  @Test func `runs of a killed engine and of its successor are both repeated`() throws {
    let stage = try RunTests.Stage()
    let config = try stage.configuration()
    for signal in [SIGKILL, SIGTERM] {
      let engine = try Program("apus", ["run", "--config", config])
      #expect(engine.waitFor("quoting"))
      usleep(2_000_000)
      engine.signal(signal)
      _ = engine.wait()
    }
    try expectEqual(stage.room.file("data"), runs: 2)
  }

  @Test func `a changed byte is named and the exit code is 1`() throws {
    let room = try Room()
    let demo = try Program("apus", ["demo", "--seconds", "4", "--directory", room.file("demo")])
    #expect(demo.wait(seconds: 90) == 0, "\(demo.err)")
    var reader = try JournalReader(path: room.file("demo/data/journal"))
    var number: UInt64 = 0
    do {
      var ends = try JournalEnds(
        path: room.file("changed"), name: "changed", configuration: JournalConfiguration(bootEpoch: 7), now: 0)
      while var record = reader.next() {
        if number == 0, record.kind == .outbound,
          let place = String(decoding: record.payload, as: UTF8.self).range(of: "\"price\":")
        {
          number = record.recordNumber
          let text = String(decoding: record.payload, as: UTF8.self)
          record.payload[text.utf8.distance(from: text.startIndex, to: place.upperBound)] ^= 1
        }
        let isWritten = record.payload.withUnsafeBytes {
          ends.writer.append(record.kind!, connection: record.connection, time: record.time, payload: $0)
        }
        #expect(isWritten)
      }
    }
    #expect(number > 0)
    let replay = try Program("apus", ["replay", room.file("changed")])
    #expect(replay.wait() == 1, "\(replay.out)")
    #expect(replay.out.contains("differs at record \(number), lane time "), "\(replay.out)")
    #expect(replay.out.contains(", decision: a frame out differs in "), "\(replay.out)")
    #expect(replay.out.contains("price, from its byte ") && replay.out.contains("\n  field "), "\(replay.out)")
    #expect(replay.out.contains("\n  recorded: ") && replay.out.contains("\n  replayed: "))

    let order = try Program("apus", ["replay", room.file("demo"), "--until", "100000s", "--order", "1"])
    #expect(order.wait() == 0, "\(order.out) \(order.err)")
    let unknown = try Program("apus", ["replay", room.file("demo"), "--order", "no-such-order"])
    #expect(unknown.wait() == 66, "\(unknown.out) \(unknown.err)")
    #expect(unknown.err.contains("no frame names the order no-such-order: "), "\(unknown.err)")
    let wrong = try Program("apus", ["replay", room.file("nowhere")])
    #expect(wrong.wait() == 66)
    #expect(wrong.err.hasPrefix("apus: "))
    let nothing = try Program("apus", ["replay", room.file("demo"), "--run", "5"])
    #expect(nothing.wait() == 66)
  }

  @Test func `a damaged run is repeated as far as it is whole, and the exit code is 65`() throws {
    let room = try Room()
    let demo = try Program("apus", ["demo", "--seconds", "4", "--directory", room.file("demo")])
    #expect(demo.wait(seconds: 90) == 0, "\(demo.err)")
    let journal = room.file("demo/data/journal")
    var reader = try JournalReader(path: journal)
    var offset: UInt64 = 0
    var count = 0
    while let record = reader.next(), offset == 0 {
      count += 1
      if count > 100, record.kind == .timer { offset = record.segmentOffset }
    }
    let segment = "\(journal)/\(try FileManager.default.contentsOfDirectory(atPath: journal).sorted()[0])"
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: segment))
    // A timer's record has 32 bytes: one flipped bit makes none of them.
    try file.seek(toOffset: offset)
    try file.write(contentsOf: Data([0]))
    try file.close()
    let replay = try Program("apus", ["replay", room.file("demo")])
    #expect(replay.wait() == 65, "\(replay.out)")
    #expect(replay.out.contains("  equal as far as the journal is whole\n"), "\(replay.out)")
    #expect(replay.out.contains("  the journal is damaged: segment 1, offset \(offset): "), "\(replay.out)")
    let export = try Program("apus", ["export", room.file("demo"), "--out", room.file("part.sqlite")])
    #expect(export.wait() == 65, "\(export.out) \(export.err)")

    // A header that cannot be read belongs to no run.
    try FileHandle(forUpdating: URL(fileURLWithPath: segment)).write(contentsOf: Data([0]))
    let nothing = try Program("apus", ["replay", room.file("demo")])
    #expect(nothing.wait() == 65, "\(nothing.out) \(nothing.err)")
    #expect(
      nothing.out.hasPrefix("not repeated: segment 1 is damaged") && !nothing.out.contains("run 0"), "\(nothing.out)")
  }
}
