import { createChannel } from "../client/grpc-channel.ts";
import { createRpcListener } from "../server/rpc-listener.ts";
import { tcpProbe } from "./tcp-probe.ts";
import type { Transport } from "./transport.ts";

/** gRPC over HTTP/2 over TCP. */
export const grpcTransport: Transport = { createChannel, createListener: createRpcListener, probe: tcpProbe };
