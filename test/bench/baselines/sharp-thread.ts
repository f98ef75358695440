/** A thread that resizes pictures in a loop. */
import { once } from "node:events";
import { renameSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { type MessagePort, parentPort, threadId, workerData } from "node:worker_threads";
import sharp from "sharp";
import { targets, targetWidths } from "../pictures.ts";
import type { Done, Go, ThreadData } from "./sharp.ts";

sharp.concurrency(1);
sharp.cache(false);

const { pictures, folder, way } = workerData as ThreadData;

/** Files are written as safely as the task does it, or the loop would do less: synced, under another name at first. */
async function round(): Promise<void> {
  for (const { name, bytes } of pictures) {
    const source = way === "files" ? join(folder, name) : bytes;
    const target = await sharp(source, { failOn: "error" })
      .autoOrient()
      .resize({ width: targetWidths[way], withoutEnlargement: true })
      .jpeg({ quality: 80 })
      .toBuffer();
    if (way === "bytes") continue;
    const file = join(folder, targets, `bare-${threadId}-${basename(name)}`);
    writeFileSync(`${file}.partial`, target, { flush: true });
    renameSync(`${file}.partial`, file);
  }
}

await round(); // warm
const port = parentPort as MessagePort;
port.postMessage("ready");
const [{ seconds }] = (await once(port, "message")) as [Go];
const startedAt = performance.now();
let images = 0;
for (; performance.now() - startedAt < seconds * 1000; images += pictures.length) await round();
port.postMessage({ images, tookMs: performance.now() - startedAt } satisfies Done);
