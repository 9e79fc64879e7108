/**
 * Telling brokers and gateways which controller is the active one. A standby tells it as soon as its image has the newer
 * one: nobody needs to wait for the older one's silence to prove anything. What is named here may turn out to be over;
 * that is found out by whoever calls it, and the next one is told.
 */
import type { MessageInitShape } from "@bufbuild/protobuf";
import type { ControllerId } from "@tidemark/ids";
import type { ActiveController } from "@tidemark/metadata";
import type { WatchControllerResponseSchema } from "@tidemark/proto/cluster/v1";
import { createDeferred } from "@tidemark/runtime";
import type { ControllerCore } from "../core.ts";

type Told = MessageInitShape<typeof WatchControllerResponseSchema>;

/** The active controller, and each later one, until `signal` is aborted. The epochs rise. */
export async function* watchController(
  core: Pick<ControllerCore, "follower" | "role">,
  own: ControllerId,
  signal: AbortSignal,
): AsyncGenerator<Told> {
  let changed = createDeferred();
  const wake = () => changed.resolve();
  const stops = [
    core.follower.onStep(({ delta }) => {
      if (delta.controller) wake();
    }),
    core.role.onActivated(wake),
  ];
  signal.addEventListener("abort", wake, { once: true });
  let toldEpoch = 0;
  try {
    while (!signal.aborted) {
      changed = createDeferred();
      const active = activeBy(core, own);
      if (active !== undefined && active.controllerEpoch > toldEpoch) {
        toldEpoch = active.controllerEpoch;
        yield { ...active, controllerId: active.controllerId ?? 0 };
      } else await changed.promise;
    }
  } finally {
    for (const stop of stops) stop();
    signal.removeEventListener("abort", wake);
  }
}

/** The active one by the image. This one counts from when it answers as such, which is a little later. */
function activeBy(
  { follower, role }: Pick<ControllerCore, "follower" | "role">,
  own: ControllerId,
): ActiveController | undefined {
  const active = follower.image.controller;
  if (active?.controllerId === undefined) return undefined;
  return active.controllerId === own && role.term?.epoch !== active.controllerEpoch ? undefined : active;
}
