/// Curves on logarithmic axes as SVG, readable on light and on dark ground.
struct Chart {
  struct Curve {
    var name: String
    /// Class of the style: a colour each.
    var colour: Int
    var isDashed = false
    /// x in the axis' own units, y in microseconds.
    var points: [(x: Double, y: Double)]
  }

  struct Axis {
    var title: String
    /// Where on the axis (0 ... 1) a value lies, and what is written there.
    var marks: [(value: Double, text: String)]
    var place: (Double) -> Double
  }

  struct Panel {
    var title: String
    var x: Axis
    var curves: [Curve]
  }

  var panels: [Panel]
  var note: String

  private static let width = 560.0
  private static let height = 400.0
  private static let legendLine = 17.0
  private static let margin = (left: 62.0, right: 28.0, top: 44.0, bottom: 52.0)

  var svg: String {
    let legend = Double(panels.map(\.curves.count).max() ?? 0) * Self.legendLine + 14
    let total = (width: Self.width * Double(panels.count), height: Self.height + legend + 26)
    var out = """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(Int(total.width)) \(Int(total.height))" \
      font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="Latency curves">
      <style>
      text { fill: #6e7781 } .axis, .grid { stroke: #8b949e; fill: none } .grid { opacity: .28 }
      .title { font-size: 14px; font-weight: 600 } .small { font-size: 11px }
      .curve { fill: none; stroke-width: 2 } .dashed { stroke-dasharray: 5 4 }
      .c0 { stroke: #0969da } .c1 { stroke: #bc4c00 } .c2 { stroke: #1a7f37 } .c3 { stroke: #8250df } .c4 { stroke: #cf222e }
      .c5 { stroke: #7d6b00 } .c6 { stroke: #0a7e8c }
      @media (prefers-color-scheme: light) { text { fill: #1f2328 } }
      @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 } .c0 { stroke: #58a6ff } .c1 { stroke: #f0883e } .c2 { stroke: #3fb950 } .c3 { stroke: #bc8cff }
      .c4 { stroke: #ff7b72 } .c5 { stroke: #d4b72c } .c6 { stroke: #39c5cf } }
      </style>

      """
    for (index, panel) in panels.enumerated() {
      out += "<g transform=\"translate(\(Int(Self.width) * index) 0)\">\n" + draw(panel) + "</g>\n"
    }
    out += "<text class=\"small\" x=\"14\" y=\"\(Int(total.height) - 9)\">\(Self.escaped(note))</text>\n</svg>\n"
    return out
  }

  private func draw(_ panel: Panel) -> String {
    let plot = (
      x: Self.margin.left, y: Self.margin.top, width: Self.width - Self.margin.left - Self.margin.right,
      height: Self.height - Self.margin.top - Self.margin.bottom
    )
    // Decades that hold all the values.
    let values = panel.curves.flatMap { $0.points.map(\.y) }.filter { $0 > 0 }
    let low = (values.min() ?? 1).logarithm.rounded(.down)
    let high = max(low + 1, (values.max() ?? 10).logarithm.rounded(.up))
    func y(_ value: Double) -> Double { plot.y + plot.height * (1 - (max(value, 1e-9).logarithm - low) / (high - low)) }
    func x(_ value: Double) -> Double { plot.x + plot.width * panel.x.place(value) }
    func f(_ value: Double) -> String { Statistics.text(value, 1) }

    var out = "<text class=\"title\" x=\"\(f(plot.x))\" y=\"24\">\(Self.escaped(panel.title))</text>\n"
    for decade in Int(low)...Int(high) {
      let value = Double(decade).powerOfTen
      out +=
        "<line class=\"grid\" x1=\"\(f(plot.x))\" x2=\"\(f(plot.x + plot.width))\" y1=\"\(f(y(value)))\" y2=\"\(f(y(value)))\"/>"
      out += "<text x=\"\(f(plot.x - 8))\" y=\"\(f(y(value) + 4))\" text-anchor=\"end\">\(Self.label(value))</text>\n"
      if decade < Int(high) {
        for step in 2...9 {
          let minor = y(value * Double(step))
          out +=
            "<line class=\"grid\" x1=\"\(f(plot.x))\" x2=\"\(f(plot.x + 5))\" y1=\"\(f(minor))\" y2=\"\(f(minor))\"/>"
        }
        out += "\n"
      }
    }
    for mark in panel.x.marks {
      out +=
        "<line class=\"grid\" x1=\"\(f(x(mark.value)))\" x2=\"\(f(x(mark.value)))\" y1=\"\(f(plot.y))\" y2=\"\(f(plot.y + plot.height))\"/>"
      out +=
        "<text x=\"\(f(x(mark.value)))\" y=\"\(f(plot.y + plot.height + 18))\" text-anchor=\"middle\">\(Self.escaped(mark.text))</text>\n"
    }
    out +=
      "<rect class=\"axis\" x=\"\(f(plot.x))\" y=\"\(f(plot.y))\" width=\"\(f(plot.width))\" height=\"\(f(plot.height))\"/>\n"
    out +=
      "<text x=\"\(f(plot.x + plot.width / 2))\" y=\"\(f(plot.y + plot.height + 38))\" text-anchor=\"middle\">\(Self.escaped(panel.x.title))</text>\n"
    let middle = plot.y + plot.height / 2
    out +=
      "<text x=\"16\" y=\"\(f(middle))\" text-anchor=\"middle\" transform=\"rotate(-90 16 \(f(middle)))\">µs, from when the tick was due</text>\n"
    for (index, curve) in panel.curves.enumerated() {
      let style = "curve c\(curve.colour)\(curve.isDashed ? " dashed" : "")"
      let points = curve.points.map { "\(f(x($0.x))),\(f(y($0.y)))" }.joined(separator: " ")
      out += "<polyline class=\"\(style)\" points=\"\(points)\"/>\n"
      for point in curve.points where !curve.isDashed {
        out += "<circle class=\"curve c\(curve.colour)\" cx=\"\(f(x(point.x)))\" cy=\"\(f(y(point.y)))\" r=\"2.5\"/>"
      }
      let place = Self.height + 8 + Double(index) * Self.legendLine
      out +=
        "\n<line class=\"\(style)\" x1=\"\(f(plot.x))\" x2=\"\(f(plot.x + 30))\" y1=\"\(f(place))\" y2=\"\(f(place))\"/>"
      out += "<text class=\"small\" x=\"\(f(plot.x + 38))\" y=\"\(f(place + 4))\">\(Self.escaped(curve.name))</text>\n"
    }
    return out
  }

  private static func label(_ value: Double) -> String {
    value >= 1 ? thousands(Int(value)) : Statistics.text(value, value >= 0.1 ? 1 : 2)
  }

  private static func escaped(_ text: String) -> String {
    text.map { $0 == "&" ? "&amp;" : $0 == "<" ? "&lt;" : $0 == ">" ? "&gt;" : String($0) }.joined()
  }

  /// Percentiles by how rare what lies above them is: each decade takes as much room.
  static var percentiles: Axis {
    Axis(
      title: "percentile", marks: [(50, "50"), (90, "90"), (99, "99"), (99.9, "99.9"), (99.99, "99.99")],
      place: { (-((100 - $0) / 50).logarithm) / (5000.0).logarithm })
  }

  static func instruments(upTo most: Double) -> Axis {
    Axis(
      title: "instruments in a lane", marks: [(1, "1"), (8, "8"), (64, "64"), (512, "512")].filter { $0.0 <= most },
      place: { $0.logarithm / most.logarithm * 0.96 + 0.02 })
  }
}
