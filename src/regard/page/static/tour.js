// The lecture on this model and this sentence: a dozen stops, each a state of the page, a few sentences, something to do.

import {element, fill} from "./dom.js";

/** Each stop: title, what it says of this recording, what to do, and where the page goes. last: the last token's place. */
const STOPS = [
  ["Chop", () => "A model sees numbers, so the text is cut into tokens, each with a number of its own. The boxes above are this text as the model reads it; spaces and line ends have signs.",
    "Type another sentence above and watch where it is cut. Is a rare word one token?", () => ({view: "heads"})],
  ["Embed", () => "Each token becomes a row of a table: a vector. Before the first block equal tokens have equal vectors, wherever they stand.",
    "Find a token that comes twice: its two points lie on one another. Then move the slider to layer 1.", () => ({view: "space", space: "stream", layer: 0, out: ""})],
  ["A dictionary that always answers", () => "Ask {apple, banana, lemon} for orange and a Python dictionary raises a KeyError. Attention asks how well orange fits each key, and answers with a mixture of their values: 10 % apple, 10 % banana, 80 % lemon.",
    "This row is such a look-up: the token asks, the tokens before it are the keys. Which key fits best?", (f) => ({view: "lookup", row: f.n - 1})],
  ["Query, key, value", () => "Each token is all three: it asks with its query, is found by its key, and gives its value. Three learnt matrices make the three from its vector.",
    "Open a key's products: which of the numbers of query and key agree most?", (f) => ({view: "lookup", row: f.n - 1})],
  ["One row", (f) => `Query times key, number by number, summed: a score, divided by the square root of ${f.d}. Later tokens are not allowed. The softmax makes the rest positive, and they sum to 1; so many shares of each value make the answer.`,
    "Lower the temperature (marked: what if). What happens to the largest weight? Step through the running sum.", (f) => ({view: "lookup", row: Math.max(f.n - 2, 0)})],
  ["One head", () => "All rows at once: rows look, columns are looked at. The upper right is hatched, because no token may see a later one. The first row has no choice: its weight is 1.",
    "Walk with the arrow keys. Is there a diagonal? A column that everyone looks at?", () => ({view: "matrix"})],
  ["All heads", (f) => `Each of ${f.layers} layers has ${f.heads} heads, and each asks something else. One more matrix mixes what they found. Beneath each are numbers: how much weight goes to the token before, to itself, to the first.`,
    "Sort by previous: which head copies the word before? Sort by induction: which one continues a repetition?", () => ({view: "heads"})],
  ["The block", () => "A block is attention and a fully connected network. Neither replaces the token's vector: each adds to it. That vector, the residual stream, runs through the whole model.",
    "Take a whole feed-forward layer away. How many nats does it cost? And beside random others?", () => ({view: "edits"})],
  ["Blocks on blocks", (f) => `After ${f.layers} blocks the same tokens lie elsewhere: each layer gives a different representation of the text.`,
    "Move the layer slider slowly (each layer has directions of its own). When do the neighbours change from same word to same role?", (f) => ({view: "space", space: "stream", layer: f.layers - 1, out: String(f.layers - 1)})],
  ["Logits", () => "At the end each vector is compared with every token of the vocabulary: scores, and through a softmax the probability of each next token. A lens reading does the same after fewer layers.",
    "Choose a place: from which layer on does the lens have the answer?", () => ({view: "prediction"})],
  ["Cross-entropy", () => "Training charged the negative logarithm of the probability given to the token that really came: its surprise. No labels but the text itself.",
    "Jump to the most surprising token. What did the model expect instead?", () => ({view: "prediction", sort: "surprise"})],
  ["What attention does not tell", () => "A large weight on a small value moves little; much weight on the first token is often nothing to fetch; and what a head is for shows only when it is taken away.",
    "Set the strongest head to zero. Is its effect larger than that of a random head? Then read the notes below.", () => ({view: "edits"})],
];

/** The panel; empty unless the address says tour=NUMBER. */
export function tourPanel(place, page) {
  const {state} = page;
  const go = (at) => state.set({tour: at === null ? "" : String(at), ...(at === null ? {} : STOPS[at][3](page.facts))});
  let drawn = null;
  return {
    start: () => go(0),
    update(now) {
      const at = now.tour === undefined || now.tour === "" ? -1 : Number(now.tour);
      const name = `${at} ${page.key}`;
      if (name === drawn) return;
      drawn = name;
      if (!STOPS[at]) { fill(place); return; }
      const [title, text, task] = STOPS[at];
      fill(place, element("section", {class: "tour", "aria-label": "Tour"},
        element("p", {class: "tour-count small quiet number"}, `${at + 1} of ${STOPS.length}`),
        element("h2", {tabindex: "-1"}, title), element("p", {}, text(page.facts)), element("p", {class: "tour-task"}, task),
        element("div", {class: "row"},
          element("button", {class: "plain", disabled: at === 0, onclick: () => go(at - 1)}, "back"),
          element("button", {class: "plain", disabled: at === STOPS.length - 1, onclick: () => go(at + 1)}, "next"),
          element("button", {class: "plain", onclick: () => go(null)}, "leave"))));
    },
  };
}
