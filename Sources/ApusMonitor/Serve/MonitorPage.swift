/// The dashboard: one page with its style and its script, and without anything from elsewhere.
///
/// It polls `/api/view` once a second; `/api/history` gives it the past when it is opened. A figure that is also in
/// `/metrics` carries that name in `data-metric`, so that a test can compare the two.
enum MonitorPage {
  static let html = #"""
    <!doctype html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="color-scheme" content="light dark">
    <title>apus monitor</title>
    <link rel="icon" href="data:,">
    <style>
    :root{
      --page:#f4f5f7;--card:#fff;--line:#d5d9e0;--text:#171b21;--soft:#545d6b;--grid:#e6e9ee;
      --a:#0a5fc2;--b:#a84b00;--c:#04714f;--d:#9223a8;--band:#0a5fc21f;
      --good:#04714f;--warn:#8a5200;--bad:#b3161b;--goodbg:#dff4ea;--warnbg:#fdf0d8;--badbg:#fde4e4;--focus:#0a5fc2;
    }
    @media (prefers-color-scheme:dark){:root{
      --page:#0f1216;--card:#181d23;--line:#2f3742;--text:#e8ebf0;--soft:#a3adba;--grid:#262d36;
      --a:#72b4ff;--b:#ffae66;--c:#52d6a6;--d:#e49cf5;--band:#72b4ff26;
      --good:#52d6a6;--warn:#ffc266;--bad:#ff8f8f;--goodbg:#12372b;--warnbg:#3c2d10;--badbg:#451c1e;--focus:#72b4ff;
    }}
    *{box-sizing:border-box}
    html{-webkit-text-size-adjust:100%}
    body{margin:0;background:var(--page);color:var(--text);font:15px/1.45 system-ui,"DejaVu Sans",sans-serif;
      font-variant-numeric:tabular-nums}
    a{color:var(--a)}
    :focus-visible{outline:3px solid var(--focus);outline-offset:2px;border-radius:4px}
    .hidden{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
    .skip:focus{position:static;width:auto;height:auto;clip-path:none;display:block;padding:.5rem 1rem}
    header,main,footer{max-width:1500px;margin:0 auto;padding:0 1rem}
    header{padding-top:.8rem;display:flex;flex-wrap:wrap;gap:.4rem 1rem;align-items:center}
    h1{font-size:1.2rem;margin:0;letter-spacing:-.01em}
    h2{font-size:.95rem;margin:0 0 .5rem}
    h3{font-size:.85rem;margin:0;font-weight:600}
    .chip{display:inline-block;padding:.1rem .6rem;border-radius:1rem;font-weight:600;font-size:.85rem;border:1px solid transparent;
      background:var(--grid)}
    .good{color:var(--good);background:var(--goodbg)}.warn{color:var(--warn);background:var(--warnbg)}
    .bad{color:var(--bad);background:var(--badbg)}
    .tools{margin-left:auto;display:flex;gap:.5rem;align-items:center;flex-wrap:wrap}
    select,button,input{font:inherit;font-size:.85rem;color:inherit;background:var(--card);border:1px solid var(--soft);border-radius:6px;
      padding:.3rem .5rem;min-height:2.1rem}
    #facts{flex-basis:100%;color:var(--soft);font-size:.85rem;min-height:1.4em}
    main{display:grid;gap:.8rem;padding-top:.6rem;padding-bottom:1rem;grid-template-columns:repeat(12,minmax(0,1fr))}
    section{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:.7rem .8rem;grid-column:span 6;min-width:0}
    .wide{grid-column:1/-1}.third{grid-column:span 4}
    @media (max-width:1100px){.third{grid-column:span 6}}
    @media (max-width:760px){section,.third{grid-column:1/-1}.tools{margin-left:0}header,main,footer{padding-left:.6rem;padding-right:.6rem}}
    .tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(8rem,1fr));gap:.5rem .9rem;margin:0}
    .tiles div{min-width:0}
    .tiles dt{color:var(--soft);font-size:.8rem}
    .tiles dd{margin:0;font-size:1.25rem;font-weight:650;white-space:nowrap;overflow:hidden;text-overflow:ellipsis;line-height:1.3}
    .tiles small{display:block;font-size:.78rem;font-weight:400;color:var(--soft);overflow:hidden;text-overflow:ellipsis;min-height:1.3em}
    .scroll{overflow:auto;position:relative}
    .tall{height:8.2rem}
    .many{max-height:26rem}
    .log{height:12.6rem}
    table{border-collapse:collapse;width:100%;font-size:.83rem}
    th,td{padding:.22rem .38rem;text-align:right;white-space:nowrap;border-bottom:1px solid var(--grid)}
    thead th{color:var(--soft);font-weight:600;position:sticky;top:0;background:var(--card)}
    tbody th,thead th:first-child{text-align:left;font-weight:600;position:sticky;left:0;background:var(--card)}
    td.left{text-align:left;max-width:20rem;white-space:normal}
    td.on{color:var(--bad);font-weight:650}
    ul,ol{margin:0;padding:0;list-style:none}
    #alerts li{padding:.35rem .1rem;border-bottom:1px solid var(--grid)}
    #ladder{display:flex;flex-wrap:wrap;gap:.3rem;margin-bottom:.45rem}
    #ladder li{border:1px solid var(--line);border-radius:6px;padding:.08rem .5rem;font-size:.82rem;color:var(--soft)}
    #ladder li[aria-current]{font-weight:700;border-color:currentColor}
    #halt{font-size:.85rem;margin:0;min-height:4.2em;overflow-wrap:anywhere}
    .turns{margin-top:.5rem}
    #events li,.turns li{display:grid;grid-template-columns:6.2em 1fr;gap:.5rem;font-size:.83rem;padding:.16rem 0;border-bottom:1px solid var(--grid);
      overflow-wrap:anywhere}
    time,.soft{color:var(--soft)}
    figure{margin:0}
    figcaption{display:flex;flex-wrap:wrap;gap:.1rem .9rem;align-items:baseline;font-size:.8rem;min-height:1.5em}
    .key{display:inline-flex;gap:.35rem;align-items:center;white-space:nowrap}
    .key b{font-weight:600;min-width:5.2ch;display:inline-block}
    .key svg{flex:none}
    svg.plot{display:block;width:100%;height:190px;touch-action:pan-y}
    svg text{fill:var(--soft);font-size:11px}
    .axis{stroke:var(--grid)}.cursor{stroke:var(--soft);stroke-dasharray:2 3}
    .pair{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:.7rem}
    @media (max-width:760px){.pair{grid-template-columns:1fr}}
    #rollout-state{margin:0 0 .5rem;overflow-wrap:anywhere}
    .split{display:grid;grid-template-columns:1fr;gap:.7rem}
    footer{color:var(--soft);font-size:.82rem;padding-bottom:1.5rem}
    dialog{border:1px solid var(--line);border-radius:10px;background:var(--card);color:inherit;max-width:24rem}
    @media (max-width:760px){.tall{height:9rem}}
    dialog label{display:block;margin-bottom:.6rem}dialog input{width:100%}
    </style>
    </head>
    <body>
    <a class="hidden skip" href="#main">Skip to the figures</a>
    <header>
      <h1 id="name">apus</h1>
      <span id="state" class="chip" role="status">waiting for the first figures</span>
      <div class="tools">
        <label id="lanebox" hidden>Lane <select id="lane"></select></label>
        <label>Time shown <select id="range"><option value="60">1 min</option><option value="300" selected>5 min</option><option value="900">15 min</option></select></label>
        <button id="hold" type="button" aria-pressed="false">Hold</button>
      </div>
      <div id="facts"></div><div id="told" class="hidden" aria-live="polite"></div>
    </header>
    <main id="main" tabindex="-1">
      <section class="wide" aria-labelledby="h-now"><h2 id="h-now" class="hidden">Now</h2><dl class="tiles" id="tiles"></dl></section>
      <section class="wide" id="several" aria-labelledby="h-venues" hidden><h2 id="h-venues">Venues</h2>
        <div class="scroll" tabindex="0" role="region" aria-labelledby="h-venues"><table id="venues"></table></div></section>
      <section class="wide" id="rollout" aria-labelledby="h-rollout" hidden><h2 id="h-rollout">Rollout</h2>
        <p id="rollout-state"></p><div class="pair">
        <div class="scroll many" tabindex="0" role="region" aria-label="Figures of both releases"><table id="releases"></table></div>
        <div><div class="scroll many" tabindex="0" role="region" aria-label="Gates of the rollout"><table id="gates"></table></div>
        <ol id="turns" class="turns" aria-label="Last turns of the rollout, newest first"></ol></div></div></section>
      <section aria-labelledby="h-alerts"><h2 id="h-alerts">Alerts</h2>
        <div class="scroll tall" tabindex="0" role="region" aria-label="Alerts that fire"><ul id="alerts" aria-live="polite"><li class="soft">No alert fires.</li></ul></div></section>
      <section aria-labelledby="h-ladder"><h2 id="h-ladder">Kill ladder</h2>
        <div class="tall scroll" tabindex="0" role="region" aria-labelledby="h-ladder"><ol id="ladder" aria-label="Levels of the kill ladder"></ol><p id="halt"></p></div></section>
      <section class="wide" aria-labelledby="h-market"><h2 id="h-market">Quotes against the market</h2>
        <label>Instrument <select id="instrument"></select></label><div class="split"><div id="c-market"></div>
        <div><h3>Distance from the middle of the market</h3><div id="c-distance"></div></div></div></section>
      <section class="wide" aria-labelledby="h-instruments"><h2 id="h-instruments">Instruments</h2>
        <div class="scroll many" tabindex="0" role="region" aria-labelledby="h-instruments"><table id="instruments"></table></div></section>
      <section aria-labelledby="h-position"><h2 id="h-position">Position</h2><div id="c-position"></div></section>
      <section aria-labelledby="h-pnl"><h2 id="h-pnl">Result after fees</h2><div id="c-pnl"></div></section>
      <section aria-labelledby="h-latency"><h2 id="h-latency">Latency</h2>
        <label>Span <select id="span"></select></label><div id="c-latency"></div></section>
      <section aria-labelledby="h-spans"><h2 id="h-spans">Latency by span, last ten seconds</h2>
        <div class="scroll" tabindex="0" role="region" aria-labelledby="h-spans"><table id="spans"></table></div></section>
      <section aria-labelledby="h-flow"><h2 id="h-flow">Throughput</h2><div class="split"><div id="c-frames"></div><div id="c-bytes"></div></div></section>
      <section aria-labelledby="h-orders"><h2 id="h-orders">Order flow</h2><div id="c-orders"></div></section>
      <section aria-labelledby="h-budget"><h2 id="h-budget">Message budget</h2><div id="c-budget"></div></section>
      <section aria-labelledby="h-volume"><h2 id="h-volume">Trading volume</h2><div id="c-volume"></div></section>
      <section aria-labelledby="h-errors"><h2 id="h-errors">Errors</h2><div class="split"><div id="c-errors"></div>
        <div class="scroll" tabindex="0" role="region" aria-label="Counts of errors"><table id="errors"></table></div></div></section>
      <section aria-labelledby="h-process"><h2 id="h-process">Engine process</h2><div class="split"><div id="c-cpu"></div>
        <div class="scroll" tabindex="0" role="region" aria-label="Threads of the engine"><table id="threads"></table></div>
        <dl class="tiles" id="process"></dl></div></section>
      <section class="wide" aria-labelledby="h-events"><h2 id="h-events">Last events</h2>
        <div class="scroll log" tabindex="0" role="region" aria-label="Last events, newest first"><ol id="events"></ol></div></section>
    </main>
    <footer>Charts: move the pointer over one, or focus it and use the arrow keys; Escape lets go. Data: <a href="/metrics">/metrics</a>, <a href="/api/view">/api/view</a>, <a href="/healthz">/healthz</a>.</footer>
    <dialog id="ask" aria-labelledby="ask-label"><label id="ask-label" for="token">This monitor wants its token.</label><input id="token" type="password" autocomplete="off"><p><button id="enter" type="button">Go on</button></p></dialog>
    <script>
    "use strict";
    const $ = id => document.getElementById(id);
    const DASH = "–";

    /* ---- Text. ---- */
    function put(node, text) { if (node.textContent !== text) node.textContent = text; }
    function group(value, digits) {
      return value.toLocaleString("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits});
    }
    function number(value, digits = 0) { return value == null || !isFinite(value) ? DASH : group(value, digits); }
    function signed(value, digits) { return value == null ? DASH : (value > 0 ? "+" : "") + group(value, digits); }
    function brief(value) {
      if (value == null || !isFinite(value)) return DASH;
      const size = Math.abs(value);
      if (size >= 1e9) return (value / 1e9).toFixed(2) + " G";
      if (size >= 1e6) return (value / 1e6).toFixed(2) + " M";
      if (size >= 1e4) return (value / 1e3).toFixed(1) + " k";
      if (size >= 100 || value === Math.round(value)) return group(Math.round(value), 0);
      return value.toFixed(size >= 10 ? 1 : 2);
    }
    function span3(value) { return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2); }
    function duration(ns) {
      if (ns == null || !isFinite(ns)) return DASH;
      if (ns < 1e3) return ns.toFixed(0) + " ns";
      if (ns < 999.5e3) return span3(ns / 1e3) + " µs";
      if (ns < 999.5e6) return span3(ns / 1e6) + " ms";
      return span3(ns / 1e9) + " s";
    }
    function bytes(value) {
      if (value == null) return DASH;
      const units = ["B", "KiB", "MiB", "GiB", "TiB"];
      let place = 0;
      while (value >= 1024 && place < 4) { value /= 1024; place++; }
      return (place ? span3(value) : value) + " " + units[place];
    }
    function ago(seconds) {
      if (seconds == null) return DASH;
      if (seconds < 60) return seconds.toFixed(seconds < 10 ? 1 : 0) + " s";
      if (seconds < 3600) return Math.floor(seconds / 60) + " min " + Math.floor(seconds % 60) + " s";
      if (seconds < 86400) return Math.floor(seconds / 3600) + " h " + Math.floor(seconds % 3600 / 60) + " min";
      return Math.floor(seconds / 86400) + " d " + Math.floor(seconds % 86400 / 3600) + " h";
    }
    function words(name) { return name.replaceAll("_", " "); }
    function title(name) { const text = words(name); return text[0].toUpperCase() + text.slice(1); }
    function label(text) { return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n"); }
    /* The name of the same figure in /metrics, which a test compares with what is shown. */
    function metric(name, labels) {
      return name + "{" + Object.entries(labels).map(([key, value]) => `${key}="${label(value)}"`).join(",") + "}";
    }

    /* ---- Tables: rows and cells are made once and then only filled. ---- */
    function table(node, caption, columns) {
      node.innerHTML = "";
      const head = node.createCaption();
      head.className = "hidden";
      head.textContent = caption;
      const row = node.createTHead().insertRow();
      for (const column of columns) {
        const cell = document.createElement("th");
        cell.scope = "col";
        cell.textContent = column;
        row.append(cell);
      }
      const body = node.createTBody();
      return rows => {
        while (body.rows.length > rows.length) body.deleteRow(-1);
        rows.forEach((cells, place) => {
          let line = body.rows[place];
          if (!line) {
            line = body.insertRow();
            cells.forEach((_, column) => {
              const cell = document.createElement(column ? "td" : "th");
              if (!column) cell.scope = "row";
              line.append(cell);
            });
          }
          cells.forEach((cell, column) => fill(line.cells[column], cell));
        });
      };
    }
    /* A cell is a text, or {text, of: name in /metrics, less: another, value, on, left}. */
    function fill(node, cell) {
      if (typeof cell === "string") return put(node, cell);
      put(node, cell.text);
      node.classList.toggle("on", !!cell.on);
      if (cell.left) node.classList.add("left");
      if (cell.of) {
        node.dataset.metric = cell.of;
        if (cell.less) node.dataset.less = cell.less;
        node.dataset.value = cell.value ?? "";
      }
    }
    function tiles(node, list) {
      list.forEach(([name, cell, note], place) => {
        let box = node.children[place];
        if (!box) {
          box = document.createElement("div");
          box.innerHTML = "<dt></dt><dd><span></span><small></small></dd>";
          node.append(box);
        }
        put(box.firstChild, name);
        fill(box.lastChild.firstChild, cell);
        put(box.lastChild.lastChild, note ?? "");
      });
      while (node.children.length > list.length) node.lastChild.remove();
    }
    function choose(node, names, show = name => name) {
      if (names.join("\n") === node.dataset.names) return;
      const chosen = node.value;
      node.dataset.names = names.join("\n");
      node.innerHTML = "";
      for (const name of names) node.append(new Option(show(name), name));
      if (names.includes(chosen)) node.value = chosen;
    }

    /* ---- History: times, and for each name as many values. ---- */
    const LIMIT = 900;
    let times = [];
    let columns = new Map();
    function append(at, sample) {
      if (times.length && at <= times[times.length - 1]) return;
      times.push(at);
      for (const [name, value] of Object.entries(sample)) {
        if (!columns.has(name)) columns.set(name, new Array(times.length - 1).fill(null));
        columns.get(name).push(value);
      }
      for (const column of columns.values()) while (column.length < times.length) column.push(null);
      const extra = times.length - LIMIT;
      if (extra > 0) {
        times.splice(0, extra);
        for (const column of columns.values()) column.splice(0, extra);
      }
    }
    const column = name => columns.get(name) ?? [];

    /* ---- Charts. ---- */
    const INKS = ["var(--a)", "var(--b)", "var(--c)", "var(--d)"];
    const DASHES = ["", "7 3", "2 3", "9 3 2 3"];
    const LEFT = 58, RIGHT = 8, TOP = 8, BOTTOM = 20, HEIGHT = 190;
    const plots = [];
    function niceStep(size) {
      const power = 10 ** Math.floor(Math.log10(size));
      return [1, 2, 5, 10].map(step => step * power).find(step => step >= size * .999);
    }
    /* series(): [{name, column, ink, dash, width}], marks(): [{at, value, up}], band: two columns. */
    class Plot {
      constructor(place, name, {series, format, log = false, zero = false, marks = null, band = null}) {
        Object.assign(this, {name, series, format, log, zero, marks, band, cursor: null});
        const figure = document.createElement("figure");
        figure.innerHTML = `<figcaption></figcaption><svg class="plot" role="img" tabindex="0"></svg>`;
        place.append(figure);
        [this.keys, this.svg] = figure.children;
        this.svg.addEventListener("pointermove", event => this.point(event));
        this.svg.addEventListener("pointerdown", event => this.point(event));
        this.svg.addEventListener("pointerleave", () => { this.cursor = null; this.draw(); });
        this.svg.addEventListener("keydown", event => this.key(event));
        this.svg.addEventListener("blur", () => { this.cursor = null; this.draw(); });
        plots.push(this);
      }
      bounds() {
        const end = times.at(-1) ?? 0;
        /* Not much empty room before the first figure. */
        return [Math.max(end - Number($("range").value), Math.min(times[0] ?? 0, end - 60)), end];
      }
      point(event) {
        const box = this.svg.getBoundingClientRect(), [from, to] = this.bounds();
        this.cursor = from + (event.clientX - box.left - LEFT) / (box.width - LEFT - RIGHT) * (to - from);
        this.draw();
      }
      key(event) {
        const [from, to] = this.bounds(), step = (to - from) / 60;
        if (event.key === "Escape") this.cursor = null;
        else if (event.key === "ArrowLeft") this.cursor = Math.max(from, (this.cursor ?? to) - step);
        else if (event.key === "ArrowRight") this.cursor = Math.min(to, (this.cursor ?? to) + step);
        else return;
        event.preventDefault();
        this.draw();
        /* For who cannot see the keys above the chart. */
        if (this.cursor != null) put($("told"), this.keys.innerText.replaceAll("\n", " "));
      }
      legend(list, place) {
        if (this.keys.children.length !== list.length) {
          this.keys.innerHTML = "";
          for (const _ of list) {
            const key = document.createElement("span");
            key.className = "key";
            key.innerHTML = `<svg width="26" height="8" aria-hidden="true"><path d="M0 4H26" fill="none"/></svg><span></span><b></b>`;
            this.keys.append(key);
          }
        }
        list.forEach((line, index) => {
          const key = this.keys.children[index], stroke = key.querySelector("path");
          stroke.setAttribute("stroke", line.ink);
          stroke.setAttribute("stroke-dasharray", line.dash);
          stroke.setAttribute("stroke-width", line.width);
          put(key.children[1], line.name);
          put(key.children[2], this.format(place < 0 ? null : line.values[place]));
        });
      }
      draw() {
        const width = this.svg.clientWidth || 300, [from, to] = this.bounds();
        const first = Math.max(0, times.findIndex(time => time >= from));
        const list = this.series().map((line, place) => ({
          ink: INKS[place % 4], dash: DASHES[place % 4], width: 1.8, ...line, values: line.values ?? column(line.column)}));
        let at = times.length - 1;
        if (this.cursor != null) for (at = first; at < times.length - 1 && times[at] < this.cursor;) at++;
        this.legend(list, at);
        let low = Infinity, high = -Infinity;
        for (const line of list) for (let i = first; i < times.length; i++) {
          const value = line.values[i];
          if (value == null || (this.log && value <= 0)) continue;
          if (value < low) low = value;
          if (value > high) high = value;
        }
        const X = time => LEFT + (time - from) / (to - from || 1) * (width - LEFT - RIGHT);
        let parts = [], Y, ticks = [];
        if (low > high) {
          parts.push(`<text x="${width / 2}" y="${HEIGHT / 2}" text-anchor="middle">nothing to draw yet</text>`);
          Y = () => HEIGHT / 2;
        } else if (this.log) {
          low = 10 ** Math.floor(Math.log10(low)); high = 10 ** Math.ceil(Math.log10(high * 1.0001));
          Y = value => TOP + (1 - Math.log(Math.max(value, low) / low) / Math.log(high / low)) * (HEIGHT - TOP - BOTTOM);
          for (let tick = low; tick <= high * 1.001; tick *= 10) ticks.push(tick);
        } else {
          if (this.zero) { low = Math.min(low, 0); high = Math.max(high, 0); }
          if (high - low < Math.abs(high) * 1e-9 || high === low) { const room = Math.abs(high) * .0001 || 1; high += room; if (low !== 0 || !this.zero) low -= room; }
          const step = niceStep((high - low) / 4);
          low = Math.floor(low / step + 1e-9) * step; high = Math.ceil(high / step - 1e-9) * step;
          Y = value => TOP + (1 - (value - low) / (high - low)) * (HEIGHT - TOP - BOTTOM);
          for (let tick = low; tick <= high + step / 2; tick += step) ticks.push(Math.abs(tick) < step / 1e6 ? 0 : tick);
        }
        for (const tick of ticks) {
          const y = Y(tick).toFixed(1);
          parts.push(`<path class="axis" d="M${LEFT} ${y}H${width - RIGHT}"/><text x="${LEFT - 6}" y="${Number(y) + 4}" text-anchor="end">${this.format(tick)}</text>`);
        }
        const range = to - from, step = range <= 60 ? 15 : range <= 300 ? 60 : 180;
        for (let time = Math.ceil(from / step) * step; times.length && time <= to; time += step) {
          const x = X(time);
          if (x > width - 24 || x < LEFT + 14) continue;
          const clock = new Date(time * 1000).toTimeString().slice(0, range <= 60 ? 8 : 5);
          parts.push(`<text x="${x.toFixed(1)}" y="${HEIGHT - 5}" text-anchor="middle">${clock}</text>`);
        }
        const stride = Math.max(1, Math.floor((times.length - first) / (width - LEFT)));
        const trace = (values, stepped) => {
          let path = "", pen = false, last = 0;
          for (let i = first; i < times.length; i += stride) {
            const value = values[i];
            /* A pause of the monitor is a gap. */
            if (value == null || (this.log && value <= 0)) { pen = false; continue; }
            if (pen && times[i] - times[i - stride] > 5 * stride) pen = false;
            const x = X(times[i]).toFixed(1), y = Y(value).toFixed(1);
            path += pen ? (stepped ? `H${x}V${y}` : `L${x} ${y}`) : `M${x} ${y}h.1`;
            pen = true; last = i;
          }
          return path;
        };
        if (this.band && low <= high) {
          const [bids, asks] = this.band().map(column);
          let up = "", down = "";
          for (let i = first; i < times.length; i += stride) {
            if (bids[i] == null || asks[i] == null) continue;
            up += `${up ? "L" : "M"}${X(times[i]).toFixed(1)} ${Y(asks[i]).toFixed(1)}`;
            down = `L${X(times[i]).toFixed(1)} ${Y(bids[i]).toFixed(1)}` + down;
          }
          if (up) parts.push(`<path d="${up}${down}Z" fill="var(--band)"/>`);
        }
        for (const line of list) parts.push(`<path d="${trace(line.values, line.stepped)}" fill="none" stroke="${line.ink}" stroke-width="${line.width}" stroke-dasharray="${line.dash}" stroke-linejoin="round"/>`);
        if (this.marks && low <= high) for (const mark of this.marks(first)) {
          const x = X(mark.at), y = Y(mark.value), turn = mark.up ? 1 : -1;
          parts.push(`<path d="M${x.toFixed(1)} ${(y - 6 * turn).toFixed(1)}l5 ${9 * turn}h-10Z" fill="${mark.up ? "var(--c)" : "var(--d)"}" stroke="var(--card)"/>`);
        }
        if (this.cursor != null && at >= 0) parts.push(`<path class="cursor" d="M${X(times[at]).toFixed(1)} ${TOP}V${HEIGHT - BOTTOM}"/>`);
        this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
        this.svg.innerHTML = parts.join("");
        const told = list.map(line => `${line.name} ${this.format(at < 0 ? null : line.values[at])}`).join(", ");
        this.svg.setAttribute("aria-label", `${this.name} over time; now ${told}`);
      }
    }

    /* ---- What is drawn. ---- */
    let view = null;
    const lane = () => view?.engine.lanes.find(lane => lane.name === $("lane").value) ?? view?.engine.lanes[0];
    const laneName = () => lane()?.name ?? "";
    const chosen = () => lane()?.instruments.find(one => one.name === $("instrument").value) ?? lane()?.instruments[0];
    const ofLane = name => `${laneName()}/${name}`;
    const ofInstrument = name => `${laneName()}/${chosen()?.name ?? ""}/${name}`;
    const price = value => number(value, chosen()?.price_decimals ?? 2);
    const perSecond = value => value == null ? DASH : brief(value) + "/s";
    const lines = list => () => list.map(([name, key]) => ({name, column: ofLane(key)}));
    new Plot($("c-market"), "Quotes against the market", {
      format: price, band: () => [ofInstrument("bid"), ofInstrument("ask")],
      series: () => [
        {name: "our ask", column: ofInstrument("own_ask"), ink: "var(--b)", dash: "", width: 2, stepped: true},
        {name: "market ask", column: ofInstrument("ask"), ink: "var(--a)", dash: "2 2", width: 1.2, stepped: true},
        {name: "market bid", column: ofInstrument("bid"), ink: "var(--a)", dash: "", width: 1.2, stepped: true},
        {name: "our bid", column: ofInstrument("own_bid"), ink: "var(--c)", dash: "", width: 2, stepped: true}],
      marks: first => {
        const [fills, positions, bids, asks] = ["fills", "position", "own_bid", "own_ask"].map(name => column(ofInstrument(name)));
        const marks = [];
        for (let i = Math.max(1, first); i < times.length; i++) {
          if (!(fills[i] > fills[i - 1]) || positions[i] == null || positions[i - 1] == null) continue;
          const up = positions[i] > positions[i - 1];
          const value = up ? bids[i - 1] ?? bids[i] : asks[i - 1] ?? asks[i];
          if (value != null && positions[i] !== positions[i - 1]) marks.push({at: times[i], value, up});
        }
        return marks;
      }});
    /* Beside a market that moves by hundreds, quotes that differ by ticks can only be told apart from its middle. */
    new Plot($("c-distance"), "Distance from the middle of the market", {
      format: value => value == null ? DASH : value.toFixed(Math.min(8, (chosen()?.price_decimals ?? 1) + 1)),
      series: () => {
        const [bids, asks] = ["bid", "ask"].map(name => column(ofInstrument(name)));
        const from = name => column(ofInstrument(name)).map((value, i) =>
          value == null || bids[i] == null || asks[i] == null ? null : value - (bids[i] + asks[i]) / 2);
        return [
          {name: "our ask", values: from("own_ask"), ink: "var(--b)", dash: "", width: 1.8, stepped: true},
          {name: "market ask", values: from("ask"), ink: "var(--a)", dash: "2 2", width: 1.2, stepped: true},
          {name: "market bid", values: from("bid"), ink: "var(--a)", dash: "", width: 1.2, stepped: true},
          {name: "our bid", values: from("own_bid"), ink: "var(--c)", dash: "", width: 1.8, stepped: true}];
      }});
    new Plot($("c-position"), "Position", {
      format: value => value == null ? DASH : value.toFixed(chosen()?.quantity_decimals ?? 3), zero: true,
      series: () => [{name: `${chosen()?.name ?? ""}, contracts`, column: ofInstrument("position"), stepped: true}]});
    new Plot($("c-pnl"), "Result after fees", {
      format: value => number(value, 2), zero: true, series: () => [{name: "all instruments", column: ofLane("pnl")}]});
    new Plot($("c-latency"), "Latency", {
      format: duration, log: true,
      series: () => [["p50", "p50"], ["p99", "p99"], ["p99.9", "p999"], ["max", "max"]]
        .map(([name, key]) => ({name, column: ofLane(`${$("span").value}/${key}`)}))});
    new Plot($("c-frames"), "Frames", {format: perSecond, zero: true,
      series: lines([["frames in", "frames_in"], ["frames out", "frames_out"], ["ticks", "ticks"]])});
    new Plot($("c-bytes"), "Bytes", {format: value => value == null ? DASH : bytes(Math.round(value)) + "/s", zero: true,
      series: lines([["bytes in", "bytes_in"], ["bytes out", "bytes_out"]])});
    new Plot($("c-orders"), "Order messages", {format: perSecond, zero: true,
      series: lines([["inserts", "inserts"], ["amends", "amends"], ["cancels", "cancels"], ["mass quotes", "mass_quotes"]])});
    new Plot($("c-budget"), "Message budget", {format: brief, zero: true,
      series: lines([["messages left", "budget_left"], ["used a second", "messages_used"], ["budget a second", "message_budget"]])});
    new Plot($("c-volume"), "Value traded", {format: brief, series: lines([["value traded", "traded"]])});
    new Plot($("c-errors"), "Errors", {format: perSecond, zero: true,
      series: lines([["venue rejects", "rejects"], ["our refusals", "refusals"], ["other errors", "errors"]])});
    new Plot($("c-cpu"), "CPU", {format: value => value == null ? DASH : (value * 100).toFixed(0) + " %", zero: true,
      series: () => (view?.process?.threads ?? []).map(thread => ({name: thread.name, column: `process/${thread.name}/cpu`}))
        .sort((a, b) => (column(b.column).at(-1) ?? 0) - (column(a.column).at(-1) ?? 0)).slice(0, 4)
        .sort((a, b) => a.name < b.name ? -1 : 1)});

    const showInstruments = table($("instruments"), "Instruments: market, our quotes, position and result", ["Instrument", "State", "Bid",
      "Ask", "Our bid", "Behind, age", "Our ask", "Behind, age", "Position", "Worst", "Limit", "Unproven", "PnL", "Fees",
      "Fills", "Traded", "Quoted", "Tick age"]);
    const showVenues = table($("venues"), "Each venue: state, result, orders and latency", ["Venue", "State", "For", "PnL", "Fees",
      "Fills", "Value", "Orders live", "Unknown", "Budget left", "Rejects", "Tick to order p50", "p99", "Acknowledge p99"]);
    const showSpans = table($("spans"), "Latency of each span", ["Span", "Values", "p50", "p99", "p99.9", "Max"]);
    const showErrors = table($("errors"), "Errors since the start, and a second", ["Kind", "Count", "A second"]);
    const showThreads = table($("threads"), "Threads of the engine", ["Thread", "CPU", "CPU time", "Waits/s", "Preempted/s",
      "Faults/s", "Major"]);
    const ERRORS = ["rejects", "risk_refusals", "edge_refusals", "gaps", "reconnects", "limit_breaches", "rate_violations",
      "refused_late", "messages_throttled", "positions_adjusted", "ring_full", "journal_lost", "watchdog_trips"];
    const STAGES = ["receive", "decode", "decide", "risk", "encode"];
    const LEVELS = ["none", "widen", "no new orders", "cancel all", "flatten", "disconnect"];

    function positionOf(one) {
      if (one.position != null) return signed(one.position, one.quantity_decimals);
      return one.is_handed_over ? "given" : "unknown";
    }
    function cell(text, of, value, more) { return {text, of, value, ...more}; }
    function showInstrumentRows(lane) {
      showInstruments(lane.instruments.map(one => {
        const own = side => ({lane: lane.name, instrument: one.name, side}), labels = {lane: lane.name, instrument: one.name};
        const p = value => number(value, one.price_decimals), q = value => number(value, one.quantity_decimals);
        const quote = (side, name) => [
          cell(p(side?.price), metric("apus_own_price", own(name)), side?.price),
          side ? `${side.distance_bps == null ? DASH : (side.distance_bps || 0).toFixed(2) + " bp"}, ${ago(side.age)}` : DASH];
        return [one.name, {text: one.block ?? "quoted", left: true, on: !!one.block},
          cell(p(one.bid), metric("apus_market_price", own("bid")), one.bid),
          cell(p(one.ask), metric("apus_market_price", own("ask")), one.ask),
          ...quote(one.own_bid, "bid"), ...quote(one.own_ask, "ask"),
          cell(positionOf(one), metric("apus_position_contracts", labels), one.position),
          q(one.worst), cell(q(one.limit), metric("apus_exposure_limit_contracts", labels), one.limit || null),
          {text: q(one.unproven), on: one.unproven > 0},
          cell(signed(one.pnl, 2), metric("apus_pnl", labels), one.pnl, {less: metric("apus_fees", labels)}),
          cell(number(one.fees, 2), metric("apus_fees", labels), one.fees),
          cell(number(one.fills), metric("apus_instrument_fills_total", labels), one.fills),
          cell(number(one.traded, 2), metric("apus_traded_value_total", labels), one.traded),
          one.quoted_share == null ? DASH : (100 * one.quoted_share).toFixed(1) + " %", ago(one.market_age)];
      }));
    }
    const mood = one => one.heartbeat_age > 5 ? "bad" : one.state === "quoting" ? "good" : one.state === "not quoting" ? "bad" : "warn";
    /* Of the whole engine, whichever lane is shown. */
    function stateOf() {
      const {engine} = view, all = engine.lanes;
      if (!engine.is_alive) return ["not running", "bad"];
      if (engine.heartbeat_age > 5 || all.some(one => one.heartbeat_age > 5)) return ["no sign of life", "bad"];
      if (!all.length) return ["starting", "warn"];
      if (all.every(one => one.state === all[0].state)) return [all[0].state, mood(all[0])];
      const others = all.filter(one => one.state !== "quoting");
      return [`${all.length - others.length} of ${all.length} quoting`, others.some(one => mood(one) === "bad") ? "bad" : "warn"];
    }
    function showVenueRows(lanes) {
      $("several").hidden = lanes.length < 2;
      if (lanes.length < 2) return;
      showVenues(lanes.map(one => {
        const labels = {lane: one.name}, count = name => one.counters[name] ?? null;
        const counted = (name, of = `apus_${name}`) => cell(number(count(name)), metric(of, labels), count(name));
        const sum = key => one.instruments.reduce((total, shown) => total + shown[key], 0);
        const span = name => one.spans.find(span => span.name === name && span.count);
        return [one.name, {text: one.state === "quoting" ? one.state : `${one.state}: ${one.cause}`, left: true, on: mood(one) === "bad"},
          ago(one.since), signed(sum("pnl"), 2), number(sum("fees"), 2), counted("fills", "apus_fills_total"), brief(sum("traded")),
          counted("orders_live"), {...counted("orders_unknown"), on: count("orders_unknown") > 0},
          `${number(count("budget_left"))}, ${number(count("message_budget"))}/s`, counted("rejects", "apus_rejects_total"),
          duration(span("tick_to_order")?.p50), duration(span("tick_to_order")?.p99), duration(span("acknowledge")?.p99)];
      }));
    }
    function show() {
      const {engine, process, alerts} = view;
      choose($("lane"), engine.lanes.map(lane => lane.name));
      $("lanebox").hidden = engine.lanes.length < 2;
      const now = lane();
      const [state, tone] = stateOf();
      put($("name"), `apus ${engine.name}${engine.mode ? `, ${engine.mode}` : ""}${engine.release ? `, release ${engine.release}` : ""}`);
      document.title = `${state}${alerts.length ? ` (${alerts.length} alerts)` : ""}: ${engine.name}`;
      put($("state"), state);
      $("state").className = `chip ${tone}`;
      showAlerts(alerts);
      showVenueRows(engine.lanes);
      if (!now) return;
      choose($("instrument"), now.instruments.map(one => one.name));
      choose($("span"), now.spans.map(span => span.name), words);
      if (!$("span").dataset.touched && now.spans.some(span => span.name === "tick_to_order")) $("span").value = "tick_to_order";

      const labels = {lane: now.name}, count = name => now.counters[name] ?? null;
      const sum = names => names.reduce((total, name) => total + (now.rates[name] ?? 0), 0);
      const tick = now.spans.find(span => span.name === "tick_to_order");
      const pnl = now.instruments.reduce((total, one) => total + one.pnl, 0);
      const quoted = now.instruments.filter(one => one.quoted_share != null);
      const share = quoted.reduce((total, one) => total + one.quoted_share, 0) / quoted.length;
      const one = chosen();
      const several = engine.lanes.length > 1, all = engine.lanes.flatMap(one => one.instruments);
      const everywhere = all.reduce((total, one) => total + one.pnl, 0);
      tiles($("tiles"), [
        ...(several ? [["Result, all venues", signed(everywhere, 2), `fees ${number(all.reduce((total, one) => total + one.fees, 0), 2)}`]] : []),
        [several ? `Result, ${now.name}` : "Result after fees", signed(pnl, 2), `fees ${number(now.instruments.reduce((total, one) => total + one.fees, 0), 2)}`],
        ["Position", one ? positionOf(one) : "unknown", one?.name],
        ["Fills", cell(number(count("fills")), metric("apus_fills_total", labels), count("fills")), `value ${brief(now.instruments.reduce((total, one) => total + one.traded, 0))}`],
        ["Tick to order p99", duration(tick?.p99), `p50 ${duration(tick?.p50)}`],
        ["Orders live", cell(number(count("orders_live")), metric("apus_orders_live", labels), count("orders_live")), `${count("orders_unknown")} unknown, ${count("orders_in_flight")} in flight`],
        ["Order messages", perSecond(sum(["inserts", "amends", "cancels", "mass_quotes"])), `of ${count("message_budget")}/s, ${count("budget_left")} left now`],
        ["Quoted both sides", isFinite(share) ? (100 * share).toFixed(1) + " %" : DASH, `${count("instruments_quoted")} of ${now.instruments.length} now`],
        ["Errors", number(ERRORS.slice(0, 7).reduce((total, name) => total + (count(name) ?? 0), 0)), `${perSecond(sum(ERRORS.slice(0, 7)))} now`]]);
      showLadder(engine, now);
      showInstrumentRows(now);
      showSpans(now.spans.map(span => [(STAGES.includes(span.name) ? "Stage: " : "") + title(span.name),
        span.count ? cell(number(span.count), metric("apus_span_seconds_count", {lane: now.name, span: span.name}), span.count) : "0",
        duration(span.count ? span.p50 : null), duration(span.count ? span.p99 : null), duration(span.count ? span.p999 : null),
        duration(span.count ? span.max : null)]));
      showErrors(ERRORS.filter(name => name in now.counters).map(name => [title(name),
        cell(number(count(name)), metric(`apus_${name}_total`, labels), count(name)), now.rates[name] == null ? DASH : now.rates[name].toFixed(2)]));
      if (process) {
        showThreads(process.threads.map(thread => {
          const rate = value => value == null ? DASH : brief(value);
          return [thread.count > 1 ? `${thread.name} × ${thread.count}` : thread.name,
            thread.cpu_share == null ? DASH : (100 * thread.cpu_share).toFixed(1) + " %",
            cell(thread.cpu_seconds.toFixed(2) + " s", metric("apus_thread_cpu_seconds_total", {thread: thread.name}), thread.cpu_seconds),
            rate(thread.voluntary_rate), rate(thread.involuntary_rate), rate(thread.minor_fault_rate), number(thread.major_faults)];
        }));
        const share = (part, whole) => whole ? `${(100 * part / whole).toFixed(1)} % of ${whole > 1e7 ? bytes(whole) : whole}` : "";
        tiles($("process"), [
          ["Memory", cell(bytes(process.resident_bytes), "apus_process_resident_memory_bytes", process.resident_bytes), ""],
          ["Open files", cell(number(process.open_files), "apus_process_open_fds", process.open_files), `of ${number(process.file_limit)}`],
          ["Disk free", bytes(process.data_free_bytes), share(process.data_free_bytes, process.data_size_bytes)],
          ["Host memory free", bytes(process.memory_available_bytes), share(process.memory_available_bytes, process.memory_size_bytes)]]);
      }
      if (!process) { showThreads([]); tiles($("process"), []); }
      showEvents(engine.lanes);
    }
    function showAlerts(alerts) {
      const text = alerts.map(alert => `${alert.severity}|${alert.name}|${alert.text}|${alert.runbook}`).join("\n");
      const list = $("alerts");
      if (text !== list.dataset.shown) {
        list.dataset.shown = text;
        list.innerHTML = "";
        if (!alerts.length) { list.innerHTML = '<li class="soft">No alert fires.</li>'; return; }
        for (const alert of alerts) {
          const item = document.createElement("li"), chip = document.createElement("span"), since = document.createElement("time");
          chip.className = `chip ${["critical", "page"].includes(alert.severity) ? "bad" : "warn"}`;
          chip.textContent = `${alert.severity}: ${alert.name}`;
          const when = new Date(alert.since * 1000);
          since.dateTime = when.toISOString();
          since.textContent = ` since ${when.toTimeString().slice(0, 8)} `;
          item.append(chip, since, document.createTextNode(`${alert.text} `));
          if (/^https?:/.test(alert.runbook)) {
            const link = document.createElement("a");
            link.href = alert.runbook;
            link.textContent = `What to do about ${alert.name}`;
            item.append(link);
          } else if (alert.runbook) item.append(`Runbook: ${alert.runbook}`);
          list.append(item);
        }
      }
    }
    function showLadder(engine, now) {
      const ladder = $("ladder"), level = now.counters.halt_level ?? 0;
      if (!ladder.children.length) for (const name of LEVELS) { const item = document.createElement("li"); item.textContent = name; ladder.append(item); }
      [...ladder.children].forEach((item, place) => {
        if (place === level) { item.setAttribute("aria-current", "step"); item.className = place ? "bad" : "good"; }
        else { item.removeAttribute("aria-current"); item.className = ""; }
      });
      const parts = [];
      if (engine.stop_requested !== "quoting") parts.push(`Asked from outside: ${engine.stop_requested} (${engine.stop_cause}).`);
      const halt = now.halt;
      if (halt && level) {
        parts.push(`${halt.cause}. Outcome: ${halt.outcome}; ${halt.orders_left} orders may rest.`);
        if (halt.verified_ago != null) parts.push(`The venue confirmed ${ago(halt.verified_ago)} ago that nothing of ours rests.`);
        if (halt.latched !== "quoting") parts.push(`Until a person resumes: ${halt.latched}.`);
      } else parts.push("Nothing is halted.");
      if (now.state !== "quoting" && now.cause) parts.push(`Lane: ${now.cause}.`);
      if (now.watchdog) parts.push(`Watchdog: ${now.watchdog}.`);
      put($("halt"), parts.join(" "));
    }
    function showEvents(lanes) {
      const list = $("events");
      const events = lanes.flatMap(lane => lane.events.map(event => ({...event, lane: lane.name}))).sort((a, b) => a.ago - b.ago);
      while (list.children.length > events.length) list.lastChild.remove();
      events.forEach((event, place) => {
        let item = list.children[place];
        if (!item) { item = document.createElement("li"); item.innerHTML = "<time></time><span></span>"; list.append(item); }
        put(item.firstChild, `${ago(event.ago)} ago`);
        put(item.lastChild, (lanes.length > 1 ? event.lane + ": " : "") + event.text);
      });
      if (!events.length) list.innerHTML = '<li><time></time><span class="soft">None yet.</span></li>';
    }

    /* ---- A rollout: both releases side by side. ---- */
    const fillReleases = table($("releases"), "Figures of both releases", ["", "candidate", "incumbent"]);
    const fillGates = table($("gates"), "Gates", ["Gate", "Worse than allowed?", "Confidence"]);
    function showRollout(now) {
      $("rollout").hidden = !now;
      if (!now) return;
      const stage = now.stages.at(-1);
      put($("rollout-state"), `${now.candidate} against ${now.incumbent}, ${stage?.name ?? "not begun"}: ${now.status}`
        + (now.seen ? ` (${now.seen})` : "") + (now.reason ? `. ${now.reason}` : "")
        + (now.is_supervised === false ? ". No supervisor is at work: start it again, it goes on where it was." : ""));
      $("rollout-state").className = now.is_supervised === false || now.outcome && now.outcome !== "promoted" ? "bad" : "";
      /* What was compared last: staging and ways back have no figures of their own. */
      const shown = now.stages.findLast(stage => stage.table.length);
      fillReleases((shown?.table ?? []).map(row => [row.name, row.candidate, row.incumbent]));
      fillGates((shown?.gates ?? []).map(gate =>
        [gate.name, {text: gate.evidence, on: gate.breached}, {text: (Math.floor(gate.confidence * 1e4) / 100).toFixed(2) + " %", on: gate.breached}]));
      const turns = now.journal.slice(-8).reverse(), list = $("turns");
      while (list.children.length > turns.length) list.lastChild.remove();
      turns.forEach((turn, place) => {
        let item = list.children[place];
        if (!item) { item = document.createElement("li"); item.innerHTML = "<time></time><span></span>"; list.append(item); }
        put(item.firstChild, turn.at.slice(11, 19));
        put(item.lastChild, turn.text);
      });
    }

    /* ---- Talking with the monitor. ---- */
    let held = false, failedSince = null;
    function headers() {
      const token = sessionStorage.getItem("apus-token");
      return token ? {Authorization: `Bearer ${token}`} : {};
    }
    async function get(path) {
      const answer = await fetch(path, {headers: headers(), cache: "no-store"});
      if (answer.status === 401 && !$("ask").open) $("ask").showModal();
      return {status: answer.status, body: answer.headers.get("Content-Type")?.includes("json") ? await answer.json() : null};
    }
    async function loadHistory() {
      const {status, body} = await get("/api/history");
      if (status !== 200) return;
      times = body.at;
      columns = new Map(Object.entries(body.columns));
    }
    function facts(text) { put($("facts"), text); }
    async function poll() {
      try {
        const {status, body} = await get("/api/view");
        if (status === 200) {
          failedSince = null;
          append(body.at, body.sample);
          if (!held) {
            view = body;
            show();
            for (const plot of plots) plot.draw();
          }
          document.body.dataset.shown = String(body.at);
          const engine = body.engine;
          if (!engine.is_alive) facts(`Process ${engine.process_id} has ended: these are its last figures.`);
          else facts(`Process ${engine.process_id}, up ${ago(engine.uptime)}; figures of ${new Date(body.at * 1000).toTimeString().slice(0, 8)}${held ? "; held" : ""}`);
        } else if (status === 401) facts("This monitor wants its token.");
        else { facts(body?.error ?? `The monitor answers with ${status}.`); put($("state"), "no engine"); $("state").className = "chip bad"; showAlerts(body?.alerts ?? []); }
      } catch (error) {
        failedSince ??= Date.now();
        facts(`No answer from apus monitor for ${ago((Date.now() - failedSince) / 1000)}: these figures are old.`);
        $("state").className = "chip bad";
        put($("state"), "monitor does not answer");
        console.error(error);
      }
    }
    async function pollRollout() {
      for (;;) {
        const {status, body} = await get("/api/rollout").catch(() => ({}));
        if (!held && (status === 200 || status === 204)) showRollout(body);
        await new Promise(done => setTimeout(done, status === 200 ? 1000 : 5000));
      }
    }
    async function start() {
      for (const id of ["range", "lane", "instrument", "span"]) $(id).addEventListener("change", event => {
        event.target.dataset.touched = "yes";
        if (view) show();
        for (const plot of plots) plot.draw();
      });
      $("hold").addEventListener("click", () => {
        held = !held;
        $("hold").setAttribute("aria-pressed", held);
        put($("hold"), held ? "Go on" : "Hold");
      });
      const enter = async () => { sessionStorage.setItem("apus-token", $("token").value.trim()); $("token").value = ""; $("ask").close(); await loadHistory(); };
      $("enter").addEventListener("click", enter);
      $("token").addEventListener("keydown", event => { if (event.key === "Enter") enter(); });
      document.addEventListener("visibilitychange", () => { if (!document.hidden) loadHistory().catch(console.error); });
      new ResizeObserver(() => { for (const plot of plots) plot.draw(); }).observe($("main"));
      await loadHistory().catch(console.error);
      pollRollout();
      for (;;) {
        await poll();
        await new Promise(done => setTimeout(done, 1000));
      }
    }
    start();
    </script>
    </body>
    </html>

    """#
}
