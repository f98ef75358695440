/** Holds deploy/compose.yaml to the product: what it names must be there, and what it promises must hold. */
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { suite, test } from "node:test";
import { closeMs, configOf, deploy, msOf, needs, readOne, runs, type Yaml } from "./files.ts";

const compose: Yaml = readOne("compose.yaml");

suite("compose.yaml", () => {
  const { millpond } = compose.services;
  const services = Object.entries<Yaml>(compose.services);

  test("publishes ports on loopback only, and those that the server listens on", () => {
    for (const [name, { ports }] of services)
      for (const port of ports) assert.match(port, /^127\.0\.0\.1:\d+:\d+$/, name);
    const { grpc, http } = configOf(ownSettings(millpond.environment));
    assert.deepEqual(
      millpond.ports.map((port: string) => Number(port.split(":").at(-1))),
      [grpc.port, http.port],
    );
  });

  test("gives settings that the server takes, and reaches it from its neighbours", () => {
    const { grpc, http } = configOf(ownSettings(millpond.environment));
    assert.deepEqual([grpc.host, http.host], ["0.0.0.0", "0.0.0.0"]);
  });

  test("leaves time to drain", () => {
    const { drainMs, graceMs } = configOf(ownSettings(millpond.environment));
    assert.ok(msOf(millpond.stop_grace_period) >= drainMs + graceMs + closeMs);
  });

  test("mounts what is there: files of this folder, and volumes that it declares", () => {
    for (const [name, { volumes = [] }] of services) {
      for (const volume of volumes) {
        const [source, target] = (volume as string).split(":") as [string, string];
        if (source.startsWith(".")) assert.ok(existsSync(join(deploy, source)), `${name}: ${source}`);
        else assert.ok(source in compose.volumes, `${name}: ${source}`);
        assert.match(target, /^\//);
      }
    }
    assert.ok(millpond.volumes.includes("millpond-data:/data"), "where the image keeps its data");
  });

  test("sends traces to Jaeger, and shows Prometheus and Jaeger in Grafana", () => {
    const endpoint = new URL(millpond.environment.OTEL_EXPORTER_OTLP_ENDPOINT);
    assert.ok(endpoint.hostname in compose.services);
    const { datasources } = readOne("grafana/provisioning/datasources/millpond.yaml");
    for (const { url } of datasources) assert.ok(new URL(url).hostname in compose.services, url);
    const [{ options }] = readOne("grafana/provisioning/dashboards/millpond.yaml").providers;
    const { grafana } = compose.services;
    assert.ok(grafana.volumes.some((volume: string) => volume.includes(`:${options.path}/`)));
    assert.ok(grafana.environment.GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH.startsWith(`${options.path}/`));
  });

  test("has Prometheus scrape the HTTP port, with the rules beside its configuration", () => {
    const { prometheus } = compose.services;
    const [, path = ""] = /^--config\.file=\/etc\/prometheus\/(.*)$/.exec(prometheus.command[0]) ?? [];
    const { scrape_configs: scrapes, rule_files: rules } = readOne(`prometheus/${path}`);
    const { http } = configOf(ownSettings(millpond.environment));
    for (const { static_configs: targets, metrics_path: at = "/metrics" } of scrapes) {
      assert.equal(at, "/metrics");
      assert.deepEqual(targets[0].targets, [`millpond:${http.port}`]);
    }
    for (const rule of rules) assert.ok(existsSync(join(deploy, "prometheus", rule)), rule);
  });

  test("lets no container gain rights, and Millpond's not write to its image", () => {
    for (const [name, service] of services) {
      assert.deepEqual([service.cap_drop, service.security_opt], [["ALL"], ["no-new-privileges:true"]], name);
    }
    assert.equal(millpond.read_only, true);
  });

  test("is what docker compose reads", { skip: needs(["docker", "compose", "version"]) }, () => {
    runs(["docker", "compose", "--file", join(deploy, "compose.yaml"), "config", "--quiet"]);
  });
});

/** Settings of the server among a container's variables. */
function ownSettings(environment: { readonly [name: string]: string }): { [name: string]: string } {
  return Object.fromEntries(Object.entries(environment).filter(([name]) => name.startsWith("MILLPOND_")));
}
