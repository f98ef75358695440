/**
 * Describes a thrown value: one sentence with its causes and parts, and a stack. Any value can be thrown, so each
 * property is read defensively, and everything is bounded. None of this throws.
 */
import { types } from "node:util";
import { cut, read, textOf } from "./sanitize.ts";

export type Thrown = {
  /** At most 4096 characters; a truncated one ends with an ellipsis. */
  readonly message: string;
  /** At most 2000 characters. Undefined: unknown. */
  readonly stack: string | undefined;
};

export const maxMessageChars = 4096;
export const maxStackChars = 2000;
/** Bound on the depth of causes and parts. */
const maxDepth = 5;
/** Bound on the named parts of one AggregateError. */
const maxParts = 5;
/** Bound on stack lines: of the error itself, and of each cause or part. */
const maxFrames = { own: 8, others: 4 };
const maxFrameChars = 300;
/** Bound on the lines of a stack that are read. */
const maxLines = 50;
const maxTitleChars = 200;

/** An error with its causes and parts. */
type Description = {
  readonly name: string;
  /** The error's own text, never empty. */
  readonly text: string;
  readonly frames: readonly string[];
  readonly parts: readonly Description[];
  /** Number of parts that are not named. */
  readonly moreParts: number;
  readonly cause: Description | undefined;
};

export function thrownOf(error: unknown): Thrown {
  try {
    const description = describe(error, []);
    const stack = stackLines(description, "", maxFrames.own).join("\n");
    return {
      message: cut(sentence(description), maxMessageChars),
      stack: stack === "" ? undefined : cut(stack, maxStackChars),
    };
  } catch {
    return { message: "something was thrown that cannot be read", stack: undefined };
  }
}

function describe(error: unknown, above: readonly unknown[]): Description {
  const name = nameOf(error);
  const isFollowed = typeof error === "object" && error !== null && above.length < maxDepth;
  const inside = [...above, error];
  const follow = (other: unknown) => (inside.includes(other) ? undefined : describe(other, inside));
  const errors = isFollowed ? read(error, "errors") : undefined;
  const parts = Array.isArray(errors) ? errors : [];
  const cause = isFollowed ? read(error, "cause") : undefined;
  return {
    name,
    text: ownText(error, name),
    frames: framesOf(error),
    parts: parts
      .slice(0, maxParts)
      .map(follow)
      .filter((part) => part !== undefined),
    moreParts: Math.max(parts.length - maxParts, 0),
    cause: cause === undefined || cause === null ? undefined : follow(cause),
  };
}

/** The error's message, or its name if it has none. Its code is appended unless the text contains it. */
function ownText(error: unknown, name: string): string {
  if (error === "") return "an empty text";
  if (typeof error !== "object" || error === null) return textOf(error, maxMessageChars);
  const message = read(error, "message");
  const isSilent = isError(error) && (typeof message !== "string" || message.trim() === "");
  const text = isSilent ? name : textOf(error, maxMessageChars);
  const code = isDomException(error) ? undefined : read(error, "code");
  const isNamed = (typeof code !== "string" && typeof code !== "number") || text.includes(String(code));
  return isNamed ? text : `${text} (code ${cut(String(code), maxTitleChars)})`;
}

function nameOf(error: unknown): string {
  const name = typeof error === "object" && error !== null ? read(error, "name") : undefined;
  return typeof name === "string" && name !== "" ? cut(name, maxTitleChars) : "Error";
}

function sentence({ text, parts, moreParts, cause }: Description): string {
  const sentences = parts.map(sentence);
  if (moreParts > 0) sentences.push(`and ${moreParts} more`);
  const whole = sentences.length === 0 ? text : `${text}: ${sentences.join("; ")}`;
  const why = cause && sentence(cause);
  // many errors repeat their cause in their own message
  return why === undefined || text.includes(why) ? whole : `${whole}, caused by: ${why}`;
}

function stackLines({ name, text, frames, parts, cause }: Description, role: string, max: number): string[] {
  const others = [
    ...parts.flatMap((part) => stackLines(part, "part: ", maxFrames.others)),
    ...(cause ? stackLines(cause, "caused by: ", maxFrames.others) : []),
  ];
  if (frames.length === 0 && others.length === 0) return [];
  const [line = ""] = text.split("\n", 1);
  const title = line === name ? name : `${name}: ${line}`;
  return [role + cut(title, maxTitleChars), ...frames.slice(0, max).map((frame) => `    ${frame}`), ...others];
}

/** Frames to omit: those of the worker, and of the errors that it offers to tasks. */
const ownFrames = [
  new URL("./worker.", import.meta.url).href,
  new URL("./task.", import.meta.url).href,
  new URL("./faults.", import.meta.url).href,
  "node:internal/async_local_storage/",
  "/piscina/dist/",
];

function framesOf(error: unknown): string[] {
  const stack = typeof error === "object" && error !== null ? read(error, "stack") : undefined;
  if (typeof stack !== "string") return [];
  const message = read(error, "message");
  const place = typeof message === "string" ? stack.indexOf(message) : -1;
  const start = place === -1 ? 0 : place + String(message).length; // skips the message, whose lines may look like frames
  const frames: string[] = [];
  for (const line of stack.slice(start).split("\n", maxLines)) {
    if (frames.length === maxFrames.own) break;
    const frame = line.trim();
    if (frame.startsWith("at ") && !ownFrames.some((own) => frame.includes(own)))
      frames.push(cut(frame, maxFrameChars));
  }
  return frames;
}

/** Guarded, because a proxy may throw. */
function isError(value: object): boolean {
  try {
    return types.isNativeError(value) || value instanceof Error;
  } catch {
    return false;
  }
}

/** The code of a DOMException is a number that its name repeats. */
function isDomException(value: object): boolean {
  try {
    return value instanceof DOMException;
  } catch {
    return false;
  }
}
