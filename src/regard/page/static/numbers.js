// Numbers as they are shown: six significant digits; nothing that is tiny, zero or not allowed looks like another.

export const NOT_ALLOWED = "not allowed";
const SMALLEST_NORMAL = 1.1754943508222875e-38;

/** Six significant digits; NaN is what a query may not look at. */
export function shownNumber(value) {
  if (Number.isNaN(value)) return NOT_ALLOWED;
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size < SMALLEST_NORMAL) return value < 0 ? ">-1.2e-38" : "<1.2e-38";
  return size >= 1e-4 && size < 1e6 ? trimmed(value.toPrecision(6)) : value.toExponential(5).replace("e+", "e");
}

/** Three significant digits: for captions beside pictures. The full number stands in the element's data-value. */
export function shortNumber(value) {
  if (value === null || Number.isNaN(value)) return "-";
  const size = Math.abs(value);
  return size !== 0 && (size < 0.005 || size >= 1e4) ? value.toExponential(1).replace("e+", "e") : value.toFixed(size >= 100 ? 0 : 2);
}

/** Nine digits, which name a float32 exactly: what is copied, and what tests read. */
export function exactNumber(value) {
  return Number.isNaN(value) ? NOT_ALLOWED : value.toPrecision(9);
}

/** 1 head, 2 heads. */
export const counted = (count, noun) => `${count} ${noun}` + (count === 1 ? "" : "s");

export function percent(share) {
  return `${(100 * share).toFixed(share >= 0.0995 || share === 0 ? 0 : 1)} %`;
}

function trimmed(text) {
  return text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text;
}
