import Testing

@testable import Apus

@Suite struct ManyInstrumentsTests {
  // Their channels need far more than the ordinary room of a frame.
  @Test func `a lane of 512 instruments subscribes to all of them and becomes ready`() throws {
    var settings = LaneWorld.settings()
    let one = settings.instruments[0]
    settings.instruments = (0..<512).map { index in
      var instrument = one
      instrument.name = "I\(index)-PERPETUAL"
      return instrument
    }
    // Throws if the session does not become ready.
    let lane = try LaneProbe(settings: settings, strategy: LadderStrategy(LaneWorld.ladder))
    let start = lane.startTime
    #expect(start > 0)
  }
}
