import CSupport
import Glibc

/// The calling thread and the cores it may have.
public enum CPU {
  /// The cores on which this thread may run, ascending.
  public static func allowedCores() throws(SystemError) -> [Int] {
    let count = apus_cpu_allowed(nil, 0)
    guard count >= 0 else { throw SystemError("ask for the allowed cores", result: count) }
    var cores = [UInt32](repeating: 0, count: Int(count))
    let filled = unsafe apus_cpu_allowed(&cores, UInt32(count))
    guard filled >= 0 else { throw SystemError("ask for the allowed cores", result: filled) }
    return cores.prefix(Int(filled)).map(Int.init)
  }

  /// Binds the calling thread to one core.
  public static func pinCurrentThread(to core: Int) throws(SystemError) {
    let result = apus_cpu_pin(UInt32(exactly: core) ?? .max)
    guard result == 0 else {
      let allowed = (try? allowedCores())?.map(String.init).joined(separator: ", ")
      throw SystemError(
        "pin this thread to core \(core)", result: result,
        advice: allowed.map { "the cores allowed to this process are \($0); see taskset and the cgroup's cpuset" })
    }
  }

  /// Puts the calling thread under SCHED_FIFO, priority 1 … 99.
  public static func setRealTime(priority: Int) throws(SystemError) {
    let result = apus_cpu_set_fifo(CInt(clamping: priority))
    guard result == 0 else {
      throw SystemError(
        "run this thread under SCHED_FIFO at priority \(priority)", result: result,
        advice: result == -EPERM
          ? "give the process CAP_SYS_NICE or raise its rtprio limit" : "priorities are 1 ... 99")
    }
  }

  /// Names the calling thread for top, perf and gdb; the first 15 bytes count.
  public static func nameCurrentThread(_ name: String) throws(SystemError) {
    let result = unsafe apus_cpu_name_thread(name)
    guard result == 0 else { throw SystemError("name this thread \(name)", result: result) }
  }

  /// The core on which this thread runs now.
  public static func currentCore() throws(SystemError) -> Int {
    let core = apus_cpu_current()
    guard core >= 0 else { throw SystemError("ask for the current core", result: core) }
    return Int(core)
  }

  /// The NUMA node of a core; 0 on a machine without NUMA.
  public static func node(ofCore core: Int) throws(SystemError) -> Int {
    let node = apus_cpu_node(UInt32(exactly: core) ?? .max)
    guard node >= 0 else {
      throw SystemError("find the NUMA node of core \(core)", result: node, advice: "there is no such core")
    }
    return Int(node)
  }
}

/// Memory for a lane: on its NUMA node, locked, and touched before use. Freed when it goes out of scope.
///
/// A wish that the machine refuses does not fail; `lacks` tells.
// Sendable: its owner alone decides who gets the address, and it is noncopyable.
@safe
public struct LockedMemory: ~Copyable, @unchecked Sendable {
  public struct Wishes: OptionSet, Sendable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    /// Never paged out.
    public static let locked = Self(rawValue: APUS_MEMORY_LOCK.rawValue)
    /// 2 MiB pages.
    public static let hugePages = Self(rawValue: APUS_MEMORY_HUGE.rawValue)
    /// Left out of core dumps.
    public static let notDumped = Self(rawValue: APUS_MEMORY_NO_DUMP.rawValue)
    /// Not copied into a child process.
    public static let notForked = Self(rawValue: APUS_MEMORY_NO_FORK.rawValue)
  }

  /// A wish that was not fulfilled, with what an operator can do.
  public enum Lack: Equatable, Sendable, CustomStringConvertible {
    case notLocked(bytes: Int, limit: UInt64)
    case notHuge
    case hugeByChance
    case notLocal(node: Int)

    public var description: String {
      switch self {
      case .notLocked(let bytes, let limit):
        "could not lock \(bytes) bytes of memory: the limit is \(limit) bytes; raise memlock in "
          + "limits.conf, or LimitMEMLOCK in the unit file"
      case .notHuge:
        "could not use huge pages: reserve some in vm.nr_hugepages, or set transparent huge pages to madvise"
      case .hugeByChance:
        "huge pages are transparent ones, given when the kernel can; reserve some in vm.nr_hugepages to be sure"
      case .notLocal(let node):
        "could not place memory on NUMA node \(node): there is no such node, or this process may not use it"
      }
    }
  }

  private var memory: apus_memory
  /// What could not be had.
  public let lacks: [Lack]

  /// Maps `count` bytes (rounded up to whole pages), zeroed, on `node`, or on any if `nil`.
  public init(count: Int, node: Int? = nil, wishes: Wishes = [.locked]) throws(SystemError) {
    memory = apus_memory()
    let wanted = CInt(clamping: node ?? Int(APUS_MEMORY_ANY_NODE))
    let result = unsafe apus_memory_create(Swift.max(0, count), node == -1 ? -2 : wanted, wishes.rawValue, &memory)
    guard result == 0 else {
      throw SystemError(
        "map \(count) bytes of memory", result: result,
        advice: result == -EINVAL ? "the size must be above zero, the node not negative" : nil)
    }
    let bits = memory.lacks
    var lacks: [Lack] = []
    if bits & APUS_MEMORY_NOT_LOCKED.rawValue != 0 {
      lacks.append(.notLocked(bytes: memory.bytes, limit: apus_memory_lock_limit()))
    }
    if bits & APUS_MEMORY_NOT_HUGE.rawValue != 0 { lacks.append(.notHuge) }
    if bits & APUS_MEMORY_HUGE_BY_CHANCE.rawValue != 0 { lacks.append(.hugeByChance) }
    if bits & APUS_MEMORY_NOT_LOCAL.rawValue != 0 { lacks.append(.notLocal(node: node ?? 0)) }
    self.lacks = lacks
  }

  deinit {
    var memory = memory
    unsafe apus_memory_destroy(&memory)
  }

  /// The first byte, aligned to a page. Valid as long as this value lives.
  @unsafe public var base: UnsafeMutableRawPointer { unsafe memory.base! }
  /// Bytes, whole pages.
  public var count: Int { memory.bytes }

  /// Locks all memory of the process, now and to come.
  public static func lockProcess() throws(SystemError) {
    let result = apus_memory_lock_all()
    guard result == 0 else {
      throw SystemError(
        "lock the memory of this process", result: result,
        advice: "raise memlock in limits.conf, or LimitMEMLOCK in the unit file; "
          + "the limit is \(apus_memory_lock_limit()) bytes")
    }
  }
}
