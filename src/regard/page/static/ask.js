// Questions to whoever has the answers: the server, the exported page itself, or a notebook. All answer the same bytes.

const KEPT_TILES = 96;

export class Refusal extends Error {}

/** Answers of a running server; the token goes with every question, in a header. */
export function serverAnswers(token) {
  async function call(path, options = {}) {
    let answer;
    try {
      answer = await fetch(`api/${path}`, {...options, headers: {...options.headers, "x-regard-token": token}, cache: "no-store"});
    } catch {
      throw new Refusal("regard does not answer: start it again with the same command, then reload");
    }
    if (!answer.ok) throw new Refusal(await answer.text());
    return answer;
  }
  return {
    live: true,
    json: async (path, signal) => (await call(path, {signal})).json(),
    bytes: async (path, signal) => (await call(path, {signal})).arrayBuffer(),
    post: async (path, body, signal) =>
      (await call(path, {method: "POST", body: JSON.stringify(body), headers: {"content-type": "application/json"}, signal})).json(),
  };
}

/** Answers that came with the page: {path: JSON as it is, or bytes in base64}. */
export function storedAnswers(stored) {
  function find(path) {
    if (!(path in stored)) throw new Refusal("this is not in the saved page; look at it live, or save a page that has it");
    return stored[path];
  }
  return {
    live: false,
    json: async (path) => structuredClone(find(path)),
    bytes: async (path) => Uint8Array.from(atob(find(path)), (sign) => sign.charCodeAt(0)).buffer,
    post: async () => {
      throw new Refusal("a saved page has no model; open the run live to try this");
    },
  };
}

/** The same answers, the last tiles kept (they never change for one recording), and equal questions asked once. */
export function remembering(answers) {
  const kept = new Map();
  const once = (kind) => (path, signal) => {
    const name = `${kind} ${path}`;
    if (!kept.has(name)) {
      const asked = answers[kind](path, signal);
      asked.catch(() => kept.delete(name));
      kept.set(name, asked);
      if (kept.size > KEPT_TILES) kept.delete(kept.keys().next().value);
    } else {
      const found = kept.get(name);
      kept.delete(name);
      kept.set(name, found);
    }
    return kept.get(name);
  };
  return {...answers, json: once("json"), bytes: once("bytes"), fresh: answers.json};
}

/** A tile's or matrix's answer -> {rows, columns, values}: 16 bytes (magic, rows, columns, type), then float32. */
export function readTile(buffer) {
  const head = new DataView(buffer);
  if (head.getUint32(0, true) !== 0x31544752) throw new Refusal("the answer is no tile");
  return {rows: head.getUint32(4, true), columns: head.getUint32(8, true), values: new Float32Array(buffer, 16)};
}
