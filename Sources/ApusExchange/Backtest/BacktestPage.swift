/// A backtest's report as one HTML page that needs nothing from outside.
///
/// The report's JSON lies in the page, in the element `data`; a small script draws it on canvases.
extension BacktestReport {
  /// Fills beyond this many are thinned out evenly in the page; the JSON and CSV files have all of them.
  static let pageFills = 4000

  /// - Parameter title: For the top of the page.
  public func page(title: String) throws -> [UInt8] {
    var shown = self
    for index in shown.instruments.indices {
      let fills = instruments[index].fills
      guard fills.count > Self.pageFills else { continue }
      shown.instruments[index].fills = (0..<Self.pageFills).map { fills[$0 * fills.count / Self.pageFills] }
    }
    // "</" must not end the script element early.
    let json = String(decoding: try shown.json(), as: UTF8.self).replacing("</", with: "<\\/")
    return Array(
      Self.pageText.replacing("@TITLE@", with: Self.escaped(title)).replacing("@DATA@", with: json).utf8)
  }

  private static func escaped(_ text: String) -> String {
    text.replacing("&", with: "&amp;").replacing("<", with: "&lt;").replacing("\"", with: "&quot;")
  }

  private static let pageText = #"""
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>@TITLE@</title>
    <style>
    :root {
      color-scheme: light dark;
      --page: #f6f7f9; --card: #ffffff; --ink: #1b2430; --soft: #5b6776; --line: #dfe4ea; --grid: #e9edf2;
      --buy: #1766c2; --sell: #c2570c; --buy-soft: #8fb9ea; --sell-soft: #edb489; --good: #14804a; --bad: #b3261e;
      --profit: #3d4b5c; --position: #0d7d7d;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --page: #12161c; --card: #1a2029; --ink: #e6ebf2; --soft: #9aa7b6; --line: #2c3542; --grid: #252d38;
        --buy: #6aaef6; --sell: #f39a55; --buy-soft: #34567f; --sell-soft: #7c4f2c; --good: #52c48a; --bad: #f2837b;
        --profit: #c3cedb; --position: #4cc3c3;
      }
    }
    * { box-sizing: border-box; }
    body { margin: 0; background: var(--page); color: var(--ink);
      font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
    main { max-width: 1180px; margin: 0 auto; padding: 18px 16px 40px; }
    h1 { font-size: 1.3rem; margin: 0 0 2px; overflow-wrap: anywhere; }
    h2 { font-size: 1rem; margin: 0 0 6px; }
    p { margin: 0 0 10px; color: var(--soft); }
    .failure { color: var(--bad); font-weight: 600; }
    .tiles { display: grid; gap: 10px; grid-template-columns: repeat(auto-fit, minmax(132px, 1fr)); margin: 12px 0; }
    .tile, section { background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
    .tile { padding: 9px 12px; }
    .tile b { display: block; font-size: 1.12rem; font-variant-numeric: tabular-nums; white-space: nowrap; }
    .tile span { color: var(--soft); font-size: .82rem; }
    section { padding: 12px 14px; margin: 0 0 12px; }
    .two { display: grid; gap: 12px; grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); }
    .two section { margin: 0 0 12px; }
    @media (max-width: 760px) { .two { grid-template-columns: minmax(0, 1fr); gap: 0; } section { padding: 10px; } }
    canvas { display: block; width: 100%; touch-action: pan-y; }
    .legend { display: flex; flex-wrap: wrap; gap: 2px 14px; font-size: .82rem; color: var(--soft); margin: 0 0 4px; }
    .legend i { display: inline-block; width: 12px; height: 10px; margin-right: 5px; border-radius: 2px; }
    .legend i.line { height: 3px; vertical-align: 3px; }
    .read { min-height: 1.3em; margin-bottom: -6px; font-size: .82rem; color: var(--soft); font-variant-numeric: tabular-nums; }
    nav { display: flex; gap: 6px; flex-wrap: wrap; margin: 0 0 12px; }
    button { font: inherit; font-size: .9rem; color: var(--ink); background: var(--card); border: 1px solid var(--line);
      border-radius: 6px; padding: 4px 12px; cursor: pointer; }
    button[aria-pressed=true] { background: var(--ink); color: var(--card); }
    .scroll { overflow-x: auto; max-height: 420px; }
    table { border-collapse: collapse; width: 100%; font-size: .88rem; font-variant-numeric: tabular-nums; }
    th, td { text-align: right; padding: 4px 8px; border-bottom: 1px solid var(--line); white-space: nowrap; }
    th:first-child, td:first-child { text-align: left; white-space: normal; }
    #fills td:first-child { white-space: nowrap; }
    th { color: var(--soft); font-weight: 500; }
    .good { color: var(--good); } .bad { color: var(--bad); }
    .drag { font-size: .82rem; margin: 4px 0 0; }
    @media (pointer: coarse) { .drag { display: none; } }
    summary { cursor: pointer; font-weight: 600; }
    </style>
    </head>
    <body>
    <main>
    <h1>@TITLE@</h1>
    <p id="how"></p>
    <p id="failure" class="failure" hidden></p>
    <p id="gaps" class="failure" hidden></p>
    <nav id="choice" hidden></nav>
    <div class="tiles" id="tiles"></div>
    <section><h2>Profit, USD</h2><div class="legend"><span><i class="line" style="background:var(--profit)"></i>at the mid, after fees and funding</span>
      <span id="all-legend" hidden><i class="line" style="background:var(--position)"></i>all instruments</span></div>
      <canvas id="profit" height="190"></canvas><div class="read" id="profit-read"></div></section>
    <section><h2>Quotes against the market</h2>
      <div class="legend"><span><i style="background:var(--buy-soft)"></i>others' bid to ask, with the range of the mid</span>
      <span><i class="line" style="background:var(--buy)"></i>own bid</span><span><i class="line" style="background:var(--sell)"></i>own ask</span>
      <span style="color:var(--buy)">▲ bought</span><span style="color:var(--sell)">▼ sold</span><span>hollow: as taker</span></div>
      <canvas id="price" height="320"></canvas><div class="read" id="price-read"></div>
      <p class="drag">Drag over a chart to look closer, click twice for all of it.</p></section>
    <section><h2>Position</h2><canvas id="position" height="150"></canvas><div class="read" id="position-read"></div></section>
    <div class="two">
      <section><h2>Where the profit comes from, USD</h2><canvas id="parts" height="230"></canvas></section>
      <section><h2>Markouts, basis points of the traded value</h2><canvas id="markouts" height="230"></canvas>
        <div class="scroll"><table id="markout-table"></table></div></section>
    </div>
    <section><h2>Figures</h2><div class="scroll" style="max-height:none"><table id="figures"></table></div></section>
    <section><details><summary id="fills-title">Fills</summary><div class="scroll"><table id="fills"></table></div></details></section>
    <p>How the fills were decided, and what is not modelled, is told in the article Backtest of the documentation.</p>
    </main>
    <script type="application/json" id="data">@DATA@</script>
    <script>
    "use strict";
    const R = JSON.parse(document.getElementById("data").textContent);
    const $ = id => document.getElementById(id);
    const T = R.times.map(t => t / 1e9);
    const end = T.length ? T[T.length - 1] : 1;
    let chosen = 0, from = T.length ? T[0] : 0, to = end;
    const color = name => getComputedStyle(document.documentElement).getPropertyValue("--" + name).trim();
    const number = (x, places) => (x < 0 ? "−" : "") + Math.abs(x).toLocaleString("en-US", { minimumFractionDigits: places, maximumFractionDigits: places });
    const signed = (x, places) => (x > 0 ? "+" : "") + number(x, places);
    const usd = e8 => signed(e8 / 1e8, 2);
    const places = step => { let p = 0; while (p < 8 && Math.abs(step - Math.round(step)) > 1e-9) { step *= 10; p++; } return p; };
    const clock = s => {
      const whole = Math.floor(s), h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60, sec = whole % 60;
      const pad = n => String(n).padStart(2, "0");
      return (h ? h + ":" + pad(m) : m) + ":" + pad(sec);
    };
    const seconds = ns => ns >= 6e10 && ns % 6e10 === 0 ? ns / 6e10 + " min" : ns / 1e9 + " s";

    function chart(id, height, draw, read) {
      const canvas = $(id), wide = canvas.clientWidth || canvas.parentElement.clientWidth;
      const ratio = window.devicePixelRatio || 1;
      canvas.width = Math.round(wide * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = height + "px";
      const g = canvas.getContext("2d");
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, wide, height);
      g.font = "12px system-ui, -apple-system, 'Segoe UI', Roboto, 'DejaVu Sans', sans-serif";
      draw(g, wide, height);
    }

    function steps(low, high, count) {
      const span = high - low || 1, raw = span / count, power = Math.pow(10, Math.floor(Math.log10(raw)));
      const step = [1, 2, 5, 10].map(f => f * power).find(s => s >= raw * .8) || 10 * power;
      const list = [];
      for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) list.push(v);
      return { list, step };
    }

    // Axes of a chart over time; returns the mappings of time and value.
    function axes(g, wide, high, low, top, label) {
      const pad = (top - low || Math.abs(top) || 1) * .06;
      low -= pad; top += pad;
      const marks = steps(low, top, Math.max(4, Math.round(high / 45)));
      const texts = marks.list.map(v => label(v, marks.step));
      const left = Math.ceil(Math.max(...texts.map(t => g.measureText(t).width), 20)) + 10, bottom = 20, right = 8;
      const x = t => left + (t - from) / (to - from || 1) * (wide - left - right);
      const y = v => (high - bottom) - (v - low) / (top - low) * (high - bottom - 6);
      g.strokeStyle = color("grid"); g.fillStyle = color("soft"); g.lineWidth = 1;
      g.textAlign = "right"; g.textBaseline = "middle";
      marks.list.forEach((v, i) => { g.beginPath(); g.moveTo(left, Math.round(y(v)) + .5); g.lineTo(wide - right, Math.round(y(v)) + .5); g.stroke(); g.fillText(texts[i], left - 6, y(v)); });
      const nice = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400];
      const wanted = (to - from) / Math.max(2, Math.floor((wide - left) / 90));
      const step = nice.find(s => s >= wanted) || 86400;
      g.textAlign = "center"; g.textBaseline = "alphabetic";
      for (let t = Math.ceil(from / step) * step; t <= to; t += step) {
        if (x(t) < left + 14 || x(t) > wide - 18) continue;
        g.fillText(clock(t), x(t), high - 5);
      }
      g.save(); g.beginPath(); g.rect(left, 0, wide - left - right, high - bottom + 1); g.clip();
      return { x, y, left, right, bottom };
    }

    // First and last place of what is in view, one more on each side.
    function view() {
      let a = T.findIndex(t => t >= from), b = T.length - 1;
      if (a < 0) a = T.length - 1;
      while (b > 0 && T[b] > to) b--;
      return [Math.max(0, a - 1), Math.min(T.length - 1, b + 1)];
    }

    function range(list, zero) {
      let low = zero ? 0 : Infinity, high = zero ? 0 : -Infinity;
      for (const v of list) if (v !== null) { if (v < low) low = v; if (v > high) high = v; }
      if (low === Infinity) { low = 0; high = 1; }
      if (low === high) { const d = Math.abs(low) * 1e-6 || 1; low -= d; high += d; }
      return [low, high];
    }

    // A line in steps, or from point to point; broken where there is no value.
    function line(g, m, a, b, value, style, width, isStepped) {
      g.strokeStyle = style; g.lineWidth = width; g.beginPath();
      let last = null;
      for (let i = a; i <= b; i++) {
        const v = value(i);
        if (v === null) { last = null; continue; }
        if (last === null) g.moveTo(m.x(T[i]), m.y(v));
        else { if (isStepped) g.lineTo(m.x(T[i]), m.y(last)); g.lineTo(m.x(T[i]), m.y(v)); }
        last = v;
      }
      g.stroke();
    }

    function drawAll() {
      const I = R.instruments[chosen], S = I.series, tick = I.tickE8 / 1e8, lot = I.lotE8 / 1e8;
      const pricePlaces = places(tick), lotPlaces = places(lot);
      const [a, b] = view();
      const profit = i => S.profitE8[i] / 1e8, isOne = R.instruments.length === 1;
      const all = i => R.instruments.reduce((sum, k) => sum + k.series.profitE8[i], 0) / 1e8;
      const label = (v, step) => number(v, Math.max(0, -Math.floor(Math.log10(step) + 1e-9)));
      const shown = []; for (let i = a; i <= b; i++) shown.push(i);

      chart("profit", 190, (g, w, h) => {
        const [low, top] = range(isOne ? shown.map(profit) : shown.map(profit).concat(shown.map(all)), true);
        const m = axes(g, w, h, low, top, label);
        g.strokeStyle = color("soft"); g.lineWidth = 1; g.beginPath(); g.moveTo(m.left, Math.round(m.y(0)) + .5); g.lineTo(w - m.right, Math.round(m.y(0)) + .5); g.stroke();
        if (!isOne) line(g, m, a, b, all, color("position"), 1.2, false);
        line(g, m, a, b, profit, color("profit"), 1.6, false);
        g.restore();
        maps.profit = { m, text: i => "profit " + signed(profit(i), 2) + " USD" + (isOne ? "" : ", all instruments " + signed(all(i), 2)) };
      });

      const own = (list, i) => list[i] ? list[i] * tick : null;
      const others = (list, i) => list[i] ? list[i] * tick : null;
      const fills = I.fills.filter(f => f.time / 1e9 >= from && f.time / 1e9 <= to);
      chart("price", 320, (g, w, h) => {
        const all = [];
        for (const i of shown) all.push(others(S.bid, i), others(S.ask, i), own(S.ownBid, i), own(S.ownAsk, i), S.low[i] ? S.low[i] * tick / 2 : null, S.high[i] ? S.high[i] * tick / 2 : null);
        for (const f of fills) all.push(f.priceE8 / 1e8);
        const [low, top] = range(all, false);
        const m = axes(g, w, h, low, top, label);
        g.fillStyle = color("buy-soft"); g.globalAlpha = .75; g.beginPath();
        const up = [], down = [];
        for (const i of shown) if (S.bid[i] && S.ask[i]) { up.push([m.x(T[i]), m.y(Math.max(S.ask[i], S.high[i] / 2) * tick)]); down.push([m.x(T[i]), m.y(Math.min(S.bid[i], S.low[i] / 2) * tick)]); }
        up.forEach((p, i) => i ? g.lineTo(...p) : g.moveTo(...p)); down.reverse().forEach(p => g.lineTo(...p)); g.closePath(); g.fill(); g.globalAlpha = 1;
        g.strokeStyle = color("buy-soft"); g.lineWidth = 1; g.stroke();
        line(g, m, a, b, i => own(S.ownBid, i), color("buy"), 1, true);
        line(g, m, a, b, i => own(S.ownAsk, i), color("sell"), 1, true);
        const r = fills.length > 1500 ? 2.5 : fills.length > 300 ? 3.5 : 5;
        for (const f of fills) {
          const x = m.x(f.time / 1e9), y = m.y(f.priceE8 / 1e8), d = f.isBuy ? 1 : -1;
          g.beginPath(); g.moveTo(x, y); g.lineTo(x - r, y + d * 1.7 * r); g.lineTo(x + r, y + d * 1.7 * r); g.closePath();
          g.fillStyle = g.strokeStyle = color(f.isBuy ? "buy" : "sell"); g.lineWidth = 1;
          if (f.isMaker) { g.fill(); g.strokeStyle = color("card"); g.lineWidth = .6; }
          g.stroke();
        }
        g.restore();
        const price = v => v === null ? "none" : number(v, pricePlaces);
        maps.price = { m, text: i => "market " + price(others(S.bid, i)) + " / " + price(others(S.ask, i)) + ", own " + price(own(S.ownBid, i)) + " / " + price(own(S.ownAsk, i)) };
      });

      chart("position", 150, (g, w, h) => {
        const at = i => S.position[i] * lot;
        const [low, top] = range(shown.map(at), true);
        const m = axes(g, w, h, low, top, label);
        g.fillStyle = color("position"); g.globalAlpha = .25; g.beginPath(); g.moveTo(m.x(T[a] || 0), m.y(0));
        for (let i = a; i <= b; i++) { if (i > a) g.lineTo(m.x(T[i]), m.y(at(i - 1))); g.lineTo(m.x(T[i]), m.y(at(i))); }
        g.lineTo(m.x(T[b] || 0), m.y(0)); g.closePath(); g.fill(); g.globalAlpha = 1;
        line(g, m, a, b, at, color("position"), 1.3, true);
        g.restore();
        maps.position = { m, text: i => "position " + signed(at(i), lotPlaces) };
      });
    }

    const maps = {};

    // Bars from zero, with their value; two labels a bar.
    function bars(id, height, list, text) {
      chart(id, height, (g, w, h) => {
        const values = list.map(b => b.value).concat(0);
        let low = Math.min(...values), top = Math.max(...values);
        if (low === top) top = 1;
        const up = top > 0 ? 20 : 6, down = (low < 0 ? 22 : 6) + (list.some(b => b.more) ? 34 : 20);
        const y = v => up + (top - v) / (top - low) * (h - up - down);
        const width = w / list.length;
        g.textAlign = "center";
        list.forEach((b, i) => {
          const x = width * (i + .5), half = Math.min(34, width * .32);
          g.fillStyle = color(b.value < 0 ? "bad" : "good");
          g.fillRect(x - half, Math.min(y(0), y(b.value)), 2 * half, Math.max(1, Math.abs(y(b.value) - y(0))));
          g.fillStyle = color("ink"); g.textBaseline = b.value < 0 ? "top" : "bottom";
          g.fillText(b.none ? "none" : text(b.value), x, y(b.value) + (b.value < 0 ? 3 : -3));
          g.fillStyle = color("soft"); g.textBaseline = "alphabetic";
          g.fillText(b.name, x, h - (b.more ? 20 : 5)); if (b.more) g.fillText(b.more, x, h - 5);
        });
        g.strokeStyle = color("soft"); g.lineWidth = 1; g.beginPath(); g.moveTo(0, Math.round(y(0)) + .5); g.lineTo(w, Math.round(y(0)) + .5); g.stroke();
      });
    }

    const figures = () => R.instruments.length === 1 ? R.instruments[0].figures : R.instruments[chosen].figures;
    const basis = m => m.tradedE8 ? m.valueE8 / m.tradedE8 * 1e4 : null;

    function drawBars() {
      const F = figures();
      bars("parts", innerWidth > 760 ? 330 : 230, [
        { name: "spread", value: F.spreadE8 / 1e8 }, { name: "inventory", value: F.inventoryE8 / 1e8 },
        { name: "fees", value: -F.feesE8 / 1e8 }, { name: "funding", value: F.fundingE8 / 1e8 },
        { name: "profit", value: F.profitE8 / 1e8 } ], v => signed(v, Math.abs(v) >= 1000 ? 0 : 2));
      bars("markouts", 230, F.markouts.map(m => ({ name: seconds(m.horizon), more: m.fills + " fills", value: basis(m) || 0, none: !m.fills })), v => signed(v, 2));
    }

    function element(name, text, kind) { const e = document.createElement(name); e.textContent = text; if (kind) e.className = kind; return e; }
    function row(table, cells, head) { const r = table.insertRow(); cells.forEach(c => r.append(Array.isArray(c) ? element(head ? "th" : "td", c[0], c[1]) : element(head ? "th" : "td", c))); }
    const tone = v => v < 0 ? "bad" : v > 0 ? "good" : "";

    function write() {
      const C = R.circumstances, I = R.instruments[chosen], F = figures(), lot = I.lotE8 / 1e8, lots = places(lot);
      $("how").textContent = [clock(C.duration / 1e9) + " of market",
        C.model === "recorded" ? "as recorded" : "queue model " + C.model, C.feedLatency && "feed " + C.feedLatency, C.orderLatency && "orders " + C.orderLatency,
        C.model === "recorded" ? "" : "seed " + C.seed].filter(Boolean).join(" · ");
      if (C.failure) { $("failure").hidden = false; $("failure").textContent = "The run ended early: " + C.failure; }
      if (C.gaps.length) { $("gaps").hidden = false; $("gaps").textContent = "Missing of the journals: " + C.gaps.map(g => g.description).join(". ") + "."; }
      const share = t => F.watched ? (t / F.watched * 100).toFixed(1) + " %" : "none";
      const tiles = [["profit, USD", usd(F.profitE8), tone(F.profitE8)], ["spread captured", usd(F.spreadE8), tone(F.spreadE8)],
        ["inventory", usd(F.inventoryE8), tone(F.inventoryE8)], ["fees paid", number(F.feesE8 / 1e8, 2), ""], ["funding", usd(F.fundingE8), tone(F.fundingE8)],
        ["fills", number(F.makerFills + F.takerFills, 0), ""], ["traded, USD", number(F.tradedE8 / 1e8, 0), ""], ["both sides quoted", share(F.quotedBoth), ""]];
      $("tiles").replaceChildren(...tiles.map(([name, value, kind]) => { const d = element("div", "", "tile"); d.append(element("b", value, kind), element("span", name)); return d; }));
      const mt = $("markout-table"); mt.replaceChildren();
      row(mt, ["after", "fills", "USD", "bp"], true);
      F.markouts.forEach(m => row(mt, [seconds(m.horizon), number(m.fills, 0), [usd(m.valueE8), tone(m.valueE8)], basis(m) === null ? "none" : [signed(basis(m), 3), tone(m.valueE8)]]));
      const ft = $("figures"); ft.replaceChildren();
      const distance = (e8, t) => t ? number(e8 / 1e4, 2) + " bp" : "none";
      const minutes = F.quotedBoth / 6e10;
      const list = [["bid quoted, ask quoted", share(F.quotedBid) + ", " + share(F.quotedAsk)],
        ["mean distance of the best quotes from the mid, bid and ask", distance(F.bidDistanceE8, F.quotedBid) + ", " + distance(F.askDistanceE8, F.quotedAsk)],
        ["fills as maker, as taker", number(F.makerFills, 0) + ", " + number(F.takerFills, 0)],
        ["of it by trades at the price, through it, by quotes", C.model === "recorded" ? "not known" : number(F.queueFills, 0) + ", " + number(F.throughFills, 0) + ", " + number(F.quoteFills, 0)],
        ["bought, sold", number(I.boughtLots * lot, lots) + ", " + number(I.soldLots * lot, lots)],
        ["share of what the market traded", I.marketLots ? ((I.boughtLots + I.soldLots) / I.marketLots * 100).toFixed(2) + " %" : "none"],
        ["position at the end, largest, mean", signed(I.positionLots * lot, lots) + ", " + number(I.largestPositionLots * lot, lots) + ", " + number(I.meanPositionMilliLots * lot / 1000, lots)],
        ["deepest fall of the profit, USD", number(F.drawdownE8 / 1e8, 2)],
        ["order messages, cancels (all instruments)", number(R.messages.orders, 0) + ", " + number(R.messages.cancels, 0)],
        ["order messages for each minute with both sides quoted", minutes ? number(R.messages.orders / minutes, 0) : "none"],
        ["refused, of it for their rate", number(R.messages.refused, 0) + ", " + number(R.messages.violations, 0)],
        ["fees as maker, as taker", C.model === "recorded" ? "as the venue reported" : number(C.makerFeeE6 / 100, 2) + " bp, " + number(C.takerFeeE6 / 100, 2) + " bp"]];
      list.forEach(cells => row(ft, cells));
      const fills = $("fills"); fills.replaceChildren();
      $("fills-title").textContent = "Fills (" + I.fills.length + (I.fills.length > 500 ? ", the first 500 shown" : "") + ")";
      row(fills, ["time", "side", "role", "price", "quantity", "fee", "mid", "position"].concat(F.markouts.map(m => "mid after " + seconds(m.horizon))), true);
      const price = e8 => number(e8 / 1e8, places(I.tickE8 / 2e8));
      I.fills.slice(0, 500).forEach(f => row(fills, [clock(f.time / 1e9) + "." + String(Math.floor(f.time / 1e6) % 1000).padStart(3, "0"), f.isBuy ? "buy" : "sell", f.isMaker ? "maker" : "taker",
        price(f.priceE8), number(f.lots * lot, lots), number(f.feeE8 / 1e8, 4), price(f.midE8), signed(f.positionAfter * lot, lots)].concat(f.midsAfter.map(m => m === null ? "" : price(m)))));
    }

    function choose(index) {
      chosen = index;
      document.querySelectorAll("#choice button").forEach((b, i) => b.setAttribute("aria-pressed", i === index));
      write(); drawAll(); drawBars();
    }

    function nearest(t) { let low = 0, high = T.length - 1; while (low < high) { const mid = (low + high) >> 1; if (T[mid] < t) low = mid + 1; else high = mid; } return low; }

    for (const id of ["profit", "price", "position"]) {
      const canvas = $(id); let start = null;
      const time = e => { const m = maps[id].m, box = canvas.getBoundingClientRect(); return from + (e.clientX - box.left - m.left) / (box.width - m.left - m.right) * (to - from); };
      canvas.addEventListener("pointermove", e => { if (!T.length) return; const i = nearest(time(e)); $(id + "-read").textContent = clock(T[i]) + "  " + maps[id].text(i); });
      canvas.addEventListener("pointerleave", () => { $(id + "-read").textContent = ""; });
      canvas.addEventListener("pointerdown", e => { if (e.pointerType === "mouse") start = time(e); });
      window.addEventListener("pointerup", e => {
        if (start === null) return;
        const stop = time(e), low = Math.max(T[0], Math.min(start, stop)), high = Math.min(end, Math.max(start, stop));
        start = null;
        if (high - low > (to - from) / 100) { from = low; to = high; drawAll(); }
      });
      canvas.addEventListener("dblclick", () => { from = T[0]; to = end; drawAll(); });
    }
    if (R.instruments.length > 1) {
      $("choice").hidden = $("all-legend").hidden = false;
      R.instruments.forEach((k, i) => { const b = element("button", k.name); b.addEventListener("click", () => choose(i)); $("choice").append(b); });
    }
    window.addEventListener("resize", () => { drawAll(); drawBars(); });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { drawAll(); drawBars(); });
    choose(0);
    document.documentElement.dataset.drawn = "yes";
    </script>
    </body>
    </html>

    """#
}
