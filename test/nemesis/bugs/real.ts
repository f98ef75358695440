/**
 * The bugs that only a real disk, a real process or real threads can show, each planted in a copy of the code and put
 * before the nemesis, which has to find it.
 *
 *     node .ci/set-up.mjs test/nemesis/bugs/real.ts [NAME]
 *
 * Exits with 1 when one was not caught. What this machine cannot do is skipped by name, with the reason.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { plantCopy, type Replacement } from "./planted-copy.ts";

type RealBug = {
  readonly name: string;
  readonly replacements: readonly Replacement[];
  /** The fault that shows it, with sizes that are enough for it. */
  readonly fault: string;
  readonly kills: number;
  readonly jobs: number;
};

export const realBugs: readonly RealBug[] = [
  {
    name: "NORMAL",
    replacements: [{ file: "store/sqlite/thread/connection.ts", text: '["synchronous", 2]', by: '["synchronous", 1]' }],
    ...{ fault: "power", kills: 3, jobs: 6_000 },
  },
  {
    name: "swallow an I/O error",
    replacements: [
      {
        file: "store/sqlite/thread/executor.ts",
        text: '      if (db.isTransaction) db.exec("ROLLBACK");\n      throw error;',
        by: '      if (db.isTransaction) db.exec("ROLLBACK");\n      void error;\n      return work();',
      },
    ],
    ...{ fault: "io", kills: 8, jobs: 2_400 },
  },
  {
    name: "pool not refilled",
    replacements: [
      {
        file: "pool/pool.ts",
        text: "slots.giveBack(slot);",
        by: 'if (!ended.some(({ outcome: { kind } }) => kind === "failed")) slots.giveBack(slot);',
      },
    ],
    ...{ fault: "murder", kills: 3, jobs: 180 },
  },
];

type Summary = {
  readonly violationCount: number;
  readonly violations: readonly { readonly invariant: string; readonly text: string }[];
  readonly faults: readonly { readonly skipped?: string }[];
};

const nemesis = fileURLToPath(new URL("../nemesis.ts", import.meta.url));
const timeoutMs = 300_000;

/** Null: the machine cannot do it. */
function judge({ fault, kills, jobs }: RealBug, folder: string | undefined): Summary | null {
  const sizes = ["--kills", String(kills), "--jobs", String(jobs)];
  const server = folder === undefined ? [] : ["--server", folder];
  const args = [nemesis, "--seed", "1", "--faults", fault, ...sizes, ...server, "--json"];
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", timeout: timeoutMs });
  process.stderr.write(stderr);
  const summary = JSON.parse(stdout) as Summary;
  return summary.faults.every(({ skipped }) => skipped !== undefined) ? null : summary;
}

async function isCaught(bug: RealBug): Promise<boolean> {
  const { name, replacements } = bug;
  const copy = await plantCopy(replacements);
  try {
    const clean = judge(bug, undefined);
    if (!clean) {
      process.stdout.write(`${name}: skipped, this machine cannot do it\n`);
      return true;
    }
    const planted = judge(bug, copy.folder);
    const wasClean = clean.violationCount === 0;
    const count = planted?.violationCount ?? 0;
    const [first] = planted?.violations ?? [];
    const how = count > 0 ? `caught, ${count} violations: ${first?.invariant} ${first?.text}` : "NOT CAUGHT";
    process.stdout.write(`${name}: ${wasClean ? "" : "NOT CLEAN without it; "}${how}\n`);
    return wasClean && count > 0;
  } finally {
    await copy.remove();
  }
}

const [only] = process.argv.slice(2);
let missed = 0;
for (const bug of realBugs) if (only === undefined || only === bug.name) missed += (await isCaught(bug)) ? 0 : 1;
process.exitCode = missed > 0 ? 1 : 0;
