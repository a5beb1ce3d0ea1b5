import Testing

@testable import Apus

/// Answers to the desk's questions, whatever the pieces in which they arrive (RFC 9112).
@Suite struct HTTPAnswerTests {
  private func read(_ text: String, piece: Int) -> HTTPAnswerReader {
    var reader = HTTPAnswerReader()
    let bytes = Array(text.utf8)
    for start in stride(from: 0, to: bytes.count, by: piece) {
      bytes[start..<min(start + piece, bytes.count)].withUnsafeBytes { reader.take($0) }
    }
    return reader
  }

  @Test(arguments: [
    "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nCONTENT-LENGTH:   7  \r\n\r\n{\"a\":1}",
    "HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n4;x=y\r\n\":1}\r\n0\r\nX-Trailer: 1\r\n\r\n",
    "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
  ])
  func `a body is read whole, by its length or in chunks`(text: String) {
    for piece in [1, 2, 3, 7, 1000] {
      let reader = read(text, piece: piece)
      #expect(reader.answer?.status == 200 && !reader.isBroken && !reader.closes)
      #expect(reader.answer.map { String(decoding: $0.body, as: UTF8.self) } == "{\"a\":1}")
    }
    // Not a byte sooner.
    #expect(read(String(text.dropLast()), piece: 5).answer == nil)
  }

  @Test func `an answer without a length ends with the connection`() {
    var reader = read("HTTP/1.1 403 Forbidden\r\n\r\nno", piece: 4)
    #expect(reader.answer == nil && reader.closes)
    let end = reader.end()
    #expect(end?.status == 403 && end?.body == Array("no".utf8))
    var cut = read("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\"", piece: 4)
    #expect(cut.end() == nil)
  }

  @Test func `an answer may have no body, and may close the connection`() {
    #expect(read("HTTP/1.1 204 No Content\r\n\r\n", piece: 3).answer?.status == 204)
    let reader = read("HTTP/1.1 502 Bad Gateway\r\nConnection: Close\r\nContent-Length: 0\r\n\r\n", piece: 3)
    #expect(reader.answer?.status == 502 && reader.closes)
  }

  @Test(arguments: [
    "SSH-2.0-x\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 abc\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-3\r\n",
  ])
  func `what is no answer is told at once`(text: String) {
    let reader = read(text, piece: 4)
    #expect(reader.isBroken && reader.answer == nil)
  }

  @Test func `a head or a body without an end is given up`() {
    #expect(read("HTTP/1.1 200 OK\r\nX: " + String(repeating: "x", count: 70_000), piece: 4096).isBroken)
    let chunk = "100000\r\n" + String(repeating: "x", count: 1 << 20) + "\r\n"
    let chunks = String(repeating: chunk, count: 17)
    #expect(read("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks, piece: 1 << 19).isBroken)
  }

  @Test func `a question keeps its text, and what is signed is the query or the body`() throws {
    let get = try #require(DeskRequest("77 GET /v5/order/realtime?category=linear&cursor=a%2Cb"))
    #expect(get.tag == 77 && get.target == "/v5/order/realtime?category=linear&cursor=a%2Cb")
    #expect(get.payload == "category=linear&cursor=a%2Cb" && get.body == "")
    let post = try #require(DeskRequest("78 POST /v5/order/disconnected-cancel-all\n{\"timeWindow\":10}"))
    #expect(post.payload == "{\"timeWindow\":10}")
    #expect(DeskRequest("x GET /a") == nil && DeskRequest("1 GET") == nil && DeskRequest("") == nil)
  }

  @Test func `an answer's tag and status stand before its body`() {
    let bytes = DeskRequest.answer(12, status: 200, Array("{}".utf8))
    bytes.withUnsafeBytes { text in
      let answer = DeskAnswer(text)
      #expect(answer?.tag == 12 && answer?.status == 200 && answer?.body.elementsEqual("{}".utf8) == true)
    }
    for text in ["", "12", "12 200", "12 2000\n{}", "x 200\n", "12  200\n"] {
      Array(text.utf8).withUnsafeBytes { bytes in #expect(DeskAnswer(bytes) == nil, "\(text)") }
    }
  }
}
