// A head's rows in double precision from its recorded queries, keys and values: the formula, readable.

/** Binary answer "vectors" (page/vectors.py) -> its header's facts and its arrays, by their names. */
export function readVectors(buffer) {
  const head = new DataView(buffer);
  const length = head.getUint32(4, true);
  const facts = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  let at = 8 + length + ((8 - (length % 8)) % 8);
  const found = {...facts};
  for (const [name, type, count] of facts.arrays) {
    const Kind = {float32: Float32Array, float64: Float64Array, uint8: Uint8Array}[type];
    found[name] = new Kind(buffer, at, count);
    at += count * Kind.BYTES_PER_ELEMENT + ((8 - ((count * Kind.BYTES_PER_ELEMENT) % 8)) % 8);
  }
  return found;
}

/** Whether query i may look at key j. */
export function mayLook(vectors, i, j) {
  if (vectors.mask === "causal") return j <= i;
  return vectors.mask === "full" || vectors.allowed[i * vectors.m + j] === 1;
}

export function dotProduct(a, b) {
  let sum = 0;
  for (let c = 0; c < a.length; c++) sum += a[c] * b[c];
  return sum;
}

/** The d products q_c k_c and their scaled sum: what enters the softmax. query: another one, where something is tried. */
export function scoreOf(vectors, i, j, query = null) {
  const {d, key, scale} = vectors;
  const from = query ?? vectors.query.subarray(i * d, (i + 1) * d);
  let dot = 0;
  for (let c = 0; c < d; c++) dot += from[c] * key[j * d + c];
  return dot * scale;
}

/** A query or key before its rotation: numbers c and c + d / 2 turned back by the model's own float32 angle. */
export function turnedBack({d, speeds, positions, position: {axes}}, x, token) {
  const half = d / 2, found = new Float64Array(d);
  for (let c = 0; c < half; c++) {
    const angle = Math.fround(positions[token * axes + (c % axes)] * speeds[c]), a = x[c], b = x[c + half];
    found[c] = a * Math.cos(angle) + b * Math.sin(angle);
    found[c + half] = b * Math.cos(angle) - a * Math.sin(angle);
  }
  return found;
}

/** How far apart two tokens' positions are, on each axis. */
export const positionsApart = ({positions, position: {axes}}, i, j) =>
  Array.from({length: axes}, (_, a) => positions[i * axes + a] - positions[j * axes + a]).join(", ");

/**
 * One row: {scores, weights}, each (m,), NaN where not allowed. With {query, temperature} it is a "what if" and its
 * log-sum-exp is made anew; else the recorded one is used, as everywhere.
 */
export function rowOf(vectors, i, {query = null, temperature = 1} = {}) {
  const {m} = vectors;
  const scores = new Float64Array(m).fill(NaN);
  for (let j = 0; j < m; j++) if (mayLook(vectors, i, j)) scores[j] = scoreOf(vectors, i, j, query) / temperature;
  const total = query || temperature !== 1 ? logSumExp(scores) : vectors.logsumexp[i];
  return {scores, weights: scores.map((score) => Math.exp(score - total)), total};
}

/** Who looks at key j, and how much: (n,), NaN where not allowed. */
export function columnOf(vectors, j) {
  const column = new Float64Array(vectors.n).fill(NaN);
  for (let i = 0; i < vectors.n; i++)
    if (mayLook(vectors, i, j)) column[i] = Math.exp(scoreOf(vectors, i, j) - vectors.logsumexp[i]);
  return column;
}

/** The mixture sum_j w_j v_j, (width,), and how far it is from the recorded output of the kernel. */
export function mixtureOf(vectors, i, weights) {
  const {m, width, value, out} = vectors;
  const mixture = new Float64Array(width);
  for (let j = 0; j < m; j++)
    if (!Number.isNaN(weights[j])) for (let c = 0; c < width; c++) mixture[c] += weights[j] * value[j * width + c];
  let difference = 0;
  for (let c = 0; c < width; c++) difference = Math.max(difference, Math.abs(mixture[c] - out[i * width + c]));
  return {mixture, difference};
}

function logSumExp(scores) {
  let largest = -Infinity;
  for (const score of scores) if (score > largest) largest = score;
  let sum = 0;
  for (const score of scores) if (!Number.isNaN(score)) sum += Math.exp(score - largest);
  return largest + Math.log(sum);
}

/** Places of the largest weights, largest first, what is not allowed left out. */
export function strongest(weights, count) {
  return [...weights.keys()].filter((j) => !Number.isNaN(weights[j])).sort((a, b) => weights[b] - weights[a]).slice(0, count);
}
