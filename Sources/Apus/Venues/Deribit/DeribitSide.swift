import CSupport

/// Deribit beside a lane: login, heartbeat, the instruments, questions and cancels.
final class DeribitSide: SideProtocol {
  private var decoder: DeribitDecoder
  private let encoder: DeribitEncoder
  private var serial: UInt64 = 0

  init(instruments: [String], labelPrefix: String) throws {
    var decoder = try DeribitDecoder(
      instrumentCapacity: max(instruments.count, 1), labelPrefix: labelPrefix, label: labelPrefix)
    for name in instruments { _ = try decoder.want(instrument: name) }
    let encoder = try DeribitEncoder(
      instrumentCapacity: max(instruments.count, 1), labelPrefix: labelPrefix, label: labelPrefix)
    self.decoder = decoder
    self.encoder = encoder
  }

  /// The heartbeat keeps a socket open that subscribes to nothing (protocol, section 3); mass quotes are cancelled only where
  /// cancel-on-disconnect is on (section 12).
  var setUpCount: Int { 2 + decoder.instruments.count }

  /// The least account may send 20 order requests at once and 5 a second after that, the lane's own among them; more ends
  /// the connection (section 16).
  let pace: (cancels: Int, interval: Nanoseconds) = (16, 500_000_000)

  func decode(_ text: UnsafeRawBufferPointer, into sink: inout SideSink) { decoder.decode(text, into: &sink) }

  func login(into buffer: UnsafeMutableRawBufferPointer, token: String) -> Int {
    encoder.login(into: buffer, credentials: token)
  }

  func setUp(_ place: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    switch place {
    case 0: encoder.setHeartbeat(into: buffer, seconds: 30)
    case 1: encoder.cancelOnDisconnect(into: buffer)
    default: encoder.instrument(into: buffer, name: decoder.instruments[place - 2], serial: UInt64(place))
    }
  }

  func openOrders(into buffer: UnsafeMutableRawBufferPointer, serial: UInt64) -> Int {
    let id = RequestID.session(.openOrders, serial: serial)
    decoder.awaitedOrdersID = id
    return encoder.openOrders(into: buffer, id: id)
  }

  func cancel(_ order: VenueID, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var order = order
    return encoder.cancel(into: buffer, clientID: 0, venueID: &order, instrument: .max)
  }

  func cancelMassQuotes(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    serial += 1
    return encoder.cancelQuotes(into: buffer, serial: serial)
  }

  func heartbeat(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    serial += 1
    return encoder.test(into: buffer, serial: serial)
  }
}
