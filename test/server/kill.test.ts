/** Promise 1 of the design: what was accepted survives kill -9, and has one result. */
import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { connect, echo, type Job, job, sleep } from "../../clients/typescript/index.ts";
import type { Result } from "../../src/gen/millpond/v1/job_pb.ts";
import { JobState } from "../../src/gen/millpond/v1/job_pb.ts";
import { runHere } from "../cli/here.ts";
import { type Gate, openGate } from "../rpc/gate.ts";
import { makePlace } from "./place.ts";
import { openRelay } from "./relay.ts";
import { newChannel, sendAll, type Told } from "./stream.ts";

/** 2,000 jobs in all: two that run until the gate lets them go, then three echoes to each short sleep. */
function mixedJobs(gate: Gate): readonly Job[] {
  const held = [1, 2].map(() => job("gate", { port: gate.port }));
  const short = Array.from({ length: 1998 }, (_, index) =>
    index % 4 === 0 ? job(sleep, { durationMs: 1 }) : job(echo, { index }),
  );
  return [...held, ...short];
}

const idsOf = (results: readonly Result[]) => results.map(({ jobId }) => jobId);
const byJob = (results: readonly Result[]) => new Map(results.map((result) => [result.jobId, result]));

/** `isHeld`: the kill waits until the two held jobs run. */
type Moment = { readonly name: string; isNow(told: Told): boolean; readonly isHeld?: true };

suite("kill -9 in the middle of 2,000 jobs", () => {
  const moments: readonly Moment[] = [
    { name: "at the first receipts", isNow: ({ accepted }) => accepted.size > 0 },
    { name: "with half of the receipts", isNow: ({ accepted }) => accepted.size >= 1000 },
    { name: "with half of the results", isNow: ({ results }) => results.length >= 1000, isHeld: true },
  ];
  for (const { name, isNow, isHeld = false } of moments) {
    test(`${name}: every accepted job has one result, and nothing is invented`, async (t) => {
      const gate = await openGate();
      t.after(gate.close);
      const { start } = await makePlace(t);
      const first = await start();
      const channel = newChannel();
      const jobs = mixedJobs(gate);
      const held = Promise.all([gate.next(), gate.next()]);

      const before = await sendAll({
        ...{ address: first.serving.grpc, channel, jobs, pieces: 50 },
        onTold: (told) => {
          if (isNow(told)) void (isHeld ? held : Promise.resolve()).then(() => first.signal("SIGKILL"));
        },
      });
      assert.ok(before.error, "the stream broke");
      assert.ok(before.results.length < jobs.length - 1, "the server was killed in the middle");
      assert.equal((await first.ended).code, null);
      gate.open();
      const second = await start();
      // what a client does that lost its connection: it sends everything again, under the same ids
      const after = await sendAll({ address: second.serving.grpc, channel, jobs, pieces: 1000 });

      assert.equal(after.error, undefined);
      assert.deepEqual([...after.refused], []);
      for (const id of before.accepted) assert.ok(after.repeated.has(id), `${id} was accepted and then forgotten`);
      const results = byJob(after.results);
      assert.equal(after.results.length, results.size, "no job has two results");
      assert.deepEqual(new Set(results.keys()), new Set(jobs.map(({ spec }) => spec.id)));
      assert.deepEqual(
        after.results.map(({ cursor }) => Number(cursor)),
        jobs.map((_, index) => index + 1),
      );
      assert.deepEqual(idsOf(before.results), idsOf(after.results).slice(0, before.results.length));
      for (const { spec } of jobs) {
        const { state, attempts, output } = results.get(spec.id) as Result;
        assert.equal(state, JobState.SUCCEEDED);
        // two processes, and one of them was killed once
        assert.ok(attempts >= 1 && attempts <= 2, `${spec.id} took ${attempts} attempts`);
        if (spec.task === "echo") assert.deepEqual(output, spec.input);
      }
      for (const { spec } of isHeld ? jobs.slice(0, 2) : []) {
        assert.equal(results.get(spec.id)?.attempts, 2, "it was running when the server was killed");
      }
      assert.equal((await second.signal("SIGTERM")).code, 0);
    });
  }
});

test("map() goes on after kill -9 and yields every input once", async (t) => {
  const gate = await openGate();
  t.after(gate.close);
  const { start } = await makePlace(t);
  const first = await start();
  const relay = await openRelay(first.serving.grpc);
  t.after(relay.close);
  const client = connect({ address: relay.address, client: "ada" });
  t.after(client.close);
  const inputs = Array.from({ length: 2000 }, (_, index) => ({ index }));

  const yields = new Array<number>(inputs.length).fill(0);
  let done = 0;
  for await (const { index, result } of client.map(echo, inputs, { concurrency: 200 })) {
    assert.deepEqual(result?.output, inputs[index]);
    yields[index] = (yields[index] ?? 0) + 1;
    done += 1;
    if (done !== 700) continue;
    await first.signal("SIGKILL");
    relay.leadTo((await start()).serving.grpc);
  }

  assert.deepEqual(new Set(yields), new Set([1]));
  const jobs = [];
  for await (const each of client.listJobs({ pageSize: 1000 })) jobs.push(each);
  assert.equal(jobs.length, inputs.length, "no input became two jobs");
  assert.ok(jobs.every(({ state, attempts }) => state === "SUCCEEDED" && attempts <= 2));
});

test("of an attempt that a kill -9 cut off the history says that it was lost, and not when it began", async (t) => {
  const gate = await openGate();
  t.after(gate.close);
  const { start } = await makePlace(t);
  const first = await start();
  const sent = connect({ address: first.serving.grpc, client: "ada" });
  t.after(sent.close);
  await sent.submit("gate", { port: gate.port });
  const { jobId } = await gate.next();
  await first.signal("SIGKILL");
  const second = await start();
  const client = connect({ address: second.serving.grpc, client: "ada" });
  t.after(client.close);
  const again = await gate.next();
  const { attempts, history } = await client.getJob(jobId);
  assert.deepEqual([again.attempt, attempts, history.length], [2, 2, 1]);
  assert.deepEqual([history[0]?.outcome, history[0]?.startedAt], ["lost", undefined]);
  assert.ok(history[0]?.finishedAt, "when the loss was found");
  const printed = await runHere(["job", jobId, "--address", second.serving.grpc, "--client", "ada"]);
  assert.match(printed.stdout, /^ +1 +lost +- +- +lost: /m);
  gate.open();
});
