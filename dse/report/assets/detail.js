// One design in full: specification, where its time goes, what it costs, what would improve it.

const amount = (value, unit) => (unit && unit !== "1" ? `${digits(value)} ${unit}` : digits(value));
const percent = (share) => `${digits(100 * share, 3)} %`;

function size(bytes) {
  const powers = [["TB", 1e12], ["GB", 1e9], ["MB", 1e6], ["kB", 1e3]];
  const [unit, factor] = powers.find(([, each]) => Math.abs(bytes) >= each) ?? ["B", 1];
  return `${digits(bytes / factor)} ${unit}`;
}

function duration(seconds) {
  const powers = [["s", 1], ["ms", 1e-3], ["µs", 1e-6]];
  const [unit, factor] = powers.find(([, each]) => seconds >= each) ?? ["µs", 1e-6];
  return `${digits(seconds / factor)} ${unit}`;
}

// rows: [what, value, text]; the longest bar is the largest of them, or `whole`.
function bars(rows, whole, kind = "") {
  const most = whole ?? Math.max(...rows.map(([, value]) => Math.abs(value)), 1e-30);
  const cells = rows.flatMap(([what, value, text]) => {
    const bar = element("i", { class: value < 0 ? "minus" : "" });
    bar.style.width = `${Math.min(100, (100 * Math.abs(value)) / most)}%`;
    return [
      element("span", { class: "what" }, what),
      element("span", { class: `track ${kind}`, "aria-hidden": "true" }, bar),
      element("span", {}, text),
    ];
  });
  return element("div", { class: "bars" }, ...cells);
}

function pairs(rows) {
  return element("table", {}, element("tbody", {}, ...rows.map(([name, text]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "n" }, text)))));
}

function tree(node, whole) {
  const text = `${amount(node.value, node.unit)}${whole ? ` · ${percent(node.value / whole)}` : ""}`;
  const name = element("span", {}, node.name);
  if (!node.children?.length) return element("div", { class: "leaf" }, name, element("span", {}, text));
  const children = [...node.children].sort((a, b) => b.value - a.value);
  const made = element("details", { class: "tree" },
    element("summary", {}, name, element("span", {}, text)),
    ...children.map((each) => tree(each, whole || node.value)));
  made.open = !whole;
  return made;
}

const spaced = (text) => text.replaceAll("_", " ");

function grouped(rows, key) {
  const groups = new Map();
  for (const each of rows) groups.set(each[key] ?? "", [...(groups.get(each[key] ?? "") ?? []), each]);
  return groups;
}

function section(title, ...parts) {
  return [element("h4", {}, title), ...parts];
}

function timeParts(detail) {
  return [...grouped(detail.breakdown, "workload")].flatMap(([workload, rows]) => {
    const all = rows.reduce((sum, each) => sum + each.seconds, 0);
    const listed = rows.filter((each) => each.seconds > 0).sort((a, b) => b.seconds - a.seconds)
      .filter((each) => each.seconds > 1e-6 * all)
      .map((each) => [
        `${spaced(each.group)}${each.bound ? `, ${spaced(each.bound)}` : ""}`,
        each.seconds, `${duration(each.seconds)} · ${percent(each.seconds / all)}`,
      ]);
    return section(`Time of a step${workload ? `: ${workload}` : ""}`, bars(listed));
  });
}

function memoryParts(detail) {
  return [...grouped(detail.footprint, "workload")].flatMap(([workload, rows]) => {
    const whole = rows[0].capacity_bytes ?? detail.capacity_bytes;
    const listed = rows.filter((each) => each.bytes > 0).map((each) => [
      spaced(each.part), each.bytes, whole ? `${size(each.bytes)} · ${percent(each.bytes / whole)}` : size(each.bytes),
    ]);
    const of = whole ? ` of ${size(whole)} a chip` : "";
    return section(`Memory${of}${workload ? `: ${workload}` : ""}`, bars(listed, whole));
  });
}

function elasticityParts(detail) {
  return [...grouped(detail.elasticities, "metric")].flatMap(([metric, rows]) => {
    const listed = [...rows].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)).slice(0, 12)
      .map((each) => [each.path, each.value, `${each.value > 0 ? "+" : ""}${digits(each.value, 3)}`]);
    return section(`What one more percent of an input does to ${spaced(metric)}, %`,
      bars(listed, undefined, "signed"));
  });
}

function marginParts(detail) {
  // what counts things has nothing to spare, and nothing to tell
  const rows = Object.entries(detail.margins)
    .filter(([rule, margin]) => margin !== 0 || detail.active?.includes(rule))
    .sort((a, b) => a[1] - b[1]).slice(0, 6);
  return section("Tightest rules", pairs(rows.map(([rule, margin]) =>
    [rule, margin < 0 ? `broken by ${percent(-margin)}` : `${percent(margin)} left`])));
}

function priceParts(detail) {
  const rows = detail.prices.map((each) => [each.limit, `${percent(each.per_unit)}/${each.unit}`]);
  const spent = grouped(detail.prices.map((each) => (
    { limit: each.limit, on: each.via.map((one) => one.path).join(" and ") })), "on");
  const notes = [...spent].filter(([on]) => on).map(([on, each]) =>
    `${each.map((one) => one.limit).join(" and ")}: best spent on ${on}.`);
  const held = detail.prices.filter((each) => each.held_by.length).map((each) =>
    `${each.limit} would be worth more if ${each.held_by.join(", ")} gave too.`);
  return section(`What one unit more of a limit is worth in ${spaced(detail.prices[0].metric)}`, pairs(rows),
    ...[...notes, ...held].map((text) => element("p", { class: "hint" }, text)));
}

