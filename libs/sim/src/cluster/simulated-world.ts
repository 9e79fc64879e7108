import type { ServiceWorld } from "@tidemark/service";
import type { SimProcess } from "../engine/sim-process.ts";
import type { Host } from "../network/host.ts";
import type { Network } from "../network/network.ts";
import type { Device } from "../storage/sim-disk.ts";

/** The world of a simulated process: what a real one has, of which clock, randomness, timers, disk and transport differ. */
export function simulatedWorld(
  given: Pick<ServiceWorld, "telemetry" | "onFatal"> & {
    readonly network: Network;
    readonly host: Host;
    readonly device: Device;
    readonly process: SimProcess;
  },
): Required<ServiceWorld> {
  const { network, host, device, process, telemetry, onFatal } = given;
  return {
    runtime: process.runtime,
    telemetry,
    onFatal,
    openDisk: (options) => device.openFor(process, options),
    transport: network.transportOf(host, process),
  };
}
