/**
 * What a request of now would wait for, for those who ask before they send one.
 */
import * as Context from "effect/Context"
import type { Plan } from "../router/plan.ts"
import type { SlotCaller } from "./seeker.ts"
import type { QueuePlace } from "./slot-queue.ts"

/** Where a request would stand that came now and is planned like this; undefined where it would not have to wait. */
export type QueueLook = (plan: Plan, from: SlotCaller) => QueuePlace | undefined

/** Looks at the queue of this process; where nothing is forwarded, nobody waits. */
export const QueueOutlook = Context.Reference<QueueLook>("nexus/proxy/QueueOutlook", {
  defaultValue: () => () => undefined
})
