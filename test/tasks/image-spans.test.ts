import assert from "node:assert/strict";
import { mkdtemp, realpath, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { suite, test } from "node:test";
import sharp from "sharp";
import { ImageFormat } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import { createSpanLogs, spanLogOf } from "../../src/pool/span-log.ts";
import { createSpans } from "../../src/pool/spans.ts";
import { readSettings } from "../../src/tasks/image/settings.ts";
import imageResize from "../../src/tasks/image-resize.ts";
import { bytes, fakeContext, type Input, inputOf, path, photo, photoAs } from "./run-resize.ts";

/** Name, name of the span above, and error of each span of one attempt. */
async function spansOf(
  input: Input,
  given: { readonly [key: string]: unknown } = {},
  { flags = "01", isExported = true } = {},
) {
  const spans = createSpans(spanLogOf(createSpanLogs(), 0), 0);
  const span = spans.around;
  const ctx = {
    ...fakeContext(readSettings(given)),
    span,
    get trace() {
      const id = isExported ? String(spans.innermost() + 2).padStart(16, "0") : "f".repeat(16);
      return { traceparent: `00-${"1".repeat(32)}-${id}-${flags}` };
    },
  };
  await Promise.resolve(imageResize.run(inputOf(input), ctx)).catch(() => undefined);
  const { records } = spans.end();
  const shown = records.map(({ name, parent, error }) => {
    const line = [name, records[parent]?.name ?? "attempt"];
    return error === undefined ? line : [...line, error];
  });
  return { shown, records };
}

const steps = [
  ["inspect", "attempt"],
  ["resize", "attempt"],
  ["decode", "resize"],
  ["encode", "resize"],
];
/** Those of a picture that goes through all of it at once. */
const atOnce = [
  ["inspect", "attempt"],
  ["resize", "attempt"],
];

suite("the spans of image.resize", () => {
  test("are its steps, with what it reads and writes", async (t) => {
    const root = await mkdtemp(join(await realpath(tmpdir()), "millpond-spans-"));
    t.after(() => rm(root, { recursive: true }));
    await writeFile(join(root, "a.jpg"), await photo());
    const { shown, records } = await spansOf({ source: path("a.jpg"), width: 60, outputPath: "b.webp" }, { root });
    assert.deepEqual(shown, [["read", "attempt"], ...steps, ["write", "attempt"]]);
    const [, , resize, decode, encode, write] = records;
    assert.ok(decode!.startedAt >= resize!.startedAt && decode!.endedAt <= encode!.startedAt);
    assert.ok(encode!.endedAt <= resize!.endedAt && resize!.endedAt <= write!.startedAt);
  });

  test("are the same when a process of its own does the work, and the times are those in there", async () => {
    const source = bytes(await photoAs("avif"));
    const { shown, records } = await spansOf({ source, width: 300, format: ImageFormat.PNG });
    assert.deepEqual(shown, steps);
    const encode = records[3]!;
    assert.ok(encode.endedAt > encode.startedAt);
  });

  test("show where a broken picture failed", async () => {
    const whole = await photo();
    const broken = whole.subarray(0, whole.length / 2);
    const { shown } = await spansOf({ source: bytes(broken), width: 60 });
    assert.deepEqual(
      shown.map(([name, , error]) => [name, error !== undefined]),
      [
        ["inspect", false],
        ["resize", true],
        ["decode", true],
      ],
    );
  });

  test("of an animation are one, because all its steps go on at the same time", async () => {
    const frame = (value: number) =>
      sharp(Buffer.alloc(60 * 40 * 3, value), { raw: { width: 60, height: 40, channels: 3 } });
    const frames = await Promise.all([frame(10).png().toBuffer(), frame(200).png().toBuffer()]);
    const source = bytes(
      await sharp(frames, { join: { animated: true } })
        .gif()
        .toBuffer(),
    );
    assert.deepEqual((await spansOf({ source, width: 30 })).shown, atOnce);
  });

  for (const [what, trace] of [
    ["is not sampled", { flags: "00" }],
    ["this server does not export", { isExported: false }],
  ] as const) {
    for (const format of ["jpeg", "avif"] as const) {
      test(`of a trace that ${what} cost a picture nothing, ${format}: no step waits for another`, async () => {
        const source = bytes(format === "jpeg" ? await photo() : await photoAs(format));
        assert.deepEqual((await spansOf({ source, width: 60 }, {}, trace)).shown, atOnce);
      });
    }
  }
});
