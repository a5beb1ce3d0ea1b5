import Apus
import ApusExchange
import CSupport
import Foundation
import Testing

/// `apus record` on a venue, and what is played from its directory.
@Suite(.serialized) struct RecordTests {
  private func venue(_ options: [String] = []) throws -> (program: Program, url: String) {
    let venue = try Program("apus", ["venue", "--port", "0"] + options)
    #expect(venue.waitFor("listening on "), "\(venue.err)")
    let line = venue.out.split(separator: "\n").first { $0.hasPrefix("listening on ") } ?? ""
    return (venue, String(line.dropFirst("listening on ".count)))
  }

  /// The decoded tops of books and tickers of a recording, in order, by the engine's decoder.
  private struct Tops: ~Copyable, SelectiveEventSink {
    var book: [InstrumentIndex: (bids: [Int64: Int64], asks: [Int64: Int64])] = [:]
    var tops: [InstrumentIndex: Set<[Int64]>] = [:]
    var published: [InstrumentIndex: Set<[Int64]>] = [:]
    var last: [InstrumentIndex: [Int64]] = [:]
    var infos: [InstrumentIndex: InstrumentInfo] = [:]

    mutating func instrument(_ info: InstrumentInfo, isListed: Bool) { if isListed { infos[info.index] = info } }
    mutating func bookBegin(_ instrument: InstrumentIndex, isSnapshot: Bool) {
      if isSnapshot { book[instrument] = ([:], [:]) }
    }
    mutating func bookLevel(_ instrument: InstrumentIndex, _ side: Side, _ price: PriceTicks, _ qty: QtyLots) {
      let lots = qty.rawValue == 0 ? nil : qty.rawValue
      if side == .buy {
        book[instrument, default: ([:], [:])].bids[price.rawValue] = lots
      } else {
        book[instrument, default: ([:], [:])].asks[price.rawValue] = lots
      }
    }
    mutating func bookEnd(_ instrument: InstrumentIndex) {
      guard let sides = book[instrument], let bid = sides.bids.keys.max(), let ask = sides.asks.keys.min() else {
        return
      }
      let top = [bid, sides.bids[bid] ?? 0, ask, sides.asks[ask] ?? 0]
      last[instrument] = top
      tops[instrument, default: []].insert(top)
    }
    mutating func ticker(_ instrument: InstrumentIndex, _ ticker: Ticker) {
      guard ticker.fields.isSuperset(of: [.bid, .ask]) else { return }
      published[instrument, default: []].insert([
        ticker.bidPrice.rawValue, ticker.bidQty.rawValue, ticker.askPrice.rawValue, ticker.askQty.rawValue,
      ])
    }
  }

