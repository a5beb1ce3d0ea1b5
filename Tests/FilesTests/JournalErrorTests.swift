import Apus
import CSupport
import Foundation
import Testing

@Suite struct JournalErrorTests {
  @Test func `a path through a file is not a directory`() throws {
    let directory = try TemporaryDirectory()
    let file = directory.path + "/file"
    try TemporaryDirectory.write([1], to: file)
    for path in [file, file + "/below"] {
      let writing = openingError(path)
      #expect(writing?.cause == .notADirectory)
      #expect(
        writing?.description
          == "could not open the journal at \(path): part of this path is a file, not a directory; name a directory")
    }
    #expect(try TemporaryDirectory.bytes(of: file) == [1])
    let reading = #expect(throws: MappedFileError.self) { _ = try JournalReader(path: file) }
    #expect(reading?.cause == .notADirectory)
  }

  @Test func `a missing parent is named, and reading creates nothing`() throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/a/b"
    #expect(openingError(path)?.cause == .notFound)
    let reading = #expect(throws: MappedFileError.self) { _ = try JournalReader(path: path) }
    #expect(reading?.cause == .notFound)
    #expect(TemporaryDirectory.names(in: directory.path) == [])
  }

  @Test func `without permission the error says so`() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path + "/closed"
    #expect(mkdir(path, 0o500) == 0)
    #expect(chmod(directory.path, 0o755) == 0)
    await #expect(processExitsWith: .success) { [path = path as String] in
      // Permissions do not bind the superuser: take another identity in this child process.
      if geteuid() == 0 {
        _ = chown(path, 65534, 65534)
        precondition(setgid(65534) == 0 && setuid(65534) == 0)
      }
      do {
        _ = try JournalEnds(path: path, name: "x", configuration: .small(), now: 0)
        exit(1)
      } catch let error as MappedFileError {
        exit(error.cause == .noPermission ? 0 : 2)
      }
    }
  }

  @Test(arguments: [0, 4095, 5000, 1 << 32])
  func `a segment size that cannot be is refused with what is allowed`(bytes: Int) throws {
    let directory = try TemporaryDirectory()
    let configuration = JournalConfiguration(segmentBytes: bytes, bootEpoch: 1)
    let error = openingError(directory.path, configuration)
    #expect(
      error?.cause
        == .invalidConfiguration(
          found: "segments of \(bytes) bytes", allowed: "a multiple of 4096 from 4096 to 2147483648"))
    #expect(TemporaryDirectory.names(in: directory.path) == [])
  }

  @Test func `a sync interval of nothing is refused`() throws {
    let directory = try TemporaryDirectory()
    let configuration = JournalConfiguration(bootEpoch: 1, sync: .interval, syncInterval: 0)
    #expect(openingError(directory.path, configuration)?.description.contains("a sync interval of 0 ns") == true)
  }

  @Test func `a file size limit is an error when a segment is prepared, and leaves nothing behind`() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    await #expect(processExitsWith: .success) { [path = path as String] in
      signal(SIGXFSZ, SIG_IGN)
      var limit = rlimit(rlim_cur: 1 << 20, rlim_max: 1 << 20)
      precondition(setrlimit(__rlimit_resource_t(1), &limit) == 0)  // RLIMIT_FSIZE
      do {
        let large = JournalConfiguration(segmentBytes: 2 << 20, bootEpoch: 1)
        _ = try JournalEnds(path: path, name: "x", configuration: large, now: 0)
        exit(1)
      } catch let error as MappedFileError {
        exit(error.cause == .fileSizeLimit ? 0 : 2)
      }
    }
    #expect(TemporaryDirectory.names(in: path) == [])
  }

  /// A limit of the file size in place of a small disk: it needs no privilege, so it runs everywhere.
  @Test func `a lane goes on in the segments it has when the next cannot be prepared, and recovers`() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    await #expect(processExitsWith: .success) { [path = path as String] in
      signal(SIGXFSZ, SIG_IGN)
      var ends = try JournalEnds(path: path, name: "x", configuration: .small(), now: 0)
      try fillWhileFull(
        &ends,
        isFull: { full in
          var limit = rlimit(rlim_cur: full ? 1024 : rlim_t.max, rlim_max: rlim_t.max)
          precondition(setrlimit(__rlimit_resource_t(1), &limit) == 0)
        }, expecting: .fileSizeLimit)
    }
    let (records, stop) = try readAll(path)
    #expect(records.map(\.refusedBefore) == [0, 0, 0, 0, 0, 0, 2])
    #expect(stop.finding == .end)
  }

  @Test(.enabled(if: mayMount(), "mounting a small disk needs CAP_SYS_ADMIN; the test above covers the path"))
  func `a full disk is an error when a segment is prepared, never a signal`() async throws {
    let directory = try TemporaryDirectory()
    let path = directory.path
    await #expect(processExitsWith: .success) { [path = path as String] in
      // A mount that only this child process sees, and that ends with it.
      guard unshareMounts() == 0, mount("none", "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0,
        mount("tmpfs", path, "tmpfs", 0, "size=64k") == 0
      else {
        exit(1)
      }
      let journal = path + "/journal"
      do {
        let large = JournalConfiguration(segmentBytes: 48 << 10, bootEpoch: 1)
        _ = try JournalEnds(path: journal, name: "x", configuration: large, now: 0)
        exit(2)
      } catch let error as MappedFileError {
        guard error.cause == .fullDisk, error.description.contains("the disk is full") else { exit(3) }
      }
      guard TemporaryDirectory.names(in: journal) == [] else { exit(4) }

      var ends = try JournalEnds(path: journal, name: "x", configuration: .small(), now: 0)
      try fillWhileFull(
        &ends,
        isFull: { full in
          let filler = path + "/filler"
          if full {
            let descriptor = open(filler, O_CREAT | O_WRONLY, 0o600)
            let block = [UInt8](repeating: 1, count: 4096)
            while write(descriptor, block, block.count) > 0 {}
            close(descriptor)
          } else {
            unlink(filler)
          }
        }, expecting: .fullDisk)
      let (records, stop) = try readAll(journal)
      exit(records.count == 7 && records[6].refusedBefore == 2 && stop.finding == .end ? 0 : 5)
    }
  }

  private func openingError(
    _ path: String, _ configuration: JournalConfiguration = .small()
  ) -> MappedFileError? {
    do {
      _ = try JournalEnds(path: path, name: "x", configuration: configuration, now: 0)
      return nil
    } catch {
      return error
    }
  }
}

