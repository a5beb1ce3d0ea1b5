import Apus
import CSupport
import Foundation
import Synchronization
import Testing

@Suite struct DriverTests {
  @Test func `automatic is io_uring where there is io_uring, and a kind by name is kept`() throws {
    for kind in driverKinds {
      let driver = try SocketDriver(kind)
      let became = driver.kind
      #expect(became == kind)
      let refusal = driver.refusal
      #expect(refusal == nil)
    }
    let automatic = try SocketDriver()
    let became = automatic.kind
    let refusal = automatic.refusal
    #expect((became == .ioUring) == (refusal == nil))
  }

  @Test(arguments: driverKinds) func `what is sent is received and comes back`(kind: SocketDriverKind) throws {
    var driver = try SocketDriver(kind)
    let pair = try driver.makePair()
    #expect(driver.send(Array("ping".utf8), on: pair.client) == .queued)
    var answer: [UInt8] = []
    let done = pump(&driver) { driver, event in
      guard event.kind == .received else { return false }
      if event.connection == pair.server {
        _ = driver.send(event.payload, on: pair.server)
      } else {
        answer += event.payload
      }
      return answer.count == 4
    }
    #expect(done)
    #expect(answer == Array("ping".utf8))
    #expect(pair.client.slot != pair.server.slot)
    let counters = driver.counters
    #expect(counters.stale_completions == 0)
  }

  @Test(arguments: driverKinds) func `client and server on two threads exchange messages`(kind: SocketDriverKind) throws
  {
    let port = Mutex<UInt16>(0)
    let served = Mutex<Int>(-1)
    let server = LoopbackWorker {
      guard var driver = try? SocketDriver(kind), let bound = try? driver.listen(host: "127.0.0.1").port else { return }
      port.withLock { $0 = bound }
      var bytes = 0
      _ = pump(&driver) { driver, event in
        if event.kind == .received {
          bytes += event.payload.count
          _ = driver.send(event.payload, on: event.connection)
        }
        return event.kind == .closed
      }
      settle(&driver)
      served.withLock { $0 = bytes }
    }
    let patience = Date().addingTimeInterval(10)
    while port.withLock({ $0 }) == 0, Date() < patience { usleep(1000) }
    var driver = try SocketDriver(kind)
    let connection = try driver.connect(host: "localhost", port: port.withLock { $0 })
    var rounds = 0
    var wrong = 0
    var waitingFor: [UInt8] = []
    let done = pump(&driver) { driver, event in
      switch event.kind {
      case .connected, .received:
        if event.kind == .received {
          if !waitingFor.starts(with: event.payload) { wrong += 1 }
          waitingFor.removeFirst(min(waitingFor.count, event.payload.count))
        }
        guard waitingFor.isEmpty else { return false }
        if rounds == 500 {
          driver.close(connection)
        } else {
          waitingFor = [UInt8](stream: rounds, count: 300)
          _ = driver.send(waitingFor, on: connection)
          driver.flush()
          rounds += 1
        }
        return false
      default:
        return event.kind == .closed || event.kind == .connectFailed
      }
    }
    #expect(done)
    #expect(rounds == 500)
    #expect(wrong == 0)
    #expect(server.join())
    #expect(served.withLock { $0 } == 500 * 300)
  }

  @Test(arguments: driverKinds) func `many connections keep their streams apart`(kind: SocketDriverKind) throws {
    let count = 100
    var driver = try SocketDriver(
      SocketDriverConfiguration(connections: 2 * count, receiveBufferBytes: 512, receiveBuffers: 64, kind: kind))
    let port = try driver.listen(host: "127.0.0.1").port
    var key: [UInt64: Int] = [:]
    for i in 0..<count { key[try driver.connect(host: "127.0.0.1", port: port).rawValue] = i }
    var received = [[UInt8]](repeating: [], count: count)
    var full = 0
    let size = 5000
    let done = pump(&driver) { driver, event in
      let client = key[event.connection.rawValue]
      switch event.kind {
      case .connected:
        _ = driver.send([UInt8](stream: client ?? -1, count: size), on: event.connection)
      case .received:
        if let client {
          received[client] += event.payload
          if received[client].count == size { full += 1 }
        } else {
          _ = driver.send(event.payload, on: event.connection)
        }
      default:
        break
      }
      return full == count
    }
    #expect(done)
    let wrong = (0..<count).filter { received[$0] != [UInt8](stream: $0, count: size) }
    #expect(wrong.isEmpty)
  }

