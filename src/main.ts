/** Where the `millpond` command starts. */
import { keepCompiledCode } from "./code-cache.ts";

keepCompiledCode(process.env);
// grpc-js, loaded by the commands, writes to standard error what it also throws: it would be said twice
process.env["GRPC_VERBOSITY"] ??= "NONE";

const { runProgram } = await import("./cli/program.ts");
const { createTerminal } = await import("./cli/print/terminal.ts");
process.exitCode = await runProgram({
  args: process.argv.slice(2),
  env: process.env,
  terminal: createTerminal(process),
});
