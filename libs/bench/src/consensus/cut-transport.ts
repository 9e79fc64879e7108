import { LinkLostError } from "@tidemark/consensus";
import type { Transport } from "@tidemark/consensus-raft";

/** A transport that can be cut: then nothing passes in either direction, and nobody is told. */
export function createCutTransport(transport: Transport): Transport & { setCut(isCut: boolean): void } {
  let isCut = false;
  return {
    ...transport,
    setCut(cut) {
      isCut = cut;
    },
    start(handlers) {
      transport.start({
        ...handlers,
        onMessage(message) {
          if (!isCut) handlers.onMessage(message);
        },
        async onSubmit(command) {
          if (isCut) throw new LinkLostError("cut off");
          return handlers.onSubmit(command);
        },
      });
    },
    send(to, message) {
      if (!isCut) transport.send(to, message);
    },
    async submit(to, command, signal) {
      if (isCut) throw new LinkLostError("cut off");
      return transport.submit(to, command, signal);
    },
  };
}
