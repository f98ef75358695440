/** A connection to an SMTP server, and its errors. */
import { Readable } from "node:stream";
import { systemClock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Connection } from "../connections/connections.ts";
import { secretOf } from "../settings/secret.ts";
import { cleanerOf } from "./clean.ts";
import type { Mail } from "./mail.ts";
import {
  SMTPConnection,
  type SMTPConnectionEnvelope,
  type SMTPConnectionOptions,
  type SMTPEnvelope,
  type SmtpSession,
} from "./nodemailer.ts";
import type { SmtpServer } from "./settings.ts";
import { type Rejection, SmtpError, type Stage } from "./smtp-error.ts";

export type Sent = {
  readonly accepted: readonly string[];
  readonly rejected: readonly Rejection[];
  readonly response: string;
};

export type Bounds = {
  readonly signal: AbortSignal;
  /** When the wait for an answer ends, in milliseconds since 1970. */
  readonly giveUpAt: number;
};

export type SmtpConnection = Connection & {
  /** Sends one mail. Throws an SmtpError, or the signal's reason if it aborts before the whole mail is sent. */
  send(mail: Mail, bounds: Bounds): Promise<Sent>;
  /** Prepares the connection for another mail after a refused one; false: it is not ready within a second. */
  reset(): Promise<boolean>;
};

type Clean = (text: string) => string;

/**
 * Bounds the wait for complete answers: nodemailer only bounds silence, so a server that sends a line now and then
 * could stall forever.
 */
type Session = {
  readonly smtp: SmtpSession;
  readonly clean: Clean;
  readonly answerMs: number;
  /** Called when an answer is complete. */
  onAnswer: () => void;
};

type NodemailerError = Error & {
  readonly code?: string | undefined;
  readonly originalCode?: string | undefined;
  readonly response?: string | undefined;
  readonly responseCode?: number | undefined;
  readonly recipient?: string | undefined;
  readonly rejectedErrors?: readonly NodemailerError[] | undefined;
};

/** How long the server may take to close the connection, or to be ready for another mail. */
const closeMs = 1000;
const partBytes = 64 * 1024;
const maxResponseBytes = 64 * 1024;
/** Reply code for a mail that is too large. */
const tooLarge = 552;
/** Error codes of untrusted certificates and other failed TLS handshakes. */
const tlsCodes = /^(?:ERR_TLS|ERR_SSL|EPROTO$|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|INVALID_|PATH_LENGTH|HOSTNAME_)/;

/**
 * Connects, starts TLS and logs in. Reads the password each time, so that a new one needs no restart. Throws an
 * SmtpError, a TaskError if there is no password, or the signal's reason.
 */
export async function openConnection(server: SmtpServer, signal: AbortSignal): Promise<SmtpConnection> {
  signal.throwIfAborted();
  const login = server.login && { user: server.login.user, password: secretOf(server.login.password) };
  const clean = cleanerOf(login);
  const { connectMs, answerMs } = server;
  // nodemailer only reports complete answers in its log
  const logger = { debug: ({ tnx }: { readonly tnx?: string }) => void (tnx === "server" && session.onAnswer()) };
  const smtp = new SMTPConnection({ ...optionsOf(server), logger, transactionLog: true });
  const session: Session = { smtp, clean, answerMs, onAnswer() {} };
  const { promise: closed, resolve: onClosed } = Promise.withResolvers<void>();
  smtp.once("end", () => {
    const socket = socketOf(smtp);
    if (socket && !socket.closed) socket.once("close", () => onClosed());
    else onClosed();
  });
  let stage: Stage = "connect";
  const { promise: ready, resolve, reject } = Promise.withResolvers<void>();
  const fail = (error: NodemailerError) => reject(errorOf(error, stage, clean));
  onEnd(smtp, () => reject(new SmtpError("the connection was closed", { stage })));
  const onAbort = () => reject(signal.reason);
  const cancelWait = systemClock.after(connectMs, () => {
    const at = smtp.upgrading ? "secure" : stage;
    reject(new SmtpError(`the connection was not ready within ${connectMs} ms (connectMs)`, { stage: at }));
  });
  smtp.on("error", fail); // also for later errors, which `send` gets, too: without a listener they are thrown
  signal.addEventListener("abort", onAbort, { once: true });
  smtp.connect((error) => {
    if (error) return fail(error);
    if (!login) return resolve();
    stage = "login";
    return smtp.login({ user: login.user, pass: login.password }, (refused) => (refused ? fail(refused) : resolve()));
  });
  try {
    await ready;
  } catch (error) {
    smtp.close();
    await closed;
    throw error;
  } finally {
    cancelWait();
    signal.removeEventListener("abort", onAbort);
  }
  return {
    isUsable: () => !smtp.destroyed && socketOf(smtp)?.writable === true,
    closed,
    send: (mail, bounds) => send(session, mail, bounds),
    reset: () => reset(smtp),
    close() {
      if (!smtp.destroyed) {
        smtp.quit();
        systemClock.after(closeMs, () => smtp.close());
      }
      return closed;
    },
  };
}

/** The current socket; undefined: not created yet. STARTTLS replaces it. */
function socketOf({ _socket: socket }: SmtpSession) {
  return socket || undefined;
}

