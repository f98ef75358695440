/** N8: what networks do to connections, by a proxy of our own. */
import type { Trouble } from "../stage/proxy.ts";
import { openStage } from "../stage/stage.ts";
import { type Fault, sleep } from "./fault.ts";

const sizes = {
  ci: { troubles: 100, clients: 8, jobs: 8_000 },
  gate: { troubles: 5_000, clients: 200, jobs: 400_000 },
};
const leaseMs = 30_000;
const lastsMs = [20, 250] as const;
const calmMs = [10, 150] as const;

export const network: Fault = {
  name: "network",
  row: "N8",
  says: "delayed, trickled, half-open, reset and cut connections",
  needs: () => null,
  async run({ folder, root, seed, random, isGate, asked }) {
    const size = isGate ? sizes.gate : sizes.ci;
    const [count, jobs] = [asked.kills ?? size.troubles, asked.jobs ?? size.jobs];
    const plan = Array.from({ length: count }, () => ({
      trouble: random.pick<() => Trouble>([
        () => ({ kind: "delay", ms: random.integer(1, 60) }),
        () => ({ kind: "trickle", bytes: random.integer(1, 40) }),
        () => ({ kind: "half-open" }),
        () => ({ kind: "reset" }),
        () => ({ kind: "cut" }),
      ])(),
      lasts: random.integer(...lastsMs),
      calm: random.integer(...calmMs),
    }));
    const stage = await openStage({ folder, root });
    const happened: { [kind: string]: number } = { delay: 0, trickle: 0, "half-open": 0, reset: 0, cut: 0 };
    try {
      await stage.start();
      const load = { seed: `${seed}/network`, clients: size.clients, channels: 1, inFlight: 50, largeBytes: 50_000 };
      const clients = await stage.clients(load);
      const chance = random.fork("which connections");
      for (const [index, { trouble, lasts, calm }] of plan.entries()) {
        clients.allow(Math.ceil((jobs * (index + 1)) / count));
        if (stage.proxy.trouble(trouble, chance) > 0) happened[trouble.kind]! += 1;
        await sleep(lasts);
        stage.proxy.calm();
        await sleep(calm);
      }
      clients.allow(jobs);
      const left = await clients.finish();
      await stage.stop();
      const atLeast = { I1: jobs * 0.9, I2: 1, I5: 1, I6: 1, I7: 1, I9: 1, I10: 1, I18: 1, I19: 1 };
      const verdict = stage.judge({ leaseMs, atLeast });
      const total = Object.values(happened).reduce((sum, each) => sum + each, 0);
      // while every connection is being made again there is none to hurt
      return { happened: total, planned: Math.ceil(count * 0.5), measured: { left, ...happened }, verdict };
    } finally {
      await stage.dispose();
    }
  },
};
