// One position of the prediction strip: its fifty likeliest tokens, and from layer to layer the rank of any of them.

import {freshCanvas} from "./cells.js";
import {asking, digits, keepFocus, numberCell, plainButton, redrawing, rovingKeys} from "./controls.js";
import {element, fill, themeColour, tokenName} from "./dom.js";

const RANKS_FOLLOWED = "#c96a00"; // and dashed: told from the truth's line without its colour

export const tokenText = (label) => element("bdi", {class: "token"}, label);
export const noneCell = (text = "-") => element("td", {class: "quiet"}, text);
export const rankText = ({rank, ties}) => rank + (ties ? ` (${ties} tied)` : "");

/** What one position expected. update(at): which one; the followed token stands in the address. */
export function ranksPanel(page) {
  const {state, facts} = page, place = element("div", {class: "prediction-detail"}), notice = element("div");
  let drawn = "", picture = null;
  const again = () => {
    const at = drawn.split(" ")[0];
    drawn = "";
    update(Number(at));
  };
  const asked = asking(page, place, notice, again);
  const follow = (token) => state.set({follow: token === null ? "" : String(token)}, {replace: true});

  /** The position, and the path of the followed token: one of those that came with it, or asked for. */
  async function read(at, token) {
    const answer = await page.ask.json(`${page.key}/position/${at}`);
    const kept = token === null || !answer.path.length ? null : answer.paths.find((one) => one.token === token);
    if (kept !== undefined) return {answer, token, followed: kept};
    if (!page.ask.live) return {answer, token, followed: null};
    return {answer, token, followed: await page.ask.json(`${page.key}/path/${at}/${token}`)};
  }

  function draw(found) {
    picture?.destroy();
    const {answer, followed} = found, has = answer.path.length && (answer.truth !== null || followed);
    picture = has ? ranksPicture(facts, answer, followed) : null;
    keepFocus(place, () => fill(place, ...ranksDetail(page, found, picture, follow)));
  }

  function update(at) {
    const {follow: id = ""} = state.get();
    const token = /^\d+$/.test(id) && Number(id) < facts.vocabulary ? Number(id) : null;
    const wanted = `${at} ${token}`;
    if (wanted === drawn) return;
    drawn = wanted;
    if (at >= 0) return void asked.ask(() => read(at, token), draw);
    asked.forget();
    const words = "Choose a position for its fifty likeliest tokens and the path of ranks.";
    fill(place, element("p", {class: "quiet"}, words));
  }
  return {place, notice, update, destroy: () => {
    asked.forget();
    picture?.destroy();
  }};
}

const ranksHead = (...names) => element("thead", {},
  element("tr", {}, ...names.map((name) => element("th", {scope: "col"}, name))));

/** The fifty likeliest tokens of one position, and the path of ranks to what came next. */
function ranksDetail(page, {answer, token, followed}, picture, follow) {
  const {i, truth, rank, p} = answer;
  const came = truth === null ? ["; nothing came next: the text ends here"] :
    [", then ", tokenText(truth), `: rank ${rank}, probability `, digits(p)];
  return [
    element("h3", {class: "prediction-title"}, `Position ${i}: `, tokenName(page.facts, i), ...came),
    ranksTop(page, answer, token, follow),
    ...(answer.path.length ? [ranksSteps(page, answer, token, followed, picture, follow)] : []),
  ];
}

/** A click on one of the fifty follows it through the layers; a second click no longer. */
function ranksTop({facts}, {i, truth, top, path}, token, follow) {
  const next = facts.tokens.ids[i + 1], stop = top.some(([, , id]) => id === token) ? token : top[0][2];
  const name = (label, id) => path.length ? plainButton(label, () => follow(id === token ? null : id), {
    class: "plain token prediction-follow", "data-key": `follow ${id}`, tabindex: id === stop ? 0 : -1,
    "aria-pressed": String(id === token)}) : tokenText(label);
  const likeliest = top.map(([label, share, id], at) => {
    const isTruth = label === truth && id === (next ?? id);
    return element("tr", {class: isTruth ? "chosen" : null}, element("td", {class: "quiet"}, at + 1),
      element("td", {}, name(label, id)), numberCell(share), element("td", {class: "quiet"}, id));
  });
  const list = {class: "scroll prediction-top", tabindex: 0, role: "region", "aria-label": "the likeliest tokens"};
  const onkeydown = (event) => rovingKeys(event, ".prediction-follow", "ArrowUp", "ArrowDown");
  return element("div", {}, element("h3", {}, `The ${top.length} likeliest next tokens`),
    element("div", list, element("table", {class: "numbers", onkeydown}, ranksHead("", "token", "probability", "id"),
      element("tbody", {}, ...likeliest))));
}

