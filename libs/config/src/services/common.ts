import { endpoint } from "../addresses.ts";
import { bytes, duration, integer } from "../numbers.ts";
import { defaulted, optional, required } from "../setting.ts";
import { boolean, oneOf, path, text } from "../words.ts";

const int32Max = 2 ** 31 - 1;
const hourMs = 3_600_000;

/** What every service has. */
export const serviceSettings = {
  "cluster.id": optional(
    text({ pattern: /^[A-Za-z0-9_-]{1,64}$/, form: "1 to 64 of the characters A-Z a-z 0-9 _ -" }),
    "The cluster that this process belongs to. Unset: the one it finds; a process never joins another one by accident.",
  ),
  "log.level": defaulted(
    oneOf("trace", "debug", "info", "warn", "error", "fatal"),
    "info",
    "The least severe log lines that are written.",
  ),
  "metrics.listener": optional(
    endpoint({ anyPort: true }),
    "Where Prometheus can fetch the metrics, at /metrics. Unset: nowhere. Port 0 takes a free one.",
  ),
  "debug.page": defaulted(
    boolean(),
    false,
    "Whether /debug beside the metrics tells about the process: settings without secrets, memory, what it serves.",
  ),
  "request.timeout.ms": defaulted(
    duration({ min: 1, max: hourMs }),
    30_000,
    "The deadline of a call that comes without one.",
  ),
  "request.timeout.max.ms": defaulted(
    duration({ min: 1, max: hourMs }),
    60_000,
    "The longest deadline of a call; a later one is brought forward. Streams and long polls have rules of their own.",
  ),
  "queued.max.bytes.per.stream": defaulted(bytes({ min: 1 }), 16 * 2 ** 20, "Bytes that one stream may have waiting."),
  "queued.max.bytes.per.connection": defaulted(
    bytes({ min: 1 }),
    64 * 2 ** 20,
    "Bytes that all streams of one connection may have waiting.",
  ),
  "queued.max.bytes": optional(
    bytes({ min: 1 }),
    "Bytes that the whole process may have waiting. Unset: a quarter of the heap.",
  ),
  "max.connections": defaulted(integer({ min: 1 }), 1000, "Connections that the process holds at once."),
  "max.connections.per.ip": defaulted(integer({ min: 1 }), 50, "Connections from one address at once."),
  "max.connection.creation.rate.per.ip": defaulted(
    integer({ min: 1, unit: "connections a second" }),
    20,
    "New connections from one address in a second.",
  ),
  "connections.max.idle.ms": defaulted(
    duration({ min: 1 }),
    600_000,
    "A connection without any call for so long is closed.",
  ),
  "connections.tls.handshake.timeout.ms": defaulted(
    duration({ min: 1, max: hourMs }),
    5000,
    "A TLS handshake that takes longer is given up.",
  ),
  "max.cancelled.calls.per.second": defaulted(
    integer({ min: 1, unit: "calls a second" }),
    200,
    "A connection that cancels more calls than that in a second is closed.",
  ),
  "peer.tls.ca": optional(
    path(),
    "PEM file of the authorities by which this process checks the brokers and controllers it dials. Unset: plaintext.",
  ),
  "peer.tls.cert": optional(path(), "PEM file of the certificate that this process shows to those it dials."),
  "peer.tls.key": optional(path(), "PEM file of the key of peer.tls.cert."),
} as const;

/** The `client` listener, which every service has. */
export const clientListenerSettings = {
  "listener.name.client.tls.cert": optional(path(), "PEM file of the listener's certificate chain. Unset: plaintext."),
  "listener.name.client.tls.key": optional(path(), "PEM file of the key of the listener's certificate."),
  "listener.name.client.tls.ca": optional(path(), "PEM file of the authorities by which clients are checked."),
  "listener.name.client.tls.client.auth": defaulted(
    oneOf("none", "required"),
    "none",
    "Whether a client must show a certificate.",
  ),
  "listener.name.client.max.streams.per.connection": defaulted(
    integer({ min: 1, unit: "streams" }),
    256,
    "Calls and streams that one connection has open at once.",
  ),
} as const;

/** The `internal` listener, where replica, cluster and raft services answer. */
export const internalListenerSettings = {
  "listener.name.internal.tls.cert": optional(
    path(),
    "PEM file of the listener's certificate chain. Unset: plaintext.",
  ),
  "listener.name.internal.tls.key": optional(path(), "PEM file of the key of the listener's certificate."),
  "listener.name.internal.tls.ca": optional(path(), "PEM file of the authorities by which peers are checked."),
  "listener.name.internal.tls.client.auth": defaulted(
    oneOf("none", "required"),
    "none",
    "Whether a peer must show a certificate.",
  ),
  "listener.name.internal.max.streams.per.connection": defaulted(
    integer({ min: 1, unit: "streams" }),
    64,
    "Calls and streams that one connection has open at once.",
  ),
} as const;

/** The number that a broker or controller goes by. */
export const nodeIdSettings = {
  "node.id": required(
    integer({ min: 0, max: int32Max }),
    "The number of this process, unlike that of any other of its kind.",
  ),
} as const;

/** Timers that brokers and controllers must agree on: both know all of them, so that both check how they relate. */
export const sessionSettings = {
  "broker.heartbeat.interval.ms": defaulted(
    duration({ min: 1, max: hourMs }),
    500,
    "How often a broker tells the controller that it lives.",
  ),
  "broker.session.timeout.ms": defaulted(
    duration({ min: 1, max: hourMs }),
    6000,
    "A broker silent for so long is fenced; a leader that hears neither controller nor follower for so long fences itself.",
  ),
  "replica.lag.time.max.ms": defaulted(
    duration({ min: 1, max: 24 * hourMs }),
    10_000,
    "A follower whose flushed offset has not caught up for so long leaves the ISR.",
  ),
} as const;

/** The largest batch: checked at the first hop, whichever that is. */
export const batchSizeSettings = {
  "message.max.bytes": defaulted(
    bytes({ min: 1024, max: 2 ** 30 }),
    2 ** 20,
    "The largest record batch that is accepted, as encoded. A topic's max.message.bytes overrides it.",
  ),
} as const;

/** `defaultBytes`: what the kind of service receives and sends in one message unless told otherwise. */
export function messageSizeSettings(defaultBytes: number) {
  const largest = bytes({ min: 64 * 1024, max: 2 ** 31 - 1 });
  return {
    "rpc.receive.max.bytes": defaulted(largest, defaultBytes, "The largest message that is received."),
    "rpc.receive.max.elements": defaulted(
      integer({ min: 1000, max: 2 ** 31 - 1 }),
      250_000,
      "Elements of a message that is received: entries of lists and maps, messages inside, and fields that are not known.",
    ),
    "rpc.send.max.bytes": defaulted(largest, defaultBytes, "The largest message that is sent."),
  } as const;
}
