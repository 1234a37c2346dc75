/** A picture: a file of a page, or the bytes of one. */
export type Picture = Blob | ArrayBuffer | Uint8Array;
/** The number of a class. Answers have it as a text, since numbers of JavaScript have 53 bits. */
export type Label = number | bigint | string;
/** An embedding: 16 to 4,096 finite numbers, not all zero. */
export type Embedding = ArrayLike<number>;

/** How a call may be ended. */
export interface CallOptions {
  signal?: AbortSignal;
}

/** Members of a call, as the OpenAPI document has them. What is undefined or null is not sent. */
export type Members = Record<string, unknown>;

/** Pictures or embeddings of one person. Embeddings need an `encoder`. */
export interface Samples {
  pictures?: Picture | Picture[] | null;
  embeddings?: Iterable<Embedding> | null;
  encoder?: string | null;
  liveness?: unknown;
}

/** What may be known of a person. */
export interface PersonRecord {
  name?: string | null;
  external_id?: string | null;
  labels?: Record<string, string> | null;
  note?: string | null;
  expires_unix_milliseconds?: number | null;
  threshold?: number | null;
  not_same_as?: string[] | null;
}

/** Who is looked for. */
export interface Who {
  limit?: number | null;
  /** The least similarity, -1 to 1. */
  threshold?: number | null;
  /** In place of a threshold: how often a stranger may be taken for somebody. */
  target_fpir?: number | null;
  labels?: Record<string, string> | null;
}

/** Somebody who was found. */
export interface Match {
  class: string;
  similarity: number;
  [member: string]: unknown;
}

/** An answer: JSON as docs/native-api.md describes it. */
export type Answer = Record<string, any>;

/** A call of the service. */
export interface Operation {
  method: string;
  path: string;
  query: string[];
  /** Members of the JSON that is sent. */
  body: string[];
}

/** All calls of `/v1` by their names in the OpenAPI document. */
export const OPERATIONS: Readonly<Record<string, Operation>>;

/** A service refused a call. */
export class ApiError extends Error {
  /** That of HTTP. */
  status: number;
  /** That of the problem, if it has one. */
  code: string | null;
  /** When a service that is too busy is to be asked again. */
  retryAfterSeconds: number | null;
  constructor(text: string, status: number, code: string | null, retryAfterSeconds: number | null);
}

/** What was given cannot be sent: the text says what was expected and found. */
export class InputError extends TypeError {}

/**
 * A running service, by its native API. A `partition` is `storage.number`.
 *
 * Calls reject with an `ApiError` where the service refuses, with an `InputError` where arguments are wrong, with a
 * `TypeError` of `fetch` where the service is not reached, and with what `fetch` has where a signal ends them. None is
 * repeated by itself.
 */
export class Client {
  /** `url` as in `http://127.0.0.1:8040`; `key` of `vultus key create`; another `fetch` if there is to be one. */
  constructor(url: string | URL, key?: string | null, options?: { fetch?: typeof globalThis.fetch });
  /** Any call by its name in the OpenAPI document. */
  call(name: string, path?: Record<string, Label>, members?: Members, options?: CallOptions): Promise<any>;
  /** What the service says of itself. */
  status(options?: CallOptions): Promise<Answer>;
  /** The partitions, a page of them. */
  partitions(page?: { limit?: number; cursor?: string }, options?: CallOptions): Promise<Answer>;
  /** The people of a partition, a page of them. */
  people(partition: string, filters?: Members, options?: CallOptions): Promise<Answer>;
  /** What is known of a class. */
  person(partition: string, label: Label, options?: CallOptions): Promise<Answer>;
  /** Enrols samples of a class, or with a `null` label of somebody new. */
  enroll(
    partition: string,
    label: Label | null,
    samples: Samples & PersonRecord & { replace?: boolean; box?: unknown },
    options?: CallOptions,
  ): Promise<Answer>;
  /** Who samples of one person show. */
  identify(partition: string, samples: Samples & Who, options?: CallOptions): Promise<Answer & { matches: Match[] }>;
  /** Who is on a picture of several people. */
  identifyFaces(
    partition: string,
    samples: { pictures: Picture | Picture[] } & Who,
    options?: CallOptions,
  ): Promise<Answer>;
  /** Who each of many embeddings shows: an answer for each, as they come. */
  identifyMany(
    partition: string,
    probes: Iterable<Embedding>,
    query?: { encoder?: string } & Who,
    options?: CallOptions,
  ): AsyncGenerator<Answer & { matches: Match[] }, void, void>;
  /** Whether samples show the person of a class. */
  verify(
    partition: string,
    label: Label,
    samples: Samples & { threshold?: number; target_fmr?: number },
    options?: CallOptions,
  ): Promise<Answer & { accepted: boolean }>;
  /** Whether two pictures show one person. */
  compare(pictures: Picture[], threshold?: number | null, options?: CallOptions): Promise<Answer & { accepted: boolean }>;
  /** The faces on a picture. */
  detect(picture: Picture, options?: CallOptions): Promise<Answer>;
  /** The embeddings of pictures. */
  embed(pictures: Picture | Picture[], options?: CallOptions): Promise<Answer>;
  /** Changes what is known of a person. */
  change(partition: string, label: Label, record: PersonRecord, options?: CallOptions): Promise<Answer>;
  /** Removes a class and all that is known of the person; `erase: "now"` waits until nothing is stored of them. */
  delete(partition: string, label: Label, options?: CallOptions & { erase?: "now" }): Promise<Answer | null>;
  /** Makes one class of two. */
  merge(partition: string, into: Label, other: Label, options?: CallOptions): Promise<Answer>;
}
