// The lecture on this model and this sentence: a dozen stops, each a state of the page, with something to do.

import {element, fill} from "./dom.js";
import {writeState} from "./state.js";

/** What every stop puts back, so that a stop looks the same from before, from after, and from its address alone. */
const TOUR_PLAIN = {
  view: "heads", what: "weights", block: "", row: -1, column: -1, position: undefined, from: undefined, zoom: undefined,
  left: undefined, top: undefined, sort: "", step: "", whatif: "", edits: "", space: "", out: "", measure: "",
  order: "", heads: "", direction: "",
};

/**
 * Each stop: title; text, what it says of this recording (f: its facts, live: whether there is a model to ask); task,
 * something to do; at, where the page goes; more, what else is shown; sees, what of the view must be in sight.
 */
const STOPS = [
  {title: "Chop", at: () => ({}),
    text: (f) => `A model sees numbers, so the text is cut into tokens, and each kind of token has a number. The ` +
      `boxes above are this text as the model reads it: ${f.n} tokens, of ${f.vocabulary} kinds that it knows. ` +
      `Spaces and line ends have signs.`,
    task: (f, live) => `${live ? "Type another sentence above and watch where it is cut. " : ""}Which words are one ` +
      `token, and which are cut into several?`},
  {title: "Embed", at: (f) => ({view: "space", layer: 0, ...tourChosen(tourTwice(f)?.[1] ?? -1)}),
    text: (f) => `Each token takes its row of a table: a vector of ${f.width} numbers that training found. The ` +
      `picture shows these vectors along the two directions in which they differ most. No token has looked at ` +
      `another one yet.`,
    task: (f) => tourTwice(f) ? `Tokens ${tourTwice(f).join(" and ")} are the same token. Are their points one? ` +
      `(They are, unless the model also adds a vector for the place.) Then move the slider to layer 1.` :
      "No token comes twice in this text. Choose a point: which tokens are its neighbours? Then move the slider to " +
        "layer 1."},
  {title: "A dictionary that always answers", at: (f) => ({view: "lookup", row: f.n - 1}), more: () => tourDictionary(),
    text: () => "Ask this little dictionary for orange, and Python raises a KeyError. Attention asks how well " +
      "orange fits each key instead, and answers with a mixture of the values. Further below is such a look-up in " +
      "your text: the last token asks, and all tokens up to it are the keys.",
    task: () => "In the table of your text: which key fits best, and how large is the share of its value?"},
  {title: "Query, key, value", at: (f) => ({view: "lookup", row: f.n - 1}),
    text: (f) => `Each token plays three parts: it asks with its query, is found by its key, and gives its value. ` +
      `Three learnt matrices make the three from its vector. The bars are the ${f.d} numbers of this token's query.`,
    task: () => "Open a key in the table: which of its numbers agree with the query's, and which speak against it?"},
  {title: "One row", at: (f) => ({view: "lookup", row: Math.max(f.n - 2, 0), sort: "position"}),
    text: (f) => `Query times key, number by number, summed: the dot product. Divided by the square root of ${f.d} ` +
      `it is the score; a later token is not allowed. The softmax makes positive weights of the scores, which sum ` +
      `to 1: so many shares of each value are mixed.`,
    sees: ".lookup-work",
    task: () => "Press \"from nothing\", then \"one more\": watch the mixture grow. Then lower the temperature beside " +
      "it (a what if): what becomes of the mixture, and of the largest weight?"},
  {title: "One head", at: () => ({view: "matrix"}),
    text: () => "All rows at once: rows look, columns are looked at. The upper right is hatched, because no token " +
      "may see a later one. The first row has no choice: its weight is 1.",
    task: () => "Click a cell and walk with the arrow keys; the keys h and l show another head. Is there a " +
      "diagonal? A column that everyone looks at?"},
  {title: "All heads", at: () => ({}),
    text: (f) => `Each of ${f.layers} layers has ${tourCount(f.heads, "head")}, and each asks something else. One ` +
      `more matrix mixes what a layer's heads found. The numbers say how much weight goes to the token before, to ` +
      `itself, to the first.`,
    task: () => "Sort by previous: which head looks at the token before? Sort by induction: which one continues a " +
      "repetition?"},
  {title: "The block",
    at: (f, live) => live ? {view: "edits"} : {view: "space", layer: f.layers - 1, ...tourChosen(f.n - 1)},
    text: () => "A block is attention, and then a fully connected network for each token alone. Neither replaces " +
      "the token's vector: each adds to it. That running sum, the residual stream, goes through the whole model.",
    task: (f, live) => live ? "Choose \"zero a whole feed-forward sublayer\" and add it. How many nats does it " +
      "cost, and what do random others cost?" :
      "Press \"its norm at every layer\" below: what do the layers add to this token's vector?"},
  {title: "Blocks on blocks",
    at: (f) => ({view: "space", layer: f.layers - 1, out: String(f.layers - 1), ...tourChosen(f.n - 1)}),
    text: (f) => `After ${tourCount(f.layers, "block")} the same tokens lie elsewhere: each layer gives another ` +
      `representation of the text. Here you see what leaves the last one.`,
    task: () => "Move the layer slider slowly (each layer has directions of its own). When do the neighbours change " +
      "from the same word to words with the same role?"},
  {title: "Logits", at: (f) => ({view: "prediction", ...tourChosen(Math.max(Math.min(3, f.n - 2), 0))}),
    text: (f) => `At the end each vector is compared with every one of the ${f.vocabulary} kinds of token. That ` +
      `gives the logits, and a softmax makes probabilities of them: a distribution over the vocabulary. A lens ` +
      `reading does the same after fewer layers.`,
    task: () => "Choose another place: from which layer on does the lens have the answer?"},
  {title: "Cross-entropy", at: () => ({view: "prediction", sort: "surprise"}),
    text: () => "Training charged, at every place, the negative logarithm of the probability that the model gave to " +
      "the token that really came: its surprise. That is the cross-entropy, and it pushed every number you have " +
      "seen. Nobody labelled anything: the text is its own answer.",
    task: () => "Choose the most surprising place: what did the model expect instead?"},
  {title: "What attention does not tell",
    at: (f, live) => live ? {view: "edits"} : {view: "lookup", row: f.n - 1, sort: "contribution"},
    text: () => "A large weight on a small value moves little. Much weight on the first token often means that " +
      "there was nothing to fetch. And what a head is for shows only when it is taken away.",
    task: (f, live) => (live ? "Choose the head that you found most telling and add \"zero a head\". Does it cost " +
      "more than a random head?" : "The table is sorted by contribution: is the key with the largest weight still " +
      "the first?") + " Then open the notes at the foot of the page."},
];

