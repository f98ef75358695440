/** JSON as users write it, in files and on the command line: nothing of it may change silently on its way in. */
import { describeInexact, pathAt, scanJson } from "../../job/json-scan.ts";

/** Parses it. Throws a SyntaxError, and a RangeError with the path of a number that would be rounded. */
export function parseExactJson(text: string): unknown {
  const value: unknown = JSON.parse(text);
  const { inexactAt } = scanJson(text);
  if (inexactAt === -1) return value;
  const path = pathAt(text, inexactAt);
  throw new RangeError(`${path === "" ? "" : `${path}: `}${describeInexact(text, inexactAt)}`);
}

/** The text of a JSON file in UTF-8 or UTF-16, with or without a byte order mark. Throws a TypeError for any other. */
export function decodeJson(bytes: Uint8Array): string {
  return new TextDecoder(encodingOf(bytes), { fatal: true }).decode(bytes);
}

/** JSON begins with two characters of ASCII, or one: where their zeros stand tells the encodings apart (RFC 4627, section 3). */
function encodingOf([first, second]: Uint8Array): string {
  if ((first === 0xff && second === 0xfe) || (first !== 0 && second === 0)) return "utf-16le";
  if ((first === 0xfe && second === 0xff) || (first === 0 && second !== 0)) return "utf-16be";
  return "utf-8";
}
