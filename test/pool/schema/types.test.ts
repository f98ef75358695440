/** What the compiler knows of schemas, in tasks and in clients. `npm run types` is what fails; nothing is run but the definitions. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import * as v from "valibot";
import * as z from "zod";
import {
  type InputOf,
  job,
  type JobResult,
  type MillpondClient,
  type OutputOf,
  taskOf,
} from "../../../clients/typescript/index.ts";
import { SleepInputSchema } from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { defineTask, type JsonValue } from "../../../src/index.ts";

type IsAny<T> = 0 extends 1 & T ? true : false;
type Same<A, B> = true extends IsAny<A> ? false : [A, B] extends [B, A] ? true : false;
/** Compiles only when both types are the same. */
function same<A, B>(_same: Same<A, B> extends true ? true : never): void {}

const inZod = defineTask({
  name: "zod.task",
  pool: "cpu",
  input: z.object({ day: z.coerce.date<string>(), count: z.number().default(1) }),
  output: z.object({ total: z.number() }),
  check: (input) => (input.count > 3 ? [{ field: "count", description: "must be at most 3" }] : []),
  run(input, ctx) {
    same<typeof input, { day: Date; count: number }>(true);
    same<typeof ctx.attempt, number>(true);
    return { total: input.count };
  },
});

const inValibot = defineTask({
  name: "valibot.task",
  pool: "cpu",
  input: v.object({ name: v.string(), age: v.optional(v.number()) }),
  run(input) {
    same<typeof input, { name: string; age?: number | undefined }>(true);
    return null;
  },
});

const inJsonSchema = defineTask({
  name: "described.task",
  pool: "cpu",
  input: {
    type: "object",
    properties: {
      name: { type: "string", minLength: 1 },
      size: { enum: ["small", "large"] },
      tags: { type: "array", items: { type: ["string", "null"] } },
      either: { anyOf: [{ type: "boolean" }, { const: 3 }] },
      counts: { type: "object", additionalProperties: { type: "integer" } },
      other: { $ref: "#" },
    },
    required: ["name", "size"],
  },
  output: { type: "array", items: { type: "number" } },
  run(input) {
    type Expected = {
      name: string;
      size: "small" | "large";
      tags?: (string | null)[];
      either?: boolean | 3;
      counts?: { [name: string]: number };
      other?: JsonValue;
    };
    same<typeof input, Expected>(true);
    return [1];
  },
});

const ofMessages = defineTask({
  name: "message.task",
  pool: "cpu",
  input: SleepInputSchema,
  run(input) {
    same<typeof input.durationMs, number>(true);
    return null;
  },
});

const untyped = defineTask({
  name: "untyped.task",
  pool: "cpu",
  run(input) {
    same<typeof input, JsonValue | Uint8Array>(true);
    return null;
  },
});

suite("a task of one's own in a client, by its type", () => {
  test("has its name, its inputs before and its outputs after what the schema transforms", () => {
    const task = taskOf<typeof inZod>("zod.task");
    same<InputOf<typeof task>, { day: string; count?: number | undefined }>(true);
    same<OutputOf<typeof task>, { total: number }>(true);
    same<InputOf<typeof inValibot>, { name: string; age?: number | undefined }>(true);
    same<OutputOf<typeof inValibot>, unknown>(true);
    same<InputOf<typeof inJsonSchema>["size"], "small" | "large">(true);
    same<OutputOf<typeof inJsonSchema>, number[]>(true);
    same<InputOf<typeof untyped>, unknown>(true);
    assert.deepEqual(
      job(task, { day: "2026-01-02" }).spec.input?.content,
      job("x", { day: "2026-01-02" }).spec.input?.content,
    );
    // @ts-expect-error: it is another name
    assert.equal(taskOf<typeof inZod>("zod.tusk").name, "zod.tusk");
    // @ts-expect-error: `day` is missing
    assert.ok(job(task, {}));
    // @ts-expect-error: its message type is needed to encode the input
    assert.ok(taskOf<typeof ofMessages>("message.task"));
  });

  test("the definition itself is a reference too", () => {
    assert.equal(job(inValibot, { name: "a" }).spec.input?.content.case, "json");
    assert.equal(job(ofMessages, { durationMs: 3 }).spec.input?.content.case, "message");
    // @ts-expect-error: `name` is a text
    assert.ok(job(inValibot, { name: 3 }));
  });

  test("types what the client's submit takes and its run gives", () => {
    const use = async (client: MillpondClient) => {
      const result = await client.run(taskOf<typeof inZod>("zod.task"), { day: "2026-01-02", count: 2 });
      same<typeof result, JobResult<{ total: number }>>(true);
      // @ts-expect-error: `count` is a number
      await client.submit(taskOf<typeof inZod>("zod.task"), { day: "2026-01-02", count: "2" });
    };
    assert.ok(use);
  });
});

test("what is no schema is refused by the compiler where it can be known", () => {
  // @ts-expect-error: it has no keyword of JSON Schema
  assert.ok(defineTask({ name: "a", pool: "cpu", input: { width: "number" }, run: () => 1 }));
  // @ts-expect-error: it is a text
  assert.ok(defineTask({ name: "a", pool: "cpu", input: "string", run: () => 1 }));
  // @ts-expect-error: `total` is missing
  assert.ok(defineTask({ name: "a", pool: "cpu", output: z.object({ total: z.number() }), run: () => ({}) }));
});
