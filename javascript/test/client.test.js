// What is sent and read, without a service, and the calls against the description of the API.

import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { ApiError, Client, InputError, OPERATIONS } from "../vultus.js";
import * as bws from "../bws.js";

const description = new URL("../../tests/fixtures/openapi.json", import.meta.url);

function* membersOf(schema, schemas) {
  for (const each of schema.oneOf ?? [schema]) {
    const found = each.$ref ? schemas[each.$ref.split("/").pop()] : each;
    yield* Object.keys(found.properties ?? {});
  }
}

test("calls are those of the description", async () => {
  const { paths, components } = JSON.parse(await readFile(description, "utf8"));
  const theirs = {};
  for (const [path, operations] of Object.entries(paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      if (!path.startsWith("/v1") || !operation.operationId) continue;
      const parameters = (operation.parameters ?? []).filter((each) => each.in === "query");
      const schema = operation.requestBody?.content?.["application/json"]?.schema;
      const many = operation.operationId === "identify_many";
      theirs[operation.operationId] = {
        method: method.toUpperCase(),
        path,
        query: parameters.map((each) => each.name).sort(),
        body: schema && !many ? [...new Set(membersOf(schema, components.schemas))].sort() : [],
      };
    }
  }
  const ours = Object.entries(OPERATIONS).map(([name, { method, path, query, body }]) => [
    name,
    { method, path, query: [...query].sort(), body: [...body].sort() },
  ]);
  assert.ok(Object.keys(theirs).length > 20);
  assert.deepEqual(Object.fromEntries(ours), theirs);
});

/** A client whose calls are kept, and answered so. */
function answering(answer, { status = 200, headers = { "content-type": "application/json" } } = {}) {
  const seen = [];
  const fetch = async (address, options) => {
    seen.push({ address: new URL(address), ...options });
    return new Response(typeof answer === "string" ? answer : JSON.stringify(answer), { status, headers });
  };
  return { seen, client: new Client("http://localhost:1/", "vk_secret", { fetch }) };
}

test("what is sent", async () => {
  const { seen, client } = answering({ matches: [] });
  const picture = new Uint8Array([0, 255, 7]);
  await client.identify("bws.1", { pictures: picture, limit: 3, threshold: undefined });
  await client.enroll("bws.1", 2n ** 60n, { embeddings: [new Float32Array(16).fill(0.5)], encoder: "e@1" });
  await client.enroll("bws.1", null, { pictures: [new Blob([picture]), picture.buffer], name: "Ada" });
  await client.people("a/b.1", { labels: { site: "berlin" }, limit: 5 });
  await client.merge("bws.1", 1, 2);
  const [identify, enroll, fresh, people, merge] = seen;
  assert.equal(identify.headers.Authorization, "Bearer vk_secret");
  assert.deepEqual(JSON.parse(identify.body), { pictures: ["AP8H"], limit: 3 });
  assert.equal(enroll.address.pathname, `/v1/partitions/bws.1/classes/${2n ** 60n}/enroll`);
  assert.deepEqual(JSON.parse(enroll.body), { embeddings: [Array(16).fill(0.5)], encoder: "e@1" });
  assert.equal(fresh.address.pathname, "/v1/partitions/bws.1/enroll");
  assert.deepEqual(JSON.parse(fresh.body), { pictures: ["AP8H", "AP8H"], name: "Ada" });
  assert.equal(people.address.pathname, "/v1/partitions/a%2Fb.1/classes");
  assert.deepEqual([...people.address.searchParams], [["labels", "site:berlin"], ["limit", "5"]]);
  assert.deepEqual(JSON.parse(merge.body), { from: "2" });
  assert.ok(!JSON.stringify(client).includes("secret"));
});

test("a portrait comes as its bytes", async () => {
  const bytes = new Uint8Array([0xff, 0xd8, 0, 0x80, 0xfe]);
  const fetch = async () => new Response(bytes, { headers: { "content-type": "image/jpeg" } });
  const client = new Client("http://localhost:1", "vk_", { fetch });
  assert.deepEqual(await client.call("get_portrait", { partition: "bws.1", class: 7 }), bytes);
});

