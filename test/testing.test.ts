import assert from "node:assert/strict";
import { once } from "node:events";
import { suite, test } from "node:test";
import { defineResource, defineTask, permanent } from "../src/index.ts";
import sleep from "../src/tasks/sleep.ts";
import { tryTask } from "../src/testing.ts";

type Greeting = { readonly name: string };

const greet = defineTask({
  name: "greet",
  pool: "cpu",
  timeoutMs: 60_000,
  settings: ({ word = "hello" }) => {
    if (typeof word !== "string") throw new Error("word is not text");
    return { word };
  },
  check: (input) =>
    typeof (input as Greeting | null)?.name === "string" ? [] : [{ field: "name", description: "must be text" }],
  run(input, ctx) {
    const { name } = input as Greeting;
    ctx.progress(0.5, "thinking");
    ctx.log.info("greets", { name });
    if (name === "bob") throw permanent("unwelcome", "bob is not greeted", { name });
    if (name === "eve") throw new RangeError("too far");
    return ctx.span("greeting", () => `${ctx.settings.word} ${name} for the ${ctx.attempt}. time`);
  },
});

suite("millpond/testing", () => {
  test("runs a task with its settings, and gives what it returned and what it did", async () => {
    const task = await tryTask(greet, { settings: { word: "hi" } });
    const attempt = task.start({ name: "ada" }, { attempt: 2 });
    assert.equal(await attempt.output, "hi ada for the 2. time");
    assert.deepEqual(attempt.progress, [{ fraction: 0.5, note: "thinking" }]);
    assert.deepEqual(attempt.log, [{ level: "info", text: "greets", fields: { name: "ada" } }]);
    assert.deepEqual(
      attempt.spans.map(({ name }) => name),
      ["greeting"],
    );
  });

  test("refuses what a server refuses at submit, with the fields", async () => {
    const task = await tryTask(greet);
    const violation = { field: "input.name", description: "must be text" };
    assert.deepEqual([task.check({ name: "ada" }), task.check({})], [[], [violation]]);
    await assert.rejects(task.run({}), { reason: "invalid_argument", violations: [violation] });
    await assert.rejects(task.run({ name: "ada", at: 1n }), { reason: "invalid_argument" });
  });

  test("fails as the attempt does, with what was thrown as the cause", async () => {
    const task = await tryTask(greet);
    await assert.rejects(task.run({ name: "bob" }), {
      ...{ name: "TaskError", reason: "unwelcome", retryable: false, details: { name: "bob" } },
    });
    await assert.rejects(task.run({ name: "eve" }), (error: Error & { reason?: string }) => {
      assert.equal(error.reason, "task_failed");
      return error.cause instanceof RangeError;
    });
  });

  test("fails for an output that no client could get", async () => {
    const wrong = await tryTask(defineTask({ name: "wrong", pool: "cpu", run: () => ({ at: Number.NaN }) }));
    await assert.rejects(wrong.run(null), { reason: "bad_output", retryable: false });
  });

  test("says what is wrong with a definition or with settings, as the start does", async () => {
    await assert.rejects(tryTask(greet, { settings: { word: 7 } }), /^Error: tasks\.greet: word is not text$/);
    await assert.rejects(tryTask(defineTask({ name: "No!", pool: "cpu", run: () => 1 })), /the name "No!" is not/);
    await assert.rejects(tryTask(greet, { resourceSettings: { db: {} } }), /uses no resource "db"/);
    await assert.rejects(tryTask({ name: "a", pool: "cpu", run: () => 1 }), /create it with `defineTask`/);
  });

  test("takes and gives messages, as their fields and as a client gets them", async () => {
    const task = await tryTask(sleep);
    const output = await task.run({ durationMs: 0 });
    assert.match(output.$typeName, /^millpond\.tasks\.v1\./);
    assert.deepEqual(
      task.check({ durationMs: 2 ** 31 }).map(({ field }) => field),
      ["input.durationMs"],
    );
    await assert.rejects(
      task.run({ durationMs: -1 }),
      /^MillpondError: input: cannot be encoded: .* invalid uint32: -1$/,
    );
  });

  test("tells an attempt to stop: by its timeout, and when the test says so", async () => {
    const waits = defineTask({
      name: "waits",
      pool: "io",
      async run(_, ctx) {
        await once(ctx.signal, "abort");
        throw ctx.signal.reason;
      },
    });
    const task = await tryTask(waits);
    const [late, cancelled] = [task.start(null, { timeoutMs: 1 }), task.start(null)];
    cancelled.stop();
    await assert.rejects(late.output, { reason: "timed_out" });
    await assert.rejects(cancelled.output, { reason: "cancelled", message: "asked to stop: the job was cancelled" });
  });
});

suite("millpond/testing with resources", () => {
  const said: string[] = [];
  const billing = defineResource({
    name: "billing",
    settings: ({ url }) => {
      if (url === undefined) throw new Error("url is missing");
      return { url: String(url) };
    },
    permits: () => ({ connections: 1 }),
    async setup({ settings, permits, signal, log, report }) {
      const permit = await permits("connections").acquire(signal);
      log.info("connects");
      report("eu", "no route to host");
      return { send: (id: string) => `${settings.url}/${id}`, close: () => permit.release() };
    },
    teardown(client) {
      client.close();
      said.push("closed");
    },
  });
  const invoice = defineTask({
    name: "invoice",
    pool: "io",
    resources: { billing },
    run: (id, { resources }) => resources.billing.send(String(id)),
  });

  test("sets them up once, with permits, shows their reports, and tears them down", async () => {
    const task = await tryTask(invoice, { resourceSettings: { billing: { url: "test:" } } });
    const [first, second] = [task.start("1"), task.start("2")];
    assert.deepEqual([await first.output, await second.output], ["test:/1", "test:/2"]);
    assert.deepEqual(task.problems(), { "billing.eu": "no route to host" });
    await task.close();
    assert.deepEqual(said, ["closed"]);
  });

  test("takes values in their place", async () => {
    const task = await tryTask(invoice, { resources: { billing: { send: (id) => `sent ${id}`, close() {} } } });
    assert.equal(await task.run("3"), "sent 3");
    await task.close();
  });

  test("says what is wrong with their settings", async () => {
    await assert.rejects(tryTask(invoice), /^Error: resources.billing: url is missing$/);
  });
});
