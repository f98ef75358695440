/** Composes the bytes of a mail and its envelope. */
import { domainToASCII } from "node:url";
import type { EmailAddress, EmailSendInput } from "../../gen/millpond/tasks/v1/email_pb.ts";
import type { Address } from "./address.ts";
import { base64, MailComposer, type MimeNode, quotedPrintable } from "./nodemailer.ts";
import { render, type Template } from "./template.ts";

export type Mail = {
  readonly messageId: string;
  /** Envelope addresses, with domains in ASCII. */
  readonly from: string;
  readonly to: readonly string[];
  readonly bytes: Buffer;
};

export type MailParts = {
  readonly input: EmailSendInput;
  readonly from: Address;
  /** Replaces the subject, text and html of the input. */
  readonly template: Template | undefined;
  readonly jobId: string;
  /** Milliseconds since 1970. */
  readonly date: number;
};

/** The same for every attempt of a job, and known before sending, so that a duplicate mail can be recognized. */
export function messageIdOf(jobId: string, { address }: Address): string {
  return `<${jobId}@${domainToASCII(address.slice(address.lastIndexOf("@") + 1))}>`;
}

/** Uses only the input: reads no files and no URLs. Addresses are passed as objects, because nodemailer would parse strings. */
export function composeMail({ input, from, template, jobId, date }: MailParts): Mail {
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
  return { messageId, from: envelope.from || from.address, to: envelope.to, bytes: Buffer.concat(partsOf(node)) };
}

/**
 * The bytes of a part and its children. nodemailer's own `build` uses a stream for each part, which takes five times as
 * long.
 */
function partsOf(node: MimeNode): Buffer[] {
  const parts = [Buffer.from(`${node.buildHeaders()}\r\n\r\n`), encoded(node)];
  for (const [index, child] of node.childNodes.entries()) {
    parts.push(Buffer.from(`${index > 0 ? "\r\n" : ""}--${node.boundary}\r\n`), ...partsOf(child));
  }
  if (node.childNodes.length > 0) parts.push(Buffer.from(`\r\n--${node.boundary}--\r\n`));
  return parts;
}

function encoded(node: MimeNode): Buffer {
  const content = node.content as string | Buffer | undefined; // never a stream or a file
  if (content === undefined) return Buffer.alloc(0);
  const encoding = node.getTransferEncoding();
  if (encoding === "base64") return Buffer.from(base64.wrap(base64.encode(content)));
  if (encoding === "quoted-printable") return Buffer.from(quotedPrintable.wrap(quotedPrintable.encode(content)));
  return Buffer.from(content as string);
}

function plain({ address, name }: EmailAddress): { address: string; name: string } {
  return { address, name };
}
