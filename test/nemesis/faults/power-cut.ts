/**
 * N2: the power fails. The store lies on a file system of its own that is shut down without writing anything more
 * (EXT4_IOC_SHUTDOWN): what was not synced is gone, as after a power cut. What clients were told lies elsewhere.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { isRoot, missing, run } from "../stage/features.ts";
import { openStage } from "../stage/stage.ts";
import { type Fault, p99, sleep } from "./fault.ts";

const sizes = { ci: { cuts: 5, jobs: 5_000 }, gate: { cuts: 200, jobs: 400_000 } };
const leaseMs = 30_000;
const livesMs = [300, 1_500] as const;
/** ioctl(EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH); Node.js has no ioctl. */
const shutdown = 'open(F, "<", $ARGV[0]) or die $!; $f = pack("L", 2); ioctl(F, 0x8004587D, $f) or die $!';

export const powerCut: Fault = {
  name: "power",
  row: "N2",
  says: "power cuts: what was not synced is gone",
  needs: () => {
    if (!isRoot()) return "only root may mount a file system";
    const lacking = missing(["mkfs.ext4", "losetup", "mount", "umount", "truncate", "perl"]);
    if (lacking.length > 0) return `${lacking.join(", ")} is not installed`;
    try {
      run("losetup", "--find");
      return null;
    } catch (error) {
      return `there is no loop device: ${(error as Error).message}`;
    }
  },
  async run({ folder, root, seed, random, isGate, asked }) {
    const size = isGate ? sizes.gate : sizes.ci;
    const [count, jobs] = [asked.kills ?? size.cuts, asked.jobs ?? size.jobs];
    const plan = Array.from({ length: count }, () => random.integer(...livesMs));
    const image = join(folder, "disk.img");
    const mounted = join(folder, "disk");
    mkdirSync(mounted);
    run("truncate", "-s", isGate ? "4G" : "512M", image);
    run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", image);
    const mount = () => run("mount", "-o", "loop", image, mounted);
    mount();
    const stage = await openStage({ folder, root, dataDir: join(mounted, "data") });
    try {
      await stage.start();
      const load = { seed: `${seed}/power`, clients: 4, channels: 1, inFlight: 150, largeBytes: 20_000 };
      const clients = await stage.clients(load);
      let happened = 0;
      for (const [index, lives] of plan.entries()) {
        clients.allow(Math.ceil((jobs * (index + 1)) / (count + 1)));
        await sleep(lives);
        run("perl", "-e", shutdown, mounted);
        await stage.kill();
        run("umount", mounted);
        mount();
        happened += 1;
        await stage.start();
      }
      clients.allow(jobs);
      const left = await clients.finish();
      await stage.stop();
      const atLeast = { I1: jobs * 0.9, I2: 1, I5: 1, I6: 1, I7: 1, I9: 1, I10: 1, I18: 1, I19: 1 };
      const verdict = stage.judge({ leaseMs, atLeast });
      return { happened, planned: count, measured: { left, restartP99Ms: p99(stage.startsMs.slice(1)) }, verdict };
    } finally {
      await stage.dispose();
      run("umount", mounted);
    }
  },
};
