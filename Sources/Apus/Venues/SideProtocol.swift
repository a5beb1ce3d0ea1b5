import CSupport

/// What a connection beside a lane's says to a venue: it logs in, asks what rests, and cancels by the venue's id.
///
/// Cold; one thread at a time. The functions that write return the length of the text, 0 if it does not fit.
protocol SideProtocol: AnyObject {
  /// Requests that follow the login, before the first question can be asked; all are sent at once.
  var setUpCount: Int { get }
  /// What the venue bears: cancels after one question, and the time between two questions.
  var pace: (cancels: Int, interval: Nanoseconds) { get }
  func decode(_ text: UnsafeRawBufferPointer, into sink: inout SideSink)
  func login(into buffer: UnsafeMutableRawBufferPointer, token: String) -> Int
  func setUp(_ place: Int, into buffer: UnsafeMutableRawBufferPointer) -> Int
  /// Only the answer to the last question is read.
  func openOrders(into buffer: UnsafeMutableRawBufferPointer, serial: UInt64) -> Int
  func cancel(_ order: VenueID, into buffer: UnsafeMutableRawBufferPointer) -> Int
  /// Every mass quote of the account, those of other engines included; 0 if the venue has none.
  func cancelMassQuotes(into buffer: UnsafeMutableRawBufferPointer) -> Int
  /// The sign of life that the venue asks for; 0 if it asks for none.
  func heartbeat(into buffer: UnsafeMutableRawBufferPointer) -> Int
}
