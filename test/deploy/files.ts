/** The files of deploy/, read as what they are. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseAllDocuments } from "yaml";
import { parseConfig } from "../../src/config.ts";

export const deploy = fileURLToPath(new URL("../../deploy/", import.meta.url));

/** What is in a YAML file has no type, and a path that leads nowhere fails the test. */
export type Yaml = ReturnType<typeof JSON.parse>;

export const yamlFiles = globSync("**/*.{yaml,yml}", { cwd: deploy }).toSorted();

/** Every document of a file; fails with what is wrong in it, also where a key is there twice. */
export function read(path: string): readonly Yaml[] {
  return parseAllDocuments(readFileSync(join(deploy, path), "utf8")).map((document) => {
    if (document.errors.length > 0) throw new Error(`${path}: ${document.errors.join("; ")}`);
    return document.toJS();
  });
}

/** The one document of a file. */
export function readOne(path: string): Yaml {
  const [document, ...others] = read(path);
  if (others.length > 0) throw new Error(`${path} has more than one document`);
  return document;
}

/** Milliseconds of a duration such as `45s`. */
export function msOf(duration: string): number {
  const [, number, unit] = /^(\d+)(s|m)$/.exec(duration) ?? [];
  if (number === undefined) throw new Error(`${duration} is no duration`);
  return Number(number) * (unit === "m" ? 60_000 : 1_000);
}

/** What the server makes of these settings; throws with every mistake. */
export function configOf(env: { readonly [name: string]: string }, file: string | null = null) {
  return parseConfig({ file: file === null ? null : { name: "millpond.yaml", text: file }, env, flags: {}, cores: 2 });
}

/** What connections may take to close after a drain, with room. */
export const closeMs = 5_000;

/** Why a test is skipped that needs this command; false when it is there. */
export function needs([file = "", ...args]: readonly string[]) {
  const { status } = spawnSync(file, args);
  return status !== 0 && `${file} ${args[0]} is not there`;
}

/** What a command prints that must succeed. */
export function runs([file = "", ...args]: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(file, args, { encoding: "utf8" });
  assert.equal(status, 0, `${file} ${args.join(" ")}\n${stdout}${stderr}`);
  return stdout;
}
