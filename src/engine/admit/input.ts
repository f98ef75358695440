/** Converts a job's input from what the client sent to what is stored, or reports what is wrong with it. */
import { type DescMessage, fromBinary, fromJson, toBinary } from "@bufbuild/protobuf";
import { type FieldViolation, messageOf } from "../../errors.ts";
import type { JsonValue, Payload } from "../../job/job.ts";
import { maxJsonDepth } from "../../job/json-scan.ts";
import type { LoadedTask } from "../../pool/tasks.ts";
import { mayHoldMap, sortMaps, toCanonicalText } from "./canonical.ts";
import { findJsonFault } from "./json-fault.ts";

/** An input in one of the forms that a client may choose; null: none. */
export type GivenInput =
  | { readonly kind: "message"; readonly type: string; readonly bytes: Uint8Array }
  | { readonly kind: "json"; readonly value: JsonValue }
  | { readonly kind: "data"; readonly bytes: Uint8Array }
  /** An input that was sent as JSON but is not JSON, such as a NaN. */
  | { readonly kind: "unreadable"; readonly why: string }
  | null;

export type ReadInput =
  | { readonly payload: Payload | null; readonly violations?: never }
  | { readonly violations: readonly FieldViolation[] };

type Readable = Exclude<GivenInput, { kind: "unreadable" }>;

const encoder = new TextEncoder();
const tooDeep = `is nested deeper than ${maxJsonDepth} levels, which not every client could read: flatten it, or send it as bytes`;
/** Bound on a path: it contains the client's keys, which may be as long as its input. */
const maxPath = 200;

/** Paths of violations start at the job: `input.width`. */
export function readInput(task: LoadedTask, given: GivenInput): ReadInput {
  if (given?.kind === "unreadable") return wrong("input.json", given.why);
  if (given?.kind === "json") {
    if (isDeeper(given.value, maxJsonDepth))
      return wrong(`input${pathOfTooDeep(given.value)}`.slice(0, maxPath), tooDeep);
  }
  return task.input ? typed(task.input, given) : untyped(task, given);
}

/** Whether a list or an object is nested in more than `levels` others. */
function isDeeper(value: JsonValue, levels: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return levels === 0 || Object.values(value).some((each) => isDeeper(each, levels - 1));
}

/** The path of the first such value, like `.a[0]`. */
function pathOfTooDeep(value: JsonValue): string {
  let path = "";
  let at = value;
  for (let levels = maxJsonDepth; levels > 0; levels -= 1) {
    const inner = Object.entries(at as object).find(([, each]) => isDeeper(each as JsonValue, levels - 1));
    if (!inner) break;
    path += Array.isArray(at) ? `[${inner[0]}]` : `.${inner[0]}`;
    at = inner[1] as JsonValue;
  }
  return path;
}

function typed(type: DescMessage, given: Readable): ReadInput {
  const payload = (bytes: Uint8Array): Payload => ({ kind: "message", type: type.typeName, bytes });
  switch (given?.kind) {
    case "json":
      try {
        const message = fromJson(type, given.value);
        if (mayHoldMap(type)) sortMaps(type, message);
        return { payload: payload(toBinary(type, message)) };
      } catch (error) {
        const { path, description } = findJsonFault(type, given.value) ?? { path: "", description: messageOf(error) };
        return wrong(path === "" ? "input" : `input.${path.slice(0, maxPath)}`, description);
      }
    case "message":
      if (given.type !== type.typeName) {
        return wrong(
          "input.message",
          `is a ${given.type || "message without a type"}, the task takes a ${type.typeName}`,
        );
      }
      try {
        const message = fromBinary(type, given.bytes);
        if (!mayHoldMap(type)) return { payload: payload(given.bytes) };
        sortMaps(type, message);
        return { payload: payload(toBinary(type, message)) };
      } catch (error) {
        return wrong("input.message", `is not a ${type.typeName}: ${messageOf(error)}`);
      }
    case "data":
      return wrong("input.data", `the task takes a ${type.typeName}: send it as message or json`);
    default:
      return wrong("input", `is missing: the task takes a ${type.typeName}`);
  }
}

function untyped(task: LoadedTask, given: Readable): ReadInput {
  if (given?.kind === "message") {
    const why = task.inputShape ? "takes JSON by a schema: send json" : "declares no type: send json or data";
    return wrong("input.message", `task "${task.name}" ${why}`);
  }
  if (given === null) return { payload: null };
  if (given.kind === "data") return { payload: { kind: "data", type: "", bytes: given.bytes } };
  return { payload: { kind: "json", type: "", bytes: encoder.encode(toCanonicalText(given.value)) } };
}

function wrong(field: string, description: string): { readonly violations: readonly FieldViolation[] } {
  return { violations: [{ field, description }] };
}
