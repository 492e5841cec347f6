// Puts the parts together: texts, controls, theme, exports, and the first drawing.

function options(select, columns, chosen) {
  select.replaceChildren(...columns.map((each) =>
    element("option", { value: each.key }, each.kind === "metric" ? titled(each) : each.full)));
  select.value = chosen;
}

function fillTexts() {
  byId("title").textContent = page.study;
  byId("doc").textContent = page.doc;
  byId("facts").replaceChildren(...page.facts.map((each) => element("li", {}, each)));
  byId("certificate-text").textContent = page.certificate.text;
  byId("certificate-rows").replaceChildren(pairs(page.certificate.rows));
  byId("made").textContent = `Made by dse ${page.version}. Everything on this page is in this file.`;
  const list = page.references.flatMap((each) => {
    const open = element("button", { type: "button" }, each.name);
    open.addEventListener("click", () => { choose(`ref:${each.name}`); byId("front").scrollIntoView(); });
    return [element("dt", {}, open), element("dd", {}, each.note)];
  });
  byId("reference-list").replaceChildren(element("dl", { class: "refs" }, ...list));
  byId("references").hidden = !list.length;
  if (page.missing) {
    byId("failure").textContent = page.missing;
    byId("failure").hidden = false;
  }
  fillInputs();
  const { samples, inputs, flips } = page.robust;
  byId("bands-note").textContent = samples ? `Whiskers: 5 to 95 % of ${samples.toLocaleString("en-US")} samples of `
    + `${inputs} uncertain constants${flips.length ? `; who is best turns most on ${flips.slice(0, 2).join(" and ")}` : ""}.` : "";
}

const INPUTS = ["input", "value", "elasticity", "may be off by", "which moves it by", "confidence", "source"];
const inputCells = (each) => [each.path, each.shown, digits(each.elasticity, 3), percent(each.weakness),
  percent(each.score), each.confidence, each.source];

function fillInputs() {
  const rows = page.sources;
  byId("inputs").hidden = !rows.length;
  if (!rows.length) return;
  byId("inputs-of").textContent = `What the ${spaced(rows[0].metric)} of ${rows[0].of} rests on while least is known: `
    + "elasticity times how far the input may be off.";
  const right = (i) => (i >= 1 && i <= 4 ? "n" : i === 6 ? "wrap" : "");
  byId("weak").replaceChildren(element("table", {},
    element("thead", {}, element("tr", {}, ...INPUTS.map((each, i) =>
      element("th", { scope: "col", class: right(i) }, each)))),
    element("tbody", {}, ...rows.map((row) => element("tr", {},
      ...inputCells(row).map((text, i) => element("td", { class: right(i) }, text)))))));
}

function decideLogs() {
  for (const axis of ["x", "y"]) {
    const { values } = data.byKey.get(state[axis]);
    const feasible = sampled(isFeasible, values);
    const [low, high] = quantiles(feasible.length ? feasible : values, [0.02, 0.98]);
    state[`${axis}Log`] = spansDecades(low, high);
    byId(`${axis}-log`).checked = state[`${axis}Log`];
  }
}

function controls() {
  const redrawAxes = () => { drawHead(); drawRows(); drawScatter(); };
  const select = (id, then) => byId(id).addEventListener("change", () => { state[id] = byId(id).value; then(); });
  select("x", () => { decideLogs(); redrawAxes(); });
  select("y", () => { decideLogs(); redrawAxes(); });
  select("colour", () => { recolour(); drawLegend(); drawCloud(); drawStrands(); });
  const tick = (id, name, then) => byId(id).addEventListener("change", () => { state[name] = byId(id).checked; then(); });
  tick("x-log", "xLog", drawScatter);
  tick("y-log", "yLog", drawScatter);
  tick("infeasible", "infeasible", applyFilters);
  tick("only-front", "frontOnly", applyFilters);
  tick("all-metrics", "allMetrics", () => { drawHead(); drawRows(); });
  byId("whole").addEventListener("click", drawScatter);
  byId("clear").addEventListener("click", () => { state.filters.clear(); applyFilters(); });
  byId("compare-clear").addEventListener("click", () => { state.compared = []; tell("compared"); });
  byId("add-reference").addEventListener("change", (event) => event.target.value && toggleCompared(event.target.value));
  byId("print").addEventListener("click", () => window.print());
  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-export]");
    if (button) exported(button.dataset.export, button.dataset.as);
  });
}

const csvCell = (value) => {
  const text = value === null || value === undefined ? "" : String(value);
  // a spreadsheet takes what begins so for a formula
  const safe = /^[=+@]|^-(?![\d.])/.test(text) ? `'${text}` : text;
  return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
};
const csv = (rows) => `${rows.map((row) => row.map(csvCell).join(",")).join("\n")}\n`;

function designRows(rows) {
  const columns = [data.byKey.get("id"), ...data.metrics, ...data.parameters];
  const heads = columns.map((each) => (each.unit ? `${each.key.slice(2)} [${each.unit}]` : each.key.slice(2) || "id"));
  heads[0] = "id";
  return [[...heads, "state"], ...Array.from(rows, (row) => [
    ...columns.map((each) => (each.kind === "metric" ? Number(each.values[row].toPrecision(6)) : each.text(row))),
    isFront(row) ? "front" : isFeasible(row) ? "feasible" : "infeasible"])];
}

async function exported(key, as) {
  const known = charts.find((each) => each.key === key);
  const tables = {
    front: () => designRows(data.front),
    parallel: () => designRows(parallel.drawn),
    designs: () => designRows(table.order),
    compare: () => [["", ...state.compared.map(nameOf)], ...comparison().flatMap(([, rows]) => rows.map(([name, texts]) => [name, ...texts]))],
    inputs: () => [INPUTS, ...page.sources.map(inputCells)],
  };
  if (as === "csv") return save(`${key}.csv`, "text/csv", csv((known?.rows ?? tables[key])()));
  const text = key === "parallel" ? strandsSvg() : await plotSvg(known?.box ?? scatter.plot, key === "front");
  return save(`${key}.svg`, "image/svg+xml", text);
}

