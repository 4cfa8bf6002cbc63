// Elements from names, attributes and children; text always becomes text nodes, never markup.

/** element("p", {class: "quiet"}, "words", other): attributes that are null or false are left out, true is empty. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Replaces everything inside. */
export function fill(place, ...children) {
  place.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
  return place;
}

/** A token, isolated so that right-to-left text leaves its neighbours in order. The label shows signs for what is unseen. */
export function tokenName(facts, at) {
  return element("bdi", {class: `token ${facts.tokens.kinds[at]}`}, facts.tokens.labels[at]);
}

/** A name of at most so many signs; one that is cut ends in an ellipsis. */
export function shortened(label, most) {
  const signs = [...label];
  return signs.length > most ? `${signs.slice(0, most - 1).join("")}…` : label;
}

/** The light colours, in which pictures that are saved are drawn. */
export const INKS = {ink: "#1b1f24", quiet: "#57606a", faint: "#cfd5db", pale: "#f1f4f6", paper: "#ffffff", line: "#78818a",
  accent: "#0b6e8f", "accent-pale": "#dcedf3", wrong: "#b3261e"};
let inksOnPaper = false;

/** draw(), with the light colours. */
export function onPaper(draw) {
  inksOnPaper = true;
  try {
    return draw();
  } finally {
    inksOnPaper = false;
  }
}

/** A colour of the page's style sheet by its name, such as "--ink": canvases read it anew when they are drawn. */
export function themeColour(name) {
  if (inksOnPaper) return INKS[name.slice(2)];
  const root = themeRoots.findLast((one) => one.isConnected) ?? document.documentElement;
  return getComputedStyle(root).getPropertyValue(name).trim();
}

const themeRoots = []; // of pages inside a notebook, whose document has other colours

/** From now on the page's colours are those of this element. */
export function themedBy(root) {
  themeRoots.push(root);
}

/** What has the focus in the same page, inside a notebook's shadow tree, too. */
export function focusedBeside(node) {
  return node.getRootNode().activeElement ?? null;
}
