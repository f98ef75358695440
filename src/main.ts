/** Where the `millpond` command starts. */
import { runProgram } from "./cli/program.ts";
import { createTerminal } from "./cli/terminal.ts";

// grpc-js, loaded by the commands, writes to standard error what it also throws: it would be said twice
process.env.GRPC_VERBOSITY ??= "NONE";

process.exitCode = await runProgram({
  args: process.argv.slice(2),
  env: process.env,
  terminal: createTerminal(process),
});
