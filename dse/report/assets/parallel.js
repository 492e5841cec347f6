// Parallel coordinates: an axis for each parameter and objective; dragging along one filters by it.

const STRANDS = 1500;
const parallel = { axes: [], drag: null };
const EDGE = { top: 34, bottom: 30, side: 46 };

function parallelAxes() {
  return [...data.parameters, ...data.objectives].map((column) => {
    if (column.kind === "parameter") {
      return { column, low: 0, high: Math.max(column.levels.length - 1, 1), log: false };
    }
    const feasible = column.values.filter((_, row) => isFeasible(row));
    const [low, high] = quantiles(feasible.length ? feasible : column.values, [0.01, 1]);
    return { column, low, high: high > low ? high : low + 1, log: spansDecades(low, high) };
  });
}

const scaled = (axis, value) => (axis.log ? Math.log(value) : value);

function height(axis, value) {
  const { top, bottom } = parallel.room;
  const [low, high] = [scaled(axis, axis.low), scaled(axis, axis.high)];
  const share = Math.max(-0.02, Math.min(1.02, (scaled(axis, value) - low) / (high - low)));
  return bottom - share * (bottom - top);
}

function valueAt(axis, y) {
  const { top, bottom } = parallel.room;
  const share = Math.max(0, Math.min(1, (bottom - y) / (bottom - top)));
  const [low, high] = [scaled(axis, axis.low), scaled(axis, axis.high)];
  const value = low + share * (high - low);
  return axis.log ? Math.exp(value) : value;
}

// The front, and of all others that pass an even sample.
function strands() {
  const kept = data.front.filter((row) => passing[row]);
  const step = Math.max(1, passed / STRANDS);
  let [seen, next] = [0, 0];
  const others = [];
  for (let row = 0; row < data.rows; row++) {
    if (!passing[row]) continue;
    if (seen++ >= next) {
      if (!isFront(row)) others.push(row);
      next += step;
    }
  }
  return { others, front: kept };
}

function drawStrands() {
  const canvas = byId("strands");
  const { width, height: high } = canvas.getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(high * ratio)];
  const context = canvas.getContext("2d");
  context.scale(ratio, ratio);
  parallel.room = { top: EDGE.top, bottom: high - EDGE.bottom };
  const step = (width - 2 * EDGE.side) / Math.max(parallel.axes.length - 1, 1);
  parallel.axes.forEach((axis, i) => { axis.x = EDGE.side + i * step; });
  const { others, front } = strands();
  parallel.drawn = [...others, ...front];
  paintStrands(context, others, 0.5, 0.28);
  paintStrands(context, front, 1.3, 0.95);
  if (state.chosen !== null && !isReference(state.chosen)) paintStrands(context, [state.chosen], 3, 1);
  for (const axis of parallel.axes) paintAxis(context, axis, step);
  const all = others.length + front.length;
  byId("strands-note").textContent = all < passed
    ? `${all.toLocaleString("en-US")} of ${passed.toLocaleString("en-US")} designs drawn, the front among them.`
    : `${all.toLocaleString("en-US")} designs drawn.`;
}

function paintStrands(context, rows, width, alpha) {
  context.lineWidth = width;
  context.globalAlpha = alpha;
  const groups = new Map();
  for (const row of rows) {
    const of = colours.classes[row];
    if (!groups.has(of)) groups.set(of, []);
    groups.get(of).push(row);
  }
  for (const [of, members] of groups) {
    context.strokeStyle = colours.palette[of];
    for (const row of members) {
      context.beginPath();
      for (const axis of parallel.axes) {
        const y = height(axis, axis.column.values[row]);
        if (axis === parallel.axes[0]) context.moveTo(axis.x, y);
        else context.lineTo(axis.x, y);
      }
      context.stroke();
    }
  }
  context.globalAlpha = 1;
}

function axisTicks(axis) {
  if (axis.column.kind === "metric") return [[axis.low, digits(axis.low, 3)], [axis.high, digits(axis.high, 3)]];
  const { levels } = axis.column;
  const step = Math.ceil(levels.length / 12);
  return levels.map((text, i) => [i, text]).filter(([i]) => i % step === 0);
}

function paintAxis(context, axis, room) {
  const { top, bottom } = parallel.room;
  context.strokeStyle = variable("--soft");
  context.lineWidth = 1;
  context.beginPath();
  context.moveTo(axis.x, top);
  context.lineTo(axis.x, bottom);
  context.stroke();
  const kept = brushed(axis);
  if (kept) {
    context.fillStyle = variable("--focus");
    context.globalAlpha = 0.35;
    context.fillRect(axis.x - 6, kept[1], 12, Math.max(kept[0] - kept[1], 3));
    context.globalAlpha = 1;
  }
  context.lineWidth = 3;
  context.lineJoin = "round";
  context.strokeStyle = variable("--paper");
  const write = (text, x, y, align, colour) => {
    context.textAlign = align;
    context.fillStyle = colour;
    context.strokeText(text, x, y);
    context.fillText(text, x, y);
  };
  context.font = "11px system-ui, sans-serif";
  for (const [value, text] of axisTicks(axis)) {
    write(fitted(context, text, room - 8), axis.x + 4, height(axis, value) + 4, "left", variable("--soft"));
  }
  const lines = axis.column.title.split(/\.(?=[^.]*$)| (?=per )/).slice(0, 2);
  context.font = "600 11px system-ui, sans-serif";
  lines.forEach((line, i) => {
    write(fitted(context, line, room - 4), axis.x, 12 + 13 * (i + 2 - lines.length), "center", variable("--ink"));
  });
}

