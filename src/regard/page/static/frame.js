// What of a matrix is seen at a zoom: whole cells of whole device pixels.

export const MATRIX_CLOSEST = -4; // zoom 0 and more is the level of the tiles; below it, level 0 in larger cells

export const matrixCell = (zoom, ratio) => Math.max(1, Math.round(2 ** (1 + Math.max(0, -zoom)) * ratio));
export const matrixBound = (at, most) => Math.min(Math.max(0, at), most);

/** What is seen: whole cells of whole device pixels, so that a pixel tells its number. Lengths in device pixels. */
export function matrixFrame({n, m}, here, wide) {
  const ratio = window.devicePixelRatio || 1;
  const last = Math.ceil(Math.log2(Math.max(n, m)));
  const [left, top, strip, gap] = [...(wide < 560 ? [64, 56] : [112, 84]), 12, 4].map((size) => Math.round(size * ratio));
  const room = [wide * ratio - left - strip - gap, Math.min(720, Math.max(220, window.innerHeight * 0.6)) * ratio];
  const fits = (zoom) =>
    [m, n].every((size, k) => Math.ceil(size / 2 ** Math.max(0, zoom)) * matrixCell(zoom, ratio) <= room[k]);
  let fit = MATRIX_CLOSEST;
  while (fit < last && !fits(fit)) fit++;
  const zoom = Math.min(last, Math.max(MATRIX_CLOSEST, here.zoom ?? fit));
  const [level, step, cell] = [Math.max(0, zoom), 2 ** Math.max(0, zoom), matrixCell(zoom, ratio)];
  const [columns, rows] = [Math.ceil(m / step), Math.ceil(n / step)];
  const [across, down] = [columns, rows].map((count, k) => Math.min(count, Math.max(1, Math.floor(room[k] / cell))));
  const x = matrixBound(Math.floor((here.left ?? 0) / step), columns - across);
  const y = matrixBound(Math.floor((here.top ?? 0) / step), rows - down);
  const size = [left + across * cell + gap + strip, top + down * cell + gap + strip];
  return {ratio, last, left, top, strip, fit, zoom, level, step, cell, columns, rows, across, down, x, y, size};
}
