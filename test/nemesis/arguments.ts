import { parseArgs } from "node:util";

/** What the command line asks for. */
export type Arguments = {
  readonly seed: number;
  readonly kills: number | undefined;
  readonly jobs: number | undefined;
  /** Names of faults; undefined: all. */
  readonly faults: readonly string[] | undefined;
  readonly isGate: boolean;
  readonly isJson: boolean;
  /** The clone whose server is tested. */
  readonly root: string | undefined;
  /** Leaves the logs where they are, and says where. */
  readonly keeps: boolean;
};

/** The first argument that leads to the simulation. */
export const simulate = "--simulate";

export const usage = `npm run --silent nemesis -- [options]
  --seed N          the schedule of faults and the load (default: from the clock, and printed)
  --faults a,b      only these faults
  --kills K         how often each fault happens
  --jobs J          how many jobs are submitted meanwhile
  --gate            the sizes of the release gate
  --server FOLDER   the clone whose server is tested (default: this one)
  --keep            leaves the logs
  --json            one JSON object on standard output
  --simulate SEED   the simulation in place of processes; as many as that with --seeds N behind it`;

/** Throws an Error that says what is wrong. */
export function parseArguments(args: readonly string[], faultNames: readonly string[]): Arguments {
  const { values } = parseArgs({
    args: [...args],
    options: {
      ...{ seed: { type: "string" }, kills: { type: "string" }, jobs: { type: "string" }, faults: { type: "string" } },
      ...{
        server: { type: "string" },
        gate: { type: "boolean" },
        keep: { type: "boolean" },
        json: { type: "boolean" },
      },
    },
  });
  const faults = values.faults?.split(",");
  const unknown = faults?.filter((name) => !faultNames.includes(name)) ?? [];
  if (unknown.length > 0)
    throw new Error(`no fault is named ${unknown.join(", ")}: there are ${faultNames.join(", ")}`);
  return {
    seed: toCount("seed", values.seed) ?? Date.now() % 1_000_000_000,
    kills: toCount("kills", values.kills),
    jobs: toCount("jobs", values.jobs),
    faults,
    isGate: values.gate ?? false,
    isJson: values.json ?? false,
    root: values.server,
    keeps: values.keep ?? false,
  };
}

function toCount(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d{0,9}$/.test(text)) throw new Error(`--${name} is "${text}" and must be a whole number from 1 on`);
  return Number(text);
}
