import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { ImageFit, ImageFormat, ImageResizeInputSchema } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import type { Payload } from "../../src/job/job.ts";
import { job, shown, tryPool } from "../pool/try-pool.ts";
import { loadHere } from "../support/samples.ts";
import { bytes, type Input, photo } from "./run-resize.ts";
import { children, noise } from "./slow-resize.ts";

const skip = process.platform === "linux" ? false : "no /proc to look at processes";

/** Those of a server by default, more or less. */
const outputBounds = { maxBytes: 4_000_000, maxValues: 10_000 };

test("four encodes that time out leave nothing behind, and the pool serves others", {
  skip,
}, async (t) => {
  const tasks = [...(await loadHere(new URL("../../src/tasks/", import.meta.url))).tasks.values()];
  const { pool, times } = tryPool(t, { tasks, work: "cpu", maxWorkers: 2, outputBounds });
  const slow: Input = {
    source: bytes(await noise()),
    ...{ width: 4000, height: 4000, fit: ImageFit.FILL, format: ImageFormat.AVIF, quality: 100 },
  };
  const slowJob = () => job("image.resize", payload(slow), { timeoutMs: 1000 });

  for (let round = 0; round < 2; round += 1) {
    const ended = await Promise.all([pool.run([slowJob()]), pool.run([slowJob()])]);
    assert.deepEqual(ended.flat().map(shown), ["timed_out 1000", "timed_out 1000"]);
    assert.deepEqual(children(), []);
  }
  const [quick] = await pool.run([job("image.resize", payload({ source: bytes(await photo()), width: 60 }))]);

  assert.equal(quick?.outcome.kind, "succeeded");
  assert.equal(times("a job did not stop when it was asked to: its worker is terminated"), 0);
});

function payload(input: Input): Payload {
  const { typeName } = ImageResizeInputSchema;
  return {
    kind: "message",
    type: typeName,
    bytes: toBinary(ImageResizeInputSchema, create(ImageResizeInputSchema, input)),
  };
}
