import Yams

/// Turns a tree of nodes into a configuration and collects everything that is wrong with it.
struct ConfigurationReader {
  private(set) var problems: [ConfigurationProblem] = []
  /// Where each value stands that was given and is good, by its path.
  private(set) var places: [String: ConfigurationPlace] = [:]
  /// Likewise of values that were given, good or not.
  private(set) var given: [String: ConfigurationPlace] = [:]
  private let yaml: ConfigurationYAML

  struct Entry {
    let key: String
    let keyPlace: ConfigurationPlace
    let value: Node
  }
  /// A mapping's entries by key, and the place to name when something is missing.
  struct Mapping {
    var entries: [String: Entry]
    let place: ConfigurationPlace
  }

  init(_ yaml: ConfigurationYAML) { self.yaml = yaml }

  mutating func read() -> Configuration {
    var configuration = Configuration.blank
    let place = yaml.root.flatMap { Self.isNull($0) ? nil : Self.place($0) } ?? ConfigurationPlace(line: 1, column: 1)
    typealias Keys = Configuration.CodingKeys
    guard
      let file = mapping(
        yaml.root, "", Configuration.self, place,
        sections: [
          Keys.engine, .journal, .venue, .instruments, .venues, .defaults, .manager, .underlyings, .safety, .watchdog,
          .shadow,
        ])
    else { return configuration }
    fill(&configuration, file, "")
    if let engine = section(Keys.engine, of: file, "", EngineSection.self) {
      fill(&configuration.engine, engine.mapping, engine.path)
    }
    if file.entries[Keys.journal.stringValue] != nil,
      let journal = section(Keys.journal, of: file, "", JournalSection.self)
    {
      fill(&configuration.journal, journal.mapping, journal.path)
    }
    readVenues(file, &configuration)
    readUnderlyings(file, &configuration)
    if file.entries[Keys.manager.stringValue] != nil,
      let manager = section(Keys.manager, of: file, "", ManagerSection.self)
    {
      fill(&configuration.manager, manager.mapping, manager.path)
    }
    if file.entries[Keys.safety.stringValue] != nil,
      let safety = section(Keys.safety, of: file, "", SafetySection.self)
    {
      fill(&configuration.safety, safety.mapping, safety.path)
    }
    if file.entries[Keys.watchdog.stringValue] != nil,
      let watchdog = section(Keys.watchdog, of: file, "", WatchdogSection.self)
    {
      fill(&configuration.watchdog, watchdog.mapping, watchdog.path)
    }
    if file.entries[Keys.shadow.stringValue] != nil,
      let shadow = section(Keys.shadow, of: file, "", ShadowSection.self)
    {
      fill(&configuration.shadow, shadow.mapping, shadow.path)
    }
    return configuration
  }

  static let venues = Configuration.CodingKeys.venues.stringValue

  private mutating func readUnderlyings(_ file: Mapping, _ configuration: inout Configuration) {
    let path = Configuration.CodingKeys.underlyings.stringValue
    guard let entry = file.entries[path], !Self.isNull(entry.value) else { return }
    guard let list = entry.value.sequence else {
      report(
        Self.place(entry.value), path,
        "\(path) is \(Self.kind(entry.value)), but must be a list: begin each entry with - name: …")
      return
    }
    for (index, node) in list.enumerated() {
      var underlying = UnderlyingSection.blank
      let path = "\(path)[\(index)]"
      if let mapping = mapping(
        node, path, UnderlyingSection.self, Self.place(node), sections: [] as [Configuration.CodingKeys])
      {
        fill(&underlying, mapping, path)
        given[path] = mapping.place
      }
      configuration.underlyings.append(underlying)
    }
  }

