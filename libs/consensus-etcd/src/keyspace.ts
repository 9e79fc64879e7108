/** Where the keys of one cluster stand in etcd. */
import type { EtcdKey, EtcdRange } from "./stubs.ts";

export interface Keyspace {
  toEtcd(key: string): EtcdKey;
  /** Of a key within `all`. */
  fromEtcd(key: EtcdKey): string;
  /** Every key of the cluster. */
  readonly all: Required<EtcdRange>;
  /** `/append`: every append and every claim writes it. */
  readonly fence: EtcdRange;
  /** `/controller`, `/controller_epoch` and `/controllers/...`: what else the store writes itself. */
  readonly candidates: Required<EtcdRange>;
}

/** A prefix of visible ASCII in parts behind single slashes, or none. */
const wellFormed = /^(?:\/[!-.0-~]+)*$/;

/** Throws RangeError on a prefix that is not `/part/part`. */
export function createKeyspace(prefix: string): Keyspace {
  if (!wellFormed.test(prefix) || prefix.length > 256) {
    throw new RangeError(
      `a prefix is /part/part, of at most 256 bytes of visible ASCII, not ${JSON.stringify(prefix)}`,
    );
  }
  return {
    toEtcd: (key) => prefix + key,
    fromEtcd: (key) => key.slice(prefix.length),
    // A zero is the sign behind a slash.
    all: { key: `${prefix}/`, rangeEnd: `${prefix}0` },
    fence: { key: `${prefix}/append` },
    candidates: { key: `${prefix}/controller`, rangeEnd: `${prefix}/controllers0` },
  };
}
