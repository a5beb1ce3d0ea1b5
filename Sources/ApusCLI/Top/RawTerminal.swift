import Glibc
import Synchronization

/// A terminal in which keys arrive one by one, on its second screen; as it was before when this is gone.
struct RawTerminal: ~Copyable {
  private var saved = termios()
  private var drawn: [String] = []
  private var drawnSize = (columns: 0, rows: 0)
  /// Read and not handed out yet.
  private var bytes: [UInt8] = []
  /// A signal that asks for the end.
  private static let isEnding = Atomic<Bool>(false)

  /// `nil` if standard input or output is no terminal.
  init?() {
    guard isatty(STDIN_FILENO) == 1, isatty(STDOUT_FILENO) == 1, tcgetattr(STDIN_FILENO, &saved) == 0 else {
      return nil
    }
    var raw = saved
    raw.c_lflag &= ~tcflag_t(ECHO | ICANON | ISIG | IEXTEN)
    raw.c_iflag &= ~tcflag_t(IXON | ICRNL)
    tcsetattr(STDIN_FILENO, TCSANOW, &raw)
    for number in [SIGTERM, SIGHUP, SIGINT] {
      signal(number) { _ in RawTerminal.isEnding.store(true, ordering: .relaxed) }
    }
    put("\u{1B}[?1049h\u{1B}[?25l\u{1B}[2J")
  }

  deinit {
    var saved = saved
    put("\u{1B}[?25h\u{1B}[?1049l")
    tcsetattr(STDIN_FILENO, TCSANOW, &saved)
  }

  var isEnding: Bool { Self.isEnding.load(ordering: .relaxed) }

  /// Characters across and down.
  var size: (columns: Int, rows: Int) {
    var size = winsize()
    guard ioctl(STDOUT_FILENO, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0, size.ws_row > 0 else { return (80, 24) }
    return (Int(size.ws_col), Int(size.ws_row))
  }

  /// Waits at most so long for a key; a cursor key is `.up` or `.down`, and so on.
  mutating func key(milliseconds: Int32) -> Key? {
    if bytes.isEmpty {
      var entry = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
      guard poll(&entry, 1, milliseconds) > 0 else { return nil }
      var buffer = [UInt8](repeating: 0, count: 256)
      let count = read(STDIN_FILENO, &buffer, buffer.count)
      guard count > 0 else { return .end }
      bytes = Array(buffer.prefix(count))
    }
    if bytes[0] == 0x1B {
      // A cursor key comes whole; what else begins so is one key that means nothing here.
      defer { bytes = [] }
      switch bytes {
      case [0x1B, 0x5B, 0x41], [0x1B, 0x4F, 0x41]: return .up
      case [0x1B, 0x5B, 0x42], [0x1B, 0x4F, 0x42]: return .down
      case [0x1B]: return .escape
      default: return .other
      }
    }
    let byte = bytes.removeFirst()
    switch byte {
    case 3, 4: return .end
    case 10, 13: return .enter
    case 8, 127: return .erase
    case 0x20...0x7E: return .character(Character(UnicodeScalar(byte)))
    default: return .other
    }
  }

  enum Key: Equatable {
    case character(Character)
    case up, down, enter, erase, escape, end, other
  }

  /// Shows these lines; only those that differ from what is there are written, in one go.
  mutating func show(_ lines: [String]) {
    let size = size
    var text = ""
    if size != drawnSize {
      drawnSize = size
      drawn = []
      text = "\u{1B}[2J"
    }
    for (index, line) in lines.enumerated() where index >= drawn.count || drawn[index] != line {
      text += "\u{1B}[\(index + 1);1H\(line)\u{1B}[K"
    }
    drawn = lines
    if !text.isEmpty { put(text) }
  }

  private func put(_ text: String) {
    var text = text
    text.withUTF8 { bytes in
      var offset = 0
      while offset < bytes.count {
        let written = write(STDOUT_FILENO, bytes.baseAddress.map { $0 + offset }, bytes.count - offset)
        if written >= 0 { offset += written } else if errno != EINTR, errno != EAGAIN { return }
      }
    }
  }
}
