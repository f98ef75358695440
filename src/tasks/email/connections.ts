/** The connections of a worker thread to one SMTP server, with a permit for each that is open. */
import { systemClock } from "../../clock.ts";
import { messageOf } from "../../errors.ts";
import type { Permit, ResourceContext } from "../../pool/resource.ts";
import type { TaskContext } from "../../pool/task.ts";
import { type Connection, openConnection, type Sent } from "./connection.ts";
import type { Mail } from "./mail.ts";
import { createPace } from "./rate.ts";
import type { SmtpServer, SmtpSettings } from "./settings.ts";
import { SmtpError } from "./smtp-error.ts";

/** A server that is about to close the connection says so with this code, whatever it was asked. */
const closing = 421;
/** A probe has ten seconds: what it finds in less is reported of the server, and not of the resource as a whole. */
const longestProbeMs = 8_000;

export type SendingAttempt = Pick<TaskContext, "signal" | "span" | "progress"> & {
  /** When an answer is no longer waited for, in milliseconds since 1970. */
  readonly giveUpAt: number;
};

export type Connections = {
  /** Sends one mail over an open connection, or over a new one. Throws an SmtpError, or the signal's reason. */
  send(mail: Mail, attempt: SendingAttempt): Promise<Sent>;
  /** Connects, unless there is an open connection, and keeps the connection for mails. Rejects when the server is away. */
  probe(signal: AbortSignal): Promise<void>;
  /** Resolves when all are closed, on both sides. */
  close(): Promise<void>;
};

export function createConnections(name: string, server: SmtpServer, ctx: ResourceContext<SmtpSettings>): Connections {
  const permits = ctx.permits(name);
  const pace = createPace(name, server, ctx);
  const open = new Set<Connection>();
  /** Open ones without a mail, with what cancels the end of their wait; the last one was used last. */
  const idle: { readonly connection: Connection; readonly cancel: () => void }[] = [];
  /** Those that are made fit for another mail. */
  const resetting = new Set<Promise<void>>();
  permits.onWanted(closeIdle);

  async function send(mail: Mail, attempt: SendingAttempt): Promise<Sent> {
    await Promise.all(resetting); // a second at most; their permits may be the only ones
    const kept = takeIdle();
    const connection = kept ?? (await connect(attempt));
    try {
      return await sendOver(connection, mail, attempt);
    } catch (error) {
      // the server may have closed a connection that was idle while the mail was on its way, and never had all of it
      const isStale = kept !== undefined && error instanceof SmtpError && error.stage === "send";
      if (!isStale || !(error.code === undefined || error.code === closing)) throw error;
      if (attempt.signal.aborted || systemClock.now() >= attempt.giveUpAt) throw error;
    }
    return sendOver(await connect(attempt), mail, attempt);
  }

  async function connect({ signal, span, progress }: SendingAttempt): Promise<Connection> {
    progress(0, `connecting to ${name}`);
    const permit = await span("wait for a connection", () => permits.acquire(signal), { server: name });
    return await span("connect", () => openWith(permit, signal, server), { server: name });
  }

  async function openWith(permit: Permit, signal: AbortSignal, to: SmtpServer): Promise<Connection> {
    try {
      const connection = await openConnection(to, signal);
      ctx.report(name, undefined);
      open.add(connection);
      void connection.closed.then(() => {
        open.delete(connection);
        permit.release();
      });
      return connection;
    } catch (error) {
      permit.release();
      if (!signal.aborted) ctx.report(name, messageOf(error));
      throw error;
    }
  }

  async function sendOver(connection: Connection, mail: Mail, attempt: SendingAttempt): Promise<Sent> {
    try {
      await pace?.(attempt.signal);
      const sent = await attempt.span("send", () => connection.send(mail, attempt), { server: name });
      keep(connection);
      return sent;
    } catch (error) {
      const isRefused = error instanceof SmtpError && error.code !== undefined && error.code !== closing;
      if (isRefused && connection.isOpen) reset(connection);
      else connection.close();
      throw error;
    }
  }

  /** Beside the attempt, whose outcome is known. */
  function reset(connection: Connection): void {
    const ended = connection.reset().then((isFit) => (isFit ? keep(connection) : connection.close()));
    resetting.add(ended);
    void ended.then(() => resetting.delete(ended));
  }

  function keep(connection: Connection): void {
    const cancel = systemClock.after(server.idleMs, () => {
      idle.splice(
        idle.findIndex((each) => each.connection === connection),
        1,
      );
      connection.close();
    });
    idle.push({ connection, cancel });
  }

  function takeIdle(): Connection | undefined {
    for (let last = idle.pop(); last; last = idle.pop()) {
      last.cancel();
      if (last.connection.isOpen) return last.connection;
    }
    return undefined;
  }

  function closeIdle(): void {
    for (const { connection, cancel } of idle.splice(0)) {
      cancel();
      connection.close();
    }
  }

  async function probe(signal: AbortSignal): Promise<void> {
    const kept = takeIdle();
    if (kept) ctx.report(name, undefined);
    const connectMs = Math.min(server.connectMs, longestProbeMs);
    keep(kept ?? (await openWith(await permits.acquire(signal), signal, { ...server, connectMs })));
  }

  return {
    ...{ send, probe },
    async close() {
      closeIdle();
      for (const each of open) each.close();
      await Promise.all(Array.from(open, ({ closed }) => closed));
    },
  };
}