  /// One venue and its instruments at the top of the file, or a list of venues with instruments of their own.
  private mutating func readVenues(_ file: Mapping, _ configuration: inout Configuration) {
    typealias Keys = Configuration.CodingKeys
    // Nobody logs in there.
    let waived: Set = configuration.engine.mode == .shadow ? [VenueSection.CodingKeys.keyID.stringValue] : []
    let defaults = file.entries[Keys.defaults.stringValue].flatMap { Self.isNull($0.value) ? nil : $0.value }
    guard let list = file.entries[Self.venues] else {
      if let venue = section(Keys.venue, of: file, "", VenueSection.self) {
        fill(&configuration.venue, venue.mapping, venue.path, waived: waived)
        given[venue.path] = venue.mapping.place
      }
      configuration.instruments = readInstruments(file, "", defaults, isReference: false)
      return
    }
    for key in [Keys.venue, .instruments] {
      guard let entry = file.entries[key.stringValue] else { continue }
      report(
        entry.keyPlace, key.stringValue,
        "\(key.stringValue) is given beside venues, but only one of them may be: move it into an entry of venues")
    }
    let entries = list.value.sequence
    guard let entries, (1...ConfigurationSchema.maximumVenues).contains(entries.count) else {
      report(
        list.keyPlace, Self.venues,
        "venues must be a list of 1 to \(ConfigurationSchema.maximumVenues) venues: begin each entry with - kind: …")
      return
    }
    var read: [Configuration.VenueEntry] = []
    for (index, node) in entries.enumerated() {
      let path = "\(Self.venues)[\(index)]"
      guard
        let mapping = mapping(node, path, VenueSection.self, Self.place(node), sections: [Keys.instruments])
      else { continue }
      var venue = VenueSection.blank
      fill(&venue, mapping, path, waived: waived)
      given[path] = mapping.place
      read.append(.init(venue: venue, instruments: readInstruments(mapping, path, defaults, isReference: venue.role == .reference)))
    }
    guard let first = read.first else { return }
    configuration.venue = first.venue
    configuration.instruments = first.instruments
    configuration.moreVenues = Array(read.dropFirst())
  }

  /// - Parameter isReference: ladder and limits mean nothing there, and may be left out.
  private mutating func readInstruments(
    _ parent: Mapping, _ parentPath: String, _ defaults: Node?, isReference: Bool
  ) -> [InstrumentSection] {
    let key = Configuration.CodingKeys.instruments.stringValue
    let path = Self.join(parentPath, key)
    var instruments: [InstrumentSection] = []
    guard let entry = parent.entries[key] else {
      report(parent.place, path, "\(path) is missing, but at least one is required: add a list with - name: …")
      return []
    }
    guard let list = entry.value.sequence else {
      let isEmpty = Self.isNull(entry.value)
      report(
        isEmpty ? entry.keyPlace : Self.place(entry.value), path,
        "\(path) is \(isEmpty ? "empty" : Self.kind(entry.value)), but must be a list with an entry for each "
          + "instrument: begin each entry with - name: …")
      return []
    }
    guard (1...ConfigurationSchema.maximumInstruments).contains(list.count) else {
      report(
        Self.place(entry.value), path,
        "\(path) has \(list.count) entries, but must have 1 to \(ConfigurationSchema.maximumInstruments): "
          + (list.isEmpty ? "add one" : "give the others to a second engine"))
      return []
    }
    typealias Keys = InstrumentSection.CodingKeys
    for (index, node) in list.enumerated() {
      var instrument = InstrumentSection.blank
      let path = "\(path)[\(index)]"
      let place = Self.place(node)
      let whole = Self.overlay(node, on: defaults)
      if let mapping = mapping(
        whole, path, InstrumentSection.self, place, sections: [Keys.strategy, .ladder, .limits, .orderFlow])
      {
        fill(&instrument, mapping, path)
        func isWanted(_ key: Keys) -> Bool { !isReference || mapping.entries[key.stringValue] != nil }
        if isWanted(.ladder), let ladder = section(Keys.ladder, of: mapping, path, LadderSection.self) {
          fill(&instrument.ladder, ladder.mapping, ladder.path)
        }
        if isWanted(.limits), let limits = section(Keys.limits, of: mapping, path, LimitsSection.self) {
          fill(&instrument.limits, limits.mapping, limits.path)
        }
        if let entry = mapping.entries[Keys.strategy.stringValue] {
          instrument.strategy = readStrategy(entry, Self.join(path, Keys.strategy.stringValue))
        }
        if mapping.entries[Keys.orderFlow.stringValue] != nil,
          let flow = section(Keys.orderFlow, of: mapping, path, OrderFlowSection.self)
        {
          var own = OrderFlowSection.blank
          fill(&own, flow.mapping, flow.path)
          instrument.orderFlow = own
        }
      }
      instruments.append(instrument)
    }
    return instruments
  }

  /// A mapping with what it does not say taken from another one, sections key by key.
  private static func overlay(_ node: Node, on defaults: Node?) -> Node {
    guard let own = node.mapping, let others = defaults?.mapping else { return node }
    // What another kind of strategy has for its parameters is no default.
    let kind = StrategySection.CodingKeys.kind.stringValue
    if let defaults, let one = word(kind, of: node), let other = word(kind, of: defaults), one != other { return node }
    var entries: [(Node, Node)] = []
    for (key, value) in own {
      let inherited = others.first { $0.key.scalar?.string == key.scalar?.string }?.value
      entries.append((key, value.mapping == nil ? value : overlay(value, on: inherited)))
    }
    for (key, value) in others where !own.contains(where: { $0.key.scalar?.string == key.scalar?.string }) {
      entries.append((key, value))
    }
    return .mapping(Node.Mapping(entries, own.tag, own.style, own.mark))
  }

