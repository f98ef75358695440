/**
 * The used parts of nodemailer. Loaded by `require`: importing them as ES modules also imports node:http, and Node.js
 * then loads its whole HTTP client, which takes 15 ms and 5 MB in each thread.
 */
import { createRequire } from "node:module";
import type * as Base64 from "nodemailer/lib/base64";
import type * as Composing from "nodemailer/lib/mail-composer";
import type * as QuotedPrintable from "nodemailer/lib/qp";
import type * as Connecting from "nodemailer/lib/smtp-connection";

const require = createRequire(import.meta.url);

export const { default: SMTPConnection } = require("nodemailer/lib/smtp-connection") as typeof Connecting;
export const { default: MailComposer } = require("nodemailer/lib/mail-composer") as typeof Composing;
export const base64 = require("nodemailer/lib/base64") as typeof Base64;
export const quotedPrintable = require("nodemailer/lib/qp") as typeof QuotedPrintable;

export type {
  SMTPConnectionEnvelope,
  SMTPConnectionOptions,
  SMTPEnvelope,
} from "nodemailer/lib/smtp-connection";
export type SmtpSession = InstanceType<typeof SMTPConnection>;
export type { default as MimeNode } from "nodemailer/lib/mime-node";
