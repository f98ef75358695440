/** Relays messages about resources between a suspect's process and the server, whose permits it uses. */
import type { Joining, Member, ResourceHost } from "../resources/host.ts";
import type { FromThread, ToThread } from "../resources/protocol.ts";

/** Sent by the process, with the number of its thread. */
export type RelayedMessage =
  | ({ readonly kind: "joined"; readonly thread: number } & Pick<Joining, "uses">)
  | { readonly kind: "left"; readonly thread: number }
  | { readonly kind: "resource"; readonly thread: number; readonly message: FromThread };

/** Sent by the server. */
export type RelayedAnswer = { readonly kind: "resource"; readonly thread: number; readonly message: ToThread };

/** The process's end: acts as the host for its pool. */
export function createRelay(post: (message: RelayedMessage) => void) {
  const threads = new Map<number, (message: ToThread) => void>();
  let last = 0;
  return {
    join({ uses, send }: Joining): Member {
      last += 1;
      const thread = last;
      threads.set(thread, send);
      post({ kind: "joined", thread, uses });
      return {
        receive: (message) => post({ kind: "resource", thread, message }),
        leave() {
          threads.delete(thread);
          post({ kind: "left", thread });
        },
      };
    },
    receive: ({ thread, message }: RelayedAnswer) => threads.get(thread)?.(message),
  };
}

/** The server's end: acts as the process's threads for the host. */
export function createRelayEnd(pool: string, host: Pick<ResourceHost, "join">, send: (message: RelayedAnswer) => void) {
  const members = new Map<number, Member>();
  let isClosed = false;
  return {
    receive(message: RelayedMessage): void {
      if (isClosed) return; // a message sent before the end may arrive after it, and a permit granted now would never be released
      const { thread } = message;
      if (message.kind === "resource") return members.get(thread)?.receive(message.message);
      if (message.kind === "joined") {
        const { uses } = message;
        const relay = (answer: ToThread) => send({ kind: "resource", thread, message: answer });
        members.set(thread, host.join({ pool, uses, probed: [], send: relay }));
        return;
      }
      members.get(thread)?.leave();
      members.delete(thread);
    },
    /** Releases everything, because the process has ended. */
    close(): void {
      isClosed = true;
      for (const member of members.values()) member.leave();
      members.clear();
    },
  };
}
