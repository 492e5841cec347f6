// Roofline, throughput against interactivity, convergence: each where the run can tell it.

const charts = [];

function chartLayout(x, y) {
  return { ...plotLayout(x, y), hovermode: "closest", showlegend: true,
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 11 } },
    hoverlabel: { bgcolor: variable("--raised"), bordercolor: variable("--rule"),
      font: { color: variable("--ink") } } };
}

function chart(key, title, hint, make, rows) {
  const box = element("div", { class: "chart", role: "img", "aria-label": `${title}. ${hint}` });
  const tools = ["svg", "csv"].map((as) => element("button",
    { type: "button", "data-export": key, "data-as": as }, as.toUpperCase()));
  const card = element("div", { class: "card" },
    element("div", { class: "head" }, element("h3", {}, title), element("div", { class: "exports" }, ...tools)),
    box, element("p", { class: "hint" }, hint));
  byId("charts").append(card);
  charts.push({ key, box, make, rows });
}

const line = (name, colour, x, y, more = {}) => ({
  type: "scatter", mode: "lines", name: plotText(name), x, y, line: { color: colour, width: 1.8 }, ...more });

function convergenceChart() {
  const found = page.convergence;
  if (!found) return;
  const metric = data.byKey.get(`m:${found.of}`);
  const title = metric ? `best ${titled(metric)}` : "hypervolume";
  chart("convergence", "Convergence", metric ? "The best feasible design so far."
    : "The share of the space between the final front's best and worst that is dominated; at most 1.1 to the power of the objectives.",
  () => ({ traces: [line(title, variable("--front"), found.x, found.y)], one: true,
    layout: chartLayout({ title: "designs evaluated" }, { title }) }),
  () => [["designs_evaluated", found.of], ...found.x.map((x, i) => [x, found.y[i]])]);
}

function curveChart() {
  if (!page.curves.length) return;
  chart("curve", "Throughput against interactivity",
    "What a fleet gives up in tokens per chip so that each user receives them quicker: best mapping and batch at each point.",
    () => ({
      traces: page.curves.map((each, i) => {
        const at = each.points;
        return line(each.name, NAMED[theme()][i % 8], at.map((p) => p.tokens_per_s_per_user),
          at.map((p) => p.tokens_per_s_per_chip), { mode: "lines+markers", marker: { size: 5 },
            text: at.map((p) => plotText(mappingText({ ...p.mapping, batch: p.batch }))),
            hovertemplate: "%{x:.4~r} a user, %{y:.4~r} a chip<br>%{text}<extra></extra>" });
      }),
      layout: chartLayout({ title: "tokens/s per user", log: true }, { title: "tokens/s per chip", log: true }),
    }),
    () => [["name", "tokens_per_s_per_user", "tokens_per_s_per_chip", "batch"],
      ...page.curves.flatMap((each) => each.points.map((p) =>
        [each.name, p.tokens_per_s_per_user, p.tokens_per_s_per_chip, p.batch]))]);
}

function rooflineChart() {
  if (!page.rooflines.length) return;
  const intensities = page.rooflines.flatMap((each) => [each.peak / each.bandwidth, ...each.points.map((p) => p.intensity)]);
  const [low, high] = [Math.min(...intensities) / 4, Math.max(...intensities) * 4];
  chart("roofline", "Roofline", "Per chip: what the arrays and the memory allow at each intensity, and where the operating points stand.",
    () => ({
      traces: page.rooflines.flatMap((each, i) => {
        const colour = NAMED[theme()][i % 8];
        const ridge = each.peak / each.bandwidth;
        return [
          line(each.name, colour, [low, ridge, high], [low * each.bandwidth, each.peak, each.peak].map((v) => v / 1e12), { hoverinfo: "skip" }),
          { type: "scatter", mode: "markers", showlegend: false, name: plotText(each.name),
            x: each.points.map((p) => p.intensity), y: each.points.map((p) => p.rate / 1e12),
            text: each.points.map((p) => plotText(`${each.name}: ${p.phase}`)),
            marker: { color: colour, size: 9, symbol: "circle" },
            hovertemplate: "%{text}<br>%{x:.4~r} FLOP/B, %{y:.4~r} TFLOP/s<extra></extra>" },
        ];
      }),
      layout: chartLayout({ title: "intensity, FLOP/B", log: true }, { title: "rate of a chip, TFLOP/s", log: true }),
    }),
    () => [["name", "phase", "intensity_flop_per_byte", "flop_per_s", "peak_flop_per_s", "bandwidth_bytes_per_s"],
      ...page.rooflines.flatMap((each) => each.points.map((p) =>
        [each.name, p.phase, p.intensity, p.rate, each.peak, each.bandwidth]))]);
}

function buildCharts() {
  convergenceChart();
  curveChart();
  rooflineChart();
  byId("figures").hidden = charts.length === 0;
}

// The exponents of ten that all values of an axis lie between, with a little room.
function decades(values) {
  const found = values.filter((value) => value > 0).map(Math.log10);
  const [low, high] = [Math.min(...found), Math.max(...found)];
  const room = 0.04 * (high - low) || 0.3;
  return [low - room, high + room];
}

function drawCharts() {
  for (const each of charts) {
    const { traces, layout, one } = each.make();
    for (const [axis, name] of [[layout.xaxis, "x"], [layout.yaxis, "y"]]) {
      if (axis.type !== "log") continue;
      axis.range = decades(traces.flatMap((trace) => trace[name]));
      Object.assign(axis, logTicks(axis.range));
    }
    Plotly.react(each.box, traces, { ...layout, ...roomOf(each.box), showlegend: !one }, PLAIN);
  }
}
