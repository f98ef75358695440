/** Pages of the HTTP port beside its RPCs. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, describe, test } from "node:test";
import { version } from "../../src/version.ts";
import { openServer } from "./fixtures.ts";
import { portOf, sendRaw } from "./raw.ts";

const server = await openServer();
after(() => server.remove());
const at = (path: string) => `http://${server.httpAddress}${path}`;
const get = async (path: string, headers: Record<string, string> = {}) => {
  const response = await fetch(at(path), { headers });
  return { response, body: await response.text() };
};
const paths = ["/", "/healthz", "/readyz"];

describe("every page", () => {
  for (const path of paths) {
    test(`answers GET and HEAD with the same head, and any other method 405: ${path}`, async () => {
      const { response, body } = await get(path);
      const head = await fetch(at(path), { method: "HEAD" });
      assert.deepEqual([response.status, head.status, await head.text()], [200, 200, ""]);
      for (const name of ["content-type", "content-length", "cache-control", "x-content-type-options"])
        assert.equal(head.headers.get(name), response.headers.get(name), name);
      assert.equal(Number(response.headers.get("content-length")), Buffer.byteLength(body));
      assert.equal(response.headers.get("cache-control"), "no-store");
      for (const method of ["POST", "PUT", "DELETE", "OPTIONS"]) {
        const refused = await fetch(at(path), { method });
        assert.deepEqual([refused.status, refused.headers.get("allow")], [405, "GET, HEAD"]);
        assert.match(await refused.text(), new RegExp(`"${method} is not for this page: use GET or HEAD"`));
      }
    });

    test(`is the same with a query: ${path}`, async () => {
      for (const method of ["GET", "HEAD"]) {
        const response = await fetch(at(`${path}?x=1`), { method });
        assert.equal(response.status, 200);
        assert.equal((await response.text()) === "", method === "HEAD");
      }
    });

    test(`is held to the names and origins of the port: ${path}`, async () => {
      const raw = (host: string, more = "") =>
        sendRaw(
          portOf(server.httpAddress),
          `GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${more}Connection: close\r\n\r\n`,
        );
      assert.match(await raw("evil.example"), /^HTTP\/1\.1 403 [^]*host_not_allowed|^HTTP\/1\.1 403 /);
      assert.match(await raw("localhost", "Origin: http://evil.example\r\n"), /^HTTP\/1\.1 403 /);
      assert.match(await raw("localhost"), /^HTTP\/1\.1 200 /);
    });
  }

  test("of probes answers HTTP/1.0 without a host; the one for people does not", async () => {
    const raw = (path: string) => sendRaw(portOf(server.httpAddress), `GET ${path} HTTP/1.0\r\n\r\n`);
    for (const path of ["/healthz", "/readyz"]) assert.match(await raw(path), /^HTTP\/1\.1 200 /);
    assert.match(await raw("/"), /^HTTP\/1\.1 400 /);
  });
});

describe("the page at /", () => {
  const services = ["millpond.v1.WorkerPoolService", "millpond.v1.AdminService", "grpc.health.v1.Health"];

  test("is text for curl, with calls that work as they stand there", async () => {
    const { response, body } = await get("/", { accept: "*/*" });
    assert.equal(response.headers.get("content-type"), "text/plain; charset=utf-8");
    for (const said of [`Millpond ${version}`, ...services, "/healthz", "/readyz", "echo", "docs/protocol.md"])
      assert.ok(body.includes(said), said);
    assert.ok(body.includes(`grpcurl -plaintext ${server.grpcAddress} list`));
    const calls = [...body.matchAll(/curl --json '(.*)' (http:\S+)/g)];
    assert.equal(calls.length, 2);
    for (const [, json = "", url = ""] of calls) {
      const answer = await fetch(url, { method: "POST", headers: { "content-type": "application/json" }, body: json });
      assert.equal(answer.status, 200, url);
    }
  });

  test("is JSON for programs", async () => {
    const { response, body } = await get("/", { accept: "application/json" });
    const facts = JSON.parse(body);
    assert.equal(response.headers.get("content-type"), "application/json");
    assert.equal(facts.version, version);
    assert.deepEqual(Object.keys(facts.pages), ["/healthz", "/readyz", "/metrics", "/"]);
    assert.deepEqual(new Set(facts.tasks).size, facts.tasks.length);
    for (const name of ["echo", "sleep", "gate", "blob"]) assert.ok(facts.tasks.includes(name));
    for (const name of services) assert.ok(facts.services.some((service: { name: string }) => service.name === name));
  });

  test("is HTML for browsers, which are told to load and run nothing but its style", async () => {
    const { response, body } = await get("/", { accept: "text/html,application/xhtml+xml,*/*;q=0.8" });
    assert.equal(response.headers.get("content-type"), "text/html; charset=utf-8");
    const policy = response.headers.get("content-security-policy") ?? "";
    const style = /<style>([^<]*)<\/style>/.exec(body)?.[1] ?? "";
    assert.ok(policy.startsWith("default-src 'none'; "));
    assert.ok(policy.includes(`style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'`));
    assert.match(policy, /frame-ancestors 'none'/);
    assert.doesNotMatch(body, /<script|\bon\w+=|src=|https?:\/\/(?!127\.0\.0\.1)/);
    for (const path of ["/healthz", "/readyz"]) assert.ok(body.includes(`<a href="${path}">`));
    assert.doesNotMatch(body, /[{]"job"/, "quotes are escaped");
  });

  test("takes the name that it was asked under, which is a name and never markup", async () => {
    const raw = (host: string) =>
      sendRaw(
        portOf(server.httpAddress),
        `GET / HTTP/1.1\r\nHost: ${host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n`,
      );
    assert.match(await raw("jobs.localhost:81"), /http:\/\/jobs\.localhost:81\/millpond/);
    assert.match(await raw("<b>.localhost"), /^HTTP\/1\.1 400 /);
  });
});
