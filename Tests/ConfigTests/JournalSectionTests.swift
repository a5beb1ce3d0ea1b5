import CSupport
import Foundation
import Testing

@testable import Apus

@Suite struct JournalSectionTests {
  @Test func `a description of an older version, without the section, is read with its defaults`() throws {
    let configuration = try ConfigurationFile.parse(Sample.text)
    var object = try #require(
      try JSONSerialization.jsonObject(with: JSONEncoder().encode(configuration)) as? [String: Any])
    object["journal"] = nil
    let read = try JSONDecoder().decode(Configuration.self, from: JSONSerialization.data(withJSONObject: object))
    #expect(read == configuration && read.journal == JournalSection())
  }

  @Test func `the policies of a file reach the journal`() throws {
    let text =
      Sample.text + """
        journal:
          sync: interval
          sync_interval_ms: 20
          segment_mib: 2
          keep_hours: 3
          keep_mib: 100
          on_failure: continue

        """
    let section = try ConfigurationFile.parse(text).journal
    let journal = JournalConfiguration(section, bootEpoch: 9)
    #expect(journal.segment_bytes == 2 << 20 && journal.sync == .interval && journal.sync_interval_ns == 20_000_000)
    let keep = JournalRetention(section)
    #expect(keep.keep_ns == 3 * 3_600_000_000_000 && keep.keep_bytes == 100 << 20)
    #expect(section.onFailure == .continue && section.minFreeMib == 256)
  }

  @Test func `a wrong word is told with what is allowed`() {
    let problems = Sample.problems(Sample.text + "journal: {on_failure: stop}\n")
    #expect(problems.count == 1 && problems[0].contains("halt") && problems[0].contains("continue"), "\(problems)")
  }
}
