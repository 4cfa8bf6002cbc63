// What is saved of a picture's views: numbers of its patches, and the picture with maps beside it (save.js).

import {cellColours} from "./cells.js";
import {element, INKS} from "./dom.js";
import {patchGiven, patchPaint, patchPart, patchSize} from "./patches.js";
import {PICTURE_VECTOR, svgBox, svgCells, svgTag, svgText} from "./picture.js";

const SLICE_SIDE = 400, SLICE_MAP = 160; // pixels on the longer side of the picture, and of each map beside it
const SLICE_LOST = "not seen by the model";
const SLICE_HIDDEN = "not allowed (masked), which is not the number 0";

/** A canvas as it is, in an SVG. */
const svgCanvas = (canvas, x, y, title) => svgTag("image", {x, y, width: canvas.width, height: canvas.height, href: canvas.toDataURL("image/png"),
  preserveAspectRatio: "none", "image-rendering": "pixelated"}, svgTag("title", {}, title));

/** The picture alone, with a map over it, and maps by themselves: [name, a value a patch]. at: the patch that looks, or -1. */
function pictureBody(page, {map, at}, maps) {
  const {picture, picture: {rows, columns, sound}} = page.facts, left = sound ? 58 : 0, size = patchSize(picture, SLICE_SIDE), each = patchSize(picture, SLICE_MAP);
  const [wide, high] = patchGiven(picture, size), across = Math.max(1, Math.floor((2 * wide + 48) / (columns * each[0] + 24)));
  const frames = [[{...map, values: []}, "as the model saw it"], [map, "with the map"]].map(([what, name], k) => {
    const canvas = element("canvas");
    patchPaint(canvas, page, {...what, size});
    const x = left + k * (wide + 24), times = sound ? sound.times.map(([share, words]) => svgText(x + share * wide, 34 + high, words, 11, INKS.quiet, "middle")) : [];
    return svgText(x, 10, name, 11, INKS.quiet) + svgBox(x, 18, wide, high, "url(#hatch)") + svgCanvas(canvas, x, 18, name) + times.join("");
  });
  if (sound) frames.push(...sound.pitches.map(([share, words]) => svgText(left - 6, 22 + share * high, words, 11, INKS.quiet, "end")));
  if (at >= 0) frames.push(svgBox(left + (at % columns) * size[0], 18 + Math.floor(at / columns) * size[1], ...size, "none", INKS.accent));
  const top = high + (sound ? 64 : 48), scale = cellColours(page, "weights"), vector = maps.length * rows * columns <= PICTURE_VECTOR;
  const [apart, below] = [columns * each[0] + 24, rows * each[1] + 36];
  const beside = maps.map(([name, values], k) => {
    const [x, y] = [(k % across) * apart, top + Math.floor(k / across) * below];
    return svgText(x, y + 10, name, 11, INKS.quiet) + svgCells(x, y + 16, each, {rows, columns, values}, scale, name, vector);
  });
  return {width: Math.max(left + 2 * wide + 24, Math.min(across, maps.length) * apart), height: top + Math.ceil(maps.length / across) * below,
    inside: [...frames, ...beside].join("")};
}

/** [name, values] of where each token is; a token that is no patch has no rectangle. */
function pictureColumns({tokens: {labels, kinds}, picture: {columns, patch: [tall, broad]}}, patches) {
  const every = [...kinds.keys()], at = every.map((token) => patches.indexOf(token)), of = (found) => at.map((k) => (k < 0 ? null : found(k)));
  return [["token number", every], ["token", labels], ["kind", kinds], ["top", of((k) => Math.floor(k / columns) * tall)],
    ["left", of((k) => (k % columns) * broad)], ["height", of(() => tall)], ["width", of(() => broad)]];
}

const pictureArrays = ({picture: {height, width, channels}}, pixels) => {
  const {data} = pixels.getContext("2d").getImageData(0, 0, width, height);
  return [["pixels", [height, width, channels], Array.from(data).filter((_, k) => k % 4 < channels)]];
};

/** The row or column of the chosen token: of every head in the layer, or of the rollout. */
export function overlaySlice(page, {site, layer, head, at, reverse, mixed, share, pixels, every, weights, map, patches}) {
  if (!weights) throw new Error("This head is not in the saved page: choose one that is, then save again.");
  const {facts, facts: {tokens: {labels, kinds}}} = page, name = kinds[at] === "patch" ? `patch ${labels[at]}${patchPart(facts.picture, patches.indexOf(at))}` : labels[at];
  const there = every.flatMap((one, k) => (one ? [[`head ${k}`, one]] : [])), numbers = mixed ? [["rollout", weights]] : there;
  return {
    name: mixed ? "picture-rollout" : "picture", title: `${name} ${reverse ? "is looked at by" : "looks at"}`, scale: "weights", hatched: SLICE_LOST, empty: SLICE_HIDDEN + "; or, of a rectangle, no patch",
    under: mixed ? `rollout up to layer ${layer} (Derived)` : `layer ${layer}, head ${head}`,
    facts: {layer, ...(!mixed && {head}), site, [reverse ? "column" : "row"]: at, ...(mixed && {rollout: facts.picture.rollout})},
    words: [`Each patch has the colour of its ${mixed ? "share" : "weight"}, by nearest neighbour; rectangles are in ${facts.picture.sound ? "frames and mel bands, from the upper left," : "pixels"} of the ${facts.picture.thing} as the model saw it.` +
      (share < 1 ? ` Over it only the smallest set of patches with ${share} of their mass is drawn; the others are bare.` : "") +
      (mixed ? ` ${facts.picture.rollout} (Abnar and Zuidema 2020).` : "")],
    columns: [...pictureColumns(facts, patches), ...numbers.map(([words, all]) => [words, Float64Array.from(all)])].map(([words, values]) => ({name: words, values})),
    arrays: pictureArrays(facts, pixels),
    draw: () => pictureBody(page, {map, at: patches.indexOf(at)}, numbers.map(([words, all]) => [words, patches.map((token) => all[token])])),
  };
}

/** Every class by layer; of one class the reading of each patch by itself. */
export function classesSlice(page, {layer, named, top, layers, own, map, pixels, patches}) {
  const {facts} = page, shares = facts.tokens.kinds.map((_, token) => own[patches.indexOf(token)] ?? null);
  const reading = ["recorded", ...layers.map((_, l) => `lens_${l}`)], values = [top.map(([, p]) => p), ...layers].flat();
  return {
    name: "prediction", title: `Taken for ${top[0][0]}`, under: `read from ${facts.picture.read}`, scale: "weights", hatched: SLICE_LOST, empty: "this token is no patch",
    facts: {lens: layer, class: named, read: facts.picture.read, classes: top.map(([label]) => label), readings: reading},
    words: [`Each patch has the colour of the probability of ${named} in its own lens reading of layer ${layer}: one way to read a layer, not what the layer thinks. ` +
      "Nothing is smoothed."],
    columns: [...pictureColumns(facts, patches), [`probability of ${named}`, shares]].map(([words, column]) => ({name: words, values: column})),
    arrays: [...pictureArrays(facts, pixels), ["probabilities", [reading.length, top.length], Float64Array.from(values)]],
    draw: () => pictureBody(page, {map, at: -1}, [[named, own]]),
  };
}
