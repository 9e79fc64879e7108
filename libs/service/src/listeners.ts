import type { brokerSchema, controllerSchema, gatewaySchema, Values } from "@tidemark/config";
import { type Disk, readWholeFile } from "@tidemark/disk";
import {
  type BoundAddress,
  type ClientTls,
  certificatesProblem,
  keyFits,
  keyProblem,
  type ListenerOptions,
  type PemProblem,
  type ServedService,
  type ServerTls,
} from "@tidemark/rpc";
import { StartRefusedError } from "./refused.ts";

/** The settings that every service with a `client` listener has. */
type ClientListenerValues = Pick<Values<(typeof gatewaySchema)["settings"]>, SharedKeys>;
/** The same with an `internal` listener. */
type InternalListenerValues = ClientListenerValues &
  Pick<Values<(typeof brokerSchema)["settings"]>, `listener.name.internal.${string}` & keyof BrokerValues>;

type BrokerValues = Values<(typeof brokerSchema)["settings"]>;
type SharedKeys = keyof Values<(typeof gatewaySchema)["settings"]> &
  keyof Values<(typeof controllerSchema)["settings"]> &
  keyof BrokerValues;

/** Which services a listener has. */
export type ListenerServices<Name extends string> = Readonly<Record<Name, readonly ServedService[]>>;

/** The listeners of a server as the settings describe them. Reads certificates; throws StartRefusedError. */
export async function listenersOf<Name extends "client" | "internal">(
  values: "internal" extends Name ? InternalListenerValues : ClientListenerValues,
  services: ListenerServices<Name>,
  disk: Pick<Disk, "open">,
): Promise<Readonly<Record<Name, ListenerOptions>>> {
  const listeners: [string, ListenerOptions][] = [];
  for (const [name, served] of Object.entries<readonly ServedService[]>(services)) {
    const at = values.listeners.find((each) => each.name === name);
    if (at === undefined) throw new StartRefusedError(`listeners names no listener ${name}`);
    const own = listenerValues(values, name);
    const tls = await serverTls(own, { name, disk });
    listeners.push([
      name,
      {
        host: at.host,
        port: at.port,
        services: served,
        messageLimitBytes: values["rpc.receive.max.bytes"],
        elementLimit: values["rpc.receive.max.elements"],
        sendLimitBytes: values["rpc.send.max.bytes"],
        streamsPerConnection: own.streams,
        queueLimitBytes: {
          stream: values["queued.max.bytes.per.stream"],
          connection: values["queued.max.bytes.per.connection"],
        },
        connections: {
          total: values["max.connections"],
          perAddress: values["max.connections.per.ip"],
          newPerAddressPerSecond: values["max.connection.creation.rate.per.ip"],
          handshakeTimeoutMs: values["connections.tls.handshake.timeout.ms"],
          idleTimeoutMs: values["connections.max.idle.ms"],
          cancelledCallsPerSecond: values["max.cancelled.calls.per.second"],
        },
        ...(tls === undefined ? {} : { tls }),
      },
    ]);
  }
  return Object.fromEntries(listeners) as Record<Name, ListenerOptions>;
}

/** Where others reach a listener, host:port: as it is advertised, or where it is bound. */
export function advertisedEndpoint(
  values: Pick<ClientListenerValues, "advertised.listeners">,
  name: "client" | "internal",
  bound: Readonly<Record<string, BoundAddress>>,
): { readonly host: string; readonly port: number } {
  const at = values["advertised.listeners"]?.find((each) => each.name === name) ?? bound[name];
  if (at === undefined) throw new StartRefusedError(`The listener ${name} is not bound`);
  return { host: at.host, port: at.port };
}

/** The certificates by which this process dials its peers; undefined: cleartext. Throws StartRefusedError. */
export async function peerTls(
  values: Pick<ClientListenerValues, "peer.tls.ca" | "peer.tls.cert" | "peer.tls.key">,
  disk: Pick<Disk, "open">,
): Promise<ClientTls | undefined> {
  const given = { ca: values["peer.tls.ca"], cert: values["peer.tls.cert"], key: values["peer.tls.key"] };
  return readClientTls("peer.tls", given, disk);
}

