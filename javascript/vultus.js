// A client of a running service, by its native API `/v1`. Types and their documentation are in `vultus.d.ts`.

const SAMPLES = ["embeddings", "encoder", "liveness", "pictures"];
const RECORD = ["expires_unix_milliseconds", "external_id", "labels", "name", "not_same_as", "note", "threshold"];
const ENROLL = [...SAMPLES, ...RECORD, "box", "replace"];
const WHO = ["labels", "limit", "target_fpir", "threshold"];
const PARTITION = "/v1/partitions/{partition}";
const CLASS = `${PARTITION}/classes/{class}`;

const operation = (method, path, { query = [], body = [] } = {}) => ({ method, path, query, body });

export const OPERATIONS = Object.freeze({
  compare: operation("POST", "/v1/compare", { body: ["pictures", "threshold"] }),
  confirm_decision: operation("POST", "/v1/decisions/{decision}/confirm", { body: ["agrees"] }),
  create_snapshot: operation("POST", "/v1/snapshots"),
  delete_class: operation("DELETE", CLASS, { query: ["erase"] }),
  delete_partition: operation("DELETE", PARTITION, { query: ["confirm", "erase"] }),
  detect: operation("POST", "/v1/detect", { body: ["pictures"] }),
  embed: operation("POST", "/v1/embed", { body: ["pictures"] }),
  enroll: operation("POST", `${CLASS}/enroll`, { body: ENROLL }),
  enroll_new: operation("POST", `${PARTITION}/enroll`, { body: ENROLL }),
  get_class: operation("GET", CLASS),
  get_decision: operation("GET", "/v1/decisions/{decision}"),
  get_partition: operation("GET", PARTITION),
  get_portrait: operation("GET", `${CLASS}/portrait`),
  get_receipt: operation("GET", "/v1/receipts/{id}"),
  identify: operation("POST", `${PARTITION}/identify`, { body: [...SAMPLES, ...WHO] }),
  identify_faces: operation("POST", `${PARTITION}/identify-faces`, { body: ["pictures", ...WHO] }),
  identify_many: operation("POST", `${PARTITION}/identify-many`, { query: ["encoder", ...WHO] }),
  list_classes: operation("GET", `${PARTITION}/classes`, {
    query: ["name", "name_prefix", "external_id", "labels", "limit", "cursor"],
  }),
  list_decisions: operation("GET", "/v1/decisions", { query: ["limit", "cursor"] }),
  list_partitions: operation("GET", "/v1/partitions", { query: ["limit", "cursor"] }),
  list_receipts: operation("GET", "/v1/receipts", { query: ["limit", "cursor"] }),
  list_snapshots: operation("GET", "/v1/snapshots"),
  list_templates: operation("GET", `${CLASS}/templates`),
  merge_classes: operation("POST", `${CLASS}/merge`, { body: ["from"] }),
  metrics: operation("GET", "/v1/metrics"),
  move_templates: operation("POST", `${CLASS}/move`, { body: ["templates", "to"] }),
  patch_class: operation("PATCH", CLASS, { body: RECORD }),
  problems: operation("GET", "/v1/problems"),
  put_class: operation("PUT", CLASS, { body: RECORD }),
  status: operation("GET", "/v1/status"),
  verify: operation("POST", `${CLASS}/verify`, { body: [...SAMPLES, "target_fmr", "threshold"] }),
});

