import CSupport
import Glibc
import Testing

@testable import Apus

@Suite struct CPUTests {
  /// Runs `body` on a thread of its own, which it may pin and rename.
  private func onOwnThread(_ body: @escaping @Sendable () -> Void) {
    final class Box {
      let body: @Sendable () -> Void; init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let argument = unsafe Unmanaged.passRetained(Box(body)).toOpaque()
    let result = unsafe pthread_create(
      &thread, nil,
      {
        unsafe Unmanaged<Box>.fromOpaque($0!).takeRetainedValue().body(); return nil
      }, argument)
    #expect(result == 0)
    pthread_join(thread, nil)
  }

  @Test func `a thread pinned to an allowed core runs there and nowhere else`() throws {
    let cores = try CPU.allowedCores()
    #expect(!cores.isEmpty && cores == cores.sorted())
    onOwnThread {
      for core in cores {
        do {
          try CPU.pinCurrentThread(to: core)
          #expect(try CPU.currentCore() == core)
          #expect(try CPU.allowedCores() == [core])
        } catch { Issue.record(error) }
      }
    }
  }

  @Test(arguments: [8191, 8192, -1, Int.max])
  func `pinning to a core that does not exist says which ones there are`(core: Int) {
    let error = #expect(throws: SystemError.self) { try CPU.pinCurrentThread(to: core) }
    let text = error?.description ?? ""
    #expect(text.hasPrefix("could not pin this thread to core \(core): the cores allowed to this process are 0"))
    #expect(error?.code == EINVAL)
  }

  @Test func `a thread's name is cut to what the kernel holds`() {
    onOwnThread {
      do { try CPU.nameCurrentThread("lane thalex, the first") } catch { Issue.record(error) }
      let file = unsafe open("/proc/thread-self/comm", O_RDONLY)
      defer { close(file) }
      var buffer = [UInt8](repeating: 0, count: 32)
      let count = unsafe read(file, &buffer, 32)
      #expect(String(decoding: buffer.prefix(max(0, count)), as: UTF8.self) == "lane thalex, th\n")
    }
  }

  @Test(arguments: [0, 100, -5])
  func `a real-time priority out of range is refused with the range`(priority: Int) {
    let error = #expect(throws: SystemError.self) { try CPU.setRealTime(priority: priority) }
    #expect(error?.description.contains("priorities are 1 ... 99") == true)
  }

  @Test func `every allowed core has a node, a missing one has not`() throws {
    for core in try CPU.allowedCores() {
      #expect(try CPU.node(ofCore: core) >= 0)
    }
    #expect(throws: SystemError.self) { try CPU.node(ofCore: 100_000) }
    #expect(throws: SystemError.self) { try CPU.node(ofCore: -1) }
  }
}

@Suite struct LockedMemoryTests {
  @Test(
    arguments: [1, 4096, 4097, 3 << 20],
    [[], .locked, [.locked, .hugePages, .notDumped, .notForked]] as [LockedMemory.Wishes])
  func `memory is zeroed, aligned, writable to its end, and at least as large as asked`(
    count: Int, wishes: LockedMemory.Wishes
  ) throws {
    let memory = try LockedMemory(count: count, wishes: wishes)
    #expect(memory.count >= count && memory.count % 4096 == 0)
    let address = unsafe UInt(bitPattern: memory.base)
    #expect(address % (wishes.contains(.hugePages) ? 2 << 20 : 4096) == 0)
    let bytes = unsafe UnsafeMutableRawBufferPointer(start: memory.base, count: memory.count)
    let isZero = unsafe bytes.allSatisfy { $0 == 0 }
    #expect(isZero)
    unsafe bytes[0] = 1
    unsafe bytes[memory.count - 1] = 1
  }

  @Test func `memory asked for on a node is there, or the lack is told`() throws {
    let node = try CPU.node(ofCore: CPU.allowedCores()[0])
    let here = try LockedMemory(count: 8192, node: node, wishes: [])
    var facts = HostFacts()
    unsafe apus_host_read(0, &facts)
    if facts.numa { #expect(here.lacks.isEmpty) }
    let nowhere = try LockedMemory(count: 8192, node: 1000, wishes: [])
    #expect(nowhere.lacks == [.notLocal(node: 1000)])
    unsafe nowhere.base.storeBytes(of: 1, as: UInt8.self)
  }

  @Test(arguments: [(0, 0), (-1, 0), (4096, -1), (4096, -7), (.max, 0)])
  func `a size or node that cannot be is refused`(count: Int, node: Int) {
    #expect(throws: SystemError.self) { _ = try LockedMemory(count: count, node: node, wishes: [.hugePages]) }
    #expect(throws: SystemError.self) { _ = try LockedMemory(count: count, node: node, wishes: []) }
  }

  @Test func `a lack says what an operator can do`() {
    let text = LockedMemory.Lack.notLocked(bytes: 16384, limit: 8192).description
    #expect(text.contains("16384") && text.contains("8192") && text.contains("LimitMEMLOCK"))
  }
}

@Suite struct HostFactsTests {
  @Test func `this machine's facts can be read`() {
    var facts = HostFacts()
    unsafe apus_host_read(0, &facts)
    let release = unsafe withUnsafeBytes(of: facts.release) { bytes in
      unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
    #expect(facts.kernel_major > 0)
    #expect(release.hasPrefix("\(facts.kernel_major).\(facts.kernel_minor)"))
  }

  @Test(arguments: [
    ("6.1.0-18-amd64", 6, 1, true), ("6.12", 6, 12, true), ("10.0-rc1", 10, 0, true), ("", 0, 0, false),
    ("six", 0, 0, false), ("6", 0, 0, false), ("-6.1", 0, 0, false),
  ])
  func `a kernel release is read up to its minor number`(text: String, major: Int32, minor: Int32, isRead: Bool) {
    var (a, b): (Int32, Int32) = (9, 9)
    let result = unsafe apus_host_parse_release(text, &a, &b)
    #expect(result == isRead && a == major && b == minor)
  }

  @Test(arguments: [
    ("", 0, false), ("0", 0, true), ("2-5,8", 1, false), ("2-5,8", 5, true), ("2-5,8", 8, true), ("2-5,8", 9, false),
    ("(null)", 0, false), ("2-", 2, false), ("1,,3", 3, false), ("11", 1, false),
  ])
  func `a kernel core list names the cores in it`(list: String, core: UInt32, isIn: Bool) {
    #expect(unsafe apus_host_list_has(list, core) == isIn)
  }
}
