// Calls of /v1. The key is in this module's memory and nowhere else: closing or reloading the page forgets it.

import { has, t } from './texts.js';

let key = null;
let status = null;
let isLost = false;

// Tells `lost`, `back` (the server answers again) and `out` (the key is no longer good).
export const events = new EventTarget();

// Why a call did not do what it should.
export class Failure extends Error {
  constructor({ status: code = 0, problem = {}, retry = null } = {}) {
    super(problem.detail ?? problem.Message ?? '');
    this.status = code;
    this.code = problem.code ?? (code === 0 ? 'lost' : 'internal');
    this.sample = problem.sample ?? null;
    this.retrySeconds = retry;
  }

  // In the language of the page. What the server says in addition is `message`, in English.
  get text() {
    const known = `problem.${this.code}`;
    return has(known) ? t(known) : this.message || t('problem.internal');
  }
}

function tell(name, detail = null) {
  events.dispatchEvent(new CustomEvent(name, { detail }));
}

function lost(is) {
  if (is !== isLost) {
    isLost = is;
    tell(is ? 'lost' : 'back');
  }
}

async function send(method, path, { headers = {}, body, signal, waitSeconds = 60 } = {}) {
  const late = AbortSignal.timeout(waitSeconds * 1000);
  const ends = signal ? AbortSignal.any([signal, late]) : late;
  let answer;
  try {
    answer = await fetch(path, { method, headers, body, signal: ends, cache: 'no-store', credentials: 'omit', redirect: 'error' });
  } catch (error) {
    if (signal?.aborted) {
      throw error;
    }
    lost(true);
    throw new Failure();
  }
  lost(false);
  return answer;
}

async function failure(answer) {
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // A proxy answers with a page of its own.
  }
  const isProblem = problem !== null && typeof problem === 'object' ? problem : {};
  return new Failure({ status: answer.status, problem: isProblem, retry: Number(answer.headers.get('retry-after')) || null });
}

// A call of /v1 with the key. Gives the JSON of the answer, unless something else is asked for, with its number in the log as `requestId`.
export async function call(method, path, { json, form, query = {}, text = false, blob = false, ...how } = {}) {
  const used = key;
  const headers = { Authorization: `Bearer ${used}`, Accept: 'application/json' };
  let body = form;
  if (json !== undefined) {
    headers['Content-Type'] = 'application/json';
    body = JSON.stringify(json);
  }
  const wanted = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== '');
  const behind = wanted.length ? `?${new URLSearchParams(wanted)}` : '';
  const answer = await send(method, `v1/${path}${behind}`, { headers, body, ...how });
  if (answer.ok) {
    if (text) {
      return answer.text();
    }
    if (blob) {
      return answer.blob();
    }
    const found = await answer.json();
    Object.defineProperty(found, 'requestId', { value: answer.headers.get('x-request-id') });
    return found;
  }
  const failed = await failure(answer);
  if (answer.status === 401 && used === key && status !== null) {
    signOut(failed);
  }
  throw failed;
}

// The path of a gallery, or of something in it.
export function within(partition, ...parts) {
  return ['partitions', partition, ...parts].map(encodeURIComponent).join('/');
}

// Asks whether a key is good, and keeps it if it is.
export async function signIn(given) {
  key = given;
  try {
    status = await call('GET', 'status', { waitSeconds: 20 });
  } catch (error) {
    key = null;
    throw error;
  }
  return status;
}

// The key that a ticket is for. It is good once.
export async function redeem(ticket) {
  const answer = await send('POST', 'page/sign-in', { headers: { Authorization: `Bearer ${ticket}` } });
  if (!answer.ok) {
    const failed = await failure(answer);
    failed.code = answer.status === 401 ? 'ticket' : failed.code;
    throw failed;
  }
  return (await answer.json()).key;
}

export function signOut(why = null) {
  key = null;
  status = null;
  tell('out', why);
}

export function signedIn() {
  return status;
}

export async function renewStatus() {
  status = await call('GET', 'status');
  return status;
}

// Whether the key may be used for something.
export function may(scope) {
  return status !== null && status.key.scopes.includes(scope);
}

export function reachesEverything() {
  return status !== null && status.key.reach === 'everything';
}

// Which page the server has now; another one if the program was replaced.
export async function pageNow() {
  const answer = await send('GET', './', { headers: { Accept: 'application/json' }, waitSeconds: 10 });
  return answer.ok ? (await answer.json()).page : null;
}

// Whether the server answers at all. Tells `lost` and `back`.
export async function ping() {
  try {
    await send('GET', 'livez', { waitSeconds: 10 });
    return true;
  } catch {
    return false;
  }
}

export async function readiness() {
  const answer = await send('GET', 'readyz', { waitSeconds: 10 });
  return answer.json();
}
