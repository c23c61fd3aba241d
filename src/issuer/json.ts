import { Refusal } from './refusals.ts';

export const MAX_DEPTH = 32;

/** Names that turn into something else than a member when an object is copied carelessly. */
const FORBIDDEN = new Set(['__proto__', 'constructor', 'prototype']);

const utf8 = new TextDecoder('utf-8', { fatal: true });

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [member: string]: Json;
}

/**
 * Reads a JSON text (RFC 8259). The depth is counted before anything is parsed.
 *
 * @throws Refusal `json_invalid`, `json_too_deep` (over 32), `number_inexact` or `member_forbidden`.
 */
export function parseJson(bytes: Uint8Array): Json {
  const text = decodeUtf8(bytes);
  if (exceedsDepth(text, MAX_DEPTH)) {
    throw new Refusal('json_too_deep', `Nest objects and arrays at most ${MAX_DEPTH} deep.`);
  }
  let value: Json;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Refusal('json_invalid', 'Send one JSON text (RFC 8259) in UTF-8.');
  }
  checkMembers(value);
  return value;
}

/** @throws Refusal `json_invalid` for bytes that are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string {
  try {
    return utf8.decode(bytes);
  } catch {
    throw new Refusal('json_invalid', 'Send the body in UTF-8.');
  }
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

const [QUOTE, BACKSLASH] = [0x22, 0x5c];
/** By character code, what a bracket does to the depth. */
const STEP = new Int8Array(128);
for (const opening of '[{') STEP[opening.charCodeAt(0)] = 1;
for (const closing of ']}') STEP[closing.charCodeAt(0)] = -1;

/**
 * Looks at brackets outside of strings only; whether the text is JSON is found out later. One pass,
 * so no text makes it slow.
 */
function exceedsDepth(text: string, limit: number): boolean {
  let depth = 0;
  let quoted = false;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === BACKSLASH) at += 1;
    else if (code === QUOTE) quoted = !quoted;
    else if (!quoted) depth += STEP[code] ?? 0;
    if (depth > limit) return true;
  }
  return false;
}

/** What is signed is what was sent (RFC 8259 section 6): an integer that a double may round is not. */
function checkNumber(value: number): void {
  if (!Number.isFinite(value)) {
    throw new Refusal('json_invalid', 'A number is too large for a double (RFC 8259 section 6).');
  }
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) {
    throw new Refusal('number_inexact', 'Send an integer beyond 2^53 - 1 as a string.');
  }
}

function checkMembers(value: Json): void {
  if (typeof value === 'number') checkNumber(value);
  if (typeof value !== 'object' || value === null) return;
  for (const [member, inner] of Object.entries(value)) {
    if (FORBIDDEN.has(member)) {
      throw new Refusal(
        'member_forbidden',
        `No member may be called ${[...FORBIDDEN].join(', ')}.`,
      );
    }
    checkMembers(inner);
  }
}
