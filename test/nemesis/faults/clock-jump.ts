/** N7: the wall clock of the server jumps by hours and days, to and fro, while its monotonic clock goes on. */
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openStage } from "../stage/stage.ts";
import { type Fault, sleep } from "./fault.ts";

const sizes = { ci: { jumps: 10, jobs: 4_000 }, gate: { jumps: 200, jobs: 200_000 } };
const leaseMs = 30_000;
const hourMs = 3_600_000;
const awakeMs = [150, 800] as const;

export const clockJump: Fault = {
  name: "clock",
  row: "N7",
  says: "the server's wall clock jumps by up to a day",
  needs: () => null,
  async run({ folder, root, seed, random, isGate, asked }) {
    const size = isGate ? sizes.gate : sizes.ci;
    const [count, jobs] = [asked.kills ?? size.jumps, asked.jobs ?? size.jobs];
    const plan = Array.from({ length: count }, (_, index) => ({
      // the last jump is back to the right time
      offsetMs: index === count - 1 ? 0 : random.pick([-24, -1, 1, 24]) * hourMs + random.integer(-60_000, 60_000),
      lasts: random.integer(...awakeMs),
    }));
    const path = join(folder, "offset");
    const set = (offsetMs: number) => {
      writeFileSync(`${path}.new`, String(offsetMs));
      renameSync(`${path}.new`, path);
    };
    set(0);
    const nodeFlags = ["--import", new URL("../stage/moved-clock.mjs", import.meta.url).href];
    const stage = await openStage({ folder, root, nodeFlags, env: { NEMESIS_CLOCK: path } });
    try {
      await stage.start();
      const load = { seed: `${seed}/clock`, clients: 2, channels: 2, inFlight: 100, largeBytes: 0 };
      const clients = await stage.clients(load);
      let seen = 0;
      for (const [index, { offsetMs, lasts }] of plan.entries()) {
        clients.allow(Math.ceil((jobs * (index + 1)) / count));
        stage.fault("clock", `now ${offsetMs} ms off`);
        set(offsetMs);
        await sleep(lasts);
        seen += 1;
      }
      clients.allow(jobs);
      const left = await clients.finish();
      await stage.stop();
      const atLeast = { I1: jobs * 0.9, I2: 1, I5: 1, I6: 1, I7: 1, I8: 1, I9: 1, I10: 1, I18: 1, I19: 1 };
      const except = { I14: "a time that a client names means another moment when the clock jumps" };
      return { happened: seen, planned: count, measured: { left }, verdict: stage.judge({ leaseMs, atLeast, except }) };
    } finally {
      await stage.dispose();
    }
  },
};
