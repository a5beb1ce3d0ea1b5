/// One key of a section: how it is read, checked, written and explained.
struct ConfigurationKey<Section: Sendable>: Sendable {
  enum Presence: Sendable, Equatable {
    case required
    /// May be left out and then has no value.
    case optional
    /// May be left out; the value is then the one that `Section.blank` has.
    case defaulted
  }

  let name: String
  let presence: Presence
  let unit: String
  let meaning: String
  let type: String
  let range: String
  /// Completes "must be …".
  let allowed: String
  let isText: Bool
  /// Stores the value of a text, or says what to do about it.
  let store: @Sendable (String, inout Section) -> ConfigurationAdvice?
  /// The value's text; `nil` if there is none.
  let text: @Sendable (Section) -> String?

  /// A key that always has a value.
  init<Value: Sendable>(
    _ key: some CodingKey, _ path: WritableKeyPath<Section, Value> & Sendable, _ rule: ConfigurationRule<Value>,
    _ presence: Presence, unit: String = "", _ meaning: String
  ) {
    self.init(
      name: key.stringValue, presence: presence, unit: unit, meaning: meaning, type: rule.type, range: rule.range,
      allowed: rule.allowed, isText: rule.isText,
      store: { text, section in
        switch rule.parse(text) {
        case .success(let value):
          section[keyPath: path] = value
          return nil
        case .failure(let advice): return advice
        }
      },
      text: { rule.write($0[keyPath: path]) })
  }

  /// A key that may have no value.
  init<Value: Sendable>(
    _ key: some CodingKey, _ path: WritableKeyPath<Section, Value?> & Sendable, optional rule: ConfigurationRule<Value>,
    _ meaning: String
  ) {
    self.init(
      name: key.stringValue, presence: .optional, unit: "", meaning: meaning, type: rule.type, range: rule.range,
      allowed: rule.allowed, isText: rule.isText,
      store: { text, section in
        switch rule.parse(text) {
        case .success(let value):
          section[keyPath: path] = value
          return nil
        case .failure(let advice): return advice
        }
      },
      text: { $0[keyPath: path].map(rule.write) })
  }

  private init(
    name: String, presence: Presence, unit: String, meaning: String, type: String, range: String, allowed: String,
    isText: Bool, store: @escaping @Sendable (String, inout Section) -> ConfigurationAdvice?,
    text: @escaping @Sendable (Section) -> String?
  ) {
    self.name = name
    self.presence = presence
    self.unit = unit
    self.meaning = meaning
    self.type = type
    self.range = range
    self.allowed = allowed
    self.isText = isText
    self.store = store
    self.text = text
  }
}

/// A section that is described by a list of keys.
protocol DescribedSection: Sendable {
  /// Where defaults come from; its required members mean nothing.
  static var blank: Self { get }
  static var keys: [ConfigurationKey<Self>] { get }
}
