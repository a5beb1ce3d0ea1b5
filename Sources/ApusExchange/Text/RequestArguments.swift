import Apus

/// A protocol's refusal of a request, as far as the reading of parameters makes some.
protocol ArgumentFault: Error {
  /// A parameter is missing or wrong.
  static func invalid(_ parameter: String, _ reason: StaticString) -> Self
}

/// The parameters of a request. Numbers and booleans may also stand there as text, as they do in a query string.
struct RequestArguments<Fault: ArgumentFault> {
  let document: JSONDocument
  let object: Int?

  /// The member's node; null counts as absent.
  func node(_ name: StaticString) -> Int? {
    guard let object, let node = document.member(name, of: object), document[node].kind != .null else { return nil }
    return node
  }

  func has(_ name: StaticString) -> Bool { node(name) != nil }

  func string(_ name: StaticString) throws(Fault) -> String? {
    guard let node = node(name) else { return nil }
    guard let text = document.string(node) else { throw Fault.invalid("\(name)", "must be a string") }
    return text
  }

  func requiredString(_ name: StaticString) throws(Fault) -> String {
    guard let text = try string(name) else { throw Fault.invalid("\(name)", "value required") }
    return text
  }

  /// Times 10⁸.
  func decimal(_ name: StaticString, places: Int = 8) throws(Fault) -> Int64? {
    guard let node = node(name) else { return nil }
    let value: Int64?
    switch document[node].kind {
    case .number: value = document.decimal(node, places: places)
    case .string: value = Decimal.parse(document.bytes(node), places: places)
    default: value = nil
    }
    guard let value else { throw Fault.invalid("\(name)", "must be a number") }
    return value
  }

  func integer(_ name: StaticString) throws(Fault) -> Int64? {
    guard let exact = try decimal(name, places: 3) else { return nil }
    guard exact % 1000 == 0 else { throw Fault.invalid("\(name)", "must be an integer") }
    return exact / 1000
  }

  func flag(_ name: StaticString) throws(Fault) -> Bool? {
    guard let node = node(name) else { return nil }
    switch document[node].kind {
    case .bool: return document.isTrue(node)
    case .string where document.equals(node, "true"): return true
    case .string where document.equals(node, "false"): return false
    default: throw Fault.invalid("\(name)", "must be a boolean")
    }
  }

  /// The strings of an array; `nil` if there is none.
  func strings(_ name: StaticString) throws(Fault) -> [String]? {
    guard let node = node(name) else { return nil }
    guard document[node].kind == .array else { throw Fault.invalid("\(name)", "must be a list") }
    var result: [String] = []
    var isGood = true
    document.forEach(in: node) { element in
      if let text = document.string(element) { result.append(text) } else { isGood = false }
    }
    guard isGood else { throw Fault.invalid("\(name)", "must be a list of strings") }
    return result
  }
}
