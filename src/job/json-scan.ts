/**
 * Scans JSON text without creating values: `JSON.parse` accepts anything that fits into a string, and rounds numbers
 * silently.
 */

/**
 * Bound on the nesting of inputs and outputs. JSON is sent as `google.protobuf.Value`, where a level takes up to three
 * messages, and decoders of all languages stop at 100: deeper values could be stored but never delivered.
 */
export const maxJsonDepth = 30;

export type JsonFacts = {
  /** Number of scalars, lists, objects and names of members on all levels: 5 in `{"a": [1, 2]}`. */
  readonly values: number;
  /** Number of members of objects, including repeated ones: 1 in `{"a": [1, 2]}`. */
  readonly members: number;
  /** Nesting of lists and objects: 0 for `1`, 2 for `{"a": []}`. */
  readonly depth: number;
  /** Index of the first list or object that is deeper than `maxDepth`; -1: there is none. */
  readonly tooDeepAt: number;
  /** Index of the first number that a double cannot represent; -1: there is none. */
  readonly inexactAt: number;
};

export type ScanBounds = {
  /** Default: `maxJsonDepth`. */
  readonly maxDepth?: number;
  /** Stops after this many values. */
  readonly mostValues?: number;
};

/** Reads `text` once. For text that is not JSON, the result is meaningless. */
export function scanJson(text: string, bounds: ScanBounds = {}): JsonFacts {
  const { maxDepth = maxJsonDepth, mostValues = Number.POSITIVE_INFINITY } = bounds;
  let values = 0;
  let members = 0;
  let depth = 0;
  let deepest = 0;
  let tooDeepAt = -1;
  let inexactAt = -1;
  let at = 0;
  while (at < text.length && values <= mostValues) {
    const code = text.charCodeAt(at);
    if (code === quote) {
      values += 1;
      at = endOfString(text, at);
    } else if (code === openBracket || code === openBrace) {
      values += 1;
      depth += 1;
      if (depth > deepest) deepest = depth;
      if (depth > maxDepth && tooDeepAt === -1) tooDeepAt = at;
      at += 1;
    } else if (code === closeBracket || code === closeBrace) {
      depth -= 1;
      at += 1;
    } else if (code === minus || isDigit(code)) {
      values += 1;
      const end = endOfNumber(text, at);
      if (inexactAt === -1 && end - at > surelyExact && !isExact(text.slice(at, end))) inexactAt = at;
      at = end;
    } else {
      if (code === colon) members += 1;
      else if (code === trueStart || code === falseStart || code === nullStart) values += 1;
      at += 1;
    }
  }
  return { values, members, depth: deepest, tooDeepAt, inexactAt };
}

/** Whether a double represents the literal: exactly for a whole number; others only have to be finite. */
export function isExact(literal: string): boolean {
  const value = Number(literal);
  if (!Number.isFinite(value)) return false;
  return /[.eE]/.test(literal) || BigInt(literal) === BigInt(value);
}

/** Describes the fault of the number at `at`, with the remedy. */
export function describeInexact(text: string, at: number): string {
  const literal = text.slice(at, endOfNumber(text, at));
  const shown = literal.length > maxShown ? `${literal.slice(0, maxShown)}...` : literal;
  const value = Number(literal);
  const becomes = Number.isFinite(value) ? `would become ${BigInt(value)}` : "is too large";
  return `${shown} ${becomes}, for JSON numbers are read as doubles: send it as a string`;
}

const maxShown = 40;

/** The path of the value at index `at`, like `jobs[0].input.json.id`, in text that is JSON up to there. */
export function pathAt(text: string, at: number): string {
  /** The position in each open list or object: an index or a name. */
  const path: (number | string)[] = [];
  let name = "";
  for (let next = 0; next < at; ) {
    const code = text.charCodeAt(next);
    if (code === quote) {
      const end = endOfString(text, next);
      name = text.slice(next, end);
      next = end;
      continue;
    }
    if (code === openBracket) path.push(0);
    else if (code === openBrace) path.push("");
    else if (code === closeBracket || code === closeBrace) path.pop();
    else if (code === colon) path[path.length - 1] = unquoted(name);
    else if (code === comma) {
      const place = path.at(-1);
      if (typeof place === "number") path[path.length - 1] = place + 1;
    }
    next += 1;
  }
  return path.reduce<string>((all, place) => all + (typeof place === "number" ? `[${place}]` : dotted(all, place)), "");
}

function unquoted(name: string): string {
  try {
    return JSON.parse(name) as string;
  } catch {
    return name; // the text is not JSON
  }
}

function dotted(before: string, name: string): string {
  return before === "" ? name : `.${name}`;
}

/** Literals this short are whole numbers below 2^53, or decimals with an exponent that cannot overflow. */
const surelyExact = 3;

function endOfString(text: string, start: number): number {
  for (let at = start; ; ) {
    at = text.indexOf('"', at + 1);
    if (at === -1) return text.length;
    let backslashes = 0;
    while (text.charCodeAt(at - 1 - backslashes) === backslash) backslashes += 1;
    if (backslashes % 2 === 0) return at + 1;
  }
}

function endOfNumber(text: string, start: number): number {
  let at = start + 1;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (!isDigit(code) && code !== dot && code !== plus && code !== minus && code !== 0x65 && code !== 0x45) break;
  }
  return at;
}

function isDigit(code: number): boolean {
  return code >= 0x30 && code <= 0x39;
}

const quote = 0x22;
const backslash = 0x5c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
const colon = 0x3a;
const comma = 0x2c;
const minus = 0x2d;
const plus = 0x2b;
const dot = 0x2e;
const trueStart = 0x74;
const falseStart = 0x66;
const nullStart = 0x6e;
