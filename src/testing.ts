/** Runs a task in a test, with its check, settings and resources, in this thread and without a server. */
import { randomUUID } from "node:crypto";
import type { InputOf, OutputOf } from "../clients/typescript/job.ts";
import { systemClock as clock } from "./clock.ts";
import type { FieldViolation } from "./errors.ts";
import type { Payload } from "./job/job.ts";
import { answerTo, checkableOf, verdictOf } from "./pool/checker/checks.ts";
import { declared, decodeInput, encodeOutput } from "./pool/codec.ts";
import { failureOf } from "./pool/failure.ts";
import type { Resources, ValuesOf } from "./pool/resource.ts";
import { createResourceReader } from "./pool/resources/definition.ts";
import { type AnyTask, isTask, TaskError } from "./pool/task.ts";
import { readDefinition } from "./pool/tasks/definition.ts";
import { recordAttempt, type AttemptRecord, type TriedLine, type TriedProgress } from "./testing/context.ts";
import { logTo } from "./testing/log.ts";
import { openResources } from "./testing/resources.ts";
import { outputOf, payloadOf } from "./testing/values.ts";

export type { TriedLine, TriedProgress } from "./testing/context.ts";

type Section = { readonly [key: string]: unknown };
type ResourcesOf<T> = T extends { readonly resources?: infer R extends Resources } ? R : Resources;

export type TryOptions<T> = {
  /** The task's section of the configuration, `tasks.<name>`. */
  readonly settings?: Section;
  /** The sections of its resources, `resources` of the configuration. */
  readonly resourceSettings?: { readonly [resource: string]: Section };
  /**
   * Values to use instead of resources, by the task's names for them. Such a resource is not set up, and its settings
   * are not read.
   */
  readonly resources?: Partial<ValuesOf<ResourcesOf<T>>>;
};

export type AttemptOptions = {
  /** Default: a new one. */
  readonly jobId?: string;
  /** Default: 1. */
  readonly attempt?: number;
  /** The attempt is asked to stop after this time. Default: the task's timeout. */
  readonly timeoutMs?: number;
};

/** A task under test. Its resources are set up by the first attempt, and kept. */
export type TriedTask<T extends AnyTask> = {
  /** The violations with which a submit of this input would be refused. Empty: it is valid. */
  check(input: InputOf<T>): readonly FieldViolation[];
  /** Runs one attempt and resolves with its output; see `Attempt.output`. */
  run(input: InputOf<T>, options?: AttemptOptions): Promise<OutputOf<T>>;
  /** Starts an attempt, to observe or stop it. */
  start(input: InputOf<T>, options?: AttemptOptions): Attempt<OutputOf<T>>;
  /** The problems that its resources have reported, such as `{ "billing.eu": "no route to host" }`. */
  problems(): { readonly [part: string]: string };
  /** Tears down its resources. */
  close(): Promise<void>;
};

export type Attempt<Output> = {
  /**
   * Rejects with the TaskError that the attempt would have in a server, with the thrown error as its `cause`:
   * `task_failed` for any other error, and the reason of `stop` if it was asked to stop. If the check refuses the
   * input, it rejects with `invalid_argument` and its `violations`.
   */
  readonly output: Promise<Output>;
  /** Every report so far; a server sends at most one per 100 ms. */
  readonly progress: readonly TriedProgress[];
  /** Log lines so far, including those of its resources while it ran. */
  readonly log: readonly TriedLine[];
  /** Its spans by name, in the order in which they started; available once it has ended. */
  readonly spans: readonly { readonly name: string; readonly error?: string | undefined }[];
  /** Asks the attempt to stop, through its signal and `ctx.throwIfCancelled()`. Default: `cancelled`. */
  stop(reason?: "cancelled" | "timed_out" | "expired" | "released"): void;
};

/** The bounds of a server with default limits. */
const outputBounds = { maxBytes: 4 * 2 ** 20 - 64 * 1024, maxValues: 20_000 };

/** Prepares a task for a test. Throws an Error that names the faults of its definition or its settings. */
export async function tryTask<T extends AnyTask>(given: T, options: TryOptions<T> = {}): Promise<TriedTask<T>> {
  if (!isTask(given)) throw new Error("it is not a task: create it with `defineTask`");
  const fakes: { readonly [name: string]: unknown } = options.resources ?? {};
  const own = Object.entries(given.resources ?? {}).filter(([name]) => !Object.hasOwn(fakes, name));
  const task: AnyTask = { ...given, resources: Object.fromEntries(own) };
  const resourceSettings = options.resourceSettings ?? {};
  const settings = options.settings ? { [task.name]: options.settings } : {};
  const surroundings = { pools: [task.pool], settings, resourceSettings };
  const read = await readDefinition(task, surroundings, createResourceReader(resourceSettings));
  if (!("name" in read)) throw new Error(read.map(({ what }) => what).join("; "));
  const unused = Object.keys(resourceSettings).filter((name) => !read.resources.some((each) => each.name === name));
  if (unused.length > 0) throw new Error(`the task uses no resource "${unused[0]}", but there are settings for it`);
  const { hasCheck } = read;
  const facts = { task: task.name, settings: read.settings, clock };
  const ownTimeoutMs = read.timeoutMs;
  const checkable = await checkableOf(task, read);
  let running: AttemptRecord | undefined;
  const resources = openResources(
    task,
    read.resources,
    clock,
    logTo(() => running?.lines),
  );

  const [input, output] = [await declared(task.input, "input"), await declared(task.output, "output")];

  const refusalOf = (payload: Payload | null) => (hasCheck ? answerTo(task.name, verdictOf(checkable, payload)) : null);

  async function attempt(record: AttemptRecord, value: unknown): Promise<OutputOf<T>> {
    try {
      const payload = payloadOf(input.message?.type, value);
      const refused = refusalOf(payload);
      if (refused) throw refused;
      return await run(record, payload);
    } finally {
      resources.end();
      record.end();
    }
  }

  async function run(record: AttemptRecord, payload: Payload | null): Promise<OutputOf<T>> {
    const { context } = record;
    try {
      Object.assign(context, { resources: { ...(await resources.begin(context.signal)), ...fakes } });
      const decoded = decodeInput(input, payload) as never;
      context.throwIfCancelled();
      const returned = await task.run(decoded, context);
      return outputOf(output.message?.type, encodeOutput(output, returned, outputBounds)) as OutputOf<T>;
    } catch (error) {
      const stopReason = record.stopReason();
      const { reason, message, ...advice } = failureOf(error);
      throw new TaskError(stopReason ?? reason, message, { ...advice, cause: error });
    }
  }

  function start(
    value: InputOf<T>,
    { jobId = randomUUID(), attempt: number = 1, timeoutMs = ownTimeoutMs }: AttemptOptions = {},
  ) {
    const record = recordAttempt({ ...facts, jobId, attempt: number, timeoutMs });
    running = record;
    const output = attempt(record, value);
    output.catch(() => undefined); // a caller that only observes an attempt need not await its output
    return {
      output,
      ...{ progress: record.progress, log: record.lines, spans: record.spans },
      stop: (reason: Parameters<AttemptRecord["stop"]>[0] = "cancelled") => record.stop(reason),
    };
  }

  return {
    check: (value) => refusalOf(payloadOf(input.message?.type, value))?.violations ?? [],
    run: async (value, each) => start(value, each).output,
    start,
    problems: resources.problems,
    close: resources.close,
  };
}
