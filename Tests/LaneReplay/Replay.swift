import Apus
import CSupport

/// What goes wrong in a replay, for a person.
struct ReplayError: Error, CustomStringConvertible {
  var description: String
}

@inline(__always)
private func perform(_ step: Step, _ bytes: UnsafeRawBufferPointer, on probe: inout LaneProbe) {
  switch step.action {
  case .receive: probe.receive(bytes, now: step.now)
  case .tick: probe.tick(now: step.now)
  case .direct: probe.direct(step.directive, instrument: 0, now: step.now)
  }
}

/// One measured message: callgrind counts what happens in here and nothing else.
@inline(never)
private func measuredStep(_ probe: inout LaneProbe, _ step: Step, _ bytes: UnsafeRawBufferPointer) {
  perform(step, bytes, on: &probe)
}

/// What a replay did: how many messages were measured, and the first step whose output differed.
struct Played {
  var measured = 0
  var outputBytes = 0
  var silent = 0
  /// Measured messages after which the lane looked at its quotes.
  var looks = 0
  var different: Int?
}

/// Feeds the steps to a lane inside a real-time context: nothing in here may allocate or lock. Callgrind
/// writes its counts when this function ends.
@inline(never)
func replaySteps(_ probe: inout LaneProbe, _ steps: UnsafeBufferPointer<Step>, _ bytes: UnsafeRawBufferPointer)
  -> Played
{
  var played = Played()
  apus_realtime_enter()
  for index in 0..<steps.count {
    let step = steps[index]
    let piece = UnsafeRawBufferPointer(rebasing: bytes[step.start..<step.start + step.count])
    if step.isMeasured {
      played.measured += 1
      let looksBefore = probe.looks
      measuredStep(&probe, step, piece)
      if probe.looks != looksBefore { played.looks += 1 }
      played.outputBytes += probe.outputCount
      if probe.outputCount == 0 { played.silent += 1 }
    } else {
      perform(step, piece, on: &probe)
    }
    if played.different == nil, probe.outputCount != step.outputCount || hash(probe.output) != step.outputHash {
      played.different = index
    }
    probe.discardOutput()
  }
  apus_realtime_exit()
  return played
}

extension Scenario {
  /// Records, replays, and checks that the lane did what the scenario's name says.
  func play(fault: Fault) throws -> Played {
    let script = try makeScript(fault: fault)
    var probe = try script.makeProbe()
    let played = script.steps.withUnsafeBufferPointer { steps in
      script.bytes.withUnsafeBytes { replaySteps(&probe, steps, $0) }
    }
    if let index = played.different {
      throw ReplayError(
        description: "\(name): at step \(index) of \(script.steps.count) the replaying lane wrote other bytes than the "
          + "recording one: the lane depends on something else than its input")
    }
    guard played.measured > 0 else { throw ReplayError(description: "\(name): no message was measured") }
    if sends, played.silent > 0 {
      throw ReplayError(
        description: "\(name): \(played.silent) of \(played.measured) messages led to no order; the scenario no longer "
          + "does what its name says")
    }
    if !sends, name != "timers", played.outputBytes > 0 {
      throw ReplayError(
        description: "\(name): the lane wrote \(played.outputBytes) bytes where it should have stayed silent; the "
          + "scenario no longer does what its name says")
    }
    return played
  }
}
