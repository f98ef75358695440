/** A real SMTP server on loopback that answers as a test asks it to, and keeps what it took. */
import { readFileSync } from "node:fs";
import type { AddressInfo, Socket } from "node:net";
import { type ParsedMail, simpleParser } from "mailparser";
import { SMTPServer, type SMTPServerSession } from "smtp-server";

/**
 * `take`: the usual answer. `drop`: the connection is cut without an answer. A text such as `550 5.1.1 no such user`:
 * that answer.
 */
export type Answer = "take" | "drop" | `${number} ${string}`;

/** What is being answered. `whole`: the server has read the mail to its end. */
export type Asked =
  | { readonly stage: "connect" | "from" | "body" }
  | { readonly stage: "login"; readonly user: string; readonly password: string }
  | { readonly stage: "to"; readonly address: string }
  | { readonly stage: "whole"; readonly mail: TakenMail };

export type TakenMail = {
  readonly from: string;
  readonly to: readonly string[];
  /** With its angle brackets. */
  readonly messageId: string;
  readonly raw: Buffer;
  readonly isEncrypted: boolean;
  parse(): Promise<ParsedMail>;
};

export type SmtpServerOptions = {
  /** Answers everything; a promise that stays pending keeps the client waiting. Default: takes all. */
  readonly answer?: (asked: Asked) => Answer | Promise<Answer>;
  /** `none` by default. `expired`: STARTTLS with a certificate that nobody trusts. */
  readonly tls?: "none" | "starttls" | "tls" | "expired";
  readonly port?: number;
  readonly withLogin?: boolean;
  /** The largest mail that it takes, as it announces it. */
  readonly sizeBytes?: number;
};

export type TestSmtpServer = {
  readonly port: number;
  /** What was answered with 250, in that order. */
  readonly taken: TakenMail[];
  /** How many connections there are, how many there were at most at once, and in all. */
  readonly connections: { readonly now: number; readonly most: number; readonly all: number };
  /** Cuts all connections. */
  cut(): void;
  close(): Promise<void>;
};

const certificates = new URL("../tasks/email/certificates/", import.meta.url);

/** The certificate of `starttls` and `tls`, which is its own authority. */
export const certificateFile = new URL("localhost.crt", certificates);

export async function openSmtpServer(options: SmtpServerOptions = {}): Promise<TestSmtpServer> {
  const { answer = () => "take", tls = "none", port = 0, withLogin = false, sizeBytes } = options;
  const taken: TakenMail[] = [];
  const greeted = new Set<string>();
  const connections = {
    ...{ most: 0, all: 0 },
    get now() {
      return greeted.size;
    },
  };
  const server = new SMTPServer({
    ...{ secure: tls === "tls", disabledCommands: disabledOf(tls, withLogin), authOptional: !withLogin },
    ...{ allowInsecureAuth: true, disableReverseLookup: true, logger: false, closeTimeout: 100 },
    ...(sizeBytes !== undefined && { size: sizeBytes, rejectOversized: true }),
    ...(tls !== "expired" && {
      cert: readFileSync(certificateFile),
      key: readFileSync(new URL("localhost.key", certificates)),
    }),
    onConnect(session, done) {
      greeted.add(session.id);
      connections.all += 1;
      connections.most = Math.max(connections.most, connections.now);
      reply({ stage: "connect" }, session, done);
    },
    onClose(session, done) {
      greeted.delete(session.id); // it may have gone before it was greeted
      done();
    },
    onAuth({ username, password }, session, done) {
      const user = username ?? "";
      reply({ stage: "login", user, password: password ?? "" }, session, (error) => done(error, { user }));
    },
    onMailFrom(_address, session, done) {
      reply({ stage: "from" }, session, done);
    },
    onRcptTo({ address }, session, done) {
      reply({ stage: "to", address }, session, done);
    },
    onData(stream, session, done) {
      const chunks: Buffer[] = [];
      stream.on("data", (chunk: Buffer) => {
        if (chunks.push(chunk) === 1) reply({ stage: "body" }, session, () => undefined);
      });
      stream.once("end", () => {
        const mail = takenMail(session, Buffer.concat(chunks));
        reply({ stage: "whole", mail }, session, (error) => {
          if (!error) taken.push(mail);
          done(error, `2.0.0 taken as ${taken.length}`);
        });
      });
    },
  });
  server.on("error", () => undefined); // of connections that are cut
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    port: (server.server.address() as AddressInfo).port,
    taken,
    connections,
    cut: () => server.connections.forEach(cut),
    close() {
      server.connections.forEach(cut);
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };

  function reply(asked: Asked, { id }: SMTPServerSession, done: (error: Error | null) => void): void {
    void Promise.resolve(answer(asked)).then((given) => {
      if (given === "take") return done(null);
      if (given === "drop") {
        for (const each of server.connections) if (each.id === id) cut(each);
        return undefined;
      }
      return done(Object.assign(new Error(given.slice(4)), { responseCode: Number(given.slice(0, 3)) }));
    });
  }
}

function cut({ _socket: socket }: { readonly _socket: Socket }): void {
  socket.destroy();
}

function disabledOf(tls: SmtpServerOptions["tls"], withLogin: boolean): string[] {
  return [...(tls === "none" ? ["STARTTLS"] : []), ...(withLogin ? [] : ["AUTH"])];
}

function takenMail({ envelope, secure }: SMTPServerSession, raw: Buffer): TakenMail {
  return {
    from: envelope.mailFrom ? envelope.mailFrom.address : "",
    to: envelope.rcptTo.map(({ address }) => address),
    messageId: /^Message-ID: (<[^>]*>)/im.exec(raw.toString("latin1"))?.[1] ?? "",
    raw,
    isEncrypted: secure,
    parse: () => simpleParser(raw),
  };
}
