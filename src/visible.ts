/**
 * Characters that steer whatever shows a text: control characters (C0 but for tab and line feed, DEL, C1), the line and
 * paragraph separators, and those that turn the direction of what follows, so that a text reads as another
 * (https://trojansource.codes). Joiners, variation selectors and the other format characters stay: emoji and many scripts
 * are written with them.
 */
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]/g;

/**
 * A text in which such characters are written as `\u009b`: for terminals, and for JSON that is text already, which means
 * the same afterwards.
 */
export function visible(text: string): string {
  return text.replace(unsafe, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
