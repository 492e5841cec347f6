// The scatter: axes, zoom and downloads by Plotly, everything else painted on a canvas over them.
// Plotly's own markers take seconds for 100,000 designs where WebGL is done in software; painting
// pixels takes milliseconds everywhere.

const REACH = 14;
const scatter = { plot: null, places: null, hovered: null };

function plotText(text) {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

function short(value) {
  const found = [["T", 1e12], ["G", 1e9], ["M", 1e6], ["k", 1e3]].find(([, size]) => value >= size);
  return found && value >= 1e4 ? `${digits(value / found[1])}${found[0]}` : digits(value);
}

// Round values of a logarithmic axis between two exponents of ten.
function logTicks([low, high]) {
  const powers = Array.from({ length: Math.ceil(high) - Math.floor(low) + 1 }, (_, i) => Math.floor(low) + i);
  const steps = high - low < 0.7 ? [1, 1.5, 2, 3, 4, 5, 6, 8] : high - low < 2.5 ? [1, 2, 5] : [1];
  const values = powers.flatMap((power) => steps.map((step) => step * 10 ** power));
  return { tickvals: values, ticktext: values.map(short) };
}

function plotLayout(x, y) {
  const axis = ({ title, log, range }) => ({
    title: { text: plotText(title), standoff: 10 }, range,
    type: log ? "log" : "linear", gridcolor: variable("--grid"), linecolor: variable("--soft"),
    zeroline: false, automargin: true, ticks: "outside", tickcolor: variable("--rule"), nticks: 9,
    ...(log && range ? logTicks(range) : {}),
  });
  return {
    font: { family: "system-ui, sans-serif", size: 12, color: variable("--ink") },
    paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", showlegend: false,
    margin: { l: 64, r: 18, t: 26, b: 52 }, hovermode: false, dragmode: "zoom",
    xaxis: axis(x), yaxis: axis(y),
    modebar: { bgcolor: "rgba(0,0,0,0)", color: variable("--soft"), activecolor: variable("--front") },
  };
}

const roomOf = (box) => ({ width: box.clientWidth, height: box.clientHeight });

const PLAIN = { displaylogo: false, responsive: false, displayModeBar: false, staticPlot: false };

// What the axes show at first: the front, the references, and nearly all that passes the filters.
function reach(column, log) {
  const values = sampled((row) => passing[row], column.values);
  const ends = values.length ? quantiles(values, [0.005, 0.995]) : [];
  const named = [...data.front, ...page.references.map((each) => `ref:${each.name}`)];
  const all = [...ends, ...named.map((point) => numberAt(column, point))]
    .filter((value) => Number.isFinite(value) && (!log || value > 0));
  if (!all.length) return [0, 1];
  let [low, high] = [Math.min(...all), Math.max(...all)];
  if (log) [low, high] = [Math.log10(low), Math.log10(high)];
  const room = 0.05 * (high - low) || Math.abs(high) * 0.1 || 1;
  return [low - room, high + room];
}

// The front as the edge of what it dominates, where it is drawn in its own two objectives.
function frontLine(x, y) {
  const edge = data.objectives.length === 2 && x !== y
    && data.objectives.includes(x) && data.objectives.includes(y);
  if (!edge) return [];
  const points = data.front.map((row) => [x.number(row), y.number(row)]);
  points.sort((a, b) => (x.better === "min" ? a[0] - b[0] : b[0] - a[0]));
  return points.flatMap((point, i) => (i ? [[point[0], points[i - 1][1]], point] : [point]));
}

function frontTrace(x, y) {
  const line = frontLine(x, y);
  return {
    type: "scatter", mode: "lines", x: line.map((p) => p[0]), y: line.map((p) => p[1]),
    line: { color: variable("--front"), width: 1.5 },
  };
}

function referenceTrace(x, y) {
  const points = page.references.map((each) => `ref:${each.name}`);
  return {
    type: "scatter", mode: "markers+text", x: points.map((p) => numberAt(x, p)),
    y: points.map((p) => numberAt(y, p)), text: page.references.map((each) => plotText(each.name)),
    textposition: "middle right", textfont: { color: variable("--ink"), size: 12 },
    marker: {
      symbol: page.references.map((each) => (each.feasible ? "diamond" : "diamond-open")),
      size: 10, color: variable("--mark"),
    },
  };
}

// What a download draws over the picture of the designs.
function scatterTraces() {
  const [x, y] = [data.byKey.get(state.x), data.byKey.get(state.y)];
  return [frontTrace(x, y), referenceTrace(x, y)];
}

async function drawScatter() {
  const [x, y] = [data.byKey.get(state.x), data.byKey.get(state.y)];
  const layout = plotLayout(
    { title: titled(x), log: state.xLog, range: reach(x, state.xLog) },
    { title: titled(y), log: state.yLog, range: reach(y, state.yLog) });
  Object.assign(layout, roomOf(byId("axes")));
  const first = scatter.plot === null;
  scatter.plot = await Plotly.react(byId("axes"), [{ type: "scatter", x: [null], y: [null] }], layout, {
    ...PLAIN, displayModeBar: true, doubleClick: false, showTips: false,
    modeBarButtons: [["zoom2d", "pan2d", "select2d"]],
  });
  if (first) listen(scatter.plot);
  drawCloud();
}

function listen(plot) {
  plot.on("plotly_relayouting", drawCloud);
  plot.on("plotly_relayout", drawCloud);
  plot.on("plotly_selected", (event) => {
    if (!event?.range) return;
    for (const [key, ends] of [[state.x, event.range.x], [state.y, event.range.y]]) {
      state.filters.set(key, range(Math.min(...ends), Math.max(...ends)));
    }
    applyFilters();
  });
}

const range = (low, high) => `${digits(low)}..${digits(high)}`;

// The point nearest to a place; front and references win where they are about as near.
function nearest(x, y) {
  const { px, py } = scatter.places;
  let [best, least] = [null, REACH * REACH];
  const judge = (point, dx, dy, favour) => {
    const far = (dx * dx + dy * dy) * favour;
    if (far < least) [best, least] = [point, far];
  };
  for (let row = 0; row < data.rows; row++) {
    if (passing[row]) judge(row, px[row] - x, py[row] - y, isFront(row) ? 0.25 : 1);
  }
  for (const each of page.references) {
    const point = `ref:${each.name}`;
    const [rx, ry] = placeOf(point);
    judge(point, rx - x, ry - y, 0.25);
  }
  return best;
}

function hover(point, x, y) {
  if (point !== scatter.hovered) {
    scatter.hovered = point;
    drawCloud();
  }
  const tip = byId("tip");
  tip.hidden = point === null;
  if (point === null) return;
  const columns = [...new Set([state.x, state.y, state.colour])].map((key) => data.byKey.get(key));
  tip.textContent = [nameOf(point), ...columns.map((column) =>
    `${column.title}: ${textAt(column, point)}${column.unit ? ` ${column.unit}` : ""}`)].join("\n");
  const { width } = byId("scatter").getBoundingClientRect();
  tip.style.left = `${Math.max(0, Math.min(x + 14, width - tip.offsetWidth - 4))}px`;
  tip.style.top = `${Math.max(0, y - tip.offsetHeight - 10)}px`;
}

// Along the front, in the order of the horizontal axis.
function walk(step) {
  const column = data.byKey.get(state.x);
  const order = data.front.filter((row) => passing[row])
    .sort((a, b) => column.number(a) - column.number(b));
  order.push(...page.references.map((each) => `ref:${each.name}`));
  if (!order.length) return;
  const at = order.indexOf(scatter.hovered);
  const next = order[(at + step + order.length) % order.length];
  hover(next, ...placeOf(next));
}

function scatterEvents() {
  const box = byId("scatter");
  const place = (event) => {
    const corner = box.getBoundingClientRect();
    return [event.clientX - corner.left, event.clientY - corner.top];
  };
  let waiting = false;
  box.addEventListener("pointermove", (event) => {
    if (waiting || event.buttons) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      const [x, y] = place(event);
      if (scatter.plot) hover(inside(x, y) ? nearest(x, y) : null, x, y);
    });
  });
  box.addEventListener("pointerleave", () => scatter.plot && hover(null));
  let clicked = -Infinity;
  box.addEventListener("pointerdown", (down) => {
    const from = place(down);
    window.addEventListener("pointerup", (up) => {
      const to = place(up);
      if (Math.hypot(to[0] - from[0], to[1] - from[1]) > 4 || !inside(...to)) return;
      if (up.timeStamp - clicked < 400) drawScatter();
      clicked = up.timeStamp;
      const point = nearest(...to);
      if (point !== null) choose(point);
    }, { once: true });
  }, { capture: true });
  box.addEventListener("keydown", (event) => {
    const steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 };
    if (event.key in steps) walk(steps[event.key]);
    else if (event.key === "Enter" && scatter.hovered !== null) choose(scatter.hovered);
    else if (event.key.toLowerCase() === "c" && scatter.hovered !== null) toggleCompared(scatter.hovered);
    else return;
    event.preventDefault();
  });
}
