/** The password of an SMTP server: where it is read, and what keeps it out of texts. */
import { readFileSync } from "node:fs";
import type { Login } from "./settings.ts";

const longestAnswer = 500;
const redacted = "[redacted]";

/** Read anew for each connection, so that a rotated one needs no restart. Undefined: it is not there, or empty. */
export function readPassword({ password }: Login): string | undefined {
  if ("env" in password) return process.env[password.env] || undefined;
  try {
    return readFileSync(password.file, "utf8").replace(/\r?\n$/, "") || undefined;
  } catch {
    return undefined; // the message would name the file and no more
  }
}

/**
 * What makes text of a server fit for messages: on one line, cut, and without the password, which some servers repeat in
 * their answer to a login they do not understand. Base64 is how it goes over the wire.
 */
export function cleanerOf(login: { readonly user: string; readonly password: string } | undefined) {
  const forms = login ? formsOf(login.user, login.password) : [];
  return (text: string): string => {
    let clean = text;
    for (const form of forms) clean = clean.replaceAll(form, redacted);
    return clean
      .replace(/[\p{Cc}\u2028\u2029]+/gu, " ")
      .trim()
      .slice(0, longestAnswer);
  };
}

function formsOf(user: string, password: string): string[] {
  const plain = Buffer.from(`\0${user}\0${password}`).toString("base64");
  const login = Buffer.from(password).toString("base64");
  return [plain, login, password].map((form) => form.replace(/=+$/, ""));
}
