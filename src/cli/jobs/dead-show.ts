import { type Command, isOn, jsonFlag } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import { jobAsJson, jobLines } from "./job.ts";
import { outputAsText } from "../print/output.ts";
import { printable } from "../print/terminal.ts";

/** Shows one dead letter with its input. */
export const deadShow: Command = {
  usage: "dead show <id>",
  summary: "show one dead letter: why it died, every attempt, its input",
  flags: [...clientFlags, jsonFlag],
  examples: ["millpond dead show 01990000-0000-7000-8000-000000000000"],
  run: (invocation) =>
    withClient(invocation, async (client, learn) => {
      const { args, flags, terminal } = invocation;
      const found = await client.getJob(args[0] as string, { withInput: true });
      if (found.state !== "DEAD") {
        throw new Error(`job ${found.id} is ${found.state}, no dead letter: see millpond job ${found.id}`);
      }
      await learn([found.input]);
      if (isOn(flags, "--json")) {
        terminal.print(JSON.stringify(jobAsJson(found)));
        return 0;
      }
      for (const line of jobLines(terminal, found)) terminal.print(line);
      terminal.print(`${"input".padEnd(12)}  ${printable(outputAsText(found.input, 1000))}`);
      terminal.print("");
      terminal.print(terminal.style("quiet", `run it again: millpond dead redrive ${found.id}`));
      return 0;
    }),
};
