/// What a value may be: read from its text, checked, and named in messages and tables.
struct ConfigurationRule<Value: Sendable>: Sendable {
  /// For tables: `whole number`, `decimal`, `text` …
  let type: String
  /// For tables: `1 to 32`.
  let range: String
  /// Completes "must be …".
  let allowed: String
  /// Whether the value is written in quotation marks.
  var isText = false
  let parse: @Sendable (String) -> Result<Value, ConfigurationAdvice>
  let write: @Sendable (Value) -> String
}

/// What to do about a value that was refused: completes "…: ".
struct ConfigurationAdvice: Error, Equatable {
  let text: String
  init(_ text: String) { self.text = text }
}

extension ConfigurationRule where Value == Int {
  static func whole(_ range: ClosedRange<Int>) -> Self {
    let span = "\(range.lowerBound) to \(range.upperBound)"
    return Self(
      type: "whole number", range: span,
      allowed: range.count == 1 ? "\(range.lowerBound)" : "a whole number from \(span)",
      parse: { text in
        let digits = text.hasPrefix("-") ? text.dropFirst() : text[...]
        guard !digits.isEmpty, digits.utf8.allSatisfy({ $0 >= 48 && $0 <= 57 }) else {
          return .failure(numberAdvice(text, isWhole: true, example: "\(range.lowerBound)"))
        }
        let value = Int(text) ?? (text.hasPrefix("-") ? .min : .max)
        if value < range.lowerBound { return .failure(.init("raise it to \(range.lowerBound) or more")) }
        if value > range.upperBound { return .failure(.init("lower it to \(range.upperBound) or less")) }
        return .success(value)
      },
      write: { String($0) })
  }
}

extension ConfigurationRule where Value == DecimalE8 {
  /// - Parameters:
  ///   - isAboveLower: the lower end itself is not allowed.
  ///   - decimals: 0 ... 8, as many as the engine keeps: finer values are refused rather than rounded.
  static func decimal(
    _ range: ClosedRange<DecimalE8>, isAboveLower: Bool = false, decimals: Int = 8
  ) -> Self {
    let (lower, upper) = (range.lowerBound, range.upperBound)
    let span = isAboveLower ? "above \(lower), at most \(upper)" : "\(lower) to \(upper)"
    let step = (decimals..<8).reduce(Int64(1)) { value, _ in value * 10 }
    return Self(
      type: "decimal", range: decimals < 8 ? "\(span), \(decimals) decimals" : span,
      allowed:
        "a decimal \(isAboveLower ? "" : "from ")\(span)\(decimals < 8 ? " with at most \(decimals) decimals" : "")",
      parse: { text in
        guard let value = DecimalE8(text) else {
          return .failure(numberAdvice(text, isWhole: false, example: "\(upper < .one ? upper : .one)"))
        }
        if value < lower || (isAboveLower && value == lower) {
          return .failure(.init(isAboveLower ? "raise it above \(lower)" : "raise it to \(lower) or more"))
        }
        if value > upper { return .failure(.init("lower it to \(upper) or less")) }
        if value.e8 % step != 0 { return .failure(.init("round it to \(decimals) decimals")) }
        return .success(value)
      },
      write: { $0.description })
  }
}

extension ConfigurationRule where Value == Bool {
  static var flag: Self {
    Self(
      type: "flag", range: "true or false", allowed: "true or false",
      parse: { text in
        switch text {
        case "true": .success(true)
        case "false": .success(false)
        case "True", "TRUE", "yes", "Yes", "on", "On", "1": .failure(.init("write true"))
        case "False", "FALSE", "no", "No", "off", "Off", "0": .failure(.init("write false"))
        default: .failure(.init("write one of the two"))
        }
      },
      write: { $0 ? "true" : "false" })
  }
}

