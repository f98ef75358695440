/** Reads the command line and runs one command. The only importer of commander. */
import { Command as CommanderCommand, CommanderError, Option } from "commander";
import { messageOf, StartError } from "../errors.ts";
import { version } from "../version.ts";
import { cancel } from "./jobs/cancel.ts";
import { type Command, type Flag, flagsOf, type FlagValues, nameOf, UsageError } from "./command.ts";
import { deadDelete, deadList, deadRedrive, deadShow } from "./jobs/dead.ts";
import { drain } from "./server/drain.ts";
import { explain } from "./jobs/explain.ts";
import { health } from "./server/health.ts";
import { init } from "./scaffold/init.ts";
import { job } from "./jobs/job.ts";
import { jobs } from "./jobs/jobs.ts";
import { logLevel } from "./server/log-level.ts";
import { poolsAdvise, poolsList, poolsPause, poolsResize, poolsResume } from "./server/pools.ts";
import { profile } from "./server/profile.ts";
import { results } from "./jobs/results.ts";
import { run } from "./submit/run.ts";
import { serve } from "./server/serve.ts";
import { stats } from "./server/stats.ts";
import { submit } from "./submit/submit.ts";
import { taskNew } from "./scaffold/task-new.ts";
import { tasks } from "./server/tasks.ts";
import { printable, type Terminal } from "./print/terminal.ts";
import { top } from "./top/top.ts";
import { watch } from "./jobs/watch.ts";

/** Every command, in the order of `millpond --help`. */
export const commands: readonly Command[] = [
  ...[serve, submit, run, results, stats, top, tasks, job, jobs, watch, explain, cancel],
  ...[
    deadList,
    deadShow,
    deadRedrive,
    deadDelete,
    poolsList,
    poolsPause,
    poolsResume,
    poolsResize,
    poolsAdvise,
    drain,
    logLevel,
    profile,
    health,
    taskNew,
    init,
  ],
];

/** Groups: the first word of commands with a two-word name. */
const groups: { readonly [name: string]: string } = {
  dead: "list, show, redrive and delete dead letters",
  pools: "list, pause, resume and resize pools, and advise on their size",
  task: "write tasks of your own",
};

/** Abbreviations: the first two words of a command line, and the command that they stand for. */
const shorthands: { readonly [words: string]: readonly string[] } = {
  "pools --watch": ["pools", "list", "--watch"],
  "pools --advise": ["pools", "advise"],
};

const usageExitCode = 2;

/** The environment of a run of the program. */
export type ProgramInput = {
  /** Without the program's name. */
  readonly args: readonly string[];
  readonly env: { readonly [name: string]: string | undefined };
  readonly terminal: Terminal;
};

/** Runs the program and resolves with its exit code; never rejects. An error is printed as one line on standard error. */
export async function runProgram({ args: given, env, terminal }: ProgramInput): Promise<number> {
  const shorthand = shorthands[given.slice(0, 2).join(" ")];
  const args = shorthand ? [...shorthand, ...given.slice(2)] : given;
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
  const parents = new Map<string, CommanderCommand>();
  const parentOf = (name: string) => {
    const summary = groups[name];
    if (summary === undefined) return program;
    const parent = parents.get(name) ?? program.command(name).summary(summary).description(summary);
    parents.set(name, parent.helpOption("-h, --help", "print this help").helpCommand(false));
    return parent;
  };
  for (const command of commands) {
    const parent = parentOf(command.usage.split(" ")[0] ?? "");
    const added = parent
      .command(parent === program ? command.usage : command.usage.replace(/^\S+ /, ""))
      .summary(command.summary)
      .description([command.summary, command.notes].filter((text) => text !== undefined).join("\n\n"))
      .helpOption("-h, --help", "print this help")
      .addHelpText("after", examplesText(command.examples));
    parent.hook("preSubcommand", async (_, called) => {
      if (called === added) for (const flag of await flagsOf(command)) added.addOption(toOption(flag));
    });
    added.action(async () => {
      if (!command.outlivesReader) terminal.endWithReader();
      exitCode = await command.run({ args: added.args, flags: valuesOf(added), env, terminal });
    });
  }
  for (const each of [program, ...program.commands, ...[...parents.values()].flatMap((parent) => parent.commands)]) {
    each.configureHelp({ optionDescription: ({ description }) => description });
    each.exitOverride().configureOutput({
      writeOut: (text) => terminal.print(text.trimEnd()),
      writeErr: () => undefined, // printed below, as one line
    });
  }

  try {
    const isBare = args.length === 0 || (args.length === 1 && parents.has(args[0] ?? ""));
    await program.parseAsync([...args, ...(isBare ? ["--help"] : [])], { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // help or version was printed
    const { line, exitCode } = inOneLine(error, helpOf(args));
    terminal.printError(`millpond: ${line}`);
    return exitCode;
  }
}

/** The message for an error, and the exit code. Only a StartError may have several lines, because it lists mistakes. */
function inOneLine(error: unknown, help: string): { readonly line: string; readonly exitCode: number } {
  if (error instanceof StartError) return { line: error.message, exitCode: error.exitCode };
  if (error instanceof UsageError) return { line: printable(error.message), exitCode: usageExitCode };
  if (error instanceof CommanderError) {
    return { line: `${printable(error.message.replace(/^error: |\.$/g, ""))}: see ${help}`, exitCode: usageExitCode };
  }
  return { line: printable(messageOf(error)), exitCode: 1 };
}

function helpOf(args: readonly string[]): string {
  const known = new Set([...commands.map(nameOf), ...Object.keys(groups)]);
  const words = args.filter((arg) => !arg.startsWith("-"));
  const named = [words.slice(0, 2).join(" "), ...words].find((name) => known.has(name));
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