  @Test(arguments: driverKinds) func `a big transfer survives sends that the kernel takes in part`(
    kind: SocketDriverKind
  ) throws {
    var driver = try SocketDriver(
      SocketDriverConfiguration(
        connections: 4, receiveBufferBytes: 4096, receiveBuffers: 32, sendBufferBytes: 8 << 20, kind: kind))
    let pair = try driver.makePair()
    let total = 24 << 20
    let data = [UInt8](stream: 3, count: 1 << 16)  // repeated: its period divides nothing else here
    var queued = 0
    var got = 0
    var wrong = 0
    func fill(_ driver: inout SocketDriver) {
      while queued < total {
        let space = driver.sendSpace(pair.client)
        let count = min(space.count, total - queued, data.count - queued % data.count)
        if count == 0 { return }
        data.withUnsafeBufferPointer {
          _ = space.update(fromContentsOf: $0[(queued % data.count)..<(queued % data.count + count)])
        }
        _ = driver.commit(count, on: pair.client)
        queued += count
      }
    }
    fill(&driver)
    #expect(queued == 8 << 20)
    let done = pump(&driver, seconds: 30) { driver, event in
      guard event.kind == .received else { return false }
      event.payload.withMemoryRebound(to: UInt8.self) { bytes in
        for byte in bytes {
          if byte != data[got % data.count] { wrong += 1 }
          got += 1
        }
      }
      fill(&driver)
      return got == total
    }
    #expect(done)
    #expect(got == total)
    #expect(wrong == 0)
    let shortSends = driver.counters.short_sends
    #expect(shortSends > 0)
  }

  @Test(arguments: driverKinds) func `single bytes arrive in order`(kind: SocketDriverKind) throws {
    var driver = try SocketDriver(
      SocketDriverConfiguration(
        connections: 4, receiveBufferBytes: 64, receiveBuffers: 4, sendBufferBytes: 4096, kind: kind))
    let pair = try driver.makePair()
    let data = [UInt8](stream: 1, count: 700)
    var got: [UInt8] = []
    var next = 0
    let end = Date().addingTimeInterval(60)
    while got.count < data.count, Date() < end {
      if next < data.count, driver.send([data[next]], on: pair.client) == .queued { next += 1 }
      driver.flush()
      for i in 0..<max(0, driver.poll()) where driver.event(at: i).kind == .received {
        got += driver.event(at: i).payload
        driver.release(at: i)
      }
    }
    #expect(got == data)
  }

  @Test(arguments: driverKinds) func `a peer's reset is told with its errno`(kind: SocketDriverKind) throws {
    var driver = try SocketDriver(kind)
    let pair = try driver.makePair()
    driver.abort(pair.client)
    var ends: [UInt64: Int32] = [:]
    let done = pump(&driver) { _, event in
      if event.kind == .closed { ends[event.connection.rawValue] = event.error }
      return ends.count == 2
    }
    #expect(done)
    #expect(ends[pair.server.rawValue] == ECONNRESET)
    #expect(ends[pair.client.rawValue] == ECONNABORTED)
    settle(&driver)
    let left = driver.connectionCount
    #expect(left == 0)
  }

