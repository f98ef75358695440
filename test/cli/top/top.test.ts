/** `millpond top` at a terminal and in a pipe. */
import assert from "node:assert/strict";
import { suite, type TestContext, test } from "node:test";
import { startFakeServer } from "../../clients/typescript/fake-server.ts";
import { runHere } from "../here.ts";
import { assertRestored, runAtTerminal, withoutTerminal } from "../pseudo-terminal.ts";
import { mainFile, outputOf } from "../run.ts";
import { until } from "../../support/until.ts";

/** A server that sends one snapshot to each watch. */
async function startServer(t: TestContext) {
  const server = await startFakeServer();
  t.after(() => server.stop());
  return server;
}

/** `top`, once it has drawn a frame. */
async function startTop(t: TestContext) {
  const server = await startServer(t);
  const run = runAtTerminal([mainFile, "top", "--interval", "100", "--address", server.address]);
  t.after(() => {
    server.stop();
    return run.ended;
  });
  const drawn = await run.wrote(/\? help/);
  return { server, run, drawn };
}

suite("top at a terminal", { skip: withoutTerminal }, () => {
  for (const [name, key] of [
    ["q", "q"],
    ["Esc", "\u001b"],
    ["Ctrl-C", "\u0003"],
  ] as const) {
    test(`${name} quits it with exit code 0 and leaves the terminal as it was`, async (t) => {
      const { run } = await startTop(t);
      run.press(key);
      assert.equal(await run.ended, 0);
      assertRestored(run);
    });
  }

  test("keys change what is shown", async (t) => {
    const { run, drawn } = await startTop(t);
    run.press("p");
    const paused = await run.wrote(/paused/, drawn);
    run.press("\t\u001b[C");
    const sorted = await run.wrote(/WAIT P50↓/, paused);
    run.press("?");
    await run.wrote(/press any key to return/, sorted);
    run.press("q");
    assert.equal(await run.ended, 0);
  });

  test("another size of the terminal draws it again for that size", async (t) => {
    const { run, drawn } = await startTop(t);
    run.resize(60, 12);
    await run.wrote(/ sort by +\.\.\./, drawn);
    run.press("q");
    assert.equal(await run.ended, 0);
  });

  for (const [signal, exitCode] of [
    ["SIGINT", 130],
    ["SIGTERM", 143],
    ["SIGHUP", 129],
  ] as const) {
    test(`${signal} ends it and leaves the terminal as it was`, async (t) => {
      const { run } = await startTop(t);
      run.signal(signal);
      assert.equal(await run.ended, exitCode);
      assertRestored(run);
    });
  }

  test("q quits it at once while the server does not answer", async (t) => {
    const { server, run } = await startTop(t);
    const asked = new Promise<void>((resolve) => {
      server.behaviour.onUnary.listClients = () => {
        resolve();
        return new Promise(() => undefined);
      };
    });
    server.cut();
    await asked;
    const pressedMs = performance.now();
    run.press("q");
    assert.equal(await run.ended, 0);
    assert.ok(performance.now() - pressedMs < 15_000, "it does not wait for the call's deadline of 30 s");
    assertRestored(run);
  });

  test("an error ends it in one line below what stood there, and leaves the terminal as it was", async (t) => {
    const { server, run } = await startTop(t);
    server.cut(7);
    assert.equal(await run.ended, 1);
    assertRestored(run);
    assert.match(run.output.slice(run.output.lastIndexOf("\u001b[?1049l")), /^\S+lmillpond: cut by the test\r\n/);
  });

  test("a server that goes away is said, and top goes on by itself when it is back", async (t) => {
    const { server, run, drawn } = await startTop(t);
    const silent = await run.wrote(/no answer for .*: reconnecting/, drawn);
    await server.restart();
    await run.wrote(/\u001b\[H\u001b\[2Kup 1\.5 s; 12 queued/, silent);
    run.press("q");
    assert.equal(await run.ended, 0);
    assertRestored(run);
  });

  test("no server leaves the terminal alone", async () => {
    const run = runAtTerminal([mainFile, "top", "--address", "127.0.0.1:1"]);
    assert.equal(await run.ended, 1);
    assert.match(run.output, /millpond: no server answers at 127\.0\.0\.1:1/);
    assert.doesNotMatch(run.output, /\u001b\[\?1049h/);
  });
});

suite("top in a pipe", () => {
  const piped = async (t: TestContext, ...flags: readonly string[]) => {
    const server = await startServer(t);
    return outputOf(await runHere(["top", "--count", "1", ...flags, "--address", server.address]));
  };

  test("prints the tables of each snapshot", async (t) => {
    const output = await piped(t);
    assert.match(output, /^up 1\.5 s; 12 queued; /);
    assert.match(output, /^ {2}POOL +QUEUED\/MAX/m);
    assert.doesNotMatch(output, /\u001b/);
  });

  test("prints a line of JSON for each snapshot with --json", async (t) => {
    const lines = (await piped(t, "--json")).split("\n");
    assert.equal(lines.length, 1);
    const { pools, clients } = JSON.parse(lines[0] ?? "");
    assert.equal(pools[0].queued, 12);
    assert.equal(clients.length, 1, "its own: this server does not list the others");
  });

  test("shows the busiest clients of a server that lists them", async (t) => {
    const server = await startServer(t);
    server.behaviour.onUnary.listClients = () => ({ clients: [{ client: "a", accepted: 3n }, { client: "b" }] });
    const output = outputOf(await runHere(["top", "--count", "1", "--address", server.address]));
    assert.match(output, /^ {2}a +3 +0 .*\n {2}b +0 +0 /m);
  });

  test("goes on over a lost connection, and ends after --count snapshots", async (t) => {
    const server = await startServer(t);
    const running = runHere(["top", "--json", "--count", "2", "--interval", "100", "--address", server.address]);
    await until(() => server.metadata.length > 0); // it asks for the clients when it has a snapshot
    await server.restart();
    assert.equal(outputOf(await running).split("\n").length, 2);
  });
});
