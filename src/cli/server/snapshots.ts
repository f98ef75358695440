/** What `stats` and `pools list` share: a snapshot of the server printed once or repeatedly. */
import { systemClock } from "../../../clients/typescript/clock.ts";
import type { MillpondClient, ServerSnapshot } from "../../../clients/typescript/index.ts";
import { type Flag, integerOf, type Invocation, isOn, printAnswer } from "../command.ts";
import { withClient } from "../connection.ts";
import { moment } from "../print/format.ts";

/** How late a snapshot may be before the server counts as silent. */
const lateMs = 1_000;

export const watchFlags: readonly Flag[] = [
  { usage: "--watch", doc: "repeat until interrupted, also while the server does not answer" },
  { usage: "--interval <ms>", doc: "interval of --watch, 100 to 60000 (default: 1000)" },
];

/** Prints what `shown` makes of each snapshot. With `--watch` a silent server is reported. */
export function printSnapshots(
  invocation: Invocation,
  shown: (snapshot: ServerSnapshot) => { readonly json: unknown; readonly lines: readonly string[] },
): Promise<number> {
  const { flags, terminal } = invocation;
  const print = (snapshot: ServerSnapshot) => {
    const { json, lines } = shown(snapshot);
    return printAnswer(invocation, json, lines);
  };
  const act = async (client: MillpondClient) => {
    const intervalMs = integerOf(flags, "--interval", { min: 100, max: 60_000, fallback: 1000 });
    if (!isOn(flags, "--watch")) return print(await client.stats());
    let cancelReport = () => {};
    try {
      for await (const snapshot of client.watchStats({ intervalMs })) {
        cancelReport();
        const silence = `no answer since ${moment(new Date(systemClock.now()))}: reconnecting`;
        cancelReport = systemClock.after(intervalMs + lateMs, () => terminal.printError(silence));
        terminal.clear();
        print(snapshot);
      }
    } finally {
      cancelReport();
    }
    return 0;
  };
  return withClient(invocation, act, { reconnectMs: Infinity });
}
