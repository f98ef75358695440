/**
 * `email.send`: sends one mail through an SMTP server. Documented in docs/tasks/email.send.md.
 *
 * The Message-ID is derived from the job's id, so it is known before sending and is the same for every attempt. A
 * server that received the whole mail and does not answer may have accepted it: that is an outcome of its own.
 */
import { systemClock } from "../clock.ts";
import { EmailSendInputSchema, EmailSendOutputSchema } from "../gen/millpond/tasks/v1/email_pb.ts";
import { defineTask, permanent } from "../pool/task.ts";
import type { Address } from "./email/address.ts";
import { checkInput, serverOf } from "./email/check.ts";
import { failureOf } from "./email/failure.ts";
import type { SmtpServer } from "./email/settings.ts";
import { smtp } from "./email/smtp.ts";

/** The wait for an answer ends this long before the attempt times out, so that the outcome can be reported as unknown. */
const marginMs = 200;

export default defineTask({
  name: "email.send",
  pool: "io",
  description: "Sends one mail through a configured SMTP server.",
  input: EmailSendInputSchema,
  output: EmailSendOutputSchema,
  resources: { smtp },
  // a mail survives half an hour without its server: the backoff takes an hour in total on average
  retry: { maxAttempts: 15, baseMs: 1000, factor: 3, maxBackoffMs: 900_000 },
  timeoutMs: 600_000,
  check: (input, _settings, resources) => checkInput(input, resources.smtp),
  async run(input, ctx) {
    const { smtp } = ctx.resources;
    const { settings } = smtp;
    const [wrong] = checkInput(input, settings); // the settings may have changed since the submit
    if (wrong) throw permanent("email_invalid", `${wrong.field} ${wrong.description}`, { field: wrong.field });
    const name = serverOf(input, settings) as string;
    const server = settings.servers[name] as SmtpServer;
    const mail = ctx.span("compose", () =>
      smtp.compose({
        ...{ input, jobId: ctx.jobId, date: systemClock.now() },
        from: input.from ?? (server.from as Address),
        template: settings.templates[input.template],
      }),
    );
    try {
      const { signal, span, progress } = ctx;
      const sent = await smtp.send(name, mail, { signal, span, progress, giveUpAt: ctx.deadlineAt - marginMs });
      const { accepted, rejected, response } = sent;
      return {
        ...{ messageId: mail.messageId, response, sizeBytes: mail.bytes.byteLength },
        ...{ accepted: [...accepted], rejected: [...rejected] },
      };
    } catch (error) {
      throw failureOf(error, name, server);
    }
  },
});
