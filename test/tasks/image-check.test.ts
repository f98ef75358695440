import assert from "node:assert/strict";
import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { type TestContext, test } from "node:test";
import { ImageFormat } from "../../src/gen/millpond/tasks/v1/image_pb.ts";
import { checkInput } from "../../src/tasks/image/check.ts";
import { readSettings } from "../../src/tasks/image/settings.ts";
import { bytes, type Input, inputOf, path } from "./run-resize.ts";

const source = bytes(Uint8Array.of(1));
const withRoot = readSettings({ root: tmpdir() });

function fieldsOf(input: Input, settings = withRoot): string[] {
  return checkInput(inputOf(input), settings).map(({ field }) => field);
}

test("a complete input has no violations", () => {
  assert.deepEqual(fieldsOf({ source, width: 100 }), []);
  assert.deepEqual(
    fieldsOf({ source: path("in/a..b.jpg"), height: 16_383, quality: 100, outputPath: "out/b.jpg" }),
    [],
  );
});

test("every violation is reported at once, each with its field", () => {
  const unknown = 9 as never;
  assert.deepEqual(fieldsOf({}), ["source", "width"]);
  assert.deepEqual(
    fieldsOf({ source, height: 16_384, quality: 101, fit: unknown, format: unknown, outputPath: "/a.jpg" }),
    ["height", "fit", "quality", "format", "outputPath"],
  );
  assert.deepEqual(fieldsOf({ source: bytes(new Uint8Array()), width: 1 }), ["bytes"]);
});

test("a target that is too wide is no violation: it is a failure of the job", () => {
  assert.deepEqual(fieldsOf({ source, width: 9000 }), []);
});

for (const bad of [
  "",
  "/etc/passwd",
  "../a.jpg",
  "a/../../b.jpg",
  "a/./b.jpg",
  "a//b.jpg",
  "a/",
  ".",
  "a\\..\\b",
  "a\0b",
  "a".repeat(1025),
  `${"é".repeat(126)}.jpg`,
]) {
  test(`path and outputPath refuse ${JSON.stringify(bad.slice(0, 20))}`, () => {
    assert.deepEqual(fieldsOf({ source: path(bad), width: 1 }), ["path"]);
    if (bad !== "") assert.deepEqual(fieldsOf({ source, width: 1, outputPath: bad }), ["outputPath"]);
  });
}

test("without a root, files are refused at submit", () => {
  const input: Input = { source: path("a.jpg"), width: 1, outputPath: "b.jpg" };

  assert.deepEqual(fieldsOf(input, readSettings({})), ["path", "outputPath"]);
});

test("a target in place of its source is refused, for a second attempt would resize it again", () => {
  assert.deepEqual(fieldsOf({ source: path("a.jpg"), width: 1, outputPath: "a.jpg" }), ["outputPath"]);
});

for (const name of [".env", "x", ".png", "a.d/x", "x.tiff", "x.svg", "x.png.bak", "x.png.", "x.png ", "x.jpg/x"]) {
  test(`outputPath ${JSON.stringify(name)} has no suffix of a format that is written`, () => {
    const [violation, ...others] = checkInput(inputOf({ source, width: 1, outputPath: name }), withRoot);

    assert.equal(violation?.field, "outputPath");
    assert.match(violation.description, /must end in one of \.jpg, \.jpeg, \.png, \.webp, \.avif, \.gif/);
    assert.deepEqual(others, []);
  });
}

test("outputPath and format must agree, in letters of any case", () => {
  for (const [outputPath, format] of [
    ["x.PNG", ImageFormat.PNG],
    ["x.jpeg", ImageFormat.JPEG],
    ["x.Jpg", ImageFormat.JPEG],
    ["x.gif", ImageFormat.GIF],
    ["x.avif", ImageFormat.UNSPECIFIED],
  ] as const) {
    assert.deepEqual(fieldsOf({ source, width: 1, outputPath, format }), [], outputPath);
  }
  const contradiction = inputOf({ source, width: 1, outputPath: "x.png", format: ImageFormat.JPEG });
  assert.deepEqual(checkInput(contradiction, withRoot), [
    {
      field: "outputPath",
      description: "ends in .png, but format is JPEG: leave format out, or change one of them",
    },
  ]);
});

test("settings have defaults", () => {
  assert.deepEqual(readSettings({}), { root: undefined, maxWidth: 4000, maxPixels: 50_000_000 });
});

test("the root may be relative and may be a link; what is kept is the real folder", (t) => {
  const folder = temporary(t);
  symlinkSync(folder, join(folder, "link"));

  assert.equal(readSettings({ root: relative(process.cwd(), folder) }).root, folder);
  assert.equal(readSettings({ root: join(folder, "link") }).root, folder);
});

test("every mistake in the settings is in one error", (t) => {
  const file = join(temporary(t), "file");
  writeFileSync(file, "");

  assert.throws(
    () => readSettings({ root: file, maxWidth: 16_384, maxPixels: 0.5, maxHeight: 1 }),
    (error: Error) => {
      for (const part of [
        "root is",
        "it is not a folder",
        "maxWidth is 16384",
        "maxPixels is 0.5",
        '"maxHeight" is not',
      ]) {
        assert.ok(error.message.includes(part), part);
      }
      return true;
    },
  );
  assert.throws(() => readSettings({ root: `${file}-not-there` }), /root is .* ENOENT/);
  assert.throws(() => readSettings({ root: 7 }), /root is 7/);
});

function temporary(t: TestContext): string {
  const folder = mkdtempSync(join(realpathSync(tmpdir()), "millpond-settings-"));
  t.after(() => rmSync(folder, { recursive: true }));
  return folder;
}
