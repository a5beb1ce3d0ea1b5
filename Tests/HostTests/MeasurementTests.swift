import CSupport
import Dispatch
import Foundation
import Testing

@testable import ApusHost

@Suite struct JitterTests {
  @Test func `a core's jitter is measured, and the thread has its cores back`() throws {
    var cores = [UInt32](repeating: 0, count: 1024)
    let before = apus_cpu_allowed(&cores, 1024)
    let core = Int(cores[Int(before) - 1])
    let jitter = try JitterMeasurement.measure(core: core, seconds: 0.05)
    #expect(apus_cpu_allowed(nil, 0) == before)
    #expect(jitter.core == core)
    #expect(abs(jitter.seconds - 0.05) < 0.05)
    #expect(jitter.rounds > 1000)
    #expect(jitter.medianNanoseconds > 0 && jitter.medianNanoseconds < 10_000)
    #expect(jitter.p9999Nanoseconds >= jitter.medianNanoseconds)
    #expect(Double(jitter.maximumNanoseconds) * 1.2 >= jitter.p9999Nanoseconds)
    #expect(jitter.above1Microsecond >= jitter.above10Microseconds)
    #expect(jitter.above10Microseconds >= jitter.above100Microseconds)
    #expect((jitter.above100Microseconds > 0) == (jitter.maximumNanoseconds > 100_000))
    #expect(jitter.lostPartsPerMillion >= 0 && jitter.lostPartsPerMillion <= 1_000_000)
  }

  /// Stops this thread's core for some milliseconds, which must be seen as one long gap.
  @Test func `a gap is seen, counted and timed`() throws {
    var cores = [UInt32](repeating: 0, count: 1024)
    let count = apus_cpu_allowed(&cores, 1024)
    let core = Int(cores[Int(count) - 1])
    let target = pthread_self()
    // A handler that sleeps takes the time from the loop, wherever it stands.
    signal(SIGUSR1) { _ in usleep(8000) }
    defer { signal(SIGUSR1, SIG_DFL) }
    // A thread of a pool may have all signals blocked.
    var (wanted, before) = (sigset_t(), sigset_t())
    sigemptyset(&wanted)
    sigaddset(&wanted, SIGUSR1)
    pthread_sigmask(SIG_UNBLOCK, &wanted, &before)
    defer { pthread_sigmask(SIG_SETMASK, &before, nil) }
    // Several times: on a busy machine the measurement may begin late.
    let ended = DispatchSemaphore(value: 0)
    let thread = Thread {
      for _ in 0..<10 {
        usleep(30_000)
        pthread_kill(target, SIGUSR1)
      }
      ended.signal()
    }
    thread.start()
    let jitter = try JitterMeasurement.measure(core: core, seconds: 0.2)
    ended.wait()
    #expect(jitter.maximumNanoseconds > 7_900_000)
    #expect(jitter.above100Microseconds >= 1)
    #expect(jitter.lostPartsPerMillion > 70_000)
  }

  @Test(arguments: [0, -1, 601, 0.0001])
  func `a time out of range is refused`(seconds: Double) {
    #expect(throws: JitterMeasurement.Failure.self) { try JitterMeasurement.measure(core: 0, seconds: seconds) }
  }

  @Test func `a core that is not there is refused with a reason`() {
    let failure = #expect(throws: JitterMeasurement.Failure.self) {
      try JitterMeasurement.measure(core: 8191, seconds: 0.001)
    }
    #expect(failure?.description.contains("core 8191 does not exist") == true)
  }
}

