/**
 * What looks for what is wrong, from inside of the running gateway; how it does is for others to say.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type { DoctorEvent } from "../api/doctor-api.ts"

/** Something that was found, or the beginning of a section. */
export type DoctorNews = Extract<DoctorEvent, { readonly event: "section" | "finding" }>

/** Looks at the gateway's ground and at each backend. */
export class Doctor extends Context.Service<
  Doctor,
  {
    /** Tells what is found as it comes; `inference` says whether tokens may be spent. It never fails. */
    readonly look: (inference: boolean, tell: (news: DoctorNews) => void) => Effect.Effect<void>
  }
>()("nexus/operations/Doctor") {}
