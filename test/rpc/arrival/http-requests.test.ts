import assert from "node:assert/strict";
import type { IncomingMessage } from "node:http";
import { Readable } from "node:stream";
import { test } from "node:test";
import { counted } from "../../../src/rpc/arrival/http-requests.ts";
import { createRequestBudget } from "../../../src/rpc/arrival/request-budget.ts";
import { createFakeClock } from "../../support/fake-clock.ts";
import { keptLog } from "../../support/samples.ts";
import { envelope } from "./raw-requests.ts";

const { log } = keptLog();
const mib = 1024 * 1024;
const stallMs = 30_000;

for (const contentType of ["application/connect+proto", "Application/Connect+proto", "APPLICATION/GRPC-WEB+PROTO"]) {
  test(`a body of ${contentType} is counted beyond the size of one message, and cut when it stalls`, async () => {
    const clock = createFakeClock();
    const cuts: string[] = [];
    const budget = createRequestBudget({ bytes: 32 * mib, stallMs, clock, log, onCut: (reason) => cuts.push(reason) });
    const stopped = Promise.withResolvers<undefined>();
    async function* body(): AsyncGenerator<Uint8Array> {
      for (let count = 0; count < 6; count += 1) yield envelope(mib);
      yield envelope(mib, 1_000);
      await stopped.promise;
    }
    const request = Object.assign(Readable.from(body()), {
      headers: { "content-type": contentType },
      socket: { destroy: () => undefined },
    }) as unknown as IncomingMessage;

    const chunks = counted(request, { budget, messageBytes: 4 * mib });
    for (let count = 0; count < 7; count += 1) await chunks.next();
    clock.advance(stallMs * 1.2);
    assert.deepEqual(cuts, ["stalled"]);
    stopped.resolve(undefined);
    await chunks.next();
  });
}
