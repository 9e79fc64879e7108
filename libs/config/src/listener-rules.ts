import {
  type Endpoint,
  formatEndpoint,
  isLoopback,
  isWildcard,
  type Listener,
  type ListenerName,
} from "./addresses.ts";
import type { Finding, Rule } from "./schema.ts";

/** What says how TLS is spoken on one listener. */
type TlsKeys<Name extends ListenerName> = Readonly<
  Record<`listener.name.${Name}.tls.${"cert" | "key" | "ca" | "client.auth"}`, string | undefined>
>;

/** `none`: certificates of clients are not asked for. `required`: only clients with one from the `ca` get in. */
export type ClientAuth = "none" | "required";

/** No address stands for two things. Port 0 is a different free port each time. */
export const portsDiffer: Rule<{
  readonly listeners: readonly Listener[];
  readonly "metrics.listener": Endpoint | undefined;
}> = {
  needs: ["listeners", "metrics.listener"],
  check: ({ listeners, "metrics.listener": metrics }) => {
    const findings: Finding[] = [];
    const taken = new Map<string, string>();
    const take = (keys: readonly string[], name: string, at: Endpoint) => {
      if (at.port === 0) return;
      const holder = taken.get(formatEndpoint(at));
      taken.set(formatEndpoint(at), name);
      if (holder === undefined) return;
      const reason = `gives ${formatEndpoint(at)} to ${holder} and to ${name}`;
      findings.push({ keys, reason, remedy: "Give each its own port.", severity: "error" });
    };
    for (const listener of listeners) take(["listeners"], `the listener "${listener.name}"`, listener);
    if (metrics !== undefined) take(["metrics.listener", "listeners"], "the metrics", metrics);
    return findings;
  },
};

/** What others are told must be an address that can be dialled, of a listener that exists. */
export const advertisedCanBeDialled: Rule<{
  readonly listeners: readonly Listener[];
  readonly "advertised.listeners": readonly Listener[] | undefined;
}> = {
  needs: ["listeners", "advertised.listeners"],
  check: ({ listeners, "advertised.listeners": advertised }) => {
    const wildcard = (advertised ?? listeners).find(isWildcard);
    if (wildcard === undefined) return [];
    return [
      {
        keys: advertised === undefined ? ["listeners"] : ["advertised.listeners"],
        reason: `would have others dial ${formatEndpoint(wildcard)}, which names no machine`,
        remedy: `Set advertised.listeners to addresses that reach this process, ${wildcard.name}://host:port for each.`,
        severity: "error",
      },
    ];
  },
};

/** A certificate goes with its key; asking clients for certificates needs both, and the authority to check them by. */
export function tlsIsWhole<Name extends ListenerName>(name: Name): Rule<TlsKeys<Name>> {
  const key = <Last extends string>(last: Last) => `listener.name.${name}.tls.${last}` as const;
  const [cert, privateKey, ca, auth] = [key("cert"), key("key"), key("ca"), key("client.auth")] as const;
  return {
    needs: [cert, privateKey, ca, auth],
    check: (given) => {
      const values: Readonly<Record<string, string | undefined>> = given;
      const findings: Finding[] = certificateGoesWithKey(values, cert, privateKey);
      if (values[auth] !== "required") return findings;
      for (const needed of [cert, ca].filter((each) => values[each] === undefined)) {
        const remedy = `Set ${needed}, or ${auth} to none.`;
        findings.push({ keys: [auth, needed], reason: `needs ${needed}`, remedy, severity: "error" });
      }
      return findings;
    },
  };
}

/** The same for the certificate that a process shows when it dials others. */
export function identityIsWhole<Prefix extends "peer" | "server" | "consensus.etcd">(
  prefix: Prefix,
): Rule<Readonly<Record<`${Prefix}.tls.${"ca" | "cert" | "key"}`, string | undefined>>> {
  const key = <Last extends string>(last: Last) => `${prefix}.tls.${last}` as const;
  return {
    needs: [key("ca"), key("cert"), key("key")],
    check: (given) => {
      const values: Readonly<Record<string, string | undefined>> = given;
      const findings = certificateGoesWithKey(values, key("cert"), key("key"));
      if (values[key("cert")] !== undefined && values[key("ca")] === undefined) {
        const reason = `is never shown without ${key("ca")}, which turns TLS on`;
        findings.push({ keys: [key("cert"), key("ca")], reason, remedy: `Set ${key("ca")}.`, severity: "error" });
      }
      return findings;
    },
  };
}

/** A user of etcd has a name and a password. */
export const etcdUserIsWhole: Rule<
  Readonly<Record<"consensus.etcd.username" | "consensus.etcd.password", string | undefined>>
> = {
  needs: ["consensus.etcd.username", "consensus.etcd.password"],
  check: (values) => {
    const [user, password] = ["consensus.etcd.username", "consensus.etcd.password"] as const;
    if ((values[user] === undefined) === (values[password] === undefined)) return [];
    const [present, absent] = values[user] === undefined ? [password, user] : [user, password];
    return [{ keys: [present], reason: `needs ${absent}`, remedy: `Set ${absent} as well.`, severity: "error" }];
  },
};

/** Beyond loopback without TLS: allowed, and said at each start. */
export function warnPlaintext<Name extends ListenerName>(
  name: Name,
): Rule<{ readonly listeners: readonly Listener[] } & TlsKeys<Name>> {
  const cert = `listener.name.${name}.tls.cert` as const;
  return {
    needs: ["listeners", cert],
    check: (given) => {
      const open = given.listeners.find((each) => each.name === name && !isLoopback(each));
      const values = given as Readonly<Record<string, unknown>>;
      if (open === undefined || values[cert] !== undefined) return [];
      const reason = `opens the listener "${name}" beyond this machine (${formatEndpoint(open)}) without TLS`;
      return [{ keys: ["listeners"], reason, remedy: `Set ${cert} and its key.`, severity: "warning" }];
    },
  };
}

function certificateGoesWithKey(
  values: Readonly<Record<string, string | undefined>>,
  cert: string,
  privateKey: string,
): Finding[] {
  const [present, absent] = values[cert] === undefined ? [privateKey, cert] : [cert, privateKey];
  if (values[present] === undefined || values[absent] !== undefined) return [];
  return [{ keys: [present, absent], reason: `needs ${absent}`, remedy: `Set ${absent} as well.`, severity: "error" }];
}
