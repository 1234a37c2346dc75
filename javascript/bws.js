// A client of the classic BWS Web API. Types and their documentation are in `bws.d.ts`.

import { ApiError, InputError, addressOf, base64, bearer, bytesOf, read, shown } from "./vultus.js";

export { ApiError, InputError };

export const TASKS = Object.freeze(["verify", "identify", "enroll", "livenessdetection"]);

// The service looks at the picture and not at what it is called.
const dataUrl = async (picture, name) => `data:image/jpeg;base64,${await base64(picture, name)}`;

/** `storage.partition.class`, as far as it is a text. */
function bcidOf(value) {
  if (typeof value !== "string" || !value.trim()) {
    throw new InputError(`bcid: expected \`storage.partition.class\`, found ${shown(value)}`);
  }
  return value;
}

const isMissing = (value) => value === undefined || value === null;

/** Whether it is the class that is not there, and not the API: nobody must count as unknown for a wrong address. */
async function isOfTheClass(answer) {
  const text = await answer.clone().text();
  try {
    return !text || JSON.parse(text).Message.includes("template");
  } catch {
    return false;
  }
}

export class Client {
  #url;
  #appId;
  #secret;
  #fetch;

  constructor(url, appId, secret, { fetch = globalThis.fetch } = {}) {
    this.#url = addressOf(url);
    this.#appId = isMissing(appId) ? null : bearer(appId, "appId");
    if (!isMissing(secret) && (typeof secret !== "string" || !secret)) {
      throw new InputError(`secret: expected a text, found ${secret === "" ? "an empty one" : shown(secret)}`);
    }
    this.#secret = secret ?? null;
    // Browsers want it called without an owner.
    this.#fetch = (...call) => fetch(...call);
  }

  async #send(method, name, query, { token, body, type, signal } = {}) {
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) {
      if (value !== undefined && value !== null) {
        search.append(key, String(value));
      }
    }
    const headers = { Accept: "application/json, text/plain" };
    if (token !== undefined) {
      headers.Authorization = `Bearer ${token}`;
    } else if (this.#appId !== null && this.#secret !== null) {
      const credentials = new TextEncoder().encode(`${this.#appId}:${this.#secret}`);
      headers.Authorization = `Basic ${await base64(credentials)}`;
    } else {
      throw new InputError(`${name}: expected an App-ID and a secret, which this client has not`);
    }
    if (type) {
      headers["Content-Type"] = type;
    }
    const address = `${this.#url}/extension/${name}${String(search) ? `?${search}` : ""}`;
    return this.#fetch(address, { method, headers, body, signal });
  }

  async #read(...call) {
    return read(await this.#send(...call));
  }

  /** A call that brings pictures by name; one that is null is left empty. */
  async #withPictures(name, pictures, { signal, ...query }) {
    const members = {};
    for (const [key, picture] of Object.entries(pictures)) {
      members[key] = picture === null ? "data:," : await dataUrl(picture, key);
    }
    return this.#read("POST", name, query, { body: JSON.stringify(members), type: "application/json", signal });
  }

  async token(bcid, task = "verify", { signal, livedetection = true, ...query } = {}) {
    if (!TASKS.includes(task)) {
      throw new InputError(`task: expected one of ${TASKS.join(", ")}, found ${shown(task)}`);
    }
    const asked = { id: this.#appId, bcid: bcidOf(bcid), task, livedetection, ...query };
    return this.#read("GET", "token", asked, { signal });
  }

  async upload(token, picture, { signal, ...query } = {}) {
    bearer(token, "token");
    return this.#read("POST", "upload", query, { token, body: await dataUrl(picture), type: "text/plain", signal });
  }

  async enroll(token, { signal, ...query } = {}) {
    return this.#read("GET", "enroll", query, { token: bearer(token, "token"), signal });
  }

  async verify(token, { signal, ...query } = {}) {
    return this.#read("GET", "verify", query, { token: bearer(token, "token"), signal });
  }

  async identify(token, { signal, ...query } = {}) {
    return this.#read("GET", "identify", query, { token: bearer(token, "token"), signal });
  }

  async livenessdetection(token, { signal } = {}) {
    return this.#read("GET", "livenessdetection", {}, { token: bearer(token, "token"), signal });
  }

  async result(token, { signal } = {}) {
    return this.#read("GET", "result", { access_token: bearer(token, "token") }, { signal });
  }

  async isenrolled(bcid, { trait, signal } = {}) {
    const answer = await this.#send("GET", "isenrolled", { bcid: bcidOf(bcid), trait }, { signal });
    if (answer.status === 404 && (await isOfTheClass(answer))) {
      return false;
    }
    await read(answer);
    return true;
  }

  async deleteclass(bcid, { signal } = {}) {
    return this.#read("DELETE", "deleteclass", { bcid: bcidOf(bcid) }, { signal });
  }

  async status({ signal } = {}) {
    return this.#read("GET", "status", {}, { signal });
  }

  async qualitycheck(picture, { signal, ...query } = {}) {
    return this.#read("POST", "qualitycheck", query, { body: await dataUrl(picture), type: "text/plain", signal });
  }

  async livedetection(liveimage1, liveimage2, options = {}) {
    return this.#withPictures("livedetection", { liveimage1, liveimage2 }, options);
  }

  async passivelivedetection(picture, { signal, ...query } = {}) {
    const body = await dataUrl(picture);
    return this.#read("POST", "passivelivedetection", query, { body, type: "text/plain", signal });
  }

  async videolivedetection(video, { signal, ...query } = {}) {
    const body = new FormData();
    body.append("video", new Blob([await bytesOf(video, "video")]), "video");
    return this.#read("POST", "videolivedetection", query, { body, signal });
  }

  async photoverify(liveimage1, liveimage2, idphoto, options = {}) {
    return this.#withPictures("photoverify", { liveimage1, liveimage2, idphoto }, options);
  }

  async photoverify2(liveimage1, liveimage2, idphoto, options = {}) {
    return this.#withPictures("photoverify2", { liveimage1, liveimage2, idphoto }, options);
  }
}
