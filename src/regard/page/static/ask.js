// Questions to whoever has the answers: the server, the exported page itself, or a notebook. All answer the same bytes.

const KEPT_ANSWERS = 96;
const KEPT_BYTES = 48e6; // a head's vectors of 8192 tokens are 8 MB

export class Refusal extends Error {}

/** A picture's file is sent as it is, all else as JSON. */
const isFile = (body) => body instanceof ArrayBuffer;

/** Answers of a running server; the token goes with every question, in a header. */
export function serverAnswers(token) {
  async function call(path, options = {}) {
    let answer;
    try {
      answer = await fetch(`api/${path}`, {...options, headers: {...options.headers, "x-regard-token": token}, cache: "no-store"});
    } catch (error) {
      if (error.name === "AbortError") throw error; // whoever asked is gone
      throw new Refusal("regard does not answer: start it again with the same command, then reload");
    }
    if (!answer.ok) throw new Refusal(await answer.text());
    return answer;
  }
  return {
    live: true,
    json: async (path, signal) => (await call(path, {signal})).json(),
    bytes: async (path, signal) => (await call(path, {signal})).arrayBuffer(),
    post: async (path, body, signal) => (await call(path, {method: "POST", signal, ...(isFile(body) ? {body} :
      {body: JSON.stringify(body), headers: {"content-type": "application/json"}})})).json(),
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

const KERNEL_WAIT = 60_000; // milliseconds; the kernel itself ends every computation after 30 seconds

/** Answers of a notebook's kernel: the same bytes, as buffers of the widget's messages (page/widget.py). model: anywidget's. */
export function kernelAnswers(model) {
  const waiting = new Map(), page = Math.random().toString(36).slice(2); // another page may ask through the same model
  let count = 0;
  function hear(message, buffers) {
    const asked = waiting.get(message?.id);
    if (!asked) return; // dropped, or another page's
    if (message.refused !== undefined) asked.refuse(new Refusal(message.refused));
    else asked.take(bytesOf(buffers[0]));
  }
  model.on("msg:custom", hear);
  function call(path, fields, signal) {
    const id = `${page}-${++count}`;
    const answer = new Promise((take, refuse) => {
      const late = () => refuse(new Refusal("the notebook's kernel does not answer: it is busy or gone; once it is idle, run the cell again"));
      const timer = setTimeout(late, KERNEL_WAIT);
      const drop = () => {
        model.send({drop: id});
        refuse(signal.reason);
      };
      signal?.addEventListener("abort", drop);
      waiting.set(id, {take, refuse, rest: () => { clearTimeout(timer); signal?.removeEventListener("abort", drop); }});
    });
    if (isFile(fields)) model.send({id, path}, undefined, [fields]);
    else model.send(fields === undefined ? {id, path} : {id, path, fields});
    return answer.finally(() => {
      waiting.get(id)?.rest();
      waiting.delete(id);
    });
  }
  const json = async (path, fields, signal) => JSON.parse(new TextDecoder().decode(await call(path, fields, signal)));
  return {
    live: true,
    json: (path, signal) => json(path, undefined, signal),
    bytes: (path, signal) => call(path, undefined, signal),
    post: (path, body, signal) => json(path, body, signal),
    close() {
      model.off("msg:custom", hear);
      for (const [id, {rest}] of waiting) {
        rest();
        model.send({drop: id});
      }
      waiting.clear();
    },
  };
}

/** A buffer of a message (a view of some larger one, not always at a multiple of 8) by itself. */
function bytesOf({buffer, byteOffset = 0, byteLength}) {
  return buffer.slice(byteOffset, byteOffset + byteLength);
}

/** The same answers, the last kept (they never change for one recording), and equal questions asked once. */
export function remembering(answers) {
  const kept = new Map(); // the last used stand last
  function trim() {
    let bytes = [...kept.values()].reduce((sum, {size}) => sum + size, 0);
    for (const [name, {size}] of kept) {
      if (kept.size <= KEPT_ANSWERS && (bytes <= KEPT_BYTES || kept.size === 1)) return;
      kept.delete(name);
      bytes -= size;
    }
  }
  function keep(name, found) {
    const one = {found, size: 0};
    kept.set(name, one);
    found.then((answer) => { one.size = answer.byteLength ?? 0; trim(); }, () => kept.get(name) === one && kept.delete(name));
    return one;
  }
  const once = (kind) => function asked(path, signal) {
    const name = `${kind} ${path}`;
    const one = kept.get(name) ?? keep(name, answers[kind](path, signal));
    kept.delete(name);
    kept.set(name, one);
    return one.found.catch((error) => {
      if (error.name !== "AbortError" || signal?.aborted) throw error;
      return asked(path, signal); // whoever asked first is gone
    });
  };
  return {...answers, json: once("json"), bytes: once("bytes"), fresh: answers.json};
}

/** A tile's or matrix's answer -> {rows, columns, values}: 16 bytes (magic, rows, columns, type), then float32. */
export function readTile(buffer) {
  const head = new DataView(buffer);
  if (head.getUint32(0, true) !== 0x31544752) throw new Refusal("the answer is no tile");
  return {rows: head.getUint32(4, true), columns: head.getUint32(8, true), values: new Float32Array(buffer, 16)};
}
