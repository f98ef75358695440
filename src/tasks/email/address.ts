/** Checks the addresses and the header text of a mail. */
import { domainToASCII } from "node:url";

/** An address for `From`, `To` and the envelope. */
export type Address = { readonly address: string; readonly name: string };

const longestAddress = 254; // RFC 5321 errata 1690
const longestLocalPart = 64;
const longestName = 256;

/** RFC 5321 dot-string, with what RFC 6531 adds to it; quoted local parts are refused. */
const localPart = /^[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+(?:\.[\p{L}\p{M}\p{N}!#$%&'*+/=?^_`{|}~-]+)*$/u;
const domain =
  /^[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?(?:\.[\p{L}\p{N}](?:[\p{L}\p{M}\p{N}-]{0,61}[\p{L}\p{M}\p{N}])?)*$/u;
/** C0, DEL and C1, and the two characters that some programs treat as line breaks. */
const control = /[\p{Cc}\u2028\u2029]/u;

/** Why an address is invalid. The message continues a sentence that starts with the field. */
export function faultOfAddress(address: string): string | undefined {
  if (address === "") return "is missing";
  const at = address.lastIndexOf("@");
  const parts = { local: address.slice(0, at), domain: address.slice(at + 1) };
  if (address.length <= longestAddress && parts.local.length <= longestLocalPart) {
    const isDomain = domain.test(parts.domain) && domainToASCII(parts.domain) !== "";
    if (at > 0 && localPart.test(parts.local) && isDomain) return undefined;
  }
  const remedy = `must be one address such as ada@example.com, of at most ${longestAddress} characters`;
  return `is ${shown(address)} and ${remedy}`;
}

/** Why the display name of an address is invalid. */
export function faultOfName(name: string): string | undefined {
  if (name.length > longestName) return `has ${name.length} characters and the limit is ${longestName}`;
  return faultOfHeaderText(name);
}

/**
 * Why text is invalid in a header: CR and LF would start another header, and other control characters are not allowed
 * either.
 */
export function faultOfHeaderText(text: string): string | undefined {
  const found = control.exec(text);
  if (!found) return undefined;
  const code = found[0].charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  return `has the control character U+${code} at position ${found.index}: remove it`;
}

/** Untrusted text for a message: quoted, with control characters escaped, and truncated. */
export function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}...` : text);
}
