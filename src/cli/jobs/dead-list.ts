import type { JobInfo } from "../../../clients/typescript/index.ts";
import { type Command, integerOf, isOn, jsonFlag } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { moment, shortened } from "../print/format.ts";
import { listedAsJson } from "./jobs.ts";
import { deadFilterFlags, filterFlags, filterOf } from "./target.ts";
import { table } from "../print/terminal.ts";

/** Lists dead letters. */
export const deadList: Command = {
  usage: "dead list",
  summary: "list your dead letters: jobs that failed for good",
  flags: [
    ...filterFlags,
    ...deadFilterFlags,
    { usage: "--limit <count>", doc: "at most this many, 1 to 1000 (default: 20)" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond dead list", "millpond dead list --task image.resize --reason permanent --limit 100"],
  run: async (invocation) => {
    const { flags, terminal } = invocation;
    const limit = integerOf(flags, "--limit", { min: 1, max: 1000, fallback: 20 });
    const filter = filterOf(flags);
    return withClient(invocation, async (client) => {
      const found: JobInfo[] = [];
      for await (const job of client.deadLetters({ filter, pageSize: limit })) if (found.push(job) === limit) break;
      if (isOn(flags, "--json")) {
        terminal.print(JSON.stringify({ jobs: found.map(listedAsJson) }));
        return 0;
      }
      const columns = [
        { title: "JOB" },
        { title: "TASK" },
        { title: "DIED" },
        { title: "REASON", style: () => "bad" as const },
        { title: "TRIES", align: "right" },
        { title: "FAILURE" },
      ] as const;
      const rows = found.map(({ id, task, finishedAt, deadReason, attempts, result }) => [
        id,
        task,
        moment(finishedAt),
        deadReason ?? "",
        String(attempts),
        shortened(`${result?.failure?.reason ?? ""}: ${result?.failure?.message ?? ""}`, 80),
      ]);
      if (rows.length === 0) terminal.complain("no dead letters");
      else for (const each of table(terminal, columns, rows)) terminal.print(each);
      return 0;
    });
  },
};
