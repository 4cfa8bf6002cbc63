// The page inside a notebook: as an anywidget, in a tree of its own, so that neither changes the other's style or keys.

import {kernelAnswers} from "./ask.js";
import {element, fill, themedBy} from "./dom.js";
import {openPage} from "./main.js";
import {ownState} from "./state.js";

const NOTEBOOK_SLOW = 3000; // milliseconds after which the page says what it waits for
const NOTEBOOK_MARKS = ["class", "style", "data-jp-theme-light", "data-vscode-theme-kind"];

/**
 * anywidget's render: draws the page in `el` and returns what ends it. The style is the widget's, for this tree alone.
 * kind: what the page offers, TEXTS or PICTURES.
 */
export async function renderPage({model, el}, kind) {
  const frame = element("div", {"data-lm-suppress-shortcuts": "true"}); // JupyterLab's keys are not meant in here
  const style = element("style"), root = element("div", {class: "notebook"});
  frame.attachShadow({mode: "open"}).append(style, root);
  frame.addEventListener("keydown", (event) => event.ctrlKey || event.metaKey || event.stopPropagation());
  el.append(frame);
  themedBy(root);
  let page = null, dark = null;

  function theme() {
    if (dark === notebookIsDark()) return;
    dark = notebookIsDark();
    style.textContent = styleFor(model.get("styles"), dark);
    page?.redraw();
  }
  theme();
  const watch = new MutationObserver(theme);
  for (const one of [document.documentElement, document.body])
    watch.observe(one, {attributes: true, attributeFilter: NOTEBOOK_MARKS});
  const answers = kernelAnswers(model);

  async function open() {
    const asking = element("p", {class: "quiet"}, "Asking regard what there is to see\u2026");
    const place = element("main", {tabindex: "-1"}, asking); // its keys are meant wherever in it somebody clicked
    fill(root, place);
    const slow = setTimeout(() => asking.append(" The notebook's kernel is busy, or gone: then run the cell again."), NOTEBOOK_SLOW);
    try {
      const start = await answers.json("start");
      page = await openPage(place, {kind, answers, state: ownState(start.at), first: start.key, name: start.name, keys: place, again: open});
    } catch (error) {
      fill(place, element("p", {class: "failed"}, error.message, " ", element("button", {class: "plain", onclick: open}, "try again")));
    } finally {
      clearTimeout(slow);
    }
  }
  open(); // not awaited: where the notebook was opened without its kernel, no answer comes
  return () => {
    watch.disconnect();
    page?.close();
    answers.close();
    frame.remove();
  };
}

/** What the notebook says of its theme; where it says nothing, whether its paper is dark. */
function notebookIsDark() {
  const {jpThemeLight, vscodeThemeKind} = document.body.dataset;
  if (jpThemeLight) return jpThemeLight === "false";
  if (vscodeThemeKind) return /dark|^vscode-high-contrast$/.test(vscodeThemeKind);
  for (const one of [document.body, document.documentElement]) {
    const [red, green, blue, cover = 1] = getComputedStyle(one).backgroundColor.match(/[\d.]+/g)?.map(Number) ?? [];
    if (cover > 0 && blue !== undefined) return 0.3 * red + 0.6 * green + 0.1 * blue < 128;
  }
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

/** The notebook's theme decides, not the system's. */
function styleFor(text, dark) {
  return text.replaceAll("(prefers-color-scheme:dark)", dark ? "all" : "not all") // as styles are sent: no space
    .replaceAll("color-scheme:light dark", `color-scheme:${dark ? "dark" : "light"}`);
}
