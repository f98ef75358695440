import { durationMs } from "@bufbuild/protobuf/wkt";
import type { Task, TaskSchema as WireSchema } from "../../src/gen/millpond/v1/worker_pool_pb.ts";

/** A task that the server has. */
export type TaskInfo = {
  readonly name: string;
  readonly pool: string;
  /** Full names of the messages it takes and returns; empty: JSON or bytes. */
  readonly inputType: string;
  readonly outputType: string;
  /** The schemas of the JSON it takes and returns; undefined: a message, or any JSON or bytes. */
  readonly inputSchema: TaskSchema | undefined;
  readonly outputSchema: TaskSchema | undefined;
  readonly description: string;
  readonly maxAttempts: number;
  /** Bound on one attempt; a job may ask for less. */
  readonly timeoutMs: number | undefined;
};

/** Which JSON a task takes or returns. */
export type TaskSchema = {
  /** Whose Standard Schema it is, such as `zod`; `json-schema` for a plain JSON Schema. */
  readonly vendor: string;
  /** A JSON Schema; undefined: not known. Of a Standard Schema it may leave out checks. */
  readonly jsonSchema: { readonly [keyword: string]: unknown } | undefined;
  /** Why it is not known. Empty: it is. */
  readonly unknownReason: string;
};

export function toTaskInfo(task: Task): TaskInfo {
  const { name, pool, inputType, outputType, description, maxAttempts, timeout } = task;
  return {
    name,
    pool,
    inputType,
    outputType,
    inputSchema: toSchema(task.inputSchema),
    outputSchema: toSchema(task.outputSchema),
    description,
    maxAttempts,
    timeoutMs: timeout && durationMs(timeout),
  };
}

function toSchema(schema: WireSchema | undefined): TaskSchema | undefined {
  if (!schema) return undefined;
  const { vendor, jsonSchema, unknownReason } = schema;
  return { vendor, jsonSchema: jsonSchema === "" ? undefined : JSON.parse(jsonSchema), unknownReason };
}