function mappingText(mapping) {
  return typeof mapping === "string" ? mapping
    : Object.entries(mapping).filter(([name, value]) => name === "batch" || name === "tp" || (value !== 1 && value !== 0))
      .map(([name, value]) => `${name}=${value.toLocaleString("en-US")}`).join(" ");
}

function robustPart(point) {
  const shares = page.robust.shares?.[isReference(point) ? point : String(data.id[point])];
  return shares ? element("p", {}, `Of ${page.robust.samples.toLocaleString("en-US")} samples on the front in `
    + `${percent(shares.front_share)}, feasible in ${percent(shares.feasible_share)}, best in ${percent(shares.best_share)}.`) : null;
}

function buttons(point) {
  const compared = state.compared.includes(point);
  const compare = element("button", { type: "button" }, compared ? "Remove from comparison" : "Compare");
  compare.disabled = !compared && state.compared.length >= MOST_COMPARED;
  compare.addEventListener("click", () => toggleCompared(point));
  return element("div", { class: "actions" }, compare);
}

function drawDetail() {
  const point = state.chosen;
  if (point === null) return;
  byId("detail-title").textContent = nameOf(point);
  const detail = detailOf(point);
  const reference = isReference(point) ? referenceOf(point) : null;
  const tag = reference ? element("span", { class: "tag reference" }, "reference") : stateTag(point);
  const metrics = [...new Set([...data.objectives, data.byKey.get(state.x), data.byKey.get(state.y), ...data.metrics])];
  const parts = [
    element("div", {}, tag), buttons(point),
    reference ? element("p", {}, reference.note) : null,
    robustPart(point),
    detail?.active?.length ? element("p", {}, `Bound by ${detail.active.join(", ")}.`) : null,
    ...(detail?.mapping ?? reference?.mapping
      ? section("Operating point", pairs(Object.entries(detail?.mapping ?? reference.mapping)
        .map(([name, each]) => [name, mappingText(each)]))) : []),
    ...section("Specification", pairs(data.parameters.map((each) => [each.full, textAt(each, point)]))),
    ...(detail?.breakdown?.length ? timeParts(detail) : []),
    ...(detail?.footprint?.length ? memoryParts(detail) : []),
    ...(detail?.elasticities?.length ? elasticityParts(detail) : []),
    ...(detail?.margins ? marginParts(detail) : []),
    ...(detail?.prices?.length ? priceParts(detail) : []),
    ...(detail?.power ? section("Power", tree(detail.power)) : []),
    ...(detail?.cost ? section("Cost", tree(detail.cost)) : []),
    ...section("Metrics", pairs(metrics.map((each) => [each.title, amount(numberAt(each, point), each.unit)]))),
    detail ? null : element("p", { class: "hint" }, page.missing
      || "Breakdown and elasticities are kept for the front, the references and the designs nearest to the front."),
  ];
  byId("detail-body").replaceChildren(...parts.filter(Boolean));
}

// Sections of the comparison: [title, [[name, [text of each], [number of each]]]]
function comparison() {
  const points = state.compared;
  const row = (column) => [column.kind === "metric" ? titled(column) : column.full,
    points.map((point) => textAt(column, point))];
  const groups = [
    ["Specification", data.parameters.map(row)],
    ["Metrics", [...new Set([...data.objectives, ...data.metrics])].map(row)],
  ];
  const details = points.map(detailOf);
  if (details.some((each) => each?.breakdown?.length)) {
    const of = (each) => [each.workload, each.phase, each.group].filter(Boolean).join(", ");
    const names = [...new Set(details.flatMap((each) => (each?.breakdown ?? []).map(of)))];
    groups.push(["Time of a step", names.map((name) => [name, details.map((each) => {
      const found = each?.breakdown?.find((one) => of(one) === name);
      return found ? duration(found.seconds) : "-";
    })])]);
  }
  return groups;
}

function drawCompared() {
  const points = state.compared;
  const box = byId("compared");
  const free = page.references.filter((each) => !points.includes(`ref:${each.name}`));
  byId("add-reference").replaceChildren(element("option", { value: "" }, "choose"),
    ...free.map((each) => element("option", { value: `ref:${each.name}` }, each.name)));
  if (!points.length) {
    box.replaceChildren(element("p", { class: "hint" },
      `Up to ${MOST_COMPARED} designs and references side by side: C on a row or a point, or Compare beside it.`));
    return;
  }
  const heads = points.map((point) => {
    const open = element("button", { type: "button" }, nameOf(point));
    open.addEventListener("click", () => choose(point));
    return element("th", { scope: "col", class: "n" }, open);
  });
  const body = comparison().map(([title, rows]) => element("tbody", {},
    element("tr", { class: "group" }, element("th", { scope: "rowgroup", colspan: String(points.length + 1) }, title)),
    ...rows.map(([name, texts]) => {
      const differs = new Set(texts).size > 1 ? "n differs" : "n";
      return element("tr", {}, element("th", { scope: "row" }, name),
        ...texts.map((text) => element("td", { class: differs }, text)));
    })));
  box.replaceChildren(element("table", {}, element("thead", {},
    element("tr", {}, element("td"), ...heads)), ...body));
}
