/**
 * The twelve seeded bugs: mistakes that job queues have made, each planted where the simulation can see it, and nowhere
 * but in the tests. Who catches none of them has proved nothing by a clean run.
 */
import type { Under } from "../simulation/simulate.ts";
import { codeIn, plantCopy, type Replacement } from "./planted-copy.ts";
import {
  ackedBeforeSaved,
  answeredBeforeCommitted,
  byWallClock,
  failureSwallowed,
  neverRefilled,
  seldomSynced,
  uncountedWhenLost,
} from "./wrappers.ts";
import type { Bug } from "../simulation/bug.ts";

export type Planted = { readonly under: Under; remove(): Promise<void> };

export type SeededBug = {
  readonly name: string;
  readonly says: string;
  /** One of these has to be what breaks. */
  readonly breaks: readonly string[];
  /** What shows in many runs together only needs so many of them. */
  readonly seeds?: number;
  /** A seed that shows it, tried before all others: only the search takes long. It may become out of date, and is found again. */
  readonly shownBy?: number;
  plant(): Promise<Planted>;
};

const wrapped = (bug: Bug) => async (): Promise<Planted> => ({ under: { bug }, remove: async () => {} });

const patched = (replacement: Replacement) => async (): Promise<Planted> => {
  const copy = await plantCopy([replacement]);
  return { under: { code: await codeIn(copy) }, remove: copy.remove };
};

export const bugs: readonly SeededBug[] = [
  {
    name: "drop the fence",
    says: "a settlement applies whoever holds the job now",
    ...{ breaks: ["I6"], shownBy: 278 },
    plant: patched({
      file: "job/transition.ts",
      text: 'if (job?.fence !== fence) return "stale";',
      by: 'if (!job) return "stale";',
    }),
  },
  {
    name: "acknowledge before commit",
    says: "a submit is answered before it is on the disk",
    breaks: ["I1"],
    plant: wrapped({ store: answeredBeforeCommitted }),
  },
  {
    name: "NORMAL",
    says: "commits are answered before they are synced, as with synchronous=NORMAL",
    breaks: ["I1", "I6", "I9", "I10"],
    plant: wrapped({ isSynced: seldomSynced }),
  },
  {
    name: "rescue by id only",
    says: "a lost attempt is settled by the job's id, whatever has become of the job since",
    breaks: ["I6", "I13"],
    shownBy: 787,
    seeds: 5_000, // a server seldom takes for lost what another has settled meanwhile
    plant: patched({
      file: "store/memory.ts",
      text: 'const verdict = judge(job?.state === "RUNNING" ? job : undefined, settlement);',
      by: 'const verdict = outcome === "lost" ? "written" : judge(job?.state === "RUNNING" ? job : undefined, settlement);',
    }),
  },
  {
    name: "lease by wall clock",
    says: "a running server follows the machine's wall clock when it jumps",
    breaks: ["I8", "I14"],
    plant: wrapped({ clock: byWallClock }),
  },
  {
    name: "limiter refilled on restart",
    says: "each start gives every client its whole burst again",
    ...{ breaks: ["I11"], shownBy: 215 },
    plant: patched({
      file: "engine/admit/rate-limit.ts",
      text: "const unseen = startedAt + burst * intervalMs;",
      by: "const unseen = startedAt;",
    }),
  },
  {
    name: "no drain wait",
    says: "a stop does not wait for what runs",
    breaks: ["I18"],
    plant: patched({ file: "engine/dispatch/dispatcher.ts", text: "await drained.promise;", by: "" }),
  },
  {
    name: "cursor saved after reply",
    says: "an acknowledgement is answered before it is on the disk",
    breaks: ["I9"],
    plant: wrapped({ store: ackedBeforeSaved }),
  },
  {
    name: "attempts counted after the run",
    says: "an attempt that its process did not survive is not counted",
    breaks: ["I7"],
    plant: wrapped({ store: uncountedWhenLost }),
  },
  {
    name: "retry without jitter",
    says: "jobs that failed together come back together",
    ...{ breaks: ["I14"], seeds: 350 },
    plant: patched({
      file: "job/backoff.ts",
      text: 'policy.jitter === "full" ? exponential * random() : exponential',
      by: "exponential",
    }),
  },
  {
    name: "swallow an I/O error",
    says: "a submit that the disk refused is answered all the same",
    breaks: ["I1"],
    plant: wrapped({ store: failureSwallowed }),
  },
  {
    name: "pool not refilled",
    says: "a thread that died is not replaced",
    breaks: ["I1", "I18"],
    plant: wrapped({ pool: neverRefilled }),
  },
];