function fitted(context, text, room) {
  if (context.measureText(text).width <= room) return text;
  let kept = text;
  while (kept.length > 1 && context.measureText(`${kept}…`).width > room) kept = kept.slice(0, -1);
  return `${kept}…`;
}

// The part of an axis that its filter keeps, as [lower, upper] pixels.
function brushed(axis) {
  if (parallel.drag?.axis === axis) return [Math.max(...parallel.drag.y), Math.min(...parallel.drag.y)];
  const text = state.filters.get(axis.column.key);
  if (!text || !understood(axis.column, text)) return null;
  if (axis.column.kind === "metric") {
    const ends = bounds(text).map((value) => Math.max(axis.low, Math.min(axis.high, value)));
    return ends.map((value) => height(axis, value));
  }
  const kept = keptLevels(axis.column, text).flatMap((each, i) => (each ? [i] : []));
  return [height(axis, Math.max(kept[0] - 0.3, 0)), height(axis, kept[kept.length - 1] + 0.3)];
}

// What a stretch of an axis means, as the text of a filter.
function stretch(axis, from, to) {
  const [low, high] = [valueAt(axis, Math.max(from, to)), valueAt(axis, Math.min(from, to))];
  if (axis.column.kind === "metric") return range(low, high);
  const [first, last] = [Math.ceil(low - 0.25), Math.floor(high + 0.25)];
  const levels = axis.column.levels.slice(first, last + 1);
  if (!levels.length) return "";
  if (!axis.column.numbers) return levels.join(" | ");
  const numbers = axis.column.numbers.slice(first, last + 1);
  return range(Math.min(...numbers), Math.max(...numbers));
}

function parallelEvents() {
  const canvas = byId("strands");
  const place = (event) => {
    const corner = canvas.getBoundingClientRect();
    return [event.clientX - corner.left, event.clientY - corner.top];
  };
  canvas.addEventListener("pointerdown", (event) => {
    const [x, y] = place(event);
    const axis = parallel.axes.reduce((a, b) => (Math.abs(a.x - x) <= Math.abs(b.x - x) ? a : b));
    if (Math.abs(axis.x - x) > 24) return;
    parallel.drag = { axis, y: [y, y] };
    canvas.setPointerCapture(event.pointerId);
  });
  let waiting = false;
  canvas.addEventListener("pointermove", (event) => {
    if (!parallel.drag) return;
    parallel.drag.y[1] = place(event)[1];
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (!parallel.drag) return;
      const { axis, y } = parallel.drag;
      if (Math.abs(y[1] - y[0]) > 3) setFilter(axis.column.key, stretch(axis, ...y));
    });
  });
  const end = () => {
    if (!parallel.drag) return;
    const { axis, y } = parallel.drag;
    parallel.drag = null;
    setFilter(axis.column.key, Math.abs(y[1] - y[0]) > 3 ? stretch(axis, ...y) : "");
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
}

// The same picture as lines of SVG, for a download.
function strandsSvg() {
  const { width, height: high } = byId("strands").getBoundingClientRect();
  const made = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const add = (tag, attributes, text = "") => {
    const each = document.createElementNS(made.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) each.setAttribute(name, value);
    each.textContent = text;
    made.append(each);
  };
  for (const [name, value] of Object.entries({ width, height: high, viewBox: `0 0 ${width} ${high}` })) {
    made.setAttribute(name, value);
  }
  add("rect", { width, height: high, fill: variable("--paper") });
  for (const row of parallel.drawn) {
    const points = parallel.axes.map((axis) =>
      `${axis.x.toFixed(1)},${height(axis, axis.column.values[row]).toFixed(1)}`);
    add("polyline", {
      points: points.join(" "), fill: "none", stroke: colours.palette[colours.classes[row]],
      "stroke-width": isFront(row) ? 1.5 : 0.6, "stroke-opacity": isFront(row) ? 1 : 0.35,
    });
  }
  const font = { "font-family": "sans-serif", "font-size": 11, fill: variable("--ink") };
  for (const axis of parallel.axes) {
    add("line", { x1: axis.x, x2: axis.x, y1: parallel.room.top, y2: parallel.room.bottom, stroke: variable("--soft") });
    add("text", { ...font, x: axis.x, y: 24, "text-anchor": "middle", "font-weight": 600 }, axis.column.title);
    for (const [value, text] of axisTicks(axis)) add("text", { ...font, x: axis.x + 4, y: height(axis, value) + 4 }, text);
  }
  return new XMLSerializer().serializeToString(made);
}
