import { printAnswers } from "./answers.ts";
import { type Command, jsonFlag } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { actionFlags, filterFlags, targetOf } from "./target.ts";

const kinds = {
  cancelled: { text: "cancelled", style: "good" },
  cancelling: { text: "stopping", style: "waiting" },
  already_final: { text: "was already final", style: "quiet" },
  not_found: { text: "no such job", style: "bad" },
} as const;

/** Cancels jobs by their ids or by a filter. */
export const cancel: Command = {
  usage: "cancel [ids...]",
  summary: "cancel jobs: queued ones at once, running ones after a grace period",
  notes:
    "Queued jobs are CANCELLED at once. Running ones are asked to stop, and terminated if they have not stopped after " +
    "the server's graceMs; `millpond job` shows when they have ended. The exit code is 1 when an id is not found.",
  flags: [...filterFlags, ...actionFlags, ...clientFlags, jsonFlag],
  examples: [
    "millpond cancel 01990000-0000-7000-8000-000000000000",
    "millpond cancel --task image.resize --label customer=17 --dry-run",
    "millpond cancel --all --before 2h",
  ],
  run: async (invocation) => {
    const target = targetOf(invocation);
    const dryRun = invocation.flags["--dry-run"] === true;
    return withClient(invocation, async (client) => {
      const answered = await client.cancel(target, { dryRun });
      const done = `${answered.cancelled} cancelled, ${answered.cancelling} stopping`;
      return printAnswers(invocation, answered, { kinds, done, would: "would be cancelled" });
    });
  },
};