test("a picture of megabytes is one text", async () => {
  const { seen, client } = answering({});
  const picture = new Uint8Array(3_000_001).map((_, at) => at % 251);
  await client.detect(picture);
  assert.equal(JSON.parse(seen[0].body).pictures[0], Buffer.from(picture).toString("base64"));
});

test("answers to many probes come line by line, wherever they are cut", async () => {
  const lines = [{ probe: 0, matches: [] }, { probe: 1, matches: [{ class: "7" }] }, { probe: 2, name: "Zoë" }];
  const bytes = new TextEncoder().encode(lines.map((line) => JSON.stringify(line)).join("\n"));
  for (const step of [1, 7, 1000]) {
    let sent;
    const fetch = async (address, options) => {
      sent = options.body;
      const parts = Array.from({ length: Math.ceil(bytes.length / step) }, (_, at) =>
        bytes.slice(at * step, (at + 1) * step),
      );
      return new Response(new ReadableStream({ pull: (to) => (parts.length ? to.enqueue(parts.shift()) : to.close()) }));
    };
    const client = new Client("http://localhost:1", null, { fetch });
    const found = [];
    for await (const answer of client.identifyMany("e.1", [Array(16).fill(1), new Float64Array(16)])) {
      found.push(answer);
    }
    assert.deepEqual(found, lines);
    // As numpy has it: the header ends on a multiple of 64.
    assert.equal(new TextDecoder().decode(sent.slice(1, 6)), "NUMPY");
    assert.equal((sent.length - 2 * 16 * 4) % 64, 0);
    assert.match(new TextDecoder().decode(sent), /'shape': \(2, 16\), \} *\n/);
  }
});

test("refusals are errors", async () => {
  const problem = { code: "busy", detail: "the server is too busy" };
  const headers = { "content-type": "application/problem+json", "retry-after": "3" };
  const busy = answering(problem, { status: 503, headers });
  await assert.rejects(busy.client.status(), (error) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.message, "the service answered 503: the server is too busy");
    assert.deepEqual([error.status, error.code, error.retryAfterSeconds], [503, "busy", 3]);
    return true;
  });
  await assert.rejects(busy.client.identifyMany("e.1", [[1]]).next(), { status: 503 });
  const proxy = answering("<html>", { status: 502, headers: { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" } });
  await assert.rejects(proxy.client.status(), { message: /502: without a reason/, retryAfterSeconds: null });
});

test("wrong calls are not sent", async () => {
  const { seen, client } = answering({});
  const empty = new Uint8Array();
  const wrong = [
    [() => client.identify("bws.1", { treshold: 0.5 }), /^identify: expected .*threshold, found 'treshold'$/],
    [() => client.identify("bws.1", null), /^identify: expected an object of members, found null$/],
    [() => client.identify("bws.1", { embeddings: [[1, Number.NaN]] }), /^embeddings\[0\]: expected finite numbers, found NaN at 1$/],
    [() => client.identify("bws.1", { embeddings: [["a"]] }), /^embeddings\[0\]: expected finite numbers, found string at 0$/],
    [() => client.identify("bws.1", { embeddings: new Float32Array(16) }), /^embeddings: expected an array of embeddings, found Float32Array$/],
    [() => client.identify("bws.1", { embeddings: [1, 2] }), /^embeddings\[0\]: expected an array of numbers, found number$/],
    [() => client.identify("bws.1", { embeddings: 5 }), /^embeddings: expected an array of embeddings, found number$/],
    [() => client.identify("bws.1", { pictures: "face.jpg" }), /^pictures: expected a Blob.*found string$/],
    [() => client.identify("bws.1", { pictures: [new Uint8Array([1]), "face.jpg"] }), /^pictures\[1\]: expected a Blob.*found string$/],
    [() => client.detect(empty), /^pictures: expected a picture, found no bytes$/],
    [() => client.detect(new Blob([])), /^pictures: expected a picture, found no bytes$/],
    [() => client.identify(undefined, {}), /^identify: expected a partition, found none$/],
    [() => client.identify({ storage: "bws" }, {}), /^identify: expected a partition as a text or a number, found Object$/],
    [() => client.identify(" ", {}), /found ' '$/],
    [() => client.person("bws.1", 1.5), /^get_class: expected a class as a whole number of 53 bits, a bigint or a text, found 1.5$/],
    [() => client.person("bws.1", 2 ** 60), /found 1152921504606847000$/],
    [() => client.person("bws.1", true), /found boolean$/],
    [() => client.call("drop"), /found 'drop'$/],
    [() => client.call("toString"), /found 'toString'$/],
    [() => client.call(undefined), /^name: expected a call of \/v1, found undefined$/],
    [() => client.identifyMany("e.1", [[1, 2], [1]]).next(), /^probes\[1\]: expected 2 numbers as before, found 1$/],
    [() => client.identifyMany("e.1", [1, 2]).next(), /^probes\[0\]: expected an array of numbers, found number$/],
    [() => client.identifyMany("e.1", new Float32Array(16)).next(), /^probes: expected an array of embeddings, found Float32Array$/],
    [() => client.identifyMany("e.1").next(), /^probes: expected an array of embeddings, found undefined$/],
  ];
  for (const [call, message] of wrong) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof InputError && error instanceof TypeError && error.name === "InputError", String(error));
      assert.match(error.message, message);
      return true;
    });
  }
  assert.equal(seen.length, 0);
});

