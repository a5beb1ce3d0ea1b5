import Apus
import TestSupport
import Testing

@Suite struct NamesTests {
  @Test func `a table agrees with a dictionary while names come and go`() throws {
    var random = SplitMix(seed: 5)
    var table = try NameTable(capacity: 300)
    var model: [String: UInt32] = [:]
    var mismatches = 0
    for round in 0..<30_000 {
      let name =
        "n" + String(repeating: "x", count: Int.random(in: 0..<20, using: &random))
        + String(UInt64.random(in: 0..<40, using: &random))
      if Bool.random(using: &random) {
        do {
          try table.add(name, value: UInt32(round))
          if model[name] != nil || model.count == 300 { mismatches += 1 }
          model[name] = UInt32(round)
        } catch .duplicate {
          if model[name] == nil { mismatches += 1 }
        } catch {
          if model.count != 300 { mismatches += 1 }
        }
      } else {
        let wasThere = table.remove(name)
        if wasThere != (model.removeValue(forKey: name) != nil) { mismatches += 1 }
      }
      let found = table.value(of: name)
      if found != model[name] { mismatches += 1 }
    }
    for (name, value) in model {
      let found = table.value(of: name)
      if found != value { mismatches += 1 }
    }
    #expect(mismatches == 0)
  }

  @Test func `names of 1 to 63 bytes fit, and no others`() throws {
    var table = try NameTable(capacity: 100)
    for count in 1...63 { try table.add(String(repeating: "a", count: count), value: UInt32(count)) }
    for count in 1...63 {
      let found = table.value(of: String(repeating: "a", count: count))
      #expect(found == UInt32(count))
    }
    for text in ["", String(repeating: "a", count: 64)] {
      #expect(throws: TableError.unusableName(text)) { try table.add(text, value: 1) }
      let found = table.value(of: text)
      #expect(found == nil)
    }
  }

  @Test func `a full table refuses the next name`() throws {
    var table = try NameTable(capacity: 2)
    try table.add("a", value: 1)
    try table.add("b", value: 2)
    #expect(throws: TableError.full(capacity: 2)) { try table.add("c", value: 3) }
    #expect(throws: TableError.capacity(0)) { _ = try NameTable(capacity: 0) }
  }
}
