import assert from "node:assert/strict";
import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { type Config, parseConfig } from "../../src/config.ts";
import { prepareStore } from "../../src/server/data-folder.ts";

const at = (dataDir: string): Config => ({
  ...parseConfig({ file: null, env: {}, flags: {}, cores: 2 }),
  dataDir,
});

test("the data folder is made with those above it, for its owner only, and again is no mistake", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "millpond-folder-"));
  t.after(() => rm(folder, { recursive: true }));
  const dataDir = join(folder, "a", "b");
  for (let times = 0; times < 2; times += 1) {
    assert.equal(await prepareStore(at(dataDir)), join(dataDir, "millpond.sqlite"));
  }
  assert.equal((await stat(dataDir)).mode & 0o777, 0o700);
});

test("a data folder that cannot be made is refused, also where nothing can be made at all", async (t) => {
  const folder = await mkdtemp(join(tmpdir(), "millpond-folder-"));
  t.after(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "file"), "");
  const occupied = /^StartError: the data folder .*file exists and is not a folder: choose another with --data-dir$/;
  await assert.rejects(prepareStore(at(join(folder, "file"))), occupied);
  for (const dataDir of [join(folder, "file", "below"), "/proc/millpond", "/proc/millpond/data"]) {
    if (process.platform !== "linux" && dataDir.startsWith("/proc")) continue;
    await assert.rejects(prepareStore(at(dataDir)), /^StartError: the data folder .* cannot be created: .*--data-dir/);
  }
});
