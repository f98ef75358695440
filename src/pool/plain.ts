/** Whatever a task hands out beside its output, made into plain data of a bearable size. None of this throws. */
import type { JsonValue } from "../job/job.ts";
import { depthOf, maxJsonDepth } from "./depth.ts";

const maxDetailsChars = 16_384;

/** JSON stays as it is; of anything else, and of what is too large or too deep, a word says why it was dropped. */
export function plain(details: unknown): { [key: string]: JsonValue } {
  try {
    const text = JSON.stringify(details);
    if (!text?.startsWith("{")) return { dropped: "details that are not a JSON object" };
    if (text.length > maxDetailsChars) {
      return { dropped: `details of ${text.length} characters, the limit is ${maxDetailsChars}` };
    }
    if (depthOf(text) > maxJsonDepth) return { dropped: `details nested deeper than ${maxJsonDepth} levels` };
    return JSON.parse(text) as { [key: string]: JsonValue };
  } catch {
    return { dropped: "details that are not JSON" };
  }
}

/** What a value says for people, cut to so many characters. */
export function textOf(value: unknown, maxChars: number): string {
  try {
    return String(value instanceof Error ? value.message : value).slice(0, maxChars);
  } catch {
    return "something that cannot be shown as text";
  }
}
