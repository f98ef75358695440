/** The settings of the resource `smtp`: `resources.smtp` of the configuration. */
import { accessSync, constants, readFileSync } from "node:fs";
import { messageOf } from "../../errors.ts";
import { type Address, faultOfAddress, faultOfHeaderText, faultOfName } from "./address.ts";
import { namesIn, type Template } from "./template.ts";

export type SmtpSettings = {
  readonly servers: { readonly [name: string]: SmtpServer };
  readonly templates: { readonly [name: string]: Template };
};

/** One SMTP server. Where its password is, not what it is. */
export type SmtpServer = {
  readonly host: string;
  /** Default: 587 with `starttls`, 465 with `tls`, 25 with `none`. */
  readonly port: number;
  /** `starttls` (the default) and `tls` never go on without encryption. */
  readonly tls: "starttls" | "tls" | "none";
  /** Certificates of the authorities to trust, in place of those that Node.js trusts; PEM. */
  readonly ca: string | undefined;
  readonly login: Login | undefined;
  /** Sender of mails that name none. */
  readonly from: Address | undefined;
  /** Most connections that the process has open at once, 1 to 1000; 5 by default. */
  readonly connections: number;
  /** Most mails in a second, of the process; undefined (the default): no limit. */
  readonly perSecond: number | undefined;
  /** What becomes of a mail that was sent whole and not answered; `retry` by default. */
  readonly unknownOutcome: "retry" | "dead";
  /** Bound on connecting, with TLS and greeting; 10 s by default. */
  readonly connectMs: number;
  /** Bound on the wait for each answer; a minute by default. */
  readonly answerMs: number;
  /** How long a connection stays open without a mail; 30 s by default. */
  readonly idleMs: number;
};

export type Login = { readonly user: string; readonly password: { readonly env: string } | { readonly file: string } };

const hourMs = 3_600_000;
const loopback = /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/;
const ports = { starttls: 587, tls: 465, none: 25 } as const;
const serverKeys =
  "host, port, tls, caFile, user, passwordEnv, passwordFile, from, connections, perSecond, unknownOutcome, connectMs, answerMs, idleMs";
const templateKeys = "subject, text, textFile, html, htmlFile";

type Given = { readonly [key: string]: unknown };

/** Reads the settings. Throws one Error that lists every mistake. No server is called. */
export function readSettings(given: Given): SmtpSettings {
  const mistakes: string[] = [];
  const { servers = {}, templates = {}, ...unknown } = given;
  refuseUnknown(unknown, "", "servers, templates", mistakes);
  const settings = {
    servers: readEach(servers, "servers", mistakes, readServer),
    templates: readEach(templates, "templates", mistakes, readTemplate),
  };
  if (mistakes.length > 0) throw new Error(mistakes.join("; "));
  return settings;
}

function readEach<T>(
  given: unknown,
  path: string,
  mistakes: string[],
  readOne: (fields: Fields) => T,
): { readonly [name: string]: T } {
  if (!isSection(given)) {
    mistakes.push(`${path} is ${JSON.stringify(given)} and must be a section with names`);
    return {};
  }
  const entries: [string, T][] = [];
  for (const [name, one] of Object.entries(given)) {
    if (!/^[a-z][a-z0-9._-]{0,63}$/.test(name)) {
      mistakes.push(`${path}: ${JSON.stringify(name)} is not 1 to 64 characters of [a-z0-9._-] starting with a letter`);
    } else if (!isSection(one)) mistakes.push(`${path}.${name} is ${JSON.stringify(one)} and must be a section`);
    else entries.push([name, readOne(fieldsOf(one, `${path}.${name}`, mistakes))]);
  }
  return Object.fromEntries(entries);
}

function readServer(fields: Fields): SmtpServer {
  const { host, port, tls, caFile, user, passwordEnv, passwordFile, from, ...rest } = fields.given;
  const { connections, perSecond, unknownOutcome, connectMs, answerMs, idleMs, ...unknown } = rest;
  refuseUnknown(unknown, `${fields.path}.`, serverKeys, fields.mistakes);
  const kind = fields.oneOf("tls", tls, ["starttls", "tls", "none"], "starttls");
  const name = fields.text("host", host, /^[A-Za-z0-9.:_-]{1,253}$/, "a host name or an address") ?? "";
  if (host === undefined) fields.add("host", "is missing");
  if (user !== undefined && kind === "none" && !loopback.test(name)) {
    fields.add("tls", `is "none", and the password would go to ${name} unencrypted: use starttls or tls`);
  }
  return {
    host: name,
    port: fields.whole("port", port, 1, 65_535, ports[kind]),
    tls: kind,
    ca: fields.file("caFile", caFile),
    login: readLogin(fields, user, passwordEnv, passwordFile),
    from: from === undefined ? undefined : readFrom(fields, from),
    connections: fields.whole("connections", connections, 1, 1000, 5),
    perSecond: fields.rate("perSecond", perSecond),
    unknownOutcome: fields.oneOf("unknownOutcome", unknownOutcome, ["retry", "dead"], "retry"),
    connectMs: fields.whole("connectMs", connectMs, 10, hourMs, 10_000),
    answerMs: fields.whole("answerMs", answerMs, 10, hourMs, 60_000),
    idleMs: fields.whole("idleMs", idleMs, 0, hourMs, 30_000),
  };
}

