import { printAnswers } from "./answers.ts";
import { type Command, isOn, jsonFlag } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { actionFlags, deadFilterFlags, filterFlags, targetOf } from "./target.ts";

const kinds = {
  deleted: { text: "deleted", style: "good" },
  not_final: { text: "not final", style: "bad" },
  not_acknowledged: { text: "result not acknowledged", style: "bad" },
  not_found: { text: "no such job", style: "bad" },
} as const;

/** Removes dead letters for good. */
export const deadDelete: Command = {
  usage: "dead delete [ids...]",
  summary: "remove dead letters for good",
  notes: "Other final jobs can be named by their ids too. The exit code is 1 when an id is not there or cannot go.",
  flags: [...filterFlags, ...deadFilterFlags, ...actionFlags, ...clientFlags, jsonFlag],
  examples: [
    "millpond dead delete 01990000-0000-7000-8000-000000000000",
    "millpond dead delete --reason permanent --before 7d --dry-run",
  ],
  run: async (invocation) => {
    const target = targetOf(invocation);
    const dryRun = isOn(invocation.flags, "--dry-run");
    return withClient(invocation, async (client) => {
      const answered = await client.deleteJobs(target, { dryRun });
      const done = `${answered.deleted} deleted`;
      return printAnswers(invocation, answered, { kinds, done, would: "would be deleted" });
    });
  },
};
