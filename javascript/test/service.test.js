// The clients against the real program, which `VULTUS` names: `scripts/javascript.sh` sets it.

import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after, before, test } from "node:test";
import { promisify } from "node:util";

import { ApiError, Client } from "../vultus.js";
import { Client as Bws } from "../bws.js";

const program = process.env.VULTUS;
const options = { skip: program ? false : "VULTUS names no program" };
const face = (name) => readFile(new URL(`../../data/faces/${name}.jpg`, import.meta.url));

let data, service, url;

async function run(...verb) {
  const { stdout } = await promisify(execFile)(program, [...verb, "--json", "--data-dir", data]);
  return JSON.parse(stdout);
}

async function key(scopes) {
  return (await run("key", "create", "--name", "test", "--scopes", scopes, "--everything")).key;
}

before(async () => {
  if (!program) return;
  data = await mkdtemp(join(tmpdir(), "vultus-"));
  // A machine with much else to do must not make a test fail.
  const patient = ["--picture-seconds-max", "60", "--queue-wait-seconds", "60", "--search-wait-seconds", "60"];
  service = spawn(program, ["serve", "--data-dir", data, "--listen", "127.0.0.1:0", ...patient], {
    stdio: ["ignore", "pipe", "ignore"],
  });
  const [line] = await new Promise((found) => createInterface(service.stdout).once("line", (...line) => found(line)));
  url = JSON.parse(line).listening;
});

after(async () => {
  if (!program) return;
  const gone = new Promise((ended) => service.once("exit", ended));
  service.kill();
  await gone;
  await rm(data, { recursive: true });
});

test("from a picture to a name and away again", options, async () => {
  const client = new Client(url, await key("enroll,identify,verify,read,delete"));
  const [obama, speech, biden] = await Promise.all(["obama-portrait", "obama-speech", "biden-portrait"].map(face));
  const enrolled = await client.enroll("bws.1", 4711, { pictures: obama, name: "Barack Obama" });
  assert.deepEqual([enrolled.class, enrolled.added], ["4711", 1]);
  const { class: other } = await client.enroll("bws.1", null, { pictures: [new Blob([biden])] });
  const { matches } = await client.identify("bws.1", { pictures: speech, limit: 2 });
  assert.equal(matches[0].class, "4711");
  assert.equal((await client.verify("bws.1", 4711, { pictures: speech })).accepted, true);
  assert.equal((await client.verify("bws.1", other, { pictures: speech })).accepted, false);
  assert.equal((await client.compare([obama, speech])).accepted, true);
  const people = await client.people("bws.1", { name: "Barack Obama" });
  assert.deepEqual(people.classes.map((person) => person.class), ["4711"]);
  await client.change("bws.1", 4711, { labels: { office: "president" } });
  assert.deepEqual((await client.person("bws.1", 4711n)).labels, { office: "president" });
  await client.delete("bws.1", 4711, { erase: "now" });
  await assert.rejects(client.person("bws.1", 4711), { status: 404, code: "class_not_found" });
});

test("embeddings, and many probes", options, async () => {
  const client = new Client(url, await key("enroll,identify,embeddings,scores"));
  const rows = Array.from({ length: 5 }, (_, row) => Float32Array.from({ length: 16 }, (_, at) => Number(at === row)));
  for (const [label, row] of rows.entries()) {
    await client.enroll("emb.1", label, { embeddings: [row], encoder: "my-net@3" });
  }
  const found = [];
  for await (const answer of client.identifyMany("emb.1", rows, { encoder: "my-net@3", threshold: 0.5 })) {
    found.push(answer.matches.map((match) => [match.class, match.similarity]));
  }
  assert.deepEqual(found, rows.map((_, row) => [[String(row), 1]]));
  // Whoever has enough may break off.
  for await (const answer of client.identifyMany("emb.1", rows, { encoder: "my-net@3", threshold: 0.5 })) {
    assert.ok(answer);
    break;
  }
});

test("refusals say why", options, async () => {
  const asked = [
    ["vk_wrong", 401, "key_invalid"],
    [null, 401, "key_missing"],
    [await key("read"), 403, "scope_missing"],
  ];
  for (const [shown, status, code] of asked) {
    const client = new Client(url, shown);
    await assert.rejects(client.identify("bws.1", { pictures: await face("obama-speech") }), (error) => {
      assert.ok(error instanceof ApiError);
      assert.deepEqual([error.status, error.code], [status, code]);
      return true;
    });
  }
});

test("the classic calls", options, async () => {
  const app = await run("app", "create", "--name", "test", "--storage", "bws");
  const server = new Bws(url, app.id, app.secret);
  // As a page, which has no secret.
  const page = new Bws(url);
  const [obama, speech, biden] = await Promise.all(["obama-portrait", "obama-speech", "biden-portrait"].map(face));
  assert.equal(await server.isenrolled("bws.112.4711"), false);
  let token = await server.token("bws.112.4711", "enroll", { livedetection: false });
  assert.deepEqual(await page.upload(token, obama, { index: 1 }), { Accepted: true, Warnings: [] });
  assert.deepEqual(await page.enroll(token), { Success: true });
  assert.equal(await server.isenrolled("bws.112.4711", { trait: "face" }), true);
  token = await server.token("bws.112.4711", "verify", { livedetection: false, maxtries: 4 });
  assert.equal(await server.result(token), null);
  for (const [picture, same] of [[speech, true], [biden, false]]) {
    await page.upload(token, picture);
    assert.deepEqual(await page.verify(token), { Success: same });
  }
  assert.equal((await server.result(token)).Action, "verification");
  token = await server.token("bws.112.0", "identify", { livedetection: false });
  await page.upload(token, speech);
  assert.deepEqual((await page.identify(token, { maxResults: 1 })).Matches.map((each) => each.ClassID), [4711]);
  token = await server.token("bws.112.1", "livenessdetection");
  await page.upload(token, obama);
  assert.equal((await page.livenessdetection(token)).Error, "LiveDetectionFailed");
  assert.equal(await server.livedetection(obama, obama), false);
  assert.equal((await server.livedetection(obama, obama, { state: "mine" })).State, "mine");
  assert.equal((await server.photoverify2(obama, null, speech, { state: "s" })).State, "s");
  await assert.rejects(server.photoverify(obama, obama, speech), { status: 400, message: /LiveDetectionFailed/ });
  await assert.rejects(server.videolivedetection(new Uint8Array(64)), { status: 400 });
  assert.equal((await server.qualitycheck(obama, { full: false })).Success, true);
  assert.equal(typeof (await server.passivelivedetection(obama)).Success, "boolean");
  assert.ok((await server.status()).Features.length > 0);
  await assert.rejects(page.verify("no-token"), { status: 401 });
  await assert.rejects(server.token("other.1.1"), { status: 403 });
  await assert.rejects(new Bws(`${url}/elsewhere`, app.id, app.secret).isenrolled("bws.112.1"), { status: 404 });
  assert.equal(await server.deleteclass("bws.112.4711"), null);
  assert.equal(await server.isenrolled("bws.112.4711"), false);
});
