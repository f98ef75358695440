/** Makes the bytes of a mail, and who it goes to. */
import { domainToASCII } from "node:url";
import MailComposer from "nodemailer/lib/mail-composer";
import type { EmailAddress, EmailSendInput } from "../../gen/millpond/tasks/v1/email_pb.ts";
import type { Address } from "./address.ts";
import { render, type Template } from "./template.ts";

export type Mail = {
  readonly messageId: string;
  /** Envelope addresses, their domains in ASCII. */
  readonly from: string;
  readonly to: readonly string[];
  readonly bytes: Buffer;
};

export type MailParts = {
  readonly input: EmailSendInput;
  readonly from: Address;
  /** In place of the subject, text and html of the input. */
  readonly template: Template | undefined;
  readonly jobId: string;
  /** Milliseconds since 1970. */
  readonly date: number;
};

/** The same for every attempt of a job, and known before it is sent: who gets the mail twice can see that it is one. */
export function messageIdOf(jobId: string, { address }: Address): string {
  return `<${jobId}@${domainToASCII(address.slice(address.lastIndexOf("@") + 1))}>`;
}

/** Nothing is read but the input: no file, no URL. Addresses go in as objects, for as text they would be parsed. */
export async function composeMail({ input, from, template, jobId, date }: MailParts): Promise<Mail> {
  const messageId = messageIdOf(jobId, from);
  const { subject, text, html } = template ? render(template, input.values) : input;
  const composer = new MailComposer({
    ...{ messageId, date: new Date(date), from: { ...from } },
    ...{ to: input.to.map(plain), cc: input.cc.map(plain), bcc: input.bcc.map(plain) },
    ...(input.replyTo.length > 0 && { replyTo: input.replyTo.map(plain) }),
    subject,
    ...(text !== "" && { text }),
    ...(html !== "" && { html }),
    headers: input.headers,
    attachments: input.attachments.map(({ filename, contentType, content, contentId }) => ({
      filename,
      content: Buffer.from(content.buffer, content.byteOffset, content.byteLength),
      ...(contentType !== "" && { contentType }),
      ...(contentId !== "" && { cid: contentId, contentDisposition: "inline" }),
    })),
    disableFileAccess: true,
    disableUrlAccess: true,
  });
  const node = composer.compile();
  const envelope = node.getEnvelope();
  return { messageId, from: envelope.from || from.address, to: envelope.to, bytes: await node.build() };
}

function plain({ address, name }: EmailAddress): { address: string; name: string } {
  return { address, name };
}
