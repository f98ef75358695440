/** Parses JSON from files and the command line, refusing what would silently change. */
import { describeInexact, pathAt, scanJson } from "../../job/json-scan.ts";

/** Parses JSON. Throws a SyntaxError, or a RangeError with the path of a number that would be rounded. */
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

/**
 * JSON starts with one or two ASCII characters: the position of their zero bytes identifies the encoding (RFC 4627,
 * section 3).
 */
function encodingOf([first, second]: Uint8Array): string {
  if ((first === 0xff && second === 0xfe) || (first !== 0 && second === 0)) return "utf-16le";
  if ((first === 0xfe && second === 0xff) || (first === 0 && second !== 0)) return "utf-16be";
  return "utf-8";
}
