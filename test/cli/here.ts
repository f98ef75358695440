/** Runs a command in this process, which is quicker than one of its own. */
import { runProgram } from "../../src/cli/program.ts";
import type { Ended } from "./run.ts";

export async function runHere(
  args: readonly string[],
  { env = {} }: { readonly env?: Record<string, string> } = {},
): Promise<Ended> {
  const written = { stdout: "", stderr: "" };
  const terminal = {
    print: (line: string) => void (written.stdout += `${line}\n`),
    complain: (line: string) => void (written.stderr += `${line}\n`),
    status: () => undefined,
    clear: () => undefined,
    style: (_style: string, text: string) => text,
    endWithReader: () => undefined,
  };
  return { code: await runProgram({ args, env, terminal }), ...written };
}
