/** The public surface: what task files import from `millpond`. Clients import `millpond/client`. */
export type { FieldViolation } from "./errors.ts";
export type { RetryPolicy } from "./job/backoff.ts";
export type { JsonValue } from "./job/job.ts";
export type { TraceContext } from "./job/trace.ts";
export type { JsonSchema, StandardSchema } from "./schema.ts";
export {
  defineResource,
  type Permit,
  type Permits,
  type Resource,
  type ResourceContext,
  type ResourceDefinition,
} from "./pool/resource.ts";
export {
  defineTask,
  permanent,
  type SpanAttributes,
  type TaskContext,
  type TaskDefinition,
  TaskError,
  type UntypedInput,
  type UntypedOutput,
} from "./pool/task.ts";
export type { LogLevel, TaskLog } from "./pool/task-log.ts";
