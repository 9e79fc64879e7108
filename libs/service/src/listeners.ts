import type { brokerSchema, controllerSchema, gatewaySchema, Values } from "@tidemark/config";
import type { Disk } from "@tidemark/disk";
import type { BoundAddress, ClientTls, ListenerOptions, ServedService, ServerTls } from "@tidemark/rpc";
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
    const tls = await serverTls(own, disk);
    listeners.push([
      name,
      {
        host: at.host,
        port: at.port,
        services: served,
        messageLimitBytes: values["rpc.receive.max.bytes"],
        streamsPerConnection: own.streams,
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
  const authorities = values["peer.tls.ca"];
  if (authorities === undefined) return undefined;
  const certificate = values["peer.tls.cert"];
  const key = values["peer.tls.key"];
  return {
    authorities: await readFile(disk, authorities),
    ...(certificate === undefined ? {} : { certificate: await readFile(disk, certificate) }),
    ...(key === undefined ? {} : { key: await readFile(disk, key) }),
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

async function serverTls(own: ListenerValues, disk: Pick<Disk, "open">): Promise<ServerTls | undefined> {
  if (own.certificate === undefined || own.key === undefined) return undefined;
  return {
    certificate: await readFile(disk, own.certificate),
    key: await readFile(disk, own.key),
    requireClientCertificate: own.clientAuth === "required",
    ...(own.authorities === undefined ? {} : { authorities: await readFile(disk, own.authorities) }),
  };
}

async function readFile(disk: Pick<Disk, "open">, path: string): Promise<Uint8Array> {
  try {
    const file = await disk.open(path, { readOnly: true });
    try {
      return await file.read(0, await file.size());
    } finally {
      await file.close();
    }
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new StartRefusedError(`The file ${path} cannot be read: ${why}`, { cause: error });
  }
}
