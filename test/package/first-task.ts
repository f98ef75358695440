/**
 * Walks through docs/first-task.md: types its commands into a folder beside the packed file that the page speaks of, and holds
 * what they print to the page.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { runToEnd, type Served, serve } from "./commands.ts";

const page = readFileSync(fileURLToPath(new URL("../../docs/first-task.md", import.meta.url)), "utf8");

/** What the page says to do, in its order. */
type Step =
  | { readonly kind: "command"; readonly command: string; readonly prints: string }
  | { readonly kind: "file"; readonly path: string; readonly text: string };

const steps: readonly Step[] = [...page.matchAll(/^```(console|ts|yaml)\n(.*?)^```$/gms)].flatMap(
  ([, kind, text = ""]) =>
    kind === "console"
      ? [...text.matchAll(/^\$ (.*)\n((?:(?!\$ ).*\n)*)/gm)].map(
          ([, command = "", prints = ""]): Step => ({ kind: "command", command, prints }),
        )
      : [{ kind: "file", path: /^(?:\/\/|#) (\S+)\n/.exec(text)?.[1] ?? "", text }],
);

/** Without what differs from run to run: numbers, folders, the other tasks, and which of many jobs ends first. */
function comparable(text: string, folder: string): string {
  return text
    .replaceAll(folder, "/home/ada/mill")
    .replace(/^ {2}tasks .*\b(\w+)$/m, "tasks $1")
    .replaceAll(/\d+(?:\.\d+)*/g, "N")
    .replaceAll(/ +/g, " ")
    .trim()
    .split("\n")
    .toSorted()
    .join("\n");
}

/** Takes every step of the page; `folder` has the packed file. Throws at the first that prints something else. */
export async function walkThrough(folder: string): Promise<void> {
  let cwd = folder;
  let server: Served | undefined;
  try {
    for (const step of steps) {
      if (step.kind === "file") {
        assert.notEqual(step.path, "", `the first line of a file says where it stands:\n${step.text}`);
        mkdirSync(dirname(join(cwd, step.path)), { recursive: true });
        writeFileSync(join(cwd, step.path), step.text.replaceAll("127.0.0.1:7717", server?.grpc ?? ""));
        continue;
      }
      const { command, prints } = step;
      let printed: string;
      if (command.startsWith("npx millpond serve")) {
        await server?.dispose();
        server = await serve(join(cwd, "node_modules/millpond"), { cwd, args: command.split(" ").slice(3) });
        printed = server.printed();
      } else {
        const [, task] = /^npx millpond run (\S+)/.exec(command) ?? [];
        if (task !== undefined) await server?.prints(task); // it loads a new task as soon as it sees the file
        const env = server === undefined ? {} : { MILLPOND_ADDRESS: server.grpc };
        const { stdout, stderr } = runToEnd("bash", ["-c", command], { cwd, env });
        printed = stdout + stderr;
        const [, into] = /\bcd (\S+)$/.exec(command) ?? [];
        if (into !== undefined) cwd = join(cwd, into);
      }
      assert.equal(comparable(printed, cwd), comparable(prints, cwd), command);
    }
  } finally {
    await server?.dispose();
  }
}
