/** N4: the disk fills up and is freed again. Submits are refused, and what was accepted goes on. */
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { hasSetting, isRoot, missing, run } from "../stage/features.ts";
import { openStage } from "../stage/stage.ts";
import { type Fault, sleep } from "./fault.ts";

const sizes = { ci: { fills: 3, jobs: 4_500 }, gate: { fills: 50, jobs: 100_000 } };
const leaseMs = 30_000;
const diskMiB = 600;
/** Left free when it is "full": less than a twentieth of the disk, and room for what settles what runs. */
const leftMiB = 24;
const fullMs = 3_000;
const freeMs = 2_500;
const mebibyte = 2 ** 20;

export const diskFull: Fault = {
  name: "disk",
  row: "N4",
  says: "the disk is full, and then it is not",
  needs: (root) => {
    if (!isRoot()) return "only root may mount a file system";
    const lacking = missing(["mount", "umount"]);
    if (lacking.length > 0) return `${lacking.join(", ")} is not installed`;
    return hasSetting(root, "limits.diskFreeMiB") ? null : "this server has no setting limits.diskFreeMiB";
  },
  async run({ folder, root, seed, isGate, asked }) {
    const size = isGate ? sizes.gate : sizes.ci;
    const [count, jobs] = [asked.kills ?? size.fills, asked.jobs ?? size.jobs];
    const disk = join(folder, "disk");
    mkdirSync(disk);
    run("mount", "-t", "tmpfs", "-o", `size=${diskMiB}m`, "none", disk);
    const stage = await openStage({ folder, root, dataDir: join(disk, "data") });
    try {
      let server = await stage.start();
      const load = { seed: `${seed}/disk`, clients: 2, channels: 1, inFlight: 100, largeBytes: 5_000 };
      const clients = await stage.clients(load);
      let happened = 0;
      let ended = 0;
      for (let index = 0; index < count; index++) {
        clients.allow(Math.ceil((jobs * (index + 0.5)) / count));
        await sleep(500);
        stage.fault("disk", "full");
        const { bavail, bsize } = statfsSync(disk);
        writeFileSync(join(disk, "filler"), Buffer.alloc(Math.max(0, bavail * bsize - leftMiB * mebibyte)));
        clients.allow(Math.ceil((jobs * (index + 1)) / count));
        const how = await Promise.race([server.ended, sleep(fullMs)]);
        stage.fault("disk", "free");
        rmSync(join(disk, "filler"));
        happened += 1;
        if (how !== undefined) {
          ended += 1;
          server = await stage.start();
        }
        await sleep(freeMs);
      }
      clients.allow(jobs);
      const left = await clients.finish();
      await stage.stop();
      let refused = 0;
      const atLeast = { I1: jobs * 0.9, I2: 1, I5: 1, I6: 1, I7: 1, I9: 1, I10: 1, I18: 1, I19: 1 };
      const verdict = stage.judge({ leaseMs, atLeast }, (events) => {
        for (const event of events) if (event.kind === "refused" && event.reason === "disk_full") refused += 1;
        const texts: string[] = [];
        if (ended > 0) texts.push(`the server ended ${ended} times although ${leftMiB} MiB were left`);
        if (refused === 0) texts.push("nothing was ever refused with disk_full");
        return texts.map((text) => ({ invariant: "N4", text }));
      });
      return { happened, planned: count, measured: { left, refused, ended }, verdict };
    } finally {
      await stage.dispose();
      run("umount", disk);
    }
  },
};
