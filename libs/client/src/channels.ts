import { Outcome, Reason } from "@tidemark/proto/common/v1";
import {
  type ChannelPoolOptions,
  type ClientWire,
  createChannelPool,
  type RpcChannel,
  TidemarkError,
  type TrafficClass,
  toGrpcStatus,
} from "@tidemark/rpc";

/** The channels of one client, by endpoint and traffic class. */
export interface Channels {
  get(endpoint: string, trafficClass: TrafficClass): RpcChannel;
  /** Throws `clientClosed()` after `close`. */
  readonly checkOpen: () => void;
  /** Ends every call that runs. Later calls fail with `clientClosed()`, also those to endpoints that nobody called before. */
  readonly close: () => void;
}

/**
 * A pool that stays closed. The one below makes new channels after its end, so whoever outlives the client would connect
 * again and nobody would end that connection; and calls on a channel that is shut down throw what its transport throws.
 */
export function createChannels(options: ChannelPoolOptions): Channels {
  const pool = createChannelPool(options);
  let isClosed = false;
  return {
    get(endpoint, trafficClass) {
      const channel = pool.get(endpoint, trafficClass);
      // What is waited for on it, and not called, finds it closed.
      if (isClosed) pool.close();
      return {
        ...channel,
        startCall: (call) => (isClosed ? closedWire(channel) : channel.startCall(call)),
      };
    },
    checkOpen() {
      if (isClosed) throw clientClosed();
    },
    close() {
      isClosed = true;
      pool.close();
    },
  };
}

function clientClosed(): TidemarkError {
  return new TidemarkError({
    reason: Reason.CANCELLED,
    message: "The client is closed: make another one with createClient",
    outcome: Outcome.NOT_APPLIED,
  });
}

/** A call that ends before it has begun, as every other call ends: by its status, when its caller is ready for that. */
function closedWire({ runtime }: RpcChannel): ClientWire {
  return {
    requestSent: false,
    start(_, listener) {
      runtime.scheduler.afterInput(() => listener.onStatus(toGrpcStatus(clientClosed())));
    },
    sendMessage: (_, onFlushed) => onFlushed(),
    halfClose: () => undefined,
    startRead: () => undefined,
    cancel: () => undefined,
  };
}
