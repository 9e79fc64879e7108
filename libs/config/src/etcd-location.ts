import { type Endpoint, endpoint } from "./addresses.ts";
import { accepted, type Parsed, rejected } from "./kind.ts";
import { list } from "./words.ts";

/** Where an etcd cluster is, and above which keys. */
export interface EtcdLocation {
  readonly endpoints: readonly Endpoint[];
  /** Undefined: the one of `consensus.etcd.prefix`. */
  readonly prefix: string | undefined;
}

/** What stands before every key: parts behind single slashes. */
export const etcdPrefixPattern = /^(?:\/[!-.0-~]+)+$/;

const members = list(endpoint({ anyPort: false }), { min: 1 });

/** What follows `etcd://`: `host:port,host:port/prefix`, the prefix or not. */
export function parseEtcdLocation(location: string): Parsed<EtcdLocation> {
  const slash = location.indexOf("/");
  const hosts = slash === -1 ? location : location.slice(0, slash);
  const prefix = slash === -1 ? undefined : location.slice(slash);
  if (prefix !== undefined && !etcdPrefixPattern.test(prefix)) return rejected("has a prefix that is not /part/part");
  const endpoints = members.parse(hosts, { baseDirectory: "/" });
  return endpoints.ok ? accepted({ endpoints: endpoints.value, prefix }) : endpoints;
}