/// Whether this process has CAP_SYS_ADMIN: the superuser of a container may lack it.
private func mayMount() -> Bool {
  guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8),
    let line = status.split(separator: "\n").first(where: { $0.hasPrefix("CapEff:") }),
    let capabilities = UInt64(line.dropFirst(7).trimmingCharacters(in: .whitespaces), radix: 16)
  else { return false }
  return capabilities & (1 << 21) != 0
}

/// Gives this process a view of the mounts of its own; Swift does not import `unshare`.
private func unshareMounts() -> Int32 {
  typealias Unshare = @convention(c) (Int32) -> Int32
  guard let symbol = dlsym(nil, "unshare") else { return -1 }
  return unsafeBitCast(symbol, to: Unshare.self)(0x0002_0000)  // CLONE_NEWNS
}

/// Fills both segments, finds that there is no third, makes room, and goes on. Exits on a surprise.
private func fillWhileFull(
  _ ends: inout JournalEnds, isFull: (Bool) -> Void, expecting cause: MappedFileError.Cause
) throws {
  let entry = Entry(kind: .inbound, connection: 0, time: 0, payload: [UInt8](repeating: 1, count: 968))
  isFull(true)
  for index in 0..<8 {
    let accepted = ends.writer.append(entry)
    guard accepted == (index < 6) else { exit(10) }
    do {
      try ends.service.service(now: 0)
      guard index < 3 else { exit(11) }
    } catch {
      guard index >= 3, error.cause == cause, ends.writer.status.service_error != 0 else { exit(12) }
    }
  }
  isFull(false)
  try ends.service.service(now: 0)
  guard ends.writer.append(entry), ends.writer.status.service_error == 0 else { exit(13) }
}
