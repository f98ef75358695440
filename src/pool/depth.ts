/**
 * Bound on the nesting of JSON that tasks give out. It travels as `google.protobuf.Value`, where a level takes up to
 * three messages, and decoders in every language stop at 100: what is deeper could be stored and never be delivered.
 */
export const maxJsonDepth = 30;

/** How deep arrays and objects are nested in a JSON text: 0 for `1`, 2 for `{"a": []}`. */
export function depthOf(json: string): number {
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  for (let at = 0; at < json.length; at += 1) {
    const char = json[at];
    if (isInString) {
      if (char === "\\") at += 1;
      else if (char === '"') isInString = false;
    } else if (char === '"') {
      isInString = true;
    } else if (char === "[" || char === "{") {
      depth += 1;
      deepest = Math.max(deepest, depth);
    } else if (char === "]" || char === "}") {
      depth -= 1;
    }
  }
  return deepest;
}