test("wrong calls of the classic API are not sent", async () => {
  const fetch = () => assert.fail("sent");
  const page = new bws.Client("http://localhost:1", null, null, { fetch });
  const app = new bws.Client("http://localhost:1", "app", "secret", { fetch });
  const picture = new Uint8Array([1]);
  const wrong = [
    [() => page.token("bws.1.1"), /^token: expected an App-ID and a secret, which this client has not$/],
    [() => page.token("bws.1.1", "enrol"), /^task: expected one of verify, .*, found 'enrol'$/],
    [() => app.token(undefined), /^bcid: expected `storage.partition.class`, found undefined$/],
    [() => app.token(" "), /^bcid: .*, found ' '$/],
    [() => app.isenrolled(4711), /^bcid: .*, found number$/],
    [() => app.deleteclass(null), /^bcid: .*, found null$/],
    [() => app.upload(undefined, picture), /^token: expected a text of ASCII without spaces, found undefined$/],
    [() => app.upload("a token\n", picture), /found something else: a new line at its end\?$/],
    [() => app.upload("token", "face.jpg"), /^picture: expected a Blob.*found string$/],
    [() => app.verify(""), /^token: /],
    [() => app.identify(null), /^token: /],
    [() => app.enroll(5), /^token: .*found number$/],
    [() => app.livenessdetection(undefined), /^token: /],
    [() => app.result(undefined), /^token: /],
    [() => app.videolivedetection(undefined), /^video: expected a Blob.*found undefined$/],
    [() => app.livedetection(picture, "b.jpg"), /^liveimage2: .*found string$/],
    [() => app.photoverify(picture, picture, undefined), /^idphoto: .*found undefined$/],
    [() => app.qualitycheck(new Uint8Array()), /^picture: expected a picture, found no bytes$/],
  ];
  for (const [call, message] of wrong) {
    await assert.rejects(call, (error) => {
      assert.ok(error instanceof bws.InputError, String(error));
      assert.match(error.message, message);
      return true;
    });
  }
});

test("clients of no service", () => {
  for (const url of ["localhost:8040", "ftp://host/", "", undefined, null, 8040, {}]) {
    assert.throws(() => new Client(url), /^InputError: url: expected one such as 'http:\/\/127.0.0.1:8040', found /);
    assert.throws(() => new bws.Client(url, "app", "secret"), /^InputError: url: /);
  }
  new Client(new URL("https://host:1/below/"), null);
  // What is wrong is told without the key.
  for (const key of ["vk_s3cret\n", "vk s3cret", "schlüss3l", "", 7]) {
    assert.throws(() => new Client("http://host", key), (error) => /^key: /.test(error.message) && !error.message.includes("s3"));
  }
  assert.throws(() => new bws.Client("http://host", "app", ""), /^InputError: secret: expected a text, found an empty one$/);
  assert.throws(() => new bws.Client("http://host", 5, "secret"), /^InputError: appId: /);
});

test("an answer that is not what it says is told", async () => {
  const { client } = answering("<html>", { headers: { "content-type": "application/json" } });
  await assert.rejects(client.status(), (error) => {
    assert.ok(error instanceof ApiError);
    assert.equal(error.message, "the service answered 200: expected JSON, found 6 characters of something else");
    return true;
  });
});