  /// The section of a strategy: which keys it has depends on its kind.
  private mutating func readStrategy(_ entry: Entry, _ path: String) -> StrategySection {
    let kindKey = StrategySection.CodingKeys.kind
    let kind = Self.word(kindKey.stringValue, of: entry.value).flatMap { StrategyKind(rawValue: $0) }
    func own<Section: DescribedSection>(_: Section.Type) -> Section {
      var section = Section.blank
      if let mapping = mapping(entry.value, path, Section.self, entry.keyPlace, sections: [kindKey]) {
        var given = StrategyKindSection.blank
        fill(&given, mapping, path)
        fill(&section, mapping, path)
      }
      return section
    }
    switch kind {
    case .avellanedaStoikov: return .avellanedaStoikov(own(AvellanedaStoikovSection.self))
    case .glft: return .glft(own(GLFTSection.self))
    case .makeAndHedge: return .makeAndHedge(own(MakeAndHedgeSection.self))
    case .options: return .options(own(OptionsSection.self))
    case .ladder:
      _ = own(NoParametersSection.self)
      return .ladder
    case nil:
      // Without a kind nothing is known of the other keys: only what is wrong with it is said.
      let value = Self.withOnly(kindKey.stringValue, entry.value)
      var section = StrategyKindSection.blank
      if let mapping = mapping(
        value, path, StrategyKindSection.self, entry.keyPlace, sections: [] as [Configuration.CodingKeys])
      {
        fill(&section, mapping, path)
      }
      return .ladder
    }
  }

  // MARK: Pieces

  /// The section under `key`, or `nil` after a report.
  mutating func section<Section: DescribedSection>(
    _ key: some CodingKey, of parent: Mapping, _ parentPath: String, _: Section.Type
  ) -> (mapping: Mapping, path: String)? {
    let path = Self.join(parentPath, key.stringValue)
    guard let entry = parent.entries[key.stringValue] else {
      let required = Section.keys.filter { $0.presence == .required }.map(\.name).joined(separator: ", ")
      report(parent.place, path, "\(path) is missing, but is required: add it with \(required)")
      return nil
    }
    guard
      let mapping = mapping(entry.value, path, Section.self, entry.keyPlace, sections: [] as [Configuration.CodingKeys])
    else { return nil }
    return (mapping, path)
  }

  /// Stores the values that are good and reports the others, and the required ones that are missing.
  ///
  /// - Parameter waived: required keys that may be missing all the same.
  mutating func fill<Section: DescribedSection>(
    _ section: inout Section, _ mapping: Mapping, _ path: String, waived: Set<String> = []
  ) {
    for key in Section.keys {
      let keyPath = Self.join(path, key.name)
      guard let entry = mapping.entries[key.name] else {
        if key.presence == .required, !waived.contains(key.name) {
          report(mapping.place, keyPath, "\(keyPath) is missing, but is required: add it, \(key.allowed)")
        }
        continue
      }
      given[keyPath] = entry.keyPlace
      guard !Self.isNull(entry.value) else {
        let advice = key.presence == .required ? "give it one" : "give it one or remove the line"
        report(entry.keyPlace, keyPath, "\(keyPath) has no value, but must be \(key.allowed): \(advice)")
        continue
      }
      let place = Self.place(entry.value)
      guard case .scalar(let scalar) = entry.value else {
        report(
          place, keyPath,
          "\(keyPath) is \(Self.kind(entry.value)), but must be \(key.allowed): give a single value")
        continue
      }
      if let advice = key.store(scalar.string, &section) {
        report(place, keyPath, "\(keyPath) is \(Self.shown(scalar)), but must be \(key.allowed): \(advice.text)")
      } else {
        places[keyPath] = place
      }
    }
  }

