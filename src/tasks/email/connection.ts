/** One connection to an SMTP server, and what can go wrong on it. */
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
  /** Sends one mail. Throws an SmtpError, or the signal's reason when that aborts before the mail is whole. */
  send(mail: Mail, bounds: Bounds): Promise<Sent>;
  /** Prepares it for another mail after a refused one; false: it is not ready, or not soon. */
  reset(): Promise<boolean>;
};

type Clean = (text: string) => string;

/** Bounds the wait for answers: nodemailer bounds silence only, which a line now and then interrupts for ever. */
type Session = {
  readonly smtp: SmtpSession;
  readonly clean: Clean;
  readonly answerMs: number;
  /** Called at each answer once it is whole. */
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

/** How long the server may take to close its side, or to be ready for another mail. */
const closeMs = 1000;
const partBytes = 64 * 1024;
const maxResponseBytes = 64 * 1024;
/** What a server answers to a mail that is too large. */
const tooLarge = 552;
/** Codes of a certificate that is not trusted, and of other handshakes that fail. */
const tlsCodes = /^(?:ERR_TLS|ERR_SSL|EPROTO$|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|INVALID_|PATH_LENGTH|HOSTNAME_)/;

/**
 * Connects, secures and logs in. The password is read each time, so that a new one needs no restart. Throws an SmtpError, a
 * TaskError if there is no password, or the signal's reason.
 */
export async function openConnection(server: SmtpServer, signal: AbortSignal): Promise<SmtpConnection> {
  signal.throwIfAborted();
  const login = server.login && { user: server.login.user, password: secretOf(server.login.password) };
  const clean = cleanerOf(login);
  const { connectMs, answerMs } = server;
  // nodemailer reports only in its log that an answer is complete
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
    reject(new SmtpError(`it is not ready within ${connectMs} ms (connectMs)`, { stage: at }));
  });
  smtp.on("error", fail); // also later errors, which `send` gets too: without a listener they would be thrown
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

/** Undefined: not made yet. STARTTLS replaces it with another. */
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
    // nodemailer notes in the envelope what became of each recipient
    const envelope: SMTPEnvelope & Partial<SMTPConnectionEnvelope> = {
      ...{ from: mail.from, to: [...mail.to], size: mail.bytes.byteLength },
    };
    let isWhole = false;
    let given = 0;
    // read when the server has answered all recipients and waits for the mail
    const body = new Readable({
      read() {
        const deferred = envelope.rejectedErrors?.find(isDeferred);
        if (deferred) return abandon(errorOf(deferred, "send", clean, envelope.rejectedErrors));
        const said = given === 0 && smtp.lastServerResponse;
        if (said && !said.startsWith("354")) return abandon(outOfTurn(said));
        cancelWait(); // how long the mail takes is for `giveUpAt`, and silence for nodemailer
        // in parts, so that a large mail does not count as whole before the server has read most of it
        this.push(mail.bytes.subarray(given, (given += partBytes)));
        if (given >= mail.bytes.byteLength) this.push(null);
        return undefined;
      },
    });
    body.once("end", () => {
      isWhole = true;
      waitForAnswer();
    });
    const forget = onEnd(smtp, () => abandon(new SmtpError("the connection was closed", { stage: stageOf() })));
    const stop = systemClock.after(giveUpAt - systemClock.now(), () => {
      abandon(new SmtpError("it did not answer in time", { stage: stageOf() }));
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
        if (given > 0 && !isWhole) smtp.close(); // the rest of the mail is on its way, and would be taken for commands
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
      return new SmtpError(`it answers out of turn: ${clean(response)}`, { stage: "send" });
    }

    function waitForAnswer(): void {
      cancelWait();
      cancelWait = systemClock.after(answerMs, () => {
        abandon(new SmtpError(`no whole answer within ${answerMs} ms (answerMs)`, { stage: stageOf() }));
      });
    }

    /** A complete mail may have been accepted, so its answer is still awaited, until the thread has to end. */
    function onAbort(): void {
      if (!isWhole) abandon(signal.reason);
    }

    /** Without the end of the mail, the server drops what it has of it. */
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

/** Calls back when the connection is closed, after nodemailer has called back whoever waits for an answer, if it does. */
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
  const code = responseCode ?? (error.code === "EMESSAGE" ? tooLarge : undefined); // by the size that the server announced
  const isTls = stage === "connect" && (error.code === "ETLS" || tlsCodes.test(originalCode ?? error.code ?? ""));
  const said = response === undefined ? messageOf(error) || originalCode || error.code : response;
  return new SmtpError(clean(said ?? ""), {
    stage: isTls ? "secure" : stage === "answer" && code !== undefined ? "send" : stage,
    code,
    rejected: refused.map((one) => rejectionOf(one, clean)),
  });
}

function rejectionOf({ recipient = "", response = "" }: NodemailerError, clean: Clean): Rejection {
  return { address: recipient, response: clean(response) };
}
