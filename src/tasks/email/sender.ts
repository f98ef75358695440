/** Sends the mails of a worker thread to one SMTP server, over connections that stay open between them. */
import { systemClock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Permit, ResourceContext } from "../../pool/resource.ts";
import type { TaskContext } from "../../pool/task.ts";
import { createConnections } from "../connections/connections.ts";
import { openConnection, type Sent, type SmtpConnection } from "./connection.ts";
import type { Mail } from "./mail.ts";
import { createPace } from "./rate.ts";
import type { SmtpServer, SmtpSettings } from "./settings.ts";
import { SmtpError } from "./smtp-error.ts";

/** Reply code to any command when the server is about to close the connection. */
const closing = 421;
/** Shorter than the ten seconds of a probe, so that the server is reported and not the resource as a whole. */
const longestProbeMs = 8_000;

export type SendingAttempt = Pick<TaskContext, "signal" | "span" | "progress"> & {
  /** When the wait for an answer ends, in milliseconds since 1970. */
  readonly giveUpAt: number;
};

export type Sender = {
  /** Sends one mail over an open connection, or over a new one. Throws an SmtpError, or the signal's reason. */
  send(mail: Mail, attempt: SendingAttempt): Promise<Sent>;
  /** Opens a connection, unless one is open, and keeps it for mails. Rejects if the server is unavailable. */
  probe(signal: AbortSignal): Promise<void>;
  /** Resolves when all connections are closed on both sides. */
  close(): Promise<void>;
};

export function createSender(name: string, server: SmtpServer, ctx: ResourceContext<SmtpSettings>): Sender {
  const permits = ctx.permits(name);
  const connections = createConnections<SmtpConnection>({ permits, idleMs: server.idleMs });
  const pace = createPace(name, server, ctx);
  /** Connections that are being prepared for another mail. */
  const resetting = new Set<Promise<void>>();

  async function send(mail: Mail, attempt: SendingAttempt): Promise<Sent> {
    await Promise.all(resetting); // takes a second at most; their permits may be the only ones
    const kept = connections.takeIdle();
    const connection = kept ?? (await wait(attempt));
    try {
      return await sendOver(connection, mail, attempt);
    } catch (error) {
      // the server may have closed an idle connection while the mail was being sent, without receiving all of it
      const isStale = kept !== undefined && error instanceof SmtpError && error.stage === "send";
      if (!isStale || !(error.code === undefined || error.code === closing)) throw error;
      if (attempt.signal.aborted || systemClock.now() >= attempt.giveUpAt) throw error;
    }
    const permit = await waiting(attempt, () => permits.acquire(attempt.signal));
    return sendOver(await connect(permit, attempt), mail, attempt);
  }

  /** Waits for a connection that another mail of this thread releases, or opens a new one. */
  async function wait(attempt: SendingAttempt): Promise<SmtpConnection> {
    const next = await waiting(attempt, () => connections.next(attempt.signal));
    return "connection" in next ? next.connection : connect(next.permit, attempt);
  }

  function waiting<T>({ span, progress }: SendingAttempt, next: () => Promise<T>): Promise<T> {
    progress(0, `connecting to ${name}`);
    return span("wait for a connection", next, { server: name });
  }

  async function connect(permit: Permit, { signal, span }: SendingAttempt): Promise<SmtpConnection> {
    return await span("connect", () => connections.open(permit, () => openReported(signal, server)), { server: name });
  }

  async function openReported(signal: AbortSignal, to: SmtpServer): Promise<SmtpConnection> {
    try {
      const connection = await openConnection(to, signal);
      ctx.report(name, undefined);
      return connection;
    } catch (error) {
      if (!signal.aborted) ctx.report(name, messageOf(error));
      throw error;
    }
  }

  async function sendOver(connection: SmtpConnection, mail: Mail, attempt: SendingAttempt): Promise<Sent> {
    try {
      await pace?.(attempt.signal);
      const sent = await attempt.span("send", () => connection.send(mail, attempt), { server: name });
      void connections.release(connection);
      return sent;
    } catch (error) {
      const isRefused = error instanceof SmtpError && error.code !== undefined && error.code !== closing;
      if (isRefused && connection.isUsable()) reset(connection);
      else void connection.close();
      throw error;
    }
  }

  /** Runs in the background, because the outcome of the attempt is known. */
  function reset(connection: SmtpConnection): void {
    const ended = connection
      .reset()
      .then((isReady) => (isReady ? connections.release(connection) : connection.close()));
    resetting.add(ended);
    void ended.then(() => resetting.delete(ended));
  }

  async function probe(signal: AbortSignal): Promise<void> {
    const kept = connections.takeIdle();
    if (kept) ctx.report(name, undefined);
    const connectMs = Math.min(server.connectMs, longestProbeMs);
    const openOne = async () =>
      connections.open(await permits.acquire(signal), () => openReported(signal, { ...server, connectMs }));
    await connections.release(kept ?? (await openOne()));
  }

  return {
    ...{ send, probe },
    async close() {
      await connections.close();
      await Promise.all(resetting);
    },
  };
}
