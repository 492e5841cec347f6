// The data of the page: columns of all designs, the numbers of those chosen, and how they read.

const page = JSON.parse(document.getElementById("data").textContent);
const FEASIBLE = 1;
const FRONT = 2;

// All text reaches the page by textContent: a name cannot become an element.
function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name in made && typeof value !== "string") made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

const byId = (id) => document.getElementById(id);

function decoded(text) {
  const raw = atob(text);
  const bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

async function inflated(text) {
  const stream = new Blob([decoded(text)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Three planes of bytes hold the upper 24 bits of each float32.
function floats(bytes) {
  const number = bytes.length / 3;
  const whole = new Uint32Array(number);
  for (let i = 0; i < number; i++) {
    whole[i] = (bytes[i] << 24) | (bytes[number + i] << 16) | (bytes[2 * number + i] << 8);
  }
  return new Float32Array(whole.buffer);
}

// The same four significant digits as the tables of the terminal.
function digits(value, number = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return "-";
  if (value === 0) return "0";
  const size = Math.floor(Math.log10(Math.abs(value)));
  if (size < -5 || size >= 9) {
    return value.toExponential(number - 1).replace(/e([+-])(\d)$/, "e$10$2");
  }
  const decimals = Math.max(number - 1 - size, 0);
  const rounded = Number(value.toPrecision(number));
  const text = rounded.toLocaleString("en-US", {
    minimumFractionDigits: decimals, maximumFractionDigits: decimals,
  });
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}

// The number that a level such as "2.4 GHz" begins with; null for a name.
function levelNumber(text) {
  const found = /^(-?[\d.,]+(?:e[+-]?\d+)?)(?: |$)/i.exec(text);
  const value = found ? Number(found[1].replaceAll(",", "")) : NaN;
  return Number.isFinite(value) ? value : null;
}

function parameterColumn(parameter, levels) {
  const numbers = parameter.levels.map(levelNumber);
  const numeric = numbers.every((value) => value !== null);
  return {
    key: `p:${parameter.path}`,
    kind: "parameter",
    title: parameter.short,
    full: parameter.path,
    unit: "",
    levels: parameter.levels,
    numbers: numeric ? numbers : null,
    values: levels,
    right: numeric,
    text: (row) => parameter.levels[levels[row]],
    number: (row) => (numeric ? numbers[levels[row]] : levels[row]),
  };
}

function metricColumn(metric, values) {
  return {
    key: `m:${metric.name}`,
    kind: "metric",
    title: metric.title,
    full: metric.doc,
    unit: metric.unit,
    better: metric.better,
    values,
    right: true,
    text: (row) => digits(values[row]),
    number: (row) => values[row],
  };
}

function idColumn(values) {
  return {
    key: "id", kind: "metric", title: "#", full: "number of the design in the log", unit: "",
    values, right: true, text: (row) => String(values[row]), number: (row) => values[row],
  };
}

const data = { rows: page.rows, columns: [], metrics: [], parameters: [], byKey: new Map() };

async function unpack() {
  const raw = page.columns;
  const ids = new Uint32Array((await inflated(raw.id)).buffer);
  data.state = await inflated(raw.state);
  const [levels, metrics] = await Promise.all([
    Promise.all(raw.levels.map(inflated)), Promise.all(raw.metrics.map(inflated)),
  ]);
  data.id = ids;
  data.rowOf = new Map(Array.from(ids, (id, row) => [id, row]));
  data.metrics = page.metrics.map((each, i) => metricColumn(each, floats(metrics[i])));
  data.parameters = page.parameters.map((each, i) =>
    parameterColumn(each, new Uint16Array(levels[i].buffer)));
  data.columns = [idColumn(ids), ...data.metrics, ...data.parameters];
  data.byKey = new Map(data.columns.map((each) => [each.key, each]));
  data.objectives = page.objectives.map((each) => data.byKey.get(`m:${each.name}`));
  data.front = page.front.map((id) => data.rowOf.get(id));
  data.rank = new Map(data.front.map((row, i) => [row, i + 1]));
  data.details = JSON.parse(new TextDecoder().decode(await inflated(page.details)));
}

const isFront = (row) => (data.state[row] & FRONT) !== 0;
const isFeasible = (row) => (data.state[row] & FEASIBLE) !== 0;
const titled = (column) => (column.unit ? `${column.title}, ${column.unit}` : column.title);

// A point is a row of the columns, or a reference ("ref:NAME").
const isReference = (point) => typeof point === "string";
const referenceOf = (point) => page.references.find((each) => `ref:${each.name}` === point);
const detailOf = (point) => data.details[isReference(point) ? point : String(data.id[point])];
const nameOf = (point) => (isReference(point) ? referenceOf(point).name : `Design ${data.id[point]}`);

function numberAt(column, point) {
  if (!isReference(point)) return column.number(point);
  const reference = referenceOf(point);
  if (column.kind === "parameter") return levelNumber(reference.design[column.key.slice(2)]) ?? NaN;
  const index = data.metrics.indexOf(column);
  return index < 0 ? NaN : reference.metrics[index] ?? NaN;
}

function textAt(column, point) {
  if (!isReference(point)) return column.text(point);
  if (column.kind === "parameter") return referenceOf(point).design[column.key.slice(2)];
  return digits(numberAt(column, point));
}

const WIDEST_DECADES = 1.3;
// As on the terminal: an axis that spans more decades than this is logarithmic.
const spansDecades = (low, high) => low > 0 && Math.log10(high / low) > WIDEST_DECADES;

// Values of at most some 10,000 rows that are wanted, evenly spread.
function sampled(wanted, values) {
  const step = Math.max(1, Math.floor(data.rows / 10000));
  const found = [];
  for (let row = 0; row < data.rows; row += step) if (wanted(row)) found.push(values[row]);
  return found;
}

function quantiles(values, shares) {
  const step = Math.max(1, Math.floor(values.length / 4000));
  const sample = [];
  for (let i = 0; i < values.length; i += step) if (Number.isFinite(values[i])) sample.push(values[i]);
  sample.sort((a, b) => a - b);
  return shares.map((share) => sample[Math.round(share * (sample.length - 1))]);
}
