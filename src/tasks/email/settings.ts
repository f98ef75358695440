/** The settings of the resource `smtp`: `resources.smtp` of the configuration. */
import { messageOf } from "../../errors.ts";
import { type Fields, isSection, readSection, type Section } from "../settings/fields.ts";
import { readSecret, type Secret } from "../settings/secret.ts";
import { type Address, faultOfAddress, faultOfHeaderText, faultOfName } from "./address.ts";
import { namesIn, type Template } from "./template.ts";

export type SmtpSettings = {
  readonly servers: { readonly [name: string]: SmtpServer };
  readonly templates: { readonly [name: string]: Template };
};

/** One SMTP server. It contains the location of the password, not the password. */
export type SmtpServer = {
  readonly host: string;
  /** Default: 587 with `starttls`, 465 with `tls`, 25 with `none`. */
  readonly port: number;
  /** `starttls` (the default) and `tls` never continue without encryption. */
  readonly tls: "starttls" | "tls" | "none";
  /** Certificates of the authorities to trust instead of those of Node.js; PEM. */
  readonly ca: string | undefined;
  readonly login: Login | undefined;
  /** Sender of mails that name none. */
  readonly from: Address | undefined;
  /** Bound on the open connections of the process, 1 to 1000; 5 by default. */
  readonly connections: number;
  /** Bound on the mails per second of the process, 0.1 to 100000; undefined (the default): no limit. */
  readonly perSecond: number | undefined;
  /** What happens to a mail that was sent completely and not answered; `retry` by default. */
  readonly unknownOutcome: "retry" | "dead";
  /** Bound on connecting, with TLS, greeting and login; 10 s by default. */
  readonly connectMs: number;
  /** Bound on the wait for each answer; a minute by default. */
  readonly answerMs: number;
  /** How long a connection stays open without a mail; 30 s by default. */
  readonly idleMs: number;
};

export type Login = { readonly user: string; readonly password: Secret };

const hourMs = 3_600_000;
/**
 * Lowest rate. A thread then keeps the permit of a mail for ten seconds; if it were longer, the thread could end before
 * and release the permit early.
 */
const leastPerSecond = 0.1;
const loopback = /^(?:localhost|127\.\d+\.\d+\.\d+|::1)$/;
const ports = { starttls: 587, tls: 465, none: 25 } as const;

/** Reads the settings. Throws one Error that lists every mistake. Connects to no server. */
export function readSettings(given: Section): SmtpSettings {
  return readSection(given, (fields) => {
    fields.refuseOthers("servers", "templates");
    return {
      servers: fields.section("servers").each(readServer),
      templates: fields.section("templates").each(readTemplate),
    };
  });
}

function readServer(fields: Fields): SmtpServer {
  const places = ["host", "port", "tls", "caFile", "user", "passwordEnv", "passwordFile", "from"];
  fields.refuseOthers(...places, "connections", "perSecond", "unknownOutcome", "connectMs", "answerMs", "idleMs");
  const tls = fields.oneOf("tls", ["starttls", "tls", "none"], "starttls");
  const host = fields.text("host", /^[A-Za-z0-9.:_-]{1,253}$/, "a host name or an address") ?? "";
  if (fields.given["host"] === undefined) fields.add("host", "is missing");
  const login = readLogin(fields);
  if (login && tls === "none" && !loopback.test(host)) {
    fields.add("tls", 'is "none", so the password would be sent unencrypted: use starttls or tls');
  }
  return {
    ...{ host, tls, login },
    port: fields.whole("port", 1, 65_535, ports[tls]),
    ca: fields.file("caFile"),
    from: readFrom(fields),
    connections: fields.whole("connections", 1, 1000, 5),
    perSecond: readRate(fields),
    unknownOutcome: fields.oneOf("unknownOutcome", ["retry", "dead"], "retry"),
    connectMs: fields.whole("connectMs", 10, hourMs, 10_000),
    answerMs: fields.whole("answerMs", 10, hourMs, 60_000),
    idleMs: fields.whole("idleMs", 0, hourMs, 30_000),
  };
}

function readLogin(fields: Fields): Login | undefined {
  const user = fields.text("user", /^[^\p{Cc}]{1,256}$/u, "1 to 256 characters without control characters");
  const password = readSecret(fields);
  if (user !== undefined && password) return { user, password };
  if (user !== undefined) fields.add("user", "needs passwordEnv or passwordFile");
  if (password) fields.add("user", "is missing");
  return undefined;
}

function readRate({ given, refuse }: Fields): number | undefined {
  const { perSecond } = given;
  if (perSecond === undefined) return undefined;
  if (typeof perSecond === "number" && perSecond >= leastPerSecond && perSecond <= 100_000) return perSecond;
  refuse("perSecond", `a number from ${leastPerSecond} to 100000`);
  return undefined;
}

/** `noreply@example.com`, or `{ address, name }`. */
function readFrom(fields: Fields): Address | undefined {
  const given = fields.given["from"];
  if (given === undefined) return undefined;
  if (isSection(given)) fields.section("from").refuseOthers("address", "name");
  const { address, name = "" } = isSection(given) ? given : { address: given };
  if (typeof address !== "string" || typeof name !== "string") {
    fields.refuse("from", "an address, or a section with address and name");
    return undefined;
  }
  if (faultOfAddress(address) !== undefined) fields.add("from", "must have one address such as ada@example.com");
  const fault = faultOfName(name);
  if (fault !== undefined) fields.add("from", fault);
  return { address, name };
}

function readTemplate(fields: Fields): Template {
  fields.refuseOthers("subject", "text", "textFile", "html", "htmlFile");
  const parts = {
    subject: fields.text("subject", /^./s, "a text") ?? "",
    text: readPart(fields, "text"),
    html: readPart(fields, "html"),
  };
  if (fields.given["subject"] === undefined) fields.add("subject", "is missing");
  const fault = faultOfHeaderText(parts.subject);
  if (fault !== undefined) fields.add("subject", fault);
  if (parts.text === undefined && parts.html === undefined) fields.add("text", "is missing: give text, html, or both");
  const names = Object.entries(parts).map(([key, part]) => namesOf(fields, key, part ?? ""));
  return { ...parts, names: [...new Set(names.flat())], namesInSubject: names[0] ?? [] };
}

/** The text from the configuration itself, or from a file that is read now. */
function readPart(fields: Fields, key: "text" | "html"): string | undefined {
  const isInline = fields.given[key] !== undefined;
  if (isInline && fields.given[`${key}File`] !== undefined)
    fields.add(key, `and ${key}File are both given: leave one out`);
  return isInline ? fields.text(key, /^/, "a text") : fields.file(`${key}File`);
}

function namesOf(fields: Fields, key: string, part: string): string[] {
  try {
    return namesIn(part);
  } catch (error) {
    fields.add(key, `is invalid: ${messageOf(error)}`);
    return [];
  }
}
