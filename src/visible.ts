/**
 * Characters that control a terminal or an editor: control characters (C0 except tab and line feed, DEL, C1), line and
 * paragraph separators, and bidirectional controls, which can make one text look like another
 * (https://trojansource.codes). Joiners, variation selectors and the other format characters stay: emoji and many
 * scripts are written with them.
 */
const unsafe = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u206f\ufff9-\ufffb]/g;

/** Escapes such characters as `\u009b`: for terminals, and for serialized JSON, whose meaning does not change. */
export function visible(text: string): string {
  return text.replace(unsafe, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`);
}