function ranksSteps(page, answer, token, followed, picture, follow) {
  const rows = answer.path.map((row, layer) => element("tr", {}, element("td", {}, row.layer),
    element("td", {}, tokenText(row.top)), numberCell(row.p),
    row.truthP === null ? noneCell() : element("td", {}, rankText(row)), numberCell(row.truthP),
    ...(followed ? [element("td", {}, rankText(followed.path[layer])), numberCell(followed.path[layer].p)] : [])));
  const names = ["layer", "likeliest", "probability", "rank of what came", "its probability"];
  if (followed) names.push(element("span", {}, "rank of ", tokenText(followed.label)), "its probability");
  return element("div", {class: "prediction-steps"}, element("h3", {}, "Lens reading, layer by layer"),
    picture ? picture.node : null, ranksFollow(page, answer, token, followed, follow),
    element("div", {class: "scroll"},
      element("table", {class: "numbers"}, ranksHead(...names), element("tbody", {}, ...rows))));
}

/** Which token is followed, and any other by its id. */
function ranksFollow(page, {i}, token, followed, follow) {
  const last = page.facts.vocabulary - 1;
  const change = () => {
    const given = id.valueAsNumber;
    if (Number.isInteger(given) && given >= 0 && given <= last) follow(given);
    else page.say(`a token's id is a whole number from 0 to ${last}`);
  };
  const look = {type: "number", min: 0, max: last, value: token, "data-key": "follow id"};
  const id = element("input", {...look, onchange: change});
  const missing = token !== null && !followed;
  return element("div", {class: "row small"}, element("label", {}, "follow the token with id ", id),
    token === null ? element("span", {class: "quiet"}, "or choose one of the likeliest") :
      plainButton("no longer", () => follow(null)),
    missing ? element("span", {class: "failed"}, `A saved page has the paths of the five likeliest of position ${i}; ` +
      "look at it live for this token.") : null);
}

/** Ranks over the layers, on a fixed logarithmic scale from 1 to the vocabulary; the numbers are in the table. */
function ranksPicture({vocabulary}, {path, truth}, followed) {
  const canvas = element("canvas", {class: "prediction-path", "aria-hidden": "true"}), high = 120;
  const lines = [];
  if (truth !== null) lines.push({rows: path, colour: "--accent", dash: [], words: ["solid: what came next"]});
  if (followed) lines.push({rows: followed.path, dash: [5, 4], words: ["dashed: ", tokenText(followed.label)]});
  const words = lines.flatMap((line, at) => [at ? ", " : "", ...line.words]);
  const scale = `. Rank 1 above, ${vocabulary} below, logarithmic; layers from left to right.`;
  const node = element("div", {}, canvas, element("p", {class: "small quiet"}, ...words, scale));
  const depth = (rank) => Math.log(Math.max(1, rank)) / Math.log(Math.max(2, vocabulary));
  const paint = () => {
    const [context, wide] = freshCanvas(canvas, high), across = (wide - 24) / Math.max(1, path.length - 1);
    context.fillStyle = themeColour("--faint");
    for (const y of [10, high - 10]) context.fillRect(0, y, wide, 1);
    for (const {rows, colour, dash} of lines) {
      const places = rows.map(({rank}, k) => [12 + k * across, 10 + depth(rank) * (high - 20)]);
      context.strokeStyle = context.fillStyle = colour ? themeColour(colour) : RANKS_FOLLOWED;
      context.lineWidth = 2;
      context.setLineDash(dash);
      context.beginPath();
      for (const point of places) context.lineTo(...point);
      context.stroke();
      for (const [x, y] of places) {
        context.beginPath();
        if (dash.length) context.rect(x - 3, y - 3, 6, 6);
        else context.arc(x, y, 3.5, 0, 7);
        context.fill();
      }
    }
  };
  return {node, destroy: redrawing(node, paint).stop};
}
