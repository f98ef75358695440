import type { DescMessage, JsonValue, MessageInitShape, MessageShape } from "@bufbuild/protobuf";
import { create, createRegistry, fromJson, toBinary } from "@bufbuild/protobuf";
import { ValueSchema } from "@bufbuild/protobuf/wkt";
import type { JobSpec, Payload } from "../../src/gen/millpond/v1/job_pb.ts";
import { JobSpecSchema, PayloadSchema } from "../../src/gen/millpond/v1/job_pb.ts";
import { systemClock } from "./clock.ts";
import { unfit } from "./encode.ts";
import { countValues } from "../../src/job/wire-scan.ts";
import type { JsonSchema, ReadAs, SentAs, StandardSchema } from "../../src/schema.ts";
import { faultOfFields, findNonJson } from "../../src/json-value.ts";
import { MillpondClientError } from "./error.ts";
import { createIds } from "./id.ts";
import type { JobOptions } from "./job-options.ts";
import { toSpecFields } from "./job-options.ts";

type Declared = DescMessage | StandardSchema | JsonSchema | undefined;

/** A task as the client knows it: its name, and the message types or schemas of what it takes and returns, if it declares any. */
export type TaskRef = {
  readonly name: string;
  readonly input?: Declared;
  readonly output?: Declared;
};

/** A task, or just its name. */
export type Task = string | TaskRef;

/** What a task takes: its message's fields, the JSON that its schema describes, or any JSON or bytes when it declares neither. */
export type InputOf<T extends Task> = T extends { readonly input?: infer Input extends Declared }
  ? Input extends DescMessage
    ? MessageInitShape<Input>
    : Input extends object
      ? SentAs<Input>
      : unknown
  : unknown;

/** What a task returns: its message, or the JSON that its schema describes; unknown when it declares neither. */
export type OutputOf<T extends Task> = T extends { readonly output?: infer Output extends Declared }
  ? Output extends DescMessage
    ? MessageShape<Output>
    : Output extends object
      ? ReadAs<Output>
      : unknown
  : unknown;

/** A task that takes JSON, of which only the type is at hand. A task of messages needs these to encode them: make a `TaskRef`. */
type TypedTask = { readonly name: string; readonly input?: Exclude<Declared, DescMessage>; readonly output?: Declared };

/**
 * A task of one's own by its type, of whose file nothing is loaded: with `import type greet from "./tasks/greet.ts"` it is
 * `taskOf<typeof greet>("greet")`, and inputs and outputs have the types of the task's schemas.
 */
export function taskOf<T extends TypedTask>(name: T["name"]): Pick<T, "name" | "input" | "output"> {
  return { name };
}

/** The message type, of a task that has one. */
export function messageTypeOf(declared: Declared): DescMessage | undefined {
  return declared && "typeName" in declared ? declared : undefined;
}

/**
 * A job that is ready to be submitted. `sizeBytes` is about what its input takes on the wire; `values` are what it counts
 * towards the server's bound on a message, and those of a typed input at most.
 */
export type Job = { readonly spec: JobSpec; readonly sizeBytes: number; readonly values: number };

/** A new job id: a UUIDv7, greater than every one before it in this process. */
export const newJobId: () => string = createIds(systemClock.now);

/** Makes a job of a task and its input. Throws `invalid_argument` when the input or an option cannot be encoded. */
export function job<T extends Task>(task: T, input: InputOf<T>, options: JobOptions = {}): Job {
  const { channel = "", id = newJobId() } = options;
  const { payload, sizeBytes, values } = encodeInput(task, input);
  const spec = create(JobSpecSchema, isPlain(options) ? undefined : toSpecFields(options));
  spec.id = id.toLowerCase(); // as the server writes it
  spec.task = typeof task === "string" ? task : task.name;
  spec.channel = channel;
  if (payload) spec.input = payload;
  return { spec, sizeBytes, values: values + (isPlain(options) ? plainFields : mostFields) };
}

/** Fields of a job besides its input: of a plain one, and of one with everything there is. */
const plainFields = 8;
const mostFields = 40;

/** Most jobs ask for nothing special, and there are many of them. */
function isPlain(options: JobOptions): boolean {
  for (const name in options) if (name !== "channel" && name !== "id") return false;
  return true;
}

/** Messages in an `Any` are not looked into. */
const noTypes = createRegistry();

/** As deep as the server takes it: what lies deeper could not be read in every language. */
const maxJsonDepth = 30;
/** An input's own keys are in a path. */
const maxPath = 200;

type Encoded = { readonly payload: Payload | undefined; readonly sizeBytes: number; readonly values: number };

function encodeInput(task: Task, input: unknown): Encoded {
  const schema = typeof task === "string" ? undefined : messageTypeOf(task.input);
  try {
    if (schema !== undefined) {
      const fault = faultOfFields(input);
      if (fault !== null) throw unfit("input", `${fault} and must be the fields of a ${schema.typeName}`);
      const value = toBinary(schema, create(schema, input as MessageInitShape<typeof schema>));
      const message = { typeUrl: `type.googleapis.com/${schema.typeName}`, value };
      const payload = payloadOf({ case: "message", value: message });
      return { payload, sizeBytes: value.length, values: countValues(schema, value, noTypes) };
    }
    if (input === undefined) return { payload: undefined, sizeBytes: 0, values: 0 };
    if (input instanceof Uint8Array) {
      return { payload: payloadOf({ case: "data", value: input }), sizeBytes: input.length, values: 1 };
    }
    const fault = findNonJson(input, maxJsonDepth);
    if (fault !== null) throw unfit(`input${fault.path}`.slice(0, maxPath), fault.description);
    const text = JSON.stringify(input); // so that dates, undefined fields and the like become what JSON makes of them
    const json = JSON.parse(text) as JsonValue;
    const value = fromJson(ValueSchema, json);
    return { payload: payloadOf({ case: "json", value }), sizeBytes: text.length, values: valuesIn(json) };
  } catch (cause) {
    if (cause instanceof MillpondClientError) throw cause;
    throw unfit("input", `cannot be encoded: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
}

/** As the server counts them. */
function valuesIn(json: JsonValue): number {
  if (typeof json !== "object" || json === null) return 1;
  const parts = Object.values(json);
  let values = 1 + (Array.isArray(json) ? 0 : parts.length); // names count too
  for (const part of parts) values += valuesIn(part);
  return values;
}

function payloadOf(content: MessageInitShape<typeof PayloadSchema>["content"] & object): Payload {
  return create(PayloadSchema, { content });
}
