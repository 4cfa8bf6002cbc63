// What a pointer does on a matrix: it drags, pinches, turns the wheel, chooses a cell, or marks a block of them.

import {matrixBound} from "./frame.js";

/**
 * frame() -> what is seen (frame.js); pan(x, y), in cells of the view; zoomBy(by, point); hover(cell or null);
 * marks(event): whether a block is meant; mark(from, to); tap(cell, whether a block is meant). Cells are {row, column}.
 */
export function matrixGestures(canvas, {frame, pan, zoomBy, hover, tap, marks, mark}) {
  const pointers = new Map();
  let drag = null, spread = 0, turned = [0, 0];
  const apart = ([a, b]) => Math.hypot(a[0] - b[0], a[1] - b[1]);

  function pointOf({offsetX, offsetY}) {
    const {ratio, left, top} = frame();
    return [offsetX * ratio - left, offsetY * ratio - top];
  }

  /** The cell there; in a ruler only its row or its column. near: else the nearest. */
  function cellOf(event, near) {
    const {cell, across, down, x, y, step} = frame(), at = pointOf(event).map((length) => Math.floor(length / cell));
    const [c, r] = near ? [matrixBound(at[0], across - 1), matrixBound(at[1], down - 1)] : at;
    const inside = c < across && r < down;
    return {...(inside && r >= 0 && {row: (y + r) * step}), ...(inside && c >= 0 && {column: (x + c) * step})};
  }

  function pointerdown(event) {
    if (event.button !== 0) return;
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, pointOf(event));
    const {x, y} = frame(), several = pointers.size > 1;
    drag = {from: pointOf(event), x, y, moved: several, first: marks(event) && !several && cellOf(event, true)};
    if (several) spread = apart([...pointers.values()]);
  }

  function pointermove(event) {
    const point = pointOf(event), {cell, ratio} = frame();
    if (pointers.has(event.pointerId)) pointers.set(event.pointerId, point);
    const [a, b] = pointers.values();
    if (b) { // pinch
      const change = apart([a, b]) / spread;
      if (change > 0.67 && change < 1.5) return;
      spread = apart([a, b]);
      zoomBy(change > 1 ? -1 : 1, a.map((at, k) => (at + b[k]) / 2));
    } else if (a && drag) {
      const [dx, dy] = point.map((at, k) => at - drag.from[k]);
      drag.moved ||= Math.hypot(dx, dy) > 4 * ratio;
      if (drag.moved && drag.first) mark(drag.first, cellOf(event, true));
      else if (drag.moved) pan(drag.x - Math.round(dx / cell), drag.y - Math.round(dy / cell));
    } else if (event.pointerType !== "touch") {
      const at = event.type === "pointerleave" ? {} : cellOf(event);
      hover("row" in at && "column" in at ? at : null);
    }
  }

  function pointerup(event) {
    const {moved, first} = drag ?? {moved: true};
    drag = null;
    if (pointers.delete(event.pointerId) && !moved && event.type === "pointerup") tap(cellOf(event, first), first);
  }

  function wheel(event) {
    const {x, y, columns, rows, across, down, ratio, cell} = frame(), {ctrlKey} = event;
    const room = [[x, columns - across], [y, rows - down]];
    const delta = [event.deltaX, event.deltaY].map((length) => length * (event.deltaMode === 1 ? 16 : 1));
    const can = delta.some((length, k) => (length < 0 ? room[k][0] > 0 : length > 0 && room[k][0] < room[k][1]));
    turned = can || ctrlKey ? turned.map((length, k) => length + delta[k]) : [0, 0];
    if (can || ctrlKey) event.preventDefault(); // else, at the edge, the page scrolls on
    const cells = turned.map((length) => Math.trunc((length * ratio) / cell));
    if (ctrlKey && Math.abs(turned[1]) < 40) return;
    if (ctrlKey) zoomBy(Math.sign(turned[1]), pointOf(event));
    else pan(x + cells[0], y + cells[1]);
    turned = turned.map((length, k) => (ctrlKey ? 0 : length - (cells[k] * cell) / ratio));
  }

  const hear = {pointerdown, pointermove, pointerup, pointercancel: pointerup, pointerleave: pointermove, wheel};
  for (const [name, listener] of Object.entries(hear)) canvas.addEventListener(name, listener, {passive: false});
}