/**
 * The certificates by which somebody is dialled, of the settings `prefix.ca`, `.cert` and `.key`; undefined: cleartext.
 * Throws StartRefusedError.
 */
export async function readClientTls(
  prefix: string,
  paths: Readonly<Record<"ca" | "cert" | "key", string | undefined>>,
  disk: Pick<Disk, "open">,
): Promise<ClientTls | undefined> {
  if (paths.ca === undefined) return undefined;
  return {
    authorities: await readPem(disk, { setting: `${prefix}.ca`, path: paths.ca }, certificatesProblem),
    ...(await readPair(disk, { prefix, certificate: paths.cert, key: paths.key })),
  };
}

interface ListenerValues {
  readonly certificate: string | undefined;
  readonly key: string | undefined;
  readonly authorities: string | undefined;
  readonly clientAuth: "none" | "required";
  readonly streams: number;
}

function listenerValues(values: ClientListenerValues, name: string): ListenerValues {
  const of = (key: string): unknown => (values as Readonly<Record<string, unknown>>)[`listener.name.${name}.${key}`];
  return {
    certificate: of("tls.cert") as string | undefined,
    key: of("tls.key") as string | undefined,
    authorities: of("tls.ca") as string | undefined,
    clientAuth: of("tls.client.auth") as "none" | "required",
    streams: of("max.streams.per.connection") as number,
  };
}

async function serverTls(
  { certificate, key, authorities, clientAuth }: ListenerValues,
  { name, disk }: { readonly name: string; readonly disk: Pick<Disk, "open"> },
): Promise<ServerTls | undefined> {
  const prefix = `listener.name.${name}.tls`;
  const pair = await readPair(disk, { prefix, certificate, key });
  if (pair === undefined) return undefined;
  return {
    ...pair,
    requireClientCertificate: clientAuth === "required",
    ...(authorities !== undefined && {
      authorities: await readPem(disk, { setting: `${prefix}.ca`, path: authorities }, certificatesProblem),
    }),
  };
}

/** A certificate chain and its key; undefined where they are not set. */
async function readPair(
  disk: Pick<Disk, "open">,
  at: { readonly prefix: string; readonly certificate: string | undefined; readonly key: string | undefined },
): Promise<{ readonly certificate: Uint8Array; readonly key: Uint8Array } | undefined> {
  if (at.certificate === undefined || at.key === undefined) return undefined;
  const setting = `${at.prefix}.key`;
  const certificate = await readPem(disk, { setting: `${at.prefix}.cert`, path: at.certificate }, certificatesProblem);
  const key = await readPem(disk, { setting, path: at.key }, keyProblem);
  if (keyFits(certificate, key)) return { certificate, key };
  throw new StartRefusedError(`${setting}: the key in ${at.key} is not that of the certificate in ${at.certificate}`);
}

/** The bytes of a PEM file, looked into: what the TLS library says of a wrong one names neither file nor setting. */
async function readPem(
  disk: Pick<Disk, "open">,
  { setting, path }: { readonly setting: string; readonly path: string },
  problemOf: (pem: Uint8Array) => PemProblem,
): Promise<Uint8Array> {
  const pem = await readFile(disk, { setting, path });
  const problem = problemOf(pem);
  if (problem === undefined) return pem;
  throw new StartRefusedError(`${setting}: the file ${path} ${problem}`);
}

async function readFile(
  disk: Pick<Disk, "open">,
  { setting, path }: { readonly setting: string; readonly path: string },
): Promise<Uint8Array> {
  try {
    return await readWholeFile(disk, path);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartRefusedError(`${setting}: the file ${path} cannot be read: ${why}`, { cause: error });
  }
}
