import ApusExchange
import CSupport
import FoundationEssentials
import Testing

@testable import Apus

/// What an engine does that has a part of an instrument, or hands it over to another one and takes it back.
@Suite struct ShareTests {
  private static let second: Nanoseconds = 1_000_000_000

  private static func configuration(share: String) throws -> Configuration {
    try RecordedTrial.configuration("share: \(share)")
  }

  private struct Happening {
    var at: Nanoseconds
    var order: String?
    var position: Int64?
    /// Bought less sold since the start.
    var traded: Int64?
  }

  private static func happenings(_ path: String) throws -> [Happening] {
    var reader = try JournalReader(path: path)
    var all: [Happening] = []
    var start: Nanoseconds?
    while let record = reader.next() {
      start = start ?? record.time
      let at = record.time - (start ?? 0)
      if record.kind == .outbound {
        let text = String(decoding: record.payload, as: UTF8.self)
        if text.contains("private/insert") || text.contains("private/amend") { all.append(Happening(at: at, order: text)) }
      } else if record.kind == .account {
        let account = record.payload.withUnsafeBytes { $0.loadUnaligned(as: AccountRecord.self) }
        #expect(account.is_position_known == 1)
        all.append(
          Happening(
            at: at, position: account.position_lots.rawValue,
            traded: account.bought_lots.rawValue - account.sold_lots.rawValue))
      }
    }
    return all
  }

  @Test func `R56_ an instrument is handed over with its position, and taken back with the one that the venue states`() throws {
    let room = try JournalRoom()
    let whole = try RecordedTrial.configuration()
    let outcome = try RecordedTrial.record(
      whole,
      changes: [(20 * Self.second, try Self.configuration(share: "0")), (40 * Self.second, whole)],
      for: 60 * Self.second, into: room.journal)
    #expect(outcome.fills > 5)
    let all = try Self.happenings(room.journal)
    let (before, during, after) = (
      all.filter { $0.at < 20 * Self.second }, all.filter { (21 * Self.second..<40 * Self.second).contains($0.at) },
      all.filter { $0.at >= 40 * Self.second }
    )
    #expect(before.contains { $0.order != nil } && after.contains { $0.order != nil })
    #expect(during.allSatisfy { $0.order == nil }, "\(during.first?.order ?? "")")
    // Nobody else has traded: what the venue states is what was left to the other engine, all that was bought and sold.
    let left = try #require(all.last { (20 * Self.second..<21 * Self.second).contains($0.at) && $0.position != nil })
    #expect(left.position == 0 && left.traded != 0, "\(left)")
    #expect(after.first { ($0.position ?? 0) != 0 }?.position == left.traded)
    let back = try #require(after.first { $0.order != nil })
    #expect(back.at < 40 * Self.second + 200_000_000, "\(back.at)")
    let run = try #require(try RecordedTrial.replayed(room.journal))
    #expect(run.difference == nil && run.gap == nil, "\(String(describing: run.difference))")
  }

  @Test func `a part of an instrument is quoted with that part of size and limit`() throws {
    let room = try JournalRoom()
    _ = try RecordedTrial.record(try Self.configuration(share: "0.25"), for: 20 * Self.second, into: room.journal)
    let orders = try Self.happenings(room.journal).compactMap(\.order)
    #expect(!orders.isEmpty && orders.filter { $0.contains("private/insert") }.allSatisfy { $0.contains("\"amount\":0.005,") || $0.contains("\"amount\":0.005}") })
    let settings = LaneSettings(try Self.configuration(share: "0.25"), labelPrefix: "apus-t-", bootEpoch: 1)
    #expect(settings.instruments[0].maximumPosition == DecimalE8(e8: 25_000_000) && settings.instruments[0].isHandedOver == nil)
    // Never more than the part: rounded down.
    #expect(DecimalE8(e8: 10).part(DecimalE8(e8: 33_330_000)) == DecimalE8(e8: 3))
  }

  @Test func `profit stays what it is when a position is left, and begins anew at the mark when one is taken over`() throws {
    var tracker = try StateTracker(
      instrumentCapacity: 1, orderCapacity: 16, ordersPerSide: 4, idBits: 32, firstGeneration: 1, tradeMemory: 16)
    let mark = PriceTicks(rawValue: 1000)
    let state = tracker.state(0)
    state.pointee.value = ContractValue(
      .linear, InstrumentGrid(tickE8: 100_000_000, lotE8: 100_000, minimumLots: QtyLots(rawValue: 1)))
    let first = tracker.setPosition(0, QtyLots(rawValue: 5), mark: mark)
    state.pointee.cashE8 += 70_000_000
    let before = state.pointee.profitE8(markE8: 1000 * 100_000_000)
    let isReleased = state.pointee.release(mark: mark)
    #expect(!first && isReleased)
    #expect(state.pointee.position == nil && state.pointee.isReleased)
    #expect(state.pointee.profitE8(markE8: 1000 * 100_000_000) == before)
    // The other engine's position moves with the market, and is none of ours.
    #expect(state.pointee.profitE8(markE8: 1200 * 100_000_000) == before)
    let second = tracker.setPosition(0, QtyLots(rawValue: -3), mark: PriceTicks(rawValue: 1200))
    #expect(!second)
    #expect(state.pointee.profitE8(markE8: 1200 * 100_000_000) == before && !state.pointee.isReleased)
    #expect(state.pointee.positionAdjustments == 0)
  }

  @Test(arguments: [("share: 1.01", "0 to 1"), ("share: -0.1", "0 to 1"), ("share: 0.00001", "4 decimals")])
  func `R51_ a share that cannot be is refused`(line: String, what: String) throws {
    #expect {
      _ = try RecordedTrial.configuration(line)
    } throws: {
      "\($0)".contains("instruments[0].share") && "\($0)".contains(what)
    }
  }
}
