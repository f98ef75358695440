import { systemClock } from "../../../clients/typescript/clock.ts";
import type { ClientSnapshot, MillpondClient } from "../../../clients/typescript/index.ts";
import { type Command, integerOf, isOn, jsonFlag } from "../command.ts";
import { clientFlags, withClient } from "../connection.ts";
import type { Terminal } from "../print/terminal.ts";
import { frame, plainLines } from "./frame.ts";
import { afterKey, firstChoice, keyHelp } from "./keys.ts";
import type { Shown } from "./sections.ts";

/** How late a snapshot may be before the server counts as silent, and how often that is checked. */
const lateMs = 1_000;

/** Shows the activity of the server live. */
export const top: Command = {
  usage: "top",
  summary: "watch pools, tasks and clients live, in any order",
  notes:
    `Keys: ${keyHelp.map(([keys, effect]) => `${keys} (${effect})`).join("; ")}. When the connection is lost, top continues as ` +
    "soon as the server is back. If the output is no terminal, each snapshot is printed as lines, with --json as one line. " +
    "Percentiles cover the last one or two minutes, rates the last 10 s; only the 100 busiest clients are shown.",
  flags: [
    { usage: "--interval <ms>", doc: "between two snapshots, 100 to 60000 ms (default: 1000)" },
    { usage: "--count <number>", doc: "end after this many snapshots" },
    ...clientFlags,
    jsonFlag,
  ],
  examples: ["millpond top", "millpond top --json --interval 5000", "millpond top --count 1 | cat"],
  run: (invocation) =>
    withClient(
      invocation,
      async (client) => {
        const { flags, terminal } = invocation;
        const intervalMs = integerOf(flags, "--interval", { min: 100, max: 60_000, fallback: 1000 });
        const count = integerOf(flags, "--count", { min: 1, max: Number.MAX_SAFE_INTEGER, fallback: Infinity });
        const stop = new AbortController();
        const stopped = new Promise<void>((resolve) => stop.signal.addEventListener("abort", () => resolve()));
        let view: View | undefined;
        let seen = 0;
        try {
          for await (const server of client.watchStats({ intervalMs, signal: stop.signal })) {
            const clients = (await Promise.race([busiestClients(client), stopped])) ?? [server.client];
            if (stop.signal.aborted) break;
            view ??= isOn(flags, "--json") ? jsonView(terminal) : viewOf(terminal, intervalMs, () => stop.abort());
            view.show({ server, clients });
            if (++seen >= count) break;
          }
        } finally {
          view?.close();
        }
        return 0;
      },
      { reconnectMs: Infinity },
    ),
};

/** Undefined when the server does not list them: it is older, this client lacks permission, or it has just stopped. */
async function busiestClients(client: MillpondClient): Promise<readonly ClientSnapshot[] | undefined> {
  try {
    return (await client.listClients()).clients;
  } catch {
    return undefined;
  }
}

type View = {
  show(shown: Shown): void;
  close(): void;
};

function jsonView(terminal: Terminal): View {
  return {
    show: ({ server, clients }) => terminal.print(JSON.stringify({ ...server, clients })),
    close: () => undefined,
  };
}

/** Full screen on a terminal, otherwise lines. `quit` is called once. */
function viewOf(terminal: Terminal, intervalMs: number, quit: () => void): View {
  let choice = firstChoice;
  let shown: Shown | undefined;
  let latest: Shown | undefined;
  let answeredAt = systemClock.now();
  let scrollEnd = 0;

  const draw = () => {
    if (screen === undefined || shown === undefined) return;
    const { columns, rows } = screen;
    const waitedMs = systemClock.now() - answeredAt;
    const silentMs = waitedMs < intervalMs + lateMs ? 0 : waitedMs;
    const { lines, ...drawn } = frame(terminal, { shown, choice, columns, rows, silentMs });
    ({ scrollEnd } = drawn);
    screen.draw(lines);
  };
  const onKey = (key: string) => {
    const next = afterKey({ ...choice, scrolled: Math.min(choice.scrolled, scrollEnd) }, key);
    if (next === undefined) return quit();
    choice = next;
    if (!choice.isPaused) shown = latest;
    draw();
  };
  const screen = terminal.openScreen({ onKey, onRedraw: draw, onGone: quit });
  let cancelTick: () => void = () => undefined;
  const tick = () => {
    draw();
    cancelTick = systemClock.after(lateMs, tick);
  };
  if (screen !== undefined) tick();

  return {
    show: (received) => {
      latest = received;
      answeredAt = systemClock.now();
      if (!choice.isPaused) shown = latest;
      if (screen === undefined) for (const line of plainLines(terminal, received)) terminal.print(line);
      else draw();
    },
    close: () => {
      cancelTick();
      screen?.close();
    },
  };
}
