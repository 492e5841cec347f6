// Milliseconds from each interaction with a page to the frame after it, by kind.
async () => {
  const settled = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));
  const byId = (id) => document.getElementById(id);
  const found = {};
  const time = async (kind, act) => {
    const start = performance.now();
    act();
    await settled();
    (found[kind] ??= []).push(performance.now() - start);
  };
  const pick = (id, index) => {
    byId(id).selectedIndex = index;
    byId(id).dispatchEvent(new Event("change"));
  };
  for (let i = 2; i < 7; i++) await time("axis", () => pick("x", i));
  for (let i = 2; i < 7; i++) await time("axis", () => pick("y", i + 1));
  pick("x", 0);
  pick("y", 1);
  await settled();
  for (let i = 0; i < 8; i++) await time("colour", () => pick("colour", i));

  const lines = byId("strands");
  const corner = lines.getBoundingClientRect();
  lines.setPointerCapture = () => {};
  const point = (type, y) => lines.dispatchEvent(new PointerEvent(type, {
    clientX: corner.left + 46, clientY: corner.top + y, pointerId: 1, bubbles: true,
  }));
  point("pointerdown", 60);
  for (let i = 0; i < 8; i++) await time("brush", () => point("pointermove", 80 + 15 * i));
  await time("brush", () => point("pointerup", 200));
  byId("clear").click();
  await settled();

  for (const text of [">= 1", ">= 2", ">= 3", ">= 4"]) {
    await time("filter", () => {
      const input = document.querySelectorAll("#table thead input")[1];
      input.value = `${text}000000`;
      input.dispatchEvent(new Event("input"));
    });
  }
  byId("clear").click();
  await settled();
  for (let i = 1; i < 9; i++) {
    await time("sort", () => document.querySelectorAll("#table thead button")[i].click());
  }
  for (let i = 0; i < 6; i++) await time("scroll", () => { byId("table").scrollTop = 1e5 * i; });
  for (let i = 0; i < 6; i++) {
    await time("row", () => document.querySelectorAll("#table tbody tr[data-place]")[i].click());
  }
  const box = byId("scatter").getBoundingClientRect();
  for (let i = 0; i < 6; i++) {
    await time("hover", () => byId("scatter").dispatchEvent(new PointerEvent("pointermove", {
      clientX: box.left + 300 + 20 * i, clientY: box.top + 200, bubbles: true,
    })));
  }
  return found;
}
