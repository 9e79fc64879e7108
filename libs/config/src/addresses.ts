import { accepted, type Kind, type Parsed, rejected } from "./kind.ts";
import { list } from "./words.ts";

/** Where a process listens or is found. `host` has no brackets, also when it is an IPv6 address. */
export interface Endpoint {
  readonly host: string;
  /** 0 where a listener takes any free port. */
  readonly port: number;
}

/** `client` is for everyone; replica, cluster and raft services answer on `internal` only. */
export type ListenerName = "client" | "internal";

export interface Listener extends Endpoint {
  readonly name: ListenerName;
}

const listenerNames: readonly ListenerName[] = ["client", "internal"];

/** `host:port`, an IPv6 address in brackets. `anyPort`: 0 is allowed and takes a free one. */
export function endpoint(of: { readonly anyPort: boolean }): Kind<Endpoint> {
  const lowest = of.anyPort ? 0 : 1;
  return {
    form: `host:port, an IPv6 address in brackets, port from ${lowest} to 65535`,
    parse: (value) => parseEndpoint(value.trim(), lowest),
    format: formatEndpoint,
  };
}

/** `name://host:port` for each listener, each name once. */
export function listeners(of: {
  readonly anyPort: boolean;
  readonly names: readonly ListenerName[];
}): Kind<readonly Listener[]> {
  const all = list(listener(of));
  return {
    form: of.names.map((name) => `${name}://host:port`).join(","),
    format: (value) => all.format(value),
    parse: (value, context) => {
      const parsed = all.parse(value, context);
      if (!parsed.ok) return parsed;
      for (const name of of.names) {
        const count = parsed.value.filter((each) => each.name === name).length;
        if (count !== 1) return rejected(count === 0 ? `has no listener "${name}"` : `has "${name}" ${count} times`);
      }
      return parsed;
    },
  };
}

function listener(of: { readonly anyPort: boolean; readonly names: readonly ListenerName[] }): Kind<Listener> {
  return {
    form: "name://host:port",
    format: ({ name, ...at }) => `${name}://${formatEndpoint(at)}`,
    parse: (value): Parsed<Listener> => {
      const [scheme, rest, ...more] = value.split("://");
      const name = listenerNames.find((known) => known === scheme?.toLowerCase());
      if (rest === undefined || more.length > 0) return rejected("is not name://host:port");
      if (name === undefined) return rejected(`has no known name (${listenerNames.join(", ")})`);
      if (!of.names.includes(name)) return rejected(`names a listener that this service does not have`);
      const at = parseEndpoint(rest, of.anyPort ? 0 : 1);
      return at.ok ? accepted({ name, ...at.value }) : at;
    },
  };
}

export function formatEndpoint({ host, port }: Endpoint): string {
  return host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
}

/** All interfaces of the machine: to be listened on, never to be dialled. */
export function isWildcard({ host }: Endpoint): boolean {
  return host === "0.0.0.0" || host === "::" || host === "0:0:0:0:0:0:0:0";
}

export function isLoopback({ host }: Endpoint): boolean {
  return host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host);
}

function parseEndpoint(value: string, lowestPort: number): Parsed<Endpoint> {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(value);
  const host = match?.[1] ?? match?.[2];
  const port = Number(match?.[3]);
  if (host === undefined) return rejected("is not host:port");
  if (port < lowestPort || port > 65_535) return rejected(`has a port outside ${lowestPort} to 65535`);
  return accepted({ host: host.toLowerCase(), port });
}
