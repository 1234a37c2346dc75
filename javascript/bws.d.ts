import type { CallOptions, Picture } from "./vultus.js";

export { ApiError, InputError } from "./vultus.js";

/** What a token can be for. */
export type Task = "verify" | "identify" | "enroll" | "livenessdetection";
export const TASKS: readonly Task[];

/** What a token asks for; names and defaults are those of the API. */
export interface TokenOptions extends CallOptions {
  livedetection?: boolean;
  maxtries?: number;
  challenge?: boolean;
  challenges?: number;
  mirrored?: boolean;
  autoenroll?: boolean;
  traits?: string;
}

/** What came of a task. `Error` is absent when there is none. */
export interface TaskResult {
  Success: boolean;
  Error?: string;
}

export interface UploadResult {
  Accepted: boolean;
  Warnings?: string[];
  Error?: string;
}

export interface ScoredClass {
  Score: number;
  Storage: string;
  Partition: number;
  ClassID: number;
}

/** The classic calls. A BCID is `storage.partition.class`. Refusals reject with an `ApiError`. */
export class Client {
  /** Without `appId` and `secret`, as in a page, only the calls that have a token can be made. */
  constructor(
    url: string | URL,
    appId?: string | null,
    secret?: string | null,
    options?: { fetch?: typeof globalThis.fetch },
  );
  token(bcid: string, task?: Task, options?: TokenOptions): Promise<string>;
  upload(
    token: string,
    picture: Picture,
    options?: CallOptions & { index?: number; tag?: string; trait?: string },
  ): Promise<UploadResult>;
  enroll(token: string, options?: CallOptions & { livedetection?: boolean }): Promise<TaskResult>;
  verify(token: string, options?: CallOptions & { livedetection?: boolean; targetFMR?: number }): Promise<TaskResult>;
  identify(
    token: string,
    options?: CallOptions & { maxResults?: number; livedetection?: boolean; targetFPIR?: number },
  ): Promise<TaskResult & { Matches?: ScoredClass[] }>;
  livenessdetection(token: string, options?: CallOptions): Promise<TaskResult>;
  /** What came of the last task of a token; null if there was none. */
  result(token: string, options?: CallOptions): Promise<(TaskResult & { Action: string; BCID: string }) | null>;
  isenrolled(bcid: string, options?: CallOptions & { trait?: string }): Promise<boolean>;
  deleteclass(bcid: string, options?: CallOptions): Promise<null>;
  status(options?: CallOptions): Promise<any>;
  qualitycheck(
    picture: Picture,
    options?: CallOptions & { full?: boolean; issuer?: string; state?: string },
  ): Promise<any>;
  /** A boolean, or with any `state` an object. */
  livedetection(liveimage1: Picture, liveimage2: Picture, options?: CallOptions & { state?: string }): Promise<any>;
  passivelivedetection(picture: Picture, options?: CallOptions & { state?: string }): Promise<any>;
  videolivedetection(video: Picture, options?: CallOptions & { state?: string }): Promise<any>;
  photoverify(
    liveimage1: Picture,
    liveimage2: Picture,
    idphoto: Picture,
    options?: CallOptions & { accuracy?: number },
  ): Promise<boolean>;
  /** One of the live pictures may be null. */
  photoverify2(
    liveimage1: Picture | null,
    liveimage2: Picture | null,
    idphoto: Picture,
    options?: CallOptions & { accuracy?: number; state?: string },
  ): Promise<any>;
}