const tourChosen = (at) => (at < 0 ? {} : {row: at, position: at});
const tourCount = (count, name) => `${count} ${name}${count === 1 ? "" : "s"}`;

/** The places of the first token that comes again, or null. */
function tourTwice({tokens: {ids}}) {
  const again = ids.findIndex((id, at) => ids.indexOf(id) < at);
  return again < 0 ? null : [ids.indexOf(ids[again]), again];
}

/** The lecture's example; its shares are 1, 1 and 8 of 10. */
function tourDictionary() {
  const rows = [["apple", "10 %", "pomme"], ["banana", "10 %", "banane"], ["lemon", "80 %", "citron"]];
  const cells = (kind, words) =>
    element("tr", {}, ...words.map((word) => element(kind, kind === "th" ? {scope: "col"} : {}, word)));
  return element("table", {class: "numbers tour-table"}, element("caption", {}, "dictionary[\"orange\"]"),
    element("thead", {}, cells("th", ["key", "how well orange fits", "value"])),
    element("tbody", {}, ...rows.map((words) => cells("td", words))));
}

/** The panel; empty unless the address says tour=NUMBER. n and p go on and back, as does a presenter's remote in it. */
export function tourPanel(place, page) {
  const {state} = page, {live} = page.ask, last = STOPS.length - 1;
  const placeOf = (at) => ({...TOUR_PLAIN, ...STOPS[at].at(page.facts, live), tour: String(at)});
  const reached = () => (/^\d+$/.test(state.get().tour ?? "") ? Number(state.get().tour) : -1);
  let drawn = null, aloud = false;

  function go(at) {
    aloud = true;
    state.set(at === null ? {tour: ""} : placeOf(at));
    aloud = false;
  }

  function step(by) {
    const at = reached();
    if (STOPS[at] && STOPS[at + by]) go(at + by);
  }

  /** The view stays; what only the tour asked for does not stand in the address any longer. */
  function leave() {
    state.set({step: "", whatif: ""});
    go(null);
  }

  function remote(event) {
    const by = {PageDown: 1, ArrowRight: 1, PageUp: -1, ArrowLeft: -1}[event.key];
    if (!by || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    step(by);
  }

  function draw(at) {
    const {title, text, task, more} = STOPS[at], {facts} = page;
    const button = (name, words, disabled, onclick) =>
      element("button", {class: "plain", type: "button", "data-way": name, disabled, onclick}, words);
    fill(place, element("section", {class: "tour", "aria-label": "Tour", onkeydown: remote},
      element("div", {}, element("p", {class: "tour-count quiet number"}, `${at + 1} of ${STOPS.length}`),
        element("h2", {tabindex: "-1"}, title), element("p", {}, text(facts, live)), more ? more() : null),
      element("div", {}, element("p", {class: "tour-task"}, task(facts, live)),
        element("div", {class: "row"}, button("back", "back", at === 0, () => step(-1)),
          button("on", "next", at === last, () => step(1)), button("leave", "leave", false, leave),
          element("span", {class: "quiet small"}, "keys: n next, p back")))));
  }

  /** The same button as before, so that it can be pressed again; else the title, which is then read out. */
  function focus(way) {
    const again = way && place.querySelector(`[data-way="${way}"]:not([disabled])`);
    (again || place.querySelector("h2")).focus({preventScroll: true});
    if (again) page.say(place.querySelector("h2").textContent);
    requestAnimationFrame(() => { // when the view below is there
      const {sees} = STOPS[reached()] ?? {};
      for (const part of [place.firstChild, sees && place.getRootNode().querySelector(sees)])
        part?.scrollIntoView({block: "nearest"});
    });
  }

  return {
    start: () => go(0),
    step,
    update(now) {
      const at = reached(), name = `${at} ${page.key}`;
      if (name === drawn) return;
      drawn = name;
      const root = place.getRootNode(), active = root.activeElement;
      const held = place.contains(active) ? active.dataset.way : null;
      const moved = aloud;
      if (!STOPS[at]) {
        fill(place);
        if (moved) root.querySelector("[data-tour]")?.focus();
        return;
      }
      draw(at);
      if (moved) focus(held);
      // an address that names the stop and nothing else means the stop's own state
      const alone = writeState({...now, tour: "", key: "", text: ""}) === "";
      if (alone) setTimeout(() => state.set(placeOf(at), {replace: true})); // when the page listens, and this is drawn
    },
  };
}