extension ConfigurationRule where Value: RawRepresentable<String> & CaseIterable {
  static var choice: Self {
    let words = Value.allCases.map(\.rawValue)
    let list = words.joined(separator: ", ")
    return Self(
      type: "word", range: list, allowed: words.count == 1 ? list : "one of \(list)",
      parse: { text in
        if let value = Value(rawValue: text) { return .success(value) }
        if let word = Spelling.closest(to: text, among: words) { return .failure(.init("did you mean \(word)?")) }
        return .failure(.init(words.count == 1 ? "write \(list)" : "choose one of them"))
      },
      write: { $0.rawValue })
  }
}

extension ConfigurationRule where Value == CoreChoice {
  static var core: Self {
    Self(
      type: "core", range: "auto, none, 0 to 1023", allowed: "auto, none, or the number of a core from 0 to 1023",
      parse: { text in
        // 1024 is what the kernel's fixed cpu_set_t holds.
        guard let choice = CoreChoice(text) else { return .failure(.init("write auto if in doubt")) }
        if case .core(let core) = choice, core > 1023 {
          return .failure(.init("give one of the cores that lscpu lists"))
        }
        return .success(choice)
      },
      write: { $0.description })
  }
}

extension ConfigurationRule where Value == String {
  /// - Parameter check: `nil` if the text is good, else what to do.
  static func text(
    range: String, allowed: String, check: @escaping @Sendable (String) -> String?
  ) -> Self {
    Self(
      type: "text", range: range, allowed: allowed, isText: true,
      parse: { text in
        if let advice = check(text) { return .failure(.init(advice)) }
        return .success(text)
      },
      write: { $0 })
  }

  /// A name of `count` of the characters that `isAllowed` accepts.
  static func name(
    _ count: ClosedRange<Int>, of characters: String, advice: String,
    where isAllowed: @escaping @Sendable (Character) -> Bool
  ) -> Self {
    let range = "\(count.lowerBound) to \(count.upperBound) of \(characters)"
    return text(range: range, allowed: "\(count.lowerBound) to \(count.upperBound) characters of \(characters)") {
      text in
      count.contains(text.utf8.count) && text.allSatisfy(isAllowed) ? nil : advice
    }
  }

  /// A path as the system takes it; relative to the working directory.
  static func path(_ what: String, advice: String) -> Self {
    text(range: "path", allowed: "the path of \(what)") { text in
      if text.contains("-----BEGIN") || text.contains(where: \.isNewline) { return advice }
      if text.hasPrefix("~") { return "write the home directory out, ~ is not replaced" }
      if text.contains("$") { return "write the path out, variables are not replaced" }
      return text.isEmpty || text.utf8.count > 4095 || text.utf8.contains(0) ? advice : nil
    }
  }

  static var url: Self {
    text(range: "ws://… or wss://…", allowed: "ws://host:port/path or wss://host[:port]/path") { text in
      switch VenueAddress.parse(text) {
      case .success: nil
      case .failure(let advice): advice.text
      }
    }
  }
}

/// What to do about a text that should be a number.
private func numberAdvice(_ text: String, isWhole: Bool, example: String) -> ConfigurationAdvice {
  let characters = Set(text)
  let isNumeric = !text.isEmpty && text.contains(where: \.isNumber)
  if isWhole, DecimalE8(text) != nil { return .init("write it without decimals") }
  if isNumeric, characters.isSubset(of: "0123456789.,-_ '") {
    if characters.contains(",") { return .init("write a point for the decimals, and nothing between thousands") }
    if !characters.isDisjoint(with: "_ '") { return .init("write it without separators") }
    if text.hasPrefix(".") || text.hasPrefix("-.") { return .init("write a 0 before the point") }
    if text.hasSuffix(".") { return .init("write it without the last point") }
    if let point = text.firstIndex(of: "."), text[point...].count > 9 { return .init("round it to 8 decimals") }
    return .init("write it in digits, for example \(example)")
  }
  if isNumeric, characters.isSubset(of: "0123456789.-+eE") { return .init("write it without sign or exponent") }
  if let first = text.first, first.isNumber, text.count <= 20 {
    return .init("write the number alone, its unit is part of the key")
  }
  return .init("write it in digits, for example \(example)")
}