/**
 * The variable or the file has to be there at the start; it is read when a connection is opened. No message has its name,
 * for what stands there by mistake may be the password itself.
 */
function readLogin(fields: Fields, user: unknown, env: unknown, file: unknown): Login | undefined {
  if (user === undefined && env === undefined && file === undefined) return undefined;
  const name = fields.text("user", user, /^[^\p{Cc}]{1,256}$/u, "1 to 256 characters without control characters") ?? "";
  if (user === undefined) fields.add("user", "is missing");
  if ((env === undefined) === (file === undefined))
    fields.add("passwordEnv", "or passwordFile is needed, and not both");
  if (env !== undefined && !(typeof env === "string" && process.env[env])) {
    fields.add("passwordEnv", "must be the name of an environment variable that is set");
  }
  if (file !== undefined && !(typeof file === "string" && isReadable(file))) {
    fields.add("passwordFile", "must be a file that can be read");
  }
  return { user: name, password: typeof env === "string" ? { env } : { file: file as string } };
}

function isReadable(file: string): boolean {
  try {
    accessSync(file, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}

/** `noreply@example.com`, or `{ address, name }`. */
function readFrom(fields: Fields, from: unknown): Address {
  const { address, name = "", ...unknown } = isSection(from) ? from : { address: from };
  refuseUnknown(unknown, `${fields.path}.from.`, "address, name", fields.mistakes);
  const fault =
    typeof address === "string" && typeof name === "string"
      ? (faultOfAddress(address) ?? faultOfName(name))
      : `is ${JSON.stringify(from)} and must be an address, or a section with address and name`;
  if (fault !== undefined) fields.add("from", fault);
  return { address: String(address), name: String(name) };
}

function readTemplate(fields: Fields): Template {
  const { subject, text, textFile, html, htmlFile, ...unknown } = fields.given;
  refuseUnknown(unknown, `${fields.path}.`, templateKeys, fields.mistakes);
  const read = (key: string, inline: unknown, file?: unknown): string | undefined => {
    if (inline !== undefined && file !== undefined) fields.add(key, `and ${key}File are given: leave one out`);
    return inline === undefined ? fields.file(`${key}File`, file) : fields.text(key, inline, /^/, "a text");
  };
  const parts = {
    subject: read("subject", subject) ?? "",
    text: read("text", text, textFile),
    html: read("html", html, htmlFile),
  };
  if (parts.subject === "") fields.add("subject", "is missing");
  const fault = faultOfHeaderText(parts.subject);
  if (fault !== undefined) fields.add("subject", fault);
  if (parts.text === undefined && parts.html === undefined) fields.add("text", "is missing: give text, html, or both");
  const names = Object.entries(parts).map(([key, part]) => namesOf(fields, key, part ?? ""));
  return { ...parts, names: [...new Set(names.flat())], namesInSubject: names[0] ?? [] };
}

function namesOf(fields: Fields, key: string, part: string): string[] {
  try {
    return namesIn(part);
  } catch (error) {
    fields.add(key, `has a mistake: ${messageOf(error)}`);
    return [];
  }
}

/** Reads one section, and adds what is wrong to the list. */
type Fields = ReturnType<typeof fieldsOf>;

function fieldsOf(given: Given, path: string, mistakes: string[]) {
  const add = (key: string, what: string) => void mistakes.push(`${path}.${key} ${what}`);
  const refuse = (key: string, value: unknown, what: string) =>
    add(key, `is ${JSON.stringify(value)} and must be ${what}`);
  return {
    given,
    path,
    mistakes,
    add,
    text(key: string, value: unknown, pattern: RegExp, what: string): string | undefined {
      if (value === undefined || (typeof value === "string" && pattern.test(value))) return value;
      refuse(key, value, what);
      return undefined;
    },
    whole(key: string, value: unknown, least: number, most: number, fallback: number): number {
      if (value === undefined) return fallback;
      if (Number.isInteger(value) && (value as number) >= least && (value as number) <= most) return value as number;
      refuse(key, value, `a whole number from ${least} to ${most}`);
      return fallback;
    },
    rate(key: string, value: unknown): number | undefined {
      if (value === undefined) return undefined;
      if (typeof value === "number" && value >= 0.001 && value <= 100_000) return value;
      refuse(key, value, "a number from 0.001 to 100000");
      return undefined;
    },
    oneOf<const T extends string>(key: string, value: unknown, allowed: readonly T[], fallback: T): T {
      if (value === undefined) return fallback;
      const found = allowed.find((each) => each === value);
      if (found === undefined) refuse(key, value, `one of ${allowed.join(", ")}`);
      return found ?? fallback;
    },
    /** The content of a file that has to be there. */
    file(key: string, value: unknown): string | undefined {
      if (value === undefined) return undefined;
      try {
        if (typeof value !== "string") throw new Error("it is not a path");
        return readFileSync(value, "utf8");
      } catch (error) {
        add(key, `is ${JSON.stringify(value)} and must be a file that can be read: ${messageOf(error)}`);
        return undefined;
      }
    },
  };
}

function refuseUnknown(unknown: Given, path: string, known: string, mistakes: string[]): void {
  for (const key of Object.keys(unknown)) mistakes.push(`${path}${key} is not a setting; there are: ${known}`);
}

function isSection(given: unknown): given is Given {
  return typeof given === "object" && given !== null && !Array.isArray(given);
}
