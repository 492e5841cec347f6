// Paints designs, front, bands and references on the canvas over the scatter's axes.

// Where every design stands on the canvas; NaN where it is not drawn.
function placed() {
  const { _fullLayout: full } = scatter.plot;
  const size = full._size;
  const axes = [[state.x, full.xaxis, state.xLog], [state.y, full.yaxis, state.yLog]];
  const [px, py] = axes.map(([key, axis, log], which) => {
    const [low, high] = axis.range.map(Number);
    const [start, length] = which ? [size.t + size.h, -size.h] : [size.l, size.w];
    const scale = length / (high - low);
    const column = data.byKey.get(key);
    const made = new Float32Array(data.rows);
    for (let row = 0; row < data.rows; row++) {
      const value = column.values[row];
      made[row] = start + ((log ? Math.log10(value) : value) - low) * scale;
    }
    return made;
  });
  return { px, py, size };
}

function drawCloud() {
  const canvas = byId("cloud");
  const { width, height } = byId("scatter").getBoundingClientRect();
  const ratio = window.devicePixelRatio || 1;
  [canvas.width, canvas.height] = [Math.round(width * ratio), Math.round(height * ratio)];
  const context = canvas.getContext("2d");
  scatter.places = placed();
  paintCloud(context, ratio);
  paintReferences(context);
}

// All but the references, which a download draws itself.
function paintCloud(context, ratio) {
  paintDesigns(context, ratio);
  context.scale(ratio, ratio);
  context.save();
  const { size } = scatter.places;
  context.rect(size.l - 6, size.t - 6, size.w + 12, size.h + 12);
  context.clip();
  paintFront(context);
  paintBands(context);
  paintChosen(context);
  context.restore();
}

function paintDesigns(context, ratio) {
  const { px, py, size } = scatter.places;
  const [left, top] = [Math.round(size.l * ratio), Math.round(size.t * ratio)];
  const [wide, high] = [Math.round(size.w * ratio), Math.round(size.h * ratio)];
  if (wide < 1 || high < 1) return;
  const image = context.createImageData(wide, high);
  const pixels = new Uint32Array(image.data.buffer);
  // fewer designs have larger spots
  let near = 0;
  for (let row = 0; row < data.rows; row++) if (passing[row] && inside(px[row], py[row])) near += 1;
  const plain = Math.max(1, Math.round(1.2 * ratio));
  const large = near < 4000 ? Math.round(2 * ratio) : plain;
  const spot = (row, colour, half) => {
    const x = Math.round(px[row] * ratio) - left;
    const y = Math.round(py[row] * ratio) - top;
    if (!(x >= half && y >= half && x < wide - half && y < high - half)) return;
    for (let dy = -half; dy <= half; dy++) {
      const wider = Math.floor(Math.sqrt((half + 0.3) ** 2 - dy * dy));
      const at = (y + dy) * wide + x;
      for (let dx = -wider; dx <= wider; dx++) pixels[at + dx] = colour;
    }
  };
  const faint = packedColour(variable("--faint"));
  const shown = state.infeasible ? 0 : FEASIBLE;
  for (let row = 0; row < data.rows; row++) {
    if (!passing[row] && (data.state[row] & shown) === shown) spot(row, faint, plain);
  }
  for (let row = 0; row < data.rows; row++) {
    if (passing[row]) spot(row, colours.packed[colours.classes[row]], large);
  }
  const part = paintDesigns.part ||= document.createElement("canvas");
  [part.width, part.height] = [wide, high];
  part.getContext("2d").putImageData(image, 0, 0);
  context.drawImage(part, left, top);
}

function inside(x, y) {
  const { size } = scatter.places;
  return x >= size.l - 1 && x <= size.l + size.w + 1 && y >= size.t - 1 && y <= size.t + size.h + 1;
}

function paintFront(context) {
  const { px, py } = scatter.places;
  const line = frontLine(data.byKey.get(state.x), data.byKey.get(state.y));
  context.lineWidth = 1.5;
  context.strokeStyle = variable("--front");
  context.beginPath();
  for (const point of line) context.lineTo(...placeAt(...point));
  context.stroke();
  for (const row of data.front) {
    if (!inside(px[row], py[row])) continue;
    context.globalAlpha = passing[row] ? 1 : 0.25;
    context.beginPath();
    context.arc(px[row], py[row], 4.5, 0, 2 * Math.PI);
    context.fillStyle = colours.palette[colours.classes[row]];
    context.strokeStyle = variable("--ink");
    context.fill();
    context.stroke();
  }
  context.globalAlpha = 1;
}

