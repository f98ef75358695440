/** Both ends of the way of resources between a suspect's process and the server: its permits are the server's. */
import type { Joining, Member, ResourceHost } from "../resources/host.ts";
import type { FromThread, ToThread } from "../resources/words.ts";

/** What the process says of its threads, which are numbered. */
export type RelayedWord =
  | { readonly kind: "joined"; readonly thread: number }
  | { readonly kind: "left"; readonly thread: number }
  | { readonly kind: "resource"; readonly thread: number; readonly word: FromThread };

/** What the server answers. */
export type RelayedAnswer = { readonly kind: "resource"; readonly thread: number; readonly word: ToThread };

/** In the process: looks like the host to its pool. */
export function createRelay(say: (word: RelayedWord) => void) {
  const threads = new Map<number, (word: ToThread) => void>();
  let last = 0;
  return {
    join({ tell }: Joining): Member {
      last += 1;
      const thread = last;
      threads.set(thread, tell);
      say({ kind: "joined", thread });
      return {
        hear: (word) => say({ kind: "resource", thread, word }),
        leave() {
          threads.delete(thread);
          say({ kind: "left", thread });
        },
      };
    },
    hear: ({ thread, word }: RelayedAnswer) => threads.get(thread)?.(word),
  };
}

/** In the server: looks like the threads to the host. */
export function createRelayEnd(pool: string, host: Pick<ResourceHost, "join">, send: (word: RelayedAnswer) => void) {
  const members = new Map<number, Member>();
  let isClosed = false;
  return {
    hear(said: RelayedWord): void {
      if (isClosed) return; // what it sent before its end may come after it, and what it gets now it would never give back
      const { thread } = said;
      if (said.kind === "resource") return members.get(thread)?.hear(said.word);
      if (said.kind === "joined") {
        members.set(thread, host.join({ pool, probed: [], tell: (word) => send({ kind: "resource", thread, word }) }));
        return;
      }
      members.get(thread)?.leave();
      members.delete(thread);
    },
    /** The process is gone. */
    close(): void {
      isClosed = true;
      for (const member of members.values()) member.leave();
      members.clear();
    },
  };
}
