/** Runs `email.send` without a server of Millpond: real settings, real connections, permits of this thread. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type EmailSendInput,
  EmailSendInputSchema,
  type EmailSendOutput,
  EmailSendOutputSchema,
} from "../../../src/gen/millpond/tasks/v1/email_pb.ts";
import type { Permits } from "../../../src/pool/resource.ts";
import { TaskError } from "../../../src/pool/task.ts";
import type { SmtpSettings } from "../../../src/tasks/email/settings.ts";
import { smtp, type Smtp } from "../../../src/tasks/email/smtp.ts";
import emailSend from "../../../src/tasks/email-send.ts";
import { createTestPermits } from "../../support/permits.ts";
import { openSmtpServer, type SmtpServerOptions, type TestSmtpServer } from "../../support/smtp-server.ts";
import { fakeContext } from "../run-resize.ts";

export type Input = Exclude<MessageInitShape<typeof EmailSendInputSchema>, EmailSendInput>;

/** A mail with all that one needs. */
export const plainMail: Input = {
  from: { address: "pond@example.com" },
  to: [{ address: "ada@example.com" }],
  subject: "Hello",
  text: "A mill by a pond.",
};

export function inputOf(input: Input): EmailSendInput {
  return create(EmailSendInputSchema, input);
}

export type SenderTo = {
  readonly smtp: Smtp;
  /** What was reported of the servers, in order. */
  readonly reports: (readonly [part: string, problem: string | undefined])[];
  send(input?: Input, attempt?: SenderAttempt): Promise<EmailSendOutput>;
  /** The failure of a mail that is not sent. */
  failureOf(input?: Input, attempt?: SenderAttempt): Promise<TaskError>;
};

export type Sender = SenderTo & { readonly server: TestSmtpServer };

export type SenderAttempt = { readonly jobId?: string; readonly signal?: AbortSignal; readonly deadlineAt?: number };

/** A server, and a worker thread's side of it. Both end with the test. */
export async function openSender(
  t: TestContext,
  options: SmtpServerOptions = {},
  given: { readonly [key: string]: unknown } = {},
  templates: { readonly [name: string]: unknown } = {},
): Promise<Sender> {
  const server = await openSmtpServer(options);
  const sender = await openSenderTo(t, server.port, given, templates);
  t.after(() => server.close());
  return { server, ...sender };
}

/** A worker thread's side of a server: `given` are settings of the server `main`. */
export async function openSenderTo(
  t: TestContext,
  port: number,
  given: { readonly [key: string]: unknown } = {},
  templates: { readonly [name: string]: unknown } = {},
): Promise<SenderTo> {
  const settings = smtp.settings?.({
    servers: { main: { host: "localhost", port, tls: "none", ...given } },
    templates,
  }) as SmtpSettings;
  const reports: [string, string | undefined][] = [];
  const limits = Object.entries(smtp.permits?.(settings) ?? {});
  const permits = new Map(limits.map(([name, limit]) => [name, createTestPermits(limit)]));
  const { signal, log } = fakeContext(undefined);
  const value = await smtp.setup({
    ...{ settings, signal, log },
    permits: (name) => permits.get(name) as Permits,
    report: (part, problem) => void reports.push([part, problem]),
  });
  t.after(() => value.close());
  const send = async (input: Input = {}, attempt: SenderAttempt = {}) => {
    const context = { ...fakeContext(undefined, attempt.signal), ...attempt, resources: { smtp: value } };
    return create(EmailSendOutputSchema, await emailSend.run(inputOf({ ...plainMail, ...input }), context));
  };
  return {
    ...{ smtp: value, reports, send },
    async failureOf(input, attempt) {
      const failure = await send(input, attempt).then(
        () => assert.fail("the mail was sent"),
        (error: unknown) => error,
      );
      assert.ok(failure instanceof TaskError, String(failure));
      return failure;
    },
  };
}
