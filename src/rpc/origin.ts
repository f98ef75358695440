/** The names under which the HTTP port answers. */
import { refusal } from "../errors.ts";

const authority = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/;
const maxQuoted = 100;

/** The name or address in a `Host` header, or in `:authority` of HTTP/2, in lower case, without brackets and port. */
export function parseHost(value: string | undefined): string {
  const [, name, port] = authority.exec(value ?? "") ?? [];
  if (name === undefined || Number(port ?? 0) > 65_535 || !URL.canParse(`http://${value}`)) {
    const quoted = value === undefined ? "there is no Host" : `Host "${value.slice(0, maxQuoted)}"`;
    throw refusal("malformed_request", [`${quoted}: it must be a name or an address, and may have a port`]);
  }
  return name.toLowerCase().replace(/^\[|\]$|\.$/g, "");
}
