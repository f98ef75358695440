/**
 * The resource `smtp`: the configured SMTP servers. Each worker thread has its own connections and holds a permit for
 * each open one, so that the process never exceeds a server's `connections`.
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
  /** Sends one mail through one of the servers. Throws an SmtpError, or the signal's reason. */
  send(server: string, mail: Mail, attempt: SendingAttempt): Promise<Sent>;
  /**
   * Checks the servers that are not known to be healthy, and reports the unavailable ones. The connections that it
   * opens stay open for mails.
   */
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

/** nodemailer and its dependencies take 14 MB in each thread, so it is loaded only in threads that send mail. */
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
      const unknown = [...senders].filter(([name]) => !isWell(name)); // the connections of the others may be busy with mails
      await Promise.allSettled(unknown.map(([, sender]) => sender.probe(signal))); // failures are reported where the connection is opened
    },
    async close() {
      await Promise.all(Array.from(senders.values(), (sender) => sender.close()));
    },
  };
}
