/** A loop over inputs that is run again, against a real server: its work is not done twice. */
import assert from "node:assert/strict";
import { after, before, suite, test } from "node:test";
import { connect, echo, fail, job, type MillpondClient, newJobId } from "../../../clients/typescript/index.ts";
import { startMillpond, type TestServer } from "../../cli/server.ts";
import { numbers } from "./fixtures.ts";

suite("map, run again", () => {
  let server: TestServer;
  let client: MillpondClient;
  before(async () => {
    server = await startMillpond(["--store", "memory", "--log-level", "silent"]);
    client = connect({ address: server.serving.grpc, client: "again" });
  });
  after(async () => {
    await client.close();
    await server.dispose();
  });

  const jobCount = async (channel: string) => (await Array.fromAsync(client.listJobs({ channel }))).length;
  const outputs = (
    done: readonly { readonly input: unknown; readonly result?: { readonly output?: unknown } | undefined }[],
  ) => Object.fromEntries(done.map(({ input, result }) => [String(input), result?.output]));
  const expected = Object.fromEntries([...numbers(300)].map((n) => [String(n), n]));

  for (const [kind, nameOf] of [
    ["idempotency key", { idempotencyKey: (n: unknown) => `by-key-${String(n)}` }],
    ["id", { id: (n: unknown) => `01990000-0000-7000-8000-${String(n).padStart(12, "0")}` }],
  ] as const) {
    test(`an input whose ${kind} is known yields the result of its job, and the job does not run again`, async () => {
      const channel = `again-${Object.keys(nameOf)[0]}`;
      const options = { ...nameOf, channel, concurrency: 50 };
      let taken = 0;
      for await (const _ of client.map(echo, numbers(300), options)) if (++taken === 120) break; // a program that dies
      const second = await Array.fromAsync(client.map(echo, numbers(300), options));
      const third = await Array.fromAsync(client.map(echo, numbers(300), options));

      assert.deepEqual(outputs(second), expected);
      assert.deepEqual(outputs(third), expected);
      assert.equal(await jobCount(channel), 300);
    });
  }

  test("two inputs with one key are one job, and both yield its result", async () => {
    const options = { idempotencyKey: () => "the-same", channel: "twins" };
    const done = await Array.fromAsync(client.map(echo, ["a", "a", "a"], options));

    assert.deepEqual(
      done.map(({ index, result }) => [index, result?.output]).toSorted(([a], [b]) => Number(a) - Number(b)),
      [0, 1, 2].map((index) => [index, "a"]),
    );
    assert.equal(await jobCount("twins"), 1);
  });

  test("a key that belongs to other work is refused, and its neighbours are not", async () => {
    const options = { idempotencyKey: (n: unknown) => `k-${n === "other" ? 1 : String(n)}`, channel: "mixed" };
    await Array.fromAsync(client.map(echo, [1, 2], options));
    const done = await Array.fromAsync(client.map(echo, [1, "other", 2], options));

    assert.deepEqual(Object.fromEntries(done.map(({ index, refusal }) => [index, refusal?.reason])), {
      0: undefined,
      1: "key_exists",
      2: undefined,
    });
  });

  test("a job that failed for good yields its failure again", async () => {
    const options = { id: () => "01990000-0000-7000-8000-00000000dead", channel: "failures" };
    for (let round = 0; round < 2; round++) {
      const [done] = await Array.fromAsync(client.map(fail, [{ reason: "nope", message: "no way" }], options));
      assert.equal(done?.result?.failure?.reason, "nope");
    }
  });

  test("an id in capitals is the same id", async () => {
    const id = newJobId();
    const [done] = await Array.fromAsync(client.map(echo, [1], { id: () => id.toUpperCase(), channel: "capitals" }));

    assert.equal(done?.result?.jobId, id);
  });

  test("results that an earlier loop left behind are passed over, however many", async () => {
    const options = { channel: "left-behind", concurrency: 4 };
    await client.submitAll([...numbers(40)].map((n) => job(echo, n, { channel: "left-behind" })));
    const done = await Array.fromAsync(
      client.map(echo, numbers(40), { ...options, idempotencyKey: (n) => `new-${n}` }),
    );

    assert.deepEqual(
      done.map(({ result }) => result?.output).toSorted((a, b) => Number(a) - Number(b)),
      [...numbers(40)],
    );
  });

  test("a job whose result was removed since is refused, with what to do", async () => {
    const options = { idempotencyKey: () => "removed", channel: "removed" };
    const [first] = await Array.fromAsync(client.map(echo, [1], options));
    await client.deleteJobs([first?.result?.jobId as string]);
    const [again] = await Array.fromAsync(client.map(echo, [1], options));

    assert.equal(again?.refusal?.reason, "result_gone");
    assert.match(again?.refusal?.message ?? "", /give the input a new key or id/);
  });

  test("keys without a channel are refused at once, before anything is sent", async () => {
    await assert.rejects(client.map(echo, [1], { id: () => newJobId() }).next(), /no channel: name one/);
  });
});