  @Test(arguments: driverKinds) func `a refused connection is an event that tells the operator what to look at`(
    kind: SocketDriverKind
  ) throws {
    var driver = try SocketDriver(kind)
    var port: UInt16 = 0
    do { port = try PlainSocket.listening(backlog: 1).port }  // free again
    let connection = try driver.connect(host: "127.0.0.1", port: port)
    var error: Int32 = 0
    let done = pump(&driver) { _, event in
      if event.kind == .connectFailed, event.connection == connection { error = event.error }
      return error != 0
    }
    #expect(done)
    #expect(error == ECONNREFUSED)
    #expect(
      SocketDriver.explainConnect(error: error, host: "127.0.0.1", port: 9)
        == "could not connect to 127.0.0.1:9: connection refused (is the venue running?)")
    let queued = driver.send([1], on: connection)
    #expect(queued == .notConnected)
    let left = driver.connectionCount
    #expect(left == 0)
  }

  @Test(arguments: driverKinds) func `a peer that does not answer is given up in time`(kind: SocketDriverKind) throws {
    let listener = try PlainSocket.listening(backlog: 0)
    // One place in the queue: with it taken, the kernel drops further attempts.
    let first = try PlainSocket.connected(to: listener.port)
    var driver = try SocketDriver(kind)
    var failures: [Int32] = []
    for _ in 0..<3 { _ = try driver.connect(host: "127.0.0.1", port: listener.port, timeout: 150_000_000) }
    let start = Date()
    let done = pump(&driver, seconds: 5) { _, event in
      if event.kind == .connectFailed { failures.append(event.error) }
      return failures.count == 2
    }
    #expect(done)
    #expect(failures.allSatisfy { $0 == ETIMEDOUT })
    #expect(Date().timeIntervalSince(start) < 4)
    withExtendedLifetime(first) {}
  }

  @Test(arguments: driverKinds)
  func `a connection that was made in time counts, however late the owner looks`(kind: SocketDriverKind) throws {
    var driver = try SocketDriver(SocketDriverConfiguration(connections: 200, kind: kind))
    let port = try driver.listen(host: "127.0.0.1").port
    _ = driver.poll()
    for _ in 0..<100 { _ = try driver.connect(host: "127.0.0.1", port: port, timeout: 300_000_000) }
    driver.flush()
    usleep(400_000)
    var connected = 0
    var failed = 0
    let done = pump(&driver, seconds: 10) { _, event in
      if event.kind == .connected { connected += 1 }
      if event.kind == .connectFailed { failed += 1 }
      return connected + failed == 100
    }
    #expect(done)
    #expect(connected == 100)
  }

  @Test(arguments: driverKinds) func `giving up a connection that is being made ends it with one event`(
    kind: SocketDriverKind
  ) throws {
    let listener = try PlainSocket.listening(backlog: 0)
    let first = try PlainSocket.connected(to: listener.port)
    var driver = try SocketDriver(kind)
    var connections: Set<UInt64> = []
    for _ in 0..<4 { connections.insert(try driver.connect(host: "127.0.0.1", port: listener.port).rawValue) }
    for (i, connection) in connections.enumerated() {
      let handle = ConnectionHandle(rawValue: connection)
      _ = i % 2 == 0 ? driver.close(handle) : driver.abort(handle)
    }
    var ended: [UInt64] = []
    let done = pump(&driver, seconds: 5) { _, event in
      if event.kind == .connectFailed || event.kind == .closed { ended.append(event.connection.rawValue) }
      return ended.count == 4
    }
    #expect(done)
    settle(&driver)
    #expect(Set(ended) == connections)
    let left = driver.connectionCount
    #expect(left == 0)
    withExtendedLifetime(first) {}
  }

  @Test(arguments: driverKinds) func `a stale handle never touches the connection that took its slot`(
    kind: SocketDriverKind
  ) throws {
    var driver = try SocketDriver(SocketDriverConfiguration(connections: 2, sendBufferBytes: 4096, kind: kind))
    let port = try driver.listen(host: "127.0.0.1").port
    var stale: [ConnectionHandle] = []
    for round in 0..<50 {
      let client = try driver.connect(host: "127.0.0.1", port: port)
      var server: ConnectionHandle?
      var text: [UInt8] = []
      let word = [UInt8](stream: round, count: 20)
      let received = pump(&driver) { driver, event in
        if event.kind == .accepted { server = event.connection }
        if event.kind == .connected {
          for old in stale {
            #expect(driver.send([255], on: old) == .notConnected)
            #expect(driver.sendSpace(old).count == 0)
            #expect(!driver.close(old) && !driver.abort(old))
          }
          _ = driver.send(word, on: client)
        }
        if event.kind == .received { text += event.payload }
        return text.count >= word.count
      }
      try #require(received)
      #expect(text == word)
      var ends = 0
      if round % 2 == 0 { driver.close(client) } else { driver.abort(try #require(server)) }
      let closed = pump(&driver) { _, event in
        if event.kind == .closed { ends += 1 }
        return ends == 2
      }
      try #require(closed)
      while driver.connectionCount != 0 { settle(&driver, seconds: 0.002) }
      stale = Array((stale + [client, try #require(server)]).suffix(6))
    }
    let unexpected = driver.counters.stale_completions
    #expect(unexpected == 0)
  }

  @Test(arguments: driverKinds) func `a full send buffer refuses whole messages and says when there is room again`(
    kind: SocketDriverKind
  ) throws {
    let listener = try PlainSocket.listening(backlog: 4)
    var driver = try SocketDriver(SocketDriverConfiguration(connections: 1, sendBufferBytes: 65_536, kind: kind))
    let connection = try driver.connect(host: "127.0.0.1", port: listener.port)
    try #require(pump(&driver) { _, event in event.kind == .connected })
    let peer = PlainSocket(accept(listener.socket.fd, nil, nil))
    #expect(driver.send([UInt8](repeating: 0, count: 65_537), on: connection) == .tooLarge)
    var sent: [UInt8] = []
    var outcome = SendOutcome.queued
    var refusals = 0
    let end = Date().addingTimeInterval(60)
    while refusals < 20, Date() < end {
      let message = [UInt8](stream: refusals, from: sent.count, count: 40_000)
      outcome = driver.send(message, on: connection)
      if outcome == .queued { sent += message } else { refusals += 1 }
      settle(&driver, seconds: 0.005)
    }
    #expect(outcome == .full)
    #expect(driver.unsent(connection) > 0)
    let all = Mutex<[UInt8]?>(nil)
    let fd = peer.fd
    let reader = LoopbackWorker {
      let peer = PlainSocket(dup(fd))
      let bytes = peer.readAll()
      all.withLock { $0 = bytes }
    }
    let writable = pump(&driver) { _, event in event.kind == .writable && event.connection == connection }
    #expect(writable)
    #expect(driver.send([1, 2, 3], on: connection) == .queued)
    driver.close(connection)
    // The reader's copy keeps the peer open: the driver sends its FIN and gives up waiting for the other one.
    let closed = pump(&driver) { _, event in event.kind == .closed && event.error == 0 }
    #expect(closed)
    #expect(reader.join())
    let received = all.withLock { $0 }
    #expect(received == sent + [1, 2, 3])
  }

  @Test(arguments: driverKinds) func `an orderly close sends what was queued before`(kind: SocketDriverKind) throws {
    var driver = try SocketDriver(SocketDriverConfiguration(connections: 2, sendBufferBytes: 1 << 20, kind: kind))
    let pair = try driver.makePair()
    let data = [UInt8](stream: 9, count: 1 << 20)
    #expect(driver.send(data, on: pair.client) == .queued)
    driver.close(pair.client)
    #expect(driver.send([1], on: pair.client) == .notConnected)
    var got: [UInt8] = []
    var ends: [UInt64: Int32] = [:]
    let done = pump(&driver) { _, event in
      if event.kind == .received { got += event.payload }
      if event.kind == .closed { ends[event.connection.rawValue] = event.error }
      return ends.count == 2
    }
    #expect(done)
    #expect(got == data)
    #expect(ends == [pair.client.rawValue: 0, pair.server.rawValue: 0])
  }

  @Test(arguments: driverKinds) func `a peer that closed its half still gets what was queued`(kind: SocketDriverKind)
    throws
  {
    var driver = try SocketDriver(SocketDriverConfiguration(connections: 2, sendBufferBytes: 8 << 20, kind: kind))
    let port = try driver.listen(host: "127.0.0.1").port
    let peer = try PlainSocket.connected(to: port)
    var server: ConnectionHandle?
    try #require(
      pump(&driver) { _, event in
        server = event.connection
        return event.kind == .accepted
      })
    let data = [UInt8](stream: 5, count: 8 << 20)
    #expect(driver.send(data, on: try #require(server)) == .queued)
    driver.flush()
    shutdown(peer.fd, Int32(SHUT_WR))
    var error: Int32 = -1
    let told = pump(&driver) { _, event in
      if event.kind == .closed { error = event.error }
      return error >= 0
    }
    #expect(told)
    #expect(error == 0)
    let all = Mutex<[UInt8]?>(nil)
    let fd = peer.fd
    let reader = LoopbackWorker {
      let bytes = PlainSocket(dup(fd)).readAll()
      all.withLock { $0 = bytes }
    }
    let end = Date().addingTimeInterval(60)
    while driver.connectionCount != 0, Date() < end { settle(&driver, seconds: 0.01) }
    #expect(reader.join())
    let received = all.withLock { $0 }
    #expect(received == data)
  }

  @Test(arguments: driverKinds) func `a close that the peer does not let finish is cut at its time limit`(
    kind: SocketDriverKind
  ) throws {
    let listener = try PlainSocket.listening(backlog: 4)
    var driver = try SocketDriver(
      SocketDriverConfiguration(connections: 1, sendBufferBytes: 16 << 20, closeTimeout: 100_000_000, kind: kind))
    let connection = try driver.connect(host: "127.0.0.1", port: listener.port)
    try #require(pump(&driver) { _, event in event.kind == .connected })
    #expect(driver.send([UInt8](repeating: 1, count: 16 << 20), on: connection) == .queued)
    driver.close(connection)
    var error: Int32 = 0
    let done = pump(&driver, seconds: 5) { _, event in
      if event.kind == .closed { error = event.error }
      return event.kind == .closed
    }
    #expect(done)
    #expect(error == ETIMEDOUT)
  }

  @Test(arguments: driverKinds) func `receiving goes on after all buffers were lent out`(kind: SocketDriverKind) throws
  {
    var driver = try SocketDriver(
      SocketDriverConfiguration(
        connections: 4, receiveBufferBytes: 64, receiveBuffers: 4, sendBufferBytes: 65_536, kind: kind))
    let pair = try driver.makePair()
    let data = [UInt8](stream: 2, count: 10_000)
    #expect(driver.send(data, on: pair.client) == .queued)
    var held: [SocketEvent] = []
    var got: [UInt8] = []
    let end = Date().addingTimeInterval(60)
    while got.count < data.count, Date() < end {
      for i in 0..<max(0, driver.poll(wait: 1_000_000)) where driver.event(at: i).kind == .received {
        held.append(driver.event(at: i))
      }
      if held.count == 4 || got.count + held.reduce(0, { $0 + $1.payload.count }) == data.count {
        settle(&driver, seconds: 0.001)  // nothing may arrive without a buffer
        for event in held {
          got += event.payload
          driver.release(event)
        }
        held = []
      }
    }
    #expect(got == data)
    let exhausted = driver.counters.buffer_exhausted
    #expect(exhausted > 0)
  }

  @Test(arguments: driverKinds) func `connections beyond the limit are turned away and later ones accepted again`(
    kind: SocketDriverKind
  ) throws {
    var driver = try SocketDriver(SocketDriverConfiguration(connections: 1, kind: kind))
    let port = try driver.listen(host: "127.0.0.1").port
    let first = try PlainSocket.connected(to: port)
    var accepted: ConnectionHandle?
    try #require(
      pump(&driver) { _, event in
        accepted = event.connection
        return event.kind == .accepted
      })
    let second = try PlainSocket.connected(to: port)
    settle(&driver)
    #expect(second.readAll() == [])
    let refused = driver.counters.accept_refused
    #expect(refused == 1)
    driver.abort(try #require(accepted))
    #expect(pump(&driver) { _, event in event.kind == .closed })
    let third = try PlainSocket.connected(to: port)
    #expect(pump(&driver) { _, event in event.kind == .accepted })
    withExtendedLifetime((first, third)) {}
  }

  @Test(arguments: driverKinds) func `another thread wakes a waiting poll`(kind: SocketDriverKind) throws {
    var driver = try SocketDriver(kind)
    _ = driver.poll()
    let waker = driver.makeWaker()
    for _ in 0..<20 {
      let worker = LoopbackWorker {
        usleep(2000)
        for _ in 0..<5 { waker.wake() }
      }
      let start = Date()
      let count = driver.poll(wait: 10_000_000_000)
      #expect(count == 0)
      #expect(Date().timeIntervalSince(start) < 8)
      #expect(worker.join())
    }
  }

  @Test(arguments: driverKinds) func `a waker may outlive its driver`(kind: SocketDriverKind) throws {
    let waker = try SocketDriver(kind).makeWaker()
    waker.wake()
  }

  @Test(arguments: driverKinds) func `a waiting poll ends when its time is over`(kind: SocketDriverKind) throws {
    var driver = try SocketDriver(kind)
    // A signal, which other tests of this process may cause, ends a wait early; it does not end all of them.
    var longest: Nanoseconds = 0
    for _ in 0..<50 where longest <= 20_000_000 {
      let start = EngineClock.now()
      let count = driver.poll(wait: 30_000_000)
      #expect(count == 0)
      longest = max(longest, EngineClock.now() - start)
    }
    #expect(longest > 20_000_000)
  }

  @Test func `an idle poll does not enter the kernel`() throws {
    let (events, calls) = try idlePolls(.ioUring)
    #expect(events == 0)
    #expect(calls == 0)
  }

  @Test func `with epoll an idle poll is one system call`() throws {
    let (events, calls) = try idlePolls(.epoll)
    #expect(events == 0)
    #expect((100_000...110_000).contains(calls))
  }

  /// 100,000 polls of two open connections on which nothing happens: events and system calls.
  private func idlePolls(_ kind: SocketDriverKind) throws -> (events: Int, calls: UInt64) {
    var driver = try SocketDriver(kind)
    let pair = try driver.makePair()
    settle(&driver)
    for _ in 0..<10 { _ = driver.poll() }
    let before = driver.counters.enters
    var events = 0
    for _ in 0..<100_000 { events += driver.poll() }
    let after = driver.counters.enters
    #expect(driver.unsent(pair.client) == 0)
    return (events, after - before)
  }

  @Test(arguments: driverKinds) func `a second polling thread is refused`(kind: SocketDriverKind) throws {
    final class Box: @unchecked Sendable {  // one thread at a time, by the join below
      var driver: SocketDriver
      init(_ kind: SocketDriverKind) throws { driver = try SocketDriver(kind) }
    }
    let box = try Box(kind)
    let first = box.driver.poll(wait: 1)
    #expect(first == 0)
    let result = Mutex(0)
    let worker = LoopbackWorker {
      let count = box.driver.poll(wait: 1)
      result.withLock { $0 = count }
    }
    #expect(worker.join())
    #expect(result.withLock { $0 } == -Int(EEXIST))
  }

  @Test(arguments: driverKinds) func `giving a buffer back twice traps`(kind: SocketDriverKind) async {
    let raw = kind.rawValue
    await #expect(processExitsWith: .failure) { [raw = raw as UInt32] in
      var driver = try SocketDriver(try #require(SocketDriverKind(rawValue: raw)))
      let event = SocketEvent(
        connection: ConnectionHandle(rawValue: 0), bytes: nil, count: 0, error: 0, kind: .received, buffer: 0,
        listener: 0)
      driver.release(event)
    }
  }

  @Test(arguments: driverKinds) func `an operator reads what is wrong with an address or a size`(kind: SocketDriverKind)
    throws
  {
    var driver = try SocketDriver(kind)
    let name = #expect(throws: SocketError.self) { _ = try driver.listen(host: "localhost", port: 1) }
    #expect(
      name?.description
        == "could not listen on localhost:1: the address must be numeric (for example 127.0.0.1, 0.0.0.0 or ::1), not a name"
    )
    let port = try driver.listen(host: "127.0.0.1").port
    let taken = #expect(throws: SocketError.self) { _ = try driver.listen(host: "127.0.0.1", port: port) }
    #expect(taken?.code == EADDRINUSE)
    let unknown = #expect(throws: SocketError.self) { _ = try driver.connect(host: "no such host", port: 1) }
    #expect(unknown?.code == ENOENT)
    let size = #expect(throws: SocketError.self) {
      _ = try SocketDriver(SocketDriverConfiguration(connections: 9000, kind: kind))
    }
    #expect(size?.description.hasPrefix("could not create the socket driver: configuration out of range") == true)
  }

  @Test(arguments: driverKinds) func `random traffic, closes and aborts keep every stream whole`(kind: SocketDriverKind)
    throws
  {
    let seed = UInt64.random(in: 0..<1_000_000)
    print("driver random traffic seed \(seed)")
    var random = LoopbackRandom(state: seed)
    var driver = try SocketDriver(
      SocketDriverConfiguration(
        connections: 40, receiveBufferBytes: 256, receiveBuffers: 8, sendBufferBytes: 8192, closeTimeout: 300_000_000,
        kind: kind))
    let port = try driver.listen(host: "127.0.0.1").port

    struct End {
      var client = false, open = false, leaving = false
      var sent = 0, got = 0
      var echo: [UInt8] = []
    }
    var ends: [UInt64: End] = [:]
    var wrong = 0
    var finished = 0
    let until = Date().addingTimeInterval(120)
    while finished < 400 || !ends.isEmpty, Date() < until {
      if finished < 400, ends.count < 30, random.next() % 4 == 0,
        let c = try? driver.connect(host: "127.0.0.1", port: port)
      {
        if ends.updateValue(End(client: true), forKey: c.rawValue) != nil { wrong += 1 }
      }
      let count = driver.poll(wait: random.next() % 50 == 0 ? 200_000 : 0)
      for i in 0..<max(0, count) {
        let event = driver.event(at: i)
        let key = event.connection.rawValue
        switch event.kind {
        case .accepted:
          if ends.updateValue(End(open: true), forKey: key) != nil { wrong += 1 }
        case .connected:
          ends[key]?.open = true
        case .received:
          guard var end = ends[key] else {
            wrong += 1
            break
          }
          if end.client {
            if !event.payload.elementsEqual(
              [UInt8](stream: Int(truncatingIfNeeded: key), from: end.got, count: event.payload.count))
            {
              wrong += 1
            }
            end.got += event.payload.count
          } else {
            end.echo += event.payload
          }
          ends[key] = end
        case .closed, .connectFailed:
          if ends.removeValue(forKey: key) == nil { wrong += 1 }
          finished += 1
        case .writable:
          break
        }
        if event.kind == .received { driver.release(at: i) }
      }
      for (key, end) in ends where end.open && !end.leaving {
        let handle = ConnectionHandle(rawValue: key)
        if !end.client {
          if !end.echo.isEmpty, driver.send(Array(end.echo.prefix(4000)), on: handle) == .queued {
            ends[key]?.echo.removeFirst(min(4000, end.echo.count))
          }
        } else if finished >= 400 || random.next() % 40 == 0 {
          ends[key]?.leaving = true
          if random.next() % 2 == 0 { driver.close(handle) } else { driver.abort(handle) }
        } else {
          let size = Int(random.next() % 900) + 1
          if driver.send([UInt8](stream: Int(truncatingIfNeeded: key), from: end.sent, count: size), on: handle)
            == .queued
          {
            ends[key]?.sent += size
          }
        }
        if let end = ends[key], end.got > end.sent { wrong += 1 }
      }
    }
    settle(&driver, seconds: 0.4)
    #expect(wrong == 0, "seed \(seed)")
    #expect(finished >= 400, "seed \(seed)")
    #expect(ends.isEmpty, "seed \(seed)")
    let counters = driver.counters
    let left = driver.connectionCount
    #expect(left == 0, "seed \(seed)")
    #expect(counters.stale_completions == 0, "seed \(seed)")
  }
}
