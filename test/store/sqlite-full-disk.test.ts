import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

/** Runs a script in a mount namespace of its own, with a small file system at $1; nothing of it is left behind. */
const onSmallDisk = (script: string, ...args: string[]) =>
  spawnSync(
    "unshare",
    ["-rm", "sh", "-c", `mount -t tmpfs -o size=1m none "$1" || exit 99; ${script}`, "sh", ...args],
    { encoding: "utf8" },
  );

const canMount = onSmallDisk("exit 0", tmpdir()).status === 0;
const opener = fileURLToPath(new URL("./try-store.ts", import.meta.url));
const open = `"$2" "$3" "$1/jobs.db"`;
const fill = `dd if=/dev/zero of="$1/fill" bs=4096 2>/dev/null`;

for (const [what, script] of [
  ["a new store", `${fill}; ${open}`],
  ["a store that was closed", `${open}; ${fill}; ${open}`],
  ["a store with a log", `${open}; printf x >"$1/jobs.db-wal"; ${fill}; ${open}`],
] as const) {
  test(`${what} on a disk that is full is refused with the remedy`, { skip: !canMount && "no mounts" }, async (t) => {
    const folder = await mkdtemp(join(tmpdir(), "millpond-full-"));
    t.after(() => rm(folder, { recursive: true }));
    const { stdout, stderr } = onSmallDisk(script, folder, process.execPath, opener);
    const said = `StartError: cannot open the store ${folder}/jobs.db: its disk is full: make room, and start again\n`;
    assert.equal(stdout, said, stderr);
  });
}
