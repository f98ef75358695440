/** Runs a command in this process, which is quicker than one of its own. */
import { mkdtempSync, realpathSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import type { TestContext } from "node:test";
import { runProgram } from "../../src/cli/program.ts";
import { createTerminal } from "../../src/cli/print/terminal.ts";
import type { Ended } from "./run.ts";

export async function runHere(
  args: readonly string[],
  { env = {} }: { readonly env?: Record<string, string> } = {},
): Promise<Ended> {
  const streams = { stdout: new PassThrough(), stderr: new PassThrough() };
  const written = Promise.all([text(streams.stdout), text(streams.stderr)]);
  const { stdout, stderr } = streams as unknown as Record<keyof typeof streams, NodeJS.WriteStream>;
  const { stdin } = process;
  const terminal = createTerminal({ stdin, stdout, stderr, exit: () => undefined });
  const code = await runProgram({ args, env, terminal });
  for (const stream of Object.values(streams)) stream.end();
  const [out, err] = await written;
  return { code, stdout: out, stderr: err };
}

/** Goes into an empty folder until the test has ended; for tests that do not run beside others of their file. */
export function enterFolder(t: TestContext): string {
  const before = process.cwd();
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "millpond-cli-")));
  process.chdir(folder);
  t.after(() => {
    process.chdir(before);
    rmSync(folder, { recursive: true });
  });
  return folder;
}
