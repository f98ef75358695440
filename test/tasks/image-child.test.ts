/** Native work that cannot be stopped runs in a child process, which can, and which is never left behind. */
import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";
import { Worker } from "node:worker_threads";
import sharp from "sharp";
import { ImageFit, ImageFormat } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import { resizeInChild } from "../../src/tasks/image/child-process.ts";
import { bytes, bytesOf, photo, photoAs, resize } from "./run-resize.ts";
import { busy, cpuTicks, gone, nextChild, noise, slowPlan } from "./slow-resize.ts";

const square = (side: number) => ({ width: side, height: side, fit: ImageFit.FILL });
const never = () => new AbortController().signal;
const skip = process.platform === "linux" ? false : "no /proc to look at processes";

describe("a child process", { skip, timeout: 600_000 }, () => {
  test("has ended when a cancelled resize settles, in the midst of encoding, and the reason is the signal's", async () => {
    const stop = new AbortController();
    const child = nextChild();
    const work = resizeInChild(await noise(), slowPlan, { signal: stop.signal, timeoutMs: 60_000 });
    const outcome = assert.rejects(work, /given up/);
    const pid = await child;
    await busy(pid);

    stop.abort(new Error("given up"));
    await outcome;

    assert.equal(cpuTicks(pid), undefined);
  });

  test("has ended when the time is over", async () => {
    const child = nextChild();
    const work = resizeInChild(await noise(), slowPlan, { signal: never(), timeoutMs: 300 });

    await assert.rejects(work, { reason: "resize_timed_out", retryable: true, message: /longer than 60 s/ });

    assert.equal(cpuTicks(await child), undefined);
  });

  test("has ended when the picture is done, and when it is broken", async () => {
    for (const source of [await photo(), Buffer.from("no picture")]) {
      const child = nextChild();
      const plan = { ...slowPlan, width: 10, height: 10 };

      await resizeInChild(source, plan, { signal: never(), timeoutMs: 60_000 }).catch(() => undefined);

      assert.equal(cpuTicks(await child), undefined);
    }
  });

  test("that is killed, as Linux does without memory, fails the attempt, which may be tried again", async () => {
    const child = nextChild();
    const work = resizeInChild(await noise(), slowPlan, { signal: never(), timeoutMs: 60_000 });
    const outcome = assert.rejects(work, { reason: "image_process_lost", retryable: true, message: /: SIGKILL$/ });

    process.kill(await child, "SIGKILL");

    await outcome;
  });

  test("that does not start fails the attempt, and names nothing of the server's folders", async (t) => {
    const { execPath } = process;
    t.after(() => (process.execPath = execPath));
    process.execPath = "/nowhere/node";

    const work = resizeInChild(await photo(), slowPlan, { signal: never(), timeoutMs: 60_000 });

    await assert.rejects(work, { reason: "image_process_lost", message: /did not start: ENOENT$/ });
  });

  test("ends when its server is killed with kill -9 in the midst of encoding", async () => {
    const parent = fork(fileURLToPath(new URL("./slow-parent.ts", import.meta.url)));
    const [pid] = (await once(parent, "message")) as [number];
    await busy(pid);

    parent.kill("SIGKILL");

    await gone(pid);
  });

  test("ends when its worker thread ends in the midst of encoding", async () => {
    const worker = new Worker(new URL("./slow-parent.ts", import.meta.url));
    const [pid] = (await once(worker, "message")) as [number];
    await busy(pid);

    await worker.terminate();

    await gone(pid);
  });

  test("leaves Ctrl-C and SIGTERM to the whole process group to the server, which drains", async () => {
    const child = nextChild();
    const plan = { ...slowPlan, width: 3000, height: 3000 };
    const work = resizeInChild(await noise(), plan, { signal: never(), timeoutMs: 60_000 });
    const pid = await child;
    await busy(pid);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.kill(pid, signal);

    assert.equal((await work).width, 3000);
  });

  for (const [what, source, input] of [
    ["a large target in AVIF", photo, { ...square(2000), format: ImageFormat.AVIF }],
    ["a large target in GIF", photo, { ...square(2000), format: ImageFormat.GIF }],
    ["a large target in WebP", photo, { ...square(4000), format: ImageFormat.WEBP }],
    ["an AVIF", () => photoAs("avif"), { width: 10, format: ImageFormat.JPEG }],
    ["a TIFF", () => photoAs("tiff"), { width: 10 }],
  ] as const) {
    test(`does the work on ${what}, which stops when the attempt is cancelled`, async () => {
      const stop = new AbortController();
      const child = nextChild();
      const work = resize({ source: bytes(await source()), ...input }, {}, { signal: stop.signal });
      const outcome = assert.rejects(work, /given up/);
      const pid = await child;

      stop.abort(new Error("given up"));
      await outcome;

      assert.equal(cpuTicks(pid), undefined);
    });
  }

  test("makes the same picture as a thread", async () => {
    const picture = sharp(await photo());
    const source = bytes(await picture.tiff({ compression: "lzw" }).toBuffer());
    const inThread = bytes(await picture.png().toBuffer());
    const input = { width: 100, format: ImageFormat.WEBP };

    assert.deepEqual(
      bytesOf(await resize({ source, ...input })),
      bytesOf(await resize({ source: inThread, ...input })),
    );
  });
});

test("a target that is slow to encode has fewer pixels than others", async () => {
  const source = bytes(await photo());
  const target = { width: 4000, height: 4001, fit: ImageFit.FILL };

  for (const format of [ImageFormat.AVIF, ImageFormat.GIF]) {
    await assert.rejects(resize({ source, ...target, format }), {
      reason: "image_too_large",
      retryable: false,
      message: /has 16004000 pixels \(4000 × 4001\) and the limit is 16000000: ask for less/,
      details: { pixels: 16_004_000, limit: 16_000_000 },
    });
  }
});
