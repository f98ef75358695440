/** What becomes of submitted jobs, on every front end. */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack, anyUnpack } from "@bufbuild/protobuf/wkt";
import {
  FailInputSchema,
  SleepInputSchema,
  SleepOutputSchema,
} from "../../../src/gen/millpond/tasks/v1/diagnostic_pb.ts";
import { JobState } from "../../../src/gen/millpond/v1/job_pb.ts";
import { idleTasks, type TestServer, type Way } from "../fixtures.ts";
import { data, echo, fates, follow, idsOf, json, newChannel, outputOf } from "../jobs.ts";
import { refused } from "../refused.ts";

const uuidV7 = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;

export function submitCases(way: Way, server: () => TestServer): void {
  const client = (name?: string) => server().client(way, name);

  test("one job is accepted under a UUIDv7 and its result comes to its channel", async () => {
    const channel = newChannel();
    const { receipts } = await client().submit({ jobs: [echo({ hello: ["world", 1.5, null] }, { channel })] });

    const [result] = await follow(client(), { channel }, 1);

    const [id = ""] = idsOf(receipts);
    assert.match(id, uuidV7);
    assert.ok(result);
    assert.deepEqual(
      [result.jobId, result.task, result.state, result.attempts, result.cursor],
      [id, "echo", JobState.SUCCEEDED, 1, 1n],
    );
    assert.deepEqual(outputOf(result), { hello: ["world", 1.5, null] });
    const times = [result.submittedAt, result.startedAt, result.finishedAt].map(
      (at) => Number(at?.seconds) * 1e9 + Number(at?.nanos),
    );
    assert.deepEqual(
      times,
      times.toSorted((a, b) => a - b),
    );
  });

  test("many jobs get a receipt each, in their order", async () => {
    const channel = newChannel();
    const ids = Array.from({ length: 50 }, () => randomUUID());
    const { receipts } = await client().submit({ jobs: ids.map((id, index) => echo(index, { id, channel })) });

    const results = await follow(client(), { channel }, 50);

    assert.deepEqual(idsOf(receipts), ids);
    assert.deepEqual(
      results.map(({ cursor }) => Number(cursor)),
      Array.from({ length: 50 }, (_, index) => index + 1),
    );
    const outputs = new Map(results.map((result) => [result.jobId, outputOf(result)]));
    assert.deepEqual(
      ids.map((id) => outputs.get(id)),
      ids.map((_, index) => index),
    );
  });

  test("bad jobs are refused by index and do not spoil their neighbours", async () => {
    const channel = newChannel();
    const { receipts } = await client().submit({
      jobs: [
        echo("first", { channel }),
        { task: "no.such.task", channel },
        { task: "sleep", input: json({ durationMs: "soon" }), channel },
        echo("too large ".repeat(5_000), { channel }),
        echo("last", { channel }),
      ],
    });

    assert.deepEqual(fates(receipts), ["accepted", "unknown_task", "invalid_argument", "input_too_large", "accepted"]);
    const refusal = receipts[2]?.receipt.case === "refusal" ? receipts[2].receipt.value : undefined;
    assert.deepEqual(
      refusal?.fieldViolations.map(({ field }) => field),
      ["input.durationMs"],
    );
    assert.equal(refusal?.retryAfter, undefined);
    const results = await follow(client(), { channel }, 2);
    assert.deepEqual(results.map((result) => String(outputOf(result))).toSorted(), ["first", "last"]);
  });

  test("a call of which no job is accepted fails with the first refusal", async () => {
    const error = await refused(
      client().submit({ jobs: [{ task: "sleep", input: json({ durationMs: 3_600_001 }) }, { task: "no.such.task" }] }),
    );

    assert.equal(error.code, "InvalidArgument");
    assert.equal(error.reason, "invalid_argument");
    assert.deepEqual(error.fields, ["jobs[0].input.durationMs"]);
  });

  test("an enum value that the protocol does not have is refused with its field", async () => {
    const error = await refused(client().submit({ jobs: [echo("a", { retry: { jitter: 99 as never } })] }));

    assert.deepEqual([error.reason, error.fields], ["invalid_argument", ["jobs[0].retry.jitter"]]);
  });

  test("a submit without jobs, or with more than the limit, is refused", async () => {
    const none = await refused(client().submit({ jobs: [] }));
    const tooMany = await refused(client().submit({ jobs: Array.from({ length: 101 }, () => echo(1)) }));

    assert.deepEqual([none.reason, none.fields], ["invalid_argument", ["jobs"]]);
    assert.deepEqual([tooMany.reason, tooMany.fields], ["invalid_argument", ["jobs"]]);
    assert.match(tooMany.message, /101.*100/);
  });

  test("a typed task takes its message and JSON alike, and answers with its message", async () => {
    const channel = newChannel();
    const message = anyPack(SleepInputSchema, create(SleepInputSchema, { durationMs: 0 }));
    await client().submit({
      jobs: [
        { task: "sleep", channel, input: { content: { case: "message", value: message } } },
        { task: "sleep", channel, input: json({ durationMs: 0 }) },
        { task: "sleep", channel, input: json({ duration_ms: 0 }) },
      ],
    });

    const results = await follow(client(), { channel }, 3);

    for (const { output, state } of results) {
      assert.equal(state, JobState.SUCCEEDED);
      assert.equal(output?.content.case, "message");
      const unpacked = output?.content.case === "message" && anyUnpack(output.content.value, SleepOutputSchema);
      assert.ok(unpacked && unpacked.sleptMs >= 0);
    }
  });

  test("a typed task refuses nothing, bytes, another message and a broken one, each by the field's path", async () => {
    const wrong = anyPack(FailInputSchema, create(FailInputSchema));
    const broken = { typeUrl: "type.googleapis.com/millpond.tasks.v1.SleepInput", value: new Uint8Array([255, 255]) };
    const inputs = [
      undefined,
      data(new Uint8Array(3)),
      { content: { case: "message" as const, value: wrong } },
      { content: { case: "message" as const, value: broken } },
    ];
    const fields: string[][] = [];
    for (const input of way.isJson ? inputs.slice(0, 3) : inputs) {
      const error = await refused(client().submit({ jobs: [{ task: "sleep", ...(input && { input }) }] }));
      assert.equal(error.reason, "invalid_argument");
      fields.push([...error.fields]);
    }
    const expected = [["jobs[0].input"], ["jobs[0].input.data"], ["jobs[0].input.message"], ["jobs[0].input.message"]];
    assert.deepEqual(fields, expected.slice(0, fields.length));
  });

  test("an untyped task takes bytes and nothing, and gives them back", async () => {
    const channel = newChannel();
    const bytes = new Uint8Array([0, 255, 128, 1]);
    await client().submit({ jobs: [{ task: "echo", channel, input: data(bytes) }] });
    await follow(client(), { channel }, 1);
    await client().submit({ jobs: [{ task: "echo", channel }] });

    const results = await follow(client(), { channel }, 2);

    assert.deepEqual(results[0]?.output?.content, { case: "data", value: bytes });
    assert.deepEqual(outputOf(results[1] as never), null);
  });

  test("an untyped task refuses a typed message", async () => {
    const value = anyPack(SleepInputSchema, create(SleepInputSchema));
    const error = await refused(
      client().submit({ jobs: [{ task: "echo", input: { content: { case: "message", value } } }] }),
    );

    assert.deepEqual([error.reason, error.fields], ["invalid_argument", ["jobs[0].input.message"]]);
  });

  test("numbers that JSON does not have are refused, and so are values without a kind", {
    skip: way.isJson && "cannot be sent as JSON",
  }, async () => {
    for (const value of [{ kind: { case: "numberValue", value: Number.NaN } as const }, {}]) {
      const { receipts } = await client().submit({
        jobs: [{ task: "echo", input: { content: { case: "json", value } } }, echo(1)],
      });
      assert.deepEqual(fates(receipts), ["invalid_argument", "accepted"]);
    }
  });

  test("an id is taken as it is chosen, its letters made small", async () => {
    const id = randomUUID();
    const { receipts } = await client().submit({ jobs: [echo(1, { id: id.toUpperCase() })] });

    assert.deepEqual(idsOf(receipts), [id]);
  });

  test("an id that is not a UUID is refused, and so is a channel with a bad name", async () => {
    const error = await refused(client().submit({ jobs: [echo(1, { id: "invoice-4711", channel: "my channel" })] }));

    assert.equal(error.code, "InvalidArgument");
    assert.deepEqual(error.fields.toSorted(), ["jobs[0].channel", "jobs[0].id"]);
  });

  test("the same id with the same content is the same job, also within one call, and runs once", async () => {
    const channel = newChannel();
    const job = echo("once", { id: randomUUID(), channel });
    const first = await client().submit({ jobs: [job, job] });
    await follow(client(), { channel }, 1);
    const again = await client().submit({ jobs: [job] });
    await client().submit({ jobs: [echo("after", { channel })] });

    const results = await follow(client(), { channel }, 2);

    assert.deepEqual(fates(first.receipts), ["accepted", "duplicate"]);
    assert.deepEqual(fates(again.receipts), ["duplicate"]);
    assert.deepEqual(idsOf(again.receipts), [job.id]);
    assert.deepEqual(results.map(outputOf), ["once", "after"]);
  });

  test("the same id with other content is refused, naming what differs", async () => {
    const id = randomUUID();
    await client().submit({ jobs: [echo("this", { id, channel: "one" })] });

    const error = await refused(
      client().submit({ jobs: [{ task: "blob", input: json({ bytes: 1 }), id, channel: "two" }] }),
    );

    assert.deepEqual([error.code, error.reason], ["AlreadyExists", "already_exists"]);
    assert.match(error.message, /task, channel, input/);
  });

  test("another client's id is refused without saying whose it is", async () => {
    const id = randomUUID();
    await client("alice").submit({ jobs: [echo("hers", { id })] });

    const error = await refused(client("bob").submit({ jobs: [echo("hers", { id })] }));

    assert.deepEqual([error.code, error.reason], ["AlreadyExists", "id_taken"]);
    assert.doesNotMatch(error.message, /alice/);
  });

  test("an unknown task is NOT_FOUND with the names there are, twenty of them at most", async () => {
    const error = await refused(client().submit({ jobs: [{ task: "constructor" }] }));

    assert.deepEqual([error.code, error.reason], ["NotFound", "unknown_task"]);
    const builtIn = ["echo", "fail", "sleep", "image.resize", "email.send", "db.query", "db.execute", "db.batch"];
    const all = [...builtIn, "blob", "gate", ...idleTasks().names];
    const named = all.filter((name) => new RegExp(`[ ,]${name}(,| and|$)`).test(error.message));
    assert.equal(named.length, 20);
    assert.ok(error.message.includes(`and ${all.length - 20} more`), error.message);
  });

  test("wrong JSON is INVALID_ARGUMENT with the path of the field, and the message stays short", async () => {
    const jobs = [{ durationMs: -1 }, { unknown: 1 }, { durationMs: "x".repeat(9_000) }, [1], "text"].map((input) => ({
      task: "sleep",
      input: json(input as never),
    }));
    const fields: string[] = [];
    for (const job of jobs) {
      const error = await refused(client().submit({ jobs: [job] }));
      assert.equal(error.reason, "invalid_argument");
      assert.ok(error.message.length < 1_000, `${error.message.length} characters`);
      fields.push(...error.fields);
    }

    const input = "jobs[0].input";
    assert.deepEqual(fields, [`${input}.durationMs`, `${input}.unknown`, `${input}.durationMs`, input, input]);
  });

  test("a task's own check refuses with its own words", async () => {
    const message = anyPack(FailInputSchema, create(FailInputSchema, { reason: "Not A Word" }));
    const error = await refused(
      client().submit({ jobs: [{ task: "fail", input: { content: { case: "message", value: message } } }] }),
    );

    assert.deepEqual(error.fields, ["jobs[0].input.reason"]);
    assert.match(error.message, /at most 64 characters/);
  });

  test("an input over the limit is refused with its size and the limit, at the limit it is taken", async () => {
    const limit = 20_000;
    const error = await refused(client().submit({ jobs: [{ task: "echo", input: data(new Uint8Array(limit + 1)) }] }));
    const asJson = await refused(client().submit({ jobs: [echo("x".repeat(limit - 1))] }));
    const { receipts } = await client().submit({ jobs: [{ task: "echo", input: data(new Uint8Array(limit)) }] });

    assert.deepEqual([error.code, error.reason], ["ResourceExhausted", "input_too_large"]);
    assert.match(error.message, /20001 bytes.*20000/);
    assert.equal(asJson.reason, "input_too_large");
    assert.deepEqual(fates(receipts), ["accepted"]);
  });

  test("keys that are special to JavaScript are ordinary data", async () => {
    const channel = newChannel();
    const value = JSON.parse('{"__proto__": {"polluted": true}, "constructor": 1}');
    await client().submit({ jobs: [echo(value, { channel })] });

    const [result] = await follow(client(), { channel }, 1);

    assert.equal(JSON.stringify(outputOf(result as never)), JSON.stringify(value));
    assert.equal(({} as { polluted?: boolean }).polluted, undefined);
  });

  test("a message as large as the task's own encoding is stored as it was sent", async () => {
    const channel = newChannel();
    const bytes = toBinary(FailInputSchema, create(FailInputSchema, { reason: "as_sent", message: "word for word" }));
    const value = { typeUrl: "type.googleapis.com/millpond.tasks.v1.FailInput", value: bytes };
    await client().submit({ jobs: [{ task: "fail", channel, input: { content: { case: "message", value } } }] });

    const [result] = await follow(client(), { channel }, 1);

    assert.deepEqual([result?.failure?.reason, result?.failure?.message], ["as_sent", "word for word"]);
    assert.equal(result?.failure?.retryable, false);
  });
}