// Pixels of two values.
function placeAt(...values) {
  const { _fullLayout: full } = scatter.plot;
  const axes = [[full.xaxis, state.xLog], [full.yaxis, state.yLog]];
  return axes.map(([axis, log], i) => axis._offset + axis.l2p(log ? Math.log10(values[i]) : values[i]));
}

function placeOf(point) {
  if (!isReference(point)) return [scatter.places.px[point], scatter.places.py[point]];
  return placeAt(...[state.x, state.y].map((key) => numberAt(data.byKey.get(key), point)));
}

// How far the two metrics of a design may lie from where they stand, where the run says so.
function paintBands(context) {
  context.lineWidth = 1;
  context.strokeStyle = variable("--front");
  const names = [state.x, state.y].map((key) => key.slice(2));
  const looked = new Set([state.chosen, scatter.hovered, ...state.compared]);
  for (const row of data.front) {
    context.globalAlpha = looked.has(row) ? 1 : 0.15;
    const ends = names.map((name) => page.bands[data.id[row]]?.[name]);
    const at = [state.x, state.y].map((key) => data.byKey.get(key).number(row));
    ends.forEach((end, axis) => {
      if (!end) return;
      context.beginPath();
      for (const value of end) context.lineTo(...placeAt(...(axis ? [at[0], value] : [value, at[1]])));
      context.stroke();
    });
  }
  context.globalAlpha = 1;
}

const SIDES = [[1, 0], [-1, 0], [0, -1], [0, 1], [1, -1], [-1, -1], [1, 1], [-1, 1]];

// Each name on the first side of its mark where it meets no name and no mark.
function paintReferences(context) {
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  context.lineJoin = "round";
  const marks = page.references.map((each) => placeOf(`ref:${each.name}`));
  const taken = marks.map(([x, y]) => [x - 6, y - 6, x + 6, y + 6]);
  page.references.forEach((each, i) => {
    const [x, y] = marks[i];
    if (!inside(x, y)) return;
    diamond(context, x, y, each.feasible);
    const wide = context.measureText(each.name).width;
    const boxes = [10, 20, 34].flatMap((gap) => SIDES.map(([across, down]) => {
      const left = x + across * gap - ((1 - across) / 2) * wide;
      return [left, y + down * gap - 8, left + wide, y + down * gap + 8];
    }));
    const box = boxes.find((b) => b[0] > 0 && b[2] < scatter.places.size.l + scatter.places.size.w
      && taken.every((o) => b[0] > o[2] || o[0] > b[2] || b[1] > o[3] || o[1] > b[3])) ?? boxes[0];
    taken.push(box);
    context.lineWidth = 4;
    context.strokeStyle = variable("--paper");
    context.strokeText(each.name, box[0], (box[1] + box[3]) / 2);
    context.fillStyle = variable("--ink");
    context.fillText(each.name, box[0], (box[1] + box[3]) / 2);
  });
}

function diamond(context, x, y, full) {
  context.beginPath();
  for (const [dx, dy] of [[0, -6.5], [6.5, 0], [0, 6.5], [-6.5, 0]]) context.lineTo(x + dx, y + dy);
  context.closePath();
  context.fillStyle = full ? variable("--mark") : variable("--paper");
  context.strokeStyle = full ? variable("--paper") : variable("--mark");
  context.lineWidth = full ? 1 : 2;
  context.fill();
  context.stroke();
}

function paintChosen(context) {
  for (const point of new Set([state.chosen, scatter.hovered, ...state.compared])) {
    if (point === null) continue;
    const [x, y] = placeOf(point);
    if (!inside(x, y)) continue;
    context.beginPath();
    context.arc(x, y, point === state.chosen ? 9 : 7.5, 0, 2 * Math.PI);
    context.strokeStyle = variable("--ink");
    context.lineWidth = point === state.chosen ? 2.5 : 1.2;
    context.stroke();
  }
}
