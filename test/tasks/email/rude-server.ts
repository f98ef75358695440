/** An SMTP server that breaks the rules of SMTP: it says what a test wants it to, line by line. */
import { type AddressInfo, createServer, type Socket } from "node:net";
import type { TestContext } from "node:test";

export type RudeServer = {
  readonly port: number;
  /** The commands that it got, without their arguments. */
  readonly commands: string[];
  readonly connections: { all: number };
};

/** What it says to a command; undefined: the usual answer. `body`: the first bytes of a mail. */
export type Rude = (command: string, socket: Socket) => string | undefined;

const usual: { readonly [command: string]: string } = { DATA: "354 go on\r\n", body: "", ".": "250 taken\r\n" };

export async function openRudeServer(t: TestContext, rude: Rude): Promise<RudeServer> {
  const commands: string[] = [];
  const connections = { all: 0 };
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    connections.all += 1;
    sockets.add(socket);
    socket.on("error", () => {}); // of a client that is gone
    socket.setEncoding("latin1").write("220 rude\r\n");
    let isBody = false;
    let rest = "";
    socket.on("data", (text: string) => {
      if (isBody) answer("body");
      rest += text;
      for (let end = rest.indexOf("\r\n"); end >= 0; end = rest.indexOf("\r\n")) {
        const command = rest.slice(0, end).split(/[ :]/)[0]?.toUpperCase() ?? "";
        rest = rest.slice(end + 2);
        if (isBody && command !== ".") continue;
        isBody = command === "DATA";
        answer(command);
      }
    });
    const answer = (command: string) => {
      if (command !== "body") commands.push(command);
      const said = rude(command, socket) ?? usual[command] ?? "250 well\r\n";
      if (said !== "") socket.write(said);
    };
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return { port: (server.address() as AddressInfo).port, commands, connections };
}

/** Begins an answer and never ends it, though it goes on with it all the time. */
export function drip(socket: Socket): string {
  const timer = setInterval(() => void socket.write("250-and more\r\n"), 20);
  socket.once("close", () => clearInterval(timer));
  return "250-to begin with\r\n";
}
