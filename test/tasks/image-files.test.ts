import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import fs, { existsSync, fstatSync, realpathSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { link, mkdir, mkdtemp, readdir, readFile, realpath, rm, symlink, writeFile } from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import sharp from "sharp";
import { withFolder } from "../../src/tasks/image/below.ts";
import { readBelow, writeBelow } from "../../src/tasks/image/files.ts";
import { bytes, type Input, jobId, path, photo, resize } from "./run-resize.ts";

const notLinux = process.platform === "linux" ? false : "no open folder has a path here";

const writer = { jobId, attempt: 1 };
const targetAt = (root: string, name: string) => ({ root, path: name, overwrite: false, source: undefined });

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

for (const overwrite of [false, true]) {
  test(`an attempt that runs again after its file was written succeeds (overwrite: ${overwrite})`, async (t) => {
    const { root } = await folder(t);
    const input: Input = { source: path("photo.jpg"), width: 60, outputPath: "small.jpg", overwrite };
    await resize(input, { root });
    const first = await readFile(join(root, "small.jpg"));

    await resize(input, { root });
    await resize(input, { root }, { attempt: 2 });

    assert.deepEqual(await readFile(join(root, "small.jpg")), first);
    assert.deepEqual((await readdir(root)).toSorted(), ["photo.jpg", "small.jpg"]);
  });
}

for (const overwrite of [false, true]) {
  test(`the folder is synced once the file has its name, also when an attempt runs again (overwrite: ${overwrite})`, async (t) => {
    const { root } = await folder(t);
    const sync = fs.fsyncSync;
    const synced: string[] = [];
    const syncing = t.mock.method(fs, "fsyncSync", (file: number) => {
      const isNamed = existsSync(join(root, "small.jpg"));
      synced.push(`${fstatSync(file).isDirectory() ? "folder" : "file"} ${isNamed ? "with" : "without"} the name`);
      sync(file);
    });
    t.after(() => {
      syncing.mock.restore();
      syncBuiltinESMExports();
    });
    syncBuiltinESMExports();

    writeBelow({ ...targetAt(root, "small.jpg"), overwrite }, Buffer.from("picture"), writer);
    assert.deepEqual(synced.splice(0), ["file without the name", "folder with the name"]);

    writeBelow({ ...targetAt(root, "small.jpg"), overwrite }, Buffer.from("picture"), writer);
    assert.equal(synced.at(-1), "folder with the name");
  });
}

test("what a killed attempt left behind is removed by the next one", async (t) => {
  const { root } = await folder(t);
  for (const attempt of [1, 2]) await writeFile(join(root, `.${jobId}-${attempt}.partial`), "half a pict");

  await resize({ source: path("photo.jpg"), width: 60, outputPath: "small.jpg" }, { root }, { attempt: 2 });

  assert.deepEqual((await readdir(root)).toSorted(), ["photo.jpg", "small.jpg"]);
});

test("a file with other content is replaced only when overwrite says so", async (t) => {
  const { root } = await folder(t);
  const other = join(root, "other.jpg");
  await writeFile(other, "precious");
  const input: Input = { source: path("photo.jpg"), width: 60, outputPath: "other.jpg" };

  await assert.rejects(resize(input, { root }), { reason: "file_exists", retryable: false, message: /set overwrite/ });
  assert.equal(await readFile(other, "utf8"), "precious");
  assert.deepEqual((await readdir(root)).toSorted(), ["other.jpg", "photo.jpg"]);

  await resize({ ...input, overwrite: true }, { root });
  assert.equal((await sharp(other).metadata()).width, 60);
});

test("a source is never replaced by its own target, neither through a link to its folder nor as a hard link", async (t) => {
  const { root } = await folder(t);
  await symlink(".", join(root, "again"));
  await link(join(root, "photo.jpg"), join(root, "twin.jpg"));
  const refused = { reason: "file_refused", retryable: false, message: /is the source itself/ };
  const input: Input = { source: path("photo.jpg"), width: 60, overwrite: true };

  await assert.rejects(resize({ ...input, outputPath: "again/photo.jpg" }, { root }), refused);
  await assert.rejects(resize({ ...input, outputPath: "twin.jpg" }, { root }), refused);
  assert.deepEqual(await readFile(join(root, "photo.jpg")), await photo());
});

test("a missing file, a missing folder and a file used as a folder fail for good", async (t) => {
  const { root } = await folder(t);
  const missing = { reason: "file_not_found", retryable: false };

  await assert.rejects(resize({ source: path("none.jpg"), width: 60 }, { root }), missing);
  await assert.rejects(resize({ source: path("photo.jpg/none.jpg"), width: 60 }, { root }), missing);
  await assert.rejects(resize({ source: path("photo.jpg"), width: 60, outputPath: "no/a.jpg" }, { root }), missing);
});

test("what is no regular file is neither read nor replaced, and holds no worker", async (t) => {
  const { root } = await folder(t);
  await mkdir(join(root, "folder.jpg"));
  execFileSync("mkfifo", [join(root, "pipe.jpg")]);
  const socket = createServer().listen(join(root, "socket.jpg"));
  t.after(() => socket.close());
  await once(socket, "listening");
  await symlink("photo.jpg", join(root, "link.jpg"));
  const before = (await readdir(root)).toSorted();
  const refused = { reason: "file_refused", retryable: false };

  for (const name of ["folder.jpg", "pipe.jpg", "socket.jpg"]) {
    await assert.rejects(resize({ source: path(name), width: 60 }, { root }), refused, `reads ${name}`);
  }
  for (const name of ["folder.jpg", "pipe.jpg", "socket.jpg", "link.jpg"]) {
    for (const overwrite of [false, true]) {
      const input: Input = { source: bytes(await photo()), width: 60, outputPath: name, overwrite };
      await assert.rejects(resize(input, { root }), refused, `writes ${name}, overwrite: ${overwrite}`);
    }
  }
  assert.deepEqual((await readdir(root)).toSorted(), before);
  assert.deepEqual(await readFile(join(root, "photo.jpg")), await photo());
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

for (const [what, use] of [
  ["written", (root: string) => writeBelow(targetAt(root, "small/deep/a.jpg"), Buffer.from("picture"), writer)],
  ["read", (root: string) => readBelow(root, "small/deep/secret.jpg", 1e6)],
] as const) {
  test(`nothing is ${what} through a folder that becomes a link out of the root after it was looked up`, async (t) => {
    const { outside, root } = await folder(t);
    for (const deep of [join(root, "small/deep"), join(outside, "deep")]) {
      await mkdir(deep, { recursive: true });
      await writeFile(join(deep, "secret.jpg"), "secret");
    }
    const lookUp = realpathSync.native;
    const lookedUp = t.mock.method(realpathSync, "native", (place: string) => {
      const real = lookUp(place);
      if (lookedUp.mock.callCount() === 0) {
        renameSync(join(root, "small"), join(root, "moved"));
        symlinkSync(outside, join(root, "small"));
      }
      return real;
    });

    assert.throws(() => use(root), { reason: "path_outside_root" });

    assert.deepEqual(await readdir(join(outside, "deep")), ["secret.jpg"]);
  });
}

test("what is open stays the same folder, whatever takes its place", { skip: notLinux }, async (t) => {
  const { outside, root } = await folder(t);
  await mkdir(join(root, "small"));

  withFolder(root, "small/a.jpg", (opened, name) => {
    renameSync(join(root, "small"), join(root, "moved"));
    symlinkSync(outside, join(root, "small"));
    writeFileSync(join(opened, name), "picture");
  });

  assert.deepEqual(await readdir(join(root, "moved")), ["a.jpg"]);
  assert.deepEqual((await readdir(outside)).toSorted(), ["root", "secret.jpg"]);
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
