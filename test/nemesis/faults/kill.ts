/** N1: kill -9 at random moments of a mixed load. */
import { type Fault, p99, sleep } from "./fault.ts";
import { openStage } from "../stage/stage.ts";

const leaseMs = 30_000;
const sizes = {
  ci: { kills: 12, jobs: 12_000, pauseMs: [200, 2_000] },
  gate: { kills: 200, jobs: 1_000_000, pauseMs: [500, 5_000] },
};

export const kill: Fault = {
  name: "kill",
  row: "N1",
  says: "kill -9 of the server under a mixed load",
  needs: () => null,
  async run({ folder, root, seed, random, isGate, asked }) {
    const size = isGate ? sizes.gate : sizes.ci;
    const [kills, jobs] = [asked.kills ?? size.kills, asked.jobs ?? size.jobs];
    const [shortest, longest] = size.pauseMs as [number, number];
    const pauses = Array.from({ length: kills }, () => random.integer(shortest, longest));
    const stage = await openStage({ folder, root });
    let fruitless = 0;
    try {
      await stage.start();
      const clients = await stage.clients({
        ...{ seed: `${seed}/kill`, clients: 4, channels: 2, inFlight: 250, largeBytes: 20_000 },
      });
      for (const [index, pauseMs] of pauses.entries()) {
        // each life gets its share of the jobs, so that there is work at every kill
        clients.allow(Math.ceil((jobs * (index + 1)) / (kills + 1)));
        const before = clients.done;
        await sleep(pauseMs);
        if (clients.done === before) fruitless += 1;
        await stage.kill();
        await stage.start();
      }
      clients.allow(jobs);
      const left = await clients.finish();
      await stage.stop();
      const atLeast = { I1: jobs * 0.9, I2: 1, I5: 1, I6: 1, I7: 1, I8: 1, I9: jobs / 2, I10: 1, I18: 1, I19: 1 };
      const verdict = stage.judge({ leaseMs, atLeast });
      const measured = {
        ...{ left, livesWithoutResults: fruitless, restartP99Ms: p99(stage.startsMs.slice(1)) },
        restartMaxMs: Math.round(Math.max(...stage.startsMs.slice(1))),
      };
      return { happened: kills, planned: kills, measured, verdict };
    } finally {
      await stage.dispose();
    }
  },
};
