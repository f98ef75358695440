/** Log lines for a terminal: time, level, text, then the fields, and a stack below. */
import { type InspectColor, styleText } from "node:util";
import { visible } from "../visible.ts";

/** Keyed by pino's level numbers. */
const levels: { readonly [level: number]: readonly [name: string, colour: InspectColor] } = {
  20: ["debug", "gray"],
  30: ["info ", "green"],
  40: ["warn ", "yellow"],
  50: ["error", "red"],
};
/** Fields that are shown elsewhere in the line, or are of no use on a terminal. */
const unshown = new Set(["level", "time", "msg", "stack", "span_id", "trace_flags"]);
const bareValue = /^[\w.:/@+-]+$/;

/**
 * Formats a line of JSON as pino writes it, with its line break. Nothing in the text can control the terminal or start
 * a line.
 */
export function prettyLine(json: string, hasColours: boolean): string {
  const line = JSON.parse(json) as {
    level: number;
    time: string;
    msg: string;
    stack?: unknown;
    [name: string]: unknown;
  };
  const paint = (colour: InspectColor, text: string) =>
    hasColours ? styleText(colour, text, { validateStream: false }) : text;
  const [name, colour] = levels[line.level] ?? [String(line.level), "gray"];
  const facts = Object.entries(line)
    .filter(([key]) => !unshown.has(key))
    .map(([key, value]) => ` ${paint("gray", `${oneLine(key)}=`)}${shown(value)}`);
  const stack = typeof line.stack === "string" ? line.stack.split("\n") : [];
  const first = `${paint("gray", localTime(line.time))} ${paint(colour, name)} ${oneLine(line.msg)} ${facts.join("")}`;
  return [first.trimEnd(), ...stack.map((each) => paint("gray", `    ${oneLine(each)}`)), ""].join("\n");
}

function shown(value: unknown): string {
  return typeof value === "string" && bareValue.test(value) ? value : oneLine(JSON.stringify(value));
}

function oneLine(text: string): string {
  return visible(text).replaceAll("\n", "\\n");
}

/** In the time zone of this machine. */
function localTime(iso: string): string {
  const time = new Date(iso);
  const two = (number: number) => String(number).padStart(2, "0");
  const clock = [time.getHours(), time.getMinutes(), time.getSeconds()].map(two).join(":");
  return `${clock}.${String(time.getMilliseconds()).padStart(3, "0")}`;
}
