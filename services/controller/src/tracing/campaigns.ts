import type { SpanAttributes } from "@tidemark/telemetry";

/** A claim to be the active controller, as a backend tells it when it is over. Times of the monotonic clock. */
export interface Campaign {
  readonly startMs: number;
  readonly endMs: number;
  readonly attributes: SpanAttributes;
}

/**
 * Where a backend leaves the campaign that it won: the span of it belongs to the trace of the controller election, which
 * is known to have come of it a moment later.
 */
export interface CampaignRecorder {
  won(campaign: Campaign): void;
  /** The latest one. Undefined where the backend has no campaigns. */
  takeWon(): Campaign | undefined;
}

export function createCampaignRecorder(): CampaignRecorder {
  let latest: Campaign | undefined;
  return {
    won(campaign) {
      latest = campaign;
    },
    takeWon() {
      const campaign = latest;
      latest = undefined;
      return campaign;
    },
  };
}
