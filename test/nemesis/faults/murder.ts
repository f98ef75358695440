/** N5: jobs that end their own thread in every way a thread can end, or the whole process. */
import { hasSetting } from "../stage/features.ts";
import { openStage } from "../stage/stage.ts";
import type { Murder } from "../tasks/hash.ts";
import { type Fault, p99, sleep } from "./fault.ts";

const sizes = { ci: 25, gate: 10_000 };
const leaseMs = 30_000;
const jobsPerMurder = { ci: 60, gate: 20 };
/** Ends an endless loop soon. */
const graceMs = 500;
/** Beyond it the pool counts as never refilled. */
const patienceMs = 10_000;
/** How soon the pool must be full again. In CI others work on the same cores, and a thread takes its time to boot. */
const refillMs = { ci: 3_000, gate: 1_000 };
/** One in so many murders takes the process with it: a restart costs more than a thread. */
const segfaultEvery = 25;
/** How much more often a thread ends at once than after it has filled its heap or turned in a loop for a while. */
const often = { ci: 2, gate: 6 };
/** So that a thread's heap is full in a moment. */
const nodeFlags = ["--max-old-space-size=192"];

export const murder: Fault = {
  name: "murder",
  row: "N5",
  says: "jobs that end their thread: by uncaught errors, exit, a full heap, an endless loop; or the process",
  needs: () => null,
  async run({ folder, root, seed, random, isGate, asked }) {
    const count = asked.kills ?? (isGate ? sizes.gate : sizes.ci);
    const quick: Murder[] = ["throw", "reject", "exit"];
    const ways: Murder[] = [...Array.from({ length: isGate ? often.gate : often.ci }, () => quick).flat(), "heap"];
    if (hasSetting(root, "leaseMs")) ways.push("loop"); // timeouts came with leases
    const plan = Array.from({ length: count }, (_, index) =>
      index % segfaultEvery === segfaultEvery - 1 ? ("segfault" as const) : random.pick(ways),
    );
    const flags = hasSetting(root, "graceMs") ? ["--grace-ms", String(graceMs)] : [];
    const stage = await openStage({ folder, root, nodeFlags, flags });
    const perMurder = isGate ? jobsPerMurder.gate : jobsPerMurder.ci;
    const mostMs = isGate ? refillMs.gate : refillMs.ci;
    const tookMs: number[] = [];
    const slowest: { [how: string]: number } = {};
    let happened = 0;
    let slow = 0;
    try {
      await stage.start();
      const clients = await stage.clients({
        seed: `${seed}/murder`,
        clients: 2,
        channels: 2,
        inFlight: 20,
        largeBytes: 0,
      });
      let newest = -1;
      for (const [index, how] of plan.entries()) {
        clients.allow((index + 1) * perMurder + index);
        clients.murder(how);
        const since = performance.now();
        const isOver = () => performance.now() - since > patienceMs;
        let doneAt: number | undefined;
        let refilledAt: number | undefined;
        while (refilledAt === undefined && !isOver()) {
          for (const event of stage.freshRuns()) {
            if (event.kind === "murders") {
              doneAt = event.at;
              happened += 1;
            }
            if (event.kind !== "began") continue;
            // a thread that was never seen before has taken the place of the one that ended
            if (event.thread > newest && doneAt !== undefined) refilledAt ??= event.at;
            newest = Math.max(newest, event.thread);
          }
          if (how === "segfault" && doneAt !== undefined) break;
          // so that there is always a job for the new thread, and not so many that they are the load
          if (clients.submitted - clients.done < 6) clients.allow(clients.submitted + 4);
          await sleep(2);
        }
        if (how === "segfault") {
          await stage.server().ended;
          await stage.start();
          newest = -1;
        } else if (doneAt !== undefined) {
          const took = Math.max(0, (refilledAt ?? Infinity) - doneAt - (allowanceMs[how] ?? 0));
          tookMs.push(took);
          slowest[how] = Math.max(slowest[how] ?? 0, Math.round(took));
          if (took > mostMs) {
            slow += 1;
            stage.fault("slow refill", `${Math.round(took)} ms after ${how}`);
          }
        }
      }
      clients.allow(clients.submitted);
      const left = await clients.finish();
      await stage.stop();
      const atLeast = { I1: count, I2: 1, I5: 1, I6: 1, I7: 1, I8: 1, I9: 1, I10: 1, I18: 1, I19: 1 };
      const text = `${slow} of ${count} murders left the pool short for over ${mostMs} ms`;
      const breaches = slow > 0 ? [{ invariant: "N5", text }] : [];
      const verdict = stage.judge({ leaseMs, atLeast }, () => breaches);
      const measured = {
        ...{ left, refillP99Ms: p99(tookMs), slowRefills: slow },
        ...Object.fromEntries(Object.entries(slowest).map(([how, ms]) => [`${how}MaxMs`, ms])),
        restartP99Ms: p99(stage.startsMs),
      };
      return { happened, planned: count, measured, verdict };
    } finally {
      await stage.dispose();
    }
  },
};

/** A loop is ended by its timeout and the grace after it, and a heap takes a while to fill: the place is free only then. */
const allowanceMs: { readonly [how: string]: number } = { loop: 300 + graceMs, heap: 1_000 };
