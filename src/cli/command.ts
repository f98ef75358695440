/** The type of a command, and helpers to read its flags. Independent of the library that parses the command line. */
import type { Terminal } from "./print/terminal.ts";

/** A flag of a command. */
export type Flag = {
  /** `--follow`, `--channel <name>` (takes a value) or `--json [input]` (may take one). */
  readonly usage: string;
  readonly doc: string;
  /** The value of the flag when it is given without one. */
  readonly bare?: string;
  /** The flag may be repeated; all its values are kept. */
  readonly repeats?: boolean;
};

/** Values by flag, such as `--channel`. A flag without a value is true, a repeatable one has all of its values. */
export type FlagValues = { readonly [flag: string]: string | true | readonly string[] | undefined };

/** One invocation of a command. */
export type Invocation = {
  /** One for each argument in the command's `usage`; any number for `[ids...]`. */
  readonly args: readonly string[];
  readonly flags: FlagValues;
  readonly env: { readonly [name: string]: string | undefined };
  readonly terminal: Terminal;
};

/** A command of the program. */
export type Command = {
  /** Its name, which may be two words, and its arguments: `job <id>`, `dead show <id>`, `cancel [ids...]`. */
  readonly usage: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** Further explanation for `--help`. */
  readonly notes?: string;
  /** A function if they are expensive to compute, so that only this command pays for it. */
  readonly flags: readonly Flag[] | (() => Promise<readonly Flag[]>);
  /** Command lines for `--help`. */
  readonly examples: readonly string[];
  /** Continues when its output is no longer read. */
  readonly outlivesReader?: true;
  /** Resolves with the exit code. An error is printed as one line. */
  run(invocation: Invocation): Promise<number>;
};

export async function flagsOf({ flags }: Pick<Command, "flags">): Promise<readonly Flag[]> {
  return typeof flags === "function" ? await flags() : flags;
}

/** An invalid command line: printed as one line, with exit code 2. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** The switch that every command has. `submit` has its own, which may also take a value. */
export const jsonFlag: Flag = { usage: "--json", doc: "print JSON, for programs" };

/** Prints an answer: JSON with `--json`, lines otherwise. Returns the exit code of success. */
export function printAnswer({ flags, terminal }: Invocation, json: unknown, lines: readonly string[]): 0 {
  for (const line of isOn(flags, "--json") ? [JSON.stringify(json)] : lines) terminal.print(line);
  return 0;
}

/** Whether a switch was given. */
export function isOn(flags: FlagValues, flag: string): boolean {
  return flags[flag] === true;
}

/** The value of a flag; undefined when it was not given. */
export function flagText(flags: FlagValues, flag: string): string | undefined {
  const value = flags[flag];
  return typeof value === "string" ? value : undefined;
}

/** The values of a repeatable flag. */
export function listOf(flags: FlagValues, flag: string): readonly string[] {
  const values = flags[flag];
  return Array.isArray(values) ? (values as readonly string[]) : [];
}

/** The name of a command: the words of its usage before the arguments. */
export function nameOf({ usage }: Pick<Command, "usage">): string {
  return usage.replace(/ [<[].*$/, "");
}

/** The value of a flag that takes a whole number. Throws a UsageError that names the bounds. */
export function integerOf<Fallback>(
  flags: FlagValues,
  flag: string,
  { min, max, fallback }: { readonly min: number; readonly max: number; readonly fallback: Fallback },
): number | Fallback {
  const text = flagText(flags, flag);
  if (text === undefined) return fallback;
  const value = Number(text);
  if (!/^-?\d+$/.test(text) || value < min || value > max) {
    throw new UsageError(`${flag} is "${text}": must be an integer from ${min} to ${max}`);
  }
  return value;
}
