// What programs write, as TypeScript sees it: `scripts/javascript.sh` compiles it and runs nothing.

import { ApiError, Client, type Match } from "../vultus.js";
import * as bws from "../bws.js";

export async function people(picture: Blob): Promise<Match[]> {
  const client = new Client("http://127.0.0.1:8040", "vk_", {});
  await client.enroll("bws.1", 2n ** 60n, { pictures: [picture], name: "Ada", replace: true });
  await client.enroll("emb.1", null, { embeddings: [new Float32Array(16)], encoder: "e@1" });
  const found: Match[] = [];
  for await (const answer of client.identifyMany("emb.1", [[1, 2]], { encoder: "e@1", limit: 3 })) {
    found.push(...answer.matches);
  }
  // @ts-expect-error a member that no call has
  await client.identify("bws.1", { treshold: 0.5 });
  // @ts-expect-error a path is no picture: a page cannot read it
  await client.detect("face.jpg");
  const { accepted }: { accepted: boolean } = await client.verify("bws.1", 1, { pictures: picture });
  return accepted ? found : (await client.identify("bws.1", { pictures: picture })).matches;
}

export async function classic(picture: Uint8Array): Promise<boolean | number | null> {
  const client = new bws.Client("http://127.0.0.1:8040", "id", "secret");
  const token: string = await client.token("bws.112.4711", "enroll", { livedetection: false });
  // @ts-expect-error no such task
  await client.token("bws.112.4711", "enrol");
  await client.upload(token, picture, { index: 1, signal: AbortSignal.timeout(1000) });
  try {
    return (await client.identify(token)).Matches?.[0]?.Partition ?? (await client.isenrolled("bws.112.4711"));
  } catch (error) {
    return error instanceof ApiError ? error.retryAfterSeconds : null;
  }
}