function optionsOf({ host, port, tls, ca, connectMs, answerMs }: SmtpServer): SMTPConnectionOptions {
  return {
    ...{ host, port, secure: tls === "tls", requireTLS: tls === "starttls", ignoreTLS: tls === "none" },
    tls: { rejectUnauthorized: true, ...(ca !== undefined && { ca }) },
    ...{ connectionTimeout: connectMs, greetingTimeout: connectMs, dnsTimeout: connectMs, socketTimeout: answerMs },
    ...{ socketCloseTimeout: closeMs, maxResponseSize: maxResponseBytes },
  };
}

function send(session: Session, mail: Mail, { signal, giveUpAt }: Bounds): Promise<Sent> {
  const { smtp, clean, answerMs } = session;
  return new Promise((resolve, reject) => {
    // nodemailer records the outcome for each recipient in the envelope
    const envelope: SMTPEnvelope & Partial<SMTPConnectionEnvelope> = {
      ...{ from: mail.from, to: [...mail.to], size: mail.bytes.byteLength },
    };
    let isWhole = false;
    let sentBytes = 0;
    // nodemailer reads it once the server has answered all recipients and waits for the mail
    const body = new Readable({
      read() {
        const deferred = envelope.rejectedErrors?.find(isDeferred);
        if (deferred) return abandon(errorOf(deferred, "send", clean, envelope.rejectedErrors));
        const response = sentBytes === 0 && smtp.lastServerResponse;
        if (response && !response.startsWith("354")) return abandon(outOfTurn(response));
        cancelWait(); // `giveUpAt` bounds the time to send the mail, and nodemailer bounds silence
        // in parts, so that a large mail does not count as sent before the server has read most of it
        this.push(mail.bytes.subarray(sentBytes, (sentBytes += partBytes)));
        if (sentBytes >= mail.bytes.byteLength) this.push(null);
        return undefined;
      },
    });
    body.once("end", () => {
      isWhole = true;
      waitForAnswer();
    });
    const forget = onEnd(smtp, () => abandon(new SmtpError("the connection was closed", { stage: stageOf() })));
    const stop = systemClock.after(giveUpAt - systemClock.now(), () => {
      abandon(new SmtpError("the server did not answer in time", { stage: stageOf() }));
    });
    let cancelWait = () => {};
    session.onAnswer = waitForAnswer;
    waitForAnswer();
    signal.addEventListener("abort", onAbort, { once: true });
    if (signal.aborted) return onAbort();

    smtp.send(envelope, body, (error, info) => {
      if (!error && !isWhole) return abandon(outOfTurn(info.response));
      end();
      if (error) {
        if (sentBytes > 0 && !isWhole) smtp.close(); // a partly sent mail cannot be aborted: its rest would be read as commands
        return reject(errorOf(error, stageOf(), clean));
      }
      const { accepted, rejectedErrors = [], response } = info;
      return resolve({
        accepted,
        rejected: rejectedErrors.map((one) => rejectionOf(one, clean)),
        response: clean(response),
      });
    });
    return undefined;

    function stageOf(): Stage {
      return isWhole ? "answer" : "send";
    }

    function outOfTurn(response: string): SmtpError {
      return new SmtpError(`the server sent an unexpected answer: ${clean(response)}`, { stage: "send" });
    }

    function waitForAnswer(): void {
      cancelWait();
      cancelWait = systemClock.after(answerMs, () => {
        abandon(new SmtpError(`no complete answer within ${answerMs} ms (answerMs)`, { stage: stageOf() }));
      });
    }

    /** A mail that was sent completely may have been accepted, so its answer is still awaited until `giveUpAt`. */
    function onAbort(): void {
      if (!isWhole) abandon(signal.reason);
    }

    /** Closes the connection: the server drops a mail without its end. */
    function abandon(reason: unknown): void {
      end();
      reject(reason);
      smtp.close();
    }

    function end(): void {
      stop();
      cancelWait();
      session.onAnswer = () => {};
      forget();
      signal.removeEventListener("abort", onAbort);
    }
  });
}

function reset(smtp: SmtpSession): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (isFit: boolean) => {
      cancel();
      forget();
      resolve(isFit);
    };
    const cancel = systemClock.after(closeMs, () => end(false));
    const forget = onEnd(smtp, () => end(false));
    smtp.reset((error) => end(error === null));
  });
}

/** Calls `action` when the connection is closed, after any callback of nodemailer that waits for an answer. */
function onEnd(smtp: SmtpSession, action: () => void): () => void {
  const listener = () => void setImmediate(action);
  smtp.once("end", listener);
  return () => void smtp.removeListener("end", listener);
}

function isDeferred({ responseCode }: NodemailerError): boolean {
  return responseCode !== undefined && responseCode < 500;
}

function errorOf(
  error: NodemailerError,
  stage: Stage,
  clean: Clean,
  refused: readonly NodemailerError[] = error.rejectedErrors ?? [],
): SmtpError {
  const { responseCode, response, originalCode } = error;
  // EMESSAGE: the mail is larger than the size that the server announced
  const code = responseCode ?? (error.code === "EMESSAGE" ? tooLarge : undefined);
  const isTls = stage === "connect" && (error.code === "ETLS" || tlsCodes.test(originalCode ?? error.code ?? ""));
  const text = response === undefined ? messageOf(error) || originalCode || error.code : response;
  return new SmtpError(clean(text ?? ""), {
    stage: isTls ? "secure" : stage === "answer" && code !== undefined ? "send" : stage,
    code,
    rejected: refused.map((one) => rejectionOf(one, clean)),
  });
}

function rejectionOf({ recipient = "", response = "" }: NodemailerError, clean: Clean): Rejection {
  return { address: recipient, response: clean(response) };
}
