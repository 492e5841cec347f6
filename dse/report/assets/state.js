// What the reader chose: axes, filters, sorting, the open design and those compared.

const MOST_COMPARED = 4;

const state = {
  x: "", y: "", colour: "", xLog: false, yLog: false,
  infeasible: false, frontOnly: false, allMetrics: false,
  filters: new Map(), sort: null, chosen: null, compared: [],
};

const listeners = { filter: [], choice: [], compared: [] };
const when = (event, call) => listeners[event].push(call);
const tell = (event) => listeners[event].forEach((call) => call());

const NUMBER = "(-?(?:\\d+\\.?\\d*|\\.\\d+)(?:e[+-]?\\d+)?)";
const ONE = new RegExp(`^(<=|>=|<|>|=)?\\s*${NUMBER}$`, "i");
const TWO = new RegExp(`^${NUMBER}\\s*\\.\\.\\s*${NUMBER}$`, "i");

// The bounds that a filter's text sets; null for a text that is not understood.
function bounds(text) {
  const plain = text.replaceAll(",", "").trim();
  const one = ONE.exec(plain);
  if (one) {
    const value = Number(one[2]);
    const slack = 5e-4 * Math.abs(value);
    if (one[1] === ">=") return [value - slack, Infinity];
    if (one[1] === ">") return [value + slack, Infinity];
    if (one[1] === "<=") return [-Infinity, value + slack];
    if (one[1] === "<") return [-Infinity, value - slack];
    return [value - slack, value + slack];
  }
  const two = TWO.exec(plain);
  if (!two) return null;
  const [low, high] = [Number(two[1]), Number(two[2])].sort((a, b) => a - b);
  return [low - 5e-4 * Math.abs(low), high + 5e-4 * Math.abs(high)];
}

// Which levels a filter keeps: by number, or by parts of names between bars.
function keptLevels(column, text) {
  const range = column.numbers && bounds(text);
  if (range) return column.numbers.map((value) => value >= range[0] && value <= range[1]);
  const terms = text.toLowerCase().split("|").map((term) => term.trim()).filter(Boolean);
  const names = column.levels.map((level) => level.toLowerCase());
  return names.map((name) => terms.some((term) =>
    (names.includes(term) ? name === term : name.includes(term))));
}

function understood(column, text) {
  return column.kind === "parameter" ? keptLevels(column, text).some(Boolean) : bounds(text) !== null;
}

let passing = new Uint8Array(0);
let passed = 0;

function applyFilters() {
  const { rows } = data;
  if (passing.length !== rows) passing = new Uint8Array(rows);
  const wanted = (state.infeasible ? 0 : FEASIBLE) | (state.frontOnly ? FRONT : 0);
  for (let row = 0; row < rows; row++) passing[row] = (data.state[row] & wanted) === wanted ? 1 : 0;
  for (const [key, text] of state.filters) {
    const column = data.byKey.get(key);
    if (!understood(column, text)) continue;
    const { values } = column;
    if (column.kind === "parameter") {
      const kept = keptLevels(column, text);
      for (let row = 0; row < rows; row++) if (!kept[values[row]]) passing[row] = 0;
    } else {
      const [low, high] = bounds(text);
      for (let row = 0; row < rows; row++) {
        if (!(values[row] >= low && values[row] <= high)) passing[row] = 0;
      }
    }
  }
  passed = passing.reduce((sum, each) => sum + each, 0);
  tell("filter");
}

function setFilter(key, text) {
  if (text.trim()) state.filters.set(key, text.trim());
  else state.filters.delete(key);
  applyFilters();
}

function choose(point) {
  state.chosen = point;
  tell("choice");
}

function toggleCompared(point) {
  const at = state.compared.indexOf(point);
  if (at >= 0) state.compared.splice(at, 1);
  else if (state.compared.length < MOST_COMPARED) state.compared.push(point);
  tell("compared");
}
