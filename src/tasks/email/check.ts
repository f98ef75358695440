import type { FieldViolation } from "../../errors.ts";
import type { EmailAddress, EmailAttachment, EmailSendInput } from "../../gen/millpond/tasks/v1/email_pb.ts";
import { faultOfAddress, faultOfHeaderText, faultOfName, shown } from "./address.ts";
import type { SmtpServer, SmtpSettings } from "./settings.ts";
import { renderSubject } from "./template.ts";

/** The number of recipients that every server must accept (RFC 5321, 4.5.3.1.8). */
const mostRecipients = 100;
const mostParts = 50;
const longestSubject = 998;
const longestHeader = 4096;
/** Bound on a word: a line of a mail has at most 998 characters, and the first line of a header also contains its name. */
const longestWord = 900;
const longestFilename = 255;

/** Headers that the task sets itself, that belong to the transport, or that describe the body. */
const reservedHeaders =
  /^(?:from|to|cc|bcc|reply-to|sender|subject|date|message-id|mime-version|return-path|received|dkim-signature|content-.*|resent-.*)$/i;

type Add = (field: string, description: string | undefined) => void;

/** Everything that is wrong with an input. `limits.inputBytes` bounds its size. */
export function checkInput(input: EmailSendInput, settings: SmtpSettings): FieldViolation[] {
  const violations: FieldViolation[] = [];
  const add: Add = (field, description) => {
    if (description !== undefined) violations.push({ field, description });
  };
  const server = checkServer(input, settings, add);
  if (input.from) checkAddress("from", input.from, add);
  else if (server && !server.from) add("from", "is missing: give it, or set `from` of the server");
  checkRecipients(input, add);
  if (input.template === "") checkContent(input, add);
  else checkTemplate(input, settings, add);
  checkHeaders(input, add);
  checkAttachments(input.attachments, add);
  return violations;
}

/** The server that the input names, or the only one. */
export function serverOf({ server }: EmailSendInput, { servers }: SmtpSettings): string | undefined {
  const names = Object.keys(servers);
  if (server === "" && names.length === 1) return names[0];
  return Object.hasOwn(servers, server) ? server : undefined;
}

function checkServer(input: EmailSendInput, settings: SmtpSettings, add: Add): SmtpServer | undefined {
  const name = serverOf(input, settings);
  if (name !== undefined) return settings.servers[name];
  const names = Object.keys(settings.servers);
  if (names.length === 0) add("server", "is not available: no server is configured; set resources.smtp.servers");
  else if (input.server === "") add("server", `is missing; there are: ${names.join(", ")}`);
  else add("server", `is ${shown(input.server)}, which is not configured; there are: ${names.join(", ")}`);
  return undefined;
}

function checkRecipients({ to, cc, bcc, replyTo }: EmailSendInput, add: Add): void {
  const count = to.length + cc.length + bcc.length;
  if (count === 0) add("to", "is missing: name at least one recipient in to, cc or bcc");
  if (count > mostRecipients) add("to", `with cc and bcc has ${count} recipients and the limit is ${mostRecipients}`);
  if (replyTo.length > mostRecipients)
    add("replyTo", `has ${replyTo.length} addresses and the limit is ${mostRecipients}`);
  for (const [field, addresses] of Object.entries({ to, cc, bcc, replyTo })) {
    for (const [index, address] of addresses.slice(0, mostRecipients).entries()) {
      checkAddress(`${field}[${index}]`, address, add);
    }
  }
}

function checkAddress(field: string, { address, name }: EmailAddress, add: Add): void {
  add(`${field}.address`, faultOfAddress(address));
  add(`${field}.name`, faultOfName(name));
}

function checkContent({ subject, text, html, values }: EmailSendInput, add: Add): void {
  if (subject === "") add("subject", "is missing");
  if (text === "" && html === "") add("text", "is missing: give text, html, or a template");
  addLine("subject", subject, longestSubject, add);
  add("subject", faultOfHeaderText(subject));
  for (const name of Object.keys(values).slice(0, 1))
    add(keyed("values", name), "is a value for a template, but there is no template");
}

function checkTemplate(input: EmailSendInput, { templates }: SmtpSettings, add: Add): void {
  for (const field of ["subject", "text", "html"] as const) {
    if (input[field] !== "") add(field, "and a template are both given: leave one out");
  }
  const template = Object.hasOwn(templates, input.template) ? templates[input.template] : undefined;
  if (template === undefined) {
    const names = Object.keys(templates).join(", ") || "none";
    return add("template", `is ${shown(input.template)}, which is not configured; there are: ${names}`);
  }
  const { values } = input;
  for (const name of template.names) {
    if (!Object.hasOwn(values, name)) add(keyed("values", name), "is missing");
    else if (template.namesInSubject.includes(name))
      add(keyed("values", name), faultOfHeaderText(values[name] as string));
  }
  const others = Object.keys(values).filter((name) => !template.names.includes(name));
  for (const name of others.slice(0, mostParts)) {
    add(keyed("values", name), `is not in the template; there are: ${template.names.join(", ") || "none"}`);
  }
  addLine("subject", renderSubject(template, values), longestSubject, add);
}

function checkHeaders({ headers }: EmailSendInput, add: Add): void {
  const names = Object.keys(headers);
  if (names.length > mostParts) add("headers", `has ${names.length} entries and the limit is ${mostParts}`);
  for (const name of names.slice(0, mostParts)) {
    const field = keyed("headers", name);
    const value = headers[name] as string;
    if (!/^[A-Za-z][A-Za-z0-9-]{0,75}$/.test(name)) {
      add(field, "has a name that is not 1 to 76 characters of [A-Za-z0-9-] starting with a letter");
    } else if (reservedHeaders.test(name))
      add(field, "is a header that the task sets itself, or that senders may not set");
    addLine(field, value, longestHeader, add);
    add(field, faultOfHeaderText(value));
  }
}

function checkAttachments(attachments: readonly EmailAttachment[], add: Add): void {
  if (attachments.length > mostParts) {
    add("attachments", `has ${attachments.length} entries and the limit is ${mostParts}`);
  }
  for (const [index, { filename, contentType, contentId }] of attachments.slice(0, mostParts).entries()) {
    const field = `attachments[${index}]`;
    if (filename === "") add(`${field}.filename`, "is missing");
    addLength(`${field}.filename`, filename, longestFilename, add);
    add(`${field}.filename`, faultOfHeaderText(filename));
    if (
      contentType !== "" &&
      !/^(?!multipart\/|message\/)[a-z0-9!#$&^_.+-]{1,64}\/[a-z0-9!#$&^_.+-]{1,64}$/i.test(contentType)
    ) {
      add(`${field}.contentType`, `is ${shown(contentType)} and must be a type such as application/pdf`);
    }
    if (contentId !== "" && !/^[A-Za-z0-9._@-]{1,128}$/.test(contentId)) {
      add(`${field}.contentId`, "must be at most 128 characters of [A-Za-z0-9._@-]");
    }
  }
}

function addLength(field: string, { length }: string, limit: number, add: Add): void {
  if (length > limit) add(field, `has ${length} characters and the limit is ${limit}`);
}

function addLine(field: string, text: string, limit: number, add: Add): void {
  addLength(field, text, limit, add);
  const isLong = text.length > longestWord && text.split(" ").some(({ length }) => length > longestWord);
  if (isLong)
    add(field, `has a word of more than ${longestWord} characters, and lines of a mail can only be broken at spaces`);
}

function keyed(field: string, key: string): string {
  return `${field}[${shown(key)}]`;
}