@Suite struct VenueClockTests {
  @Test(
    arguments: [
      ("Sun, 06 Nov 1994 08:49:37 GMT", 784_111_777), ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
      ("Fri, 29 Feb 2028 23:59:60 GMT", 1_835_481_600),
    ] as [(String, Int64)])
  func `a date of HTTP is read`(text: String, seconds: Int64) { #expect(apus_host_parse_date(text) == seconds) }

  @Test(arguments: [
    "", "now", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 GMT!", "Sun, 06 Xyz 1994 08:49:37 GMT",
    "Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 25:49:37 GMT", "Sun, 00 Nov 1994 08:49:37 GMT",
  ])
  func `what is no date of HTTP is refused`(text: String) { #expect(apus_host_parse_date(text) == -1) }

  @Test func `several answers narrow the bounds to their common part`() {
    // The venue is 0.4 s ahead; half a second passes between question and answer each time.
    var bounds = VenueClockQuestion.Bounds()
    for sent in stride(from: Int64(10_000_000_000), through: 11_200_000_000, by: 300_000_000) {
      let venue = sent + 250_000_000 + 400_000_000
      bounds.note(seconds: venue / 1_000_000_000, sent: sent, received: sent + 500_000_000)
    }
    #expect(bounds.low <= 400_000_000 && bounds.high >= 400_000_000)
    #expect(bounds.high - bounds.low < 1_000_000_000)
  }

  /// A server that answers each connection with one text.
  private final class Answering: Sendable {
    let port: UInt16
    private let listener: Int32

    init(_ answer: @escaping @Sendable () -> String) throws {
      let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
      self.listener = listener
      var address = sockaddr_in()
      address.sin_family = sa_family_t(AF_INET)
      address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
      var size = socklen_t(MemoryLayout<sockaddr_in>.size)
      let bound = withUnsafeMutablePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
          bind(listener, address, size) == 0 && listen(listener, 8) == 0 && getsockname(listener, address, &size) == 0
        }
      }
      try #require(bound)
      port = UInt16(bigEndian: address.sin_port)
      Thread.detachNewThread {
        while case let connection = accept(listener, nil, nil), connection >= 0 {
          var request = [UInt8](repeating: 0, count: 2048)
          let count = read(connection, &request, request.count)
          let text = String(decoding: request[..<max(0, count)], as: UTF8.self)
          if text.hasPrefix("GET /ws HTTP/1.1\r\n"), text.contains("Upgrade: websocket") {
            let bytes = Array(answer().utf8)
            _ = bytes.withUnsafeBytes { write(connection, $0.baseAddress, $0.count) }
          }
          close(connection)
        }
        close(listener)
      }
    }

    // The thread closes it: a number that is free is another socket's at once.
    deinit { shutdown(listener, Int32(SHUT_RDWR)) }
  }

  private static func date(_ secondsAhead: Double) -> String {
    var time = time_t(Date().timeIntervalSince1970 + secondsAhead)
    var parts = tm()
    gmtime_r(&time, &parts)
    var text = [CChar](repeating: 0, count: 64)
    let count = strftime(&text, 64, "%a, %d %b %Y %H:%M:%S GMT", &parts)
    return String(decoding: text[..<count].map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  @Test(arguments: [0, 5, -7.5])
  func `a venue's offset is found between two bounds`(ahead: Double) throws {
    let server = try Answering {
      "HTTP/1.1 101 Switching Protocols\r\nServer: test\r\ndate:  \(Self.date(ahead))\r\nUpgrade: websocket\r\n\r\n"
    }
    let answer = VenueClockQuestion.ask(host: "127.0.0.1", port: server.port, path: "/ws", isEncrypted: false)
    withExtendedLifetime(server) {}
    guard case .offset(let address, let from, let to) = answer else {
      Issue.record("\(answer)")
      return
    }
    #expect(address == "127.0.0.1:\(server.port)")
    #expect(from <= ahead * 1000 && ahead * 1000 <= to)
    // Five answers at different parts of a second.
    #expect(to - from < 900)
  }

  @Test(arguments: [
    ("HTTP/1.1 101 Switching Protocols\r\n\r\n", "its answer has no field Date"),
    ("HTTP/1.1 200 OK\r\nDate: yesterday\r\n\r\n", "its answer's field Date cannot be read: yesterday"),
    ("SSH-2.0-OpenSSH_9.2\r\n\r\n", "it did not answer as a web server does (TLS or plain: wss:// or ws://)"),
  ])
  func `a venue that does not tell its time is named with the reason`(text: String, reason: String) throws {
    let server = try Answering { text }
    let answer = VenueClockQuestion.ask(host: "127.0.0.1", port: server.port, path: "/ws", isEncrypted: false)
    withExtendedLifetime(server) {}
    #expect(answer == .notKnown(address: "127.0.0.1:\(server.port)", reason: reason))
  }

  @Test func `a venue that is not there is named with the reason`() throws {
    // A port of which nobody listens any more.
    let port = try Answering { "" }.port
    let answer = VenueClockQuestion.ask(host: "127.0.0.1", port: port, isEncrypted: false)
    #expect(answer == .notKnown(address: "127.0.0.1:\(port)", reason: "Connection refused"))
  }
}
