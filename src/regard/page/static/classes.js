// View 5 of a picture: what does the model take it for, and from which layer and which patches on?

import {readTile} from "./ask.js";
import {asking, choiceOf, digits, keepFocus, numberCell, plainButton, rovingKeys} from "./controls.js";
import {element, fill, tokenName} from "./dom.js";
import {strongest} from "./exact.js";
import {patchPart, patchPixels, patchTokens} from "./patches.js";
import {classesSlice} from "./pictureslices.js";
import {pictureStage} from "./stage.js";

const CLASSES_ROWS = 20; // classes and patches that are listed
const CLASSES_KEYS = "Arrow keys choose a patch; Enter looks up its row";

export function classesView(place, page) {
  if (!page.facts.picture.answers) return withoutClasses(place, "The model learnt without labels: what comes out of it only served learning. So there are no classes here, and no lens reading of them.");
  const {facts, state, facts: {layers: count, picture, model}} = page, patches = patchTokens(facts);
  let now = null, shown = null, seen = "";
  const stage = pictureStage(page, {label: CLASSES_KEYS, hover: point, choose: (k) => state.set({row: patches[k]}), enter: () => state.set({view: "lookup"})});
  const [table, agreed, status, title, readout, list] = ["div", "p", "div", "h3", "p", "div"].map((name) => element(name));
  const readings = Array.from({length: count + 1}, (_, layer) => layer).filter((layer) => model || layer === count);
  const [lensLabel, lens] = choiceOf("lens reading of layer", readings.map((layer) => [String(layer), String(layer)]), (layer) => state.set({lens: layer}));
  fill(place, element("h2", {}, `What does the model take the ${picture.sound ? "sound" : "picture"} for, and from which layer on?`),
    element("p", {class: "quiet"}, `The answer is the softmax of the logits of ${picture.read}. A lens reading is the final norm and the output matrix, applied anew to the ` +
      "stream that enters a layer: one way to read it, not what the layer thinks."),
    status, element("div", {class: "scroll"}, table), agreed, title, lensLabel,
    element("div", {class: "overlay-both"}, element("div", {}, stage.node, element("p", {class: "quiet small"}, `${CLASSES_KEYS}.`)), element("div", {}, readout, list)));
  const asked = asking(page, place, status, load);

  async function read() {
    const [pixels, answer, tile] = await Promise.all([patchPixels(page), page.ask.json(`${page.key}/classes`), page.ask.bytes(`${page.key}/patches/${now.layer}`).then(readTile)]);
    return {pixels, ...answer, tile};
  }

  function load() {
    asked.ask(read, (found) => {
      shown = found;
      tell();
    }, shown ? "" : "Reading what it is taken for …");
  }

  const chosen = () => Math.max(0, shown.top.findIndex(([, , id]) => id === now.id));
  const own = () => patches.map((_, k) => shown.tile.values[k * shown.tile.columns + chosen()]);

  function tell() {
    const {top, layers, difference} = shown, [named] = top[chosen()], shares = own();
    const line = ([label, p, id], k) => element("tr", {class: k === chosen() ? "chosen" : null}, element("th", {scope: "row"}, plainButton(label, () => state.set({class: String(id)}),
      {class: "plain token classes-class", "data-key": id, "aria-pressed": String(k === chosen()), tabindex: k === chosen() ? 0 : -1})),
    numberCell(p), ...layers.map((one) => numberCell(one[k])));
    const names = ["class", "probability, as recorded", ...layers.map((_, layer) => `lens, layer ${layer}`)];
    keepFocus(table, () => fill(table, element("table", {class: "numbers small", onkeydown: (event) => rovingKeys(event, ".classes-class", "ArrowUp", "ArrowDown")},
      classesHead(names), element("tbody", {}, ...top.slice(0, CLASSES_ROWS).map(line)))));
    fill(agreed, ...(difference === null ? ["Lens readings need the model, and this recording was opened without it."] :
      [`Layer ${count} is the output, read again: no probability differs from the recorded one by more than `, digits(difference), "."]));
    fill(title, "Each patch by itself: the probability of ", element("bdi", {}, named));
    fill(list, element("table", {class: "numbers small"}, element("caption", {}, `The ${Math.min(CLASSES_ROWS, patches.length)} patches with the largest`),
      classesHead(["patch", "probability"]), element("tbody", {}, ...strongest(Float64Array.from(shares), CLASSES_ROWS).map((k) =>
        element("tr", {}, element("td", {}, tokenName(facts, patches[k])), numberCell(shares[k]))))));
    stage.show({...mapOf(), at: patches.indexOf(now.row), box: ""});
    point(-1);
  }

  const mapOf = () => ({pixels: shown.pixels, values: own(), share: 0.6});

  /** The patch under the pointer, else the chosen one. */
  function point(hovered) {
    const k = hovered < 0 ? patches.indexOf(now.row) : hovered;
    fill(readout, ...(k < 0 || !shown ? ["Choose a patch, or point at it, to read its number."] :
      ["patch ", tokenName(facts, patches[k]), patchPart(picture, k), ": ", digits(own()[k])]));
    if (hovered < 0 && k >= 0 && shown) page.say(readout.textContent);
  }

  return {
    slice: () => classesSlice(page, {...shown, layer: now.layer, named: shown.top[chosen()][0], own: own(), map: mapOf(), patches}),
    update({row, lens: layer, class: id}) {
      now = {row, layer: readings.includes(Number(layer)) && layer ? Number(layer) : count, id: Number(id)};
      lens.value = String(now.layer);
      const wanted = `${page.key} ${now.layer}`;
      if (wanted !== seen) load((seen = wanted));
      else if (shown) tell();
    },
    destroy() {
      stage.stop();
      asked.forget();
    },
  };
}

/** A view that has nothing to show of a model without classes, and says why. */
export function withoutClasses(place, why) {
  fill(place, element("p", {}, why));
  return {update: () => {}, destroy: () => {}};
}

const classesHead = (names) => element("thead", {}, element("tr", {}, ...names.map((name) => element("th", {scope: "col"}, name))));
