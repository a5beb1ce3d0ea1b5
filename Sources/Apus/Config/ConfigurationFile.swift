import Glibc

/// Reads and writes configuration files. Cold; any thread.
public enum ConfigurationFile {
  /// 1 MiB: no configuration is that long.
  static let maximumBytes = 1 << 20

  /// Reads the YAML file at `path`.
  ///
  /// - Throws: All problems of the file at once, in the order of its lines (R51); nothing is half loaded.
  public static func load(path: String) throws(ConfigurationError) -> Configuration {
    return try parse(try content(of: path), path: path)
  }

  /// The text of the file at `path`.
  package static func content(of path: String) throws(ConfigurationError) -> String {
    let bytes: [UInt8]
    switch read(path) {
    case .success(let content): bytes = content
    case .failure(let advice):
      throw ConfigurationError(
        path: path, problems: [ConfigurationProblem(place: nil, key: "", sentence: advice.text)])
    }
    guard let text = String(validating: bytes, as: UTF8.self) else {
      let repaired = String(decoding: bytes, as: UTF8.self)
      let before = repaired.prefix { $0 != "\u{FFFD}" }
      let place = ConfigurationPlace(
        line: before.count(where: \.isNewline) + 1, column: before.reversed().prefix { !$0.isNewline }.count + 1)
      throw ConfigurationError(
        path: path,
        problems: [
          ConfigurationProblem(
            place: place, key: "", sentence: "this is not UTF-8: save the file in that encoding")
        ])
    }
    return text
  }

  /// Reads YAML text; `path` is the name that messages give it.
  public static func parse(_ text: String, path: String = "configuration") throws(ConfigurationError) -> Configuration {
    let yaml = ConfigurationYAML(text)
    if let failure = yaml.failure { throw ConfigurationError(path: path, problems: [failure]) }
    var reader = ConfigurationReader(yaml)
    let configuration = reader.read()
    let checks = ConfigurationChecks(configuration, reader)
    let problems = reader.problems + checks.problems
    guard problems.isEmpty else { throw error(path, problems) }
    return configuration
  }

  /// The problems in the order of their lines.
  static func error(_ path: String, _ problems: [ConfigurationProblem]) -> ConfigurationError {
    let ordered = problems.enumerated().sorted { left, right in
      let whole = ConfigurationPlace(line: 0, column: 0)
      let places = (left.element.place ?? whole, right.element.place ?? whole)
      return places.0 == places.1 ? left.offset < right.offset : places.0 < places.1
    }
    return ConfigurationError(path: path, problems: ordered.map(\.element))
  }

  /// The file that says the same with every key written out, defaults included. Without secrets: a
  /// configuration holds only their whereabouts.
  public static func text(of configuration: Configuration) -> String {
    var text = ""
    func write<Section: DescribedSection>(_ section: Section, indent: Int, isItem: Bool = false) {
      var isFirst = isItem
      for key in Section.keys {
        // A required text may be missing where it is not needed: a shadow run has no key.
        guard let value = key.text(section), !value.isEmpty || key.presence != .required else { continue }
        let margin = isFirst ? String(repeating: " ", count: indent - 2) + "- " : String(repeating: " ", count: indent)
        text += "\(margin)\(key.name): \(key.isText ? quoted(value) : value)\n"
        isFirst = false
      }
    }
    write(configuration, indent: 0)
    text += "engine:\n"
    write(configuration.engine, indent: 2)
    text += "journal:\n"
    write(configuration.journal, indent: 2)
    func write(_ instruments: [InstrumentSection], indent: Int) {
      let margin = String(repeating: " ", count: indent)
      text += "\(margin)instruments:\n"
      for instrument in instruments {
        write(instrument, indent: indent + 4, isItem: true)
        text += "\(margin)    ladder:\n"
        write(instrument.ladder, indent: indent + 6)
        text += "\(margin)    limits:\n"
        write(instrument.limits, indent: indent + 6)
        text += "\(margin)    strategy:\n"
        write(StrategyKindSection(kind: instrument.strategy.kind), indent: indent + 6)
        switch instrument.strategy {
        case .ladder: break
        case .avellanedaStoikov(let own): write(own, indent: indent + 6)
        case .glft(let own): write(own, indent: indent + 6)
        case .makeAndHedge(let own): write(own, indent: indent + 6)
        case .options(let own): write(own, indent: indent + 6)
        }
        if let flow = instrument.orderFlow {
          text += "\(margin)    order_flow:\n"
          write(flow, indent: indent + 6)
        }
      }
    }
    if configuration.moreVenues.isEmpty {
      text += "venue:\n"
      write(configuration.venue, indent: 2)
      write(configuration.instruments, indent: 0)
    } else {
      text += "venues:\n"
      for lane in configuration.lanes {
        write(lane.venue, indent: 4, isItem: true)
        write(lane.instruments, indent: 4)
      }
    }
    text += "manager:\n"
    write(configuration.manager, indent: 2)
    if !configuration.underlyings.isEmpty { text += "underlyings:\n" }
    for underlying in configuration.underlyings { write(underlying, indent: 4, isItem: true) }
    text += "safety:\n"
    write(configuration.safety, indent: 2)
    text += "watchdog:\n"
    write(configuration.watchdog, indent: 2)
    text += "shadow:\n"
    write(configuration.shadow, indent: 2)
    return text
  }

  /// Of the text with everything written out: the same for two files that say the same. 64 hexadecimal digits.
  public static func sha256(of configuration: Configuration) -> String { SHA256.text(of: text(of: configuration)) }

  private static func quoted(_ text: String) -> String {
    var quoted = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": quoted += "\\\""
      case "\\": quoted += "\\\\"
      case _ where scalar.properties.generalCategory == .control:
        let hex = String(scalar.value, radix: 16)
        quoted += "\\x" + String(repeating: "0", count: 2 - hex.count) + hex
      default: quoted.unicodeScalars.append(scalar)
      }
    }
    return quoted + "\""
  }

  private static func read(_ path: String) -> Result<[UInt8], ConfigurationAdvice> {
    func failure(_ code: CInt) -> Result<[UInt8], ConfigurationAdvice> {
      .failure(.init("could not read the configuration: \(String(cString: strerror(code)))"))
    }
    let file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard file >= 0 else { return failure(errno) }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { return failure(errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      return .failure(.init("could not read the configuration: it is not a regular file"))
    }
    guard status.st_size <= maximumBytes else {
      return .failure(.init("could not read the configuration: it is larger than 1 MiB, is it the right file?"))
    }
    var bytes = [UInt8](repeating: 0, count: Int(status.st_size))
    var count = 0
    while count < bytes.count {
      let got = bytes.withUnsafeMutableBytes { Glibc.read(file, $0.baseAddress! + count, $0.count - count) }
      if got < 0, errno == EINTR { continue }
      guard got >= 0 else { return failure(errno) }
      if got == 0 { break }
      count += got
    }
    return .success(Array(bytes[..<count]))
  }
}
