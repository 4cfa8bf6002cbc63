// What a page of a text offers: its views, the tour, and a field to type in.

import {element, focusedBeside} from "./dom.js";
import {editsPanel} from "./edits.js";
import {headsView} from "./heads.js";
import {linesView} from "./lines.js";
import {lookupView} from "./lookup.js";
import {matrixView} from "./matrix.js";
import {predictionView} from "./prediction.js";
import {spaceView} from "./space.js";
import {tourPanel} from "./tour.js";

const TYPING = 250; // milliseconds of quiet after which a changed text is looked at

export const TEXTS = {
  views: [
    ["heads", "Heads", headsView], ["matrix", "Matrix", matrixView], ["lines", "Lines", linesView],
    ["lookup", "Look-up", lookupView], ["prediction", "Prediction", predictionView],
    ["space", "Representations", spaceView], ["edits", "Edits", editsPanel],
  ],
  tour: tourPanel,
  input: textField,
};

/** look(text) is called when somebody rests from typing; empty: what is said as long as there is nothing to see. */
function textField(look) {
  const node = element("textarea", {class: "page-text", rows: 1, spellcheck: "false", "aria-label": "Text that the model reads",
    placeholder: "Type something for the model to read"});
  let waiting = 0;
  node.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => node.value && look(node.value), TYPING);
  });
  return {
    node, empty: "Type a text above; the model reads it, and every head is drawn here.", focus: () => node.focus(),
    close: () => clearTimeout(waiting),
    show({facts, typed}) { // what somebody is typing stays
      if (focusedBeside(node) !== node || !typed) node.value = facts.text;
    },
  };
}
