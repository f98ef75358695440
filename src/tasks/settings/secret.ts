/** Passwords never stand in the configuration: it names the variable or the file that has them. */
import { readFileSync } from "node:fs";
import { TaskError } from "../../pool/task.ts";
import type { Fields } from "./fields.ts";

/** Where a password is, not what it is. */
export type Secret = { readonly env: string } | { readonly file: string };

/** Reads `passwordEnv` or `passwordFile`, which have to be there at the start. Undefined: neither is given. */
export function readSecret(fields: Fields): Secret | undefined {
  const { passwordEnv, passwordFile } = fields.given;
  if (passwordEnv !== undefined && passwordFile !== undefined) {
    fields.add("passwordFile", "and passwordEnv are given: leave one out");
  }
  const env = fields.text("passwordEnv", /^[A-Za-z_][A-Za-z0-9_]*$/, "the name of a variable");
  if (env !== undefined) {
    if (!process.env[env]) fields.add("passwordEnv", `names ${env}, which is not set`);
    return { env };
  }
  if (fields.file("passwordFile") === undefined) return undefined;
  return { file: passwordFile as string };
}

/** The password itself; of a file, without the line break at its end. */
export function secretOf(secret: Secret): string {
  try {
    const text = "env" in secret ? process.env[secret.env] : readFileSync(secret.file, "utf8").replace(/\r?\n$/, "");
    if (text) return text;
  } catch {
    // said below
  }
  const place = "env" in secret ? `variable ${secret.env} is not set` : "passwordFile cannot be read, or is empty";
  throw new TaskError("no_password", `the password is missing: ${place}`);
}