export class ApiError extends Error {
  constructor(text, status, code, retryAfterSeconds) {
    super(text);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}

/** What was given cannot be sent. */
export class InputError extends TypeError {
  constructor(text) {
    super(text);
    this.name = "InputError";
  }
}

/** Where a service is, without a slash at its end. In a page it may be an address of the page's own site. */
export function addressOf(url) {
  let address = null;
  try {
    address = new URL(url, globalThis.location?.href);
  } catch {
    // Said below.
  }
  if ((typeof url !== "string" && !(url instanceof URL)) || !/^https?:$/.test(address?.protocol ?? "")) {
    throw new InputError(`url: expected one such as 'http://127.0.0.1:8040', found ${shown(url)}`);
  }
  return String(url).replace(/\/+$/, "");
}

/** A key or token as a header has it; what is wrong with it is told without showing it. */
export function bearer(value, name) {
  if (typeof value !== "string" || !/^[!-~]+$/.test(value)) {
    const found = typeof value === "string" ? "something else: a new line at its end?" : kindOf(value);
    throw new InputError(`${name}: expected a text of ASCII without spaces, found ${found}`);
  }
  return value;
}

/** A value in an error: texts as they are, of all else what it is. */
export function shown(value) {
  return typeof value === "string" ? `'${value}'` : kindOf(value);
}

/** What an answer says, or the `ApiError` that it is. */
export async function read(answer) {
  const type = answer.headers.get("content-type") ?? "";
  if (answer.ok && type.startsWith("image/")) {
    return new Uint8Array(await answer.arrayBuffer());
  }
  const text = await answer.text();
  const isJson = type.includes("json");
  if (answer.ok) {
    return isJson ? parsed(answer, text) : text || null;
  }
  throw failed(answer, text);
}

function parsed(answer, text) {
  try {
    return JSON.parse(text);
  } catch {
    const found = `the service answered ${answer.status}: expected JSON, found ${text.length} characters of something else`;
    throw new ApiError(found, answer.status, null, null);
  }
}

function failed(answer, text) {
  let problem = {};
  try {
    problem = JSON.parse(text) ?? {};
  } catch {
    // A proxy answers in its own way.
  }
  const why = problem.detail || problem.title || problem.Message || "without a reason";
  const after = answer.headers.get("retry-after") ?? "";
  const seconds = /^\d+$/.test(after) ? Number(after) : null;
  return new ApiError(`the service answered ${answer.status}: ${why}`, answer.status, problem.code ?? null, seconds);
}

/** The bytes of a picture, which is called `name` in errors. */
export async function bytesOf(picture, name = "picture") {
  let bytes = null;
  if (picture instanceof Uint8Array) {
    bytes = picture;
  } else if (picture instanceof ArrayBuffer) {
    bytes = new Uint8Array(picture);
  } else if (typeof Blob !== "undefined" && picture instanceof Blob) {
    bytes = new Uint8Array(await picture.arrayBuffer());
  } else {
    throw new InputError(`${name}: expected a Blob, an ArrayBuffer or a Uint8Array, found ${kindOf(picture)}`);
  }
  if (bytes.length === 0) {
    throw new InputError(`${name}: expected a picture, found no bytes`);
  }
  return bytes;
}

function kindOf(value) {
  return value === null ? "null" : typeof value === "object" ? value.constructor?.name ?? "an object" : typeof value;
}

/** A picture in base64. */
export async function base64(picture, name) {
  const bytes = await bytesOf(picture, name);
  let text = "";
  // In pieces: as many arguments as a picture has bytes are more than a call may have.
  for (let at = 0; at < bytes.length; at += 0x8000) {
    text += String.fromCharCode(...bytes.subarray(at, at + 0x8000));
  }
  return btoa(text);
}

/** An embedding as an array of numbers; `name` says which one it is. */
function embedding(values, name) {
  const isList = Array.isArray(values) || (ArrayBuffer.isView(values) && !(values instanceof DataView));
  if (!isList) {
    throw new InputError(`${name}: expected an array of numbers, found ${kindOf(values)}`);
  }
  const numbers = Array.from(values);
  const at = numbers.findIndex((number) => !Number.isFinite(number));
  if (at >= 0) {
    const found = typeof numbers[at] === "number" ? numbers[at] : kindOf(numbers[at]);
    throw new InputError(`${name}: expected finite numbers, found ${found} at ${at}`);
  }
  return numbers;
}

/** Embeddings, each as an array of numbers. */
function embeddings(rows, name) {
  if (rows === null || typeof rows !== "object" || ArrayBuffer.isView(rows) || !(Symbol.iterator in rows)) {
    throw new InputError(`${name}: expected an array of embeddings, found ${kindOf(rows)}`);
  }
  return Array.from(rows, (row, at) => embedding(row, `${name}[${at}]`));
}

/** Rows of one length as a file `.npy` of single precision. */
function npy(rows) {
  const matrix = embeddings(rows, "probes");
  const dimension = matrix[0]?.length ?? 0;
  const other = matrix.findIndex((row) => row.length !== dimension);
  if (other >= 0) {
    throw new InputError(`probes[${other}]: expected ${dimension} numbers as before, found ${matrix[other].length}`);
  }
  let header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${matrix.length}, ${dimension}), }`;
  header = header.padEnd(Math.ceil((10 + header.length + 1) / 64) * 64 - 11) + "\n";
  const file = new Uint8Array(10 + header.length + matrix.length * dimension * 4);
  const view = new DataView(file.buffer);
  file.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0]);
  view.setUint16(8, header.length, true);
  file.set(new TextEncoder().encode(header), 10);
  let at = 10 + header.length;
  for (const row of matrix) {
    for (const value of row) {
      view.setFloat32(at, value, true);
      at += 4;
    }
  }
  return file;
}

/** What is sent for a call: address, method, headers and body. */
async function request(name, path, members) {
  const { method, path: pattern, query, body } = OPERATIONS[name];
  if (members === null || typeof members !== "object") {
    throw new InputError(`${name}: expected an object of members, found ${kindOf(members)}`);
  }
  const given = Object.entries(members).filter(([, value]) => value !== undefined && value !== null);
  for (const [key] of given) {
    if (!query.includes(key) && !body.includes(key)) {
      throw new InputError(`${name}: expected ${[...query, ...body].join(", ") || "nothing"}, found '${key}'`);
    }
  }
  const filled = pattern.replace(/\{(\w+)\}/g, (_, key) => {
    const value = path[key] ?? null;
    if (value === null) {
      throw new InputError(`${name}: expected a ${key}, found none`);
    }
    if (!["string", "number", "bigint"].includes(typeof value) || !String(value).trim()) {
      throw new InputError(`${name}: expected a ${key} as a text or a number, found ${shown(value)}`);
    }
    if (typeof value === "number" && !Number.isSafeInteger(value)) {
      // It is another number already than the one that was meant.
      throw new InputError(`${name}: expected a ${key} as a whole number of 53 bits, a bigint or a text, found ${value}`);
    }
    return encodeURIComponent(String(value));
  });
  const search = new URLSearchParams();
  const sent = {};
  for (const [key, value] of given) {
    if (query.includes(key)) {
      queryTexts(key, value).forEach((text) => search.append(key, text));
    } else if (key === "pictures") {
      const isOne = !Array.isArray(value);
      const pictures = (isOne ? [value] : value).map((each, at) => base64(each, isOne ? "pictures" : `pictures[${at}]`));
      sent.pictures = await Promise.all(pictures);
    } else if (key === "embeddings") {
      sent.embeddings = embeddings(value, key);
    } else {
      sent[key] = value;
    }
  }
  const options = { method, headers: {} };
  if (body.length > 0) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(sent, (_, value) => (typeof value === "bigint" ? String(value) : value));
  }
  return { address: filled + (search.size > 0 || String(search) ? `?${search}` : ""), options };
}

function queryTexts(key, value) {
  if (key === "labels" && typeof value === "object" && !Array.isArray(value)) {
    return Object.entries(value).map(([name, label]) => `${name}:${label}`);
  }
  return (Array.isArray(value) ? value : [value]).map(String);
}

export class Client {
  #url;
  #key;
  #fetch;

  constructor(url, key, { fetch = globalThis.fetch } = {}) {
    this.#url = addressOf(url);
    this.#key = key === undefined || key === null ? null : bearer(key, "key");
    // Browsers want it called without an owner.
    this.#fetch = (...call) => fetch(...call);
  }

  async #send(address, options, signal) {
    const headers = { ...options.headers };
    if (this.#key) {
      headers.Authorization = `Bearer ${this.#key}`;
    }
    return this.#fetch(this.#url + address, { ...options, headers, signal });
  }

  async call(name, path = {}, members = {}, { signal } = {}) {
    if (!Object.hasOwn(OPERATIONS, name) || name === "identify_many") {
      throw new InputError(`name: expected a call of /v1, found ${shown(name)}`);
    }
    const { address, options } = await request(name, path, members);
    return read(await this.#send(address, options, signal));
  }

  status(options) {
    return this.call("status", {}, {}, options);
  }

  partitions(page, options) {
    return this.call("list_partitions", {}, page, options);
  }

  people(partition, filters, options) {
    return this.call("list_classes", { partition }, filters, options);
  }

  person(partition, label, options) {
    return this.call("get_class", { partition, class: label }, {}, options);
  }

  enroll(partition, label, samples, options) {
    return label === null || label === undefined
      ? this.call("enroll_new", { partition }, samples, options)
      : this.call("enroll", { partition, class: label }, samples, options);
  }

  identify(partition, samples, options) {
    return this.call("identify", { partition }, samples, options);
  }

  identifyFaces(partition, samples, options) {
    return this.call("identify_faces", { partition }, samples, options);
  }

  async *identifyMany(partition, probes, query = {}, { signal } = {}) {
    const { address, options } = await request("identify_many", { partition }, query);
    options.headers["Content-Type"] = "application/x-npy";
    options.body = npy(probes);
    const answer = await this.#send(address, options, signal);
    if (!answer.ok) {
      throw failed(answer, await answer.text());
    }
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    let rest = "";
    try {
      for (let done = false; !done; ) {
        const part = await reader.read();
        done = part.done;
        rest += done ? decoder.decode() : decoder.decode(part.value, { stream: true });
        const lines = rest.split("\n");
        rest = lines.pop();
        if (done) {
          lines.push(rest);
        }
        for (const line of lines.filter((line) => line.trim())) {
          yield JSON.parse(line);
        }
      }
    } finally {
      // Whoever breaks off wants no more of it.
      await reader.cancel();
    }
  }

  verify(partition, label, samples, options) {
    return this.call("verify", { partition, class: label }, samples, options);
  }

  compare(pictures, threshold, options) {
    return this.call("compare", {}, { pictures, threshold }, options);
  }

  detect(picture, options) {
    return this.call("detect", {}, { pictures: picture }, options);
  }

  embed(pictures, options) {
    return this.call("embed", {}, { pictures }, options);
  }

  change(partition, label, record, options) {
    return this.call("patch_class", { partition, class: label }, record, options);
  }

  delete(partition, label, { erase, ...options } = {}) {
    return this.call("delete_class", { partition, class: label }, { erase }, options);
  }

  merge(partition, into, other, options) {
    return this.call("merge_classes", { partition, class: into }, { from: String(other) }, options);
  }
}