  @Test func `a recording has the venue's frames and times, and plays the tops that were published`() throws {
    let room = try Room()
    let (program, url) = try venue(["--seed", "11"])
    let before = Nanoseconds(Date().timeIntervalSince1970 * 1e9)
    let record = try Program(
      "apus",
      [
        "record", "--venue-url", url, "--instruments", "BTC-PERPETUAL,ETH-PERPETUAL", "--out", room.file("kept"),
        "--seconds", "3",
      ])
    #expect(record.wait() == 0, "\(record.out) \(record.err)")
    let after = Nanoseconds(Date().timeIntervalSince1970 * 1e9)
    program.signal(SIGTERM)
    #expect(program.wait() == 0)
    let words = record.out.split(separator: " ").map(String.init)
    let kept = words.firstIndex(of: "frames,").flatMap { Int(words[$0 - 1]) } ?? 0
    // The venue counts what it sent: nothing that it sent before the end is missing.
    let sent = program.out.split(separator: "\n").first { $0.hasPrefix("messages: ") }?.split(separator: " ")
    let sentCount = sent.flatMap { words in words.firstIndex(of: "sent,").flatMap { Int(words[$0 - 1]) } } ?? 0
    #expect(kept > 200 && kept <= sentCount && sentCount - kept < 60, "\(kept) of \(sentCount): \(program.out)")

    var reader = try JournalReader(path: room.file("kept"))
    let first = reader.next()
    let description = try #require(first.flatMap { RecordingDescription(text: $0.payload) })
    #expect(description.instruments == ["BTC-PERPETUAL", "ETH-PERPETUAL"] && description.url == url)
    var decoder = try ThalexDecoder(instrumentCapacity: 2, channelCapacity: 8, labelPrefix: "")
    for name in description.instruments {
      let index = try decoder.want(instrument: name)
      try decoder.register(channel: "ticker.\(name).raw", kind: .ticker, instrument: index)
      try decoder.register(channel: "book.\(name).none.all.raw", kind: .book, instrument: index)
      try decoder.register(channel: "recent_trades.\(name).single", kind: .other)
    }
    try decoder.register(channel: "instruments", kind: .instruments)
    var sink = Tops()
    var frames = 0
    var last: Nanoseconds = 0
    while let record = reader.next() {
      guard record.kind == .inbound || record.kind == .more else { continue }
      frames += 1
      #expect(record.connection == 1)
      #expect(
        record.time >= last && record.wallTime > before - 1_000_000_000 && record.wallTime < after + 1_000_000_000)
      last = record.time
      let text = record.payload + [UInt8](repeating: 0, count: 64)
      text.withUnsafeBytes {
        decoder.decode(UnsafeRawBufferPointer(rebasing: $0[..<record.payload.count]), into: &sink)
      }
    }
    #expect(frames == kept)
    #expect(reader.stop.finding == .end && reader.stop.isClosed)

    // Played: the tops of the flow are the recorded books', and what the tickers published is among them.
    var specs = VenueConfiguration().instruments
    let feeds = try VenueFeeds([.init(path: room.file("kept"), instrument: nil)], for: &specs)
    for index in 0..<2 { #expect(specs[index].initialIndexE8 > 0) }
    var books: [Int: (bids: [Int64: Int64], asks: [Int64: Int64])] = [:]
    var played: [Int: Set<[Int64]>] = [:]
    var final: [Int: [Int64]] = [:]
    var events: [FlowEvent] = []
    var duration: Nanoseconds = 0
    var trades = 0
    while let time = feeds.flow.nextTime {
      duration = time
      events.removeAll()
      feeds.flow.next(into: &events)
      for event in events {
        let index = Int(event.instrument)
        switch event.kind {
        case .level where event.side == .buy:
          books[index, default: ([:], [:])].bids[event.value] = event.lots == 0 ? nil : event.lots
        case .level: books[index, default: ([:], [:])].asks[event.value] = event.lots == 0 ? nil : event.lots
        case .trade: trades += 1
        case .index: #expect(event.value > 0)
        case .away, .back: Issue.record("a recording is never away")
        }
      }
      for (index, sides) in books {
        guard let bid = sides.bids.keys.max(), let ask = sides.asks.keys.min() else { continue }
        let top = [bid, sides.bids[bid] ?? 0, ask, sides.asks[ask] ?? 0]
        played[index, default: []].insert(top)
        final[index] = top
      }
    }
    #expect(duration > 2_000_000_000 && duration < 3_500_000_000 && trades > 0)
    for (position, name) in description.instruments.enumerated() {
      let index = try #require(specs.firstIndex { $0.name == name })
      let instrument = InstrumentIndex(position)
      #expect(sink.infos[instrument]?.grid == specs[index].grid)
      #expect(played[index] == sink.tops[instrument], "\(name)")
      #expect(final[index] == sink.last[instrument])
      let published = sink.published[instrument] ?? []
      #expect(published.count > 10, "\(name)")
      #expect(published.isSubset(of: played[index] ?? []), "\(name): \(published.subtracting(played[index] ?? []))")
    }

    // The commands that take a feed take the directory.
    let budget = try Program("apus", ["bench", "budget", "--feed", room.file("kept")])
    #expect(budget.wait() == 0, "\(budget.err)")
    let second = try venue(["--feed", room.file("kept"), "--speed", "20", "--exit-at-end"])
    #expect(second.program.waitFor("feed finished"))
    #expect(second.program.wait() == 0, "\(second.program.err)")
    let replay = try Program("apus", ["replay", room.file("kept")])
    #expect(replay.wait() == 65)
    #expect(replay.out.contains("a recording of a venue's public stream"), "\(replay.out)")
  }

