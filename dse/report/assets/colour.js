// Colours of designs by a parameter or a metric, in both themes.

const NAMED = {
  light: ["#0b62b5", "#b3470b", "#22733a", "#7a3e9d", "#8a6d00", "#a81e4d", "#237784", "#5d6672"],
  dark: ["#6cb4f5", "#f2955a", "#71c98a", "#c99ae6", "#dcbf52", "#f283a5", "#6cc3cf", "#aab4bf"],
};
// Viridis (van der Walt and Smith, 2015), cut where it would vanish into the paper.
const RAMP = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
const PART = { light: [0, 0.82], dark: [0.2, 1] };
const CLASSES = 24;

const theme = () => document.documentElement.dataset.theme || "light";
const variable = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function ramp(share) {
  const [low, high] = PART[theme()];
  const at = (low + (high - low) * share) * (RAMP.length - 1);
  const first = Math.min(Math.floor(at), RAMP.length - 2);
  const mixed = RAMP[first].map((value, i) =>
    Math.round(value + (RAMP[first + 1][i] - value) * (at - first)));
  return `rgb(${mixed.join(",")})`;
}

// {classes: class of each row, palette: CSS colours, legend: [[colour, text]] or a ramp's ends}
function colouring(column) {
  if (column.kind === "parameter") {
    const { levels } = column;
    const names = levels.length <= NAMED.light.length && !column.numbers;
    const palette = levels.map((_, i) =>
      (names ? NAMED[theme()][i] : ramp(levels.length > 1 ? i / (levels.length - 1) : 0)));
    return { classes: column.values, palette, legend: levels.map((text, i) => [palette[i], text]) };
  }
  const [low, high] = quantiles(column.values, [0.02, 0.98]);
  const wide = spansDecades(low, high);
  const scaled = wide ? Math.log : (value) => value;
  const [start, end] = [scaled(low), scaled(high)];
  const classes = new Uint8Array(data.rows);
  for (let row = 0; row < data.rows; row++) {
    const share = end > start ? (scaled(column.values[row]) - start) / (end - start) : 0;
    classes[row] = Math.max(0, Math.min(CLASSES - 1, Math.floor(share * CLASSES))) || 0;
  }
  const palette = Array.from({ length: CLASSES }, (_, i) => ramp(i / (CLASSES - 1)));
  return { classes, palette, ends: [digits(low, 3), digits(high, 3)] };
}

let colours = { classes: new Uint8Array(0), palette: [] };

function recolour() {
  colours = colouring(data.byKey.get(state.colour));
  colours.packed = colours.palette.map(packedColour);
}

// A CSS colour as the 32 bits of a canvas pixel.
function packedColour(text) {
  const probe = packedColour.probe ||= document.createElement("canvas").getContext("2d", {
    willReadFrequently: true,
  });
  probe.clearRect(0, 0, 1, 1);
  probe.fillStyle = text;
  probe.fillRect(0, 0, 1, 1);
  return new Uint32Array(probe.getImageData(0, 0, 1, 1).data.buffer)[0];
}

function drawLegend() {
  const column = data.byKey.get(state.colour);
  const parts = [element("span", {}, `${titled(column)}:`)];
  if (colours.legend) {
    for (const [colour, text] of colours.legend) {
      const dot = element("i");
      dot.style.background = colour;
      parts.push(element("span", {}, dot, text));
    }
  } else {
    const bar = element("i", { class: "ramp" });
    bar.style.background = `linear-gradient(90deg, ${colours.palette.join(",")})`;
    parts.push(element("span", {}, colours.ends[0], bar, colours.ends[1]));
  }
  if (page.references.some((each) => !each.feasible)) {
    parts.push(element("span", {}, element("i", { class: "ring" }), "reference that breaks a rule"));
  }
  byId("legend").replaceChildren(...parts);
}
