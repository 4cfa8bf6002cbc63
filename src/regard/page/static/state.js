// Where the page is: it all stands in the address, so that reloading, going back and a copied link show the same.

const NUMBERS = ["layer", "head", "row", "column", "zoom", "left", "top", "position", "from"];
const DEFAULTS = {view: "heads", key: "", site: "self", layer: 0, head: 0, row: -1, column: -1, scale: "", what: "weights"};

/** The fragment without "#" -> a state; names that nobody asked for stay, as texts. */
export function readState(fragment) {
  const state = {...DEFAULTS};
  for (const [name, value] of new URLSearchParams(fragment)) {
    if (NUMBERS.includes(name)) state[name] = Number.isInteger(Number(value)) ? Number(value) : DEFAULTS[name] ?? 0;
    else state[name] = value;
  }
  return state;
}

/** What differs from the defaults, in a fixed order. */
export function writeState(state) {
  const pairs = Object.entries(state).filter(([name, value]) => value !== "" && value !== undefined && value !== DEFAULTS[name]);
  return new URLSearchParams(pairs.sort(([a], [b]) => (a < b ? -1 : 1))).toString();
}

/** {get(), set(changes, {replace}), listen(f)}: set writes the address, and tells. first: where no address is given. */
export function addressState(first = "") {
  if (first && location.hash.length < 2) history.replaceState(null, "", `#${first}`);
  let state = readState(location.hash.slice(1));
  const listeners = new Set();
  const tell = () => listeners.forEach((listener) => listener(state));
  window.addEventListener("hashchange", () => {
    const found = readState(location.hash.slice(1));
    if (writeState(found) === writeState(state)) return;
    state = found;
    tell();
  });
  return {
    get: () => state,
    set(changes, {replace = false} = {}) {
      const next = {...state, ...changes};
      if (writeState(next) === writeState(state)) return;
      state = next;
      const address = `#${writeState(state)}`;
      history[replace ? "replaceState" : "pushState"](null, "", address);
      tell();
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** The same without an address, for a page inside a notebook. */
export function ownState(first = "") {
  let state = readState(first);
  const listeners = new Set();
  return {
    get: () => state,
    set(changes) {
      const next = {...state, ...changes};
      if (writeState(next) === writeState(state)) return;
      state = next;
      listeners.forEach((listener) => listener(state));
    },
    listen(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}
