/** The permits of each server of the resource `smtp`: for its connections and for its rate. */
import { systemClock } from "../../clock.ts";
import type { ResourceContext } from "../../pool/resource.ts";
import type { SmtpServer, SmtpSettings } from "./settings.ts";

/** For each server, permits for connections under its name, and others for its rate if it has one. */
export function permitsOf({ servers }: SmtpSettings): { [name: string]: number } {
  const permits: { [name: string]: number } = {};
  for (const [name, server] of Object.entries(servers)) {
    permits[name] = server.connections;
    const rate = rateOf(server);
    if (rate) permits[rateName(name)] = rate.permits;
  }
  return permits;
}

/** A function that waits until the rate allows another mail; undefined: the server has no rate. */
export function createPace(name: string, server: SmtpServer, { permits }: Pick<ResourceContext<unknown>, "permits">) {
  const rate = rateOf(server);
  if (!rate) return undefined;
  const sends = permits(rateName(name));
  return async (signal: AbortSignal): Promise<void> => {
    const permit = await sends.acquire(signal);
    systemClock.after(rate.perMs, () => permit.release());
  };
}

/**
 * Each mail takes a permit and releases it after `perMs`, so no period of that length has more mails than there are
 * permits.
 */
function rateOf({ perSecond }: SmtpServer): { readonly permits: number; readonly perMs: number } | undefined {
  if (perSecond === undefined) return undefined;
  const permits = Math.max(1, Math.floor(perSecond / 10));
  return { permits, perMs: (permits * 1000) / perSecond };
}

function rateName(server: string): string {
  return `${server} rate`;
}
