/** Runs a command at a terminal: `script` of util-linux makes a pseudo-terminal and passes keys and output on. */
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { EventEmitter, once } from "node:events";

/** Why there is no pseudo-terminal on this machine; false: there is one. */
export const withoutTerminal =
  !/util-linux/.test(spawnSync("script", ["--version"], { encoding: "utf8" }).stdout ?? "") &&
  "script of util-linux is not installed";

export type TerminalRun = {
  /** All that was written so far. */
  readonly output: string;
  /** Resolves once this was written after `from`, with the position behind it. */
  wrote(what: RegExp, from?: number): Promise<number>;
  press(keys: string): void;
  /** Makes the terminal this large. */
  resize(columns: number, rows: number): void;
  /** Sends a signal to the command. */
  signal(signal: NodeJS.Signals): void;
  /** The exit code, once it has ended; 128 and more: a signal ended it. */
  readonly ended: Promise<number>;
  /** Whether the modes of the terminal are those it had before. For after the end. */
  hasOldModes(): boolean;
};

/** A shell of its own, which becomes the command, says the process id. */
const line = [
  "stty cols 100 rows 24",
  'echo "tty=$(tty)"',
  "modes=$(stty -g)",
  `sh -c 'echo "pid=$$"; exec "$0" "$@"' $COMMAND`,
  'echo "code=$?"',
  'test "$modes" = "$(stty -g)" && echo modes=same',
].join("; ");

/** Runs Node.js with these arguments, which must not contain single quotes. */
export function runAtTerminal(args: readonly string[]): TerminalRun {
  const command = [process.execPath, ...args].map((word) => `'${word}'`).join(" ");
  const child = spawn("script", ["-q", "-e", "-c", line.replace("$COMMAND", command), "/dev/null"], {
    env: { ...process.env, TERM: "xterm", NO_COLOR: "1", SHELL: "/bin/sh" },
  });
  const events = new EventEmitter();
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
    output += chunk;
    events.emit("data");
  });
  const valueOf = (name: string) => new RegExp(`${name}=(\\S+)`).exec(output)?.[1];
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  events.on("error", () => undefined); // whoever waits gets it
  void closed.then(() => events.emit("error", new Error(`it has ended: ${JSON.stringify(output)}`)));
  return {
    get output() {
      return output;
    },
    wrote: async (what, from = 0) => {
      for (;;) {
        const found = what.exec(output.slice(from));
        if (found !== null) return from + found.index + found[0].length;
        await once(events, "data");
      }
    },
    press: (keys) => void child.stdin.write(keys),
    resize: (columns, rows) => {
      spawnSync("stty", ["-F", valueOf("tty") ?? "", "cols", String(columns), "rows", String(rows)]);
    },
    signal: (signal) => void process.kill(Number(valueOf("pid")), signal),
    ended: closed.then(() => Number(valueOf("code"))),
    hasOldModes: () => valueOf("modes") === "same",
  };
}

/** The alternate screen, the hidden cursor and no wrapping: each is taken back after it was last set. */
export function assertRestored({ output, hasOldModes }: TerminalRun): void {
  for (const [set, back] of [
    ["\u001b[?1049h", "\u001b[?1049l"],
    ["\u001b[?25l", "\u001b[?25h"],
    ["\u001b[?7l", "\u001b[?7h"],
  ] as const) {
    assert.ok(output.includes(set), JSON.stringify(set));
    assert.ok(output.lastIndexOf(back) > output.lastIndexOf(set), JSON.stringify(back));
  }
  assert.ok(hasOldModes(), "the terminal reads lines and echoes again");
}
