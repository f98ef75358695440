import { type Command, jsonFlag, printAnswer } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { moment } from "../print/format.ts";
import { styleOfState } from "./results.ts";
import { factLines } from "../print/terminal.ts";

/** Explains why a job is not running now. */
export const explain: Command = {
  usage: "explain <id>",
  summary: "explain why a job is not running now",
  flags: [...clientFlags, jsonFlag],
  examples: ["millpond explain 01990000-0000-7000-8000-000000000000"],
  run: (invocation) =>
    withClient(invocation, async (client) => {
      const { args, terminal } = invocation;
      const explained = await client.explain(args[0] as string);
      const { cause, text, state, runAt, ahead, running, workers, lastFailure } = explained;
      const isWaiting = !["running", "cancelling", "final"].includes(cause);
      const lines = factLines(
        terminal,
        [
          ["why", text],
          ["cause", cause],
          ["state", state],
          ["not before", runAt && moment(runAt)],
          ["ahead", isWaiting ? String(ahead) : undefined],
          ["pool", isWaiting ? `runs ${running} now, has ${workers} worker${workers === 1 ? "" : "s"}` : undefined],
          ["last failure", lastFailure && `${lastFailure.reason}: ${lastFailure.message}`],
        ],
        { state: styleOfState(state) },
      );
      return printAnswer(invocation, explained, lines);
    }),
};
