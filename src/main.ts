/** Entry point of the `millpond` command. */
import { keepCompiledCode } from "./code-cache.ts";

keepCompiledCode(process.env);
// grpc-js, which commands load, also writes the errors that it throws to standard error: they would be printed twice
process.env["GRPC_VERBOSITY"] ??= "NONE";

const { runProgram } = await import("./cli/program.ts");
const { createTerminal } = await import("./cli/print/terminal.ts");
process.exitCode = await runProgram({
  args: process.argv.slice(2),
  env: process.env,
  terminal: createTerminal(process),
});
