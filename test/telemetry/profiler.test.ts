import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { suite, test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";
import { Worker } from "node:worker_threads";
import { systemClock } from "../../src/clock.ts";
import { refusal } from "../../src/errors.ts";
import type { Profile } from "../../src/profile.ts";
import { createProfileFolder, keptProfiles } from "../../src/telemetry/profile-folder.ts";
import { createProfiler, type ProfilerParts } from "../../src/telemetry/profiler.ts";
import { createFakeClock } from "../support/fake-clock.ts";
import { keptLog } from "../support/samples.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;
/** The recording ends when it is read, not after some time. */
const aborted = () => AbortSignal.timeout(50);

const heapSnapshots = fileURLToPath(new URL("../../src/heap-snapshots.ts", import.meta.url));

/** A thread that answers requests for its heap, says "ready", and then does what the code says. */
async function startThread(t: TestContext, code: string, name?: string): Promise<Worker> {
  const text = `
    require(${JSON.stringify(heapSnapshots)}).answerHeapRequests(Date.now);
    require("node:worker_threads").parentPort.postMessage("ready");
    setImmediate(() => { ${code} });`;
  const worker = new Worker(text, { eval: true, ...(name !== undefined && { name }) });
  worker.on("error", () => {});
  t.after(() => worker.terminate());
  await once(worker, "message");
  return worker;
}

const idle = "setInterval(() => {}, 1_000)";
const parked = "Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)";
const busy = "for (;;);";

function open(t: TestContext, parts: Partial<ProfilerParts> = {}) {
  const folder = mkdtempSync(join(tmpdir(), "millpond-profiler-"));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const { lines, log } = keptLog();
  const path = join(folder, "profiles");
  const profiler = createProfiler({
    ...{
      folder: createProfileFolder(path),
      targets: [],
      diskRefusal: () => undefined,
      clock: systemClock,
      log,
      ...parts,
    },
  });
  t.after(() => profiler.stop());
  return { profiler, path, lines };
}

const pathOf = (profile: Profile | undefined) => {
  assert.ok(profile && "path" in profile, JSON.stringify(profile));
  return profile.path;
};
const errorOf = (profile: Profile | undefined) => (profile && "error" in profile ? profile.error : "");
const modeOf = (path: string) => statSync(path).mode & 0o777;
const jsonAt = (path: string) => JSON.parse(readFileSync(path, "utf8")) as { [name: string]: unknown };

suite("a profile", () => {
  test("of the CPU has a file for every thread, also for one that is parked and one that never yields", async (t) => {
    const [store, one, two] = [
      await startThread(t, idle, "store"),
      await startThread(t, parked),
      await startThread(t, busy),
    ];
    const { profiler, path, lines } = open(t, {
      targets: [
        ["store", () => [store]],
        ["cpu", () => [one, two]],
      ],
    });
    const request = { kind: "cpu", target: "", durationMs: 60_000 } as const;
    const profiles = await profiler.profile(request, aborted());

    const names = ["main", "store", `cpu-${one.threadId}`, `cpu-${two.threadId}`];
    assert.deepEqual(
      profiles.map(({ thread }) => thread),
      names,
    );
    for (const profile of profiles) {
      const file = pathOf(profile);
      assert.equal(dirname(dirname(file)), path);
      assert.ok(Array.isArray(jsonAt(file)["nodes"]) && Array.isArray(jsonAt(file)["samples"]));
      assert.deepEqual([modeOf(file), modeOf(dirname(file))], [0o600, 0o700]);
      assert.equal("bytes" in profile && profile.bytes, statSync(file).size);
    }
    assert.notEqual((jsonAt(pathOf(profiles[3]))["samples"] as number[]).length, 0);
    assert.deepEqual(
      lines.map(({ text }) => text),
      ["a CPU profile is being taken", "the profile is written"],
    );
    assert.equal(lines[1]?.fields["folder"], dirname(pathOf(profiles[0])));
  });

  test("of allocations, and of a heap, is what DevTools reads", async (t) => {
    const [store, worker] = [await startThread(t, idle, "store"), await startThread(t, idle)];
    const { profiler } = open(t, {
      targets: [
        ["store", () => [store]],
        ["cpu", () => [worker]],
      ],
    });
    for (const target of ["main", "store", "cpu"]) {
      const [allocations] = await profiler.profile({ kind: "allocations", target, durationMs: 60_000 }, aborted());
      assert.ok(pathOf(allocations).endsWith(".heapprofile") && jsonAt(pathOf(allocations))["head"]);
      const [heap] = await profiler.profile({ kind: "heap", target, durationMs: 0 }, never);
      assert.ok(pathOf(heap).endsWith(".heapsnapshot") && jsonAt(pathOf(heap))["snapshot"]);
      assert.equal(modeOf(pathOf(heap)), 0o600);
    }
  });

  test("goes on without a thread that ends meanwhile, or has ended, and says which", async (t) => {
    const [dying, gone, well] = [await startThread(t, idle), await startThread(t, idle), await startThread(t, idle)];
    await gone.terminate();
    const { profiler, lines } = open(t, {
      targets: [
        ["cpu", () => [dying, gone, well]],
        ["io", () => []],
      ],
    });
    const ending = new AbortController();
    const taking = profiler.profile({ kind: "cpu", target: "", durationMs: 60_000 }, ending.signal);
    await until(() => lines.some(({ text }) => text === "a CPU profile is being taken"));
    await dying.terminate();
    ending.abort();
    const [main, first, second, third, io] = await taking;

    assert.match(errorOf(first), /not running|ended/);
    assert.match(errorOf(second), /not running|ended/);
    assert.equal(errorOf(io), "no thread of it runs now");
    for (const profile of [main, third]) assert.ok(jsonAt(pathOf(profile)));
    const told = lines.filter(({ text }) => text === "a thread could not be profiled");
    assert.equal(told.length, 3);
  });

  test("is taken of a thread that is only starting, too", async (t) => {
    const starting = new Worker(idle, { eval: true });
    t.after(() => starting.terminate());
    const { profiler } = open(t, { targets: [["cpu", () => [starting]]] });
    const [profile] = await profiler.profile({ kind: "cpu", target: "cpu", durationMs: 50 }, never);
    assert.ok(jsonAt(pathOf(profile)));
  });

  test("of a heap is requested again from a thread that is only starting, and missed the first request", async (t) => {
    const text = `
      const { parentPort } = require("node:worker_threads");
      const { answerHeapRequests } = require(${JSON.stringify(heapSnapshots)});
      parentPort.once("message", () => answerHeapRequests(Date.now));
      ${idle}`;
    const starting = new Worker(text, { eval: true });
    t.after(() => starting.terminate());
    const afterRequest = () => starting.postMessage("listen");
    const { profiler } = open(t, { targets: [["cpu", () => [starting], afterRequest]] });
    const [profile] = await profiler.profile({ kind: "heap", target: "cpu", durationMs: 0 }, never);
    assert.ok(jsonAt(pathOf(profile))["snapshot"]);
  });

  test("of a heap whose thread ends meanwhile is whole, or leaves neither a file nor a folder", async (t) => {
    for (let waitMs = 0; waitMs < 250; waitMs += 50) {
      const worker = await startThread(t, idle);
      const { profiler, path } = open(t, { targets: [["cpu", () => [worker]]] });
      const taking = profiler.profile({ kind: "heap", target: "cpu", durationMs: 0 }, never);
      systemClock.after(waitMs, () => void worker.terminate());
      const [profile] = await taking;
      if (errorOf(profile) === "") assert.ok(jsonAt(pathOf(profile)));
      else assert.deepEqual(readdirSync(path), []);
    }
  });

  test("of a heap says that a thread which never yields did not answer, and leaves nothing", async (t) => {
    const worker = await startThread(t, busy);
    const real = { ...systemClock };
    const { profiler, path } = open(t, {
      clock: { ...real, after: (delayMs, run) => real.after(delayMs === 5_000 ? 200 : delayMs, run) },
      targets: [["cpu", () => [worker]]],
    });
    const [profile] = await profiler.profile({ kind: "heap", target: "cpu", durationMs: 0 }, never);
    assert.match(errorOf(profile), /^it did not answer within 5000 ms: .* a loop that never yields$/);
    assert.deepEqual(readdirSync(path), []);
  });

  test("says of a thread inside native code that it did not answer, and does not wait for it", async (t) => {
    const clock = createFakeClock();
    const stuck = { threadId: 7, threadName: "", startCpuProfile: () => new Promise(() => {}) } as unknown as Worker;
    const { profiler } = open(t, { clock, targets: [["cpu", () => [stuck]]] });
    const taking = profiler.profile({ kind: "cpu", target: "cpu", durationMs: 10_000 }, never);
    await until(() => clock.timers() >= 2);
    clock.advance(5_000);
    const [profile] = await taking;
    assert.equal(
      errorOf(profile),
      "it did not answer within 5000 ms: it may be inside native code, or in a loop that never yields",
    );
  });

  test("is refused for a thread that is not there, with those that are", async (t) => {
    const { profiler, path } = open(t, {
      targets: [
        ["store", () => []],
        ["cpu", () => []],
      ],
    });
    const ask = (kind: "cpu" | "heap", target: string) => profiler.profile({ kind, target, durationMs: 0 }, never);
    await assert.rejects(ask("cpu", "gpu"), {
      reason: "invalid_argument",
      message: 'target: is "gpu" and must be one of main, store, cpu, or empty for all threads',
    });
    await assert.rejects(ask("heap", ""), { message: 'target: is "" and must be one of main, store, cpu' });
    assert.throws(() => statSync(path), { code: "ENOENT" });
  });

  test("is refused while another is taken, and while the disk is full", async (t) => {
    let full = false;
    const { profiler } = open(t, { diskRefusal: () => (full ? refusal("disk_full", [1, 2]) : undefined) });
    const request = { kind: "cpu", target: "main", durationMs: 60_000 } as const;
    const ending = new AbortController();
    const first = profiler.profile(request, ending.signal);
    await assert.rejects(profiler.profile(request, never), { reason: "profile_running" });
    ending.abort();
    pathOf((await first)[0]);
    full = true;
    await assert.rejects(profiler.profile(request, never), { reason: "disk_full" });
    full = false;
    pathOf((await profiler.profile(request, aborted()))[0]);
  });

  test("that is being taken when the server stops is written at once, and no other begins", async (t) => {
    const { profiler } = open(t);
    const request = { kind: "cpu", target: "main", durationMs: 60_000 } as const;
    const taking = profiler.profile(request, never);
    await profiler.stop();
    pathOf((await taking)[0]);
    await assert.rejects(profiler.profile(request, never), { reason: "draining" });
  });
});

suite("the folder of profiles", () => {
  test("keeps the newest, and touches nothing else", async (t) => {
    const root = mkdtempSync(join(tmpdir(), "millpond-profiler-"));
    t.after(() => rmSync(root, { recursive: true }));
    const folder = createProfileFolder(root);
    await folder.make("cpu", 0);
    rmSync(join(root, readdirSync(root)[0] as string), { recursive: true });
    const own = mkdtempSync(join(root, "own-"));
    for (let hour = 0; hour < keptProfiles + 3; hour += 1) await folder.make("heap", hour * 3_600_000);
    const names = readdirSync(root).filter((name) => !own.endsWith(name));
    assert.equal(names.length, keptProfiles);
    assert.equal(names.toSorted()[0], "1970-01-01T03-00-00.000Z-heap");
    assert.ok(statSync(own).isDirectory());
  });

  test("is one of its own among the temporary files where there is no data folder", async (t) => {
    const folder = createProfileFolder(null);
    const first = await folder.make("cpu", 0);
    t.after(() => rmSync(dirname(first), { recursive: true }));
    assert.equal(dirname(await folder.make("cpu", 1)), dirname(first));
    assert.equal(dirname(dirname(first)), tmpdir());
    assert.equal(modeOf(dirname(first)), 0o700);
  });
});
