// The table of designs: only the rows in sight exist, so that 100,000 scroll like ten.

const ROW = 27;
const SPARE = 12;
const table = { order: [], columns: [], active: 0, sorted: new Map() };

function tableColumns() {
  const goals = state.allMetrics ? data.metrics
    : [...new Set([...data.objectives, data.byKey.get(state.x), data.byKey.get(state.y)])];
  return [data.byKey.get("id"), ...goals, ...data.parameters];
}

// All rows in the order of a column, kept once sorted.
function sortedBy(key) {
  if (!table.sorted.has(key)) {
    const column = data.byKey.get(key);
    const numbers = Float64Array.from({ length: data.rows }, (_, row) => column.number(row));
    const rows = Uint32Array.from({ length: data.rows }, (_, row) => row);
    rows.sort((a, b) => numbers[a] - numbers[b] || a - b);
    table.sorted.set(key, rows);
  }
  return table.sorted.get(key);
}

function orderRows() {
  const rows = sortedBy(state.sort.key);
  const kept = new Uint32Array(passed);
  let at = 0;
  if (state.sort.down) for (let i = rows.length - 1; i >= 0; i--) { if (passing[rows[i]]) kept[at++] = rows[i]; }
  else for (let i = 0; i < rows.length; i++) { if (passing[rows[i]]) kept[at++] = rows[i]; }
  table.order = kept;
  table.active = Math.min(table.active, Math.max(passed - 1, 0));
}

function headCell(column) {
  const sorted = state.sort.key === column.key;
  const arrow = sorted ? (state.sort.down ? " ▾" : " ▴") : "";
  const button = element("button", { type: "button", title: column.full }, column.title + arrow);
  button.addEventListener("click", () => {
    const better = column.better === "max";
    state.sort = { key: column.key, down: sorted ? !state.sort.down : better };
    drawTable();
  });
  const filter = element("input", {
    type: "text", value: state.filters.get(column.key) ?? "", "aria-label": `Filter ${column.title}`,
    "data-key": column.key, spellcheck: "false", autocomplete: "off",
  });
  filter.addEventListener("input", () => {
    filter.setAttribute("aria-invalid", String(filter.value !== "" && !understood(column, filter.value)));
    setFilter(column.key, filter.value);
  });
  return element("th", {
    scope: "col", class: column.right ? "n" : "",
    "aria-sort": sorted ? (state.sort.down ? "descending" : "ascending") : "none",
  }, button, column.unit ? element("small", {}, column.unit) : null, filter);
}

function drawHead() {
  table.columns = tableColumns();
  const status = element("th", { scope: "col" }, element("small", {}, "state"));
  const cells = table.columns.map(headCell);
  cells.splice(1, 0, status);
  document.querySelector("#table thead").replaceChildren(element("tr", {}, ...cells));
}

// Inputs keep their focus while they are typed in; all others show the filters as they stand.
function showFilters() {
  for (const input of document.querySelectorAll("#table thead input")) {
    if (input !== document.activeElement) input.value = state.filters.get(input.dataset.key) ?? "";
  }
}

function drawTable() {
  orderRows();
  drawHead();
  drawRows();
}

function stateTag(row) {
  if (isFront(row)) return element("span", { class: "tag front" }, `front ${data.rank.get(row)}`);
  return isFeasible(row) ? "" : element("span", { class: "tag bad" }, "infeasible");
}

function tableRow(place) {
  const row = table.order[place];
  const classes = [place === table.active ? "active" : "", row === state.chosen ? "chosen" : ""];
  const cells = table.columns.map((column) =>
    element("td", { class: column.right ? "n" : "" }, column.text(row)));
  cells.splice(1, 0, element("td", {}, stateTag(row)));
  return element("tr", {
    id: `row-${place}`, class: classes.join(" ").trim(), "aria-rowindex": String(place + 2),
    "aria-selected": String(row === state.chosen), "data-place": String(place),
  }, ...cells);
}

function drawRows() {
  const box = byId("table");
  const head = box.querySelector("thead").offsetHeight;
  const first = Math.max(0, Math.floor(box.scrollTop / ROW) - SPARE);
  const last = Math.min(passed, Math.ceil((box.scrollTop + box.clientHeight - head) / ROW) + SPARE);
  const blank = (number) => {
    const cell = element("td", { colspan: String(table.columns.length + 1) });
    cell.style.height = `${number * ROW}px`;
    cell.style.padding = cell.style.border = "0";
    return element("tr", { "aria-hidden": "true", class: "blank" }, cell);
  };
  const rows = [];
  if (first > 0) rows.push(blank(first));
  for (let place = first; place < last; place++) rows.push(tableRow(place));
  if (last < passed) rows.push(blank(passed - last));
  box.querySelector("tbody").replaceChildren(...rows);
  box.querySelector("table").setAttribute("aria-rowcount", String(passed + 1));
  const shown = passed.toLocaleString("en-US");
  byId("count").textContent = `${shown} of ${data.rows.toLocaleString("en-US")}`;
}

function moveTo(place) {
  table.active = Math.max(0, Math.min(passed - 1, place));
  const box = byId("table");
  const room = box.clientHeight - box.querySelector("thead").offsetHeight - ROW;
  const top = table.active * ROW;
  if (top < box.scrollTop) box.scrollTop = top;
  if (top > box.scrollTop + room) box.scrollTop = top - room;
  drawRows();
  box.setAttribute("aria-activedescendant", `row-${table.active}`);
}

function tableEvents() {
  const box = byId("table");
  let waiting = false;
  box.addEventListener("scroll", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; drawRows(); });
  });
  box.querySelector("tbody").addEventListener("click", (event) => {
    const row = event.target.closest("tr[data-place]");
    if (!row) return;
    table.active = Number(row.dataset.place);
    choose(table.order[table.active]);
  });
  box.addEventListener("keydown", (event) => {
    if (event.target.closest("thead") || !passed) return;
    const leap = Math.max(1, Math.floor(box.clientHeight / ROW) - 3);
    const moves = {
      ArrowDown: table.active + 1, ArrowUp: table.active - 1, Home: 0, End: passed - 1,
      PageDown: table.active + leap, PageUp: table.active - leap,
    };
    if (event.key in moves) moveTo(moves[event.key]);
    else if (event.key === "Enter") choose(table.order[table.active]);
    else if (event.key.toLowerCase() === "c") toggleCompared(table.order[table.active]);
    else return;
    event.preventDefault();
  });
}
