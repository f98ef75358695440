/**
 * The resource `smtp`: the servers that mails are handed to. Each worker thread keeps connections of its own, and holds a
 * permit for each that is open, so that the process has no more of them than each server's `connections`.
 */
import { defineResource, type ResourceContext } from "../../pool/resource.ts";
import type { Sent } from "./connection.ts";
import type { Mail, MailParts } from "./mail.ts";
import { permitsOf } from "./rate.ts";
import type { Sender, SendingAttempt } from "./sender.ts";
import { readSettings, type SmtpSettings } from "./settings.ts";

export type Smtp = {
  readonly settings: SmtpSettings;
  compose(parts: MailParts): Mail;
  /** Sends one mail to one of the servers. Throws an SmtpError, or the signal's reason. */
  send(server: string, mail: Mail, attempt: SendingAttempt): Promise<Sent>;
  /** Reports which servers are away, without asking those known to be well. The connections that it opens stay open for mails. */
  probe(signal: AbortSignal, isWell?: (server: string) => boolean): Promise<void>;
  /** Resolves when all connections of this thread are closed on both sides. */
  close(): Promise<void>;
};

export const smtp = defineResource({
  name: "smtp",
  settings: readSettings,
  permits: permitsOf,
  setup: openSmtp,
  probe: (value: Smtp, ...given) => value.probe(...given),
  teardown: (value: Smtp) => value.close(),
});

/** nodemailer and what it needs of Node.js take 14 MB in each thread: it is loaded only in threads that send mail. */
async function openSmtp(ctx: ResourceContext<SmtpSettings>): Promise<Smtp> {
  const [{ createSender }, { composeMail }] = await Promise.all([import("./sender.ts"), import("./mail.ts")]);
  const { settings } = ctx;
  const entries = Object.entries(settings.servers);
  const senders = new Map(entries.map(([name, server]) => [name, createSender(name, server, ctx)]));
  return {
    settings,
    compose: composeMail,
    send: (server, mail, attempt) => (senders.get(server) as Sender).send(mail, attempt),
    async probe(signal, isWell = () => false) {
      const unknown = [...senders].filter(([name]) => !isWell(name)); // the others may be busy with mails
      await Promise.allSettled(unknown.map(([, sender]) => sender.probe(signal))); // each is reported where it is opened
    },
    async close() {
      await Promise.all(Array.from(senders.values(), (sender) => sender.close()));
    },
  };
}
