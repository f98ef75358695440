/** Reads the command line and runs one command. The only importer of commander. */
import { Command as CommanderCommand, CommanderError, Option } from "commander";
import { messageOf, StartError } from "../errors.ts";
import { version } from "../version.ts";
import { type Command, type Flag, type FlagValues, UsageError } from "./command.ts";
import { health } from "./health.ts";
import { job } from "./job.ts";
import { jobs } from "./jobs.ts";
import { results } from "./results.ts";
import { serve } from "./serve.ts";
import { stats } from "./stats.ts";
import { submit } from "./submit.ts";
import { tasks } from "./tasks.ts";
import { printable, type Terminal } from "./terminal.ts";

/** Every command, in the order of `millpond --help`. */
export const commands: readonly Command[] = [serve, submit, results, stats, tasks, job, jobs, health];

const usageExitCode = 2;

/** What a run of the program needs from outside. */
export type ProgramInput = {
  /** Without the program's name. */
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string | undefined };
  readonly terminal: Terminal;
};

/** Runs the program; resolves with its exit code, never rejects. A mistake is one line on standard error. */
export async function runProgram({ args, env, terminal }: ProgramInput): Promise<number> {
  let exitCode = 0;
  const program = new CommanderCommand("millpond")
    .description("Bounded background work over gRPC: submit jobs, get each result, lose nothing.")
    .version(version, "-V, --version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand(false)
    .addHelpText(
      "after",
      examplesText([
        "millpond serve",
        'millpond submit echo --json \'{"hello": "world"}\'',
        "millpond results --follow",
      ]),
    );
  for (const command of commands) {
    const added = program
      .command(command.usage)
      .summary(command.summary)
      .description([command.summary, command.notes].filter((text) => text !== undefined).join("\n\n"))
      .helpOption("-h, --help", "print this help")
      .addHelpText("after", examplesText(command.examples));
    for (const flag of command.flags) added.addOption(toOption(flag));
    added.action(async () => {
      if (!command.outlivesReader) terminal.endWithReader();
      exitCode = await command.run({ args: added.args, flags: valuesOf(added), env, terminal });
    });
  }
  for (const each of [program, ...program.commands]) {
    each.configureHelp({ optionDescription: ({ description }) => description });
    each.exitOverride().configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: () => undefined, // said below, as one line
    });
  }

  try {
    await program.parseAsync(args.length === 0 ? ["--help"] : [...args], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // help or version was printed
    const { line, exitCode } = explain(error, helpOf(args));
    terminal.complain(`millpond: ${line}`);
    return exitCode;
  }
}

/** What to say about an error, and the exit code. Only a StartError may take several lines: it lists mistakes. */
function explain(error: unknown, help: string): { readonly line: string; readonly exitCode: number } {
  if (error instanceof StartError) return { line: error.message, exitCode: error.exitCode };
  if (error instanceof UsageError) return { line: printable(error.message), exitCode: usageExitCode };
  if (error instanceof CommanderError) {
    return { line: `${printable(error.message.replace(/^error: |\.$/g, ""))}: see ${help}`, exitCode: usageExitCode };
  }
  return { line: printable(messageOf(error)), exitCode: 1 };
}

function helpOf(args: readonly string[]): string {
  const known = commands.map(({ usage }) => usage.split(" ")[0]);
  const named = args.find((arg) => known.includes(arg));
  return named === undefined ? "millpond --help" : `millpond ${named} --help`;
}

function toOption({ usage, doc, bare, repeats }: Flag): Option {
  const option = new Option(usage, doc);
  if (bare !== undefined) option.preset(bare);
  if (repeats) option.argParser<readonly string[] | undefined>((value, before) => [...(before ?? []), value]);
  return option;
}

function valuesOf(command: CommanderCommand): FlagValues {
  return Object.fromEntries(
    command.options.map((option) => [option.long, command.getOptionValue(option.attributeName())]),
  ) as FlagValues;
}

function examplesText(examples: readonly string[]): string {
  return `\nExamples:\n${examples.map((example) => `  $ ${example}`).join("\n")}`;
}
