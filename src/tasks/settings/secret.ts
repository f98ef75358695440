/** Passwords are never in the configuration: it names the variable or the file that contains them. */
import { accessSync, constants, readFileSync } from "node:fs";
import { TaskError } from "../../pool/task.ts";
import type { Fields } from "./fields.ts";

/** The location of a password, not the password. */
export type Secret = { readonly env: string } | { readonly file: string };

/**
 * Reads `passwordEnv` or `passwordFile`, which must exist at the start. Undefined: neither is given. Messages never
 * quote their value, which may by mistake be the password itself.
 */
export function readSecret(fields: Fields): Secret | undefined {
  const { passwordEnv, passwordFile } = fields.given;
  if (passwordEnv !== undefined && passwordFile !== undefined) {
    fields.add("passwordFile", "and passwordEnv are both given: leave one out");
  }
  if (passwordEnv !== undefined) {
    if (typeof passwordEnv === "string" && process.env[passwordEnv]) return { env: passwordEnv };
    fields.add("passwordEnv", "must be the name of an environment variable that is set");
  }
  if (passwordFile !== undefined) {
    if (typeof passwordFile === "string" && isReadable(passwordFile)) return { file: passwordFile };
    fields.add("passwordFile", "must be a file that can be read");
  }
  return undefined;
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** The password itself; from a file, without the line break at its end. */
export function secretOf(secret: Secret): string {
  try {
    const text = "env" in secret ? process.env[secret.env] : readFileSync(secret.file, "utf8").replace(/\r?\n$/, "");
    if (text) return text;
  } catch {
    // reported below
  }
  const place = "env" in secret ? `variable ${secret.env} is not set` : "passwordFile cannot be read, or is empty";
  throw new TaskError("no_password", `the password is missing: ${place}`);
}
