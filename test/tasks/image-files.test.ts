import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import sharp from "sharp";
import { type Input, jobId, path, photo, resize } from "./run-resize.ts";

/** A folder with `root/photo.jpg` and, beside the root, `secret.jpg`. */
async function folder(t: TestContext): Promise<{ outside: string; root: string }> {
  const outside = await mkdtemp(join(await realpath(tmpdir()), "millpond-files-"));
  t.after(() => rm(outside, { recursive: true }));
  const root = join(outside, "root");
  await mkdir(root);
  await writeFile(join(root, "photo.jpg"), await photo());
  await writeFile(join(outside, "secret.jpg"), await photo());
  return { outside, root };
}

test("a file below the root is read and another is written, and the output says where", async (t) => {
  const { root } = await folder(t);
  await mkdir(join(root, "small"));

  const output = await resize({ source: path("photo.jpg"), width: 60, outputPath: "small/photo.jpg" }, { root });

  assert.deepEqual(output.target, { case: "path", value: "small/photo.jpg" });
  const written = await readFile(join(root, "small", "photo.jpg"));
  assert.equal((await sharp(written).metadata()).width, 60);
  assert.equal(output.sizeBytes, written.byteLength);
  assert.deepEqual(await readdir(join(root, "small")), ["photo.jpg"]);
});

test("the job may be repeated: the file is the same, also when a killed attempt left its own behind", async (t) => {
  const { root } = await folder(t);
  const input: Input = { source: path("photo.jpg"), width: 60, outputPath: "small.jpg" };
  await resize(input, { root });
  const first = await readFile(join(root, "small.jpg"));
  await writeFile(join(root, `.${jobId}-1.partial`), "half a pict");

  await resize(input, { root });

  assert.deepEqual(await readFile(join(root, "small.jpg")), first);
  assert.deepEqual((await readdir(root)).toSorted(), ["photo.jpg", "small.jpg"]);
});

test("a missing file, a missing folder and a file used as a folder fail for good", async (t) => {
  const { root } = await folder(t);
  const missing = { reason: "file_not_found", retryable: false };

  await assert.rejects(resize({ source: path("none.jpg"), width: 60 }, { root }), missing);
  await assert.rejects(resize({ source: path("photo.jpg/none.jpg"), width: 60 }, { root }), missing);
  await assert.rejects(resize({ source: path("photo.jpg"), width: 60, outputPath: "no/a.jpg" }, { root }), missing);
});

test("what is no regular file fails for good instead of holding the worker", async (t) => {
  const { root } = await folder(t);
  await mkdir(join(root, "small"));
  execFileSync("mkfifo", [join(root, "pipe")]);
  const refused = { reason: "file_refused", retryable: false };

  await assert.rejects(resize({ source: path("small"), width: 60 }, { root }), refused);
  await assert.rejects(resize({ source: path("pipe"), width: 60 }, { root }), refused);
  await assert.rejects(resize({ source: path("photo.jpg"), width: 60, outputPath: "small" }, { root }), refused);
  assert.deepEqual((await readdir(root)).toSorted(), ["photo.jpg", "pipe", "small"]);
});

test("no way leads out of the root: neither .. nor a link to a file, nor a folder behind a link", async (t) => {
  const { outside, root } = await folder(t);
  await symlink(join(outside, "secret.jpg"), join(root, "link.jpg"));
  await symlink(outside, join(root, "door"));
  const refused = { reason: "path_outside_root", retryable: false };

  await assert.rejects(resize({ source: path("../secret.jpg"), width: 60 }, { root }), refused);
  await assert.rejects(resize({ source: path("link.jpg"), width: 60 }, { root }), refused);
  await assert.rejects(resize({ source: path("door/secret.jpg"), width: 60 }, { root }), refused);
  await assert.rejects(resize({ source: path("photo.jpg"), width: 60, outputPath: "../new.jpg" }, { root }), refused);
  await assert.rejects(resize({ source: path("photo.jpg"), width: 60, outputPath: "door/new.jpg" }, { root }), refused);
  assert.deepEqual((await readdir(outside)).toSorted(), ["root", "secret.jpg"]);
});

test("a link where the target belongs is replaced, and what it points to stays as it was", async (t) => {
  const { outside, root } = await folder(t);
  await symlink(join(outside, "secret.jpg"), join(root, "link.jpg"));

  await resize({ source: path("photo.jpg"), width: 60, outputPath: "link.jpg" }, { root });

  assert.deepEqual(await readFile(join(outside, "secret.jpg")), await photo());
  assert.equal((await sharp(join(root, "link.jpg")).metadata()).width, 60);
});

test("a link that stays below the root is followed", async (t) => {
  const { root } = await folder(t);
  await symlink("photo.jpg", join(root, "alias.jpg"));

  assert.equal((await resize({ source: path("alias.jpg"), width: 60 }, { root })).width, 60);
});

test("failures name the path as the client gave it, and nothing of the server's folders", async (t) => {
  const { root } = await folder(t);

  await assert.rejects(resize({ source: path("none.jpg"), width: 60 }, { root }), (error: Error) => {
    assert.match(error.message, /"none\.jpg"/);
    assert.ok(!error.message.includes(root));
    return true;
  });
});

test("a job from before the root was taken out of the settings fails for good", async () => {
  await assert.rejects(resize({ source: path("photo.jpg"), width: 60 }), { reason: "no_root", retryable: false });
});
