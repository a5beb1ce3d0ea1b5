import CSupport

/// Thalex beside a lane: login, the list of instruments, questions and cancels.
final class ThalexSide: SideProtocol {
  private var decoder: ThalexDecoder
  private let encoder: ThalexEncoder
  private let account: String?

  init(instruments: [String], labelPrefix: String, account: String?) throws {
    var decoder = try ThalexDecoder(
      instrumentCapacity: max(instruments.count, 1), channelCapacity: 1, labelPrefix: labelPrefix)
    for name in instruments { _ = try decoder.want(instrument: name) }
    let encoder = try ThalexEncoder(instrumentCapacity: max(instruments.count, 1), label: "")
    self.decoder = decoder
    self.encoder = encoder
    self.account = account
  }

  let setUpCount = 1
  let pace: (cancels: Int, interval: Nanoseconds) = (.max, 20_000_000)

  func decode(_ text: UnsafeRawBufferPointer, into sink: inout SideSink) { decoder.decode(text, into: &sink) }

  func login(into buffer: UnsafeMutableRawBufferPointer, token: String) -> Int {
    encoder.login(into: buffer, id: RequestID.session(.login), token: token, account: account)
  }

  func setUp(_ place: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    encoder.instruments(into: buffer, id: RequestID.session(.instruments))
  }

  func openOrders(into buffer: UnsafeMutableRawBufferPointer, serial: UInt64) -> Int {
    let id = RequestID.session(.openOrders, serial: serial)
    decoder.awaitedOrdersID = id
    return encoder.openOrders(into: buffer, id: id)
  }

  func cancel(_ order: VenueID, into buffer: UnsafeMutableRawBufferPointer) -> Int {
    encoder.cancel(into: buffer, venueID: order, operand: 0)
  }

  func cancelMassQuotes(into buffer: UnsafeMutableRawBufferPointer) -> Int {
    var text = RequestText(buffer)
    text.append("{\"method\":\"private/cancel_mass_quote\",\"id\":")
    text.number(1 << 40)
    text.append(",\"params\":{}}")
    return text.count
  }

  func heartbeat(into buffer: UnsafeMutableRawBufferPointer) -> Int { 0 }
}