async function plotSvg(plot, cloud) {
  const { width, height: high } = plot.getBoundingClientRect();
  const layout = { ...plot.layout, paper_bgcolor: variable("--paper") };
  if (cloud) {
    const { size } = scatter.places;
    const ratio = window.devicePixelRatio || 1;
    const [whole, part] = [element("canvas"), element("canvas")];
    [whole.width, whole.height] = [byId("cloud").width, byId("cloud").height];
    [part.width, part.height] = [size.w * ratio, size.h * ratio];
    paintCloud(whole.getContext("2d"), ratio);
    part.getContext("2d").drawImage(whole, -size.l * ratio, -size.t * ratio);
    layout.images = [{ source: part.toDataURL(), xref: "paper", yref: "paper", x: 0, y: 1,
      sizex: 1, sizey: 1, sizing: "stretch", layer: "below" }];
  }
  const figure = { data: cloud ? scatterTraces() : plot.data, layout };
  const made = await Plotly.toImage(figure, { format: "svg", width, height: high, imageDataOnly: true });
  return made.startsWith("<") ? made : decodeURIComponent(made);
}

function save(name, type, text) {
  const link = element("a", { download: `${page.study}-${name}`, href: URL.createObjectURL(new Blob([text], { type })) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function remember(name, value) {
  try {
    if (value !== undefined) sessionStorage.setItem(`dse.${name}`, value);
    return sessionStorage.getItem(`dse.${name}`);
  } catch {
    return null;
  }
}

const system = window.matchMedia("(prefers-color-scheme: dark)");

function applyTheme() {
  const wanted = byId("theme").value;
  document.documentElement.dataset.theme = wanted === "auto" ? (system.matches ? "dark" : "light") : wanted;
}

function themes() {
  byId("theme").value = remember("theme") ?? "auto";
  applyTheme();
  const change = () => { applyTheme(); redraw(); };
  byId("theme").addEventListener("change", () => { remember("theme", byId("theme").value); change(); });
  system.addEventListener("change", change);
  window.addEventListener("beforeprint", () => {
    document.documentElement.classList.add("printing");
    document.documentElement.dataset.theme = "light";
    redraw();
  });
  window.addEventListener("afterprint", () => {
    document.documentElement.classList.remove("printing");
    change();
  });
}

function redraw() {
  recolour();
  drawLegend();
  drawScatter();
  drawStrands();
  drawCharts();
}

function sized() {
  let waiting = 0;
  new ResizeObserver(() => {
    clearTimeout(waiting);
    waiting = setTimeout(() => {
      if (!scatter.plot) return;
      for (const box of [scatter.plot, ...charts.map((each) => each.box)]) Plotly.relayout(box, roomOf(box));
      drawCloud();
      drawStrands();
      drawRows();
    }, 80);
  }).observe(document.querySelector("main"));
}

// While a run goes on the page is rewritten: it asks for its own address, and for nothing else.
function watch() {
  if (!page.watched) return;
  setInterval(async () => {
    try {
      const answer = await fetch(location.href, { method: "HEAD", cache: "no-store" });
      if (answer.ok && answer.headers.get("ETag") !== `"${page.revision}"`) location.reload();
    } catch {
      byId("failure").textContent = "dse report --watch has ended; this page stays as it is.";
      byId("failure").hidden = false;
    }
  }, 2000);
}

async function start() {
  if (!window.DecompressionStream) throw new Error("it needs a browser of 2023 or later");
  await unpack();
  const [first, second] = data.objectives;
  Object.assign(state, {
    x: first.key, y: (second ?? data.metrics.find((each) => each !== first) ?? first).key,
    colour: (data.parameters.find((each) => new Set(data.front.map((row) => each.values[row])).size > 1) ?? data.parameters[0]).key,
    sort: { key: first.key, down: first.better !== "min" },
  });
  for (const name of ["x", "y", "colour"]) {
    const kept = page.watched ? remember(name) : null;
    if (kept && data.byKey.has(kept)) state[name] = kept;
  }
  options(byId("x"), data.metrics, state.x);
  options(byId("y"), data.metrics, state.y);
  options(byId("colour"), [...data.parameters, ...data.metrics], state.colour);
  for (const name of ["x", "y", "colour"]) byId(name).addEventListener("change", (event) => remember(name, event.target.value));
  fillTexts();
  themes();
  parallel.axes = parallelAxes();
  decideLogs();
  buildCharts();
  for (const link of document.querySelectorAll("nav a")) link.hidden = byId(link.hash.slice(1)).hidden;
  when("filter", () => { orderRows(); showFilters(); drawRows(); drawStrands(); if (scatter.plot) drawCloud(); });
  when("choice", () => { drawDetail(); drawRows(); drawCloud(); drawStrands(); });
  when("compared", () => { drawCompared(); drawDetail(); drawCloud(); });
  recolour();
  applyFilters();
  drawTable();
  drawLegend();
  drawCompared();
  controls();
  scatterEvents();
  parallelEvents();
  tableEvents();
  await drawScatter();
  if (data.front.length) choose(page.knee === null ? data.front[0] : data.rowOf.get(page.knee));
  drawCharts();
  sized();
  watch();
  document.documentElement.dataset.ready = "true";
}

start().catch((error) => {
  byId("failure").textContent = `This page could not be drawn: ${error.message}`;
  byId("failure").hidden = false;
  throw error;
});