  /// The entries of a mapping that are known, or `nil` after a report. No value at all is an empty mapping.
  mutating func mapping<Section: DescribedSection>(
    _ node: Node?, _ path: String, _: Section.Type, _ place: ConfigurationPlace, sections: [some CodingKey]
  ) -> Mapping? {
    let name = path.isEmpty ? "the file" : path
    let allowed = Section.keys.map(\.name) + sections.map(\.stringValue)
    guard let node, !Self.isNull(node) else { return Mapping(entries: [:], place: place) }
    guard let mapping = node.mapping else {
      report(
        Self.place(node), path,
        "\(name) is \(Self.kind(node)), but must be a mapping: give it the keys \(allowed.joined(separator: ", "))")
      return nil
    }
    var known = Mapping(entries: [:], place: place)
    var unknown: [Entry] = []
    for (key, value) in mapping {
      let keyPlace = Self.place(key)
      guard let key = key.scalar?.string else {
        report(
          keyPlace, path, "\(name) has a key that is \(Self.kind(key)), but keys must be words: write it as a word")
        continue
      }
      if !value.tag.rawValue.hasPrefix("tag:yaml.org,2002:") {
        report(
          Self.place(value), Self.join(path, key),
          "\(Self.join(path, Self.shownKey(key))) has a YAML tag, but tags are not supported: write the value alone")
      }
      let entry = Entry(key: key, keyPlace: keyPlace, value: value)
      if allowed.contains(key) { known.entries[key] = entry } else { unknown.append(entry) }
    }
    for entry in unknown { reportUnknown(entry, path, allowed: allowed, given: Set(known.entries.keys)) }
    return known
  }

  private mutating func reportUnknown(_ entry: Entry, _ path: String, allowed: [String], given: Set<String>) {
    if let duplicate = yaml.duplicates[entry.key] {
      let keyPath = Self.join(path, Self.shownKey(duplicate.name))
      report(
        entry.keyPlace, keyPath,
        "\(keyPath) is given twice, but must be given once: keep one of this and line \(duplicate.first.line)")
      return
    }
    let keyPath = Self.join(path, Self.shownKey(entry.key))
    let advice: String
    if entry.key == "<<" {
      advice = "merge keys are not supported, write the keys out"
    } else if let closest = Spelling.closest(to: entry.key, among: allowed.filter { !given.contains($0) }) {
      advice = "did you mean \(closest)?"
    } else if let home = ConfigurationSchema.sections.first(where: { $0.keys.contains { $0.name == entry.key } }) {
      advice = home.path.isEmpty ? "move it to the top of the file" : "move it to \(home.path)"
    } else if let closest = Spelling.closest(to: entry.key, among: allowed) {
      advice = "did you mean \(closest)?"
    } else {
      advice = "remove it"
    }
    report(
      entry.keyPlace, keyPath, "\(keyPath) is not a key, allowed are \(allowed.joined(separator: ", ")): \(advice)")
  }

  mutating func report(_ place: ConfigurationPlace, _ key: String, _ sentence: String) {
    problems.append(ConfigurationProblem(place: place, key: key, sentence: sentence))
  }

  // MARK: Nodes

  static func join(_ path: String, _ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  static func place(_ node: Node) -> ConfigurationPlace {
    node.mark.map { ConfigurationPlace($0) } ?? ConfigurationPlace(line: 1, column: 1)
  }

  /// The scalar under a key.
  private static func word(_ key: String, of node: Node) -> String? {
    node.mapping?.first { $0.key.scalar?.string == key }?.value.scalar?.string
  }

  /// A mapping without all its other keys; anything else as it is.
  private static func withOnly(_ key: String, _ node: Node) -> Node {
    guard let mapping = node.mapping else { return node }
    let entries = mapping.filter { $0.key.scalar?.string == key }.map { ($0.key, $0.value) }
    return .mapping(Node.Mapping(entries, mapping.tag, mapping.style, mapping.mark))
  }

  static func isNull(_ node: Node) -> Bool {
    guard case .scalar(let scalar) = node else { return false }
    return scalar.style == .plain && node.tag.rawValue == "tag:yaml.org,2002:null"
  }

  static func kind(_ node: Node) -> String {
    switch node {
    case .mapping: "a mapping"
    case .sequence: "a list"
    case .scalar(let scalar): shown(scalar)
    case .alias: "an alias"
    }
  }

  /// Numbers, true and false as they stand, texts in quotation marks, secrets not at all.
  private static func shown(_ scalar: Node.Scalar) -> String {
    let isBare =
      scalar.style == .plain && !scalar.string.isEmpty && scalar.string.count <= 24
      && (scalar.string.allSatisfy { "0123456789+-.,_eE".contains($0) } || ["true", "false"].contains(scalar.string))
    return isBare && !ShownText.looksSecret(scalar.string) ? scalar.string : ShownText.of(scalar.string)
  }

  private static func shownKey(_ key: String) -> String {
    let isWord =
      !key.isEmpty && key.count <= 60
      && key.allSatisfy {
        $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "_" || $0 == "-" || $0 == "<" || $0 == ".")
      }
    return isWord && !ShownText.looksSecret(key) ? key : ShownText.of(key)
  }
}
