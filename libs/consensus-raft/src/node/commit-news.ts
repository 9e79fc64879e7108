/**
 * Holds back appends without entries until what is at hand is done. One that tells of a commit is needed only where no
 * entries follow: those carry the commit index themselves, and who waited for the commit often proposes the next ones at
 * once. What is held back may be dropped, as any message may be.
 */
import type { Message, NodeId } from "@tidemark/raft";
import type { Cancel, Scheduler } from "@tidemark/runtime";

export interface CommitNews {
  /** Sends the message, now or a moment later; or never, where a later one to the same node says more. */
  send(message: Message): void;
  /** Drops what is held back. */
  stop(): void;
}

export function createCommitNews(scheduler: Scheduler, send: (message: Message) => void): CommitNews {
  const held = new Map<NodeId, Message>();
  let cancel: Cancel | undefined;
  const sendHeld = () => {
    cancel = undefined;
    const messages = [...held.values()];
    held.clear();
    for (const message of messages) send(message);
  };
  return {
    send(message) {
      if (message.kind !== "appendRequest") return send(message);
      if (message.entries.length > 0) {
        held.delete(message.to);
        return send(message);
      }
      held.set(message.to, message);
      cancel ??= scheduler.afterInput(sendHeld);
    },
    stop() {
      cancel?.();
      held.clear();
    },
  };
}