  @Test func `a lost connection is made anew, and Ctrl-C ends with a summary`() throws {
    let room = try Room()
    let (first, url) = try venue()
    let port = try #require(url.split(separator: ":").last?.split(separator: "/").first)
    let record = try Program(
      "apus", ["record", "--venue-url", url, "--instruments", "BTC-PERPETUAL", "--out", room.file("kept")])
    #expect(record.waitFor("recording BTC-PERPETUAL"))
    first.signal(SIGKILL)
    _ = first.wait()
    #expect(record.waitFor("trying again"))
    let second = try Program("apus", ["venue", "--port", String(port)])
    #expect(second.waitFor("listening on "), "\(second.err)")
    let deadline = Date().addingTimeInterval(20)
    while Date() < deadline, record.out.components(separatedBy: "recording BTC-PERPETUAL").count < 3 { usleep(20_000) }
    usleep(500_000)
    record.signal(SIGINT)
    #expect(record.wait() == 0, "\(record.err)")
    #expect(record.out.contains("over 2 connections"), "\(record.out)")
    var reader = try JournalReader(path: room.file("kept"))
    var connections: Set<UInt32> = []
    while let record = reader.next() { if record.kind == .inbound { connections.insert(record.connection) } }
    #expect(connections == [1, 2])
  }

  @Test(arguments: [1e30, .infinity, .nan])
  func `a recorder that is told more seconds than a clock counts goes on until it is stopped`(seconds: Double) throws {
    let room = try Room()
    let recorder = try MarketRecorder(url: "ws://127.0.0.1:1/ws", instruments: ["A"], directory: room.file("kept"))
    Thread.detachNewThread {
      usleep(300_000)
      recorder.requestStop()
    }
    let report = try recorder.run(seconds: seconds)
    #expect(report.frames == 0 && report.seconds > 0.2)
  }

  @Test func `what cannot be recorded is told in one line, with its code`() throws {
    let room = try Room()
    let (program, url) = try venue()
    defer { program.signal(SIGKILL) }
    func record(_ url: String, _ instruments: String, _ options: [String] = []) throws -> (code: Int32, err: String) {
      let program = try Program(
        "apus",
        ["record", "--venue-url", url, "--instruments", instruments, "--out", room.file("x"), "--seconds", "2"]
          + options)
      return (program.wait(), program.err)
    }
    for (url, instruments, code, word) in [
      (url, "NOPE-PERPETUAL", Int32(77), "NOPE-PERPETUAL"), ("ws://127.0.0.1:1/ws", "A", 69, "nothing was received"),
      ("http://x", "A", 78, "ws://"), (url, ",", 78, "at least one instrument"),
    ] {
      let result = try record(url, instruments)
      #expect(result.code == code && result.err.contains(word), "\(result)")
      #expect(result.err.split(separator: "\n").count == 1, "\(result)")
    }
    #expect(try record(url, "BTC-PERPETUAL", ["--levels", "0"]).code == 64)
    for seconds in ["1e30", "inf"] {
      let endless = try Program(
        "apus",
        ["record", "--venue-url", url, "--instruments", "A", "--out", room.file("x"), "--seconds", seconds])
      #expect(endless.wait() == 64 && endless.err.contains("--seconds must be above 0 and at most"), "\(endless.err)")
    }
    let notARecording = try Program("apus", ["venue", "--port", "0", "--feed", room.path])
    #expect(notARecording.wait() == 65, "\(notARecording.err)")
    #expect(notARecording.err.contains("apus record"), "\(notARecording.err)")
  }
}
